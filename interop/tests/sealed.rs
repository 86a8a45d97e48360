//! Sessions that travel sealed in their cookie, through the program as it runs.

use interop::raw::{self, Response};
use interop::{Capture, Cloakroom};

use crate::form::Form;
use crate::given::{self, PASSWORD, USER, visit};

const BROWSER: &str = "Accept: text/html\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
const LOGIN: &str = "[application.login]\nfile = \"users.htpasswd\"\nrequire = [\"/account\"]\n";
/// Of the key that has sealed before this one.
const RETIRING: &str = "Y2xvYWtyb29tLXRlc3RzLWtleS0yMDI2LTEwLTAwMDE=\n";

/// `sealed.toml` as it is written, and what is added to it.
fn start(upstream: &Capture, more: &str) -> Cloakroom {
    let text = given::example(include_str!("examples/sealed.toml"), &upstream.url()) + more;
    let files = [("keys/2026-10.key", RETIRING), ("users.htpasswd", &*given::htpasswd())];
    Cloakroom::start_with(&text, &files).unwrap()
}

/// Opens a session by putting something into it, and gives its cookie.
fn opened(cloakroom: &Cloakroom, update: &str) -> String {
    let response = visit(cloakroom, &format!("/put/{update}"), "");
    response.cookie("__Host-session").expect("a new session comes with a cookie").to_owned()
}

fn log_in(cloakroom: &Cloakroom, cookie: &str) -> String {
    let page = raw::get(cloakroom.gateway(), "/.cloakroom/login", BROWSER).unwrap();
    let welcome =
        Form::of(&page).fill("user", USER).fill("password", PASSWORD).send(cloakroom.gateway(), cookie);
    assert_eq!(welcome.status, 303, "{}\n{}", welcome.text(), cloakroom.log());
    welcome.cookie("__Host-session").unwrap().to_owned()
}

fn account(cloakroom: &Cloakroom, cookie: &str) -> Response {
    let lines = format!("Accept: application/json\r\nCookie: {cookie}\r\n");
    raw::get(cloakroom.gateway(), "/account", &lines).unwrap()
}

/// A button of the application's own.
fn leave(cloakroom: &Cloakroom, cookie: &str, body: &str) -> Response {
    let address = cloakroom.gateway();
    let request = format!(
        "POST /.cloakroom/logout HTTP/1.1\r\nHost: {address}\r\nSec-Fetch-Site: same-origin\r\nCookie: {cookie}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    raw::exchange(address, request).unwrap()
}

#[test]
fn the_sealed_example_keeps_a_session_without_a_record_of_it() {
    let upstream = given::application();
    let mut cloakroom = start(&upstream, "");
    let cookie = opened(&cloakroom, "basket=canary");
    assert!(cookie.len() > 150 && !cookie.contains("canary"), "{cookie}");
    assert_eq!(visit(&cloakroom, "/", &cookie).text(), "basket=canary", "{}", cloakroom.log());
    cloakroom.kill().unwrap();
    cloakroom.restart().unwrap();
    assert_eq!(visit(&cloakroom, "/", &cookie).text(), "basket=canary", "{}", cloakroom.log());
    // Over 4 KiB the update is refused, and both sides hear of it.
    visit(&cloakroom, &format!("/put/large={}", "x".repeat(4_000)), &cookie);
    upstream.take();
    let reply = visit(&cloakroom, "/", &cookie);
    assert_eq!(reply.text(), "basket=canary");
    assert_eq!(given::only(&upstream).header("x-session-conflict").as_deref(), Some("large"));
    assert!(cloakroom.log().contains("would not fit"), "{}", cloakroom.log());
}

#[test]
fn an_old_cookie_is_refused_after_a_logout_and_a_crash() {
    let upstream = given::application();
    let mut cloakroom = start(&upstream, LOGIN);
    let before = opened(&cloakroom, "basket=tea");
    let mine = log_in(&cloakroom, &before);
    assert_eq!(account(&cloakroom, &mine).text(), "user=ada&basket=tea");
    let newer = visit(&cloakroom, "/put/more=1", &mine).cookie("__Host-session").unwrap().to_owned();
    let goodbye = leave(&cloakroom, &newer, "");
    assert_eq!(goodbye.status, 303, "{}", goodbye.text());
    for _ in 0..2 {
        for cookie in [&before, &mine, &newer] {
            assert_eq!(account(&cloakroom, cookie).status, 401);
            assert_eq!(visit(&cloakroom, "/", cookie).text(), "");
        }
        cloakroom.kill().unwrap();
        cloakroom.restart().unwrap();
    }
}

#[test]
fn a_logout_everywhere_holds_at_the_next_request_of_each_browser() {
    let upstream = given::application();
    let mut cloakroom = start(&upstream, LOGIN);
    let [desk, phone, tablet] = [0; 3].map(|_| log_in(&cloakroom, ""));
    assert_eq!(account(&cloakroom, &phone).text(), "user=ada");
    assert_eq!(leave(&cloakroom, &desk, "everywhere=1").status, 303);
    for cookie in [&desk, &phone, &tablet] {
        assert_eq!(account(&cloakroom, cookie).status, 401);
    }
    cloakroom.kill().unwrap();
    cloakroom.restart().unwrap();
    assert_eq!(account(&cloakroom, &tablet).status, 401);
    let again = log_in(&cloakroom, &tablet);
    assert_eq!(account(&cloakroom, &again).text(), "user=ada");
}
