//! For which host a request is.
//!
//! There must be one answer: an application that believes another `Host` than the one by which we routed can be
//! led to build links, or to choose data, for somebody else.

use std::net::Ipv6Addr;

use http::header::HOST;
use http::uri::Scheme;
use http::{Method, Version, request};

use super::Refused;

/// A host as a client names it: a name or an address, and perhaps a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host<'a> {
    text: &'a str,
    name: &'a str,
    port: Option<u16>,
}

/// The one host that a request is for; `None` only for HTTP/1.0 without `Host`. Allocates nothing.
///
/// # Errors
/// There is none, there are several, they differ, or the method is none that passes here.
pub fn host(parts: &request::Parts) -> Result<Option<Host<'_>>, Refused> {
    if matches!(parts.method, Method::CONNECT | Method::TRACE) {
        return Err(Refused::Method);
    }
    let mut values = parts.headers.get_all(HOST).iter();
    let header = match (values.next(), values.next()) {
        (None, _) => None,
        (Some(value), None) => Some(Host::parse(value.to_str().map_err(|_| Refused::BadHost)?)?),
        (Some(_), Some(_)) => return Err(Refused::SeveralHosts),
    };
    let Some(authority) = parts.uri.authority() else {
        return match header {
            None if parts.version > Version::HTTP_10 => Err(Refused::NoHost),
            header => Ok(header),
        };
    };
    let usual_port = match parts.uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP => 80,
        Some(scheme) if *scheme == Scheme::HTTPS => 443,
        _ => return Err(Refused::BadTarget),
    };
    let target = Host::parse(authority.as_str())?;
    match header {
        Some(header) if target.is_same(&header, usual_port) => Ok(Some(header)),
        Some(_) => Err(Refused::OtherHost),
        // HTTP/2 names the host in the target; HTTP/1.1 needs the header all the same.
        None if parts.version == Version::HTTP_11 => Err(Refused::NoHost),
        None => Ok(Some(target)),
    }
}

impl<'a> Host<'a> {
    /// The host in `text`: a name of letters, digits, `-`, `_` and dots (at most 253 bytes), an IPv4 address, or an
    /// IPv6 address in brackets, with an optional `:port`. No user, no escapes.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &'a str) -> Result<Self, Refused> {
        // What follows the last colon is a port, unless that colon is inside the brackets of an address.
        let (name, port) = match text.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, Some(port)),
            _ => (text, None),
        };
        let port = port.map(parse_port).transpose()?;
        let valid = match name.strip_prefix('[').and_then(|address| address.strip_suffix(']')) {
            Some(address) => address.parse::<Ipv6Addr>().is_ok(),
            None => is_name(name),
        };
        if !valid {
            return Err(Refused::BadHost);
        }
        Ok(Self { text, name, port })
    }

    /// The host as it came, with its port.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        self.text
    }

    /// The name or address without the port, as it came; an IPv6 address in brackets.
    #[must_use]
    pub const fn name(&self) -> &'a str {
        self.name
    }

    /// The port, if one is given.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether this is the host called `name`, in any case and with or without the last dot, whatever the port.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        without_last_dot(self.name).eq_ignore_ascii_case(without_last_dot(name))
    }

    fn is_same(&self, other: &Host<'_>, usual_port: u16) -> bool {
        self.name.eq_ignore_ascii_case(other.name)
            && self.port.unwrap_or(usual_port) == other.port.unwrap_or(usual_port)
    }
}

fn parse_port(port: &str) -> Result<u16, Refused> {
    // `u16` would take a sign.
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| port.parse().ok()).flatten().ok_or(Refused::BadHost)
}

fn is_name(name: &str) -> bool {
    let name = without_last_dot(name).as_bytes();
    name.len() <= 253
        && name.split(|byte| *byte == b'.').all(|label| {
            !label.is_empty()
                && label.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        })
}

fn without_last_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use http::Request;
    use proptest::prelude::*;

    use super::*;

    fn parts(method: &str, target: &str, version: Version, hosts: &[&str]) -> request::Parts {
        let mut request = Request::builder().method(method).uri(target).version(version);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_request_is_for_exactly_one_host() {
        let (old, new) = (Version::HTTP_10, Version::HTTP_11);
        for (method, target, version, hosts, expected) in [
            ("GET", "/", new, &["example.org"][..], Ok(Some("example.org"))),
            ("OPTIONS", "*", new, &["example.org:8080"], Ok(Some("example.org:8080"))),
            ("GET", "/", new, &["EXAMPLE.org."], Ok(Some("EXAMPLE.org."))),
            ("GET", "/", new, &[], Err(Refused::NoHost)),
            ("GET", "/", old, &[], Ok(None)),
            ("GET", "/", old, &["a"], Ok(Some("a"))),
            ("GET", "/", new, &["a", "b"], Err(Refused::SeveralHosts)),
            ("GET", "/", new, &["a", "a"], Err(Refused::SeveralHosts)),
            ("GET", "/", old, &["a", "b"], Err(Refused::SeveralHosts)),
            ("GET", "/", new, &[""], Err(Refused::BadHost)),
            ("GET", "/", new, &["a, b"], Err(Refused::BadHost)),
            ("GET", "http://a/x", new, &["a"], Ok(Some("a"))),
            ("GET", "http://A:80/x", new, &["a"], Ok(Some("a"))),
            ("GET", "https://a/x", new, &["a:443"], Ok(Some("a:443"))),
            ("GET", "http://a/x", new, &["b"], Err(Refused::OtherHost)),
            ("GET", "http://a:81/x", new, &["a"], Err(Refused::OtherHost)),
            ("GET", "http://a/x", new, &[], Err(Refused::NoHost)),
            ("GET", "http://a/x", old, &[], Ok(Some("a"))),
            ("GET", "http://user@a/x", new, &["a"], Err(Refused::BadHost)),
            ("GET", "ftp://a/x", new, &["a"], Err(Refused::BadTarget)),
            ("GET", "a:80", new, &["a:80"], Err(Refused::BadTarget)),
            ("GET", "http://a/x", Version::HTTP_2, &[], Ok(Some("a"))),
            ("GET", "http://a/x", Version::HTTP_2, &["b"], Err(Refused::OtherHost)),
            ("CONNECT", "a:443", new, &["a:443"], Err(Refused::Method)),
            ("TRACE", "/", new, &["a"], Err(Refused::Method)),
        ] {
            let parts = parts(method, target, version, hosts);
            let found = host(&parts).map(|host| host.map(|host| host.as_str().to_owned()));
            assert_eq!(
                found,
                expected.map(|host: Option<&str>| host.map(str::to_owned)),
                "{method} {target} {version:?} {hosts:?}"
            );
        }
    }

    #[test]
    fn a_host_is_a_name_or_an_address_and_perhaps_a_port() {
        for (text, name, port) in [
            ("example.org", "example.org", None),
            ("xn--bcher-kva.example:8443", "xn--bcher-kva.example", Some(8443)),
            ("my_host", "my_host", None),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("[::1]", "[::1]", None),
            ("[2001:db8::1]:8080", "[2001:db8::1]", Some(8080)),
        ] {
            let host = Host::parse(text).unwrap();
            assert_eq!((host.name(), host.port(), host.as_str()), (name, port, text));
        }
        for text in [
            "",
            ":80",
            "a:",
            "a:+80",
            "a:65536",
            "a:80:90",
            "::1",
            "[::1",
            "[]",
            "[::1]x",
            "[::g]",
            "[1.2.3.4]",
            "a b",
            "a/b",
            "a@b",
            "a..b",
            ".a",
            "..",
            ".",
            "a%41",
            "bücher.example",
            "a\\b",
            "a,b",
            "a?b",
            "a#b",
            "[::1%25eth0]",
        ] {
            assert_eq!(Host::parse(text), Err(Refused::BadHost), "{text}");
        }
        assert!(Host::parse(&"a".repeat(254)).is_err());
    }

    #[test]
    fn names_are_compared_in_any_case() {
        let host = Host::parse("Example.ORG.:80").unwrap();
        assert!(host.is_called("example.org") && host.is_called("EXAMPLE.org."));
        assert!(!host.is_called("example.com"));
    }

    proptest! {
        /// What is accepted is the name, and the port after a colon, and nothing else.
        #[test]
        fn nothing_is_overlooked(text in "[a\\.:\\[\\]0-9@,é -]{0,12}") {
            if let Ok(host) = Host::parse(&text) {
                let rest = text.strip_prefix(host.name()).unwrap();
                prop_assert_eq!(host.port(), rest.strip_prefix(':').map(|port| port.parse().unwrap()));
                prop_assert!(host.port().is_some() || rest.is_empty());
            }
        }
    }
}
