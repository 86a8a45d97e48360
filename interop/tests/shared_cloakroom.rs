//! Gateways on other machines, whose sessions one Cloakroom keeps.

use std::net::SocketAddr;

use interop::{Capture, Cloakroom};

use crate::given::{self, session_with, visit};
use crate::shared_database::{LOGIN, log_out, shows};

pub(crate) const TOKEN: &str = "a-token-of-the-tests-0123456789abcdef";
const ENGINE: &str = "engine = \"embedded\" ";

/// `gateway.toml`, with something else for where its sessions are, and more at its end.
fn start(upstream: &Capture, engine: &str, more: &str) -> Cloakroom {
    let text = include_str!("examples/gateway.toml");
    assert!(text.contains(ENGINE), "the example no longer says {ENGINE}");
    let text = given::example(&text.replace(ENGINE, engine), &upstream.url()) + LOGIN + more;
    let files = [("users.htpasswd", &*given::htpasswd()), ("storage.token", TOKEN)];
    Cloakroom::start_with(&text, &files).unwrap()
}

/// One that keeps the sessions, for itself and for others.
pub(crate) fn keeper(upstream: &Capture) -> Cloakroom {
    let client = "[[client]]\nid = \"gateways\"\nbearer_file = \"storage.token\"\nmay = [\"storage\"]\n";
    start(upstream, ENGINE, client)
}

/// One that has them kept there.
fn gateway(upstream: &Capture, keeper: SocketAddr) -> Cloakroom {
    let engine =
        format!("engine = \"remote\"\nurl = \"http://{keeper}\"\nbearer_file = \"storage.token\"\n# ");
    start(upstream, &engine, "")
}

#[test]
fn a_gateway_on_another_machine_works_like_a_local_one() {
    let upstream = given::application();
    let mut keeper = keeper(&upstream);
    let [one, other] = [0; 2].map(|_| gateway(&upstream, keeper.server()));
    let [leaves, stays] = ["basket=tea", "basket=milk"].map(|update| session_with(&one, update));
    for gateway in [&one, &other, &keeper] {
        assert_eq!(visit(gateway, "/", &leaves).text(), "basket=tea", "{}", gateway.log());
        assert_eq!(visit(gateway, "/", &stays).text(), "basket=milk", "{}", gateway.log());
    }
    // What one writes the others show.
    assert_eq!(visit(&other, "/put/basket=rum", &stays).status, 200);
    for gateway in [&one, &keeper] {
        shows(gateway, &stays, "basket=rum");
    }
    assert_eq!(log_out(&one, &leaves).status, 303, "{}", one.log());
    assert_eq!(visit(&one, "/", &leaves).text(), "");
    for gateway in [&other, &keeper] {
        shows(gateway, &leaves, "");
    }
    // The keeper is away: nobody is logged out, nobody gets in, and no logout is claimed.
    keeper.kill().unwrap();
    for gateway in [&one, &other] {
        let [stay, left] = [&stays, &leaves].map(|cookie| visit(gateway, "/", cookie));
        // A copy that it has may be shown until it learns that it hears of no changes any more.
        assert!(stay.status == 503 || stay.text() == "basket=rum", "{}", stay.text());
        assert_eq!(left.status, 503, "{}", left.text());
        for answer in [&stay, &left] {
            assert!(answer.all("set-cookie").is_empty(), "{:?}", answer.all("set-cookie"));
        }
    }
    let unsure = log_out(&other, &leaves);
    assert_eq!((unsure.status, unsure.all("set-cookie").len()), (503, 0), "{}", unsure.text());
    keeper.restart().unwrap();
    for gateway in [&one, &other, &keeper] {
        assert_eq!(given::answered(gateway, &leaves).text(), "", "{}", gateway.log());
        shows(gateway, &stays, "basket=rum");
    }
    // And a logout where the sessions are kept reaches the others.
    assert_eq!(log_out(&keeper, &stays).status, 303, "{}", keeper.log());
    for gateway in [&one, &other] {
        shows(gateway, &stays, "");
    }
    for log in [one.log(), other.log(), keeper.log()] {
        assert!(!log.contains(TOKEN), "a token is in the log");
    }
}

#[test]
fn who_is_not_let_in_is_told_what_to_do() {
    let upstream = given::application();
    let keeper = keeper(&upstream);
    for (engine, says) in [
        (format!("engine = \"remote\"\nurl = \"http://{}\"\n# ", keeper.server()), "does not know us"),
        (
            format!(
                "engine = \"remote\"\nurl = \"http://{}\"\nservice = \"x\"\nbearer_file = \"storage.token\"\n# ",
                keeper.server()
            ),
            "has no such storage",
        ),
        (format!("engine = \"remote\"\nurl = \"http://{}\"\n# ", keeper.gateway()), "correct `url`"),
    ] {
        let text = include_str!("examples/gateway.toml").replace(ENGINE, &engine);
        let text = given::example(&text, &upstream.url());
        let failed = Cloakroom::start_with(&text, &[("storage.token", TOKEN)]).unwrap_err().to_string();
        // Lines of an error are broken where there is no room.
        let failed = failed.split(|c: char| c.is_whitespace() || c == '│').filter(|word| !word.is_empty());
        let failed = failed.collect::<Vec<_>>().join(" ");
        assert!(failed.contains(says), "{failed}");
    }
    assert!(keeper.log().contains("somebody was not let into the storage"), "{}", keeper.log());
}
