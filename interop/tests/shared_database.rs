//! Several gateways on one database.

use std::time::{Duration, Instant};

use interop::raw::{self, Response};
use interop::{Capture, Cloakroom, MariaDb, Postgres, available};

use crate::given::{self, session_with, visit};

pub(crate) const LOGIN: &str = "[application.login]\nfile = \"users.htpasswd\"\nrequire = [\"/account\"]\n";

/// `gateway.toml` with its sessions in that database.
fn gateway(upstream: &Capture, url: &str) -> Cloakroom {
    let embedded = "engine = \"embedded\" ";
    let text = include_str!("examples/gateway.toml");
    assert!(text.contains(embedded), "the example no longer says {embedded}");
    let text = text.replace(embedded, &format!("engine = \"sql\"\nurl = \"{url}\"\n# "));
    let text = given::example(&text, &upstream.url()) + LOGIN;
    Cloakroom::start_with(&text, &[("users.htpasswd", &*given::htpasswd())]).unwrap()
}

pub(crate) fn log_out(cloakroom: &Cloakroom, cookie: &str) -> Response {
    let address = cloakroom.gateway();
    let request = format!(
        "POST /.cloakroom/logout HTTP/1.1\r\nHost: {address}\r\nSec-Fetch-Site: same-origin\r\nCookie: {cookie}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\n\r\n"
    );
    raw::exchange(address, request).unwrap()
}

/// Waits for what the other nodes are told, which takes milliseconds; the bound is that of a node that heard nothing.
pub(crate) fn shows(gateway: &Cloakroom, cookie: &str, text: &str) {
    let began = Instant::now();
    loop {
        let answer = visit(gateway, "/", cookie);
        if answer.status == 200 && answer.text() == text {
            return;
        }
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "{}: {}\n{}",
            answer.status,
            answer.text(),
            gateway.log()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_logout_at_one_gateway_holds_at_the_other_and_an_outage_is_none() {
    let Some(mut postgres) = available(Postgres::start()).unwrap() else {
        return;
    };
    postgres.sql("postgres", "CREATE DATABASE sessions ENCODING 'UTF8'").unwrap();
    let upstream = given::application();
    let [one, other] = [0; 2].map(|_| gateway(&upstream, &postgres.url("sessions")));
    let [leaves, stays] = ["basket=tea", "basket=milk"].map(|update| session_with(&one, update));
    for gateway in [&one, &other] {
        assert_eq!(visit(gateway, "/", &leaves).text(), "basket=tea", "{}", gateway.log());
        assert_eq!(visit(gateway, "/", &stays).text(), "basket=milk", "{}", gateway.log());
    }
    // What one writes the other shows.
    assert_eq!(visit(&other, "/put/basket=rum", &stays).status, 200);
    shows(&one, &stays, "basket=rum");
    assert_eq!(log_out(&one, &leaves).status, 303, "{}", one.log());
    assert_eq!(visit(&one, "/", &leaves).text(), "");
    shows(&other, &leaves, "");
    // The database is away: nobody is logged out, nobody gets in, and no logout is claimed.
    postgres.kill().unwrap();
    for gateway in [&one, &other] {
        // A copy that it has may be shown until it learns that it hears of no changes any more.
        let stay = visit(gateway, "/", &stays);
        assert!(stay.status == 503 || stay.text() == "basket=rum", "{}", stay.text());
        let left = visit(gateway, "/", &leaves);
        assert_eq!(left.status, 503, "{}", left.text());
        for answer in [&stay, &left] {
            assert!(answer.all("set-cookie").is_empty(), "{:?}", answer.all("set-cookie"));
        }
    }
    let unsure = log_out(&other, &leaves);
    assert_eq!((unsure.status, unsure.all("set-cookie").len()), (503, 0), "{}", unsure.text());
    postgres.restart().unwrap();
    for gateway in [&one, &other] {
        assert_eq!(given::answered(gateway, &leaves).text(), "", "{}", gateway.log());
        shows(gateway, &stays, "basket=rum");
    }
}

#[test]
fn a_logout_at_one_gateway_holds_at_the_others_on_mariadb() {
    let Some(mut mariadb) = available(MariaDb::start()).unwrap() else {
        return;
    };
    mariadb.sql("mysql", "CREATE DATABASE sessions").unwrap();
    let upstream = given::application();
    let gateways = [0; 3].map(|_| gateway(&upstream, &mariadb.url("sessions")));
    let [one, ..] = &gateways;
    let [leaves, stays] = ["basket=tea", "basket=milk"].map(|update| session_with(one, update));
    for gateway in &gateways {
        shows(gateway, &leaves, "basket=tea");
    }
    assert_eq!(log_out(one, &leaves).status, 303, "{}", one.log());
    for gateway in &gateways {
        shows(gateway, &leaves, "");
        shows(gateway, &stays, "basket=milk");
    }
    mariadb.kill().unwrap();
    for gateway in &gateways {
        let answer = visit(gateway, "/", &leaves);
        assert_eq!((answer.status, answer.all("set-cookie").len()), (503, 0), "{}", answer.text());
    }
    mariadb.restart().unwrap();
    for gateway in &gateways {
        assert_eq!(given::answered(gateway, &leaves).text(), "", "{}", gateway.log());
        shows(gateway, &stays, "basket=milk");
    }
}
