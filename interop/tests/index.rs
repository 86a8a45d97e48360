//! The index of sessions by person, on a real Redis: broken by hand, and mended while people log in and out.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use interop::raw::{self, Response};
use interop::{Cloakroom, Redis, available};

use crate::form::Form;
use crate::given::{self, PASSWORD, USER};
use crate::shared_redis::{gateway, log_out};

const BROWSER: &str = "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
/// How many people log in and out while the index is mended, and how often each.
const PEOPLE: usize = 4;
const ROUNDS: usize = 12;
const SETTLED: Duration = Duration::from_secs(20);

/// What a check of the index has said, in numbers.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    sessions: u64,
    entries: u64,
    written: u64,
    removed: u64,
    early: u64,
}

fn log_in(gateway: &Cloakroom) -> String {
    let page = raw::get(gateway.gateway(), "/.cloakroom/login", BROWSER).unwrap();
    let welcome: Response =
        Form::of(&page).fill("user", USER).fill("password", PASSWORD).send(gateway.gateway(), "");
    assert_eq!(welcome.status, 303, "{}\n{}", welcome.text(), gateway.log());
    welcome.cookie("session").unwrap().to_owned()
}

fn check_index(gateway: &Cloakroom) -> Said {
    let checked =
        gateway.execute(&["store", "check", "--index", "--quiet", "--config", "cloakroom.toml"]).unwrap();
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    let errors = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert!(checked.status.success(), "{text}{errors}");
    let number = |name: &str| {
        let line = text.lines().find_map(|line| line.trim_start().strip_prefix(name));
        let word = line.and_then(|line| line.split_whitespace().next());
        word.and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("no {name} in\n{text}"))
    };
    Said {
        sessions: number("sessions"),
        entries: number("entries"),
        written: number("written"),
        removed: number("removed"),
        early: number("early"),
    }
}

/// Checks until the entries are gone of those who have left: they go right behind the session.
fn is_in_order(gateway: &Cloakroom, sessions: u64) {
    let in_order = Said { sessions, entries: sessions, written: 0, removed: 0, early: 0 };
    let began = Instant::now();
    loop {
        let said = check_index(gateway);
        if said == in_order {
            return;
        }
        assert!(began.elapsed() < SETTLED && said.written + said.removed == 0, "{said:?}\n{}", gateway.log());
    }
}

/// The keys of all entries, as Redis has them.
fn entries(redis: &Redis) -> Vec<String> {
    let keys = redis.say(&["KEYS", "cloakroom:{index.*}:r:*"]).unwrap();
    keys.split_whitespace().map(str::to_owned).collect()
}

/// The key of the names in the context of an entry, and its name.
fn place(entry: &str) -> (String, &str) {
    let (context, name) = entry.split_once("}:r:").unwrap();
    (format!("{context}}}:n"), name)
}

/// Writes an entry of a session that never was, a copy of another one, so long ago.
fn put_stale(redis: &Redis, entry: &str, handle: char) {
    let (names, name) = place(entry);
    let never: String = name.chars().map(|_| handle).collect();
    let key = entry.replace(name, &never);
    let script = "redis.call('COPY', KEYS[1], KEYS[2]) redis.call('SETRANGE', KEYS[2], 9, string.rep('\\0', 8)) \
                  redis.call('ZADD', KEYS[3], 0, ARGV[1])";
    redis.say(&["EVAL", script, "3", entry, &key, &names, &never]).unwrap();
}

#[test]
fn an_index_that_was_broken_by_hand_is_mended_while_people_come_and_go() {
    let Some(redis) = available(Redis::start()).unwrap() else { return };
    let upstream = given::application();
    let gateways = [0; 2].map(|_| gateway(&upstream, &redis.url()));
    let [one, other] = &gateways;
    // Two browsers of one person.
    let [desk, phone] = [one, other].map(log_in);
    is_in_order(one, 2);
    let [lost, kept] = <[String; 2]>::try_from(entries(&redis)).unwrap();
    assert_eq!(redis.say(&["DEL", &lost]).unwrap().trim(), "1");
    for handle in ['a', 'b', 'c'] {
        put_stale(&redis, &kept, handle);
    }
    assert_eq!(entries(&redis).len(), 4);
    // Mended, while others log in and out.
    let is_over = AtomicBool::new(false);
    let (mut said, live) = thread::scope(|scope| {
        let people: Vec<_> = (0..PEOPLE)
            .map(|number| {
                let gateway = &gateways[number % 2];
                scope.spawn(move || {
                    let cookies: Vec<String> = (0..ROUNDS)
                        .map(|round| {
                            let cookie = log_in(gateway);
                            if round % 3 != 0 {
                                assert_eq!(log_out(gateway, &cookie).status, 303, "{}", gateway.log());
                            }
                            cookie
                        })
                        .collect();
                    cookies.into_iter().step_by(3).count() as u64
                })
            })
            .collect();
        let checks = scope.spawn(|| {
            let mut said = vec![check_index(one)];
            while !is_over.load(Ordering::SeqCst) {
                said.push(check_index(other));
            }
            said
        });
        let people: Vec<_> = people.into_iter().map(|person| person.join()).collect();
        is_over.store(true, Ordering::SeqCst);
        let live: u64 = people.into_iter().map(|live| live.unwrap()).sum();
        (checks.join().unwrap(), live)
    });
    let first = said.remove(0);
    assert_eq!((first.written, first.removed), (1, 3), "{first:?}");
    for later in &said {
        assert_eq!((later.written, later.removed), (0, 0), "{later:?}");
    }
    is_in_order(one, 2 + live);
    // Nobody lost a session over it, and who leaves is out of the index.
    for (gateway, cookie) in [(one, &desk), (other, &phone)] {
        assert_eq!(log_out(gateway, cookie).status, 303);
    }
    is_in_order(other, live);
}
