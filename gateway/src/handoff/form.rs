//! A session as form text.

use dialects::apache::form::{is_expiry, push_pair};
use session::Value;

use super::{Fact, Hidden};

/// Facts and entries as pairs.
pub(super) fn text<'e>(
    facts: &[Fact<'_>],
    entries: impl Iterator<Item = (&'e str, &'e Value)>,
    separator: Option<&str>,
    hidden: Hidden<'_>,
) -> Vec<u8> {
    // Room for an ordinary session, so that it is not copied while it grows.
    let mut text = Vec::with_capacity(256);
    for (name, value) in facts {
        push_pair(&mut text, name.as_bytes(), value.as_bytes());
    }
    for (name, value) in entries.filter(|(name, _)| !name.is_empty() && !is_expiry(name.as_bytes())) {
        push(&mut text, name, value, separator, hidden);
    }
    text
}

/// Names, escaped, between commas, and how many were told by that.
pub(super) fn names(names: &[Box<str>], max_bytes: usize) -> (Vec<u8>, usize) {
    let mut list = Vec::new();
    for (told, name) in names.iter().enumerate() {
        let mut pair = Vec::new();
        push_pair(&mut pair, name.as_bytes(), b"");
        let escaped = pair.strip_suffix(b"=").unwrap_or(&pair);
        let comma = usize::from(!list.is_empty());
        if escaped.len() > max_bytes {
            continue;
        }
        if list.len() + comma + escaped.len() > max_bytes {
            return (list, told);
        }
        if comma > 0 {
            list.push(b',');
        }
        list.extend_from_slice(escaped);
    }
    (list, names.len())
}

/// The members of a list that are no list or map themselves, joined; `None` where there is none.
pub(super) fn joined(values: &[Value], separator: &str) -> Option<Vec<u8>> {
    let mut scalars = values.iter().filter_map(scalar);
    let mut joined = escaped(scalars.next()?, separator);
    for value in scalars {
        joined.extend_from_slice(separator.as_bytes());
        joined.extend_from_slice(&escaped(value, separator));
    }
    Some(joined)
}

/// The bytes of a text or of bytes.
pub(super) const fn scalar(value: &Value) -> Option<&[u8]> {
    match value {
        Value::Text(text) => Some(text.as_bytes()),
        Value::Bytes(bytes) => Some(bytes),
        Value::List(_) | Value::Map(_) => None,
    }
}

/// Recursion ends at [`session::MAX_DEPTH`], which every value keeps. What a map holds may get a hidden name as its
/// key, and is left out as well.
fn push(text: &mut Vec<u8>, key: &str, value: &Value, separator: Option<&str>, hidden: Hidden<'_>) {
    if hidden.holds(key) {
        return;
    }
    match value {
        Value::Text(_) | Value::Bytes(_) => {
            push_pair(text, key.as_bytes(), scalar(value).unwrap_or_default())
        }
        Value::Map(values) => {
            for (name, value) in values {
                push(text, &format!("{key}.{name}"), value, separator, hidden);
            }
        }
        Value::List(values) => {
            if let Some(joined) = separator.and_then(|separator| joined(values, separator)) {
                push_pair(text, key.as_bytes(), &joined);
            }
            for value in values.iter().filter(|value| separator.is_none() || scalar(value).is_none()) {
                push(text, key, value, separator, hidden);
            }
        }
    }
}

/// With a backslash before each separator and each backslash.
fn escaped(value: &[u8], separator: &str) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        let is_separator = !separator.is_empty() && rest.starts_with(separator.as_bytes());
        if is_separator || *first == b'\\' {
            escaped.push(b'\\');
        }
        escaped.push(*first);
        rest = after;
    }
    escaped
}
