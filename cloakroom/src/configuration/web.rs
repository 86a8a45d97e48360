//! The wordings of names that belong to the network: addresses, origins, hosts, paths, headers.
//!
//! What is read here is in one spelling afterwards (hosts in lower case, paths without a slash at the end), so
//! that whoever compares them compares plainly.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use gateway::hygiene::may_be_presented;
use gateway::path::{PathError, Prefix};
use gateway::rules::may_change;
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Method};
use ipnet::IpNet;

use super::form::{Wording, Wrong};

/// Where to listen.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address;

impl Wording for Address {
    type Value = SocketAddr;
    const NAME: &'static str = "address";
    const RULES: &'static str = "IP address and port";

    fn parse(text: &str) -> Result<SocketAddr, Wrong> {
        text.parse().map_err(|_| {
            Wrong::new(
                "is no address and port",
                "say \"127.0.0.1:8080\" or \"[::1]:8080\"; \"0.0.0.0:8080\" for all interfaces",
            )
        })
    }

    fn text(value: &SocketAddr) -> String {
        value.to_string()
    }
}

/// Scheme, host and port of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Whether the upstream speaks TLS.
    pub scheme: Scheme,
    /// A name or an address; an IPv6 address in brackets.
    pub host: String,
    /// The port; 80 or 443 where the text named none.
    pub port: u16,
}

impl Origin {
    /// Whether it is on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let address = self.host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        self.host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    }
}

/// How an upstream is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// In the clear.
    Http,
    /// Over TLS.
    Https,
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(formatter, "{scheme}://{}:{}", self.host, self.port)
    }
}

/// The wording of an [`Origin`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct OriginText;

impl Wording for OriginText {
    type Value = Origin;
    const NAME: &'static str = "origin";
    const RULES: &'static str = "scheme (http or https), host, port; no path";

    fn parse(text: &str) -> Result<Origin, Wrong> {
        let example = "say \"http://127.0.0.1:9000\"";
        // First of all, so that no other message shows the password.
        if text.contains('@') {
            let cure = "leave the user and the password out; Cloakroom does not log in to an upstream";
            return Err(Wrong { secret: true, ..Wrong::new("names a user", cure) });
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Scheme::Http, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Scheme::Https, rest),
            Some(_) => return Err(Wrong::new("has a scheme other than http and https", example)),
            None => return Err(Wrong::new("has no scheme", example)),
        };
        let authority_end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(authority_end).unwrap_or((rest, ""));
        let no_host = || Wrong::new("names no host", example);
        let authority: Authority = authority.parse().map_err(|_| no_host())?;
        let host = host_of(authority.host()).ok_or_else(no_host)?;
        let port = match (authority.port(), scheme) {
            (Some(port), _) => port.as_u16(),
            (None, _) if authority.as_str().len() > authority.host().len() => {
                return Err(Wrong::new("has a wrong port", example));
            }
            (None, Scheme::Http) => 80,
            (None, Scheme::Https) => 443,
        };
        if port == 0 {
            return Err(Wrong::new("has a wrong port", "a port is from 1 to 65535"));
        }
        let origin = Origin { scheme, host, port };
        if path.is_empty() {
            Ok(origin)
        } else {
            let cure = format!("paths reach the upstream as the visitor sent them: say \"{origin}\"");
            Err(Wrong::new("has a path, and is to be an origin", cure))
        }
    }

    fn text(value: &Origin) -> String {
        value.to_string()
    }
}

/// The name or address by which visitors come, without a port.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host;

impl Wording for Host {
    type Value = String;
    const NAME: &'static str = "host";
    const RULES: &'static str = "a name or an address, without port";

    fn parse(text: &str) -> Result<String, Wrong> {
        if text.contains("://") || text.contains('/') {
            return Err(Wrong::new("is a URL, not a host", "say only the name: \"shop.example.org\""));
        }
        if text.contains('*') {
            return Err(Wrong::new(
                "is a pattern, not a host",
                "name each host; leave `hosts` out to serve any",
            ));
        }
        if !text.is_ascii() {
            return Err(Wrong::new("is not in ASCII", "say it as browsers send it, beginning with \"xn--\""));
        }
        if let Some((name, port)) = text.rsplit_once(':')
            && !name.contains(':')
            && port.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Err(Wrong::new(
                "has a port",
                format!("say \"{name}\": an application is served on every port"),
            ));
        }
        host_of(text)
            .ok_or_else(|| Wrong::new("is no host", "say \"shop.example.org\", \"127.0.0.1\" or \"[::1]\""))
    }

    fn text(value: &String) -> String {
        value.clone()
    }
}

/// A host in lower case, an IPv6 address in brackets; nothing when it is no host.
fn host_of(text: &str) -> Option<String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match (bare, text.parse::<IpAddr>()) {
        (Some(inner), _) => {
            return inner.parse::<std::net::Ipv6Addr>().ok().map(|address| format!("[{address}]"));
        }
        (None, Ok(IpAddr::V4(address))) => return Some(address.to_string()),
        (None, Ok(IpAddr::V6(address))) => return Some(format!("[{address}]")),
        (None, Err(_)) => {}
    }
    let label_is_right = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (1..=63).contains(&label.len())
            && label.bytes().all(plain)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // The last label of a name is never a number: what looks so is a mistyped address.
    let numeric =
        text.rsplit('.').next().is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    (text.len() <= 253 && !numeric && text.split('.').all(label_is_right)).then(|| text.to_ascii_lowercase())
}

/// A path on this host, which stands for everything below it too, by whole segments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UrlPath;

impl Wording for UrlPath {
    type Value = String;
    const NAME: &'static str = "path";
    const RULES: &'static str = "begins with a slash";

    fn parse(text: &str) -> Result<String, Wrong> {
        if !text.starts_with('/') {
            return Err(Wrong::new(
                "does not begin with a slash",
                format!("say \"/{}\"", text.trim_start_matches("./")),
            ));
        }
        if text.contains(['?', '#']) {
            return Err(Wrong::new("has a query or a fragment", "say only the path"));
        }
        if text.contains('*') {
            return Err(Wrong::new(
                "is a pattern, not a path",
                "a path stands for everything below it as it is",
            ));
        }
        let no_path = |error: PathError| Wrong::new("is a path that no request has", error.to_string());
        let normal = Prefix::parse(text).map_err(no_path)?;
        let trimmed = text.strip_suffix('/').filter(|trimmed| !trimmed.is_empty()).unwrap_or(text);
        if normal.as_str() == trimmed {
            Ok(trimmed.to_owned())
        } else {
            let cure = format!("requests have it as \"{}\"", normal.as_str());
            Err(Wrong::new("is not in its normal form", cure))
        }
    }

    fn text(value: &String) -> String {
        value.clone()
    }
}

/// Whether `path` is `base` or lies below it.
pub(crate) fn is_below(path: &str, base: &str) -> bool {
    match path.strip_prefix(base) {
        Some(rest) => rest.is_empty() || rest.starts_with('/') || base.ends_with('/'),
        None => false,
    }
}

/// Whether `host` is `domain` or a subdomain of it. An address has no subdomains.
pub(crate) fn host_is_in(host: &str, domain: &str) -> bool {
    let named = !host.starts_with('[') && host.parse::<IpAddr>().is_err();
    named && (host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')))
}

/// Addresses that belong together.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Network;

impl Wording for Network {
    type Value = IpNet;
    const NAME: &'static str = "network";
    const RULES: &'static str = "an address, or address/bits";

    fn parse(text: &str) -> Result<IpNet, Wrong> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(IpNet::from(address));
        }
        let network: IpNet = text
            .parse()
            .map_err(|_| Wrong::new("is no network", "say \"10.0.0.0/8\", \"127.0.0.1\" or \"fd00::/8\""))?;
        if network.trunc() == network {
            Ok(network)
        } else {
            Err(Wrong::new("names an address inside a network", format!("say \"{}\"", network.trunc())))
        }
    }

    fn text(value: &IpNet) -> String {
        value.to_string()
    }
}

/// A header that the gateway makes or takes away.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header;

impl Wording for Header {
    type Value = HeaderName;
    const NAME: &'static str = "header";
    const RULES: &'static str = "not one that HTTP or the gateway needs itself";

    fn parse(text: &str) -> Result<HeaderName, Wrong> {
        let Ok(name) = HeaderName::try_from(text) else {
            return Err(Wrong::new(
                "is no header name",
                "say letters, digits and `-`, such as \"X-Session\"",
            ));
        };
        if !may_be_presented(&name) || name.as_str().starts_with("content-") {
            let cure = "take one of your own, such as \"X-Session\"";
            return Err(Wrong::new("is a header that HTTP or the gateway needs itself", cure));
        }
        Ok(name)
    }

    fn text(value: &HeaderName) -> String {
        let words: Vec<String> = value.as_str().split('-').map(capitalised).collect();
        words.join("-")
    }
}

/// A header that a rule changes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChangedHeader;

impl Wording for ChangedHeader {
    type Value = HeaderName;
    const NAME: &'static str = "header";
    const RULES: &'static str = "none that frames the message, belongs to a connection, or carries a session";

    fn parse(text: &str) -> Result<HeaderName, Wrong> {
        let Ok(name) = HeaderName::try_from(text) else {
            return Err(Wrong::new("is no header name", "say letters, digits and `-`, such as \"X-Tier\""));
        };
        if may_change(&name) {
            Ok(name)
        } else {
            let cure = "leave it out: to change it would break the message, or who it is from";
            Err(Wrong::new("is a header that HTTP or the gateway needs itself", cure))
        }
    }

    fn text(value: &HeaderName) -> String {
        Header::text(value)
    }
}

/// What a header says, to the letter.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeaderText;

impl Wording for HeaderText {
    type Value = HeaderValue;
    const NAME: &'static str = "text";
    const RULES: &'static str = "printable ASCII";

    fn parse(text: &str) -> Result<HeaderValue, Wrong> {
        let wrong = || Wrong {
            // It may be what the application knows us by.
            secret: true,
            ..Wrong::new("holds what no header can", "say it in printable ASCII")
        };
        let mut value = HeaderValue::from_str(text).map_err(|_| wrong())?;
        value.set_sensitive(true);
        if value.to_str().is_ok() { Ok(value) } else { Err(wrong()) }
    }

    fn text(value: &HeaderValue) -> String {
        value.to_str().unwrap_or_default().to_owned()
    }
}

/// A method of HTTP.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MethodName;

impl Wording for MethodName {
    type Value = Method;
    const NAME: &'static str = "method";
    const RULES: &'static str = "in upper case; not CONNECT or TRACE";

    fn parse(text: &str) -> Result<Method, Wrong> {
        let upper = text.to_ascii_uppercase();
        match Method::from_bytes(text.as_bytes()) {
            Ok(Method::CONNECT | Method::TRACE) => {
                Err(Wrong::new("is a method that no application gets to see", "leave it out"))
            }
            Ok(method) if upper == text => Ok(method),
            Ok(_) => Err(Wrong::new("is not in upper case", format!("methods have a case: say \"{upper}\""))),
            Err(_) => Err(Wrong::new("is no method", "say \"GET\" or \"POST\"")),
        }
    }

    fn text(value: &Method) -> String {
        value.to_string()
    }
}

/// As people write the words of a header; HTTP makes no difference.
fn capitalised(word: &str) -> String {
    let mut characters = word.chars();
    let first = characters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(characters).collect()
}

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::*;

    #[test]
    fn an_origin_has_a_port_also_when_the_text_has_none() {
        let origin = OriginText::parse("https://shop.example.org").unwrap();
        assert_eq!((origin.port, origin.to_string().as_str()), (443, "https://shop.example.org:443"));
        assert!(origin.to_string().parse::<Uri>().is_ok());
    }

    #[test]
    fn what_is_below_a_path_is_decided_by_whole_segments() {
        assert!(is_below("/static/a", "/static"));
        assert!(is_below("/static", "/static"));
        assert!(is_below("/anything", "/"));
        assert!(!is_below("/staticky", "/static"));
    }

    #[test]
    fn a_host_is_read_in_one_spelling() {
        assert_eq!(Host::parse("Shop.Example.ORG").unwrap(), "shop.example.org");
        assert_eq!(Host::parse("::1").unwrap(), "[::1]");
        assert_eq!(Host::parse("[0:0::1]").unwrap(), "[::1]");
        for wrong in [
            "a..b",
            "-a.b",
            "1.2.3.4.5",
            "300.1.1.1",
            "a b",
            "shop.example.org.",
            "shop:80",
            "[::1]:80",
            "*.a",
            "ü.de",
        ] {
            assert!(Host::parse(wrong).is_err(), "{wrong}");
        }
    }
}
