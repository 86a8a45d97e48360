//! Where Redis is, as an operator writes it.
//!
//! ```text
//! redis://[USER[:PASSWORD]@]HOST[:6379][/DATABASE]                          one server
//! unix://[USER[:PASSWORD]@]/PATH/OF/SOCKET[?db=DATABASE]                    one server, through a socket
//! redis-sentinel://[USER[:PASSWORD]@]HOST[:26379],HOST,../NAME[/DATABASE]   the primary that Sentinels call NAME
//! redis-cluster://[USER[:PASSWORD]@]HOST[:6379],HOST,..                     a Cluster, of which these are some nodes
//! ```
//!
//! With `rediss` in the place of `redis` the connections are encrypted. A user or password writes `%40` for `@`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use zeroize::Zeroizing;

const SERVER_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26_379;

/// Where Redis is, and who we are there. `Debug` and `Display` are without the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// Which servers there are.
    pub servers: Servers,
    /// Whether connections are encrypted.
    pub is_encrypted: bool,
    /// The user of an access control list; Redis calls it `default` where there is none.
    pub user: Option<String>,
    /// The password, if it stands here.
    pub password: Option<Zeroizing<String>>,
    /// The number of the database.
    pub database: u16,
}

/// Which servers there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Servers {
    /// One.
    One(Address),
    /// Whichever the Sentinels say is the primary.
    Sentinel {
        /// Where the Sentinels are.
        sentinels: Vec<Address>,
        /// What they call it.
        primary: String,
    },
    /// A Cluster.
    Cluster {
        /// Some of its nodes; they know the others.
        nodes: Vec<Address>,
    },
}

/// Where one server listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// A host and a port.
    Tcp(String, u16),
    /// A socket in the file system.
    Unix(PathBuf),
}

/// What is wrong with a URL. It does not repeat it, because there may be a password in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {cure}")]
pub struct UrlError {
    /// What is wrong.
    pub what: &'static str,
    /// What would be right.
    pub cure: &'static str,
}

const fn wrong(what: &'static str, cure: &'static str) -> UrlError {
    UrlError { what, cure }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let (scheme, rest) = text.split_once("://").ok_or(wrong(
            "it has no scheme",
            "write `redis://HOST:6379`, `unix:///PATH`, `redis-sentinel://HOST,HOST/NAME` or `redis-cluster://HOST,HOST`",
        ))?;
        let (kind, is_encrypted) = match scheme.strip_prefix("rediss") {
            Some(kind) => (kind, true),
            None => (scheme.strip_prefix("redis").unwrap_or("?"), false),
        };
        if scheme == "unix" {
            return Self::unix(rest);
        }
        let (authority, path) = rest.split_once('/').map_or((rest, None), |(host, path)| (host, Some(path)));
        let (user, password, hosts) = credentials(authority)?;
        let read = |servers, database| Self { servers, is_encrypted, user, password, database };
        match kind {
            "" => {
                let [address] = <[Address; 1]>::try_from(addresses(hosts, SERVER_PORT)?).map_err(|_| {
                    wrong(
                        "`redis://` is for one server",
                        "several are `redis-cluster://HOST,HOST`, or `redis-sentinel://HOST,HOST/NAME`",
                    )
                })?;
                Ok(read(Servers::One(address), database(path.unwrap_or_default())?))
            }
            "-sentinel" => {
                let sentinels = addresses(hosts, SENTINEL_PORT)?;
                let path = path.unwrap_or_default();
                let (primary, last) = path.split_once('/').unwrap_or((path, ""));
                let primary = decoded(primary)?;
                if primary.is_empty() {
                    return Err(wrong(
                        "it does not say what the Sentinels call the primary",
                        "write it behind the hosts: `redis-sentinel://HOST,HOST/NAME`",
                    ));
                }
                Ok(read(Servers::Sentinel { sentinels, primary }, database(last)?))
            }
            "-cluster" => {
                if !path.unwrap_or_default().is_empty() {
                    return Err(wrong(
                        "a Cluster has one database only",
                        "leave out what stands behind the hosts",
                    ));
                }
                Ok(read(Servers::Cluster { nodes: addresses(hosts, SERVER_PORT)? }, 0))
            }
            _ => Err(wrong(
                "its scheme is none of ours",
                "there are `redis`, `rediss`, `unix`, `redis-sentinel`, `rediss-sentinel`, `redis-cluster` and `rediss-cluster`",
            )),
        }
    }
}

impl Url {
    /// One server, as anybody, without encryption.
    #[must_use]
    pub fn one(host: &str, port: u16) -> Self {
        let servers = Servers::One(Address::Tcp(host.to_owned(), port));
        Self { servers, is_encrypted: false, user: None, password: None, database: 0 }
    }

    fn unix(rest: &str) -> Result<Self, UrlError> {
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let slash = rest.find('/').ok_or(wrong(
            "there is no absolute path in it",
            "write three slashes: `unix:///run/redis/redis.sock`",
        ))?;
        let (authority, path) = rest.split_at_checked(slash).unwrap_or(("", rest));
        let (user, password, host) = credentials(authority)?;
        if !host.is_empty() {
            return Err(wrong(
                "a socket is on no host",
                "write three slashes: `unix:///run/redis/redis.sock`",
            ));
        }
        let database = match query.strip_prefix("db=") {
            Some(number) => database(number)?,
            None if query.is_empty() => 0,
            None => return Err(wrong("behind `?` there may be `db` only", "write `?db=1`")),
        };
        let servers = Servers::One(Address::Unix(decoded(path)?.into()));
        Ok(Self { servers, is_encrypted: false, user, password, database })
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user.as_ref().map(|user| format!("{}@", escaped(user))).unwrap_or_default();
        let kind = match (&self.servers, self.is_encrypted) {
            (Servers::One(Address::Unix(path)), _) => {
                write!(f, "unix://{user}{}", escaped(&path.display().to_string()))?;
                return if self.database > 0 { write!(f, "?db={}", self.database) } else { Ok(()) };
            }
            (Servers::One(_), false) => "redis",
            (Servers::One(_), true) => "rediss",
            (Servers::Sentinel { .. }, false) => "redis-sentinel",
            (Servers::Sentinel { .. }, true) => "rediss-sentinel",
            (Servers::Cluster { .. }, false) => "redis-cluster",
            (Servers::Cluster { .. }, true) => "rediss-cluster",
        };
        let (addresses, primary) = match &self.servers {
            Servers::One(address) => (std::slice::from_ref(address), None),
            Servers::Sentinel { sentinels, primary } => (sentinels.as_slice(), Some(primary)),
            Servers::Cluster { nodes } => (nodes.as_slice(), None),
        };
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        write!(f, "{kind}://{user}{}", addresses.join(","))?;
        if let Some(primary) = primary {
            write!(f, "/{}", escaped(primary))?;
        }
        if self.database > 0 { write!(f, "/{}", self.database) } else { Ok(()) }
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "{}", path.display()),
        }
    }
}

/// What would be read as something else.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'%').add(b'@').add(b':').add(b'?').add(b'#').add(b' ');

fn escaped(text: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(text, ESCAPED)
}

type Credentials<'a> = (Option<String>, Option<Zeroizing<String>>, &'a str);

fn credentials(authority: &str) -> Result<Credentials<'_>, UrlError> {
    let Some((who, hosts)) = authority.rsplit_once('@') else { return Ok((None, None, authority)) };
    let (user, password) = match who.split_once(':') {
        Some((user, password)) => (user, Some(Zeroizing::new(decoded(password)?))),
        None => (who, None),
    };
    Ok((Some(decoded(user)?).filter(|user| !user.is_empty()), password, hosts))
}

fn addresses(hosts: &str, port: u16) -> Result<Vec<Address>, UrlError> {
    hosts.split(',').map(|host| address(host, port)).collect()
}

/// A host, with its port or the usual one.
pub(super) fn address(text: &str, usual: u16) -> Result<Address, UrlError> {
    let no_port = wrong("a port is a number from 1 to 65535", "write `HOST:6379`, or leave it out");
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port),
        None => text.find(':').and_then(|colon| text.split_at_checked(colon)).unwrap_or((text, "")),
    };
    let is_host = !host.is_empty() && host.chars().all(|c| c.is_alphanumeric() || "-_.:%".contains(c));
    if !is_host {
        return Err(wrong(
            "a host is missing, or there is something else in its place",
            "write `HOST` or `HOST:PORT`",
        ));
    }
    let port = match port.strip_prefix(':') {
        Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or(no_port)?,
        None if port.is_empty() => usual,
        None => return Err(no_port),
    };
    Ok(Address::Tcp(host.to_owned(), port))
}

fn database(text: &str) -> Result<u16, UrlError> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse()
        .map_err(|_| wrong("a database is called by its number", "write `/0` to `/15`, or leave it out"))
}

fn decoded(text: &str) -> Result<String, UrlError> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded
        .map(Into::into)
        .map_err(|_| wrong("what is behind a `%` is no UTF-8", "write it as `%40` for `@`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16) -> Address {
        Address::Tcp(host.to_owned(), port)
    }

    #[test]
    fn every_form_is_read() {
        let read = |text: &str| text.parse::<Url>().unwrap();
        let url = read("redis://127.0.0.1:6379");
        assert_eq!(url.servers, Servers::One(tcp("127.0.0.1", 6379)));
        assert_eq!((url.is_encrypted, url.database, &url.user), (false, 0, &None));
        let url = read("rediss://shop:p%40ss:word@[::1]/3");
        assert_eq!(url.servers, Servers::One(tcp("::1", 6379)));
        assert_eq!((url.is_encrypted, url.database, url.user.as_deref()), (true, 3, Some("shop")));
        assert_eq!(url.password.as_ref().map(|password| password.as_str()), Some("p@ss:word"));
        let url = read("redis://:only@host");
        assert_eq!((url.user, url.password.is_some()), (None, true));
        let url = read("unix:///run/redis/redis.sock?db=2");
        assert_eq!(url.servers, Servers::One(Address::Unix("/run/redis/redis.sock".into())));
        assert_eq!(url.database, 2);
        let url = read("redis-sentinel://a,b:5000/mymaster/1");
        let sentinels = vec![tcp("a", 26_379), tcp("b", 5000)];
        assert_eq!(url.servers, Servers::Sentinel { sentinels, primary: "mymaster".to_owned() });
        assert_eq!(url.database, 1);
        let url = read("rediss-cluster://a:7000,b:7001,c");
        let nodes = vec![tcp("a", 7000), tcp("b", 7001), tcp("c", 6379)];
        assert_eq!((url.servers, url.is_encrypted), (Servers::Cluster { nodes }, true));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_secret() {
        for (text, what) in [
            ("127.0.0.1:6379", "no scheme"),
            ("http://u:geheim@host", "scheme"),
            ("redis://u:geheim@", "host"),
            ("redis://u:geheim@host:70000", "port"),
            ("redis://u:geheim@host:x", "port"),
            ("redis://host/geheim", "number"),
            ("redis://u:geheim@a,b", "one server"),
            ("redis-cluster://u:geheim@a,b/1", "one database"),
            ("redis-cluster://a,,b", "host"),
            ("redis-sentinel://u:geheim@a,b", "call the primary"),
            ("unix://run/redis.sock", "on no host"),
            ("unix://u:geheim@", "absolute path"),
            ("unix:///run/redis.sock?user=geheim", "`db` only"),
            ("redis://u:%ff@host", "UTF-8"),
        ] {
            let error = text.parse::<Url>().unwrap_err().to_string();
            assert!(error.contains(what), "{text}: {error}");
            assert!(!error.contains("geheim"), "{error}");
        }
    }

    #[test]
    fn a_password_is_shown_to_nobody() {
        for text in ["redis://u:geheim@host/1", "unix://u:geheim@/run/s", "redis-sentinel://:geheim@a,b/m"] {
            let url: Url = text.parse().unwrap();
            assert!(!format!("{url} {url:?}").contains("geheim"), "{url:?}");
        }
        for text in ["redis://127.0.0.1:6379", "rediss://a%40b@[::1]:6379/3", "unix://u@/run/s%3F?db=1"] {
            assert_eq!(text.parse::<Url>().unwrap().to_string(), text, "what is written is read again");
        }
        assert_eq!(
            "redis-sentinel://:x@a,b/m/1".parse::<Url>().unwrap().to_string(),
            "redis-sentinel://a:26379,b:26379/m/1"
        );
    }
}
