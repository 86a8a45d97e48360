//! HTTP/2 from clients: the same rules as for HTTP/1, and bounds on what one connection may do.

use std::thread;
use std::time::{Duration, Instant};

use gateway::settings::{Http2Limits, Limits, SecureSettings};
use http::HeaderName;
use interop::http2::{Connection, END_HEADERS, END_STREAM, Outcome, block, frame, kind};

use crate::application::Application;
use crate::given::{Gateway, Plan, eventually, limits, ok, plan};

const SHORT: Duration = Duration::from_millis(400);
const EARLY: Duration = Duration::from_millis(350);
const LATE: Duration = Duration::from_secs(6);

const PROTOCOL_ERROR: u32 = 1;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;
/// The setting of how much of an answer may come before more is asked for.
const INITIAL_WINDOW_SIZE: u16 = 4;

/// A gateway that speaks HTTP/2 in the clear, with its limits changed like this.
fn gateway(application: &Application, change: impl FnOnce(&mut Limits)) -> Gateway {
    let mut limits = limits();
    limits.http2 = Http2Limits { in_the_clear: true, ..Http2Limits::default() };
    change(&mut limits);
    Plan { limits, ..plan(application) }.start()
}

fn connect(gateway: &Gateway) -> Connection {
    Connection::open(gateway.address(), &[]).unwrap()
}

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "shop.example"), (":path", "/")];

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&GET[..], more].concat()
}

#[test]
fn a_request_of_http_2_is_one_of_http_1_to_the_application() {
    let application = Application::start();
    let gateway = gateway(&application, |_| {});
    let mut client = connect(&gateway);
    let crumbs = [("cookie", "a=1"), ("x-some", "thing"), ("cookie", "b=2"), ("te", "trailers")];
    client.head(1, &with(&crumbs), true).unwrap();
    let mut served = application.accept();
    let head = served.head().to_lowercase();
    for line in [
        "get / http/1.1\r\n",
        "\r\nhost: shop.example\r\n",
        "\r\ncookie: a=1; b=2\r\n",
        "\r\nx-some: thing\r\n",
        "\r\nx-forwarded-proto: http\r\n",
    ] {
        assert!(head.contains(line), "{line:?} in {head}");
    }
    assert_eq!(head.matches("cookie").count(), 1, "{head}");
    // Trailers are asked for on the connection with the application, whatever the client said.
    assert!(head.contains("\r\nte: trailers\r\n"), "{head}");
    served.send("HTTP/1.1 200 OK\r\nConnection: close\r\nKeep-Alive: 5\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n0\r\n\r\n");
    assert_eq!(client.outcome(1).unwrap(), Outcome::Answer(200, b"yes".to_vec()));
    // Others of the same connection go on meanwhile and afterwards.
    client.head(3, &GET, true).unwrap();
    let mut slow = application.accept();
    client.head(5, &GET, true).unwrap();
    let mut fast = application.accept();
    fast.head();
    fast.send(ok("fast"));
    assert_eq!(client.outcome(5).unwrap(), Outcome::Answer(200, b"fast".to_vec()));
    slow.head();
    slow.send(ok("slow"));
    assert_eq!(client.outcome(3).unwrap(), Outcome::Answer(200, b"slow".to_vec()));
    assert_eq!(gateway.gauge("connections"), 1);
}

#[test]
fn what_a_client_says_in_our_name_goes_in_every_spelling() {
    let application = Application::start();
    let mut limits = limits();
    limits.http2 = Http2Limits { in_the_clear: true, ..Http2Limits::default() };
    let secure = SecureSettings {
        subject_header: Some(HeaderName::from_static("x-client-subject")),
        fingerprint_header: Some(HeaderName::from_static("x-client-fingerprint")),
        ..SecureSettings::default()
    };
    let gateway = Plan { limits, secure, has_sessions: true, ..plan(&application) }.start();
    let mut client = connect(&gateway);
    let forged: Vec<(&str, &str)> = [
        "x-client-subject",
        "x_client_subject",
        "x.client_subject",
        "x_client-fingerprint",
        "x-session",
        "x_session",
        "x-session-conflicts",
        "x_replace_session",
        "x-forwarded-for",
        "x_forwarded_for",
        "x-real-ip",
        "proxy",
    ]
    .map(|name| (name, "forged"))
    .to_vec();
    client.head(1, &with(&forged), true).unwrap();
    let mut served = application.accept();
    let head = served.head();
    assert!(!head.contains("forged"), "{head}");
    served.send(ok(""));
    assert_eq!(client.outcome(1).unwrap(), Outcome::Answer(200, Vec::new()));
}

#[test]
fn http_1_is_still_spoken_beside_it_and_http_2_only_where_it_is_allowed() {
    let application = Application::start();
    let both = gateway(&application, |_| {});
    let mut client = both.sent("GET / HTTP/1.1\r\nHOST\r\n\r\n");
    drop(application.answers(ok("one")));
    assert_eq!(client.response().unwrap().text(), "one");
    let only_one = plan(&application).start();
    // It may be turned away before it has said all that.
    let outcome = Connection::open(only_one.address(), &[]).and_then(|mut client| {
        client.head(1, &GET, true)?;
        client.outcome(1)
    });
    assert!(!matches!(outcome, Ok(Outcome::Answer(..))), "{outcome:?}");
    assert!(application.accepts_within(Duration::from_millis(50)).is_none());
}

#[test]
fn what_would_be_read_in_two_ways_never_reaches_the_application() {
    let application = Application::start();
    let gateway = gateway(&application, |_| {});
    let without = |left_out: &str| -> Vec<(&str, &str)> {
        GET.into_iter().filter(|(name, _)| *name != left_out).collect()
    };
    let path =
        |path: &'static str| -> Vec<(&str, &str)> { [&without(":path")[..], &[(":path", path)]].concat() };
    let refused = |outcome: Outcome| {
        matches!(
            outcome,
            Outcome::Reset(PROTOCOL_ERROR) | Outcome::GoAway(PROTOCOL_ERROR) | Outcome::Answer(400, _)
        )
    };
    for (what, headers) in [
        ("a transfer coding", with(&[("transfer-encoding", "chunked")])),
        ("a connection header", with(&[("connection", "keep-alive")])),
        ("an upgrade", with(&[("upgrade", "websocket")])),
        ("keep-alive", with(&[("keep-alive", "5")])),
        ("proxy-connection", with(&[("proxy-connection", "close")])),
        ("a coding in te", with(&[("te", "gzip")])),
        ("a name in capitals", with(&[("X-Capital", "1")])),
        ("a name with a space", with(&[("x y", "1")])),
        ("a line end in a value", with(&[("x-a", "1\r\nx-b: 2")])),
        ("a pseudo-header after others", [&[("x-a", "1")][..], &GET].concat()),
        ("a pseudo-header twice", [&GET[..], &[(":path", "/other")]].concat()),
        ("two authorities", [&GET[..3], &[(":authority", "other.example"), (":path", "/")]].concat()),
        ("an unknown pseudo-header", [&[(":protocol", "websocket")][..], &GET].concat()),
        ("another host beside the authority", with(&[("host", "other.example")])),
        ("two hosts", with(&[("host", "shop.example"), ("host", "shop.example")])),
        ("no host at all", without(":authority")),
        (
            "a user in the authority",
            [&[(":authority", "user@shop.example")][..], &without(":authority")].concat(),
        ),
        ("no path", without(":path")),
        ("an empty path", path("")),
        ("a path without a slash", path("x/y")),
        ("a path with a space", path("/ x")),
        ("a line end in a path", path("/\r\nx")),
        ("a URL for a path", path("http://other.example/")),
        ("no scheme", without(":scheme")),
        ("two lengths", with(&[("content-length", "1"), ("content-length", "2")])),
        ("a length that is none", with(&[("content-length", "+1")])),
    ] {
        let mut client = connect(&gateway);
        client.head(1, &headers, true).unwrap();
        let outcome = client.outcome(1).unwrap();
        assert!(refused(outcome.clone()), "{what}: {outcome:?}");
    }
    for method in ["CONNECT", "TRACE"] {
        let mut client = connect(&gateway);
        client.head(1, &[&[(":method", method)][..], &GET[1..]].concat(), true).unwrap();
        let outcome = client.outcome(1).unwrap();
        assert!(
            refused(outcome.clone()) || matches!(outcome, Outcome::Answer(405, _)),
            "{method}: {outcome:?}"
        );
    }
    assert!(application.accepts_within(Duration::from_millis(50)).is_none());
}

#[test]
fn a_body_of_another_length_than_announced_never_becomes_a_whole_request() {
    let application = Application::start();
    let gateway = gateway(&application, |_| {});
    let post = [(":method", "POST"), GET[1], GET[2], GET[3], ("content-length", "5")];
    for body in ["1234", "123456"] {
        let mut client = connect(&gateway);
        client.head(1, &post, false).unwrap();
        let mut served = application.accept();
        assert!(served.head().to_lowercase().contains("content-length: 5\r\n"));
        client.frame(kind::DATA, END_STREAM, 1, body.as_bytes()).unwrap();
        assert!(
            matches!(client.outcome(1).unwrap(), Outcome::Reset(PROTOCOL_ERROR) | Outcome::Answer(400, _)),
            "{body}"
        );
        assert!(served.rest().len() < 5, "{body}");
    }
}

#[test]
fn a_head_has_the_bounds_of_http_1() {
    let application = Application::start();
    let gateway = gateway(&application, |limits| {
        limits.max_headers = 10;
        limits.max_header_bytes = 4096;
    });
    let long = "x".repeat(10_000);
    let many: Vec<(&str, &str)> = GET.into_iter().chain((0..11).map(|_| ("x-many", "1"))).collect();
    for (what, headers) in [("10 000 bytes", with(&[("x-long", &long)])), ("11 headers", many)] {
        let mut client = connect(&gateway);
        client.head(1, &headers, true).unwrap();
        let outcome = client.outcome(1).unwrap();
        assert!(matches!(outcome, Outcome::Answer(431, _)), "{what}: {outcome:?}");
    }
    assert!(application.accepts_within(Duration::from_millis(50)).is_none());
}

#[test]
fn a_head_that_never_ends_is_cut_off_whether_it_drips_or_floods() {
    let application = Application::start();
    let gateway = gateway(&application, |limits| limits.header_timeout = SHORT);
    let since = Instant::now();
    let mut dripping = connect(&gateway);
    dripping.frame(kind::HEADERS, END_STREAM, 1, &block(&GET)).unwrap();
    while dripping.frame(kind::CONTINUATION, 0, 1, &block(&[("x-a", "1")])).is_ok() && since.elapsed() < LATE
    {
        thread::sleep(Duration::from_millis(40));
    }
    let waited = since.elapsed();
    assert!(waited > EARLY && waited < LATE, "{waited:?}");
    let since = Instant::now();
    let mut silent = connect(&gateway);
    assert_eq!(silent.outcome(1).unwrap(), Outcome::Closed);
    assert!(since.elapsed() > EARLY && since.elapsed() < LATE, "{:?}", since.elapsed());
    // CVE-2024-27316: nothing of it is kept, nor read for ever.
    let mut flooding = connect(&gateway);
    flooding.frame(kind::HEADERS, END_STREAM, 1, &block(&GET)).unwrap();
    let endless = frame(kind::CONTINUATION, 0, 1, &block(&[("x-a", &"x".repeat(1000))]));
    let flooded = (0..5000).find(|_| flooding.send(&endless).is_err());
    let outcome = flooding.outcome(1);
    assert!(flooded.is_some() || matches!(outcome, Ok(Outcome::GoAway(_) | Outcome::Closed)), "{outcome:?}");
    eventually("nothing is left", || gateway.is_empty());
    assert!(application.accepts_within(Duration::from_millis(50)).is_none());
}

#[test]
fn who_asks_and_gives_up_all_the_time_is_closed_out() {
    let application = Application::start();
    let gateway = gateway(&application, |_| {});
    let mut client = connect(&gateway);
    // CVE-2023-44487. One by one, so that each was looked at before it is given up.
    let mut given_up = 0;
    for stream in (1..4000).step_by(2) {
        if client.head(stream, &GET, true).is_err()
            || client.frame(kind::RST_STREAM, 0, stream, &CANCEL.to_be_bytes()).is_err()
        {
            break;
        }
        given_up += 1;
        if given_up % 10 == 0 {
            thread::sleep(Duration::from_millis(5));
        }
    }
    let outcome = client.outcome(4001);
    assert!(
        given_up < 1900 || matches!(outcome, Ok(Outcome::GoAway(_) | Outcome::Closed)),
        "{given_up}: {outcome:?}"
    );
    eventually("nothing is left", || gateway.is_empty());
    // All at once: the library does not even look at them.
    let mut client = connect(&gateway);
    let mut burst = Vec::new();
    for stream in (1..4000).step_by(2) {
        burst.extend(frame(kind::HEADERS, END_HEADERS | END_STREAM, stream, &block(&GET)));
        burst.extend(frame(kind::RST_STREAM, 0, stream, &CANCEL.to_be_bytes()));
    }
    let _ = client.send(&burst);
    let outcome = client.outcome(4001);
    assert!(
        matches!(outcome, Ok(Outcome::GoAway(ENHANCE_YOUR_CALM) | Outcome::Closed) | Err(_)),
        "{outcome:?}"
    );
    eventually("nothing is left", || gateway.is_empty());
}

#[test]
fn who_gives_up_now_and_then_is_served_as_before() {
    let application = Application::start();
    let gateway = gateway(&application, |_| {});
    let mut client = connect(&gateway);
    for round in 0..20 {
        client.head(4 * round + 1, &GET, true).unwrap();
        let mut given_up = application.accept();
        client.frame(kind::RST_STREAM, 0, 4 * round + 1, &CANCEL.to_be_bytes()).unwrap();
        assert!(given_up.is_given_up_within(LATE), "the application is told");
    }
    client.head(101, &GET, true).unwrap();
    drop(application.answers(ok("still here")));
    assert_eq!(client.outcome(101).unwrap(), Outcome::Answer(200, b"still here".to_vec()));
}

#[test]
fn who_takes_nothing_of_an_answer_loses_that_one_only() {
    let application = Application::start();
    let gateway = gateway(&application, |limits| limits.write_timeout = SHORT);
    let mut client = Connection::open(gateway.address(), &[(INITIAL_WINDOW_SIZE, 0)]).unwrap();
    let since = Instant::now();
    client.head(1, &GET, true).unwrap();
    drop(application.answers(ok("never taken")));
    assert_eq!(client.outcome(1).unwrap(), Outcome::Reset(CANCEL));
    let waited = since.elapsed();
    assert!(waited > EARLY && waited < LATE, "{waited:?}");
    client
        .frame(
            kind::SETTINGS,
            0,
            0,
            &[&INITIAL_WINDOW_SIZE.to_be_bytes()[..], &1000_u32.to_be_bytes()].concat(),
        )
        .unwrap();
    client.head(3, &GET, true).unwrap();
    drop(application.answers(ok("taken")));
    assert_eq!(client.outcome(3).unwrap(), Outcome::Answer(200, b"taken".to_vec()));
}

#[test]
fn who_takes_an_answer_slowly_gets_all_of_it() {
    const LENGTH: u32 = 120_000;
    let application = Application::start();
    let gateway = gateway(&application, |limits| limits.write_timeout = 2 * SHORT);
    let mut client = Connection::open(gateway.address(), &[(INITIAL_WINDOW_SIZE, 20_000)]).unwrap();
    client.head(1, &GET, true).unwrap();
    let mut served = application.answers(format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n"));
    let sending = thread::spawn(move || served.send(vec![b'x'; LENGTH as usize]));
    let mut received = 0;
    let since = Instant::now();
    while received < LENGTH {
        let frame = client.read().unwrap().unwrap();
        assert_ne!(frame.kind, kind::RST_STREAM, "after {received} bytes: {frame:?}");
        if frame.kind == kind::DATA {
            let length = u32::try_from(frame.payload.len()).unwrap();
            received += length;
            thread::sleep(Duration::from_millis(50));
            for stream in [0, 1] {
                client.frame(kind::WINDOW_UPDATE, 0, stream, &length.to_be_bytes()).unwrap();
            }
        }
    }
    assert!(since.elapsed() > 3 * SHORT, "it was slow");
    sending.join().unwrap();
}

#[test]
fn a_body_that_stands_still_is_given_up_and_the_connection_goes_on() {
    let application = Application::start();
    let gateway = gateway(&application, |limits| limits.body_timeout = SHORT);
    let mut client = connect(&gateway);
    let since = Instant::now();
    client.head(1, &[(":method", "POST"), GET[1], GET[2], GET[3]], false).unwrap();
    client.frame(kind::DATA, 0, 1, b"half").unwrap();
    let mut served = application.accept();
    served.head();
    assert!(matches!(client.outcome(1).unwrap(), Outcome::Answer(408, _)));
    assert!(since.elapsed() > EARLY && since.elapsed() < LATE, "{:?}", since.elapsed());
    assert!(served.is_given_up_within(LATE));
    assert_eq!(gateway.counted("upstream_failed", "slow_client"), 1);
    client.head(3, &GET, true).unwrap();
    drop(application.answers(ok("next")));
    assert_eq!(client.outcome(3).unwrap(), Outcome::Answer(200, b"next".to_vec()));
}

#[test]
fn an_idle_connection_is_told_before_it_is_closed_and_pings_do_not_count() {
    let application = Application::start();
    let gateway = gateway(&application, |limits| limits.idle_connection_timeout = 2 * SHORT);
    let mut client = connect(&gateway);
    client.head(1, &GET, true).unwrap();
    let mut served = application.accept();
    served.head();
    // A request may take longer than a connection may be idle.
    thread::sleep(3 * SHORT);
    let since = Instant::now();
    served.send(ok("late"));
    assert_eq!(client.outcome(1).unwrap(), Outcome::Answer(200, b"late".to_vec()));
    client.frame(kind::PING, 0, 0, b"12345678").unwrap();
    let mut was_told = false;
    while let Some(frame) = client.read().unwrap() {
        if frame.kind == kind::GOAWAY {
            was_told = true;
        } else if frame.kind == kind::PING && frame.flags == 0 {
            let _ = client.frame(kind::PING, 1, 0, &frame.payload);
        }
    }
    let waited = since.elapsed();
    assert!(was_told && waited > 2 * EARLY && waited < LATE, "{was_told} {waited:?}");
}

#[test]
fn only_so_many_requests_are_under_way_at_once() {
    let application = Application::start();
    let gateway = gateway(&application, |limits| limits.http2.max_streams = 2);
    let mut client = connect(&gateway);
    // Until our settings are known to the client it cannot be blamed.
    while client.read().unwrap().unwrap().kind != kind::SETTINGS {}
    client.frame(kind::SETTINGS, 1, 0, &[]).unwrap();
    for (stream, path) in [(1, "/1"), (3, "/3"), (5, "/5")] {
        client.head(stream, &[GET[0], GET[1], GET[2], (":path", path)], true).unwrap();
    }
    assert!(matches!(client.outcome(5).unwrap(), Outcome::Reset(_)));
    let served = [application.accept(), application.accept()];
    assert!(application.accepts_within(Duration::from_millis(50)).is_none());
    for mut served in served {
        // They come in any order.
        let stream = if served.head().starts_with("GET /1 ") { 1 } else { 3 };
        served.send(ok(""));
        assert!(matches!(client.outcome(stream).unwrap(), Outcome::Answer(200, _)));
    }
}

#[test]
fn a_stop_lets_requests_end_and_takes_no_new_ones() {
    let application = Application::start();
    let mut gateway = gateway(&application, |limits| limits.drain_timeout = Duration::from_secs(15));
    let mut client = connect(&gateway);
    client.head(1, &GET, true).unwrap();
    let mut served = application.accept();
    served.head();
    let mut idle = connect(&gateway);
    idle.head(1, &GET, true).unwrap();
    drop(application.answers(ok("")));
    idle.outcome(1).unwrap();
    gateway.stop();
    let mut was_told = false;
    while !was_told {
        let frame = client.read().unwrap().expect("it says goodbye first");
        was_told = frame.kind == kind::GOAWAY;
    }
    served.send(ok("late"));
    assert_eq!(client.outcome(1).unwrap(), Outcome::Answer(200, b"late".to_vec()));
    let _ = (client.outcome(99), idle.outcome(99));
    let took = gateway.stopped();
    assert!(took < LATE, "{took:?}");
    assert!(gateway.is_empty());
}

#[test]
fn an_upgrade_that_nobody_can_have_is_an_error_of_the_application() {
    let application = Application::start();
    let gateway = gateway(&application, |_| {});
    let mut client = connect(&gateway);
    client.head(1, &GET, true).unwrap();
    drop(
        application
            .answers("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n"),
    );
    assert!(matches!(client.outcome(1).unwrap(), Outcome::Answer(502, _)));
}
