//! What a broker does with the API and what the application makes of it, through the program as it runs: sessions that are opened
//! for somebody, how many there may be, and what they were proved by.

use std::net::SocketAddr;

use interop::raw::{self, Response};
use interop::{Answer, Capture, Cloakroom};

use crate::given;

const TOKEN: &str = "the-token-of-the-broker-0123456789abcdef";

/// The shop exports to this machine, the office to another one, and the blog shares no sessions with them.
const CONFIGURATION: &str = r#"
[listen]
gateway = "127.0.0.1:8080"
server = "127.0.0.1:8081"

[[storage]]
id = "sessions"
engine = "memory"

[cache]
storage = "sessions"
cache_assertions = true

[[client]]
id = "broker"
bearer_file = "broker.token"
may = ["sessions", "admin_sessions"]

[[application]]
id = "shop"
realm = "work"
path = "/"
upstream = "http://127.0.0.1:9000"
export_location = "/saml/assertion"
cookie = { name = "session" , secure = false }
[application.handoff]
assertion_header = "Shib-Assertion"
[application.limits]
sessions_per_person = 2
when_full = "refuse"
sessions_per_address = 2

[[application]]
id = "office"
realm = "work"
path = "/office"
upstream = "http://127.0.0.1:9000"
export_location = "/office/assertion"
export_acl = ["192.0.2.1"]
cookie = { name = "session" , secure = false }

[[application]]
id = "blog"
path = "/blog"
upstream = "http://127.0.0.1:9000"
export_location = "/blog/assertion"
cookie = { name = "blog", secure = false }
"#;

/// An application that answers with where it is told to find assertions.
fn application() -> Capture {
    Capture::answering(|request| {
        let header = |name| request.header(name).unwrap_or_default();
        Answer::ok(&format!("{} {}", header("shib-assertion-count"), header("shib-assertion-01")))
    })
    .unwrap()
}

fn asked(server: SocketAddr, line: &str, body: &str) -> Response {
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    raw::exchange(server, request).unwrap()
}

/// What a member of an answer holds, which is a text.
fn member(answer: &Response, name: &str) -> String {
    let text = answer.text();
    let (_, rest) =
        text.split_once(&format!("\"{name}\":\"")).unwrap_or_else(|| panic!("no `{name}`: {text}"));
    rest.split('"').next().unwrap().to_owned()
}

fn new(person: &str, address: &str) -> String {
    format!(
        r#"{{"application": "shop", "principal": {{"issuer": "idp", "name": "{person}"}}, {address}
            "assertions": [{{"id": "_a1", "content": "<saml:Assertion/>"}}]}}"#
    )
}

#[test]
fn an_application_fetches_the_assertions_of_sessions_that_a_broker_opened() {
    let upstream = application();
    let text = given::example(CONFIGURATION, &upstream.url());
    let cloakroom = Cloakroom::start_with(&text, &[("broker.token", TOKEN)]).unwrap();
    let opened = asked(cloakroom.server(), "POST /v1/sessions", &new("ann", ""));
    assert_eq!(opened.status, 201, "{}\n{}", opened.text(), cloakroom.log());
    let (handle, ticket) = (member(&opened, "handle"), member(&opened, "ticket"));
    let shown = given::visit(&cloakroom, "/", &format!("session={ticket}")).text();
    let (count, location) = shown.split_once(' ').unwrap();
    assert_eq!((count, location), ("1", &*format!("/saml/assertion?key={handle}&ID=%5Fa1")));
    let fetched = given::visit(&cloakroom, location, "");
    assert_eq!((fetched.status, &*fetched.text()), (200, "<saml:Assertion/>"));
    assert_eq!(fetched.header("content-type"), Some("application/samlassertion+xml"));
    let query = format!("?key={handle}&ID=_a1");
    for (path, more, status) in [
        ("/office/assertion", "", 403),
        ("/blog/assertion", "", 404),
        ("/saml/assertion", "X-Forwarded-For: 127.0.0.1\r\n", 403),
    ] {
        let refused = raw::get(cloakroom.gateway(), &format!("{path}{query}"), more).unwrap();
        assert_eq!(refused.status, status, "{path}: {}", refused.text());
        assert!(!refused.text().contains("<saml:"));
    }
    let log = cloakroom.log();
    let secret = ticket.split('.').next_back().unwrap();
    assert!(log.contains("an assertion was fetched") && !log.contains(secret), "{log}");
    let ended = asked(cloakroom.server(), &format!("DELETE /v1/sessions/{handle}"), "");
    assert_eq!(ended.status, 200, "{}", ended.text());
    assert_eq!(given::visit(&cloakroom, location, "").status, 404);
}

#[test]
fn the_limits_of_an_application_hold_for_sessions_that_a_broker_opens() {
    let upstream = application();
    let text = given::example(CONFIGURATION, &upstream.url());
    let cloakroom = Cloakroom::start_with(&text, &[("broker.token", TOKEN)]).unwrap();
    let open =
        |person: &str, address: &str| asked(cloakroom.server(), "POST /v1/sessions", &new(person, address));
    for _ in 0..2 {
        assert_eq!(open("ann", "").status, 201, "{}", cloakroom.log());
    }
    let refused = open("ann", "");
    assert_eq!((refused.status, &*member(&refused, "type")), (409, "/problems/sessions-per-person"));
    let here = r#""address": "192.0.2.7","#;
    for person in ["bob", "cleo"] {
        assert_eq!(open(person, here).status, 201, "{}", cloakroom.log());
    }
    let refused = open("dora", here);
    assert_eq!((refused.status, &*member(&refused, "type")), (429, "/problems/sessions-per-address"));
    assert!(refused.header("retry-after").is_some());
    assert_eq!(open("dora", "").status, 201);
}
