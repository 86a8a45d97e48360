//! A cookie of our name that an application tries to set.

use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};

/// Removes from a response of the application each `Set-Cookie` that a browser would send back under one of our
/// names, and returns how many. Of two cookies of one name a browser keeps the later one, so it would win over
/// ours. To be called before ours is added.
///
/// That includes a cookie without a name: a browser that stored `=session=x` sends `session=x` (section 5.8.3).
/// Allocates only when something has to go.
pub fn remove_impostors(headers: &mut HeaderMap, names: &[impl AsRef<str>]) -> usize {
    let is_impostor = |value: &&HeaderValue| names.iter().any(|name| sets(value.as_bytes(), name.as_ref()));
    let count = headers.get_all(SET_COOKIE).iter().filter(is_impostor).count();
    if count > 0 {
        let kept: Vec<HeaderValue> =
            headers.get_all(SET_COOKIE).iter().filter(|value| !is_impostor(value)).cloned().collect();
        headers.remove(SET_COOKIE);
        for value in kept {
            headers.append(SET_COOKIE, value);
        }
    }
    count
}

/// Whether the browser that took this `Set-Cookie` would send a cookie called `name` (section 5.6).
fn sets(value: &[u8], name: &str) -> bool {
    let pair = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    let pair = match pair.strip_prefix(b"=") {
        Some(nameless) => nameless.trim_ascii_start(),
        None => pair,
    };
    let (start, rest) = match pair.iter().position(|byte| *byte == b'=') {
        Some(end) => pair.split_at_checked(end).unwrap_or((pair, b"")),
        None => (pair, &b""[..]),
    };
    !rest.is_empty() && start.trim_ascii_end() == name.as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_cannot_set_our_cookie() {
        for (value, expected) in [
            ("session=x", true),
            ("session=x; Path=/; HttpOnly", true),
            (" session =x", true),
            ("session=", true),
            ("=session=x", true),
            (" = session=x; Path=/", true),
            ("session", false),
            ("Session=x", false),
            ("session2=x", false),
            ("a=1; session=x", false),
            ("a=session=x", false),
            ("=a", false),
            ("==session=x", false),
            ("", false),
        ] {
            assert_eq!(sets(value.as_bytes(), "session"), expected, "{value}");
        }
    }

    #[test]
    fn the_others_stay_in_order() {
        let mut headers = HeaderMap::new();
        for value in ["a=1", "session=x", "b=2; Secure", "form=y"] {
            headers.append(SET_COOKIE, HeaderValue::from_static(value));
        }
        assert_eq!(remove_impostors(&mut headers, &["session", "form"]), 2);
        assert_eq!(headers.get_all(SET_COOKIE).iter().collect::<Vec<_>>(), ["a=1", "b=2; Secure"]);
        assert_eq!(remove_impostors(&mut headers, &["session"]), 0);
        assert_eq!(remove_impostors(&mut HeaderMap::new(), &["session"]), 0);
    }
}
