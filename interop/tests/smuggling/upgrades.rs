//! Leaving HTTP, which is how requests have travelled past a proxy's rules.

use interop::raw::Connection;
use interop::{Answer, Capture};

use super::Then::Declined;
use super::{Case, check};
use crate::given::{self, only};

#[test]
fn methods_that_open_a_tunnel_are_refused() {
    check(&[
        Case {
            name: "CONNECT",
            sent: b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\n",
            then: Declined(405),
        },
        Case {
            name: "TRACE, which would show what the gateway added",
            sent: b"TRACE / HTTP/1.1\r\nHost: {host}\r\n\r\n",
            then: Declined(405),
        },
    ]);
}

#[test]
fn an_upgrade_that_is_refused_leaves_two_plain_requests() {
    // CVE-2026-2833: what followed an Upgrade was sent on unread, before the application had agreed.
    let upstream = given::application();
    let cloakroom = given::gateway(&upstream);
    let host = cloakroom.gateway();
    let mut connection = Connection::open(host).unwrap();
    connection
        .send(format!(
            "GET /one HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n\
             GET /two HTTP/1.1\r\nHost: {host}\r\nX-Session: user=root\r\n\r\n"
        ))
        .unwrap();
    assert_eq!(connection.response().unwrap().status, 200);
    assert_eq!(connection.response().unwrap().status, 200);
    let seen = upstream.take();
    let lines: Vec<String> = seen.iter().map(interop::Request::line).collect();
    assert_eq!(lines, ["GET /one HTTP/1.1", "GET /two HTTP/1.1"]);
    assert_eq!(seen[1].header("x-session"), None, "the second went through every rule");
    assert_eq!(seen[1].header("upgrade"), None);
    assert!(upstream.take_fragments().is_empty());
}

#[test]
fn an_upgrade_that_is_accepted_is_a_tunnel_and_its_answer_gives_nothing_away() {
    let upstream = Capture::answering(|_| {
        Answer::Echo(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\
              X-Replace-Session: note=secret\r\n\r\n"
                .to_vec(),
        )
    })
    .unwrap();
    let cloakroom = given::gateway(&upstream);
    let host = cloakroom.gateway();
    let mut connection = Connection::open(host).unwrap();
    connection
        .send(format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n"))
        .unwrap();
    let switched = connection.response().unwrap();
    assert_eq!(switched.status, 101, "{}", cloakroom.log());
    assert_eq!(switched.header("upgrade"), Some("foo"));
    assert_eq!(switched.header("x-replace-session"), None);
    assert_eq!(only(&upstream).header("upgrade").as_deref(), Some("foo"));
    connection.send("through the tunnel").unwrap();
    let echoed = connection.read_until(|bytes| bytes.len() >= 18).unwrap();
    assert_eq!(echoed, b"through the tunnel");
}

#[test]
fn http_2_over_the_same_connection_is_not_passed_on() {
    let upstream = given::application();
    let cloakroom = given::gateway(&upstream);
    let host = cloakroom.gateway();
    let mut connection = Connection::open(host).unwrap();
    connection
        .send(format!(
            "GET / HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
             HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n"
        ))
        .unwrap();
    assert_eq!(connection.response().unwrap().status, 200);
    let seen = only(&upstream);
    assert_eq!((seen.header("upgrade"), seen.header("http2-settings")), (None, None));
}
