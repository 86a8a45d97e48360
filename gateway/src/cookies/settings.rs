//! What a cookie of ours looks like, and whether browsers take it.
//!
//! A browser drops a cookie that breaks its rules without a word, and then nobody stays logged in. So each such
//! combination is an error of the configuration, with the reason and the cure.

use std::net::IpAddr;
use std::time::Duration;

/// Browsers keep no cookie longer (section 5.5).
pub const MAX_AGE: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Browsers drop longer attributes (section 5.6).
const MAX_ATTRIBUTE: usize = 1024;

/// A cookie of ours, as configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieSettings {
    /// The name. `__Host-`, `__Secure-`, `__Http-` and `__Host-Http-` in front of it are promises that browsers
    /// hold us to.
    pub name: String,
    /// The path below which browsers send it.
    pub path: String,
    /// The domain that may see it with all its hosts; none means only the host that set it.
    pub domain: Option<String>,
    /// Whether other sites' requests carry it.
    pub same_site: SameSite,
    /// Whether a second cookie holds the same without `SameSite`, for browsers that take `SameSite=None` for `Strict`, or drop
    /// it. Without `None` it has no effect.
    pub same_site_fallback: bool,
    /// Sent over TLS only (or to a loopback address).
    pub secure: bool,
    /// Not for scripts.
    pub http_only: bool,
    /// Kept apart for each site that embeds us (draft-cutler-httpbis-partitioned-cookies).
    pub partitioned: bool,
    /// How long browsers keep it; none means until they are closed.
    pub max_age: Option<Duration>,
}

/// Whether a browser sends a cookie with requests that other sites cause (section 4.1.2.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SameSite {
    /// With none.
    Strict,
    /// Only when somebody follows a link.
    #[default]
    Lax,
    /// With all.
    None,
}

/// Why browsers, or this gateway, would not take a cookie.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CookieError {
    /// The name is no token (section 4.1.1).
    #[error("the cookie name {0:?} is not possible: use letters, digits, `-`, `_` and `.`")]
    Name(String),
    /// A prefix promises `Secure` (sections 4.1.3 and 5.4).
    #[error(
        "browsers drop a cookie called {0:?} that is not secure: say `secure = true`, or choose a name without the prefix"
    )]
    PrefixNeedsSecure(String),
    /// `__Host-` promises the path `/` (section 4.1.3.2).
    #[error(
        "browsers drop a cookie called {0:?} whose path is not `/`: say `path = \"/\"`, or choose a name without the prefix"
    )]
    PrefixNeedsRootPath(String),
    /// `__Host-` promises that there is no domain (section 4.1.3.2).
    #[error(
        "browsers drop a cookie called {0:?} that has a domain: leave `domain` out, or choose a name without the prefix"
    )]
    PrefixForbidsDomain(String),
    /// `__Http-` promises `HttpOnly` (draft-ietf-httpbis-layered-cookies).
    #[error(
        "browsers drop a cookie called {0:?} that scripts can read: say `http_only = true`, or choose a name without the prefix"
    )]
    PrefixNeedsHttpOnly(String),
    /// `SameSite=None` needs `Secure` (section 5.7).
    #[error(
        "browsers drop a cookie with `same_site = \"None\"` that is not secure: say `secure = true`, or \"Lax\""
    )]
    SameSiteNoneNeedsSecure,
    /// `Partitioned` needs `Secure`.
    #[error(
        "browsers drop a cookie with `partitioned = true` that is not secure: say `secure = true` as well"
    )]
    PartitionedNeedsSecure,
    /// The path is no path, or too long (section 5.6.4).
    #[error(
        "the cookie path {0:?} is not possible: begin with `/`, at most 1024 characters, no `;` or control character"
    )]
    Path(String),
    /// The domain is no domain name (section 5.6.3).
    #[error(
        "the cookie domain {0:?} is not possible: say a name like \"example.org\", not an address, a port or a single word"
    )]
    Domain(String),
    /// Zero would delete the cookie that it sets.
    #[error(
        "the cookie's `max_age` is 0, which deletes it: leave it out for a cookie that goes with the browser"
    )]
    MaxAgeZero,
    /// Longer than browsers keep one (section 5.5).
    #[error(
        "the cookie's `max_age` is more than 400 days, which browsers do not allow: say at most \"400d\""
    )]
    MaxAgeTooLong,
}

impl Default for CookieSettings {
    fn default() -> Self {
        Self {
            name: "__Host-session".to_owned(),
            path: "/".to_owned(),
            domain: None,
            same_site: SameSite::Lax,
            same_site_fallback: false,
            secure: true,
            http_only: true,
            partitioned: false,
            max_age: None,
        }
    }
}

impl CookieSettings {
    /// Whether browsers would take the cookie.
    ///
    /// # Errors
    /// The first reason why not.
    pub fn check(&self) -> Result<(), CookieError> {
        if self.name.is_empty() || !self.name.bytes().all(is_token) {
            return Err(CookieError::Name(self.name.clone()));
        }
        self.check_prefix()?;
        if self.same_site == SameSite::None && !self.secure {
            return Err(CookieError::SameSiteNoneNeedsSecure);
        }
        if self.partitioned && !self.secure {
            return Err(CookieError::PartitionedNeedsSecure);
        }
        if !is_path(&self.path) {
            return Err(CookieError::Path(self.path.clone()));
        }
        if let Some(domain) = self.domain.as_ref().filter(|domain| !is_domain(domain)) {
            return Err(CookieError::Domain(domain.clone()));
        }
        match self.max_age {
            // Browsers count whole seconds.
            Some(age) if age.as_secs() == 0 => Err(CookieError::MaxAgeZero),
            Some(age) if age > MAX_AGE => Err(CookieError::MaxAgeTooLong),
            _ => Ok(()),
        }
    }

    /// The name of the cookie for browsers that do not know `SameSite=None`, if there is one.
    #[must_use]
    pub fn fallback_name(&self) -> Option<String> {
        (self.same_site_fallback && self.same_site == SameSite::None)
            .then(|| format!("{}-fallback", self.name))
    }

    /// Every name under which a browser has it.
    pub fn names(&self) -> impl Iterator<Item = String> {
        std::iter::once(self.name.clone()).chain(self.fallback_name())
    }

    /// The promises of the name, which browsers read in any case (section 5.4).
    fn check_prefix(&self) -> Result<(), CookieError> {
        let name = || self.name.clone();
        let host_http = starts_with(&self.name, "__Host-Http-");
        let host = starts_with(&self.name, "__Host-");
        let http = starts_with(&self.name, "__Http-") || host_http;
        if (host || http || starts_with(&self.name, "__Secure-")) && !self.secure {
            return Err(CookieError::PrefixNeedsSecure(name()));
        }
        if http && !self.http_only {
            return Err(CookieError::PrefixNeedsHttpOnly(name()));
        }
        if host && self.path != "/" {
            return Err(CookieError::PrefixNeedsRootPath(name()));
        }
        if host && self.domain.is_some() {
            return Err(CookieError::PrefixForbidsDomain(name()));
        }
        Ok(())
    }
}

impl SameSite {
    /// As it stands in the header.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

fn starts_with(name: &str, prefix: &str) -> bool {
    name.as_bytes().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

/// RFC 9110, 5.6.2.
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

fn is_path(path: &str) -> bool {
    path.starts_with('/')
        && path.len() <= MAX_ATTRIBUTE
        && path.bytes().all(|byte| (byte.is_ascii_graphic() || byte == b' ') && byte != b';')
        && !path.ends_with(' ')
}

/// A name of two labels or more; a dot in front of it means nothing today, and is accepted.
fn is_domain(domain: &str) -> bool {
    let name = domain.strip_prefix('.').unwrap_or(domain);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253
        && name.contains('.')
        && name.parse::<IpAddr>().is_err()
        && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests;
