//! Paths of which two readers do not think differently.
//!
//! What stands before us, or behind us, may read a path in another way than we do: without what is doubled, with escapes and dots
//! resolved, without parameters. Whoever protects one path is passed by under another one then (CVE-2019-19791, CVE-2020-24660). So
//! a path that could be read in two ways is none.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

/// Answers requests for plain paths only. What hides its path is not found, whoever asks.
pub(super) async fn only_plain(request: Request, next: Next) -> Response {
    if plain(request.uri().path()).is_none() {
        return StatusCode::NOT_FOUND.into_response();
    }
    next.run(request).await
}

/// The path without its query, with its escapes resolved; none of one with empty parts, dots, or escapes that hide what divides it.
pub(super) fn plain(path: &str) -> Option<String> {
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let (mut plain, mut bytes) = (Vec::with_capacity(path.len()), path.bytes());
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16));
                let (high, low) = (digit()?, digit()?);
                u8::try_from(high << 4 | low).ok()?
            }
            byte => byte,
        };
        plain.push(byte);
        // An escaped slash, backslash, percent sign or NUL is seen by some.
        if matches!(byte, b'\\' | b'%' | 0) {
            return None;
        }
    }
    let plain = String::from_utf8(plain).ok()?;
    let has_hidden = plain.matches('/').count() != path.matches('/').count();
    let mut parts = plain.strip_prefix('/')?.split('/').peekable();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        // Some take away what stands behind a semicolon before they look for dots.
        let name = part.split(';').next().unwrap_or_default();
        if matches!(name, "." | "..") || (name.is_empty() && !(is_last && part.is_empty())) {
            return None;
        }
    }
    (!has_hidden).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_can_be_read_in_two_ways_is_none() {
        for path in
            ["/", "/sessions", "/sessions/", "/a/b;c", "/sessions/global/00/[a,b]", "/a.b/...", "/caf%C3%A9"]
        {
            assert!(plain(path).is_some(), "{path}");
        }
        assert_eq!(plain("/%61/b?c").as_deref(), Some("/a/b"));
        for path in [
            "",
            "sessions",
            "//a",
            "/a//b",
            "/a//",
            "/./a",
            "/a/.",
            "/a/..",
            "/a/../b",
            "/a/%2e%2e/b",
            "/a/%2E/b",
            "/a%2fb",
            "/a%5cb",
            "/a\\b",
            "/a%00",
            "/a%252fb",
            "/a%",
            "/a%2",
            "/a%zz",
            "/a/..;/b",
            "/a/;x/b",
            "/a/%3b/b",
            "/a/..;x",
            "/%ff",
        ] {
            assert_eq!(plain(path), None, "{path}");
        }
    }
}
