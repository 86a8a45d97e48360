//! Where one goes back to after a login: the page that one came from, and only ever one of the same origin.
//!
//! mod_auth_form takes any location from the form, which makes it an open redirect. Ours is a path, checked
//! when it comes in, and it travels sealed.

use std::fmt;

use http::HeaderValue;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

use super::form::Form;

/// The longest path with its query, in bytes.
pub(super) const MAX_LENGTH: usize = 2 << 10;

/// The parameter of the login page that carries it.
const PARAMETER: &str = "return";

/// What has no place in a path or query as it is. What is escaped already stays so.
const UNSAFE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'`').add(b'{').add(b'}');

/// What stays readable in the value of a parameter.
const IN_QUERY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A path of this origin, perhaps with a query: visible ASCII that begins with exactly one `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReturnTo(Box<str>);

impl ReturnTo {
    /// Takes what no browser could read as the address of somebody else.
    ///
    /// Browsers take `\` for `/`, drop tabs and line ends, and read `//host` as another host: none of these is
    /// let in, nor an empty segment anywhere in the path.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let path = text.split(['?', '#']).next().unwrap_or_default();
        let fits = path.starts_with('/')
            && !path.contains("//")
            && !text.contains('\\')
            && !text.chars().any(char::is_control);
        if !fits || text.len() > MAX_LENGTH {
            return None;
        }
        let text = utf8_percent_encode(text, UNSAFE).to_string();
        (text.len() <= MAX_LENGTH).then(|| Self(text.into()))
    }

    /// What the query of the login page says.
    pub(super) fn from_query(query: Option<&str>) -> Option<Self> {
        let form = Form::parse(query?.as_bytes()).ok()?;
        Self::parse(form.field(PARAMETER))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The path without query and fragment.
    pub(super) fn path(&self) -> &str {
        self.0.split(['?', '#']).next().unwrap_or_default()
    }

    /// The address of `page`, carrying this along.
    pub(super) fn carried_by(&self, page: &str) -> String {
        format!("{page}?{PARAMETER}={}", utf8_percent_encode(&self.0, IN_QUERY))
    }

    /// For a `Location`.
    pub(super) fn header(text: &str) -> HeaderValue {
        // All that gets here is visible ASCII; the root is never wrong.
        HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("/"))
    }
}

impl fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_of_ours_is_kept() {
        for (text, expected) in [
            ("/", "/"),
            ("/a/b?c=d&e=f#g", "/a/b?c=d&e=f#g"),
            ("/a?next=https://example.org//x", "/a?next=https://example.org//x"),
            ("/a%2Fb", "/a%2Fb"),
            ("/a b\"<é>", "/a%20b%22%3C%C3%A9%3E"),
        ] {
            assert_eq!(ReturnTo::parse(text).unwrap().as_str(), expected);
        }
        assert_eq!(ReturnTo::parse("/a/b?c#d").unwrap().path(), "/a/b");
    }

    #[test]
    fn whatever_could_lead_elsewhere_is_not() {
        for text in [
            "",
            "a",
            "https://example.org/",
            "javascript:alert(1)",
            "//example.org",
            "///example.org",
            "/\\example.org",
            "\\\\example.org",
            "/a\\b",
            "/\t/example.org",
            "/\n/example.org",
            "\t//example.org",
            " //example.org",
            "/a\r\nSet-Cookie: x=1",
            "/a\0",
            "/a\u{7f}",
            "/a\u{85}",
            "/.//example.org",
            "/a//b",
            "?a=//b",
            "#/",
        ] {
            assert_eq!(ReturnTo::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn its_length_is_bounded_after_escaping_too() {
        assert!(ReturnTo::parse(&format!("/{}", "a".repeat(MAX_LENGTH - 1))).is_some());
        assert!(ReturnTo::parse(&format!("/{}", "a".repeat(MAX_LENGTH))).is_none());
        assert!(ReturnTo::parse(&format!("/{}", " ".repeat(MAX_LENGTH / 2))).is_none());
    }

    #[test]
    fn it_survives_the_way_through_the_login_page() {
        let from = ReturnTo::parse("/a b?c=d&e=%26+f#g").unwrap();
        let page = from.carried_by("/.cloakroom/login");
        assert_eq!(page, "/.cloakroom/login?return=/a%2520b%3Fc%3Dd%26e%3D%2526%2Bf%23g");
        assert_eq!(ReturnTo::from_query(page.split_once('?').map(|(_, query)| query)), Some(from));
        assert_eq!(ReturnTo::from_query(Some("return=//example.org")), None);
        assert_eq!(ReturnTo::from_query(Some("return=%zz")), None);
        assert_eq!(ReturnTo::from_query(None), None);
    }

    proptest! {
        /// Resolved against any page of ours, it is of the same origin.
        #[test]
        fn what_is_kept_never_leaves_the_origin(text in "[/\\\\.a:?#@ \t\n%é-]{0,12}") {
            if let Some(kept) = ReturnTo::parse(&text) {
                prop_assert!(kept.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
                let uri: http::Uri = kept.as_str().parse().unwrap();
                prop_assert!(uri.authority().is_none() && uri.scheme().is_none());
                prop_assert!(!kept.as_str().starts_with("//") && !kept.as_str().contains('\\'));
                prop_assert_eq!(ReturnTo::parse(kept.as_str()), Some(kept.clone()), "and it stays as it is");
            }
        }
    }
}
