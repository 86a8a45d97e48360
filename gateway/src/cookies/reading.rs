//! What a client sends in `Cookie`.
//!
//! A browser sends every cookie of a name that it holds, and a neighbouring host may have planted one. Which of them
//! is meant cannot be told from the header (section 4.2.2), so all are returned, up to a bound, and whoever knows the
//! sessions decides.

use http::header::{COOKIE, InvalidHeaderValue};
use http::{HeaderMap, HeaderValue};
use memchr::memchr;

/// How many different values of one name are looked at.
pub const MAX_VALUES: usize = 4;

/// The values that a request holds of one cookie.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Found<'h> {
    values: [&'h [u8]; MAX_VALUES],
    count: usize,
    too_many: bool,
}

/// The values of the cookie called `name`, in the order in which they came. Names are compared exactly; a value that
/// comes again counts once; blanks around a value are no part of it, quotes are.
///
/// One pass over the headers, however many cookies there are, and it ends at the fifth value. Allocates nothing.
#[must_use]
pub fn find<'h>(headers: &'h HeaderMap, name: &str) -> Found<'h> {
    let mut found = Found::default();
    for value in headers.get_all(COOKIE) {
        for pair in pairs(value.as_bytes()) {
            if let Some(value) = value_of(pair, name)
                && !found.add(value)
            {
                return found;
            }
        }
    }
    found
}

/// Takes our cookies out of what goes to the application: the other cookies stay byte for byte, and the header goes
/// when nothing is left.
///
/// Several `Cookie` headers become one, since many applications would read only the first (RFC 9113, 8.2.3). Where
/// there is one without a cookie of ours, which is cheap to see, nothing changes and nothing is allocated; nor is it
/// where there are only ours.
pub fn hide(headers: &mut HeaderMap, names: &[impl AsRef<str>]) {
    let is_ours = |pair: &[u8]| names.iter().any(|name| value_of(pair, name.as_ref()).is_some());
    let mut all = headers.get_all(COOKIE).iter();
    let (Some(first), second) = (all.next(), all.next()) else { return };
    let kept = match (what_stays(first.as_bytes(), is_ours), second) {
        (Stays::All, None) => return,
        (Stays::Piece(piece), None) => HeaderValue::from_bytes(piece),
        _ => joined(headers, is_ours),
    };
    // Parts of legal values, joined by what is legal in one.
    match kept {
        Ok(kept) if !kept.is_empty() => drop(headers.insert(COOKIE, kept)),
        _ => drop(headers.remove(COOKIE)),
    }
}

/// What is left of one header without ours.
enum Stays<'h> {
    /// There is none of ours.
    All,
    /// Ours are at the ends. Nothing stays where there is nothing else.
    Piece(&'h [u8]),
    /// Ours stand between others.
    Pieces,
}

fn what_stays<'h>(value: &'h [u8], is_ours: impl Fn(&[u8]) -> bool) -> Stays<'h> {
    let (mut begin, mut end, mut position) = (None, 0, 0);
    let (mut any_of_ours, mut any_after_others) = (false, false);
    for pair in pairs(value) {
        if is_ours(pair) {
            any_of_ours = true;
            any_after_others |= begin.is_some();
        } else if begin.is_some() || !pair.trim_ascii().is_empty() {
            if any_after_others {
                return Stays::Pieces;
            }
            begin.get_or_insert(position);
            end = position + pair.len();
        }
        position += pair.len() + 1;
    }
    let piece = begin.and_then(|begin| value.get(begin..end)).unwrap_or_default();
    if any_of_ours { Stays::Piece(piece.trim_ascii_start()) } else { Stays::All }
}

/// What stays of all headers, as one.
fn joined(headers: &HeaderMap, is_ours: impl Fn(&[u8]) -> bool) -> Result<HeaderValue, InvalidHeaderValue> {
    let length = headers.get_all(COOKIE).iter().map(|value| value.len() + 2).sum();
    let mut kept: Vec<u8> = Vec::with_capacity(length);
    for value in headers.get_all(COOKIE) {
        let mut separator: &[u8] = b"; ";
        for pair in pairs(value.as_bytes()) {
            if is_ours(pair) || (kept.is_empty() && pair.trim_ascii().is_empty()) {
                continue;
            }
            if kept.is_empty() {
                kept.extend_from_slice(pair.trim_ascii_start());
            } else {
                // Between pairs of one header the blanks are those that came.
                let pair = if separator.len() > 1 { pair.trim_ascii_start() } else { pair };
                kept.extend_from_slice(separator);
                kept.extend_from_slice(pair);
            }
            separator = b";";
        }
    }
    HeaderValue::from_maybe_shared(bytes::Bytes::from(kept))
}

impl<'h> Found<'h> {
    /// A value that came in another way.
    pub(crate) fn of_one(value: &'h [u8]) -> Self {
        let mut found = Self::default();
        found.add(value);
        found
    }

    /// The values, in the order in which they came.
    pub fn values(&self) -> impl Iterator<Item = &'h [u8]> {
        let Self { values, count, .. } = *self;
        values.into_iter().take(count)
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether there were more than [`MAX_VALUES`] different values: no browser does that by accident.
    #[must_use]
    pub const fn too_many(&self) -> bool {
        self.too_many
    }

    /// Adds a value unless it is known. `false` when there is no room.
    fn add(&mut self, value: &'h [u8]) -> bool {
        if self.values().any(|known| known == value) {
            return true;
        }
        match self.values.get_mut(self.count) {
            Some(slot) => {
                *slot = value;
                self.count += 1;
                true
            }
            None => {
                self.too_many = true;
                false
            }
        }
    }
}

/// Says how many, never which: they are tickets.
impl std::fmt::Debug for Found<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Found").field("count", &self.count).field("too_many", &self.too_many).finish()
    }
}

/// The pairs of one header, with the blanks around them. A ticket is long, and the search is nearly as quick as copying.
fn pairs(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let Some(end) = memchr(b';', text) else { return Some(text) };
        let (pair, after) = text.split_at_checked(end)?;
        rest = after.strip_prefix(b";");
        Some(pair)
    })
}

/// The value, if the pair bears this name. A pair without `=` has no name (section 5.6).
fn value_of<'h>(pair: &'h [u8], name: &str) -> Option<&'h [u8]> {
    let rest = pair.trim_ascii_start().strip_prefix(name.as_bytes())?;
    Some(rest.trim_ascii_start().strip_prefix(b"=")?.trim_ascii())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(COOKIE, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn values(cookies: &[&str]) -> (Vec<String>, bool) {
        let headers = headers(cookies);
        let found = find(&headers, "session");
        (found.values().map(|value| String::from_utf8(value.to_vec()).unwrap()).collect(), found.too_many())
    }

    fn hidden(cookies: &[&str]) -> Vec<String> {
        let mut headers = headers(cookies);
        hide(&mut headers, &["session", "session-form"]);
        headers.get_all(COOKIE).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn every_different_value_of_our_name_is_found_in_order() {
        for (cookies, expected) in [
            (&[][..], &[][..]),
            (&["session=a"], &["a"]),
            (&["x=1; session=a; y=2"], &["a"]),
            (&["session=a;session=b"], &["a", "b"]),
            (&["session=a; session=a", "session=a"], &["a"]),
            (&["session=a", "x=1;session=b"], &["a", "b"]),
            (&[" session = a b \t; y=2"], &["a b"]),
            (&["session=a=b="], &["a=b="]),
            (&["session="], &[""]),
            (&["session=\"a\""], &["\"a\""]),
            (&["session=1;session=2;session=3;session=4"], &["1", "2", "3", "4"]),
            // None of these is ours.
            (&["session"], &[]),
            (&["Session=a; SESSION=b"], &[]),
            (&["xsession=a; session2=b; sess=c"], &[]),
            (&["foo=x,session=a"], &[]),
            (&["foo=\"x; y\"; =session=a"], &[]),
        ] {
            let (found, too_many) = values(cookies);
            assert_eq!(found, expected, "{cookies:?}");
            assert!(!too_many);
        }
    }

    #[test]
    fn more_than_four_values_are_told() {
        let (found, too_many) = values(&["session=1;session=2;session=3;session=4;session=1;session=5"]);
        assert_eq!(found, ["1", "2", "3", "4"]);
        assert!(too_many);
    }

    #[test]
    fn ten_thousand_cookies_are_read_once() {
        let many = vec!["a=1"; 10_000].join("; ");
        assert_eq!(values(&[&format!("{many}; session=a")]), (vec!["a".to_owned()], false));
        let ours: Vec<String> = (0..10_000).map(|number| format!("session={number}")).collect();
        assert!(values(&[&ours.join("; ")]).1);
        assert_eq!(hidden(&[&ours.join("; "), "b=2"]), ["b=2"]);
    }

    #[test]
    fn the_application_sees_the_others_byte_for_byte() {
        for (cookies, expected) in [
            (&[][..], &[][..]),
            (&["a=1;  b=2 ;c"], &["a=1;  b=2 ;c"]),
            (&["session=x"], &[]),
            (&["session=x; session=y;session-form=z"], &[]),
            (&["session=x; a=1"], &["a=1"]),
            (&["a=1; session=x"], &["a=1"]),
            (&["a=1;session=x;  b=2"], &["a=1;  b=2"]),
            (&["session=x; ; a=1"], &["a=1"]),
            (&[" ; session=x"], &[]),
            (&["a=1; session=x; session2=y; Session=z"], &["a=1; session2=y; Session=z"]),
            (&["foo=x,session=a; session=b"], &["foo=x,session=a"]),
            (&["session=x", "a=1"], &["a=1"]),
            (&["a=1", "session=x"], &["a=1"]),
            (&["a=1; b=2", " c=3;d=4"], &["a=1; b=2; c=3;d=4"]),
            (&["a=\"1; session=x\""], &["a=\"1"]),
        ] {
            assert_eq!(hidden(cookies), expected, "{cookies:?}");
        }
    }

    #[test]
    fn other_bytes_than_ascii_stay() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_bytes(b"a=\xff; session=x; b=\xc3\xa9").unwrap());
        hide(&mut headers, &["session"]);
        assert_eq!(headers.get(COOKIE).unwrap().as_bytes(), b"a=\xff; b=\xc3\xa9");
    }

    #[test]
    fn found_values_are_not_shown() {
        let headers = headers(&["session=secret"]);
        assert!(!format!("{:?}", find(&headers, "session")).contains("secret"));
    }

    proptest! {
        /// Ours at the ends are cut off with the same result as if the others were put together pair by pair.
        #[test]
        fn a_piece_is_what_would_be_joined(cookies in "( {0,2}(session=x|a=1|b|) ?;){0,5}( ?(session=x|a=1))?") {
            let is_ours = |pair: &[u8]| value_of(pair, "session").is_some();
            let headers = headers(&[&cookies]);
            if let Stays::Piece(piece) = what_stays(cookies.as_bytes(), is_ours) {
                let joined = joined(&headers, is_ours).unwrap();
                prop_assert_eq!(joined.as_bytes(), piece);
            }
        }

        /// What is hidden is not found any more, the others all are, and there is no blank in front.
        #[test]
        fn hiding_hides_ours_and_only_ours(
            cookies in prop::collection::vec("( ?(session|a|session2|) ?=?[x;= ]{0,3};?){0,6}", 0..4),
        ) {
            let all: Vec<&str> = cookies.iter().map(String::as_str).collect();
            let before = headers(&all);
            let mut after = before.clone();
            hide(&mut after, &["session"]);
            prop_assert!(find(&after, "session").is_empty());
            for other in ["a", "session2"] {
                prop_assert_eq!(
                    find(&after, other).values().collect::<Vec<_>>(),
                    find(&before, other).values().collect::<Vec<_>>()
                );
            }
            prop_assert!(after.get_all(COOKIE).iter().count() <= 1);
        }
    }
}
