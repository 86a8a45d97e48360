//! Fields that follow a body.
//!
//! Those of requests are dropped: an application would read them as headers that nobody has looked at. Those of answers
//! pass to who takes them (`TE: trailers`, or HTTP/2), without what is ours, in any spelling, and without what would mean
//! something at the head of a message: whoever joins them with the headers must not be told another framing, cookie or
//! rule for caches there (RFC 9110, 6.5.1).

use http::header::{
    ACCEPT_RANGES, AGE, ALT_SVC, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_LOCATION, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, DATE, EXPIRES, HOST,
    LOCATION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, REFRESH, RETRY_AFTER, SET_COOKIE,
    STRICT_TRANSPORT_SECURITY, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VARY, WARNING, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use crate::hygiene::Presented;

/// What belongs at the head of a message.
static FORBIDDEN: [HeaderName; 34] = [
    ACCEPT_RANGES,
    AGE,
    ALT_SVC,
    AUTHORIZATION,
    CACHE_CONTROL,
    CONNECTION,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_LOCATION,
    CONTENT_RANGE,
    CONTENT_SECURITY_POLICY,
    CONTENT_TYPE,
    COOKIE,
    DATE,
    EXPIRES,
    HOST,
    HeaderName::from_static("clear-site-data"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("set-cookie2"),
    LOCATION,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    REFRESH,
    RETRY_AFTER,
    SET_COOKIE,
    STRICT_TRANSPORT_SECURITY,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    VARY,
    WARNING,
    WWW_AUTHENTICATE,
];

/// Whether a client takes trailers, by the head of its request as it came.
pub(crate) fn are_taken(version: Version, headers: &HeaderMap) -> bool {
    version == Version::HTTP_2
        || headers.get_all(TE).iter().any(|value| {
            let mut listed = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
            listed.any(|coding| coding.eq_ignore_ascii_case(b"trailers"))
        })
}

/// The names that an answer announces, of those that may pass.
pub(crate) fn announced(headers: &HeaderMap, ours: &Presented) -> Option<HeaderValue> {
    let values =
        headers.get_all(TRAILER).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    let names: Vec<HeaderName> = values
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| may_pass(name, ours))
        .collect();
    let names: Vec<&str> = names.iter().map(HeaderName::as_str).collect();
    if names.is_empty() { None } else { HeaderValue::from_str(&names.join(", ")).ok() }
}

/// Leaves what may pass.
pub(crate) fn clean(trailers: &mut HeaderMap, ours: &Presented) {
    while let Some(name) = trailers.keys().find(|name| !may_pass(name, ours)).cloned() {
        trailers.remove(name);
    }
}

fn may_pass(name: &HeaderName, ours: &Presented) -> bool {
    !FORBIDDEN.contains(name) && !ours.covers(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours() -> Presented {
        Presented::new([&HeaderName::from_static("x-replace-session")])
    }

    #[test]
    fn nothing_of_ours_and_nothing_that_belongs_at_the_head_passes() {
        let names = [
            "x-checksum",
            "x-replace-session",
            "x_replace_session",
            "set-cookie",
            "content-length",
            "grpc-status",
        ];
        let mut trailers: HeaderMap =
            names.iter().map(|name| (HeaderName::from_static(name), HeaderValue::from_static("1"))).collect();
        clean(&mut trailers, &ours());
        let mut left: Vec<&str> = trailers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["grpc-status", "x-checksum"]);
    }

    #[test]
    fn only_what_may_pass_is_announced() {
        let mut headers = HeaderMap::new();
        headers.append(TRAILER, HeaderValue::from_static("X-Replace-Session, X-Checksum,, no name"));
        headers.append(TRAILER, HeaderValue::from_static("Set-Cookie,X-After"));
        assert_eq!(announced(&headers, &ours()).unwrap(), "x-checksum, x-after");
        assert_eq!(announced(&HeaderMap::new(), &ours()), None);
    }

    #[test]
    fn trailers_are_taken_by_who_says_so_and_by_http2() {
        for (version, te, expected) in [
            (Version::HTTP_11, "trailers", true),
            (Version::HTTP_11, "gzip, Trailers", true),
            (Version::HTTP_11, "gzip", false),
            (Version::HTTP_11, "x-trailers", false),
            (Version::HTTP_2, "", true),
        ] {
            let headers = HeaderMap::from_iter([(TE, HeaderValue::from_static(te))]);
            assert_eq!(are_taken(version, &headers), expected, "{te}");
        }
    }
}
