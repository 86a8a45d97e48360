//! The headers that we present to applications, in every spelling.
//!
//! A CGI program, WSGI, PHP and others read a header as a variable whose name knows letters and digits only: for them
//! `X-Session`, `x_session` and, on some servers, `X.Session` are one. So a name is compared by its letters and
//! digits, and whatever else stands in it counts as `-`.

use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, DATE,
    EXPECT, HOST, LOCATION, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Names of headers, each meaning every spelling that an application could take for it.
///
/// Made once. To go through the headers of a message allocates nothing unless one has to go.
#[derive(Debug, Clone, Default)]
pub struct Presented {
    /// Folded, so that they compare byte by byte.
    names: Box<[Box<[u8]>]>,
    /// What begins so counts as well.
    beginnings: Box<[Box<[u8]>]>,
    /// One bit for each length modulo 64 that a name has: most headers of a request are told apart by that.
    lengths: u64,
}

impl Presented {
    /// These names.
    #[must_use]
    pub fn new<'a>(names: impl IntoIterator<Item = &'a HeaderName>) -> Self {
        let names: Box<[_]> = names.into_iter().map(|name| folded(name.as_str())).collect();
        let lengths = names.iter().fold(0, |lengths, name| lengths | length_bit(name.len()));
        Self { names, beginnings: Box::default(), lengths }
    }

    /// These names, and all that begin with one of `beginnings`, for headers whose names follow the entries.
    /// An empty beginning is ignored: it would be every header.
    #[must_use]
    pub fn and_beginning<'a>(self, beginnings: impl IntoIterator<Item = &'a str>) -> Self {
        let beginnings =
            beginnings.into_iter().filter(|beginning| !beginning.is_empty()).map(folded).collect();
        Self { beginnings, ..self }
    }

    /// Whether an application could take `name` for one of these. Allocates nothing.
    #[must_use]
    pub fn covers(&self, name: &HeaderName) -> bool {
        let name = name.as_str().as_bytes();
        (self.lengths & length_bit(name.len()) != 0
            && self.names.iter().any(|known| is_spelling(name, known)))
            || self.beginnings.iter().any(|beginning| {
                name.get(..beginning.len()).is_some_and(|start| is_spelling(start, beginning))
            })
    }

    /// Removes every copy in every spelling. Returns how many names went, for the log and the metric: nobody sends
    /// them by accident. Use it on trailers too.
    pub fn remove(&self, headers: &mut HeaderMap) -> usize {
        self.remove_unless(headers, |_| false)
    }

    /// As [`Presented::remove`], except what `stays`.
    pub(crate) fn remove_unless(
        &self,
        headers: &mut HeaderMap,
        stays: impl Fn(&HeaderName) -> bool,
    ) -> usize {
        // An empty vector takes no memory.
        let found: Vec<HeaderName> =
            headers.keys().filter(|name| self.covers(name) && !stays(name)).cloned().collect();
        for name in &found {
            headers.remove(name);
        }
        found.len()
    }
}

/// The header by which an application changes a session.
#[derive(Debug, Clone)]
pub struct Update {
    name: HeaderName,
    spellings: Presented,
}

impl Update {
    /// The update header called `name`.
    #[must_use]
    pub fn new(name: HeaderName) -> Self {
        let spellings = Presented::new([&name]);
        Self { name, spellings }
    }

    /// Removes every copy in every spelling, so that none gets to the client, and returns the values of those that
    /// bear the very name, in order. To be called on each response whatever its status, on interim responses and on
    /// trailers; what to do with the values is another question. Allocates only when there are some.
    pub fn take(&self, headers: &mut HeaderMap) -> Vec<HeaderValue> {
        let values = headers.get_all(&self.name).iter().cloned().collect();
        self.spellings.remove(headers);
        values
    }
}

/// Whether a header of this name may carry something of ours: not one that frames the message, routes it, or has a
/// meaning of its own to browsers and applications. For the check of a configuration.
#[must_use]
pub fn may_be_presented(name: &HeaderName) -> bool {
    let taken = Presented::new(&[
        AUTHORIZATION,
        CACHE_CONTROL,
        CONNECTION,
        CONTENT_ENCODING,
        CONTENT_LENGTH,
        CONTENT_TYPE,
        COOKIE,
        DATE,
        EXPECT,
        HOST,
        LOCATION,
        SET_COOKIE,
        TE,
        TRAILER,
        TRANSFER_ENCODING,
        UPGRADE,
    ])
    .and_beginning(["x-forwarded-", "forwarded", "proxy-", "keep-alive", "vary", "sec-"]);
    !taken.covers(name)
}

fn folded(name: &str) -> Box<[u8]> {
    name.bytes().map(fold).collect()
}

/// What a byte of a name counts as.
const fn fold(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}

fn is_spelling(name: &[u8], folded: &[u8]) -> bool {
    name.len() == folded.len() && name.iter().zip(folded).all(|(byte, known)| fold(*byte) == *known)
}

const fn length_bit(length: usize) -> u64 {
    1 << (length % 64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()))
            .fold(HeaderMap::new(), |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            })
    }

    fn name(name: &str) -> HeaderName {
        name.parse().unwrap()
    }

    #[test]
    fn every_spelling_goes_and_nothing_else() {
        let presented = Presented::new([&name("X-Session"), &name("X-Remote-User")]);
        let mut sent = headers(&[
            ("X-Session", "1"),
            ("x-session", "2"),
            ("X_SESSION", "3"),
            ("X_Remote-User", "4"),
            ("X.Session", "5"),
            ("X~Session", "6"),
            ("X-Sessions", "7"),
            ("X-Sessio", "8"),
            ("XX-Session", "9"),
            ("Accept-It", "10"),
        ]);
        assert_eq!(presented.remove(&mut sent), 5);
        let mut left: Vec<&str> = sent.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["accept-it", "x-sessio", "x-sessions", "xx-session"]);
        assert_eq!(presented.remove(&mut sent), 0);
    }

    #[test]
    fn names_that_follow_the_entries_go_by_their_beginning() {
        let presented = Presented::default().and_beginning(["X-Entry-", ""]);
        for (spelling, covered) in [
            ("x-entry-uid", true),
            ("X_ENTRY_uid", true),
            ("x-entry-", true),
            ("x-entry", false),
            ("accept", false),
        ] {
            assert_eq!(presented.covers(&name(spelling)), covered, "{spelling}");
        }
    }

    #[test]
    fn an_update_is_taken_in_order_and_nothing_of_it_stays() {
        let update = Update::new(name("X-Replace-Session"));
        let mut response = headers(&[
            ("X-Replace-Session", "a=1"),
            ("X_Replace_Session", "a=9"),
            ("Content-Type", "text/html"),
            ("x-replace-session", "b=2"),
        ]);
        assert_eq!(update.take(&mut response), ["a=1", "b=2"]);
        assert_eq!(response.len(), 1);
        assert!(update.take(&mut response).is_empty());
    }

    #[test]
    fn headers_with_a_meaning_of_their_own_carry_nothing_of_ours() {
        for (header, may) in [
            ("X-Session", true),
            ("Remote-User", true),
            ("X-Replace-Session", true),
            ("Host", false),
            ("Cookie", false),
            ("Set_Cookie", false),
            ("Content-Length", false),
            ("X-Forwarded-For", false),
            ("Connection", false),
        ] {
            assert_eq!(may_be_presented(&name(header)), may, "{header}");
        }
    }

    proptest! {
        /// Law 7: no spelling that folds to a presented name is left.
        #[test]
        fn no_spelling_is_left(spellings in prop::collection::vec("[xX][-_.!~][sS][eE]", 0..8)) {
            let mut sent = HeaderMap::new();
            for spelling in &spellings {
                sent.append(name(spelling), HeaderValue::from_static("1"));
            }
            sent.append("x-other", HeaderValue::from_static("1"));
            Presented::new([&name("x-se")]).remove(&mut sent);
            prop_assert_eq!(sent.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-other"]);
        }
    }
}
