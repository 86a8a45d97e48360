//! A client that goes away takes with it what was done for it.

use std::thread;
use std::time::Duration;

use interop::{Answer, Capture};

use crate::application::Application;
use crate::given::{Gateway, Plan, eventually, gateway, plan, upstream};

const SOON: Duration = Duration::from_secs(5);

fn nothing_is_left(gateway: &Gateway) {
    // One task accepts connections.
    eventually("nothing is left", || gateway.is_empty() && gateway.tasks() == 1);
}

#[test]
fn who_leaves_before_the_answer_is_not_waited_for() {
    let application = Application::start();
    let gateway = gateway(&application);
    let client = gateway.sent("GET / HTTP/1.1\r\nHOST\r\n\r\n");
    let mut served = application.accept();
    served.head();
    assert_eq!((gateway.gauge("connections"), gateway.gauge("in_flight")), (1, 1));
    drop(client);
    assert!(served.is_given_up_within(SOON));
    nothing_is_left(&gateway);
}

#[test]
fn who_leaves_in_the_middle_of_an_upload_leaves_half_a_request() {
    let application = Application::start();
    let gateway = gateway(&application);
    for (framing, start) in
        [("Content-Length: 1000", "half"), ("Transfer-Encoding: chunked", "4\r\nhalf\r\n")]
    {
        let client = gateway.sent(&format!("POST / HTTP/1.1\r\nHOST\r\n{framing}\r\n\r\n{start}"));
        let mut served = application.accept();
        served.head();
        served.read_through(b"half");
        drop(client);
        let rest = served.rest();
        assert!(!rest.ends_with(b"0\r\n\r\n"), "{framing}: {}", rest.escape_ascii());
        nothing_is_left(&gateway);
    }
}

#[test]
fn who_leaves_in_the_middle_of_the_answer_ends_it() {
    let application = Application::start();
    let gateway = gateway(&application);
    for is_talkative in [true, false] {
        let mut client = gateway.sent("GET / HTTP/1.1\r\nHOST\r\n\r\n");
        let mut served =
            application.answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
        client.read_until(|bytes| bytes.ends_with(b"one\r\n")).unwrap();
        assert_eq!(gateway.gauge("in_flight"), 1);
        drop(client);
        if is_talkative {
            let deadline = std::time::Instant::now() + SOON;
            while served.tries_to_send("3\r\ntwo\r\n") {
                assert!(std::time::Instant::now() < deadline, "the gateway goes on taking");
                thread::sleep(Duration::from_millis(5));
            }
        } else {
            assert!(served.is_given_up_within(SOON), "nobody has to speak for it to be noticed");
        }
        drop(served);
        nothing_is_left(&gateway);
    }
}

#[test]
fn an_answer_that_may_change_a_session_is_awaited_all_the_same() {
    let application = Application::start();
    let gateway = Plan { has_sessions: true, ..plan(&application) }.start();
    let mut client = gateway.sent("GET / HTTP/1.1\r\nHOST\r\n\r\n");
    drop(application.answers("HTTP/1.1 200 OK\r\nX-Replace-Session: a=1\r\nContent-Length: 0\r\n\r\n"));
    let cookie = client.response().unwrap().cookie("session").unwrap().to_owned();
    drop(client);

    let leaving = gateway.sent(&format!("GET / HTTP/1.1\r\nHOST\r\nCookie: {cookie}\r\n\r\n"));
    let mut served = application.accept();
    served.head();
    drop(leaving);
    eventually("the client is gone", || gateway.is_empty());
    assert!(!served.is_given_up_within(Duration::from_millis(100)));
    served.send("HTTP/1.1 200 OK\r\nX-Replace-Session: a=2\r\nContent-Length: 5\r\n\r\n");
    assert!(served.is_given_up_within(SOON), "the rest of the answer is for nobody");

    let mut client = gateway.sent(&format!("GET / HTTP/1.1\r\nHOST\r\nCookie: {cookie}\r\n\r\n"));
    let mut served = application.accept();
    let head = served.head();
    assert!(head.contains("x-session: a=2\r\n"), "{head}");
    served.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.response().unwrap().status, 200);
}

#[test]
fn a_crowd_that_comes_and_goes_leaves_nothing_behind() {
    const WAYS: [&str; 8] = [
        "GET / HTTP/1.1\r\nHOST\r\n\r\n",
        "HEAD / HTTP/1.1\r\nHOST\r\n\r\nGET / HTTP/1.1\r\nHOST\r\n\r\nGET / HT",
        "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 3\r\n\r\na",
        "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense\r\n",
        "GET / HTTP/1.1\r\nHOST\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\nhello",
        "GET / HTTP/1.1\r\n\r\n",
        "nonsense\r\n\r\n",
    ];
    let capture = Capture::answering(|request| match request.header("upgrade") {
        Some(_) => Answer::Echo(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n".to_vec(),
        ),
        None if request.line().starts_with("POST") => Answer::Close(b"HTTP/1.1 200 OK\r\n\r\nall".to_vec()),
        None => Answer::ok("all"),
    })
    .unwrap();
    let unused = Application::start();
    for has_sessions in [false, true] {
        let upstream = upstream([capture.address()]);
        let gateway = Plan { upstream, has_sessions, ..plan(&unused) }.start();
        thread::scope(|scope| {
            for crowd in 0..8 {
                let gateway = &gateway;
                scope.spawn(move || {
                    for number in 0..40 {
                        let mut client = gateway.sent(WAYS[(crowd + number) % WAYS.len()]);
                        // Some leave at once, some a moment later, some when they have seen enough.
                        match number % 3 {
                            0 => {}
                            1 => thread::sleep(Duration::from_millis(number as u64 % 7)),
                            _ => {
                                client.patience(Duration::from_millis(20)).unwrap();
                                let _ = client.response();
                            }
                        }
                    }
                });
            }
        });
        eventually("nothing is left", || gateway.is_empty());
        let mut client = gateway.sent(WAYS[0]);
        assert_eq!(client.response().unwrap().text(), "all");
    }
}
