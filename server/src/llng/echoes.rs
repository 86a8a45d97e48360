//! Telling what a client changed from what it only sends back.
//!
//! LemonLDAP::NG's clients write a session whole, as they read it, with their change in it. So a write is a change of few of
//! its attributes, and an echo of the others, which somebody else may have changed since. What was read is known by the
//! [`REVISION`] that goes out with a session and comes back with it. What an attribute was before is remembered beside it for a
//! while, as a hash (of this build: another one remembers nothing): a client that sends that back has not seen the change yet.
//!
//! A client that keeps sessions in a cache of its own sends an old revision with what it wrote itself since. If nothing that it
//! sends is new then, it takes back what it has changed before: nobody writes without a change.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use session::{Millis, Revision, Session, Value};

/// The attribute that says at which revision a session was read. It is not stored.
pub(super) const REVISION: &str = "_session_revision";

/// The entry in which it is remembered what attributes were. It never leaves.
pub(crate) const BEFORE: &str = "_session_before";

/// So long a client may keep what it read: LemonLDAP::NG's caches keep a session for ten minutes.
const KEPT_FOR: Duration = Duration::from_mins(15);

/// The most changes that are remembered of a session.
const MOST: usize = 128;

/// The length of a change that is remembered, in bytes.
const BYTES: usize = 40;

/// What attributes were, before they were changed.
#[derive(Default)]
pub(super) struct Before(Vec<Change>);

struct Change {
    name: u64,
    /// What it was.
    value: u64,
    writer: u64,
    revision: Revision,
    at: Millis,
}

impl Before {
    /// What a session remembers, as far as it still matters.
    pub(super) fn of(session: &Session, now: Millis) -> Self {
        let Some(Value::Bytes(bytes)) = session.entries.get(BEFORE) else { return Self::default() };
        let changes = bytes.chunks_exact(BYTES).filter_map(Change::read);
        Self(changes.filter(|change| now.since(change.at) < KEPT_FOR).collect())
    }

    /// Who was the last to change the attribute since `seen` from this value to another, if anybody has.
    pub(super) fn changed_by(&self, name: &str, value: &Value, seen: Revision) -> Option<u64> {
        let (name, value) = (digest(name), digest_of(value));
        let is_it = |change: &&Change| (change.name, change.value) == (name, value) && change.revision > seen;
        self.0.iter().rev().find(is_it).map(|change| change.writer)
    }

    /// Remembers what an attribute was that `writer` changes now, by which the session gets this revision.
    pub(super) fn note(&mut self, name: &str, was: &Value, revision: Revision, writer: u64, at: Millis) {
        let (name, value) = (digest(name), digest_of(was));
        // Who asks is told of the last change of an attribute from a value: those before it tell nobody anything.
        self.0.retain(|change| (change.name, change.value) != (name, value));
        self.0.push(Change { name, value, writer, revision, at });
        let excess = self.0.len().saturating_sub(MOST);
        self.0.drain(..excess);
    }

    /// The entry; none if there is nothing to remember.
    pub(super) fn into_value(self) -> Option<Value> {
        if self.0.is_empty() {
            return None;
        }
        let mut bytes = Vec::with_capacity(self.0.len() * BYTES + 1);
        self.0.iter().for_each(|change| bytes.extend_from_slice(&change.bytes()));
        // Bytes that are no text: an entry of text would be another value.
        bytes.push(0xff);
        Some(Value::Bytes(bytes.into()))
    }
}

impl Change {
    fn bytes(&self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        let numbers = [self.name, self.value, self.writer, self.revision.0, self.at.0];
        for (to, number) in bytes.chunks_exact_mut(8).zip(numbers) {
            to.copy_from_slice(&number.to_be_bytes());
        }
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut numbers =
            bytes.chunks_exact(8).filter_map(|part| Some(u64::from_be_bytes(part.try_into().ok()?)));
        let mut next = || numbers.next();
        let (name, value, writer) = (next()?, next()?, next()?);
        Some(Self { name, value, writer, revision: Revision(next()?), at: Millis(next()?) })
    }
}

/// Who writes, as far as it can be told: programs of one machine share what they keep of sessions.
pub(super) fn writer(client: &str, address: std::net::IpAddr) -> u64 {
    digest(&format!("{client} {address}"))
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

fn digest_of(value: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    hash(value, &mut hasher);
    hasher.finish()
}

fn hash(value: &Value, hasher: &mut DefaultHasher) {
    match value {
        Value::Text(text) => (0_u8, text).hash(hasher),
        Value::Bytes(bytes) => (1_u8, bytes).hash(hasher),
        Value::List(values) => {
            (2_u8, values.len()).hash(hasher);
            values.iter().for_each(|value| hash(value, hasher));
        }
        Value::Map(values) => {
            (3_u8, values.len()).hash(hasher);
            for (name, value) in values {
                name.hash(hasher);
                hash(value, hasher);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_all_changes_of_an_attribute_from_one_value_the_last_is_remembered() {
        let mut before = Before::default();
        for number in 1..=1000_u64 {
            let was = if number % 2 == 0 { "on" } else { "off" };
            before.note("light", &was.into(), Revision(number), number, Millis(0));
        }
        before.note("door", &"on".into(), Revision(1001), 1001, Millis(0));
        assert_eq!(before.0.len(), 3);
        assert_eq!(before.changed_by("light", &"on".into(), Revision(998)), Some(1000));
        assert_eq!(before.changed_by("light", &"off".into(), Revision(998)), Some(999));
        assert_eq!(before.changed_by("light", &"on".into(), Revision(1000)), None, "that was seen");
        let Some(Value::Bytes(bytes)) = before.into_value() else { panic!("it remembers nothing") };
        assert_eq!(bytes.len(), 3 * BYTES + 1);
    }
}
