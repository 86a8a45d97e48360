//! What was meant for one connection and must not travel on (RFC 9110, 7.6.1).

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, request, response};

/// Removed from every message, beside whatever `Connection` names.
static HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Removed from requests as well: `Proxy` would become `HTTP_PROXY` in a CGI program (CVE-2016-5385), and
/// `HTTP2-Settings` belongs to an upgrade that never passes.
static NEVER_FORWARDED: [HeaderName; 2] =
    [HeaderName::from_static("proxy"), HeaderName::from_static("http2-settings")];

/// Removes what is meant for the client's connection only. Returns the protocol that the client wants to change to,
/// for [`pass_upgrade`], if it may be passed on at all.
///
/// An upgrade counts only in HTTP/1.1 and when `Connection` names it. One to `h2c` never passes: its requests would
/// travel past every rule here. Allocates only for more than one `Connection` header.
pub fn strip_request(parts: &mut request::Parts) -> Option<HeaderValue> {
    let upgrade = wanted_upgrade(parts.version, &parts.headers);
    strip(&mut parts.headers, |name| HOP_BY_HOP.contains(name) || NEVER_FORWARDED.contains(name));
    upgrade
}

/// Asks the application for the upgrade that [`strip_request`] returned.
pub fn pass_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Removes what is meant for the application's connection only. A 101 keeps its upgrade. Call it after the update
/// header was taken: `Connection` may name that.
///
/// A length beside chunks goes as well: it is not that of the body (RFC 9112, 6.3), and would cut it off.
pub fn strip_response(parts: &mut response::Parts) {
    if parts.headers.contains_key(TRANSFER_ENCODING) {
        parts.headers.remove(CONTENT_LENGTH);
    }
    let upgrade = match parts.status {
        StatusCode::SWITCHING_PROTOCOLS => parts.headers.get(UPGRADE).cloned(),
        _ => None,
    };
    strip(&mut parts.headers, |name| HOP_BY_HOP.contains(name));
    if let Some(protocol) = upgrade {
        pass_upgrade(&mut parts.headers, protocol);
    }
}

/// Removes what `Connection` names and what `goes`, which holds for few names, whatever is sent.
fn strip(headers: &mut HeaderMap, goes: impl Fn(&HeaderName) -> bool) {
    let mut values = headers.get_all(CONNECTION).iter().cloned();
    // An empty vector takes no memory.
    let (first, others) = (values.next(), values.collect::<Vec<HeaderValue>>());
    first.iter().chain(&others).for_each(|value| remove_nominated(headers, value));
    // A message has fewer names than there are to look for, and seldom one of them.
    while let Some(name) = headers.keys().find(|name| goes(name)).cloned() {
        headers.remove(name);
    }
}

/// Removes the headers that a `Connection` value names. Not those without which the message would be another one:
/// nobody has a good reason to name them. `keep-alive`, which is said most, goes anyway.
fn remove_nominated(headers: &mut HeaderMap, value: &HeaderValue) {
    if value.as_bytes().eq_ignore_ascii_case(b"keep-alive") {
        return;
    }
    // Byte by byte: what is no name hides none that stands beside it.
    for name in value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        let Ok(name) = HeaderName::from_bytes(name) else { continue };
        if name != HOST && name != CONTENT_LENGTH {
            headers.remove(name);
        }
    }
}

fn wanted_upgrade(version: Version, headers: &HeaderMap) -> Option<HeaderValue> {
    let mut protocols = headers.get_all(UPGRADE).iter();
    let (Some(protocol), None) = (protocols.next(), protocols.next()) else {
        return None;
    };
    let named = headers.get_all(CONNECTION).iter().any(|value| lists(value, "upgrade"));
    (version == Version::HTTP_11 && named && !lists(protocol, "h2c")).then(|| protocol.clone())
}

/// Whether a comma-separated list holds `token`, in any case.
fn lists(value: &HeaderValue, token: &str) -> bool {
    value
        .as_bytes()
        .split(|byte| *byte == b',')
        .any(|listed| listed.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use proptest::prelude::*;

    use super::*;

    fn request(version: Version, headers: &[(&str, &str)]) -> request::Parts {
        let mut request = Request::builder().version(version);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn response(status: u16, headers: &[(&str, &str)]) -> response::Parts {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        response.body(()).unwrap().into_parts().0
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn what_is_meant_for_the_connection_goes() {
        let mut parts = request(
            Version::HTTP_11,
            &[
                ("Host", "a"),
                ("Keep-Alive", "5"),
                ("Proxy-Connection", "keep-alive"),
                ("Proxy-Authorization", "Basic x"),
                ("Proxy-Authenticate", "Basic"),
                ("TE", "trailers"),
                ("Trailer", "X"),
                ("Transfer-Encoding", "chunked"),
                ("Upgrade", "websocket"),
                ("Proxy", "http://evil"),
                ("Accept", "*/*"),
            ],
        );
        assert_eq!(strip_request(&mut parts), None);
        assert_eq!(names(&parts.headers), ["accept", "host"]);
    }

    #[test]
    fn what_is_no_name_hides_none_beside_it() {
        let mut parts = request(Version::HTTP_11, &[("X-Trace", "1"), ("Accept", "*/*")]);
        let odd = HeaderValue::from_bytes(b"\xff\xfe, x trace, , X-Trace").unwrap();
        parts.headers.insert(CONNECTION, odd);
        strip_request(&mut parts);
        assert_eq!(names(&parts.headers), ["accept"]);
    }

    #[test]
    fn what_connection_names_goes_in_every_copy() {
        let mut parts = request(
            Version::HTTP_11,
            &[
                ("Host", "a"),
                ("Content-Length", "3"),
                ("Connection", "close, X-One ,,x-TWO, bad name,"),
                ("Connection", "x-three, host, Content-Length, connection"),
                ("X-One", "1"),
                ("X-One", "2"),
                ("X-Two", "1"),
                ("X-Three", "1"),
                ("X-Four", "1"),
            ],
        );
        strip_request(&mut parts);
        assert_eq!(names(&parts.headers), ["content-length", "host", "x-four"]);
    }

    #[test]
    fn an_upgrade_passes_only_when_it_is_meant() {
        let websocket = ("Upgrade", "websocket");
        for (version, headers, passes) in [
            (Version::HTTP_11, &[("Connection", "keep-alive, Upgrade"), websocket][..], true),
            (Version::HTTP_11, &[("Connection", "keep-alive"), ("Connection", "upgrade"), websocket], true),
            (Version::HTTP_11, &[websocket], false),
            (Version::HTTP_11, &[("Connection", "upgrade")], false),
            (Version::HTTP_10, &[("Connection", "upgrade"), websocket], false),
            (Version::HTTP_11, &[("Connection", "upgrade"), ("Upgrade", "h2c")], false),
            (Version::HTTP_11, &[("Connection", "upgrade"), ("Upgrade", "websocket, H2C")], false),
            (Version::HTTP_11, &[("Connection", "upgrade"), websocket, ("Upgrade", "h2c")], false),
        ] {
            let mut parts = request(version, headers);
            let upgrade = strip_request(&mut parts);
            assert_eq!(upgrade.is_some(), passes, "{version:?} {headers:?}");
            assert!(parts.headers.is_empty());
            if let Some(protocol) = upgrade {
                pass_upgrade(&mut parts.headers, protocol);
                assert_eq!(parts.headers.get(UPGRADE).unwrap(), "websocket");
                assert_eq!(parts.headers.get(CONNECTION).unwrap(), "upgrade");
            }
        }
    }

    #[test]
    fn a_response_keeps_its_upgrade_only_with_a_101() {
        let headers =
            [("Connection", "Upgrade, X-Hop"), ("Upgrade", "websocket"), ("X-Hop", "1"), ("X-End", "1")];
        let mut parts = response(101, &headers);
        strip_response(&mut parts);
        assert_eq!(names(&parts.headers), ["connection", "upgrade", "x-end"]);
        assert_eq!(parts.headers.get(CONNECTION).unwrap(), "upgrade");
        let mut parts = response(426, &headers);
        strip_response(&mut parts);
        assert_eq!(names(&parts.headers), ["x-end"]);
    }

    #[test]
    fn a_response_has_one_framing() {
        let mut parts = response(200, &[("Content-Length", "3"), ("Transfer-Encoding", "chunked")]);
        strip_response(&mut parts);
        assert!(parts.headers.is_empty());
        let mut parts = response(200, &[("Content-Length", "3")]);
        strip_response(&mut parts);
        assert_eq!(names(&parts.headers), ["content-length"]);
    }

    proptest! {
        /// Whatever `Connection` holds, none of what it names is left, and it is gone itself.
        #[test]
        fn nothing_that_is_named_travels_on(value in "[ ,a-cX\\-]{0,24}") {
            let mut parts = request(Version::HTTP_11, &[("Connection", &value), ("a", "1"), ("b-x", "1"), ("host", "h")]);
            strip_request(&mut parts);
            prop_assert!(parts.headers.contains_key("host") && !parts.headers.contains_key("connection"));
            for name in ["a", "b-x"] {
                let named = value.split(',').any(|named| named.trim().eq_ignore_ascii_case(name));
                prop_assert_eq!(parts.headers.contains_key(name), !named);
            }
        }
    }
}
