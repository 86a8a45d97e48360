//! Parts of the path space, as a configuration names them.
//!
//! A rule that protects must hold for whatever an application could read as the protected path: WSGI takes
//! `/x%2Fadmin` for `/x/admin`, servlets take `/admin;x` for `/admin`. A rule that makes an exception must
//! not. So an include is compared in the widest reading and an exclude literally.

use super::{NormalPath, PathError, hex};

/// How a path stands to a [`Prefix`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// It is another path.
    Outside,
    /// It lies below.
    Below,
    /// It is the very path. A slash at its end makes no difference.
    Same,
}

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
        self.literally(path) != Standing::Outside
    }

    /// Whether some application could read `path` as one below. Allocates nothing.
    #[must_use]
    pub fn may_hold(&self, path: &NormalPath<'_>) -> bool {
        self.holds(path) || self.at_widest(path) != Standing::Outside
    }

    /// How `path` stands to it, taken literally. Allocates nothing.
    #[must_use]
    pub fn literally(&self, path: &NormalPath<'_>) -> Standing {
        match path.as_str().strip_prefix(&*self.0) {
            Some("" | "/") => Standing::Same,
            Some(rest) if rest.starts_with('/') || self.0.is_empty() => Standing::Below,
            _ => Standing::Outside,
        }
    }

    /// How it stands in the reading of the most generous application. Allocates nothing.
    #[must_use]
    pub fn at_widest(&self, path: &NormalPath<'_>) -> Standing {
        if !path.as_str().contains(['%', ';']) && !self.0.contains(['%', ';']) {
            return self.literally(path);
        }
        Cut::ALL.into_iter().map(|cut| self.stands_to(path, cut)).max().unwrap_or(Standing::Outside)
    }

    fn stands_to(&self, path: &NormalPath<'_>, cut: Cut) -> Standing {
        let (mut read, mut last) = (WideReading::new(path.as_str(), cut), 0);
        let mut ours = WideReading::new(&self.0, cut);
        while let Some(byte) = ours.next() {
            match read.next() {
                Some(read) if read == byte => last = byte,
                // A slash at its end makes no difference, escaped or not.
                None if byte == b'/' && ours.next().is_none() => return Standing::Same,
                _ => return Standing::Outside,
            }
        }
        // Where its last segment is parameters only, the slash behind it has been read already.
        let next = if last == b'/' { Some(last) } else { read.next() };
        match (next, read.next()) {
            (None, _) | (Some(b'/'), None) => Standing::Same,
            (Some(b'/'), Some(_)) => Standing::Below,
            // Only the asterisk has something else behind the root.
            (Some(_), _) if self.0.is_empty() => Standing::Below,
            (Some(_), _) => Standing::Outside,
        }
    }

    /// How much of a path it says, in bytes, escapes counted as what they stand for.
    #[must_use]
    pub fn depth(&self) -> usize {
        WideReading::new(&self.0, Cut::AfterDecoding).count()
    }

    /// Whether all that is below `other` is below this.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.0.strip_prefix(&*self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// Paths, and what is excepted from them. The exception wins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prefixes {
    /// What is meant, with all below.
    pub include: Vec<Prefix>,
    /// What is not, with all below.
    pub exclude: Vec<Prefix>,
}

impl Prefixes {
    /// The paths below one of `include` and below none of `exclude`.
    #[must_use]
    pub const fn new(include: Vec<Prefix>, exclude: Vec<Prefix>) -> Self {
        Self { include, exclude }
    }
}

/// When an application cuts parameters off: `/x;%2Fy/admin` is `/x/y/admin` or `/x/admin` by that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// Whatever is `;` or `/` once it was decoded begins or ends them.
    AfterDecoding,
    /// Only what was written so does, as in servlet containers.
    BeforeDecoding,
    /// First what was written so, then what is left and was escaped: a servlet container cuts a path, decodes it, and
    /// cuts it again where one servlet forwards to another. `/a;%2Fb/c%3Bd` is `/a/c`.
    Twice,
}

impl Cut {
    const ALL: [Self; 3] = [Self::AfterDecoding, Self::BeforeDecoding, Self::Twice];
}

/// What is cut off, by how it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Parameters {
    Written,
    Escaped,
}

/// The bytes of a path as the most generous reader takes them: everything decoded, `\` for `/`, slashes
/// merged, parameters cut off.
struct WideReading<'a> {
    bytes: std::str::Bytes<'a>,
    cut: Cut,
    /// Those that are being passed over.
    parameters: Option<Parameters>,
    /// The byte that was returned last.
    before: u8,
}

impl<'a> WideReading<'a> {
    fn new(path: &'a str, cut: Cut) -> Self {
        Self { bytes: path.bytes(), cut, parameters: None, before: 0 }
    }

    /// The next byte, and whether it was escaped. In a normal path each `%` has its two digits.
    fn decoded(&mut self) -> Option<(u8, bool)> {
        match self.bytes.next()? {
            b'%' => Some((hex(self.bytes.next()?) << 4 | hex(self.bytes.next()?), true)),
            byte => Some((byte, false)),
        }
    }

    /// In which parameters this byte is, or none.
    fn parameters_from(&self, byte: u8, is_escaped: bool) -> Option<Parameters> {
        match (byte, self.parameters) {
            (b';', _) if !is_escaped => Some(Parameters::Written),
            (b'/', _) if !is_escaped => None,
            (b';', None) if self.cut != Cut::BeforeDecoding => Some(Parameters::Escaped),
            (b'/', Some(Parameters::Escaped)) => None,
            (b'/', _) if self.cut == Cut::AfterDecoding => None,
            (_, parameters) => parameters,
        }
    }
}

impl Iterator for WideReading<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        loop {
            let (byte, is_escaped) = self.decoded()?;
            let byte = if byte == b'\\' { b'/' } else { byte };
            self.parameters = self.parameters_from(byte, is_escaped);
            if self.parameters.is_some() || (byte == b'/' && self.before == b'/') {
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
    fn the_very_path_is_told_from_those_below() {
        for (below, path, literally, at_widest) in [
            ("/api", "/api", Standing::Same, Standing::Same),
            ("/api", "/api/", Standing::Same, Standing::Same),
            ("/api", "/api/x", Standing::Below, Standing::Below),
            ("/api", "/api;v=1", Standing::Outside, Standing::Same),
            ("/api", "/api%2F", Standing::Outside, Standing::Same),
            ("/api", "/api%2Fx", Standing::Outside, Standing::Below),
            ("/api", "/apix;/api", Standing::Outside, Standing::Outside),
            ("/x/api", "/x;%2Fy/api", Standing::Outside, Standing::Same),
            ("/x/y/api", "/x;%2Fy/api", Standing::Outside, Standing::Same),
            ("/x/api", "/x%3B/api", Standing::Outside, Standing::Same),
            ("/x", "/x;%2Fy", Standing::Outside, Standing::Same),
            // Cut, decoded, and cut again.
            ("/x/admin", "/x;%2Fy/admin%3Bz", Standing::Outside, Standing::Same),
            ("/a%2F", "/a", Standing::Outside, Standing::Same),
            ("/a%2Fb", "/a", Standing::Outside, Standing::Outside),
            // A last segment of parameters only.
            ("/a/%3Bb", "/a/;b/c", Standing::Outside, Standing::Below),
            ("/a/%3Bb", "/a/;b", Standing::Outside, Standing::Same),
            ("/", "/", Standing::Same, Standing::Same),
            ("/", "/;v=1", Standing::Below, Standing::Same),
            ("/", "/x%2Fy", Standing::Below, Standing::Below),
            ("/", "*", Standing::Below, Standing::Below),
        ] {
            let path = NormalPath::parse(path).unwrap();
            assert_eq!(prefix(below).literally(&path), literally, "{path} to {below}");
            assert_eq!(prefix(below).at_widest(&path), at_widest, "{path} to {below}, widely");
        }
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
