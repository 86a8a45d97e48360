//! Applications that are down, slow, broken or hostile. The client gets a clear answer, or sees that what it got is not
//! whole.

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use gateway::settings::Limits;
use tokio::net::TcpSocket;

use crate::application::Application;
use crate::given::{Gateway, Plan, eventually, gateway, limits, ok, plan, upstream};

const SHORT: Duration = Duration::from_millis(300);

fn asked(gateway: &Gateway) -> interop::raw::Connection {
    gateway.sent("GET / HTTP/1.1\r\nHOST\r\n\r\n")
}

#[test]
fn an_application_that_is_down_is_a_502_until_it_is_back() {
    let application = Application::start();
    let gateway = gateway(&application);
    let address = application.address().to_string();
    drop(application);
    let response = asked(&gateway).response().unwrap();
    assert_eq!((response.status, response.header("retry-after")), (502, Some("2")));
    assert!(!response.text().contains(&address), "where it is, is nobody's business: {}", response.text());
    assert_eq!(gateway.counted("upstream_failed", "unreachable"), 1);
    let application = Application::at(&address);
    let mut client = asked(&gateway);
    drop(application.answers(ok("back")));
    assert_eq!(client.response().unwrap().text(), "back");
}

#[test]
fn an_application_that_does_not_take_the_connection_is_given_up() {
    // Nobody accepts, and the queue is full: the system answers no more attempts.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _entered = runtime.enter();
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queued = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        queued.push(stream);
        assert!(queued.len() < 1000, "the queue does not fill");
    }
    let application = Application::start();
    let plan = Plan { upstream: upstream([address]), connect_timeout: SHORT, ..plan(&application) };
    let gateway = plan.start();
    let since = Instant::now();
    assert_eq!(asked(&gateway).response().unwrap().status, 502);
    let waited = since.elapsed();
    assert!(waited >= SHORT && waited < Duration::from_secs(5), "{waited:?}");
    assert_eq!(gateway.counted("upstream_failed", "unreachable"), 1);
}

#[test]
fn an_application_that_does_not_begin_its_answer_is_a_504() {
    let application = Application::start();
    let gateway = Plan { response_timeout: SHORT, ..plan(&application) }.start();
    let mut client = asked(&gateway);
    let mut served = application.accept();
    served.head();
    let since = Instant::now();
    let response = client.response().unwrap();
    assert_eq!(response.status, 504);
    assert!(since.elapsed() > SHORT / 2);
    assert!(served.is_given_up_within(Duration::from_secs(5)), "nobody waits for it any more");
    // The connection to the client is as good as before.
    client.send(gateway.request("GET / HTTP/1.1\r\nHOST\r\n\r\n")).unwrap();
    drop(application.answers(ok("quick")));
    assert_eq!(client.response().unwrap().text(), "quick");
}

#[test]
fn an_application_is_not_too_slow_while_the_upload_still_moves() {
    let application = Application::start();
    let gateway = Plan { response_timeout: SHORT, ..plan(&application) }.start();
    let mut client = gateway.sent("POST / HTTP/1.1\r\nHOST\r\nContent-Length: 10000\r\n\r\n");
    let mut served = application.accept();
    served.head();
    for _ in 0..10 {
        thread::sleep(Duration::from_millis(100));
        client.send("x".repeat(1000)).unwrap();
    }
    served.skip(10_000);
    // And from then on it has its whole time.
    thread::sleep(SHORT - Duration::from_millis(100));
    served.send(ok("done"));
    assert_eq!(client.response().unwrap().text(), "done");
}

#[test]
fn an_application_that_does_not_take_the_upload_is_a_504() {
    let application = Application::start();
    // Also the time that the client has to notice its answer.
    let limits = Limits { header_timeout: SHORT, ..limits() };
    let gateway = Plan { response_timeout: SHORT, limits, ..plan(&application) }.start();
    let mut client = gateway.sent("POST / HTTP/1.1\r\nHOST\r\nContent-Length: 104857600\r\n\r\n");
    let _served = application.accept();
    let sending = thread::spawn(move || {
        let piece = "x".repeat(1 << 20);
        while client.send(&piece).is_ok() {}
        client
    });
    eventually("it is blamed", || gateway.counted("upstream_failed", "too_slow") == 1);
    let mut client = sending.join().unwrap();
    assert_eq!(client.response().unwrap().status, 504);
    drop(client);
    eventually("nothing is left", || gateway.is_empty() && gateway.tasks() == 1);
}

#[test]
fn what_breaks_off_before_its_body_is_a_502() {
    let application = Application::start();
    let gateway = gateway(&application);
    for start in ["", "HTTP", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5"] {
        let mut client = asked(&gateway);
        drop(application.answers(start));
        let response = client.response().unwrap();
        assert_eq!((response.status, response.header("retry-after")), (502, Some("2")), "{start}");
    }
    let mut client = asked(&gateway);
    application.accept().reset();
    assert_eq!(client.response().unwrap().status, 502);
    // An application never sees a request twice: who knows what it did with it.
    assert!(application.accepts_within(Duration::from_millis(50)).is_none());
    assert_eq!(gateway.counted("upstream_failed", "broken_answer"), 5);
}

#[test]
fn what_breaks_off_in_its_body_does_not_look_whole() {
    let application = Application::start();
    let gateway = gateway(&application);
    for start in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\nnonsense\r\n",
    ] {
        let mut client = asked(&gateway);
        drop(application.answers(start));
        let answer = client.response();
        assert!(answer.is_err(), "{start}: {answer:?}");
    }
    eventually("nothing is left", || gateway.is_empty());
}

#[test]
fn what_is_no_answer_is_a_502() {
    let application = Application::start();
    let gateway = gateway(&application);
    let huge = format!("HTTP/1.1 200 OK\r\nX-Huge: {}\r\n\r\n", "x".repeat(2 << 20));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X-Many: 1\r\n".repeat(10_000));
    for (what, answer) in [
        ("another protocol", "SSH-2.0-OpenSSH_9.2p1\r\n\r\n"),
        ("no status", "HTTP/1.1 \r\n\r\n"),
        ("a status of letters", "HTTP/1.1 abc\r\n\r\n"),
        ("another version", "HTTP/3.7 200 OK\r\n\r\n"),
        ("a huge head", &huge),
        ("too many headers", &many),
        ("a line without a colon", "HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 0\r\n\r\n"),
        ("a NUL in a value", "HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n"),
        (
            "a bare CR in a value",
            "HTTP/1.1 200 OK\r\nX-A: a\rSet-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n",
        ),
        ("a folded line", "HTTP/1.1 200 OK\r\nX-A: a\r\n Set-Cookie: evil=1\r\nContent-Length: 0\r\n\r\n"),
        ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
        ("a length with a sign", "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab"),
        ("a length of letters", "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nab"),
    ] {
        let mut client = asked(&gateway);
        let mut served = application.accept();
        served.head();
        served.tries_to_send(answer);
        let response = client.response().unwrap();
        assert_eq!(response.status, 502, "{what}: {response:?}");
        assert_eq!(response.header("set-cookie"), None, "{what}");
    }
}

#[test]
fn an_answer_in_two_framings_leaves_with_one() {
    let application = Application::start();
    let gateway = gateway(&application);
    let mut client = asked(&gateway);
    drop(application.answers(
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ));
    // The chunks count, and the length is none (RFC 9112, 6.3).
    let response = client.response().unwrap();
    assert_eq!((response.text().as_str(), response.header("content-length")), ("hello", None));
}

#[test]
fn an_answer_that_nobody_asked_for_answers_nobody() {
    let application = Application::start();
    let gateway = gateway(&application);
    let mut client = asked(&gateway);
    let mut served = application.answers(format!("{}{}", ok("one"), ok("of somebody else")));
    assert_eq!(client.response().unwrap().text(), "one");
    assert!(served.is_given_up_within(Duration::from_secs(5)));
    client.send(gateway.request("GET / HTTP/1.1\r\nHOST\r\n\r\n")).unwrap();
    drop(application.answers(ok("two")));
    assert_eq!(client.response().unwrap().text(), "two");
}

#[test]
fn a_kept_connection_that_the_application_closed_fails_no_request() {
    let application = Application::start();
    let gateway = gateway(&application);
    let mut client = asked(&gateway);
    for round in 0..20 {
        // Closed while nobody looks; the next request comes a moment later.
        drop(application.answers(ok("kept")));
        assert_eq!(client.response().unwrap().status, 200, "round {round}");
        thread::sleep(Duration::from_millis(20));
        client.send(gateway.request("POST / HTTP/1.1\r\nHOST\r\nContent-Length: 0\r\n\r\n")).unwrap();
    }
}
