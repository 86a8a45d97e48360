//! One entry as the value of a header of its own.

use session::Value;

use super::{form, json};

/// The entry, as whoever decodes `%XX` reads it back.
pub(super) fn text(value: &Value, separator: Option<&str>) -> String {
    match value {
        Value::Text(text) => escaped(text.as_bytes()),
        Value::Bytes(bytes) => escaped(bytes),
        Value::Map(_) => escaped(json::value(value).as_bytes()),
        Value::List(values) if values.iter().any(|value| form::scalar(value).is_none()) => {
            escaped(json::value(value).as_bytes())
        }
        Value::List(values) => match separator {
            Some(separator) => escaped(&form::joined(values, separator).unwrap_or_default()),
            None => {
                let members = values.iter().filter_map(form::scalar);
                // A comma inside of a member is escaped, so the list can be taken apart again.
                members.map(|member| escaped(member).replace(',', "%2C")).collect::<Vec<_>>().join(", ")
            }
        },
    }
}

/// Printable ASCII as it is, except `%`; all else as `%XX`, and blanks at the ends, which no header keeps.
pub(super) fn escaped(value: &[u8]) -> String {
    let mut escaped = String::with_capacity(value.len());
    for (at, byte) in value.iter().enumerate() {
        let is_inside = at > 0 && at + 1 < value.len();
        if (byte.is_ascii_graphic() && *byte != b'%') || (*byte == b' ' && is_inside) {
            escaped.push(char::from(*byte));
        } else {
            escaped.push_str(percent_encoding::percent_encode_byte(*byte));
        }
    }
    escaped
}
