//! Where a request comes from, as far as the browser says it.
//!
//! `Sec-Fetch-Site` and `Origin` are set by the browser and by no page: where they are there, they can be
//! relied on. Where they are not, nothing is known.

use http::HeaderMap;
use http::header::{HOST, HeaderName, ORIGIN, REFERER};

use super::return_to::ReturnTo;

const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether the browser shows that a page of the same origin made this request.
pub(super) fn is_same(headers: &HeaderMap) -> bool {
    match headers.get(SITE) {
        Some(site) => site == "same-origin",
        None => only(headers, ORIGIN).is_some_and(|origin| is_of_host(headers, origin)),
    }
}

/// Whether the browser shows that a page of another origin made this request.
pub(super) fn is_foreign(headers: &HeaderMap) -> bool {
    headers.get(SITE).is_some_and(|site| site == "cross-site" || site == "same-site")
}

/// The page that made this request, if it is of the same origin.
pub(super) fn page(headers: &HeaderMap) -> Option<ReturnTo> {
    let from = only(headers, REFERER)?;
    let after = from.split_once("://")?.1;
    let path = after.find('/').and_then(|at| after.get(at..))?;
    if is_of_host(headers, from) { ReturnTo::parse(path) } else { None }
}

/// Whether `url` is of the host that was asked. We may not know whether TLS was spoken in front of us, so the
/// scheme does not count but for its port.
fn is_of_host(headers: &HeaderMap, url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else {
        return false;
    };
    let port = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return false,
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some(host) = only(headers, HOST) else {
        return false;
    };
    let bare = |authority: &str| authority.strip_suffix(port).unwrap_or(authority).to_ascii_lowercase();
    !host.is_empty() && !authority.contains('@') && bare(authority) == bare(host)
}

/// The value of a header that is there exactly once.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn the_browser_shows_the_origin_of_a_request() {
        for (pairs, same, foreign) in [
            (vec![("sec-fetch-site", "same-origin")], true, false),
            (vec![("sec-fetch-site", "same-site")], false, true),
            (vec![("sec-fetch-site", "cross-site")], false, true),
            (vec![("sec-fetch-site", "none")], false, false),
            (vec![], false, false),
            (vec![("host", "shop.example"), ("origin", "https://shop.example")], true, false),
            (vec![("host", "shop.example"), ("origin", "https://SHOP.example:443")], true, false),
            (vec![("host", "shop.example:80"), ("origin", "http://shop.example")], true, false),
            (vec![("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:8080")], true, false),
            (vec![("host", "127.0.0.1:8080"), ("origin", "http://127.0.0.1:8081")], false, false),
            (vec![("host", "shop.example"), ("origin", "https://shop.example:80")], false, false),
            (vec![("host", "shop.example"), ("origin", "https://evil.example")], false, false),
            (vec![("host", "shop.example"), ("origin", "https://shop.example.evil.example")], false, false),
            (vec![("host", "shop.example"), ("origin", "https://evil@shop.example")], false, false),
            (vec![("host", "shop.example"), ("origin", "null")], false, false),
            (vec![("host", "shop.example"), ("origin", "file://shop.example")], false, false),
            (vec![("host", ""), ("origin", "https://")], false, false),
            (vec![("host", "a"), ("origin", "http://a"), ("origin", "http://b")], false, false),
            // The newer header is the stronger word.
            (vec![("sec-fetch-site", "cross-site"), ("host", "a"), ("origin", "http://a")], false, true),
        ] {
            let headers = headers(&pairs);
            assert_eq!((is_same(&headers), is_foreign(&headers)), (same, foreign), "{pairs:?}");
        }
    }

    #[test]
    fn the_page_before_counts_if_it_is_ours() {
        for (referer, expected) in [
            ("http://a/form?x=1", Some("/form?x=1")),
            ("http://a:80/form", Some("/form")),
            ("http://b/form", None),
            ("http://a", None),
            ("http://a//evil.example", None),
            ("/form", None),
        ] {
            let page = page(&headers(&[("host", "a"), ("referer", referer)]));
            assert_eq!(page.as_ref().map(ReturnTo::as_str), expected, "{referer}");
        }
    }
}
