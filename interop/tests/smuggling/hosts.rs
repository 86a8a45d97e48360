//! For whom a request is.

use super::Then::{Declined, Forwarded};
use super::{Case, PLAIN, check};

#[test]
fn a_request_names_one_host() {
    check(&[
        Case {
            name: "two Host lines",
            sent: b"GET / HTTP/1.1\r\nHost: {host}\r\nHost: shop.example.org\r\n\r\n",
            then: Declined(400),
        },
        Case {
            name: "the same Host twice",
            sent: b"GET / HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n\r\n",
            then: Declined(400),
        },
        Case { name: "no Host", sent: b"GET / HTTP/1.1\r\n\r\n", then: Declined(400) },
        Case { name: "an empty Host", sent: b"GET / HTTP/1.1\r\nHost:\r\n\r\n", then: Declined(400) },
        Case {
            name: "a Host with a user",
            sent: b"GET / HTTP/1.1\r\nHost: {host}@elsewhere\r\n\r\n",
            then: Declined(400),
        },
        Case {
            name: "a Host with a path",
            sent: b"GET / HTTP/1.1\r\nHost: {host}/elsewhere\r\n\r\n",
            then: Declined(400),
        },
        Case {
            name: "a Host with a port that is none",
            sent: b"GET / HTTP/1.1\r\nHost: 127.0.0.1:99999\r\n\r\n",
            then: Declined(400),
        },
        Case {
            name: "a whole address with another host",
            sent: b"GET http://shop.example.org/ HTTP/1.1\r\nHost: {host}\r\n\r\n",
            then: Declined(400),
        },
        Case {
            name: "a whole address with the same host leaves as a path",
            sent: b"GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n",
            then: Forwarded(&[PLAIN]),
        },
        Case {
            name: "a whole address with a user",
            sent: b"GET http://user@{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n",
            then: Declined(400),
        },
        Case {
            name: "a whole address of another protocol",
            sent: b"GET ftp://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n",
            then: Declined(400),
        },
    ]);
}
