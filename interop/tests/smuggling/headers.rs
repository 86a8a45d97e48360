//! Headers that only the gateway may write, and headers that are for one connection.

use super::Then::{Declined, Forwarded};
use super::{Case, PLAIN, Seen, check};

/// A visit with the session, as the application sees it.
const WITH_SESSION: Seen = Seen { line: "GET / HTTP/1.1", headers: &["x-session: user=ada"], body: b"" };

#[test]
fn a_visitor_cannot_write_the_session() {
    check(&[
        Case {
            name: "X-Session without a session",
            sent: b"GET / HTTP/1.1\r\nHost: {host}\r\nX-Session: user=root\r\n\r\n",
            then: Forwarded(&[PLAIN]),
        },
        Case {
            name: "X_Session, which CGI, WSGI and PHP read as X-Session (CVE-2018-1283)",
            sent: b"GET / HTTP/1.1\r\nHost: {host}\r\nX_Session: user=root\r\n\r\n",
            then: Forwarded(&[PLAIN]),
        },
        Case {
            name: "x-session in every spelling at once, beside a real session",
            sent: b"GET / HTTP/1.1\r\nHost: {host}\r\nx-session: user=root\r\nX-SESSION: user=root\r\n\
                    x_session: user=root\r\nX.Session: user=root\r\nCookie: {cookie}\r\nX-Session: user=root\r\n\r\n",
            then: Forwarded(&[WITH_SESSION]),
        },
        Case {
            name: "Connection naming the header that the gateway presents",
            sent: b"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close, X-Session\r\nCookie: {cookie}\r\n\r\n",
            then: Forwarded(&[WITH_SESSION]),
        },
        Case {
            name: "Connection naming what the gateway says about the visitor",
            sent: b"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: X-Forwarded-For, Forwarded, Host\r\n\r\n",
            then: Forwarded(&[PLAIN]),
        },
        Case {
            name: "the update header, which is the application's to send",
            sent: b"GET / HTTP/1.1\r\nHost: {host}\r\nX-Replace-Session: user=root\r\nCookie: {cookie}\r\n\r\n",
            then: Forwarded(&[WITH_SESSION]),
        },
    ]);
}

#[test]
fn a_visitor_cannot_say_where_he_comes_from() {
    check(&[
        Case {
            name: "X-Forwarded-* and Forwarded from nobody that is trusted",
            sent: b"GET / HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\n\
                    X-Forwarded-Host: elsewhere\r\nForwarded: for=10.0.0.1\r\nX-Forwarded-For: 10.0.0.2\r\n\r\n",
            then: Forwarded(&[PLAIN]),
        },
        Case {
            name: "the same with underscores",
            sent: b"GET / HTTP/1.1\r\nHost: {host}\r\nX_Forwarded_For: 10.0.0.1\r\nX_Forwarded_Proto: https\r\n\r\n",
            then: Forwarded(&[PLAIN]),
        },
    ]);
}

#[test]
fn what_is_for_one_connection_stays_on_it() {
    check(&[
        Case {
            name: "hop-by-hop headers, and one that Connection names",
            sent: b"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive, X-Mine\r\nX-Mine: 1\r\n\
                    Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic x\r\n\
                    TE: trailers\r\nX-Kept: 1\r\n\r\n",
            // Trailers are asked for anew, on our own connection.
            then: Forwarded(&[Seen {
                line: "GET / HTTP/1.1",
                headers: &["connection: te", "te: trailers", "x-kept: 1"],
                body: b"",
            }]),
        },
        Case {
            name: "Proxy, which a CGI program takes for its own configuration (CVE-2016-5385)",
            sent: b"GET / HTTP/1.1\r\nHost: {host}\r\nProxy: http://elsewhere/\r\n\r\n",
            then: Forwarded(&[PLAIN]),
        },
        Case {
            name: "an expectation that nobody can meet",
            sent: b"GET / HTTP/1.1\r\nHost: {host}\r\nExpect: tea\r\n\r\n",
            then: Declined(417),
        },
    ]);
}
