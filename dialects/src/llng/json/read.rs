//! What clients send and ask for.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use session::{MAX_DEPTH, Value};

use crate::llng::{Changes, Received};

/// The largest body that is read, in bytes: as large as a message of SOAP.
pub const MAX_BODY: usize = crate::llng::soap::MAX_BODY;

/// The most values of a body, nested ones included.
const MAX_VALUES: usize = 1 << 16;

/// The member with which a client shows that it knows the shared key. It is never stored.
const SECRET: &str = "__secret";

/// What becomes of a session.
#[derive(Clone, PartialEq, Eq)]
pub struct Update {
    /// What becomes of its attributes; those that are not named stay.
    pub changes: Changes,
    /// The proof that the client knows the shared key, ciphered, where it sent one.
    pub secret: Option<Box<str>>,
}

/// Shows no value.
impl fmt::Debug for Update {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Update({} changes)", self.changes.len())
    }
}

/// Why a body is not read. What it says is told to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// It does not say that it is JSON, or is empty.
    #[error("Data is not JSON")]
    NotJson,
    /// It is no JSON.
    #[error("{0}")]
    Malformed(Box<str>),
    /// It is JSON, and not of the expected shape.
    #[error("the body must be a JSON object")]
    NoObject,
    /// It is larger than [`MAX_BODY`].
    #[error("the body is larger than {MAX_BODY} bytes")]
    TooLarge,
    /// It holds more than can be a session.
    #[error("the body has more than {MAX_VALUES} values, or they are nested more than {MAX_DEPTH} deep")]
    TooMuch,
}

/// Which attributes are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// All of them, as an object.
    All,
    /// One, as it is.
    One(Box<str>),
    /// These, as an object, with null where there is none.
    These(Vec<Box<str>>),
}

impl Wanted {
    /// From the word of a path, its escapes resolved: `[a,b]` are two, and `a,b` is one.
    #[must_use]
    pub fn of_path(word: &str) -> Self {
        match word.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(names) => {
                Self::These(names.split(',').filter(|name| !name.is_empty()).map(Into::into).collect())
            }
            None => Self::One(word.into()),
        }
    }
}

/// An attribute and the value that it must have.
#[derive(Clone, PartialEq, Eq)]
pub struct Search {
    /// The name of the attribute.
    pub name: Box<str>,
    value: Box<str>,
}

/// Shows no value.
impl fmt::Debug for Search {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Search({})", self.name)
    }
}

impl Search {
    /// From the value of the parameter `search`, its escapes resolved: the name, a comma, and the value, which may hold
    /// commas.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, value) = text.split_once(',')?;
        (!name.is_empty()).then(|| Self { name: name.into(), value: value.into() })
    }

    /// The value that is looked for.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// Whether a session with this value of the attribute is looked for. Values are compared as text.
    #[must_use]
    pub fn finds(&self, value: Option<&Value>) -> bool {
        value.and_then(Value::as_text) == Some(&self.value)
    }
}

/// Whether a body of this content type is JSON.
#[must_use]
pub fn is_json(content_type: Option<&str>) -> bool {
    let kind = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// Reads what becomes of a session.
///
/// # Errors
/// [`Unread`] says what to tell the client.
pub fn read_update(content_type: Option<&str>, body: &[u8]) -> Result<Update, Unread> {
    let mut changes = read_object(content_type, body)?;
    let secret = take(&mut changes, SECRET).and_then(Received::into_text);
    Ok(Update { changes, secret })
}

/// Reads which attributes of all sessions are wanted, and the proof that the client knows the shared key.
///
/// # Errors
/// [`Unread`] says what to tell the client.
pub fn read_list(content_type: Option<&str>, body: &[u8]) -> Result<(Wanted, Option<Box<str>>), Unread> {
    let mut asked = read_object(content_type, body)?;
    let secret = take(&mut asked, SECRET).and_then(Received::into_text);
    let wanted = match take(&mut asked, "data").unwrap_or(Received::Nil) {
        Received::Nil => Wanted::All,
        Received::List(names) => Wanted::These(names.into_iter().filter_map(Received::into_text).collect()),
        name => Wanted::One(name.into_text().ok_or(Unread::NoObject)?),
    };
    Ok((wanted, secret))
}

/// Reads the new value of one attribute: JSON where it says so, else text.
///
/// # Errors
/// [`Unread`] says what to tell the client.
pub fn read_value(content_type: Option<&str>, body: &[u8]) -> Result<Received, Unread> {
    if body.len() > MAX_BODY {
        return Err(Unread::TooLarge);
    }
    if is_json(content_type) { parse(body) } else { Ok(Received::Octets(body.into())) }
}

fn read_object(content_type: Option<&str>, body: &[u8]) -> Result<Changes, Unread> {
    if body.len() > MAX_BODY {
        return Err(Unread::TooLarge);
    }
    if body.is_empty() || !is_json(content_type) {
        return Err(Unread::NotJson);
    }
    match parse(body)? {
        Received::Map(members) => Ok(members),
        _ => Err(Unread::NoObject),
    }
}

fn take(members: &mut Changes, name: &str) -> Option<Received> {
    let at = members.iter().position(|(known, _)| **known == *name)?;
    Some(members.remove(at).1)
}

fn parse(body: &[u8]) -> Result<Received, Unread> {
    let text = mended(body)?;
    let raw = serde_json::from_str(&text).map_err(|error| Unread::Malformed(error.to_string().into()))?;
    let mut room = MAX_VALUES;
    value(raw, 0, &mut room)
}

/// A value. The one that is the body is at level 0, what it holds at 1, and that may have as many levels as any value.
fn value(raw: &RawValue, level: usize, room: &mut usize) -> Result<Received, Unread> {
    *room = room.checked_sub(1).ok_or(Unread::TooMuch)?;
    let text = raw.get();
    let malformed = |error: serde_json::Error| Unread::Malformed(error.to_string().into());
    Ok(match text.as_bytes().first() {
        Some(b'{' | b'[') if level > MAX_DEPTH => return Err(Unread::TooMuch),
        Some(b'{') => {
            let Members(members) = serde_json::from_str(text).map_err(malformed)?;
            Received::Map(map(members, level, room)?)
        }
        Some(b'[') => {
            let Items(items) = serde_json::from_str(text).map_err(malformed)?;
            let items = items.into_iter().map(|item| value(item, level + 1, room));
            Received::List(items.collect::<Result<_, _>>()?)
        }
        Some(b'"') => Received::Text(serde_json::from_str::<String>(text).map_err(malformed)?.into()),
        Some(b'n') => Received::Nil,
        Some(b't') => Received::Text("1".into()),
        Some(b'f') => Received::Text("0".into()),
        _ => Received::Text(text.into()),
    })
}

/// Of a name that comes again, the last value counts.
fn map(members: Vec<(String, &RawValue)>, level: usize, room: &mut usize) -> Result<Changes, Unread> {
    let mut known: HashMap<Box<str>, usize> = HashMap::with_capacity(members.len());
    let mut map = Changes::with_capacity(members.len());
    for (name, raw) in members {
        let value = value(raw, level + 1, room)?;
        let name: Box<str> = name.into();
        match known.get(&name).and_then(|at| map.get_mut(*at)) {
            Some((_, before)) => *before = value,
            None => {
                known.insert(name.clone(), map.len());
                map.push((name, value));
            }
        }
    }
    Ok(map)
}

/// The body as text. A string in it that is no UTF-8 is taken as Latin-1, each for itself: Perl writes both into one body.
fn mended(body: &[u8]) -> Result<Cow<'_, str>, Unread> {
    if let Ok(text) = std::str::from_utf8(body) {
        return Ok(Cow::Borrowed(text));
    }
    let not_text = || Unread::Malformed("it is not in UTF-8".into());
    let mut mended = String::with_capacity(body.len() * 2);
    let mut rest = body;
    while let Some(start) = memchr(b'"', rest) {
        let (before, from) = rest.split_at_checked(start + 1).ok_or_else(not_text)?;
        mended.push_str(std::str::from_utf8(before).map_err(|_| not_text())?);
        let (string, after) = from.split_at_checked(end_of_string(from)).ok_or_else(not_text)?;
        match std::str::from_utf8(string) {
            Ok(text) => mended.push_str(text),
            Err(_) => mended.extend(string.iter().copied().map(char::from)),
        }
        rest = after;
    }
    mended.push_str(std::str::from_utf8(rest).map_err(|_| not_text())?);
    Ok(Cow::Owned(mended))
}

fn memchr(wanted: u8, bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == wanted)
}

/// How many bytes a string has, from behind its first quotation mark to behind its last.
fn end_of_string(bytes: &[u8]) -> usize {
    let mut is_escaped = false;
    let end = bytes.iter().position(|byte| {
        let is_end = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(bytes.len(), |end| end + 1)
}

/// The members of an object in their order, not yet read.
struct Members<'b>(Vec<(String, &'b RawValue)>);

impl<'de: 'b, 'b> Deserialize<'de> for Members<'b> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    is_room(members.len())?;
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// The items of an array, not yet read.
struct Items<'b>(Vec<&'b RawValue>);

impl<'de: 'b, 'b> Deserialize<'de> for Items<'b> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Items<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an array")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = sequence.next_element()? {
                    is_room(items.len())?;
                    items.push(item);
                }
                Ok(Items(items))
            }
        }
        deserializer.deserialize_seq(Reader)
    }
}

fn is_room<E: de::Error>(count: usize) -> Result<(), E> {
    if count < MAX_VALUES { Ok(()) } else { Err(E::custom("too many values")) }
}
