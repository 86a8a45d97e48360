//! Chunks that are none. Here the header of the request may be on its way to the application before the chunk is
//! read, so what counts is that the application never gets a whole request out of it, and nothing after it.

use std::time::Duration;

use interop::raw::Connection;

use super::Then::Forwarded;
use super::{Case, Seen, check, shown};
use crate::given;

const BROKEN: [(&str, &[u8]); 10] = [
    ("a size that is no number", b"zz\r\nhello\r\n0\r\n\r\n"),
    ("a size with a sign", b"+5\r\nhello\r\n0\r\n\r\n"),
    ("a size with 0x", b"0x5\r\nhello\r\n0\r\n\r\n"),
    ("a size past 64 bits", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
    ("no size", b"\r\nhello\r\n0\r\n\r\n"),
    ("a size of spaces", b"   \r\nhello\r\n0\r\n\r\n"),
    ("a line end of LF alone", b"5\nhello\n0\n\n"),
    ("a chunk longer than its size", b"5\r\nhello, world\r\n0\r\n\r\n"),
    ("a bare CR in an extension", b"5;a=\rb\r\nhello\r\n0\r\n\r\n"),
    ("a NUL for a size", b"\0\r\nhello\r\n0\r\n\r\n"),
];

#[test]
fn a_broken_chunk_never_becomes_a_whole_request() {
    let upstream = given::application();
    let cloakroom = given::gateway(&upstream);
    let host = cloakroom.gateway();
    for (name, body) in BROKEN {
        let mut connection = Connection::open(host).unwrap();
        let head = format!("POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n");
        connection.send(head).unwrap();
        connection.send(body).unwrap();
        // A second request that must not be answered: nobody knows where it begins.
        let _ = connection.send(format!("GET /smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        connection.patience(Duration::from_secs(5)).unwrap();
        let status = connection.response().map(|response| response.status);
        assert!(matches!(status, Ok(400 | 502) | Err(_)), "{name}: {status:?}");
        let rest = connection.rest().unwrap_or_else(|error| panic!("{name}: still open: {error}"));
        assert!(rest.is_empty(), "{name}: then came {}", shown(&rest));
        let seen = upstream.take();
        assert!(seen.is_empty(), "{name}: the application saw {seen:?}");
        upstream.take_fragments();
    }
    assert_eq!(given::visit(&cloakroom, "/", "").status, 200, "{}", cloakroom.log());
}

#[test]
fn a_body_that_ends_early_never_becomes_a_whole_request() {
    let upstream = given::application();
    let cloakroom = given::gateway(&upstream);
    let host = cloakroom.gateway();
    for half in ["Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"] {
        let mut connection = Connection::open(host).unwrap();
        connection.send(format!("POST / HTTP/1.1\r\nHost: {host}\r\n{half}")).unwrap();
        connection.finish().unwrap();
        let _ = connection.rest();
        let seen = upstream.take();
        assert!(seen.is_empty(), "{half:?}: the application saw {seen:?}");
        upstream.take_fragments();
    }
}

#[test]
fn chunks_are_forwarded_without_what_hides_in_them() {
    check(&[
        Case {
            name: "an extension goes",
            sent: b"POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n\
                    5;name=value\r\nhello\r\n0\r\n\r\n",
            then: Forwarded(&[HELLO]),
        },
        Case {
            name: "trailers go: no header that we present comes in behind the body",
            sent:
                b"POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\nTrailer: X-Session\r\n\r\n\
                    5\r\nhello\r\n0\r\nX-Session: user=root\r\n\r\n",
            then: Forwarded(&[HELLO]),
        },
    ]);
}

const HELLO: Seen = Seen {
    line: "POST / HTTP/1.1",
    headers: &["transfer-encoding: chunked"],
    body: b"5\r\nhello\r\n0\r\n\r\n",
};
