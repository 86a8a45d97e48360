//! Several gateways on one Redis.

use std::time::{Duration, Instant};

use interop::raw::{self, Response};
use interop::{Capture, Cloakroom, Condition, FaultProxy, Redis, available};

use crate::given::{self, session_with, visit};

/// From one address come all who are tested.
const LOGIN: &str = "[application.login]\nfile = \"users.htpasswd\"\nrequire = [\"/account\"]\n\
                     attempts_per_address = 1000\nattempts_per_user = 2000\n";
/// A gateway that is told of changes learns within milliseconds; this is for one that must find out that it is not told.
const LEARNED: Duration = Duration::from_secs(10);

/// `gateway.toml` with its sessions in that Redis, of which answers are not waited for as long as usual.
pub(crate) fn gateway(upstream: &Capture, url: &str) -> Cloakroom {
    gateway_with(upstream, url, |text| text, &[("users.htpasswd", &*given::htpasswd())])
}

/// The same with something changed, and with these files.
pub(crate) fn gateway_with(
    upstream: &Capture,
    url: &str,
    change: impl FnOnce(String) -> String,
    files: &[(&str, &str)],
) -> Cloakroom {
    let text = include_str!("examples/gateway.toml");
    let replaced = [
        ("engine = \"embedded\" ", format!("engine = \"redis\"\nurl = \"{url}\"\n# ")),
        ("[cache]\n", "[cache]\ndeadline = \"1s\"\n".to_owned()),
    ];
    let text = replaced.into_iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "the example no longer says {from}");
        text.replace(from, &to)
    });
    let text = change(given::example(&text, &upstream.url())) + LOGIN;
    Cloakroom::start_with(&text, files).unwrap()
}

pub(crate) fn log_out(cloakroom: &Cloakroom, cookie: &str) -> Response {
    let address = cloakroom.gateway();
    let request = format!(
        "POST /.cloakroom/logout HTTP/1.1\r\nHost: {address}\r\nSec-Fetch-Site: same-origin\r\nCookie: {cookie}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n\r\n"
    );
    raw::exchange(address, request).unwrap()
}

/// Waits until the gateway shows the session so.
fn shows(gateway: &Cloakroom, cookie: &str, text: &str) {
    let began = Instant::now();
    loop {
        let answer = visit(gateway, "/", cookie);
        if answer.status == 200 && answer.text() == text {
            return;
        }
        let (status, shown) = (answer.status, answer.text());
        assert!(began.elapsed() < LEARNED, "{status}: {shown}\n{}", gateway.log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_logout_at_one_gateway_holds_at_the_others() {
    let Some(redis) = available(Redis::start()).unwrap() else { return };
    let upstream = given::application();
    let gateways = [0; 3].map(|_| gateway(&upstream, &redis.url()));
    let [one, others @ ..] = &gateways;
    let [leaves, stays] = ["basket=tea", "basket=milk"].map(|update| session_with(one, update));
    for gateway in &gateways {
        assert_eq!(visit(gateway, "/", &leaves).text(), "basket=tea", "{}", gateway.log());
        assert_eq!(visit(gateway, "/", &stays).text(), "basket=milk", "{}", gateway.log());
    }
    // What one writes the others show.
    assert_eq!(visit(&others[0], "/put/basket=rum", &stays).status, 200);
    shows(one, &stays, "basket=rum");
    shows(&others[1], &stays, "basket=rum");
    assert_eq!(log_out(one, &leaves).status, 303, "{}", one.log());
    assert_eq!(visit(one, "/", &leaves).text(), "");
    for other in others {
        shows(other, &leaves, "");
        shows(other, &stays, "basket=rum");
    }
}

#[test]
fn nobody_is_logged_out_while_redis_is_away_however_it_is_away() {
    let Some(redis) = available(Redis::start()).unwrap() else { return };
    let proxy = FaultProxy::start(redis.address()).unwrap();
    let upstream = given::application();
    let gateways = [0; 2].map(|_| gateway(&upstream, &format!("redis://{}", proxy.address())));
    let [one, other] = &gateways;
    for condition in [
        Condition::Refused,
        Condition::BlackHole,
        Condition::AnswersLost,
        Condition::RequestsLost,
        Condition::Slow(Duration::from_secs(2)),
    ] {
        let [leaves, stays, tries] =
            ["basket=tea", "basket=milk", "basket=rum"].map(|update| session_with(one, update));
        shows(other, &stays, "basket=milk");
        shows(other, &leaves, "basket=tea");
        assert_eq!(log_out(one, &leaves).status, 303, "{condition:?}: {}", one.log());
        shows(other, &leaves, "");
        proxy.set(condition);
        for gateway in &gateways {
            let stay = visit(gateway, "/", &stays);
            assert!(stay.status == 503 || stay.text() == "basket=milk", "{condition:?}: {}", stay.text());
            assert!(stay.all("set-cookie").is_empty(), "{condition:?}: {:?}", stay.all("set-cookie"));
            let left = visit(gateway, "/", &leaves);
            assert!(left.status == 503 || left.text().is_empty(), "{condition:?}: {}", left.text());
        }
        // Nobody claims a logout that is not certain.
        let unsure = log_out(other, &tries);
        assert_eq!(
            (unsure.status, unsure.all("set-cookie").len()),
            (503, 0),
            "{condition:?}: {}",
            unsure.text()
        );
        let another = visit(one, "/put/basket=gin", "");
        assert!(another.status == 503 || another.cookie("session").is_none(), "{condition:?}");
        proxy.set(Condition::Passing);
        // What was not ended is there again, and what was is not.
        for gateway in &gateways {
            shows(gateway, &stays, "basket=milk");
            shows(gateway, &leaves, "");
        }
        let cookie = session_with(one, "basket=gin");
        shows(other, &cookie, "basket=gin");
    }
}

#[test]
fn a_redis_that_comes_back_with_what_it_had_brings_every_session_back() {
    let lines = "appendonly yes\nappendfsync always\n";
    let Some(mut redis) = available(Redis::start_with(lines)).unwrap() else { return };
    let upstream = given::application();
    let gateways = [0; 2].map(|_| gateway(&upstream, &redis.url()));
    let [leaves, stays] = ["basket=tea", "basket=milk"].map(|update| session_with(&gateways[0], update));
    assert_eq!(log_out(&gateways[1], &leaves).status, 303, "{}", gateways[1].log());
    redis.kill().unwrap();
    for gateway in &gateways {
        for cookie in [&leaves, &stays] {
            let answer = visit(gateway, "/", cookie);
            assert!(answer.status == 503 || answer.text() != "basket=tea", "{}", answer.text());
            assert!(answer.status != 503 || answer.all("set-cookie").is_empty());
        }
    }
    redis.restart().unwrap();
    for gateway in &gateways {
        assert_eq!(given::answered(gateway, &leaves).text(), "", "{}", gateway.log());
        shows(gateway, &stays, "basket=milk");
    }
}
