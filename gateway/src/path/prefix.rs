//! Parts of the path space, as a configuration names them.
//!
//! A rule that protects must hold for whatever an application could read as the protected path: WSGI takes
//! `/x%2Fadmin` for `/x/admin`, servlets take `/admin;x` for `/admin`. A rule that makes an exception must
//! not. So an include is compared in the widest reading and an exclude literally.

use percent_encoding::percent_decode_str;

use super::{NormalPath, PathError};

/// A path and all below it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix(Box<str>);

impl Prefix {
    /// The prefix that a configuration names, made normal. A slash at its end makes no difference.
    ///
    /// # Errors
    /// It is no path, or one that no request could have.
    pub fn parse(path: &str) -> Result<Self, PathError> {
        let path = NormalPath::parse(path)?;
        if path.is_asterisk() {
            return Err(PathError::NotAbsolute);
        }
        Ok(Self(path.as_str().trim_end_matches('/').into()))
    }

    /// The prefix as it is spelled in its normal form; the root is `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        if self.0.is_empty() { "/" } else { &self.0 }
    }

    /// Whether `path` is below, taken literally. Allocates nothing.
    #[must_use]
    pub fn holds(&self, path: &NormalPath<'_>) -> bool {
        match path.as_str().strip_prefix(&*self.0) {
            Some(rest) => rest.is_empty() || rest.starts_with('/') || self.0.is_empty(),
            None => false,
        }
    }

    /// Whether some application could read `path` as one below. Allocates nothing.
    #[must_use]
    pub fn may_hold(&self, path: &NormalPath<'_>) -> bool {
        if self.holds(path) {
            return true;
        }
        if !path.as_str().contains(['%', ';']) && !self.0.contains(['%', ';']) {
            return false;
        }
        let mut read = WideReading::new(path.as_str());
        WideReading::new(&self.0).all(|byte| read.next() == Some(byte))
            && matches!(read.next(), None | Some(b'/'))
    }
}

/// Which paths a rule is about. An exclude wins over an include.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prefixes {
    include: Box<[Prefix]>,
    exclude: Box<[Prefix]>,
}

impl Prefixes {
    /// The paths below one of `include` and below none of `exclude`.
    #[must_use]
    pub fn new(include: Vec<Prefix>, exclude: Vec<Prefix>) -> Self {
        Self { include: include.into(), exclude: exclude.into() }
    }

    /// Whether the rule is about `path`. Allocates nothing.
    #[must_use]
    pub fn hold(&self, path: &NormalPath<'_>) -> bool {
        self.include.iter().any(|prefix| prefix.may_hold(path))
            && !self.exclude.iter().any(|prefix| prefix.holds(path))
    }
}

/// The bytes of a path as the most generous reader takes them: everything decoded, `\` for `/`, slashes
/// merged, parameters cut off.
struct WideReading<'a> {
    bytes: percent_encoding::PercentDecode<'a>,
    in_parameters: bool,
    /// The byte that was returned last.
    before: u8,
}

impl<'a> WideReading<'a> {
    fn new(path: &'a str) -> Self {
        Self { bytes: percent_decode_str(path), in_parameters: false, before: 0 }
    }
}

impl Iterator for WideReading<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        loop {
            let byte = match self.bytes.next()? {
                b'\\' => b'/',
                byte => byte,
            };
            match byte {
                b';' => self.in_parameters = true,
                b'/' => self.in_parameters = false,
                _ => {}
            }
            if self.in_parameters || (byte == b'/' && self.before == b'/') {
                continue;
            }
            self.before = byte;
            return Some(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn prefix(path: &str) -> Prefix {
        Prefix::parse(path).unwrap()
    }

    fn prefixes(include: &[&str], exclude: &[&str]) -> Prefixes {
        let parse = |paths: &[&str]| paths.iter().map(|path| prefix(path)).collect();
        Prefixes::new(parse(include), parse(exclude))
    }

    #[test]
    fn whole_segments_are_compared() {
        for (below, path, expected) in [
            ("/api", "/api", true),
            ("/api", "/api/", true),
            ("/api", "/api/x", true),
            ("/api", "/apix", false),
            ("/api", "/", false),
            ("/api", "/API", false),
            ("/api/", "/api", true),
            ("/api/", "/api/x", true),
            ("//x/../api", "/api/x", true),
            ("/", "/", true),
            ("/", "/anything", true),
            ("/", "*", true),
            ("/api", "*", false),
            ("/a b", "/a%20b/c", true),
        ] {
            let path = NormalPath::parse(path).unwrap();
            assert_eq!(path.is_below(&prefix(below)), expected, "{path} below {below}");
            assert_eq!(prefix(below).may_hold(&path), expected, "{path} below {below}");
        }
    }

    #[test]
    fn an_exclude_wins() {
        let prefixes = prefixes(&["/app", "/other"], &["/app/static"]);
        for (path, expected) in [
            ("/app", true),
            ("/app/static", false),
            ("/app/static/x.css", false),
            ("/app/statics", true),
            ("/app/x/../static/y", false),
            ("/other/static", true),
            ("/", false),
        ] {
            assert_eq!(prefixes.hold(&NormalPath::parse(path).unwrap()), expected, "{path}");
        }
        assert!(!Prefixes::default().hold(&NormalPath::parse("/").unwrap()));
    }

    #[test]
    fn an_include_holds_for_what_an_application_may_read() {
        let admin = prefixes(&["/x/admin"], &["/x/admin/public"]);
        for path in [
            "/x%2Fadmin",
            "/x%2Fadmin%2Fy",
            "/x%5Cadmin",
            "/x/admin;v=1",
            "/x;v=1/admin/y",
            "/x/admin%3Bv",
            "/x%2F%2Fadmin",
            // An exception is taken literally: an application may read another path in these.
            "/x/admin%2Fpublic",
            "/x/admin/public;/y",
        ] {
            assert!(admin.hold(&NormalPath::parse(path).unwrap()), "{path}");
        }
        for path in ["/x/adminer", "/x%2Fadminer", "/x/administration;admin", "/x"] {
            assert!(!admin.hold(&NormalPath::parse(path).unwrap()), "{path}");
        }
        assert!(prefix("/it's").may_hold(&NormalPath::parse("/it%27s").unwrap()));
        assert!(!prefix("/it's").holds(&NormalPath::parse("/it%27s").unwrap()));
    }

    #[test]
    fn the_asterisk_is_no_prefix() {
        assert_eq!(Prefix::parse("*"), Err(PathError::NotAbsolute));
        assert_eq!(prefix("/").as_str(), "/");
        assert_eq!(prefix("/a/").as_str(), "/a");
    }

    proptest! {
        /// The wide reading never holds less than the literal one.
        #[test]
        fn what_holds_may_hold(below in "(/[ab;%]{0,3}){0,3}", path in "(/[ab;]{0,3}|%2F|%5C){0,6}") {
            if let (Ok(below), Ok(path)) = (Prefix::parse(&below), NormalPath::parse(&path)) {
                prop_assert!(!below.holds(&path) || below.may_hold(&path));
            }
        }
    }
}
