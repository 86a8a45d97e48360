//! The path of a request, in one spelling.
//!
//! A path has many spellings, and whoever judges one while the application reads another lets visitors around
//! the rules. So it is made normal once, as the request comes in, and only this form is routed, judged and
//! forwarded. What could still be read in two ways, like `/static/..%2fadmin`, is refused rather than guessed.

use std::borrow::Cow;
use std::fmt;

use http::uri::PathAndQuery;
use percent_encoding::{percent_decode, percent_encode_byte};

mod prefix;

pub use prefix::{Prefix, Prefixes, Standing};

/// How often a hidden dot segment is looked for behind one more layer of escapes: `%2e`, `%252e`, `%25252e`.
const LAYERS: usize = 3;

/// A path in its one spelling: percent-encoded ASCII, no dot segment, no empty segment but a last one.
///
/// Unreserved characters are never escaped, characters that a path cannot hold always are, escapes are in upper
/// case. `%2F` and the other reserved characters keep the spelling in which they came (RFC 3986, 2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NormalPath<'a>(Cow<'a, str>);

impl<'a> NormalPath<'a> {
    /// The normal form of the path of a request target, without its query.
    ///
    /// Borrows, and allocates nothing, where the path is normal already, which nearly all are. `*` stays what it
    /// is, an empty path is `/`.
    ///
    /// # Errors
    /// The path is malformed, or could be read in two ways: answer 400.
    pub fn parse(path: &'a str) -> Result<Self, PathError> {
        if path == "*" || is_normal(path) {
            return Ok(Self(Cow::Borrowed(path)));
        }
        if path.is_empty() {
            return Ok(Self(Cow::Owned("/".to_owned())));
        }
        if !path.starts_with('/') {
            return Err(PathError::NotAbsolute);
        }
        let normal = resolve(&respell(path)?)?;
        Ok(Self(if normal == path { Cow::Borrowed(path) } else { Cow::Owned(normal) }))
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is spelled exactly as it came, so that the request target can be forwarded as it is.
    #[must_use]
    pub const fn is_unchanged(&self) -> bool {
        matches!(self.0, Cow::Borrowed(_))
    }

    /// Whether it is `*`, the server as a whole, which only OPTIONS may name.
    #[must_use]
    pub fn is_asterisk(&self) -> bool {
        self.0 == "*"
    }

    /// Whether it is `prefix` or lies below it, by whole segments: `/api` holds `/api/x` and not `/apix`. The
    /// asterisk is below `/` only. Allocates nothing.
    #[must_use]
    pub fn is_below(&self, prefix: &Prefix) -> bool {
        prefix.holds(self)
    }

    /// The path with the query untouched, to be forwarded. Allocates: take the target as it came where
    /// [`NormalPath::is_unchanged`].
    ///
    /// # Errors
    /// The query holds what no query may hold.
    pub fn with_query(&self, query: Option<&str>) -> Result<PathAndQuery, http::uri::InvalidUri> {
        let target = match query {
            Some(query) => format!("{}?{query}", self.0),
            None => self.0.clone().into_owned(),
        };
        PathAndQuery::from_maybe_shared(bytes::Bytes::from(target))
    }
}

impl fmt::Display for NormalPath<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Why a path is refused. The client is to blame; the answer is 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It neither begins with `/` nor is `*`.
    #[error("the path must begin with `/`")]
    NotAbsolute,
    /// A NUL or another control character, raw or escaped.
    #[error("the path holds a control character at byte {at}: leave it out")]
    Control {
        /// Where, counted from 0.
        at: usize,
    },
    /// A raw backslash, which some applications take for `/`.
    #[error("the path holds a backslash at byte {at}: write `/`, or `%5C` where a backslash is meant")]
    Backslash {
        /// Where, counted from 0.
        at: usize,
    },
    /// A `%` that is not followed by two hexadecimal digits.
    #[error("the path holds a malformed escape at byte {at}: write `%25` for a percent sign")]
    Escape {
        /// Where, counted from 0.
        at: usize,
    },
    /// A segment that turns into `.` or `..` for who decodes more than we do, or cuts parameters off.
    #[error("the path hides a dot segment behind an escape or a parameter: write the path without it")]
    HiddenDots,
}

/// Whether the path certainly is in its normal form. `false` only means that the longer way must be taken.
fn is_normal(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else {
        return false;
    };
    let mut bytes = rest.bytes();
    let mut before = b'/';
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => {
                let escaped = (bytes.next(), bytes.next());
                let (Some(high @ (b'0'..=b'9' | b'A'..=b'F')), Some(low @ (b'0'..=b'9' | b'A'..=b'F'))) =
                    escaped
                else {
                    return false;
                };
                match hex(high) << 4 | hex(low) {
                    // These may hide a dot segment, which only the longer way looks for.
                    b'/' | b'\\' | b'%' | b';' => return false,
                    value if value.is_ascii_control() || is_unreserved(value) => return false,
                    _ => {}
                }
            }
            b'/' | b'.' if before == b'/' => return false,
            b';' => return false,
            b'/' => {}
            byte if is_path_character(byte) => {}
            _ => return false,
        }
        before = byte;
    }
    true
}

/// The path with each character in its one spelling.
fn respell(path: &str) -> Result<String, PathError> {
    let mut spelled = String::with_capacity(path.len());
    let mut bytes = path.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        let (value, escaped) = match byte {
            b'%' => {
                let digits = (bytes.next(), bytes.next());
                let (Some((_, high)), Some((_, low))) = digits else {
                    return Err(PathError::Escape { at });
                };
                if !high.is_ascii_hexdigit() || !low.is_ascii_hexdigit() {
                    return Err(PathError::Escape { at });
                }
                (hex(high) << 4 | hex(low), true)
            }
            b'\\' => return Err(PathError::Backslash { at }),
            byte => (byte, false),
        };
        if value.is_ascii_control() {
            return Err(PathError::Control { at });
        }
        if is_unreserved(value) || (!escaped && (value == b'/' || is_path_character(value))) {
            spelled.push(char::from(value));
        } else {
            spelled.push_str(percent_encode_byte(value));
        }
    }
    Ok(spelled)
}

/// Merges slashes and resolves dot segments (RFC 3986, 5.2.4); `..` above the root stays at the root.
fn resolve(path: &str) -> Result<String, PathError> {
    let mut segments: Vec<&str> = Vec::new();
    // Whether the path ends at a directory: its last segment was empty or a dot segment.
    let mut open = true;
    for segment in path.split('/') {
        open = matches!(segment, "" | "." | "..");
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment if hides_dots(segment.as_bytes(), LAYERS) => return Err(PathError::HiddenDots),
            segment => segments.push(segment),
        }
    }
    let mut resolved = String::with_capacity(path.len());
    for segment in &segments {
        resolved.push('/');
        resolved.push_str(segment);
    }
    if open || segments.is_empty() {
        resolved.push('/');
    }
    Ok(resolved)
}

/// Whether some reader of `segment` finds a dot segment in it: after decoding it up to `layers` times, taking `\`
/// for `/`, and cutting off parameters, as servlet containers do (`/static/..;/admin`).
fn hides_dots(segment: &[u8], layers: usize) -> bool {
    let dotted = segment
        .split(|byte| matches!(byte, b'/' | b'\\'))
        .filter_map(|piece| piece.split(|byte| *byte == b';').next())
        .any(|name| matches!(name, b"." | b".."));
    if dotted || layers == 0 || !segment.contains(&b'%') {
        return dotted;
    }
    hides_dots(&Cow::from(percent_decode(segment)), layers - 1)
}

/// RFC 3986, 2.3.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// What a segment may hold without an escape (`pchar`, RFC 3986, 3.3).
const fn is_path_character(byte: u8) -> bool {
    is_unreserved(byte)
        || matches!(
            byte,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=' | b':' | b'@'
        )
}

/// The value of a digit that is known to be hexadecimal.
const fn hex(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => digit.wrapping_sub(b'A').wrapping_add(10),
    }
}

#[cfg(test)]
mod tests;
