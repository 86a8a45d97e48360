//! Bodies stream: what has come is passed on at once, and never collected.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use gateway::settings::Limits;

use crate::application::Application;
use crate::given::{Plan, eventually, gateway, limits, ok, plan};

const LARGE: usize = 200 << 20;

#[test]
fn a_body_arrives_whole_in_either_framing() {
    let application = Application::start();
    let gateway = gateway(&application);
    let mut client = gateway.sent("POST / HTTP/1.1\r\nHOST\r\nContent-Length: 5\r\n\r\nhello");
    let mut served = application.accept();
    assert!(served.head().contains("content-length: 5\r\n"));
    assert_eq!(served.read(5), b"hello");
    served.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nworld");
    let response = client.response().unwrap();
    assert_eq!((response.header("content-length"), response.text().as_str()), (Some("5"), "world"));

    client
        .send(gateway.request(
            "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
        ))
        .unwrap();
    let mut served = application.accept();
    let head = served.head();
    assert!(head.contains("transfer-encoding: chunked\r\n") && !head.contains("content-length"), "{head}");
    let body = served.read_through(b"0\r\n\r\n");
    assert!(!body.contains(&b';'), "extensions of a chunk are for one connection");
    served.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nworld\r\n0\r\n\r\n");
    let response = client.response().unwrap();
    assert_eq!((response.header("transfer-encoding"), response.text().as_str()), (Some("chunked"), "world"));
}

#[test]
fn what_the_client_has_sent_is_there_before_it_sends_the_rest() {
    let application = Application::start();
    let gateway = gateway(&application);
    for (framing, first, second) in [
        ("Content-Length: 6", "one", "two"),
        ("Transfer-Encoding: chunked", "3\r\none\r\n", "3\r\ntwo\r\n0\r\n\r\n"),
    ] {
        let mut client = gateway.sent(&format!("POST / HTTP/1.1\r\nHOST\r\n{framing}\r\n\r\n{first}"));
        let mut served = application.accept();
        served.head();
        served.read_through(b"one");
        client.send(second).unwrap();
        served.read_through(b"two");
        served.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(client.response().unwrap().status, 200);
    }
}

#[test]
fn what_the_application_has_sent_is_there_before_it_sends_the_rest() {
    let application = Application::start();
    let gateway = gateway(&application);
    let mut client = gateway.sent("GET /events HTTP/1.1\r\nHOST\r\nAccept: text/event-stream\r\n\r\n");
    let mut served = application
        .answers("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.read_until(|bytes| bytes.ends_with(b"\r\n\r\n")).unwrap();
    for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
        served.send(format!("{:x}\r\n{event}\r\n", event.len()));
        client
            .read_until(|bytes| bytes.windows(event.len()).any(|window| window == event.as_bytes()))
            .unwrap();
    }
    assert_eq!(gateway.gauge("in_flight"), 1, "it is under way until its body has ended");
    served.send("0\r\n\r\n");
    client.read_until(|bytes| bytes.ends_with(b"0\r\n\r\n")).unwrap();
    eventually("nothing is under way", || gateway.gauge("in_flight") == 0);
}

#[test]
fn both_may_speak_at_once() {
    let application = Application::start();
    let gateway = gateway(&application);
    let mut client = gateway.sent("POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut served = application.answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.read_until(|bytes| bytes.ends_with(b"\r\n\r\n")).unwrap();
    for word in ["ping", "pong", "peng"] {
        client.send(format!("4\r\n{word}\r\n")).unwrap();
        served.read_through(word.as_bytes());
        served.send(format!("4\r\n{word}\r\n"));
        client.read_until(|bytes| bytes.windows(4).any(|window| window == word.as_bytes())).unwrap();
    }
    client.send("0\r\n\r\n").unwrap();
    served.read_through(b"0\r\n\r\n");
    served.send("0\r\n\r\n");
    client.read_until(|bytes| bytes.ends_with(b"0\r\n\r\n")).unwrap();
}

#[test]
fn a_large_upload_takes_no_memory() {
    let application = Application::start();
    let gateway = gateway(&application);
    let mut client = TcpStream::connect(gateway.address()).unwrap();
    let head = format!("POST / HTTP/1.1\r\nHOST\r\nContent-Length: {LARGE}\r\n\r\n");
    client.write_all(gateway.request(&head).as_bytes()).unwrap();
    let mut served = application.accept();
    served.head();
    let before = resident();
    let sent = thread::spawn(move || {
        write_all(&mut client, LARGE);
        let mut answer = [0; 15];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
    });
    // Nobody reads: what piles up meanwhile is bounded, by the gateway and by the buffers of the system.
    thread::sleep(Duration::from_millis(300));
    assert!(!sent.is_finished(), "the client is held back");
    let mut grown = growth(before);
    let mut left = LARGE;
    while left > 0 {
        let piece = left.min(8 << 20);
        served.skip(piece);
        left -= piece;
        grown = grown.max(growth(before));
    }
    served.send(ok(""));
    sent.join().unwrap();
    assert!(grown < LARGE / 3, "the process grew by {grown} bytes");
}

#[test]
fn a_large_download_takes_no_memory() {
    let application = Application::start();
    let gateway = gateway(&application);
    let mut client = TcpStream::connect(gateway.address()).unwrap();
    client
        .write_all(gateway.request("GET / HTTP/1.1\r\nHOST\r\nConnection: close\r\n\r\n").as_bytes())
        .unwrap();
    let mut served = application.answers(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"));
    let before = resident();
    let sent = thread::spawn(move || {
        let piece = vec![b'x'; 1 << 20];
        (0..LARGE >> 20).for_each(|_| served.send(&piece));
    });
    thread::sleep(Duration::from_millis(300));
    assert!(!sent.is_finished(), "the application is held back");
    let mut grown = growth(before);
    let mut received = 0;
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = client.read(&mut buffer).unwrap();
        if read == 0 {
            break;
        }
        received += read;
        grown = grown.max(growth(before));
    }
    sent.join().unwrap();
    assert!(received > LARGE && received < LARGE + 1000, "{received} bytes came");
    assert!(grown < LARGE / 3, "the process grew by {grown} bytes");
}

#[test]
fn trailers_of_a_request_end_at_the_gateway() {
    let application = Application::start();
    let gateway = gateway(&application);
    let mut client = gateway.sent(
        "POST / HTTP/1.1\r\nHOST\r\nTrailer: X-After\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nhi\r\n0\r\nX-After: evil\r\n\r\n",
    );
    let mut served = application.accept();
    let head = served.head();
    assert!(!head.contains("trailer") && !head.contains("te:"), "{head}");
    assert_eq!(served.read(12), b"2\r\nhi\r\n0\r\n\r\n");
    // Those of the answer too, for who does not take them.
    served.send(
        "HTTP/1.1 200 OK\r\nTrailer: X-After\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nhi\r\n0\r\nX-After: 1\r\n\r\n",
    );
    let answer = client.read_until(|bytes| bytes.ends_with(b"\r\n0\r\n\r\n")).unwrap();
    assert!(!String::from_utf8(answer).unwrap().to_lowercase().contains("after"));
    // And both connections go on, once the gateway has put its own back.
    thread::sleep(Duration::from_millis(100));
    client.send(gateway.request("GET / HTTP/1.1\r\nHOST\r\n\r\n")).unwrap();
    served.head();
    served.send(ok("next"));
    assert_eq!(client.response().unwrap().text(), "next");
}

#[test]
fn trailers_of_an_answer_reach_who_takes_them_without_what_is_ours() {
    let application = Application::start();
    let gateway = Plan { has_sessions: true, ..plan(&application) }.start();
    let mut client = gateway.sent("GET / HTTP/1.1\r\nHOST\r\nTE: gzip, trailers\r\nConnection: te\r\n\r\n");
    let mut served = application.accept();
    let head = served.head();
    assert!(head.contains("te: trailers\r\n") && head.contains("connection: te\r\n"), "{head}");
    served.send(
        "HTTP/1.1 200 OK\r\nTrailer: X-Checksum, X-Replace-Session, Set-Cookie\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nhi\r\n0\r\nX-Checksum: 42\r\nX-Replace-Session: a=1\r\nX_Replace_Session: a=1\r\nSet-Cookie: a=1\r\n\
         X-Session: a=1\r\n\r\n",
    );
    let answer = client
        .read_until(|bytes| bytes.ends_with(b"\r\n\r\n") && bytes.windows(5).any(|w| w == b"\r\n0\r\n"));
    let answer = String::from_utf8(answer.unwrap()).unwrap().to_lowercase();
    assert!(answer.ends_with("\r\n0\r\nx-checksum: 42\r\n\r\n"), "{answer}");
    assert!(answer.contains("trailer: x-checksum\r\n"), "{answer}");
    assert!(!answer.contains("session") && !answer.contains("set-cookie"), "{answer}");
}

#[test]
fn a_client_that_asks_first_is_told_to_go_on_once_the_application_is_reached() {
    let application = Application::start();
    let gateway = gateway(&application);
    let mut client =
        gateway.sent("POST / HTTP/1.1\r\nHOST\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let mut served = application.accept();
    let head = served.head();
    assert!(!head.contains("expect"), "that was asked of us: {head}");
    assert_eq!(client.response().unwrap().status, 100);
    client.send("hello").unwrap();
    assert_eq!(served.read(5), b"hello");
    served.send(ok("thanks"));
    assert_eq!(client.response().unwrap().text(), "thanks");
}

#[test]
fn a_client_that_asks_first_is_not_told_to_go_on_in_vain() {
    let limits = Limits { max_body_bytes: Some(10), ..limits() };
    let application = Application::start();
    let gateway = Plan { limits, ..plan(&application) }.start();
    let ask = |length| {
        let ask =
            format!("POST / HTTP/1.1\r\nHOST\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n");
        gateway.sent(&ask).response().unwrap().status
    };
    assert_eq!(ask(11), 413);
    assert!(application.accepts_within(Duration::from_millis(50)).is_none());
    drop(application);
    assert_eq!(ask(10), 502);
}

#[test]
fn an_answer_that_comes_before_the_body_is_passed_on() {
    let application = Application::start();
    let gateway = gateway(&application);
    let refusal = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno!";
    // The client waits to be told: it is told the answer.
    let mut client = gateway.sent("POST / HTTP/1.1\r\nHOST\r\nContent-Length: 1000000\r\n\r\n");
    let served = application.answers(refusal);
    let response = client.response().unwrap();
    assert_eq!((response.status, response.text().as_str()), (413, "no!"));
    drop((client, served));
    // The client does not wait, nor does the application: it answers, and closes with most of the body unread.
    for _ in 0..20 {
        let mut client = TcpStream::connect(gateway.address()).unwrap();
        let head = gateway.request("POST / HTTP/1.1\r\nHOST\r\nContent-Length: 16777216\r\n\r\n");
        let uploading = thread::spawn(move || {
            client.write_all(head.as_bytes()).unwrap();
            write_all(&mut client, 16 << 20);
            let mut answer = Vec::new();
            let mut buffer = [0; 4096];
            while let Ok(read) = client.read(&mut buffer)
                && read > 0
            {
                answer.extend(&buffer[..read]);
            }
            String::from_utf8(answer).unwrap()
        });
        let mut served = application.accept();
        served.head();
        served.send(refusal);
        drop(served);
        let answer = uploading.join().unwrap();
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.ends_with("no!"), "{answer:?}");
    }
    eventually("nothing is left", || gateway.is_empty());
}

#[test]
fn our_own_answer_reaches_a_client_that_is_still_sending() {
    let application = Application::start();
    let limits = Limits { max_body_bytes: Some(1 << 20), ..limits() };
    let gateway = Plan { limits, hosts: &["known.example"], ..plan(&application) }.start();
    for (host, framing, status) in [
        ("unknown.example", "Content-Length: 8388608", "404"),
        ("known.example", "Content-Length: 8388608", "413"),
        ("known.example", "Content-Length: nonsense", "400"),
    ] {
        let mut client = TcpStream::connect(gateway.address()).unwrap();
        let head = format!("POST / HTTP/1.1\r\nHost: {host}\r\n{framing}\r\n\r\n");
        client.write_all(head.as_bytes()).unwrap();
        assert_eq!(write_all(&mut client, 8 << 20), 8 << 20, "{status}: the client may send all of it");
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap_or_else(|error| panic!("{status}: {error}"));
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(answer.contains("connection: close\r\n"), "nothing can follow: {answer}");
        drop(client);
    }
    eventually("nothing is left", || gateway.is_empty());
}

#[test]
fn what_follows_a_refused_body_is_no_request() {
    let application = Application::start();
    let gateway = Plan { hosts: &["known.example"], ..plan(&application) }.start();
    let inner = "GET / HTTP/1.1\r\nHost: known.example\r\n\r\n";
    let mut client = gateway.connect();
    client
        .send(format!("POST / HTTP/1.1\r\nHost: other.example\r\nContent-Length: 1000\r\n\r\n{inner}{inner}"))
        .unwrap();
    assert_eq!(client.response().unwrap().status, 404);
    client.finish().unwrap();
    assert!(client.rest().unwrap().is_empty());
    assert!(application.accepts_within(Duration::from_millis(50)).is_none());
}

fn write_all(client: &mut TcpStream, length: usize) -> usize {
    let piece = vec![b'x'; 64 << 10];
    let mut sent = 0;
    while sent < length {
        match client.write(&piece[..piece.len().min(length - sent)]) {
            Ok(written) => sent += written,
            Err(_) => break,
        }
    }
    sent
}

/// What this process takes of the memory, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn growth(before: usize) -> usize {
    resident().saturating_sub(before)
}
