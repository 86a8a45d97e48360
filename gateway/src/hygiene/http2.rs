//! What HTTP/2 says in another way.
//!
//! Everything after this reads one way of saying things, and the application behind us is told in it too. The library has
//! refused what HTTP/2 forbids before: headers that are about the connection, `TE` other than `trailers`, names in capitals,
//! pseudo-headers twice or after others, a body of another length than was announced (RFC 9113, 8.1.1, 8.2, 8.3).

use http::header::{COOKIE, HOST};
use http::{HeaderMap, HeaderValue, Version, request};

use super::Refused;

/// Makes a request of HTTP/2 one that says the same as one of HTTP/1.1: the host in `Host`, and one `Cookie`
/// (RFC 9113, 8.2.3 and 8.3.1). Leaves others alone.
///
/// # Errors
/// It has more headers than `max_headers`.
pub fn unify(parts: &mut request::Parts, max_headers: usize) -> Result<(), Refused> {
    if parts.version != Version::HTTP_2 {
        return Ok(());
    }
    if parts.headers.len() > max_headers {
        return Err(Refused::TooManyHeaders);
    }
    join_cookies(&mut parts.headers);
    // Where both are there they are compared later.
    if let Some(authority) = parts.uri.authority()
        && !parts.headers.contains_key(HOST)
    {
        let host = HeaderValue::from_str(authority.as_str()).map_err(|_| Refused::BadHost)?;
        parts.headers.insert(HOST, host);
    }
    Ok(())
}

/// A browser may send each cookie by itself, so that those that stay the same compress better.
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else { return };
    let mut joined = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
    }
    // What legal values are made of is a legal value.
    if let Ok(mut joined) = HeaderValue::from_bytes(&joined) {
        joined.set_sensitive(true);
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn unified(version: Version, target: &str, headers: &[(&str, &str)]) -> Result<HeaderMap, Refused> {
        let mut request = Request::builder().version(version).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        unify(&mut parts, 3).map(|()| parts.headers)
    }

    #[test]
    fn the_host_of_the_target_is_the_host() {
        let h2 = Version::HTTP_2;
        for (target, headers, host) in [
            ("https://a:8443/x", &[][..], Some("a:8443")),
            ("https://a/x", &[("host", "b")], Some("b")),
            ("/x", &[("host", "b")], Some("b")),
            ("/x", &[], None),
        ] {
            let unified = unified(h2, target, headers).unwrap();
            assert_eq!(unified.get(HOST).map(|host| host.to_str().unwrap()), host, "{target} {headers:?}");
        }
        assert!(unified(Version::HTTP_11, "http://a/", &[]).unwrap().is_empty());
    }

    #[test]
    fn crumbs_are_one_cookie_again() {
        let crumbs = [("cookie", "a=1"), ("cookie", "b=2; c=3"), ("cookie", "d=4")];
        let joined = unified(Version::HTTP_2, "/", &crumbs).unwrap();
        let values: Vec<_> = joined.get_all(COOKIE).iter().collect();
        assert_eq!(values, ["a=1; b=2; c=3; d=4"]);
        assert_eq!(unified(Version::HTTP_11, "/", &crumbs).unwrap().get_all(COOKIE).iter().count(), 3);
    }

    #[test]
    fn headers_are_counted() {
        let many = [("x-a", "1"), ("x-b", "1"), ("x-c", "1"), ("x-c", "1")];
        assert_eq!(unified(Version::HTTP_2, "/", &many).unwrap_err(), Refused::TooManyHeaders);
        assert!(unified(Version::HTTP_2, "/", &many[..3]).is_ok());
    }
}
