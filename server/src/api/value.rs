//! Values of entries as JSON, in the same shape as applications have them: bytes are `{"$base64": "..."}`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as JsonValue};
use session::{MAX_DEPTH, Value};

/// The one member of the object that stands for bytes.
const BASE64: &str = "$base64";

/// The value that somebody sends. Numbers and truth values become text.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(sent: JsonValue) -> Result<Value, &'static str> {
    let value = of(sent)?;
    if value.is_at_most(MAX_DEPTH) { Ok(value) } else { Err("a value is nested too deeply") }
}

fn of(sent: JsonValue) -> Result<Value, &'static str> {
    Ok(match sent {
        JsonValue::Null => return Err("`null` is no value of an entry"),
        JsonValue::Bool(is_so) => is_so.to_string().into(),
        JsonValue::Number(number) => number.to_string().into(),
        JsonValue::String(text) => text.into(),
        JsonValue::Array(values) => Value::List(values.into_iter().map(of).collect::<Result<_, _>>()?),
        JsonValue::Object(members) => match bytes(&members) {
            Some(bytes) => Value::from_bytes(bytes.ok_or("`$base64` holds no base64")?),
            None => Value::Map(
                members
                    .into_iter()
                    .map(|(name, value)| Ok((name.into(), of(value)?)))
                    .collect::<Result<_, &'static str>>()?,
            ),
        },
    })
}

/// The bytes that an object stands for, if it stands for some.
pub(super) fn bytes(members: &Map<String, JsonValue>) -> Option<Option<Vec<u8>>> {
    let text = members.get(BASE64).filter(|_| members.len() == 1)?.as_str()?;
    Some(STANDARD.decode(text).ok())
}

/// The value as it is sent.
pub(super) fn shown(value: &Value) -> JsonValue {
    match value {
        Value::Text(text) => JsonValue::String(text.to_string()),
        Value::Bytes(bytes) => {
            let text = JsonValue::String(STANDARD.encode(bytes));
            JsonValue::Object([(BASE64.to_owned(), text)].into_iter().collect())
        }
        Value::List(values) => JsonValue::Array(values.iter().map(shown).collect()),
        Value::Map(values) => {
            JsonValue::Object(values.iter().map(|(name, value)| (name.to_string(), shown(value))).collect())
        }
    }
}
