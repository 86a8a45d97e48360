//! Input that is too much, too slow or broken: a clear answer, and everybody else is served as before.

use std::time::{Duration, Instant};

use interop::raw::{self, Connection};

use crate::given::{self, only, session_with, visit};

#[test]
fn a_ticket_that_is_not_right_is_no_session_and_costs_nobody_theirs() {
    let upstream = given::application();
    let cloakroom = given::gateway(&upstream);
    let cookie = session_with(&cloakroom, "user=ada");
    let ticket = cookie.strip_prefix("session=").unwrap();
    let (handle, secret) = ticket.split_once('.').unwrap();
    let other = session_with(&cloakroom, "user=grace");
    let (_, other_secret) = other.split_once('.').unwrap();
    upstream.take();
    let wrong = [
        String::new(),
        ".".to_owned(),
        handle.to_owned(),
        format!("{handle}."),
        format!(".{secret}"),
        format!("{handle}.{other_secret}"),
        format!("{handle}.{secret}A"),
        format!("{ticket}.{secret}"),
        ticket.to_uppercase(),
        ticket.chars().rev().collect(),
        ticket.chars().take(ticket.len() - 1).collect(),
        "A".repeat(4000),
        "%00\u{ff}".to_owned(),
    ];
    for value in wrong {
        let response = visit(&cloakroom, "/", &format!("session={value}"));
        assert_eq!(response.status, 200, "{value:?}");
        assert_eq!(only(&upstream).header("x-session"), None, "{value:?}");
    }
    assert_eq!(visit(&cloakroom, "/", &cookie).text(), "user=ada");
}

#[test]
fn several_cookies_of_the_name_are_one_session_or_none() {
    let upstream = given::application();
    let cloakroom = given::gateway(&upstream);
    let ada = session_with(&cloakroom, "user=ada");
    let grace = session_with(&cloakroom, "user=grace");
    assert_eq!(visit(&cloakroom, "/", &format!("session=dead; {ada}; a=b")).text(), "user=ada");
    assert_eq!(visit(&cloakroom, "/", &format!("{ada}; {ada}")).text(), "user=ada");
    assert_eq!(visit(&cloakroom, "/", &format!("{ada}; {grace}")).text(), "");
    let many: String = (0..50).map(|number| format!("session=dead{number}; ")).collect();
    assert_eq!(visit(&cloakroom, "/", &format!("{many}{ada}")).text(), "", "nobody tries them all");
    upstream.take();
    visit(&cloakroom, "/", &format!("a=b; session=dead; {ada}"));
    assert_eq!(only(&upstream).header("cookie").as_deref(), Some("a=b"), "all of the name are hidden");
}

#[test]
fn headers_without_end_are_refused() {
    let upstream = given::application();
    let cloakroom = given::gateway(&upstream);
    let cookie = session_with(&cloakroom, "user=ada");
    let cookies: String = (0..10_000).map(|number| format!("c{number}=1; ")).collect();
    let lines: String = (0..5_000).map(|number| format!("X-{number}: 1\r\n")).collect();
    upstream.take();
    for (name, more) in [
        ("10 000 cookies", format!("Cookie: {cookies}{cookie}\r\n")),
        ("5000 lines", lines),
        ("one long line", format!("X-Long: {}\r\n", "a".repeat(1 << 20))),
    ] {
        let mut connection = Connection::open(cloakroom.gateway()).unwrap();
        let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n{more}\r\n", cloakroom.gateway());
        // The gateway may have answered and gone before it has read all of it.
        let _ = connection.send(request);
        let status = connection.response().map(|response| response.status);
        assert!(matches!(status, Ok(431) | Err(_)), "{name}: {status:?}");
        assert!(upstream.take().is_empty(), "{name}");
    }
    assert_eq!(visit(&cloakroom, "/", &cookie).text(), "user=ada");
}

#[test]
fn who_never_finishes_a_request_is_cut_off() {
    let upstream = given::application();
    let cloakroom = given::gateway(&upstream);
    let host = cloakroom.gateway();
    let began = Instant::now();
    let mut silent = Connection::open(host).unwrap();
    let mut half = Connection::open(host).unwrap();
    half.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\nX-A: ")).unwrap();
    for connection in [&mut silent, &mut half] {
        connection.patience(Duration::from_secs(60)).unwrap();
        connection.rest().unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(45), "it took {:?}", began.elapsed());
    assert!(upstream.take().is_empty());
    assert_eq!(raw::get(host, "/", "").unwrap().status, 200);
}
