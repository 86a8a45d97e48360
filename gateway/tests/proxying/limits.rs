//! What a client may send at most.

use std::time::Duration;

use gateway::settings::Limits;

use crate::application::Application;
use crate::given::{Gateway, Plan, eventually, limits, ok, plan};

fn limited(application: &Application) -> Gateway {
    let limits = Limits { max_headers: 10, max_header_bytes: 2048, max_body_bytes: Some(1000), ..limits() };
    Plan { limits, ..plan(application) }.start()
}

fn is_not_asked(application: &Application) -> bool {
    application.accepts_within(Duration::from_millis(50)).is_none()
}

#[test]
fn a_request_may_have_so_many_headers() {
    let application = Application::start();
    let gateway = limited(&application);
    let with = |count| {
        let lines: String = (1..count).map(|number| format!("X-{number}: 1\r\n")).collect();
        gateway.sent(&format!("GET / HTTP/1.1\r\nHOST\r\n{lines}\r\n"))
    };
    let mut enough = with(10);
    drop(application.answers(ok("")));
    assert_eq!(enough.response().unwrap().status, 200);
    let mut too_many = with(11);
    assert_eq!(too_many.response().unwrap().status, 431);
    assert!(too_many.rest().unwrap().is_empty());
    drop(too_many);
    assert!(is_not_asked(&application));
    eventually("it is counted", || gateway.counted("refused", "malformed") == 1);
}

#[test]
fn a_head_may_have_so_many_bytes() {
    let application = Application::start();
    let gateway = limited(&application);
    let with = |bytes: usize| format!("GET / HTTP/1.1\r\nHOST\r\nX-Long: {}", "x".repeat(bytes));
    let mut enough = gateway.sent(&format!("{}\r\n\r\n", with(1900)));
    drop(application.answers(ok("")));
    assert_eq!(enough.response().unwrap().status, 200);
    for (what, request) in [
        ("a long header", format!("{}\r\n\r\n", with(2048))),
        ("one that never ends", with(100_000)),
        ("a long target", format!("GET /{} HTTP/1.1\r\nHOST\r\n\r\n", "x".repeat(2048))),
        ("a target that never ends", format!("GET /{}", "x".repeat(100_000))),
        ("a method that never ends", "X".repeat(100_000)),
    ] {
        let mut client = gateway.sent(&request);
        let status = client.response().unwrap().status;
        assert!(
            matches!(status, 431 | 414) || (what.contains("method") && status == 400),
            "{what}: {status}"
        );
        assert!(client.rest().unwrap().is_empty());
    }
    assert!(is_not_asked(&application));
}

#[test]
fn a_body_that_says_that_it_is_too_large_is_refused_before_anybody_is_asked() {
    let application = Application::start();
    let gateway = limited(&application);
    let mut client = gateway.sent("POST / HTTP/1.1\r\nHOST\r\nContent-Length: 1001\r\n\r\n");
    let response = client.response().unwrap();
    assert_eq!((response.status, response.header("connection")), (413, Some("close")));
    assert!(is_not_asked(&application));
    let body = "x".repeat(1000);
    let mut client = gateway.sent(&format!("POST / HTTP/1.1\r\nHOST\r\nContent-Length: 1000\r\n\r\n{body}"));
    let mut served = application.accept();
    served.head();
    assert_eq!(served.read(1000).len(), 1000);
    served.send(ok(""));
    assert_eq!(client.response().unwrap().status, 200);
}

#[test]
fn a_body_that_turns_out_too_large_never_becomes_a_whole_request() {
    let application = Application::start();
    let gateway = limited(&application);
    let mut client = gateway.sent("POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut served = application.accept();
    served.head();
    for _ in 0..11 {
        client.send(format!("64\r\n{}\r\n", "x".repeat(100))).unwrap();
    }
    assert_eq!(client.response().unwrap().status, 413);
    let seen = served.rest();
    assert!(!seen.ends_with(b"0\r\n\r\n"), "{}", seen.escape_ascii());
    drop(client);
    eventually("nothing is left", || gateway.is_empty());
    assert_eq!(gateway.counted("upstream_failed", "body_too_large"), 1);
}
