//! What kind of answer a client can use.
//!
//! A person needs a page, a program needs something to parse, `curl` needs a line. All we have to tell them
//! apart is the `Accept` header, and from newer browsers `Sec-Fetch-*`.

use http::header::{ACCEPT, HeaderMap, HeaderName};
use http::{HeaderValue, Method};

/// The form of an answer of our own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// A page for people.
    Html,
    /// JSON, for programs that ask for it.
    Json,
    /// A line of text, for everybody else.
    Text,
}

impl Wants {
    /// The form that the `Accept` headers prefer; of equals the first in the order of this type. `*/*` names
    /// no form, so it gets text.
    #[must_use]
    pub fn of(request: &HeaderMap) -> Self {
        let mut best = (0, Self::Text);
        for (quality, form) in request.get_all(ACCEPT).iter().flat_map(accepted).take(MAX_RANGES) {
            let better =
                quality > best.0 || (quality == best.0 && quality > 0 && form.rank() < best.1.rank());
            if better {
                best = (quality, form);
            }
        }
        best.1
    }

    const fn rank(self) -> u8 {
        match self {
            Self::Html => 0,
            Self::Json => 1,
            Self::Text => 2,
        }
    }
}

/// How many media ranges of a request are looked at; browsers send fewer than ten.
const MAX_RANGES: usize = 32;

/// Whether this is a browser that goes to a page, which can be sent elsewhere and shows what it gets. A script,
/// an image or a stylesheet cannot: it needs an answer with a status.
#[must_use]
pub fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
    const DESTINATION: HeaderName = HeaderName::from_static("sec-fetch-dest");
    const REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");
    if !matches!(*method, Method::GET | Method::HEAD | Method::POST) {
        return false;
    }
    if let Some(mode) = headers.get(MODE) {
        let destination = headers.get(DESTINATION).map(HeaderValue::as_bytes);
        // A navigation that passes through a service worker has lost its destination; no script can make one.
        return mode == "navigate"
            && matches!(destination, None | Some(b"document" | b"iframe" | b"frame" | b"empty"));
    }
    // jQuery and its kin ask for `text/html` too, and say so.
    let by_script =
        headers.get(REQUESTED_WITH).is_some_and(|by| by.as_bytes().eq_ignore_ascii_case(b"XMLHttpRequest"));
    !by_script && Wants::of(headers) == Wants::Html
}

/// The forms that one header names, with their quality from 0 to 1000.
fn accepted(header: &HeaderValue) -> impl Iterator<Item = (u16, Wants)> {
    header.to_str().unwrap_or_default().split(',').filter_map(|range| {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next()?.to_ascii_lowercase();
        let form = match name.as_str() {
            "text/html" | "application/xhtml+xml" => Wants::Html,
            "application/json" | "application/problem+json" => Wants::Json,
            name if name.starts_with("application/") && name.ends_with("+json") => Wants::Json,
            "text/plain" | "text/*" | "*/*" => Wants::Text,
            _ => return None,
        };
        let quality =
            parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q="))).map_or(1000, quality);
        // What matches anything says nothing about what is understood best.
        let quality = if name.ends_with('*') { quality.min(1) } else { quality };
        Some((quality, form))
    })
}

/// A quality as RFC 9110, 12.4.2 writes it, in thousandths; what is no number counts as unwanted.
fn quality(text: &str) -> u16 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = fraction.bytes().all(|b| b.is_ascii_digit());
    match (whole, fraction.len()) {
        ("1", 0..=3) if digits => 1000,
        ("0", 0..=3) if digits => format!("{fraction:0<3}").parse().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()))
            .collect()
    }

    #[test]
    fn each_client_gets_what_it_can_use() {
        for (accept, expected) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", Wants::Html),
            ("TEXT/HTML", Wants::Html),
            ("*/*", Wants::Text),
            ("", Wants::Text),
            ("application/json", Wants::Json),
            ("application/json, text/plain, */*", Wants::Json),
            ("application/vnd.api+json", Wants::Json),
            ("text/html;q=0.5, application/json", Wants::Json),
            ("application/json;q=0.5, text/html;q=0.6", Wants::Html),
            ("text/html;q=0, application/json;q=0.001", Wants::Json),
            ("text/html;q=0", Wants::Text),
            ("text/html;q=2", Wants::Text),
            ("text/html;level=1;q=0.7, text/plain;q=0.2", Wants::Html),
            ("image/png", Wants::Text),
            (",,;,/;q", Wants::Text),
        ] {
            assert_eq!(Wants::of(&headers(&[("accept", accept)])), expected, "{accept}");
        }
        assert_eq!(Wants::of(&HeaderMap::new()), Wants::Text);
    }

    #[test]
    fn a_page_is_asked_for_by_a_browser_that_navigates() {
        let html = "text/html,*/*;q=0.8";
        for (method, pairs, expected) in [
            (Method::GET, vec![("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")], true),
            (Method::POST, vec![("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")], true),
            (Method::GET, vec![("sec-fetch-mode", "navigate")], true),
            (Method::GET, vec![("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "empty")], true),
            (
                Method::GET,
                vec![("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), ("accept", html)],
                false,
            ),
            (Method::GET, vec![("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "object")], false),
            (Method::GET, vec![("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "image")], false),
            (Method::GET, vec![("accept", html)], true),
            (Method::GET, vec![("accept", html), ("x-requested-with", "XMLHttpRequest")], false),
            (Method::GET, vec![("accept", "*/*")], false),
            (Method::GET, vec![], false),
            (Method::PUT, vec![("accept", html)], false),
        ] {
            assert_eq!(is_navigation(&method, &headers(&pairs)), expected, "{method} {pairs:?}");
        }
    }

    proptest! {
        #[test]
        fn any_accept_header_is_understood_somehow(bytes in prop::collection::vec(32u8..=126, 0..200)) {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_bytes(&bytes).unwrap());
            let wants = Wants::of(&headers);
            prop_assert!(wants != Wants::Html || String::from_utf8(bytes).unwrap().to_lowercase().contains("html"));
        }
    }
}
