//! The form in which a session lies in storage.
//!
//! ```text
//! record = 0xC1 format(=1) field*
//! field  = tag:varint length:varint content
//! ```
//!
//! Two builds share one storage while a cluster is upgraded, so each must bear the other's records:
//! - a field with an *even* tag that a build does not know is kept and written back as it was;
//! - a field with an *odd* tag changes the meaning of the rest: a build that does not know it refuses the record with
//!   [`Malformed::Newer`] instead of guessing, and never writes it;
//! - `format` grows only if the rules above do not suffice.
//!
//! A session that its visitor carries has the same form, with what they prove and when it was last used in place of
//! the hash that storage would have.
//!
//! Integers are LEB128 varints, texts are UTF-8 with their length before them. Decoding is total and bounded: it
//! allocates no more than a small multiple of the bytes that are there.

use std::fmt;
use std::sync::Arc;

use crate::wire::{Damaged, Reader, Writer, as_text};
use crate::{
    Addresses, Authentication, Carried, Conflict, Entries, Entry, Epoch, Epochs, Handle, Lineage,
    MAX_ANCESTORS, MAX_DEPTH, MAX_ENTRIES, Millis, Previous, Principal, Recovery, Removal, Revision, Secret,
    SecretHash, Session, Value,
};

const MAGIC: u8 = 0xC1;
/// The version of the format that is written, and the newest that is read.
pub const FORMAT: u8 = 1;

const HANDLE: u64 = 1;
const REALM: u64 = 3;
const BEGUN: u64 = 5;
const SECRET: u64 = 7;
const REVISION: u64 = 9;
const PRINCIPAL: u64 = 11;
const AUTHENTICATION: u64 = 13;
const ENDS: u64 = 15;
const PREVIOUS: u64 = 17;
const ENTRY: u64 = 19;
const REMOVAL: u64 = 21;
const FLOOR: u64 = 23;
const CONFLICT: u64 = 25;
const EPOCH: u64 = 27;
/// The counters beside that of the principal.
const FURTHER_EPOCHS: u64 = 31;
/// Only where the visitor carries the session.
const CARRIED: u64 = 29;
/// Even: a node that does not know of it serves the session from anywhere, as it always did.
const ADDRESSES: u64 = 32;
/// The id of an assertion that is kept beside the session. Even: a node that does not know of it has none to show.
const ASSERTION: u64 = 34;
/// Only where tickets are renewed as time goes by. A build that does not know it would refuse who comes with a good ticket.
const LINEAGE: u64 = 33;
/// Empty in storage; in what a visitor holds, the times that belong to it.
const RECOVERY: u64 = 36;

/// About how many bytes a record takes beside its entries, and an entry beside its name and its value.
const ROOM: usize = 256;
const ROOM_OF_ENTRY: usize = 16;

const TEXT: u64 = 0;
const BYTES: u64 = 1;
const LIST: u64 = 2;
const MAP: u64 = 3;

/// A field that this build does not know and need not understand.
#[derive(Clone, PartialEq, Eq)]
pub struct Field {
    tag: u64,
    content: Box<[u8]>,
}

impl Field {
    pub(crate) const fn len(&self) -> usize {
        self.content.len()
    }
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Field").field("tag", &self.tag).field("bytes", &self.len()).finish()
    }
}

/// Why bytes are no session for this build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// A newer build wrote it in a way that this one must not guess at.
    #[error("the record was written by a newer Cloakroom (it has {what} {number}); upgrade this node")]
    Newer {
        /// What is new: the format or a field.
        what: &'static str,
        /// Its number.
        number: u64,
    },
    /// It is damaged, or no session record at all.
    #[error("the record is no session: {0}")]
    Damaged(&'static str),
}

impl From<Damaged> for Malformed {
    fn from(Damaged(why): Damaged) -> Self {
        Self::Damaged(why)
    }
}

/// The bytes of `session`.
#[must_use]
pub fn encode(session: &Session) -> Vec<u8> {
    let mut writer = Writer::with_room(&[MAGIC, FORMAT], room_for(session));
    write_fields(&mut writer, session, |writer| {
        writer.field(SECRET, |field| field.raw(session.secret.as_bytes()));
        if session.is_recoverable {
            writer.field(RECOVERY, |_| {});
        }
    });
    writer.into_bytes()
}

/// The bytes of what brings a session back. Whoever can write them can make a session: seal them.
#[must_use]
pub fn encode_recovery(recovery: &Recovery) -> Vec<u8> {
    let mut writer = Writer::new(&[MAGIC, FORMAT]);
    write_fields(&mut writer, &recovery.session, |writer| {
        writer.field(SECRET, |field| field.raw(recovery.session.secret.as_bytes()));
        writer.field(RECOVERY, |field| {
            field.number(recovery.touched.0);
            field.number(recovery.good_until.0);
        });
    });
    writer.into_bytes()
}

/// The bytes of a session that its visitor carries. They hold its secret: seal them.
#[must_use]
pub fn encode_carried(carried: &Carried) -> Vec<u8> {
    let mut writer = Writer::new(&[MAGIC, FORMAT]);
    write_fields(&mut writer, &carried.session, |writer| {
        writer.field(CARRIED, |field| {
            field.raw(carried.secret.expose());
            field.number(carried.touched.0);
            field.number(carried.good_until.0);
        });
    });
    writer.into_bytes()
}

/// About how many bytes a record takes, so that memory is asked for once. Lists and maps are not looked into.
fn room_for(session: &Session) -> usize {
    let of = |entry: &Entry| entry.name.len() + entry.value.as_text().map_or(0, str::len) + ROOM_OF_ENTRY;
    ROOM + session.entries.live().iter().map(of).sum::<usize>()
}

fn write_fields(writer: &mut Writer, session: &Session, proof: impl FnOnce(&mut Writer)) {
    writer.field(HANDLE, |field| field.raw(session.handle.as_bytes()));
    writer.field(REALM, |field| field.raw(session.realm.as_bytes()));
    writer.field(BEGUN, |field| field.number(session.begun.0));
    proof(writer);
    writer.field(REVISION, |field| field.number(session.revision.0));
    if let Some(principal) = &session.principal {
        writer.field(PRINCIPAL, |field| write_principal(field, principal));
    }
    if let Some(authentication) = &session.authentication {
        writer.field(AUTHENTICATION, |field| {
            field.number(authentication.at.0);
            field.text(&authentication.level);
        });
    }
    if let Some(ends) = session.ends {
        writer.field(ENDS, |field| field.number(ends.0));
    }
    if let Some(previous) = &session.previous {
        writer.field(PREVIOUS, |field| {
            field.raw(previous.secret.as_bytes());
            field.number(previous.until.0);
            field.raw(&previous.successor);
        });
    }
    if let Some(lineage) = &session.lineage {
        writer.field(LINEAGE, |field| {
            field.number(lineage.renewed.0);
            lineage.ancestors.iter().for_each(|secret| field.raw(secret.as_bytes()));
        });
    }
    for entry in session.entries.live() {
        writer.field(ENTRY, |field| {
            field.number(entry.written.0);
            field.text(&entry.name);
            write_value(field, &entry.value);
        });
    }
    for removal in session.entries.removals() {
        writer.field(REMOVAL, |field| {
            field.number(removal.removed.0);
            field.text(&removal.name);
        });
    }
    if session.entries.floor() != Revision::default() {
        writer.field(FLOOR, |field| field.number(session.entries.floor().0));
    }
    for conflict in &session.conflicts {
        writer.field(CONFLICT, |field| {
            field.number(conflict.noted.0);
            field.text(&conflict.name);
        });
    }
    let Epochs { person, index, realm, everybody, issued } = session.epochs;
    if person != Epoch::default() {
        writer.field(EPOCH, |field| field.number(person.0));
    }
    let further = [index, realm, everybody, issued];
    if further != [Epoch::default(); 4] {
        writer.field(FURTHER_EPOCHS, |field| further.into_iter().for_each(|epoch| field.number(epoch.0)));
    }
    if !session.addresses.is_empty() {
        writer.field(ADDRESSES, |field| session.addresses.write(field));
    }
    for id in &session.assertions {
        writer.field(ASSERTION, |field| field.raw(id.as_bytes()));
    }
    for unknown in &*session.unknown {
        writer.field(unknown.tag, |field| field.raw(&unknown.content));
    }
}

/// The session that `bytes` hold.
pub fn decode(bytes: &[u8]) -> Result<Session, Malformed> {
    let mut parts = Parts::of(bytes)?;
    let secret = parts.secret.take().ok_or(Malformed::Damaged("it has no secret"))?;
    parts.into_session(secret)
}

/// The session that `bytes` hold, with those of its entries that are `wanted` and without what is remembered of removed ones: for
/// whoever looks at many and needs little of each. What is left out is not read, and may be damaged. Never write it.
pub fn decode_some(bytes: &[u8], wanted: impl Fn(&str) -> bool) -> Result<Session, Malformed> {
    let mut parts = Parts::of_some(bytes, |tag, field| match tag {
        ENTRY => {
            field.number()?;
            Ok(wanted(as_text(field.bytes()?)?))
        }
        REMOVAL | CONFLICT => Ok(false),
        _ => Ok(true),
    })?;
    let secret = parts.secret.take().ok_or(Malformed::Damaged("it has no secret"))?;
    parts.into_session(secret)
}

/// The session that a visitor carries in `bytes`.
pub fn decode_carried(bytes: &[u8]) -> Result<Carried, Malformed> {
    let mut parts = Parts::of(bytes)?;
    let (secret, touched, good_until) =
        parts.carried.take().ok_or(Malformed::Damaged("it is not carried"))?;
    // No storage can lose what its visitor keeps.
    parts.recovery = None;
    Ok(Carried { session: parts.into_session(SecretHash::NOBODYS)?.into(), secret, touched, good_until })
}

/// What brings a session back, of which `bytes` are.
pub fn decode_recovery(bytes: &[u8]) -> Result<Recovery, Malformed> {
    let mut parts = Parts::of(bytes)?;
    let secret = parts.secret.take().ok_or(Malformed::Damaged("it has no secret"))?;
    let times = parts.recovery.flatten();
    let (touched, good_until) = times.ok_or(Malformed::Damaged("it brings no session back"))?;
    Ok(Recovery { session: parts.into_session(secret)?.into(), touched, good_until })
}

/// What was read so far.
#[derive(Default)]
struct Parts {
    handle: Option<Handle>,
    realm: Option<Arc<str>>,
    begun: Option<Millis>,
    secret: Option<SecretHash>,
    carried: Option<(Secret, Millis, Millis)>,
    recovery: Option<Option<(Millis, Millis)>>,
    revision: Option<Revision>,
    principal: Option<Principal>,
    authentication: Option<Authentication>,
    ends: Option<Millis>,
    previous: Option<Previous>,
    lineage: Option<Lineage>,
    entries: Vec<Entry>,
    removals: Vec<Removal>,
    floor: Revision,
    conflicts: Vec<Conflict>,
    addresses: Addresses,
    assertions: Vec<Box<str>>,
    epochs: Epochs,
    unknown: Vec<Field>,
}

impl Parts {
    fn of(bytes: &[u8]) -> Result<Self, Malformed> {
        Self::of_some(bytes, |_, _| Ok(true))
    }

    /// Those fields that are `wanted`, by their tag and content.
    fn of_some(
        bytes: &[u8],
        wanted: impl Fn(u64, &mut Reader<'_>) -> Result<bool, Malformed>,
    ) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.byte()? != MAGIC {
            return Err(Malformed::Damaged("it does not begin as one"));
        }
        match reader.byte()? {
            FORMAT => {}
            newer => return Err(Malformed::Newer { what: "format", number: newer.into() }),
        }
        let mut parts = Self::default();
        while !reader.is_empty() {
            let tag = reader.number()?;
            let length = reader.number()?;
            let content = reader.take(length)?;
            if wanted(tag, &mut Reader::new(content))? {
                parts.read(tag, Reader::new(content))?;
            }
        }
        Ok(parts)
    }

    fn read(&mut self, tag: u64, mut field: Reader<'_>) -> Result<(), Malformed> {
        match tag {
            HANDLE => self.handle = Some(Handle::from_bytes(field.array()?)),
            REALM => self.realm = Some(field.rest_as_text()?.into()),
            BEGUN => self.begun = Some(Millis(field.number()?)),
            SECRET => self.secret = Some(SecretHash::from_bytes(field.array()?)),
            REVISION => self.revision = Some(Revision(field.number()?)),
            PRINCIPAL => self.principal = Some(read_principal(&mut field)?),
            AUTHENTICATION => {
                self.authentication =
                    Some(Authentication { at: Millis(field.number()?), level: field.text()? });
            }
            ENDS => self.ends = Some(Millis(field.number()?)),
            PREVIOUS => {
                self.previous = Some(Previous {
                    secret: SecretHash::from_bytes(field.array()?),
                    until: Millis(field.number()?),
                    successor: field.rest().into(),
                });
            }
            LINEAGE => self.lineage = Some(read_lineage(&mut field)?),
            ENTRY if self.entries.len() >= MAX_ENTRIES => return Err(Malformed::Damaged("too many entries")),
            ENTRY => {
                let written = Revision(field.number()?);
                let name = field.text()?;
                self.entries.push(Entry { name, value: read_value(&mut field, MAX_DEPTH)?, written });
            }
            REMOVAL => {
                let removed = Revision(field.number()?);
                self.removals.push(Removal { name: field.text()?, removed });
            }
            FLOOR => self.floor = Revision(field.number()?),
            CONFLICT => {
                let noted = Revision(field.number()?);
                self.conflicts.push(Conflict { name: field.text()?, noted });
            }
            ADDRESSES => self.addresses = Addresses::read(&mut field)?,
            ASSERTION => self.assertions.push(field.rest_as_text()?.into()),
            EPOCH => self.epochs.person = Epoch(field.number()?),
            FURTHER_EPOCHS => {
                let Epochs { index, realm, everybody, issued, .. } = &mut self.epochs;
                for epoch in [index, realm, everybody, issued] {
                    *epoch = Epoch(field.number()?);
                }
            }
            CARRIED => {
                let secret = Secret::from_bytes(field.array()?);
                self.carried = Some((secret, Millis(field.number()?), Millis(field.number()?)));
            }
            RECOVERY if field.is_empty() => self.recovery = Some(None),
            RECOVERY => self.recovery = Some(Some((Millis(field.number()?), Millis(field.number()?)))),
            odd if odd % 2 == 1 => return Err(Malformed::Newer { what: "field", number: odd }),
            even => self.unknown.push(Field { tag: even, content: field.rest().into() }),
        }
        if field.is_empty() { Ok(()) } else { Err(Malformed::Damaged("a field is longer than its content")) }
    }

    fn into_session(self, secret: SecretHash) -> Result<Session, Malformed> {
        Ok(Session {
            handle: self.handle.ok_or(Malformed::Damaged("it has no handle"))?,
            realm: self.realm.ok_or(Malformed::Damaged("it has no realm"))?,
            principal: self.principal,
            authentication: self.authentication,
            begun: self.begun.ok_or(Malformed::Damaged("it has no beginning"))?,
            ends: self.ends,
            secret,
            previous: self.previous,
            lineage: self.lineage,
            revision: self.revision.ok_or(Malformed::Damaged("it has no revision"))?,
            entries: Entries::restore(self.entries, self.removals, self.floor),
            conflicts: self.conflicts,
            addresses: self.addresses,
            assertions: self.assertions.into(),
            epochs: self.epochs,
            is_recoverable: self.recovery.is_some(),
            unknown: self.unknown.into(),
        })
    }
}

pub(crate) fn write_principal(field: &mut Writer, principal: &Principal) {
    field.text(&principal.issuer);
    field.text(&principal.name);
    field.text(&principal.format);
    field.text(&principal.name_qualifier);
    field.text(&principal.sp_name_qualifier);
    if let Some(index) = &principal.session_index {
        field.text(index);
    }
}

pub(crate) fn read_principal(field: &mut Reader<'_>) -> Result<Principal, Malformed> {
    Ok(Principal {
        issuer: field.text()?,
        name: field.text()?,
        format: field.text()?,
        name_qualifier: field.text()?,
        sp_name_qualifier: field.text()?,
        session_index: if field.is_empty() { None } else { Some(field.text()?) },
    })
}

fn read_lineage(field: &mut Reader<'_>) -> Result<Lineage, Malformed> {
    let renewed = Millis(field.number()?);
    let mut ancestors = Vec::new();
    while !field.is_empty() {
        if ancestors.len() == MAX_ANCESTORS {
            return Err(Malformed::Damaged("too many old tickets"));
        }
        ancestors.push(SecretHash::from_bytes(field.array()?));
    }
    Ok(Lineage { renewed, ancestors })
}

fn write_value(field: &mut Writer, value: &Value) {
    match value {
        Value::Text(text) => {
            field.number(TEXT);
            field.text(text);
        }
        Value::Bytes(bytes) => {
            field.number(BYTES);
            field.bytes(bytes);
        }
        Value::List(values) => {
            field.number(LIST);
            field.number(values.len() as u64);
            values.iter().for_each(|value| write_value(field, value));
        }
        Value::Map(values) => {
            field.number(MAP);
            field.number(values.len() as u64);
            for (name, value) in values {
                field.text(name);
                write_value(field, value);
            }
        }
    }
}

fn read_value(field: &mut Reader<'_>, levels: usize) -> Result<Value, Malformed> {
    let kind = field.number()?;
    if kind == TEXT {
        return Ok(Value::Text(field.text()?));
    }
    if kind == BYTES {
        // A foreign hand may have written text as bytes; equal values must be equal.
        return Ok(Value::from_bytes(field.bytes()?.to_vec()));
    }
    let levels = levels.checked_sub(1).ok_or(Malformed::Damaged("a value is nested too deeply"))?;
    // Nothing is reserved by the count that the record claims: each element must bring its own bytes.
    let count = field.number()?;
    match kind {
        LIST => (0..count).map(|_| read_value(field, levels)).collect::<Result<_, _>>().map(Value::List),
        MAP => (0..count)
            .map(|_| Ok((field.text()?, read_value(field, levels)?)))
            .collect::<Result<_, _>>()
            .map(Value::Map),
        newer => Err(Malformed::Newer { what: "value kind", number: newer }),
    }
}

#[cfg(test)]
mod tests;
