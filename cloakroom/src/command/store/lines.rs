//! What a dump says, line by line.
//!
//! ```text
//! {"header": {format, version, dump, made, storage, engine}}
//! {"record": {context, name, version, touched, expires, value}}          one a record
//! {"tombstone": {context, name, until, why, at, value}}                  one for each that was ended
//! {"checkpoint": {cursor, records, tombstones, unreadable}}              after each page: here a broken off dump goes on
//! {"end": {records, tombstones, unreadable, counters, digest, value}}    the last one
//! ```
//!
//! Times are milliseconds since the Unix epoch; what has no end says none. A name that is no text is in base64 as
//! `name_base64`. `value` is sealed with the key ring: that of a record, who ended it, or nothing. Everything else of the line,
//! and the name of the dump, is associated data: nobody without the keys makes a line, changes one, or moves one to another dump.
//! `digest` is the SHA-256 of everything before the line in which it is, so that none is missing either.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use seal::{KeyTag, Keys, SealError};
use serde::{Deserialize, Serialize};
use session::{Ending, Millis, Why};
use storage::{Key, Record, Times, Tombstone, Version};

/// What a dump says that it is.
pub(super) const FORMAT: &str = "cloakroom dump";
/// The version of the format that is written, and the newest that is read.
pub(super) const VERSION: u32 = 1;

const LABEL: &[u8] = b"cloakroom dump v1\0";

/// One line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    Header(Header),
    Record(RecordLine),
    Tombstone(TombstoneLine),
    Checkpoint(Checkpoint),
    End(End),
}

/// What the file is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) format: String,
    pub(super) version: u32,
    /// Names this dump; random.
    pub(super) dump: String,
    pub(super) made: u64,
    /// The `id` of the storage service that it is from, and its engine.
    pub(super) storage: String,
    pub(super) engine: String,
}

/// Where a record lies.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Address {
    context: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name_base64: Option<String>,
}

/// A live record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RecordLine {
    #[serde(flatten)]
    address: Address,
    version: u64,
    touched: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    value: String,
}

/// What an ended one left.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct TombstoneLine {
    #[serde(flatten)]
    address: Address,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<u64>,
    why: String,
    at: u64,
    value: String,
}

/// So far it has come.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    /// Where the scan of the storage goes on, in base64.
    pub(super) cursor: String,
    #[serde(flatten)]
    pub(super) written: Written,
}

/// How much a dump holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Written {
    pub(super) records: u64,
    pub(super) tombstones: u64,
    /// Records whose seal did not open; they are not in it.
    pub(super) unreadable: u64,
}

/// That it is whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct End {
    #[serde(flatten)]
    pub(super) written: Written,
    /// Above every version of a counter that there ever was, in this storage, of forgotten ones too.
    pub(super) counters: u64,
    pub(super) digest: String,
    value: String,
}

/// What was sealed in a line.
#[derive(Debug)]
pub(super) enum Content {
    Live(Key, Record),
    Buried(Key, Tombstone),
    End(End),
}

/// Why a line does not open.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotOurs {
    #[error("it is sealed with the key {0}, which this installation does not have")]
    UnknownKey(KeyTag),
    #[error("it was changed, or belongs to another dump")]
    Changed,
    #[error("{0}")]
    Malformed(&'static str),
}

impl Line {
    /// A line for a record, whose value is not sealed any more.
    pub(super) fn of_record(key: &Key, record: &Record, dump: &str, keys: &Keys) -> Result<Self, SealError> {
        let line = Self::Record(RecordLine {
            address: Address::of(key),
            version: record.version.0,
            touched: record.times.touched.0,
            expires: said(record.times.expires),
            value: String::new(),
        });
        line.sealed(&record.value, dump, keys)
    }

    /// A line for a tombstone.
    pub(super) fn of_tombstone(
        key: &Key,
        tombstone: &Tombstone,
        dump: &str,
        keys: &Keys,
    ) -> Result<Self, SealError> {
        let ending = &tombstone.ending;
        let line = Self::Tombstone(TombstoneLine {
            address: Address::of(key),
            until: said(tombstone.until),
            why: ending.why.as_str().to_owned(),
            at: ending.at.0,
            value: String::new(),
        });
        line.sealed(ending.actor().as_bytes(), dump, keys)
    }

    /// The last line.
    pub(super) fn of_end(
        written: Written,
        counters: Version,
        digest: &[u8],
        dump: &str,
        keys: &Keys,
    ) -> Result<Self, SealError> {
        let digest = BASE64.encode(digest);
        let end = End { written, counters: counters.0, digest, value: String::new() };
        Self::End(end).sealed(b"", dump, keys)
    }

    /// What the line holds; nothing for the lines that hold nothing sealed.
    pub(super) fn open(mut self, dump: &str, keys: &Keys) -> Result<Option<Content>, NotOurs> {
        let Some(value) = self.value_mut().map(std::mem::take) else { return Ok(None) };
        let sealed = BASE64.decode(value).map_err(|_| NotOurs::Malformed("its value is no base64"))?;
        let plain = keys.open(&self.bound_to(dump), &sealed).map_err(|_| match KeyTag::of(&sealed) {
            Some(tag) if !keys.ring().knows(tag) => NotOurs::UnknownKey(tag),
            _ => NotOurs::Changed,
        })?;
        Ok(match self {
            Self::Header(_) | Self::Checkpoint(_) => None,
            Self::Record(line) => {
                let times = Times { touched: Millis(line.touched), expires: meant(line.expires) };
                let record = Record { value: plain.into(), version: Version(line.version), times };
                Some(Content::Live(line.address.key()?, record))
            }
            Self::Tombstone(line) => {
                let by =
                    String::from_utf8(plain).map_err(|_| NotOurs::Malformed("who ended it is no text"))?;
                // A reason that only a newer build knows is no reason to let a session come back.
                let why = line.why.parse().unwrap_or(Why::Revoked);
                let ending = Ending::of_actor(Millis(line.at), why, &by);
                Some(Content::Buried(line.address.key()?, Tombstone { ending, until: meant(line.until) }))
            }
            Self::End(end) => Some(Content::End(end)),
        })
    }

    fn sealed(mut self, plain: &[u8], dump: &str, keys: &Keys) -> Result<Self, SealError> {
        let sealed = keys.seal(&self.bound_to(dump), plain)?;
        if let Some(value) = self.value_mut() {
            *value = BASE64.encode(sealed);
        }
        Ok(self)
    }

    /// All of the line but its value.
    fn bound_to(&self, dump: &str) -> Vec<u8> {
        let line = serde_json::to_vec(self).unwrap_or_default();
        [LABEL, dump.as_bytes(), b"\0", &line].concat()
    }

    const fn value_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Header(_) | Self::Checkpoint(_) => None,
            Self::Record(line) => Some(&mut line.value),
            Self::Tombstone(line) => Some(&mut line.value),
            Self::End(line) => Some(&mut line.value),
        }
    }
}

impl Checkpoint {
    pub(super) fn new(cursor: &[u8], written: Written) -> Self {
        Self { cursor: BASE64.encode(cursor), written }
    }

    /// Where the scan goes on; none if that is not to be read.
    pub(super) fn cursor(&self) -> Option<Vec<u8>> {
        BASE64.decode(&self.cursor).ok()
    }
}

impl End {
    /// Whether everything before it has this digest.
    pub(super) fn is_of(&self, digest: &[u8]) -> bool {
        self.digest == BASE64.encode(digest)
    }
}

impl Address {
    fn of(key: &Key) -> Self {
        let text = std::str::from_utf8(key.name()).ok().filter(|name| !name.contains(char::is_control));
        Self {
            context: key.context().to_owned(),
            name: text.map(str::to_owned),
            name_base64: text.is_none().then(|| BASE64.encode(key.name())),
        }
    }

    fn key(&self) -> Result<Key, NotOurs> {
        let name = match (&self.name, &self.name_base64) {
            (Some(text), None) => text.clone().into_bytes(),
            (None, Some(base64)) => {
                BASE64.decode(base64).map_err(|_| NotOurs::Malformed("its name is no base64"))?
            }
            _ => return Err(NotOurs::Malformed("it has no name, or two")),
        };
        Key::new(&self.context, &name).map_err(|_| NotOurs::Malformed("its name or context is too long"))
    }
}

fn said(time: Millis) -> Option<u64> {
    (time != Millis::NEVER).then_some(time.0)
}

fn meant(time: Option<u64>) -> Millis {
    time.map_or(Millis::NEVER, Millis)
}

#[cfg(test)]
mod tests;
