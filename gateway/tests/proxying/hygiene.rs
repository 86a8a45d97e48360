//! Requests that two servers could read differently, and headers that a client must not get through: what is sent, and
//! by the byte what the application then saw.
//!
//! The mechanisms are those by which proxies have been taken in: RFC 9112, sections 6 and 11, and the advisories that are
//! named at the cases.

use std::time::Duration;

use interop::{Capture, Request};

use crate::application::Application;
use crate::given::{Gateway, Plan, plan, upstream};

/// Long enough for one request more to show up, if there is one.
const SILENCE: Duration = Duration::from_millis(30);

/// Refused, and the connection closed or left as it is: nothing of it reached the application.
macro_rules! refused {
    ($($status:literal: $sent:expr,)+) => { &[$(($sent, Err($status))),+] };
}

/// A request as the application sees it: its first line, the headers that we did not write, its body.
type Seen = (&'static str, &'static [&'static str], &'static [u8]);
type Case = (&'static str, Result<&'static [Seen], u16>);

const PLAIN: Seen = ("GET / HTTP/1.1", &[], b"");
const CHUNKED: Seen = ("POST / HTTP/1.1", &["transfer-encoding: chunked"], b"5\r\nhello\r\n0\r\n\r\n");

fn check(cases: &[Case]) {
    let capture = Capture::start().unwrap();
    // Nobody connects to this one; it only fills the plan.
    let unused = Application::start();
    let upstream = upstream([capture.address()]);
    let gateway = Plan { upstream, has_sessions: true, ..plan(&unused) }.start();
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|(sent, then)| {
            run(&gateway, &capture, sent, then).err().map(|wrong| format!("{sent:?}: {wrong}"))
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn run(gateway: &Gateway, capture: &Capture, sent: &str, then: &Result<&[Seen], u16>) -> Result<(), String> {
    let mut client = gateway.sent(sent);
    let text = |error: interop::Error| error.to_string();
    let answers = then.as_ref().map_or(1, |seen| seen.len());
    let statuses: Vec<u16> = (0..answers)
        .map(|_| client.response().map(|answer| answer.status))
        .collect::<Result<_, _>>()
        .map_err(text)?;
    client.patience(SILENCE).map_err(text)?;
    if let Ok(more) = client.response() {
        return Err(format!("one answer too many: {more:?}"));
    }
    let (seen, fragments) = (capture.take(), capture.take_fragments());
    if !fragments.is_empty() {
        return Err(format!("the application saw half a request: {}", fragments.concat().escape_ascii()));
    }
    let (expected_statuses, expected) = match then {
        Err(status) => (vec![*status], &[][..]),
        Ok(expected) => (vec![200; expected.len()], *expected),
    };
    if statuses != expected_statuses || seen.len() != expected.len() {
        return Err(format!("answered {statuses:?}, and the application saw {seen:?}"));
    }
    seen.iter().zip(expected).try_for_each(|(seen, expected)| compare(gateway, seen, expected))
}

fn compare(gateway: &Gateway, seen: &Request, (line, headers, body): &Seen) -> Result<(), String> {
    let host = gateway.address();
    let ours = [
        format!("host: {host}"),
        "x-forwarded-for: 127.0.0.1".to_owned(),
        format!("x-forwarded-host: {host}"),
        "x-forwarded-proto: http".to_owned(),
        format!("forwarded: for=127.0.0.1;proto=http;host=\"{host}\""),
    ];
    let mut expected: Vec<String> = headers.iter().map(|line| (*line).to_owned()).chain(ours).collect();
    expected.sort();
    if seen.line() != *line || seen.header_lines() != expected || seen.body != *body {
        return Err(format!("the application saw {} {}", seen.head.escape_ascii(), seen.body.escape_ascii()));
    }
    Ok(())
}

#[test]
fn a_request_with_two_ends_is_refused_or_leaves_with_one() {
    check(&[
        // The chunks count, and nothing may follow on that connection.
        (
            "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nhello\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHOST\r\n\r\n",
            Ok(&[CHUNKED]),
        ),
        (
            "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            Ok(&[CHUNKED]),
        ),
        (
            "GET / HTTP/1.1\r\nHOST\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\nHOST\r\n\r\n",
            Ok(&[("GET / HTTP/1.1", &["content-length: 5"], b"hello"), PLAIN]),
        ),
        ("GET / HTTP/1.1\r\nHOST\r\n\r\nGET / HTTP/1.1\r\nHOST\r\n\r\n", Ok(&[PLAIN, PLAIN])),
        (
            "GET / HTTP/1.1\r\nHOST\r\nX-A: 1\nX-B: 2\n\r\n",
            Ok(&[("GET / HTTP/1.1", &["x-a: 1", "x-b: 2"], b"")]),
        ),
    ]);
    check(refused![
        400: "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        400: "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 5, 5\r\n\r\nhello",
        400: "POST / HTTP/1.1\r\nHOST\r\nContent-Length: +5\r\n\r\nhello",
        400: "POST / HTTP/1.1\r\nHOST\r\nContent-Length: -1\r\n\r\nhello",
        400: "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 0x5\r\n\r\nhello",
        400: "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 5 \u{b}\r\n\r\nhello",
        400: "POST / HTTP/1.1\r\nHOST\r\nContent-Length:\r\n\r\nhello",
        400: "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 18446744073709551621\r\n\r\nhello",
        400: "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        400: "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        400: "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
        400: "POST / HTTP/1.0\r\nHOST\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400: "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    ]);
}

#[test]
fn a_line_that_could_be_two_is_refused() {
    check(refused![
        400: "GET / HTTP/1.1\r\nHOST\r\nX-A: one\r\n two\r\n\r\n",
        400: "GET / HTTP/1.1\r\nHOST\r\nX-A: one\0two\r\n\r\n",
        400: "GET / HTTP/1.1\r\nHOST\r\nX-A: one\rX-Session: user=root\r\n\r\n",
        400: "GET / HTTP/1.1\r\nHOST\r\n: nothing\r\n\r\n",
        400: "GET / HTTP/1.1\r\nHOST\r\nnonsense\r\n\r\n",
        400: "GET / HTTP/1.1\r\n HOST\r\n\r\n",
        400: "GET /a HTTP/1.1 b HTTP/1.1\r\nHOST\r\n\r\n",
        400: "GET / HTTP/9.9\r\nHOST\r\n\r\n",
        400: "GET / HTTP/1.1\r\nHOST\r\nX-A: 1\r\nX A: 2\r\n\r\n",
    ]);
}

#[test]
fn a_request_is_for_one_host_and_leaves_as_a_path() {
    check(refused![
        400: "GET / HTTP/1.1\r\n\r\n",
        400: "GET / HTTP/1.1\r\nHOST\r\nHost: other.example\r\n\r\n",
        400: "GET / HTTP/1.1\r\nHOST\r\nHOST\r\n\r\n",
        400: "GET / HTTP/1.1\r\nHost:\r\n\r\n",
        400: "GET / HTTP/1.1\r\nHost: user@shop.example\r\n\r\n",
        400: "GET / HTTP/1.1\r\nHost: shop.example/path\r\n\r\n",
        400: "GET / HTTP/1.1\r\nHost: shop.example:99999\r\n\r\n",
        400: "GET / HTTP/1.1\r\nHost: shop.example, other.example\r\n\r\n",
        400: "GET http://other.example/ HTTP/1.1\r\nHOST\r\n\r\n",
        400: "GET http://user@shop.example/ HTTP/1.1\r\nHost: shop.example\r\n\r\n",
        400: "GET ftp://shop.example/ HTTP/1.1\r\nHost: shop.example\r\n\r\n",
        405: "CONNECT shop.example:443 HTTP/1.1\r\nHost: shop.example:443\r\n\r\n",
        405: "TRACE / HTTP/1.1\r\nHOST\r\n\r\n",
        400: "GET /%00 HTTP/1.1\r\nHOST\r\n\r\n",
        400: "GET /a%zz HTTP/1.1\r\nHOST\r\n\r\n",
    ]);
    let application = Application::start();
    let gateway = crate::given::gateway(&application);
    for (line, host, seen) in [
        ("GET http://shop.example/a?b=%63 HTTP/1.1", "shop.example", "GET /a?b=%63 HTTP/1.1"),
        ("GET HTTP://SHOP.example:80 HTTP/1.1", "shop.example", "GET / HTTP/1.1"),
        ("GET /a/./b/../c HTTP/1.1", "shop.example", "GET /a/c HTTP/1.1"),
        ("OPTIONS * HTTP/1.1", "shop.example", "OPTIONS * HTTP/1.1"),
        ("PROPFIND /dav HTTP/1.1", "shop.example", "PROPFIND /dav HTTP/1.1"),
    ] {
        let mut client = gateway.connect();
        client.send(format!("{line}\r\nHost: {host}\r\n\r\n")).unwrap();
        let mut served = application.accept();
        let head = served.head();
        assert_eq!(head.lines().next(), Some(seen));
        assert!(head.contains("\r\nhost: shop.example\r\n"), "{head}");
        served.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(client.response().unwrap().status, 200);
    }
}

#[test]
fn what_is_for_one_connection_stays_on_it() {
    check(&[
        (
            "GET / HTTP/1.1\r\nHOST\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: timeout=5\r\n\
             Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic x\r\nTE: trailers\r\nX-Kept: 1\r\n\r\n",
            // Trailers are asked for anew, on our own connection.
            Ok(&[("GET / HTTP/1.1", &["x-kept: 1", "te: trailers", "connection: te"], b"")]),
        ),
        (
            "GET / HTTP/1.1\r\nHOST\r\nX-A: 1\r\nX-A: 2\r\n\r\n",
            Ok(&[("GET / HTTP/1.1", &["x-a: 1", "x-a: 2"], b"")]),
        ),
        // CVE-2016-5385
        ("GET / HTTP/1.1\r\nHOST\r\nProxy: http://elsewhere/\r\n\r\n", Ok(&[PLAIN])),
        (
            "POST / HTTP/1.1\r\nHOST\r\nConnection: Content-Length, Transfer-Encoding, Host\r\nContent-Length: 2\r\n\r\nhi",
            Ok(&[("POST / HTTP/1.1", &["content-length: 2"], b"hi")]),
        ),
        (
            "POST / HTTP/1.1\r\nHOST\r\nConnection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nhello\r\n0\r\n\r\n",
            Ok(&[CHUNKED]),
        ),
        (
            "GET / HTTP/1.1\r\nHOST\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n\r\n",
            Ok(&[PLAIN]),
        ),
        ("GET / HTTP/1.1\r\nHOST\r\nExpect: tea\r\n\r\n", Err(417)),
    ]);
}

#[test]
fn a_client_cannot_write_what_only_the_gateway_writes() {
    check(&[
        ("GET / HTTP/1.1\r\nHOST\r\nX-Session: user=root\r\n\r\n", Ok(&[PLAIN])),
        // CVE-2018-1283
        (
            "GET / HTTP/1.1\r\nHOST\r\nX_Session: user=root\r\nx.session: user=root\r\nX-SESSION: a\r\n\r\n",
            Ok(&[PLAIN]),
        ),
        ("GET / HTTP/1.1\r\nHOST\r\nConnection: close, X-Session\r\nX_session: 1\r\n\r\n", Ok(&[PLAIN])),
        (
            "GET / HTTP/1.1\r\nHOST\r\nX-Replace-Session: user=root\r\nX-Session-Conflicts: a\r\n\r\n",
            Ok(&[PLAIN]),
        ),
        (
            "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\nTrailer: X-Session\r\n\r\n\
             5;a=b\r\nhello\r\n0\r\nX-Session: user=root\r\n\r\n",
            Ok(&[CHUNKED]),
        ),
    ]);
}

#[test]
fn a_broken_chunk_never_becomes_a_whole_request() {
    let capture = Capture::start().unwrap();
    let unused = Application::start();
    let gateway = Plan { upstream: upstream([capture.address()]), ..plan(&unused) }.start();
    for body in [
        "zz\r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "   \r\nhello\r\n0\r\n\r\n",
        "5\nhello\n0\n\n",
        "5\r\nhello, world\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5;a=\rb\r\nhello\r\n0\r\n\r\n",
        "\0\r\nhello\r\n0\r\n\r\n",
    ] {
        let mut client = gateway.sent(&format!(
            "POST / HTTP/1.1\r\nHOST\r\nTransfer-Encoding: chunked\r\n\r\n{body}GET /smuggled HTTP/1.1\r\nHOST\r\n\r\n"
        ));
        let status = client.response().map(|response| response.status);
        assert!(matches!(status, Ok(400) | Err(_)), "{body:?}: {status:?}");
        assert!(client.rest().unwrap().is_empty(), "{body:?}: something follows");
        assert!(capture.take().is_empty(), "{body:?}: the application saw a whole request");
        capture.take_fragments();
    }
}
