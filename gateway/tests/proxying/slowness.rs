//! Clients that take their time, on purpose or not.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use gateway::settings::Limits;

use crate::application::Application;
use crate::given::{Gateway, Plan, eventually, limits, ok, plan};

const SHORT: Duration = Duration::from_millis(400);
/// What must not happen before that does not happen by then. It is counted from before anything was sent: a machine with
/// much to do may begin to wait long before a test looks at the clock.
const EARLY: Duration = Duration::from_millis(350);
const LATE: Duration = Duration::from_secs(5);

/// A gateway in front of `application` that has changed its limits like this.
fn hurried(application: &Application, change: impl FnOnce(&mut Limits)) -> Gateway {
    let mut limits = limits();
    change(&mut limits);
    Plan { limits, ..plan(application) }.start()
}

#[test]
fn who_says_nothing_or_drips_a_head_is_cut_off() {
    let application = Application::start();
    let gateway = hurried(&application, |limits| limits.header_timeout = SHORT);
    for start in ["", "G", "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "] {
        let since = Instant::now();
        let mut client = gateway.sent(start);
        let mut is_dripping = true;
        if !start.is_empty() {
            while is_dripping && since.elapsed() < LATE {
                thread::sleep(Duration::from_millis(40));
                is_dripping = client.send("x").is_ok() && gateway.gauge("connections") == 1;
            }
        }
        assert!(client.rest().unwrap().is_empty(), "{start:?}");
        let waited = since.elapsed();
        assert!(waited > EARLY && waited < LATE, "{start:?}: {waited:?}");
        eventually("it is gone", || gateway.is_empty());
    }
    assert!(application.accepts_within(Duration::from_millis(20)).is_none());
}

#[test]
fn a_slow_head_that_comes_in_time_is_served() {
    let application = Application::start();
    let gateway = hurried(&application, |limits| limits.header_timeout = 2 * SHORT);
    let mut client = gateway.connect();
    // Opened ahead of need, as browsers do: the head has its time from its own beginning.
    thread::sleep(SHORT);
    client.send("GET / HTTP/1.1\r\n").unwrap();
    thread::sleep(SHORT + Duration::from_millis(100));
    client.send(gateway.request("HOST\r\n\r\n")).unwrap();
    drop(application.answers(ok("in time")));
    assert_eq!(client.response().unwrap().text(), "in time");
}

#[test]
fn half_a_request_is_no_request() {
    let application = Application::start();
    let gateway = hurried(&application, |_| {});
    for half in ["GET / HT", "GET / HTTP/1.1\r\nHOST\r\n", "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 5\r\n"]
    {
        let mut client = gateway.sent(half);
        client.finish().unwrap();
        let answer = client.rest().unwrap();
        assert!(
            answer.is_empty() || answer.starts_with(b"HTTP/1.1 400 "),
            "{half}: {}",
            answer.escape_ascii()
        );
    }
    assert!(application.accepts_within(Duration::from_millis(50)).is_none());
    eventually("nothing is left", || gateway.is_empty());
}

#[test]
fn a_body_that_stands_still_or_drips_is_cut_off_and_the_application_not_blamed() {
    let application = Application::start();
    let gateway = hurried(&application, |limits| limits.body_timeout = SHORT);
    for (count, is_dripping) in [(1, false), (2, true)] {
        let since = Instant::now();
        let mut client = gateway.sent("POST / HTTP/1.1\r\nHOST\r\nContent-Length: 1000\r\n\r\nhalf");
        let mut served = application.accept();
        served.head();
        while is_dripping
            && gateway.counted("upstream_failed", "slow_client") < count
            && since.elapsed() < LATE
        {
            thread::sleep(Duration::from_millis(40));
            let _ = client.send("x");
        }
        let response = client.response().unwrap();
        assert_eq!((response.status, response.header("connection")), (408, Some("close")));
        let waited = since.elapsed();
        assert!(waited > EARLY && waited < LATE, "{waited:?}");
        assert!(served.is_given_up_within(LATE), "half a body is no request");
        assert_eq!(gateway.counted("upstream_failed", "slow_client"), count);
        assert_eq!(gateway.counted("upstream_failed", "too_slow"), 0);
    }
}

#[test]
fn a_pause_of_the_client_is_not_the_slowness_of_the_application() {
    let application = Application::start();
    let gateway = Plan { response_timeout: SHORT, ..plan(&application) }.start();
    let mut client = gateway.sent("POST / HTTP/1.1\r\nHOST\r\nContent-Length: 6\r\n\r\none");
    let mut served = application.accept();
    served.head();
    thread::sleep(3 * SHORT);
    client.send("two").unwrap();
    assert_eq!(served.read(6), b"onetwo");
    served.send(ok("both"));
    assert_eq!(client.response().unwrap().text(), "both");
}

#[test]
fn an_upload_goes_on_after_the_answer_as_long_as_the_application_takes_it() {
    let application = Application::start();
    let gateway = hurried(&application, |limits| {
        limits.header_timeout = SHORT;
        limits.idle_connection_timeout = SHORT;
    });
    let mut client = gateway.sent("POST / HTTP/1.1\r\nHOST\r\nContent-Length: 40\r\n\r\n");
    let mut served = application.answers(ok("thanks"));
    assert_eq!(client.response().unwrap().text(), "thanks");
    let mut since = Instant::now();
    for _ in 0..10 {
        thread::sleep(SHORT / 4);
        since = Instant::now();
        client.send("more").unwrap();
        assert_eq!(served.read(4), b"more");
    }
    // And then the connection is an idle one.
    assert!(client.rest().unwrap().is_empty());
    let waited = since.elapsed();
    assert!(waited > EARLY && waited < LATE, "{waited:?}");
}

#[test]
fn who_takes_nothing_of_the_answer_is_cut_off() {
    let application = Application::start();
    let gateway = hurried(&application, |limits| limits.write_timeout = SHORT);
    let since = Instant::now();
    let client = gateway.sent("GET / HTTP/1.1\r\nHOST\r\n\r\n");
    let mut served = application.answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    while served.tries_to_send(&chunk) {
        assert!(since.elapsed() < Duration::from_secs(9), "the gateway goes on taking");
    }
    assert!(since.elapsed() > EARLY);
    eventually("nothing is left", || gateway.is_empty());
    drop(client);
}

#[test]
fn who_takes_the_answer_slowly_gets_all_of_it() {
    const LENGTH: usize = 12 << 20;
    let application = Application::start();
    let gateway = hurried(&application, |limits| {
        limits.write_timeout = SHORT;
        limits.idle_connection_timeout = SHORT;
    });
    let mut client = TcpStream::connect(gateway.address()).unwrap();
    client
        .write_all(gateway.request("GET / HTTP/1.1\r\nHOST\r\nConnection: close\r\n\r\n").as_bytes())
        .unwrap();
    let mut served = application.answers(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n"));
    let sending = thread::spawn(move || served.send(vec![b'x'; LENGTH]));
    let mut received = 0;
    let mut buffer = vec![0; 512 << 10];
    let since = Instant::now();
    loop {
        match client.read(&mut buffer).unwrap() {
            0 => break,
            read => received += read,
        }
        thread::sleep(Duration::from_millis(60));
    }
    sending.join().unwrap();
    assert!(since.elapsed() > 2 * SHORT, "it was slow");
    assert!(received > LENGTH, "{received} bytes came");
}
