//! A session as JSON in ASCII, and what an application sends as JSON.

use std::cell::Cell;
use std::fmt;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::ser::Formatter;
use session::Value;

use super::Fact;

/// The one member of the object that stands for bytes.
const BASE64: &str = "$base64";

/// Facts and entries as one object.
pub(super) fn object<'e>(facts: &[Fact<'_>], entries: impl Iterator<Item = (&'e str, &'e Value)>) -> String {
    text(&Everything { facts, entries: entries.collect() })
}

/// One value.
pub(super) fn value(value: &Value) -> String {
    text(&Shown(value))
}

/// An array of as many names as fit, and how many were told by that.
pub(super) fn names(names: &[Box<str>], max_bytes: usize) -> (String, usize) {
    let (mut list, mut told) = (String::from("["), 0);
    for name in names {
        let name = text(&**name);
        let is_possible = name.len() + 2 <= max_bytes;
        // With a comma before it or the bracket that began the list, and the one that ends it.
        if is_possible && list.len() + usize::from(list.len() > 1) + name.len() + 1 > max_bytes {
            break;
        }
        told += 1;
        if !is_possible {
            continue;
        }
        if list.len() > 1 {
            list.push(',');
        }
        list.push_str(&name);
    }
    list.push(']');
    (list, told)
}

/// Why a text is not read. Never shows what it is.
pub(super) enum Unread {
    /// It is no JSON object.
    Json(serde_json::Error),
    /// It has more members than there is room for.
    TooMany,
}

/// The members of an object, in order; `None` for `null`. Numbers and truth values become text.
///
/// `room` is for how many more values there is room, nested ones included. It is less afterwards, and what would go
/// beyond it is not read any further: looking for a name that comes twice takes long where there are many.
///
/// # Errors
/// [`Unread`]
pub(super) fn members(text: &[u8], room: &mut usize) -> Result<Vec<(String, Option<Value>)>, Unread> {
    let left = Cell::new(Some(*room));
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let read = Object(Room(&left))
        .deserialize(&mut deserializer)
        .and_then(|members| deserializer.end().map(|()| members));
    *room = left.get().unwrap_or_default();
    match left.get() {
        None => Err(Unread::TooMany),
        Some(_) => read.map_err(Unread::Json),
    }
}

fn text<T: Serialize + ?Sized>(value: &T) -> String {
    let mut bytes = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Ascii);
    // Writing into memory does not fail, and every key is text.
    let _ = value.serialize(&mut serializer);
    String::from_utf8(bytes).unwrap_or_default()
}

/// Escapes all that is not printable ASCII, which a header cannot hold or somebody on the way would misread.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let is_plain = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
        if fragment.bytes().all(is_plain) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut units = [0; 2];
        for character in fragment.chars() {
            match u8::try_from(character) {
                Ok(byte) if is_plain(byte) => writer.write_all(&[byte])?,
                _ => {
                    for unit in character.encode_utf16(&mut units) {
                        write!(writer, "\\u{unit:04x}")?;
                    }
                }
            }
        }
        Ok(())
    }
}

struct Everything<'a> {
    facts: &'a [Fact<'a>],
    entries: Vec<(&'a str, &'a Value)>,
}

impl Serialize for Everything<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.facts.len() + self.entries.len()))?;
        for (name, value) in self.facts {
            map.serialize_entry(name, value)?;
        }
        for (name, value) in &self.entries {
            map.serialize_entry(name, &Shown(value))?;
        }
        map.end()
    }
}

struct Shown<'v>(&'v Value);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Text(text) => serializer.serialize_str(text),
            Value::Bytes(bytes) => {
                let mut map = serializer.serialize_map(Some(1))?;
                map.serialize_entry(BASE64, &STANDARD.encode(bytes))?;
                map.end()
            }
            Value::List(values) => serializer.collect_seq(values.iter().map(Shown)),
            Value::Map(values) => {
                serializer.collect_map(values.iter().map(|(name, value)| (&**name, Shown(value))))
            }
        }
    }
}

/// How many more values are read; none once there were more.
#[derive(Clone, Copy)]
struct Room<'r>(&'r Cell<Option<usize>>);

impl Room<'_> {
    fn take<E: de::Error>(self) -> Result<(), E> {
        self.0.set(self.0.get().and_then(|left| left.checked_sub(1)));
        self.0.get().map(drop).ok_or_else(|| E::custom("too many values"))
    }
}

/// The object as a whole.
struct Object<'r>(Room<'r>);

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = Vec<(String, Option<Value>)>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Vec<(String, Option<Value>)>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(name) = map.next_key()? {
            members.push((name, map.next_value_seed(AnyValue(self.0))?));
        }
        Ok(members)
    }
}

/// A value; `None` for `null`, which is left out of lists and objects.
#[derive(Clone, Copy)]
struct AnyValue<'r>(Room<'r>);

impl<'de> DeserializeSeed<'de> for AnyValue<'_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        self.0.take()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue<'_> {
    type Value = Option<Value>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.into()))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(value.to_string().into()))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string().into()))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string().into()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string().into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = sequence.next_element_seed(self)? {
            values.extend(value);
        }
        Ok(Some(Value::List(values)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values: Vec<(Box<str>, Value)> = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(self)?;
            // The last of a name counts, also where it is `null`.
            values.retain(|(known, _)| **known != *name);
            values.extend(value.map(|value| (name.into(), value)));
        }
        Ok(Some(bytes_in(&values).unwrap_or(Value::Map(values))))
    }
}

/// The bytes for which an object stands, if it does.
fn bytes_in(values: &[(Box<str>, Value)]) -> Option<Value> {
    match values {
        [(name, Value::Text(text))] if **name == *BASE64 => {
            STANDARD.decode(&**text).ok().map(Value::from_bytes)
        }
        _ => None,
    }
}
