//! Which version of a session somebody has, in the headers of RFC 9110: the tag of a session is its revision.
//!
//! Its last use alone is no other revision: who asks with `If-None-Match` is not told of it.

use axum::http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue};
use session::Revision;

/// More tags than this in one header are not looked at.
const MAX_TAGS: usize = 64;

/// The tag of a revision.
pub(super) fn tag(revision: Revision) -> HeaderValue {
    // Digits between quotes are always one.
    HeaderValue::from_str(&format!("\"{}\"", revision.0))
        .unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}

/// At which revisions a session may be changed, by `If-Match`; `None`: at any. A weak tag, or one that is none of ours, is at no
/// revision.
pub(super) fn expected(headers: &HeaderMap) -> Option<Vec<Revision>> {
    headers.contains_key(IF_MATCH).then_some(())?;
    let tags = tags(headers, &IF_MATCH);
    if tags.contains(&"*") {
        return None;
    }
    Some(tags.into_iter().filter_map(revision).collect())
}

/// Whether somebody has this revision already, by `If-None-Match`.
pub(super) fn is_known(headers: &HeaderMap, is: Revision) -> bool {
    tags(headers, &IF_NONE_MATCH)
        .into_iter()
        .any(|tag| tag == "*" || revision(tag.strip_prefix("W/").unwrap_or(tag)) == Some(is))
}

fn tags<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Vec<&'h str> {
    let lines = headers.get_all(name).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).take(MAX_TAGS).collect()
}

fn revision(tag: &str) -> Option<Revision> {
    let digits = tag.strip_prefix('"')?.strip_suffix('"')?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok().map(Revision))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(name: HeaderName, lines: &[&str]) -> HeaderMap {
        lines.iter().map(|line| (name.clone(), line.parse().unwrap())).collect()
    }

    #[test]
    fn what_is_expected_is_what_the_tags_say() {
        assert_eq!(expected(&HeaderMap::new()), None);
        for (lines, revisions) in [
            (&["\"7\""][..], Some(vec![7])),
            (&["\"7\", \"8\"", "\"9\""], Some(vec![7, 8, 9])),
            (&["*"], None),
            // RFC 9110, 13.1.1: weak tags never match.
            (&["W/\"7\""], Some(vec![])),
            (&["7"], Some(vec![])),
            (&["\"+7\""], Some(vec![])),
            (&["\"\""], Some(vec![])),
            (&["\"99999999999999999999\""], Some(vec![])),
        ] {
            let revisions =
                revisions.map(|revisions| revisions.into_iter().map(Revision).collect::<Vec<_>>());
            assert_eq!(expected(&with(IF_MATCH, lines)), revisions, "{lines:?}");
        }
    }

    #[test]
    fn what_is_known_is_compared_weakly() {
        for (line, is_so) in [
            ("\"7\"", true),
            ("W/\"7\"", true),
            ("\"6\", \"7\"", true),
            ("*", true),
            ("\"6\"", false),
            ("7", false),
        ] {
            assert_eq!(is_known(&with(IF_NONE_MATCH, &[line]), Revision(7)), is_so, "{line}");
        }
        assert_eq!(tag(Revision(7)), "\"7\"");
    }
}
