//! Connections that change their protocol.

use std::thread;
use std::time::Duration;

use gateway::settings::Limits;
use interop::raw::Connection;

use crate::application::{Application, Served};
use crate::given::{Gateway, Plan, eventually, gateway, limits, ok, plan};

const ASK: &str = "GET /chat HTTP/1.1\r\nHOST\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const AGREE: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                     Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn tunnel(gateway: &Gateway, application: &Application) -> (Connection, Served) {
    let mut client = gateway.sent(ASK);
    let served = application.answers(AGREE);
    assert_eq!(client.response().unwrap().status, 101);
    (client, served)
}

fn hears(client: &mut Connection, words: &str) {
    let heard = client.read_until(|bytes| bytes.len() >= words.len()).unwrap();
    assert_eq!(String::from_utf8(heard).unwrap(), words);
}

#[test]
fn bytes_pass_both_ways_once_both_have_agreed() {
    let application = Application::start();
    let gateway = gateway(&application);
    // Neither waits for the other: what comes right behind the head belongs to the new protocol.
    let mut client = gateway.sent(&format!("{ASK}early"));
    let mut served = application.accept();
    let head = served.head();
    for line in ["connection: upgrade\r\n", "upgrade: websocket\r\n", "sec-websocket-key: dGhl"] {
        assert!(head.contains(line), "{head}");
    }
    served.send(format!("{AGREE}bird"));
    let response = client.response().unwrap();
    assert_eq!((response.status, response.header("upgrade")), (101, Some("websocket")));
    assert_eq!(response.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    hears(&mut client, "bird");
    assert_eq!(served.read(5), b"early");
    for word in ["\0\x01", "GET / HTTP/1.1\r\n\r\n", "pong"] {
        client.send(word).unwrap();
        assert_eq!(served.read(word.len()), word.as_bytes());
        served.send(word);
        hears(&mut client, word);
    }
}

#[test]
fn before_the_application_agrees_it_sees_nothing_of_what_follows() {
    let application = Application::start();
    let gateway = gateway(&application);
    let mut client = gateway.sent(&format!("{ASK}GET /smuggled HTTP/1.1\r\nHOST\r\n\r\n"));
    let mut served = application.accept();
    served.head();
    served.finish();
    assert_eq!(client.response().unwrap().status, 502);
    assert!(served.rest().is_empty(), "CVE-2026-2833");
    let mut served = application.accept();
    assert!(served.head().starts_with("GET /smuggled HTTP/1.1\r\n"), "it is a request like any other");
    served.send(ok(""));
    assert_eq!(client.response().unwrap().status, 200);
}

#[test]
fn an_end_in_one_direction_leaves_the_other_open() {
    let application = Application::start();
    let gateway = gateway(&application);
    let (mut client, mut served) = tunnel(&gateway, &application);
    client.send("last words").unwrap();
    client.finish().unwrap();
    assert_eq!(served.rest(), b"last words");
    served.send("an answer");
    served.finish();
    assert_eq!(client.rest().unwrap(), b"an answer");
    eventually("the tunnel is gone", || gateway.is_empty());

    let (mut client, mut served) = tunnel(&gateway, &application);
    served.send("bye");
    served.finish();
    assert_eq!(client.rest().unwrap(), b"bye");
    client.send("bye, bye").unwrap();
    client.finish().unwrap();
    assert_eq!(served.rest(), b"bye, bye");
    eventually("the tunnel is gone", || gateway.is_empty());
}

#[test]
fn a_tunnel_ends_when_either_side_is_gone() {
    let application = Application::start();
    let gateway = gateway(&application);
    let (client, mut served) = tunnel(&gateway, &application);
    drop(client);
    assert!(served.rest().is_empty());
    drop(served);
    let (mut client, served) = tunnel(&gateway, &application);
    drop(served);
    assert!(client.rest().unwrap().is_empty());
    drop(client);
    eventually("the tunnels are gone", || gateway.is_empty() && gateway.tasks() == 1);
}

#[test]
fn silence_in_a_tunnel_is_no_fault() {
    let application = Application::start();
    let short = Duration::from_millis(150);
    let limits = Limits {
        header_timeout: short,
        body_timeout: short,
        write_timeout: short,
        idle_connection_timeout: short,
        ..limits()
    };
    let gateway = Plan { limits, response_timeout: short, ..plan(&application) }.start();
    let (mut client, mut served) = tunnel(&gateway, &application);
    for word in ["one", "two", "three"] {
        thread::sleep(3 * short);
        client.send(word).unwrap();
        assert_eq!(served.read(word.len()), word.as_bytes());
        thread::sleep(3 * short);
        served.send(word);
        hears(&mut client, word);
    }
}

#[test]
fn a_tunnel_does_not_wait_for_ever_for_who_takes_nothing() {
    let application = Application::start();
    let short = Duration::from_millis(300);
    let limits = Limits { write_timeout: short, ..limits() };
    let gateway = Plan { limits, response_timeout: short, ..plan(&application) }.start();
    let piece = "x".repeat(1 << 20);
    let (client, mut served) = tunnel(&gateway, &application);
    while served.tries_to_send(&piece) {}
    eventually("the tunnel to a client that takes nothing is gone", || gateway.is_empty());
    drop(client);
    let (mut client, served) = tunnel(&gateway, &application);
    while client.send(&piece).is_ok() {}
    eventually("the tunnel to an application that takes nothing is gone", || gateway.is_empty());
    drop(served);
}

#[test]
fn a_request_with_a_body_may_ask_as_well() {
    let application = Application::start();
    let gateway = gateway(&application);
    let mut client = gateway.sent(
        "POST /chat HTTP/1.1\r\nHOST\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 4\r\n\r\nbodyearly",
    );
    let mut served = application.accept();
    assert!(served.head().contains("upgrade: websocket\r\n"));
    assert_eq!(served.read(4), b"body");
    served.send(AGREE);
    assert_eq!(client.response().unwrap().status, 101);
    assert_eq!(served.read(5), b"early");
    served.send("hi");
    hears(&mut client, "hi");
}

#[test]
fn a_tunnel_takes_its_place_among_the_connections() {
    let application = Application::start();
    let limits = Limits { max_connections: 1, ..limits() };
    let gateway = Plan { limits, ..plan(&application) }.start();
    let (client, served) = tunnel(&gateway, &application);
    assert_eq!((gateway.gauge("connections"), gateway.gauge("in_flight")), (1, 0));
    let mut waiting = gateway.sent("GET / HTTP/1.1\r\nHOST\r\n\r\n");
    assert!(application.accepts_within(Duration::from_millis(200)).is_none());
    drop((client, served));
    let _served = application.answers(ok("at last"));
    assert_eq!(waiting.response().unwrap().text(), "at last");
}

#[test]
fn nothing_of_a_session_leaves_with_a_101() {
    let application = Application::start();
    let gateway = Plan { has_sessions: true, ..plan(&application) }.start();
    let mut client = gateway.sent(ASK);
    let mut served = application.answers(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade, X-Replace-Session, X-Hop\r\n\
         Upgrade: websocket\r\nX-Hop: 1\r\nX-Replace-Session: note=secret\r\nx_replace_session: note=secret\r\n\r\n",
    );
    let response = client.response().unwrap();
    assert_eq!(response.status, 101);
    let text = format!("{:?}", response.headers).to_lowercase();
    assert!(!text.contains("secret") && !text.contains("x-hop"), "{text}");
    assert!(response.cookie("session").is_some(), "and yet it was applied");
    served.send("hi");
    hears(&mut client, "hi");
}

#[test]
fn an_upgrade_that_is_not_taken_is_a_plain_request() {
    let application = Application::start();
    let gateway = gateway(&application);
    for protocol in ["foo", "websocket"] {
        let mut client = gateway.sent(&format!(
            "GET /one HTTP/1.1\r\nHOST\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n\
             GET /two HTTP/1.1\r\nHOST\r\n\r\n"
        ));
        for path in ["/one", "/two"] {
            let mut served = application.accept();
            let head = served.head();
            assert!(head.starts_with(&format!("GET {path} ")), "{head}");
            assert_eq!(head.contains("upgrade"), path == "/one", "{head}");
            served
                .send("HTTP/1.1 200 OK\r\nConnection: close\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nok");
            let response = client.response().unwrap();
            assert_eq!((response.text().as_str(), response.header("upgrade")), ("ok", None));
        }
    }
}

#[test]
fn an_upgrade_that_nobody_asked_for_is_no_answer() {
    let application = Application::start();
    let gateway = gateway(&application);
    for request in [
        "GET / HTTP/1.1\r\nHOST\r\n\r\n",
        "GET / HTTP/1.1\r\nHOST\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\nHOST\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        "GET / HTTP/1.0\r\nHOST\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ] {
        let mut client = gateway.sent(request);
        let mut served = application.accept();
        let head = served.head();
        assert!(!head.contains("upgrade"), "{head}");
        served.send(AGREE);
        assert_eq!(client.response().unwrap().status, 502, "{request}");
        assert!(served.is_given_up_within(Duration::from_secs(5)), "{request}");
    }
}
