//! Where a request ends, and where the next one begins.

use super::Then::{Forwarded, Refused};
use super::{Case, PLAIN, Seen, check};

#[test]
fn a_request_with_two_ends_is_refused_or_forwarded_with_one() {
    check(&[
        Case {
            name: "Content-Length and Transfer-Encoding: the chunks count, and nothing follows on that connection",
            sent:
                b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n\
                    5\r\nhello\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n",
            then: Forwarded(&[CHUNKED_HELLO]),
        },
        Case {
            name: "Transfer-Encoding and Content-Length, in the other order",
            sent:
                b"POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n\
                    5\r\nhello\r\n0\r\n\r\n",
            then: Forwarded(&[CHUNKED_HELLO]),
        },
        Case {
            name: "two different Content-Length",
            sent: b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
            then: Refused(400),
        },
        Case {
            name: "Content-Length: 5, 5",
            sent: b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5, 5\r\n\r\nhello",
            then: Refused(400),
        },
        Case {
            name: "Content-Length: +5",
            sent: b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: +5\r\n\r\nhello",
            then: Refused(400),
        },
        Case {
            name: "Content-Length: -1",
            sent: b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: -1\r\n\r\nhello",
            then: Refused(400),
        },
        Case {
            name: "Content-Length: 0x5",
            sent: b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0x5\r\n\r\nhello",
            then: Refused(400),
        },
        Case {
            name: "Content-Length with nothing",
            sent: b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length:\r\n\r\n",
            then: Refused(400),
        },
        Case {
            name: "Content-Length past 64 bits",
            sent: b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 18446744073709551621\r\n\r\nhello",
            then: Refused(400),
        },
        Case {
            name: "Transfer-Encoding: xchunked",
            sent: b"POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
            then: Refused(400),
        },
        Case {
            name: "Transfer-Encoding: chunked, identity",
            sent: b"POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            then: Refused(400),
        },
        Case {
            name: "two Transfer-Encoding, the last one not chunked",
            sent: b"POST / HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\
                    Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
            then: Refused(400),
        },
        Case {
            name: "HTTP/1.0 and chunked (CVE-2026-2835)",
            sent: b"POST / HTTP/1.0\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            then: Refused(400),
        },
        Case {
            name: "a body that a GET does have, and the next request after it",
            sent: b"GET / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\nhello\
                    GET / HTTP/1.1\r\nHost: {host}\r\n\r\n",
            then: Forwarded(&[
                Seen { line: "GET / HTTP/1.1", headers: &["content-length: 5"], body: b"hello" },
                PLAIN,
            ]),
        },
        Case {
            name: "a GET with what looks like a body and no length is two requests",
            sent: b"GET / HTTP/1.1\r\nHost: {host}\r\n\r\nGET / HTTP/1.1\r\nHost: {host}\r\n\r\n",
            then: Forwarded(&[PLAIN, PLAIN]),
        },
    ]);
}

#[test]
fn a_header_line_that_could_be_two_is_refused() {
    check(&[
        Case {
            name: "a folded line",
            sent: b"GET / HTTP/1.1\r\nHost: {host}\r\nX-A: one\r\n two\r\n\r\n",
            then: Refused(400),
        },
        Case {
            name: "a NUL in a value",
            sent: b"GET / HTTP/1.1\r\nHost: {host}\r\nX-A: one\0two\r\n\r\n",
            then: Refused(400),
        },
        Case {
            name: "a space before the colon",
            sent: b"POST / HTTP/1.1\r\nHost: {host}\r\nContent-Length : 5\r\n\r\nhello",
            then: Refused(400),
        },
        Case {
            name: "a bare CR in a value",
            sent: b"GET / HTTP/1.1\r\nHost: {host}\r\nX-A: one\rX-Session: user=root\r\n\r\n",
            then: Refused(400),
        },
        Case {
            name: "a line without a name",
            sent: b"GET / HTTP/1.1\r\nHost: {host}\r\n: nothing\r\n\r\n",
            then: Refused(400),
        },
        Case {
            name: "a line without a colon",
            sent: b"GET / HTTP/1.1\r\nHost: {host}\r\nnonsense\r\n\r\n",
            then: Refused(400),
        },
        Case {
            name: "a first line that is folded",
            sent: b"GET / HTTP/1.1\r\n Host: {host}\r\n\r\n",
            then: Refused(400),
        },
        Case {
            name: "lines that end in LF alone are lines, and leave with CR LF",
            sent: b"GET / HTTP/1.1\nHost: {host}\nX-A: one\n\n",
            then: Forwarded(&[Seen { line: "GET / HTTP/1.1", headers: &["x-a: one"], body: b"" }]),
        },
        Case {
            name: "a space in the target",
            sent: b"GET /a HTTP/1.1 b HTTP/1.1\r\nHost: {host}\r\n\r\n",
            then: Refused(400),
        },
        Case {
            name: "another protocol",
            sent: b"GET / HTTP/9.9\r\nHost: {host}\r\n\r\n",
            then: Refused(400),
        },
        Case {
            name: "no HTTP at all",
            sent: b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 this is TLS\r\n\r\n",
            then: Refused(400),
        },
    ]);
}

const CHUNKED_HELLO: Seen = Seen {
    line: "POST / HTTP/1.1",
    headers: &["transfer-encoding: chunked"],
    body: b"5\r\nhello\r\n0\r\n\r\n",
};
