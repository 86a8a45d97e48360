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

/// Adds a pair to a text that [`decode`] and `mod_session` can read, and that is nothing but printable ASCII. An empty
/// value reads as a removal there, and so does a pair without a key as nothing.
pub fn push_pair(text: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    // Room for the usual case, where little needs an escape.
    text.reserve(key.len() + value.len() + 2);
    if !text.is_empty() {
        text.push(b'&');
    }
    push_escaped(text, key);
    text.push(b'=');
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

/// So many bytes are written together, as if none needed an escape: of most that sessions hold, none does.
const CHUNK: usize = 64;

fn push_escaped(text: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.chunks(CHUNK) {
        let before = text.len();
        let mut is_plain = true;
        text.extend(chunk.iter().map(|byte| {
            let written = written(*byte);
            is_plain &= written != ESCAPED;
            written
        }));
        if !is_plain {
            text.truncate(before);
            chunk.iter().for_each(|byte| push_byte(text, *byte));
        }
    }
}

fn push_byte(text: &mut Vec<u8>, byte: u8) {
    match written(byte) {
        ESCAPED => text.extend([b'%', digit(byte >> 4), digit(byte & 15)]),
        written => text.push(written),
    }
}

/// In lower case, as `mod_session` writes them.
const fn digit(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'a' + value - 10 }
}

/// What a byte is written as, or [`ESCAPED`].
fn written(byte: u8) -> u8 {
    WRITTEN.get(usize::from(byte)).copied().unwrap_or(ESCAPED)
}

const ESCAPED: u8 = 0;

static WRITTEN: [u8; 256] = {
    let mut written = [ESCAPED; 256];
    let mut rest = written.as_mut_slice();
    let mut byte = 0;
    while let Some((first, others)) = rest.split_first_mut() {
        *first = match byte {
            b' ' => b'+',
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'.' | b'-' | b'*' | b'_' => byte,
            _ => ESCAPED,
        };
        byte = byte.wrapping_add(1);
        rest = others;
    }
    written
};

#[cfg(test)]
mod tests;
