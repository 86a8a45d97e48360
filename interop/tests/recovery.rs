//! Sessions that are lost and come back, through the program as it runs.

use interop::raw::Response;
use interop::{Capture, Cloakroom, Redis, available};

use crate::given::{self, visit};

const LOST_WITH_THE_PROCESS: &str = r#"
[listen]
gateway = "127.0.0.1:8080"
server = "127.0.0.1:8081"

[[storage]]
id = "sessions"
engine = "memory"

[[storage]]
id = "logout"
engine = "embedded"

[cache]
storage = "sessions"
storage_lite = "logout"

[[application]]
id = "library"
upstream = "http://127.0.0.1:9000"
may_login = true
recovery = ["eppn", "groups"]
"#;

fn start(text: &str, upstream: &Capture) -> Cloakroom {
    Cloakroom::start(&given::example(text, &upstream.url())).unwrap()
}

/// Whatever an answer sets, as a request sends it.
fn cookies(answer: &Response) -> String {
    let pairs: Vec<&str> =
        answer.all("set-cookie").iter().filter_map(|line| line.split(';').next()).collect();
    pairs.join("; ")
}

/// The cookies of somebody who has both.
fn opened(cloakroom: &Cloakroom, update: &str) -> String {
    let answer = visit(cloakroom, &format!("/put/{update}"), "");
    let cookies = cookies(&answer);
    assert!(cookies.contains("session=") && cookies.contains("-recovery="), "{cookies}\n{}", cloakroom.log());
    cookies
}

#[test]
fn a_restart_that_loses_all_sessions_logs_nobody_out_and_nobody_in() {
    let upstream = given::application();
    let mut cloakroom = start(LOST_WITH_THE_PROCESS, &upstream);
    let stays = opened(&cloakroom, "user=ada&eppn=ada&groups=staff&basket=7");
    let leaves = opened(&cloakroom, "user=bob&eppn=bob&groups=staff&basket=8");
    assert_eq!(visit(&cloakroom, "/", &stays).text(), "user=ada&eppn=ada&groups=staff&basket=7");
    let goodbye = visit(&cloakroom, "/put/user=", &leaves);
    assert_eq!(goodbye.status, 200, "{}", cloakroom.log());
    cloakroom.kill().unwrap();
    cloakroom.restart().unwrap();
    assert_eq!(
        visit(&cloakroom, "/", &stays).text(),
        "user=ada&eppn=ada&groups=staff",
        "{}",
        cloakroom.log()
    );
    assert_eq!(visit(&cloakroom, "/", &leaves).text(), "", "a copy of the cookies of who has left");
    // It is a session again, which can be written and ended.
    assert_eq!(visit(&cloakroom, "/put/basket=9", &stays).status, 200);
    assert_eq!(visit(&cloakroom, "/", &stays).text(), "user=ada&eppn=ada&groups=staff&basket=9");
    assert_eq!(visit(&cloakroom, "/put/user=", &stays).status, 200);
    cloakroom.kill().unwrap();
    cloakroom.restart().unwrap();
    assert_eq!(visit(&cloakroom, "/", &stays).text(), "", "{}", cloakroom.log());
    assert!(
        !cloakroom.log().contains(stays.split("recovery=").nth(1).unwrap()),
        "no recovery cookie in the log"
    );
}

/// `shibboleth.toml` as it is written, but with a second Redis in the place of memcached.
fn shibboleth(sessions: &Redis, logout: &Redis, upstream: &Capture) -> Cloakroom {
    let memcached = "engine = \"memcached\"\nservers = [\"127.0.0.1:11211\"]";
    let replaced = [
        ("url = \"redis://127.0.0.1:6379\"", format!("url = \"{}\"", sessions.url())),
        (memcached, format!("engine = \"redis\"\nurl = \"{}\"", logout.url())),
    ];
    let text =
        replaced.into_iter().fold(include_str!("examples/shibboleth.toml").to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "the example no longer says {from}");
            text.replace(from, &to)
        });
    start(&text, upstream)
}

#[test]
fn the_shibboleth_example_brings_sessions_back_when_redis_was_flushed() {
    let (Some(sessions), Some(logout)) =
        (available(Redis::start()).unwrap(), available(Redis::start()).unwrap())
    else {
        return;
    };
    let upstream = given::application();
    let gateways = [0; 2].map(|_| shibboleth(&sessions, &logout, &upstream));
    let [one, mut other] = gateways;
    // Both seal with the same key.
    let key = |cloakroom: &Cloakroom| cloakroom.directory().join(Cloakroom::KEY);
    std::fs::copy(key(&one), key(&other)).unwrap();
    other.terminate().unwrap();
    other.restart().unwrap();
    let (one, other) = (&one, &other);
    let stays = opened(one, "eppn=ada&groups=staff&basket=7");
    let leaves = opened(one, "eppn=bob&groups=staff");
    for gateway in [one, other] {
        assert_eq!(visit(gateway, "/", &stays).text(), "eppn=ada&groups=staff&basket=7", "{}", gateway.log());
    }
    // Nothing is left of this one, so it is over.
    assert_eq!(visit(one, "/put/eppn=&groups=", &leaves).status, 200);
    sessions.say(&["FLUSHALL"]).unwrap();
    // Both have a copy. Whoever notices that the record is gone ends nothing.
    for gateway in [one, other, one] {
        assert_eq!(visit(gateway, "/put/groups=students", &stays).status, 200);
        let shown = visit(gateway, "/", &stays).text();
        assert!(shown.starts_with("eppn=ada&groups=students"), "{shown}\n{}", gateway.log());
        assert_eq!(visit(gateway, "/", &leaves).text(), "", "{}", gateway.log());
    }
}

/// Sessions in memory, and logout data in that Redis.
fn with_logout_data_in(redis: &Redis, upstream: &Capture, more: &str) -> Cloakroom {
    let text = LOST_WITH_THE_PROCESS
        .replace("engine = \"embedded\"", &format!("engine = \"redis\"\nurl = \"{}\"", redis.url()))
        .replace("[cache]\n", &format!("[cache]\ndeadline = \"1s\"\n{more}"));
    start(&text, upstream)
}

#[test]
fn while_logout_data_is_away_nobody_comes_back_unless_that_is_overlooked() {
    let Some(mut redis) = available(Redis::start_with("appendonly yes\nappendfsync always\n")).unwrap()
    else {
        return;
    };
    let upstream = given::application();
    let mut strict = with_logout_data_in(&redis, &upstream, "");
    let mut soft = with_logout_data_in(&redis, &upstream, "danger_soft_revocation = true\n");
    let at_strict = opened(&strict, "user=ada&eppn=ada&basket=7");
    let at_soft = opened(&soft, "user=bob&eppn=bob&basket=8");
    for cloakroom in [&mut strict, &mut soft] {
        cloakroom.kill().unwrap();
        cloakroom.restart().unwrap();
    }
    redis.kill().unwrap();
    let refused = visit(&strict, "/", &at_strict);
    assert_eq!(refused.status, 503, "{}\n{}", refused.text(), strict.log());
    assert!(refused.all("set-cookie").is_empty(), "an outage is not a logout");
    assert_eq!(visit(&soft, "/", &at_soft).text(), "user=bob&eppn=bob", "{}", soft.log());
    assert_eq!(visit(&soft, "/", &at_soft).text(), "user=bob&eppn=bob", "{}", soft.log());
    redis.restart().unwrap();
    assert_eq!(given::answered(&strict, &at_strict).text(), "user=ada&eppn=ada", "{}", strict.log());
}
