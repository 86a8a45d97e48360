//! Answers without a body, and answers whose end is the end of the connection.

use std::time::Duration;

use crate::application::Application;
use crate::given::{gateway, ok};

#[test]
fn the_answer_to_head_says_what_get_would_and_has_no_body() {
    let application = Application::start();
    let gateway = gateway(&application);
    let mut client = gateway.connect();
    for (framing, length) in
        [("Content-Length: 1000\r\n", Some("1000")), ("Transfer-Encoding: chunked\r\n", None), ("", None)]
    {
        client.send(gateway.request("HEAD /thing HTTP/1.1\r\nHOST\r\n\r\n")).unwrap();
        let mut served = application.accept();
        assert!(served.head().starts_with("HEAD /thing HTTP/1.1\r\n"));
        served.send(format!("HTTP/1.1 200 OK\r\nETag: \"1\"\r\nConnection: close\r\n{framing}\r\n"));
        let response = client.head_response().unwrap();
        assert_eq!((response.status, response.header("etag")), (200, Some("\"1\"")));
        assert_eq!(response.header("content-length"), length, "{framing:?}");
    }
    // Nothing came that would be taken for the beginning of this answer.
    client.send(gateway.request("GET / HTTP/1.1\r\nHOST\r\n\r\n")).unwrap();
    drop(application.answers(ok("body")));
    assert_eq!(client.response().unwrap().text(), "body");
}

#[test]
fn an_error_of_ours_is_a_head_too() {
    let application = Application::start();
    let gateway = gateway(&application);
    let mut client = gateway.connect();
    drop(application);
    client.send(gateway.request("HEAD / HTTP/1.1\r\nHOST\r\n\r\n")).unwrap();
    assert_eq!(client.head_response().unwrap().status, 502);
    client.send(gateway.request("GET / HTTP/1.1\r\nHOST\r\n\r\n")).unwrap();
    let response = client.response().unwrap();
    assert_eq!(response.status, 502);
    assert!(!response.body.is_empty());
}

#[test]
fn an_answer_that_can_have_no_body_has_none() {
    let application = Application::start();
    let gateway = gateway(&application);
    let mut client = gateway.connect();
    for (answer, status) in [
        ("204 No Content\r\n\r\n", 204),
        ("304 Not Modified\r\nETag: \"1\"\r\n\r\n", 304),
        // How long it would be, were it sent (RFC 9110, 8.6).
        ("304 Not Modified\r\nContent-Length: 1000\r\n\r\n", 304),
        ("204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 204),
    ] {
        client.send(gateway.request("GET / HTTP/1.1\r\nHOST\r\n\r\n")).unwrap();
        drop(application.answers(format!("HTTP/1.1 {answer}")));
        let response = client.response().unwrap();
        assert_eq!(response.status, status, "{answer}");
        assert_eq!(response.header("transfer-encoding"), None, "{answer}");
        if status == 204 {
            assert_eq!(response.header("content-length"), None, "{answer}");
        }
    }
    client.send(gateway.request("GET / HTTP/1.1\r\nHOST\r\n\r\n")).unwrap();
    drop(application.answers(ok("body")));
    assert_eq!(client.response().unwrap().text(), "body");
}

#[test]
fn an_answer_that_ends_with_its_connection_is_whole() {
    let application = Application::start();
    let gateway = gateway(&application);
    let mut client = gateway.connect();
    for version in ["1.0", "1.1"] {
        client.send(gateway.request("GET / HTTP/1.1\r\nHOST\r\n\r\n")).unwrap();
        drop(application.answers(format!("HTTP/{version} 200 OK\r\n\r\nall of it")));
        let response = client.response().unwrap();
        assert_eq!(response.text(), "all of it");
        assert_eq!(response.header("transfer-encoding"), Some("chunked"), "so that ours can be used again");
    }
}

#[test]
fn a_status_that_nobody_knows_and_a_reason_of_its_own_pass() {
    let application = Application::start();
    let gateway = gateway(&application);
    let mut client = gateway.connect();
    for status in [299, 418, 599, 799] {
        client.send(gateway.request("GET / HTTP/1.1\r\nHOST\r\n\r\n")).unwrap();
        drop(application.answers(format!("HTTP/1.1 {status} Whatever\r\nContent-Length: 2\r\n\r\nok")));
        let response = client.response().unwrap();
        assert_eq!((response.status, response.text().as_str()), (status, "ok"));
    }
    assert!(application.accepts_within(Duration::from_millis(20)).is_none());
}
