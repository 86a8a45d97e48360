//! The text of a `mod_session` session: `application/x-www-form-urlencoded`, as that module writes it.
//!
//! What it wrote is read, and what is written here it reads. Where its reader is wrong, ours is not: a key is decoded
//! before it is compared, so one that needs escapes can be removed; keys are case-sensitive; `expiry` is the
//! expiry in any case and never an entry, so a session cannot lose its end by writing `EXPIRY`; and a pair
//! without a key is nobody's. A pair that cannot be read is left out and told, the others count.

use session::Value;

/// The key that holds the end of the session, in microseconds since the Unix epoch.
pub const EXPIRY: &str = "expiry";

/// How much of a form is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the text.
    pub bytes: usize,
    /// Pairs, repeated and unreadable ones included.
    pub pairs: usize,
}

/// A form that was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Form {
    /// Each key once, where it stood first, with what stood last.
    pub pairs: Vec<Pair>,
    /// The end of the session in microseconds since the Unix epoch; 0 says that it has none. `None` where the form
    /// does not speak of it.
    pub expiry: Option<i64>,
    /// What was left out, and why.
    pub notes: Vec<Note>,
}

/// A key and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The decoded key, never empty and never [`EXPIRY`].
    pub key: Vec<u8>,
    /// The decoded value; `None` removes the key. Never a list or a map.
    pub value: Option<Value>,
}

/// A pair that was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note {
    /// Which one, counted from 1.
    pub pair: usize,
    /// Why.
    pub problem: Problem,
}

/// Why a pair was left out. It never shows what stood there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Nothing stands before the `=`.
    #[error("it has no key: write `key=value`")]
    NoKey,
    /// A `%` without two hexadecimal digits.
    #[error("it holds a malformed escape: write `%25` for a percent sign")]
    Escape,
    /// A NUL, raw or escaped.
    #[error("it holds a NUL, which no session text can hold")]
    Nul,
    /// `expiry` is no number.
    #[error("its `expiry` is no number: write microseconds since 1970")]
    Expiry,
}

/// Why a form is not read at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// It is longer than [`Limits::bytes`].
    #[error("the form has {bytes} bytes, and at most {limit} are read: keep less in the session")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// It has more than [`Limits::pairs`].
    #[error("the form has more than {limit} pairs: keep less in the session")]
    TooManyPairs {
        /// The limit.
        limit: usize,
    },
}

impl Default for Limits {
    /// 64 KiB, and as many pairs as a session has entries.
    fn default() -> Self {
        Self { bytes: 64 * 1024, pairs: session::MAX_ENTRIES }
    }
}

impl Pair {
    /// The key, if it is text. Only such a key can be the name of an entry.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        std::str::from_utf8(&self.key).ok()
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "pair {} was left out: {}", self.pair, self.problem)
    }
}

/// Reads a form.
///
/// # Errors
/// It is larger than `limits`; then nothing of it is read.
pub fn decode(text: &[u8], limits: Limits) -> Result<Form, FormError> {
    if text.len() > limits.bytes {
        return Err(FormError::TooLong { bytes: text.len(), limit: limits.bytes });
    }
    let mut form = Form::default();
    let pairs = text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    for (index, text) in pairs.enumerate() {
        if index >= limits.pairs {
            return Err(FormError::TooManyPairs { limit: limits.pairs });
        }
        if let Err(problem) = form.read(text) {
            form.notes.push(Note { pair: index + 1, problem });
        }
    }
    Ok(form)
}

/// Adds a pair to a text that [`decode`] and `mod_session` can read. An empty value reads as a removal there, and so
/// does a pair without a key as nothing.
pub fn push_pair(text: &mut String, key: &[u8], value: &[u8]) {
    if !text.is_empty() {
        text.push('&');
    }
    push_escaped(text, key);
    text.push('=');
    push_escaped(text, value);
}

/// Whether this key means the end of the session, and so cannot be the name of an entry in this format.
#[must_use]
pub const fn is_expiry(key: &[u8]) -> bool {
    key.eq_ignore_ascii_case(EXPIRY.as_bytes())
}

impl Form {
    fn read(&mut self, text: &[u8]) -> Result<(), Problem> {
        let mut parts = text.splitn(2, |byte| *byte == b'=');
        let key = unescape(parts.next().unwrap_or_default())?;
        let value = unescape(parts.next().unwrap_or_default())?;
        if key.is_empty() {
            return Err(Problem::NoKey);
        }
        if is_expiry(&key) {
            self.expiry = Some(parse_expiry(&value)?);
            return Ok(());
        }
        let value = (!value.is_empty()).then(|| Value::from_bytes(value));
        // Few pairs, and a bounded number of them: a search is quicker than an index.
        match self.pairs.iter_mut().find(|known| known.key == key) {
            Some(known) => known.value = value,
            None => self.pairs.push(Pair { key, value }),
        }
        Ok(())
    }
}

fn parse_expiry(value: &[u8]) -> Result<i64, Problem> {
    if value.is_empty() {
        return Ok(0);
    }
    std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok()).ok_or(Problem::Expiry)
}

fn unescape(text: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'+' => b' ',
            b'%' => match (bytes.next().and_then(hex), bytes.next().and_then(hex)) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(Problem::Escape),
            },
            byte => byte,
        });
    }
    if plain.contains(&0) { Err(Problem::Nul) } else { Ok(plain) }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| value.try_into().ok())
}

fn push_escaped(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            b' ' => text.push('+'),
            b'.' | b'-' | b'*' | b'_' => text.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => text.push(char::from(*byte)),
            byte => {
                text.push('%');
                text.extend(
                    [byte >> 4, byte & 15].iter().filter_map(|digit| char::from_digit((*digit).into(), 16)),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Keys and values as text, `None` for a removal.
    fn read(text: &str) -> Vec<(String, Option<String>)> {
        let form = decode(text.as_bytes(), Limits::default()).unwrap();
        let value = |value: Value| match value {
            Value::Text(text) => text.into(),
            other => format!("{other:?}"),
        };
        form.pairs.into_iter().map(|pair| (pair.name().unwrap().to_owned(), pair.value.map(value))).collect()
    }

    fn problems(text: &[u8]) -> Vec<(usize, Problem)> {
        let notes = decode(text, Limits::default()).unwrap().notes;
        notes.into_iter().map(|note| (note.pair, note.problem)).collect()
    }

    /// What `mod_session` reads, where it is right, and what it should read where it is not.
    #[test]
    fn forms_are_read_as_the_module_writes_them() {
        for (text, expected) in [
            ("", &[][..]),
            ("key1=foo&key3=bar", &[("key1", Some("foo")), ("key3", Some("bar"))]),
            ("%2fadmin-user=alice", &[("/admin-user", Some("alice"))]),
            ("a=1&a=2&b=9&a=3", &[("a", Some("3")), ("b", Some("9"))]),
            ("a=", &[("a", None)]),
            ("a", &[("a", None)]),
            ("a=1&a=", &[("a", None)]),
            ("a=&a=1", &[("a", Some("1"))]),
            // The module compares the key before it decodes it, and removes nothing.
            ("my%20key=", &[("my key", None)]),
            ("my+key=", &[("my key", None)]),
            ("my+key", &[("my key", None)]),
            ("a=b=c", &[("a", Some("b=c"))]),
            ("a==b", &[("a", Some("=b"))]),
            ("&&a=1&&b=2&", &[("a", Some("1")), ("b", Some("2"))]),
            ("a=x+y", &[("a", Some("x y"))]),
            ("a=x%2By", &[("a", Some("x+y"))]),
            ("a=%C3%a9", &[("a", Some("é"))]),
            ("a=\u{1}é", &[("a", Some("\u{1}é"))]),
            ("a=\"x\"", &[("a", Some("\"x\""))]),
            // The module takes these for one key.
            ("key1=a&KEY1=b", &[("key1", Some("a")), ("KEY1", Some("b"))]),
        ] {
            let expected: Vec<_> =
                expected.iter().map(|(key, value)| ((*key).to_owned(), value.map(str::to_owned))).collect();
            assert_eq!(read(text), expected, "{text}");
            assert_eq!(problems(text.as_bytes()), [], "{text}");
        }
    }

    #[test]
    fn a_pair_that_cannot_be_read_is_left_out_and_told() {
        for (text, problem) in [
            (&b"a=%zz"[..], Problem::Escape),
            (b"a=%2", Problem::Escape),
            (b"a=%", Problem::Escape),
            (b"%zz=1", Problem::Escape),
            (b"a=%+1", Problem::Escape),
            (b"a=x%00y", Problem::Nul),
            (b"a=x\0y", Problem::Nul),
            (b"a%00=x", Problem::Nul),
            (b"=x", Problem::NoKey),
            (b"==x", Problem::NoKey),
            (b"=", Problem::NoKey),
            (b"expiry=abc", Problem::Expiry),
            (b"expiry=1x", Problem::Expiry),
            (b"expiry=99999999999999999999", Problem::Expiry),
            (b"expiry=\xff", Problem::Expiry),
        ] {
            let around = [b"a=old&expiry=7&", text, b"&b=2"].concat();
            assert_eq!(problems(&around), [(3, problem)], "{}", text.escape_ascii());
            let form = decode(&around, Limits::default()).unwrap();
            assert_eq!(form.pairs.len(), 2);
            assert_eq!(form.pairs[0].value, Some("old".into()));
            assert_eq!(form.expiry, Some(7));
        }
        // CVE-2021-26690 was a pair without a key.
        assert_eq!(read("key1=foo&=&expiry=1"), [("key1".to_owned(), Some("foo".to_owned()))]);
    }

    #[test]
    fn an_expiry_is_never_an_entry() {
        for (text, expiry) in [
            ("a=1", None),
            ("a=1&expiry=1700000000000000", Some(1_700_000_000_000_000)),
            ("EXPIRY=5&a=1", Some(5)),
            ("expiry=5&a=1&eXpiry=6", Some(6)),
            ("a=1&%65xpiry=5", Some(5)),
            ("a=1&expiry=-1", Some(-1)),
            ("a=1&expiry=", Some(0)),
            ("a=1&expiry", Some(0)),
        ] {
            let form = decode(text.as_bytes(), Limits::default()).unwrap();
            assert_eq!(form.expiry, expiry, "{text}");
            assert_eq!(form.pairs.len(), 1, "{text}");
        }
    }

    #[test]
    fn values_that_are_no_text_are_bytes() {
        let form = decode(b"a=%ff&%fe=1", Limits::default()).unwrap();
        assert_eq!(form.pairs[0].value, Some(Value::Bytes(Box::new([0xff]))));
        assert_eq!(form.pairs[1].name(), None);
        assert_eq!(form.pairs[1].key, [0xfe]);
    }

    #[test]
    fn a_form_that_is_too_large_is_not_read() {
        let limits = Limits { bytes: 7, pairs: 2 };
        assert!(decode(b"a=1&b=2", limits).is_ok());
        assert_eq!(decode(b"a=1&b=22", limits), Err(FormError::TooLong { bytes: 8, limit: 7 }));
        assert!(decode(b"&a&&&a&", limits).is_ok());
        assert_eq!(decode(b"a&a&a", limits), Err(FormError::TooManyPairs { limit: 2 }));
        assert_eq!(decode(b"=&=&=", limits), Err(FormError::TooManyPairs { limit: 2 }));
    }

    #[test]
    fn pairs_are_written_as_the_module_writes_them() {
        let mut text = String::new();
        push_pair(&mut text, b"key1", b"foo");
        push_pair(&mut text, b"/admin user", b"a.b-c*d_e~f/+&=%");
        push_pair(&mut text, "é".as_bytes(), b"\x00\xff\"");
        assert_eq!(text, "key1=foo&%2fadmin+user=a.b-c*d_e%7ef%2f%2b%26%3d%25&%c3%a9=%00%ff%22");
    }

    proptest! {
        /// What is written is read.
        #[test]
        fn written_pairs_are_read_again(
            pairs in prop::collection::vec(
                (prop::collection::vec(1u8.., 1..12), prop::collection::vec(1u8.., 1..24)),
                0..8,
            ),
        ) {
            let mut text = String::new();
            let mut expected: Vec<Pair> = Vec::new();
            for (key, value) in pairs.into_iter().filter(|(key, _)| !is_expiry(key)) {
                push_pair(&mut text, &key, &value);
                let value = Some(Value::from_bytes(value));
                match expected.iter_mut().find(|known| known.key == key) {
                    Some(known) => known.value = value,
                    None => expected.push(Pair { key, value }),
                }
            }
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()));
            let form = decode(text.as_bytes(), Limits::default()).unwrap();
            prop_assert_eq!(form, Form { pairs: expected, expiry: None, notes: vec![] });
        }

        /// Any bytes are a form, and every pair is either read or told.
        #[test]
        fn reading_is_total(text in prop::collection::vec(prop::sample::select(b"a=&%+2f0\0\xffexpiry".to_vec()), 0..64)) {
            let form = decode(&text, Limits::default()).unwrap();
            prop_assert!(form.pairs.iter().all(|pair| !pair.key.is_empty() && !is_expiry(&pair.key)));
            let written = text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).count();
            prop_assert!(form.pairs.len() + form.notes.len() <= written);
        }
    }
}
