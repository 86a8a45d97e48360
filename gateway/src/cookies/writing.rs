//! What we send in `Set-Cookie`.

use std::fmt::Write;

use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue};

use super::{CookieError, CookieSettings, Found, SameSite};

/// Browsers drop a cookie whose name and value together are longer than this, in bytes (section 5.6).
pub const MAX_COOKIE: usize = 4096;

/// A cookie of ours, checked, with its attributes written out once. Deletion has the same attributes as setting, since
/// browsers take another path or domain for another cookie.
///
/// They also take a partitioned cookie and one that is not for two, and a browser has both after that setting was changed.
/// So both are deleted, whichever is set.
#[derive(Debug, Clone)]
pub struct Cookie {
    settings: CookieSettings,
    main: Lines,
    /// The same without `SameSite`, for browsers that do not know `None`: it is read where the other one did not come.
    fallback: Option<Lines>,
    /// Deletes what the browser would have if `partitioned` were the other way round.
    twin: Option<HeaderValue>,
}

/// The parts of `Set-Cookie` lines for one name.
#[derive(Debug, Clone)]
struct Lines {
    name: String,
    /// All that stands behind the value.
    attributes: String,
    deletion: HeaderValue,
}

/// Why a value cannot travel in a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// It holds a byte that is no `cookie-octet` (section 4.1.1).
    #[error("the cookie's value holds a byte at {at} that no cookie may hold: encode it first")]
    Octet {
        /// Where, counted from 0.
        at: usize,
    },
    /// Browsers would drop it.
    #[error(
        "the cookie would have {length} bytes with its name, and browsers keep at most {MAX_COOKIE}: keep less in it"
    )]
    TooLong {
        /// Bytes of name and value.
        length: usize,
    },
}

impl Cookie {
    /// The cookie of these settings.
    ///
    /// # Errors
    /// Browsers would not take it.
    pub fn new(settings: CookieSettings) -> Result<Self, CookieError> {
        settings.check()?;
        let main = Lines::new(settings.name.clone(), &settings, Some(settings.same_site))?;
        let fallback = settings
            .fallback_name()
            // A browser that knows what this means knows `SameSite=None` as well.
            .map(|name| Lines::new(name, &CookieSettings { partitioned: false, ..settings.clone() }, None))
            .transpose()?;
        // Without `Secure` there never was a partitioned one.
        let twin = settings
            .secure
            .then(|| CookieSettings { partitioned: !settings.partitioned, ..settings.clone() })
            .map(|twin| {
                Lines::new(twin.name.clone(), &twin, Some(twin.same_site)).map(|lines| lines.deletion)
            })
            .transpose()?;
        Ok(Self { settings, main, fallback, twin })
    }

    /// What it was made from.
    #[must_use]
    pub const fn settings(&self) -> &CookieSettings {
        &self.settings
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// The most bytes that a value can have.
    #[must_use]
    pub fn room(&self) -> usize {
        let longest = self.fallback.as_ref().map_or(self.main.name.len(), |fallback| fallback.name.len());
        MAX_COOKIE.saturating_sub(longest)
    }

    /// Its values in a request: those of the fallback only where there is none of its own name.
    #[must_use]
    pub fn find<'h>(&self, headers: &'h HeaderMap) -> Found<'h> {
        let found = super::find(headers, &self.main.name);
        match &self.fallback {
            Some(fallback) if found.is_empty() => super::find(headers, &fallback.name),
            _ => found,
        }
    }

    /// The `Set-Cookie` that sets it, marked as sensitive so that no log shows it. Allocates once.
    ///
    /// # Errors
    /// No cookie can hold the value.
    pub fn set(&self, value: &str) -> Result<HeaderValue, ValueError> {
        self.main.set(value)
    }

    /// The `Set-Cookie` for browsers that do not know `SameSite=None`, if they get one.
    ///
    /// # Errors
    /// No cookie can hold the value.
    pub fn set_fallback(&self, value: &str) -> Result<Option<HeaderValue>, ValueError> {
        self.fallback.as_ref().map(|fallback| fallback.set(value)).transpose()
    }

    /// Adds the `Set-Cookie` lines that delete it, its twin, and its fallback.
    pub fn delete(&self, headers: &mut HeaderMap) {
        let fallback = self.fallback.as_ref().map(|fallback| &fallback.deletion);
        for line in std::iter::once(&self.main.deletion).chain(&self.twin).chain(fallback) {
            headers.append(SET_COOKIE, line.clone());
        }
    }
}

impl Lines {
    fn new(
        name: String,
        settings: &CookieSettings,
        same_site: Option<SameSite>,
    ) -> Result<Self, CookieError> {
        let common = attributes(settings, same_site);
        let mut attributes = String::new();
        if let Some(age) = settings.max_age {
            // Writing to a string does not fail.
            let _ = write!(attributes, "; Max-Age={}", age.as_secs());
        }
        attributes.push_str(&common);
        // `Expires` for what does not know `Max-Age`.
        let deletion = format!("{name}=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT{common}");
        let deletion = HeaderValue::try_from(deletion).map_err(|_| CookieError::Name(name.clone()))?;
        Ok(Self { name, attributes, deletion })
    }

    fn set(&self, value: &str) -> Result<HeaderValue, ValueError> {
        // First without asking where: that is done for many bytes at a time, and a sealed session has thousands.
        let is_good = value.bytes().fold(true, |is_good, byte| is_good & is_cookie_octet(byte));
        if !is_good && let Some(at) = value.bytes().position(|byte| !is_cookie_octet(byte)) {
            return Err(ValueError::Octet { at });
        }
        let length = self.name.len() + value.len();
        if length > MAX_COOKIE {
            return Err(ValueError::TooLong { length });
        }
        let mut line = String::with_capacity(length + 1 + self.attributes.len());
        line.push_str(&self.name);
        line.push('=');
        line.push_str(value);
        line.push_str(&self.attributes);
        let mut line = HeaderValue::try_from(line).map_err(|_| ValueError::Octet { at: 0 })?;
        line.set_sensitive(true);
        Ok(line)
    }
}

fn attributes(settings: &CookieSettings, same_site: Option<SameSite>) -> String {
    let mut attributes = format!("; Path={}", settings.path);
    if let Some(domain) = &settings.domain {
        // Writing to a string does not fail.
        let _ = write!(attributes, "; Domain={domain}");
    }
    if settings.secure {
        attributes.push_str("; Secure");
    }
    if settings.http_only {
        attributes.push_str("; HttpOnly");
    }
    if let Some(same_site) = same_site {
        let _ = write!(attributes, "; SameSite={}", same_site.as_str());
    }
    if settings.partitioned {
        attributes.push_str("; Partitioned");
    }
    attributes
}

/// Section 4.1.1.
const fn is_cookie_octet(byte: u8) -> bool {
    // No `&&`, or each byte would be a branch of its own.
    byte.is_ascii_graphic() & (byte != b'"') & (byte != b',') & (byte != b';') & (byte != b'\\')
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::header::COOKIE;
    use proptest::prelude::*;

    use super::*;
    use crate::cookies::{SameSite, find};

    fn full() -> Cookie {
        Cookie::new(CookieSettings {
            name: "sid".into(),
            path: "/app".into(),
            domain: Some("example.org".into()),
            same_site: SameSite::None,
            same_site_fallback: false,
            secure: true,
            http_only: true,
            partitioned: true,
            max_age: Some(Duration::from_secs(3600)),
        })
        .unwrap()
    }

    fn deleted(cookie: &Cookie) -> Vec<String> {
        let mut headers = HeaderMap::new();
        cookie.delete(&mut headers);
        headers.get_all(SET_COOKIE).iter().map(|line| line.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn it_is_set_and_deleted_with_the_same_attributes() {
        let cookie = Cookie::new(CookieSettings::default()).unwrap();
        assert_eq!(cookie.set("a.b").unwrap(), "__Host-session=a.b; Path=/; Secure; HttpOnly; SameSite=Lax");
        let deletion = "__Host-session=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/; Secure; HttpOnly; SameSite=Lax";
        assert_eq!(deleted(&cookie), [deletion.to_owned(), format!("{deletion}; Partitioned")]);
        let cookie = full();
        let rest = "; Path=/app; Domain=example.org; Secure; HttpOnly; SameSite=None; Partitioned";
        assert_eq!(cookie.set("x").unwrap(), format!("sid=x; Max-Age=3600{rest}"));
        let deletion = format!("sid=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT{rest}");
        let twin = deletion.trim_end_matches("; Partitioned").to_owned();
        assert_eq!(deleted(&cookie), [deletion, twin]);
    }

    #[test]
    fn a_cookie_that_was_never_secure_has_no_partitioned_twin() {
        let settings = CookieSettings { name: "session".into(), secure: false, ..CookieSettings::default() };
        assert_eq!(deleted(&Cookie::new(settings).unwrap()).len(), 1);
    }

    #[test]
    fn a_browser_that_does_not_know_none_has_a_cookie_as_well() {
        let settings = CookieSettings { same_site_fallback: true, ..full().settings };
        let cookie = Cookie::new(settings.clone()).unwrap();
        let line = cookie.set_fallback("x").unwrap().unwrap();
        assert_eq!(line, "sid-fallback=x; Max-Age=3600; Path=/app; Domain=example.org; Secure; HttpOnly");
        assert_eq!(deleted(&cookie).len(), 3);
        assert_eq!(
            deleted(&cookie)[2],
            "sid-fallback=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/app; Domain=example.org; Secure; HttpOnly"
        );
        for (sent, found) in [
            ("sid-fallback=b", "b"),
            // What came under its own name wins, be it nonsense.
            ("sid-fallback=b; sid=a", "a"),
            ("sid=; sid-fallback=b", ""),
        ] {
            let mut headers = http::HeaderMap::new();
            headers.insert(COOKIE, sent.parse().unwrap());
            assert_eq!(cookie.find(&headers).values().collect::<Vec<_>>(), [found.as_bytes()], "{sent}");
        }
        assert!(cookie.set_fallback(&"a".repeat(cookie.room())).is_ok());
        assert!(cookie.set_fallback(&"a".repeat(cookie.room() + 1)).is_err());
        // There is none where it is not needed.
        let lax = Cookie::new(CookieSettings { same_site: SameSite::Lax, ..settings }).unwrap();
        assert_eq!(lax.set_fallback("x"), Ok(None));
        assert_eq!(deleted(&lax).len(), 2);
        let mut headers = http::HeaderMap::new();
        headers.insert(COOKIE, "sid-fallback=b".parse().unwrap());
        assert!(lax.find(&headers).is_empty());
    }

    #[test]
    fn what_browsers_would_drop_is_not_sent() {
        let cookie = full();
        for (value, at) in
            [("a b", 1), ("a;b", 1), ("a,b", 1), ("a\"", 1), ("\\", 0), ("a\n", 1), ("\u{e9}", 0)]
        {
            assert_eq!(cookie.set(value), Err(ValueError::Octet { at }), "{value:?}");
        }
        assert!(cookie.set(&"a".repeat(MAX_COOKIE - 3)).is_ok());
        assert_eq!(
            cookie.set(&"a".repeat(MAX_COOKIE - 2)),
            Err(ValueError::TooLong { length: MAX_COOKIE + 1 })
        );
    }

    #[test]
    fn a_set_cookie_is_not_shown() {
        assert_eq!(format!("{:?}", full().set("secret").unwrap()), "Sensitive");
    }

    #[test]
    fn settings_that_browsers_refuse_make_no_cookie() {
        let settings = CookieSettings { secure: false, ..CookieSettings::default() };
        assert!(matches!(Cookie::new(settings), Err(CookieError::PrefixNeedsSecure(_))));
    }

    proptest! {
        /// What is set comes back as it was.
        #[test]
        fn a_value_that_can_be_set_is_found_again(value in "[ -~]{0,32}") {
            if let Ok(line) = full().set(&value) {
                let pair = line.to_str().unwrap().split("; ").next().unwrap().to_owned();
                let mut headers = http::HeaderMap::new();
                headers.insert(COOKIE, format!("a=1; {pair}").parse().unwrap());
                prop_assert_eq!(find(&headers, "sid").values().collect::<Vec<_>>(), [value.as_bytes()]);
            }
        }
    }
}
