//! How many sessions a person may have, where two gateways share a storage and everybody logs in at once.

use std::thread;
use std::time::{Duration, Instant};

use interop::raw::{self, Response};
use interop::{Capture, Cloakroom, Postgres, Redis, available};

use crate::form::Form;
use crate::given::{self, PASSWORD, USER};
use crate::nodes::{account, start};

const MOST: usize = 3;
const AT_ONCE: usize = 8;
const ROUNDS: usize = 3;
/// What happens at once takes milliseconds; this is for a machine that is busy.
const SOON: Duration = Duration::from_secs(10);

fn try_to_log_in(node: &Cloakroom) -> Response {
    let lines = "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
    let page = raw::get(node.gateway(), "/.cloakroom/login", lines).unwrap();
    Form::of(&page).fill("user", USER).fill("password", PASSWORD).send(node.gateway(), "")
}

/// Two gateways with this limit.
fn pair(upstream: &Capture, engine: &str, when_full: &str) -> [Cloakroom; 2] {
    let limits = format!(
        "attempts_per_address = 1000\nattempts_per_user = 2000\n\
         [application.limits]\nsessions_per_person = {MOST}\nwhen_full = \"{when_full}\"\n"
    );
    [0; 2].map(|_| start(upstream, engine, &limits))
}

/// As many browsers as that log in at the same moment, half of them here and half of them there; the cookies of those who were told
/// that they are logged in.
fn all_at_once(pair: &[Cloakroom; 2]) -> Vec<String> {
    thread::scope(|scope| {
        let logins: Vec<_> = (0..AT_ONCE)
            .map(|number| {
                let node = &pair[number % 2];
                scope.spawn(move || (try_to_log_in(node), node.log()))
            })
            .collect();
        let answers = logins.into_iter().map(|login| login.join().unwrap());
        let cookies = answers.filter_map(|(answer, log)| {
            assert!(matches!(answer.status, 303 | 409), "{}\n{}\n{log}", answer.status, answer.text());
            (answer.status == 303).then(|| answer.cookie("session").map(str::to_owned)).flatten()
        });
        cookies.collect()
    })
}

/// As many of these as may are logged in, the same at both, as soon as each has heard of what the other has ended.
fn as_many_as_may_are_live(pair: &[Cloakroom; 2], cookies: &[String]) {
    let at = |node: &Cloakroom| -> Vec<bool> {
        cookies.iter().map(|cookie| account(node, cookie) == 200).collect()
    };
    let began = Instant::now();
    loop {
        let (here, there) = (at(&pair[0]), at(&pair[1]));
        let live = here.iter().filter(|is_live| **is_live).count();
        assert!(live >= MOST, "too many were ended: {here:?}");
        if live == MOST && here == there {
            return;
        }
        assert!(began.elapsed() < SOON, "{here:?}, {there:?}\n{}\n{}", pair[0].log(), pair[1].log());
        thread::sleep(Duration::from_millis(10));
    }
}

fn as_many_stay_as_may(engine: &str) {
    let upstream = given::application();
    let oldest = pair(&upstream, engine, "end_oldest");
    let mut cookies = Vec::new();
    for _ in 0..ROUNDS {
        cookies.extend(all_at_once(&oldest));
        as_many_as_may_are_live(&oldest, &cookies);
    }
    // The same sessions, and gateways that refuse: there is no room.
    let refusing = pair(&upstream, engine, "refuse");
    assert!(all_at_once(&refusing).is_empty());
    as_many_as_may_are_live(&refusing, &cookies);
    let metrics = raw::get(refusing[0].server(), "/metrics", "").unwrap().text();
    assert!(metrics.contains("cloakroom_gateway_logins_total{reason=\"limit\"} 4"), "{metrics}");
}

#[test]
fn two_gateways_on_redis_let_as_many_stay_as_may() {
    let Some(redis) = available(Redis::start()).unwrap() else { return };
    as_many_stay_as_may(&format!("engine = \"redis\"\nurl = \"{}\"\n# ", redis.url()));
}

#[test]
fn two_gateways_on_postgres_let_as_many_stay_as_may() {
    let Some(postgres) = available(Postgres::start()).unwrap() else { return };
    postgres.sql("postgres", "CREATE DATABASE sessions ENCODING 'UTF8'").unwrap();
    as_many_stay_as_may(&format!("engine = \"sql\"\nurl = \"{}\"\n# ", postgres.url("sessions")));
}
