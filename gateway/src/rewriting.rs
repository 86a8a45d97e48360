//! What an application says of its own address, said in the visitors' terms.
//!
//! An application that believes to be at `http://127.0.0.1:9000/app` redirects there, and sets cookies for that path. Each
//! rule replaces a beginning, by whole segments, in `Location`, `Content-Location` and `Refresh`, in the `Path` of a
//! cookie, or a `Domain`. Everything else stays as it was, byte for byte, and so does whatever is longer than
//! [`MAX_BYTES`]: a hostile application makes us write no more than it wrote, and what the rule says (CVE-2026-34356).

use http::header::{CONTENT_LOCATION, LOCATION, REFRESH, SET_COOKIE};
use http::{HeaderMap, HeaderValue};

/// A value that is longer is passed on as it came; browsers take no such cookies.
const MAX_BYTES: usize = 8 << 10;

/// Which beginnings are replaced by which.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rewriting {
    /// Of URLs and paths: what the application says, and the path at which visitors find it.
    pub locations: Vec<(Box<str>, Box<str>)>,
    /// Of the paths of cookies.
    pub cookie_paths: Vec<(Box<str>, Box<str>)>,
    /// Whole domains of cookies, without a dot at the beginning.
    pub cookie_domains: Vec<(Box<str>, Box<str>)>,
}

impl Rewriting {
    /// Rewrites what an application answers. Does nothing, and allocates nothing, where there are no rules.
    pub(crate) fn apply(&self, headers: &mut HeaderMap) {
        if !self.locations.is_empty() {
            for name in [LOCATION, CONTENT_LOCATION] {
                rewrite(headers.get_mut(&name), |value| self.location(value));
            }
            rewrite(headers.get_mut(REFRESH), |value| self.refresh(value));
        }
        if !(self.cookie_paths.is_empty() && self.cookie_domains.is_empty())
            && let http::header::Entry::Occupied(mut cookies) = headers.entry(SET_COOKIE)
        {
            cookies.iter_mut().for_each(|cookie| rewrite(Some(cookie), |value| self.cookie(value)));
        }
    }

    fn location(&self, value: &str) -> Option<String> {
        // `//elsewhere/app` is no path, and `http://app//elsewhere` would become none.
        let rewritten = if leads_away(value) { None } else { replaced(&self.locations, value) };
        rewritten.filter(|rewritten| !leads_away(rewritten))
    }

    /// `5; url=http://app/next`, in quotes or not.
    fn refresh(&self, value: &str) -> Option<String> {
        let at = value.find('=').map(|at| at + 1)?;
        let (before, url) = value.split_at_checked(at)?;
        let says_url = before.trim_end_matches('=').trim_end();
        let says_url = says_url.get(says_url.len().checked_sub(3)?..)?.eq_ignore_ascii_case("url");
        let bare = url.trim_start().trim_start_matches(['"', '\'']);
        let (opening, _) = url.split_at_checked(url.len() - bare.len())?;
        let quote = opening.chars().next_back().filter(|last| matches!(last, '"' | '\''));
        let end = quote.and_then(|quote| bare.find(quote)).unwrap_or(bare.len());
        let (url, closing) = bare.split_at_checked(end)?;
        let rewritten = if says_url { self.location(url)? } else { return None };
        Some(format!("{before}{opening}{rewritten}{closing}"))
    }

    fn cookie(&self, value: &str) -> Option<String> {
        let mut pieces = value.split(';');
        let mut rewritten = pieces.next()?.to_owned();
        let mut has_changed = false;
        for piece in pieces {
            let change = self.attribute(piece);
            has_changed |= change.is_some();
            match change {
                Some(attribute) => rewritten.extend(["; ", &attribute]),
                None => rewritten.extend([";", piece]),
            }
        }
        has_changed.then_some(rewritten)
    }

    /// What an attribute becomes, if it becomes another one.
    fn attribute(&self, attribute: &str) -> Option<String> {
        let (name, value) = attribute.split_once('=')?;
        let (name, value) = (name.trim(), value.trim());
        if name.eq_ignore_ascii_case("path") {
            return replaced(&self.cookie_paths, value).map(|path| format!("Path={path}"));
        }
        if !name.eq_ignore_ascii_case("domain") {
            return None;
        }
        let domain = value.strip_prefix('.').unwrap_or(value);
        let (_, to) = self.cookie_domains.iter().find(|(from, _)| from.eq_ignore_ascii_case(domain))?;
        Some(format!("Domain={to}"))
    }
}

/// Whether a browser takes it for the address of another host. It takes no notice of tabs.
fn leads_away(location: &str) -> bool {
    let mut bytes = location.bytes().filter(|byte| *byte != b'\t');
    bytes.next() == Some(b'/') && matches!(bytes.next(), Some(b'/' | b'\\'))
}

/// Replaces a value by what `change` makes of it, if that is another one.
fn rewrite(value: Option<&mut HeaderValue>, change: impl Fn(&str) -> Option<String>) {
    let Some(value) = value else { return };
    let changed = match value.to_str() {
        Ok(text) if text.len() <= MAX_BYTES => change(text),
        _ => None,
    };
    if let Some(changed) = changed.and_then(|text| HeaderValue::try_from(text).ok()) {
        *value = changed;
    }
}

/// `value` with the longest beginning replaced that a rule names and that ends where a segment does.
fn replaced(rules: &[(Box<str>, Box<str>)], value: &str) -> Option<String> {
    let rest_of = |from: &str| {
        let rest = value.strip_prefix(from.trim_end_matches('/'))?;
        (rest.is_empty() || rest.starts_with(['/', '?', '#'])).then_some(rest)
    };
    let (_, rest, to) = rules
        .iter()
        .filter_map(|(from, to)| Some((from.len(), rest_of(from)?, to)))
        .max_by_key(|(length, ..)| *length)?;
    let to = to.trim_end_matches('/');
    let slash = if to.is_empty() && !rest.starts_with('/') { "/" } else { "" };
    Some(format!("{to}{slash}{rest}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rules() -> Rewriting {
        let pairs =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(from, to)| ((*from).into(), (*to).into())).collect();
        Rewriting {
            locations: pairs(&[
                ("http://127.0.0.1:9000", "/"),
                ("http://127.0.0.1:9000/app/", "/shop/"),
                ("/app", "/shop"),
            ]),
            cookie_paths: pairs(&[("/app", "/shop")]),
            cookie_domains: pairs(&[("app.internal", "shop.example.org")]),
        }
    }

    fn said(name: http::HeaderName, value: &str) -> String {
        let mut headers = HeaderMap::from_iter([(name.clone(), HeaderValue::from_str(value).unwrap())]);
        rules().apply(&mut headers);
        headers.get(name).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn an_address_of_the_application_becomes_one_of_ours() {
        for (value, expected) in [
            ("http://127.0.0.1:9000/app/cart?id=1#top", "/shop/cart?id=1#top"),
            ("http://127.0.0.1:9000/app", "/shop"),
            ("http://127.0.0.1:9000", "/"),
            ("http://127.0.0.1:9000?a=1", "/?a=1"),
            ("http://127.0.0.1:9000/other", "/other"),
            ("/app/cart", "/shop/cart"),
            // These are somebody else's.
            ("/apple", "/apple"),
            ("http://127.0.0.1:90001/app", "http://127.0.0.1:90001/app"),
            ("http://127.0.0.1:9000@evil.example/", "http://127.0.0.1:9000@evil.example/"),
            ("http://127.0.0.1:9000.evil.example/", "http://127.0.0.1:9000.evil.example/"),
            ("https://elsewhere.example/app", "https://elsewhere.example/app"),
            // And these would lead away.
            ("http://127.0.0.1:9000//evil.example/", "http://127.0.0.1:9000//evil.example/"),
            ("http://127.0.0.1:9000/\\evil.example/", "http://127.0.0.1:9000/\\evil.example/"),
            ("http://127.0.0.1:9000/\t/evil.example/", "http://127.0.0.1:9000/\t/evil.example/"),
        ] {
            assert_eq!(said(LOCATION, value), expected);
            assert_eq!(said(CONTENT_LOCATION, value), expected);
            assert_eq!(said(REFRESH, &format!("5; URL={value}")), format!("5; URL={expected}"));
            assert_eq!(said(REFRESH, &format!("5; url='{value}'")), format!("5; url='{expected}'"));
        }
        for value in ["5", "5; uri=/app", "=", "url=", "; =/app"] {
            assert_eq!(said(REFRESH, value), value);
        }
    }

    #[test]
    fn the_address_of_another_host_is_no_path() {
        let all = Rewriting { locations: vec![("/".into(), "/shop".into())], ..Rewriting::default() };
        for (value, expected) in [
            ("/cart", "/shop/cart"),
            ("//elsewhere.example/cart", "//elsewhere.example/cart"),
            ("/\\elsewhere.example/cart", "/\\elsewhere.example/cart"),
            ("/\t/elsewhere.example/cart", "/\t/elsewhere.example/cart"),
        ] {
            assert_eq!(all.location(value).as_deref().unwrap_or(value), expected);
        }
    }

    #[test]
    fn cookies_of_the_application_are_for_its_visitors() {
        for (value, expected) in [
            ("a=/app; Path=/app; HttpOnly", "a=/app; Path=/shop; HttpOnly"),
            ("a=1;path=/app/x;Domain=.App.Internal", "a=1; Path=/shop/x; Domain=shop.example.org"),
            ("a=1; Path=/apple; Domain=other.internal", "a=1; Path=/apple; Domain=other.internal"),
            ("a=1", "a=1"),
            ("Path=/app", "Path=/app"),
        ] {
            assert_eq!(said(SET_COOKIE, value), expected);
        }
    }

    /// CVE-2026-34356: attributes of a hostile application overran a buffer that was measured for one replacement.
    #[test]
    fn a_cookie_with_attributes_without_end_is_no_trouble() {
        let many = format!("a=1{}", "; Path=/app".repeat(700));
        assert_eq!(said(SET_COOKIE, &many), format!("a=1{}", "; Path=/shop".repeat(700)));
        let long = format!("a=1; Path=/app/{}", "x".repeat(60_000));
        assert_eq!(said(SET_COOKIE, &long), long);
    }

    proptest! {
        /// Whatever an application says, what comes out is not much more than that.
        #[test]
        fn rewriting_is_total_and_bounded(value in "[ -~]{0,40}(; ?(Path|domain|url)=[/app.internal;]{0,12}){0,6}") {
            for name in [LOCATION, REFRESH, SET_COOKIE] {
                let rewritten = said(name, value.trim());
                prop_assert!(rewritten.len() <= 3 * value.len() + 20);
            }
        }
    }
}
