//! The records of some contexts, under one lock.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use session::Millis;

use crate::{
    Burial, Bury, Create, Key, Kind, Listed, NewRecord, NewValue, Page, Read, Record, Scanned, Times,
    Tombstone, Touch, Update, Version, Was, WriteId,
};

/// What is there, and when it goes.
#[derive(Debug, Default)]
pub(super) struct Shard {
    slots: BTreeMap<Arc<Key>, Slot>,
    expirations: BTreeSet<(Millis, Arc<Key>)>,
    bytes: usize,
}

#[derive(Debug, Clone)]
enum Slot {
    Live(Record, WriteId),
    /// The version is the last one that the record had.
    Buried(Tombstone, Version),
}

impl Slot {
    const fn expires(&self) -> Millis {
        match self {
            Self::Live(record, _) => record.times.expires,
            Self::Buried(tombstone, _) => tombstone.until,
        }
    }

    /// About what it takes, its key and the structures around it included.
    const fn bytes(&self, key: &Key) -> usize {
        let value = match self {
            Self::Live(record, _) => record.value.len(),
            Self::Buried(..) => 0,
        };
        key.context().len() + key.name().len() + value + 200
    }

    const fn version(&self) -> Version {
        match self {
            Self::Live(record, _) => record.version,
            Self::Buried(_, version) => *version,
        }
    }
}

impl Shard {
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// When something expires next.
    pub(super) fn next_expiry(&self) -> Millis {
        self.expirations.first().map_or(Millis::NEVER, |(expires, _)| *expires)
    }

    /// Removes what expired by `now`, at most `budget`.
    pub(super) fn reap(&mut self, now: Millis, budget: usize) -> usize {
        let mut reaped = 0;
        while reaped < budget {
            let Some((expires, key)) = self.expirations.first().cloned() else { break };
            if expires > now {
                break;
            }
            self.put(&key, None);
            reaped += 1;
        }
        reaped
    }

    /// Appends what is there behind `after` to `found`, at most `room`; the last key if there may be more.
    pub(super) fn scan(
        &self,
        after: Option<&Key>,
        now: Millis,
        room: usize,
        found: &mut Vec<(Key, Scanned)>,
    ) -> Option<Key> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut taken = 0;
        for (key, slot) in self.slots.range::<Key, _>((from, Bound::Unbounded)) {
            if slot.expires() <= now {
                continue;
            }
            let scanned = match slot {
                Slot::Live(record, _) => Scanned::Live(record.clone()),
                Slot::Buried(tombstone, _) => Scanned::Buried(tombstone.clone()),
            };
            found.push((Key::clone(key), scanned));
            taken += 1;
            if taken >= room {
                return Some(Key::clone(key));
            }
        }
        None
    }

    /// What is at `key` at `now`: what expired is not there.
    fn slot(&self, key: &Key, now: Millis) -> Option<&Slot> {
        self.slots.get(key).filter(|slot| slot.expires() > now)
    }

    /// Puts `slot` at `key`, or nothing; what was there before is returned, expired or not.
    fn put(&mut self, key: &Key, slot: Option<Slot>) -> Option<Slot> {
        let previous = self.slots.remove_entry(key);
        let key = previous.as_ref().map_or_else(|| Arc::new(key.clone()), |(key, _)| Arc::clone(key));
        if let Some((_, previous)) = &previous {
            self.bytes -= previous.bytes(&key);
            self.expirations.remove(&(previous.expires(), Arc::clone(&key)));
        }
        if let Some(slot) = slot {
            self.bytes += slot.bytes(&key);
            if slot.expires() != Millis::NEVER {
                self.expirations.insert((slot.expires(), Arc::clone(&key)));
            }
            self.slots.insert(key, slot);
        }
        previous.map(|(_, slot)| slot)
    }
}

/// One or several operations on a shard at one moment, which can be undone as long as the lock is held.
pub(super) struct Write<'a> {
    shard: &'a mut Shard,
    now: Millis,
    versions: &'a AtomicU64,
    before: Vec<(Key, Option<Slot>)>,
    changes: Vec<(Key, Version, Kind)>,
}

impl<'a> Write<'a> {
    pub(super) const fn new(shard: &'a mut Shard, now: Millis, versions: &'a AtomicU64) -> Self {
        Self { shard, now, versions, before: Vec::new(), changes: Vec::new() }
    }

    /// What others must be told.
    pub(super) fn into_changes(self) -> Vec<(Key, Version, Kind)> {
        self.changes
    }

    /// Puts everything back.
    pub(super) fn undo(&mut self) {
        while let Some((key, slot)) = self.before.pop() {
            self.shard.put(&key, slot);
        }
        self.changes.clear();
    }

    pub(super) fn create(&mut self, key: &Key, new: NewRecord) -> Create {
        match self.shard.slot(key, self.now) {
            Some(Slot::Live(record, write)) if *write == new.write => Create::Created(record.version),
            Some(Slot::Live(..)) => Create::Exists,
            Some(Slot::Buried(tombstone, _)) => Create::Buried(tombstone.clone()),
            None => {
                let version = self.version_of(key, new.version);
                let record = Record { value: new.value, version, times: new.times };
                self.put(key, Some(Slot::Live(record, new.write)), Some((version, Kind::Written)));
                Create::Created(version)
            }
        }
    }

    /// By how much the value at `key` grows when it becomes one of `length` bytes.
    pub(super) fn growth(&self, key: &Key, length: usize) -> usize {
        match self.shard.slot(key, self.now) {
            Some(Slot::Live(record, _)) => length.saturating_sub(record.value.len()),
            _ => 0,
        }
    }

    pub(super) fn read(&self, key: &Key, known: Option<Version>) -> Read {
        match self.shard.slot(key, self.now) {
            Some(Slot::Live(record, _)) if known == Some(record.version) => Read::Unchanged(record.times),
            Some(Slot::Live(record, _)) => Read::Found(record.clone()),
            Some(Slot::Buried(tombstone, _)) => Read::Buried(tombstone.clone()),
            None => Read::Absent,
        }
    }

    pub(super) fn update(&mut self, key: &Key, new: NewValue) -> Update {
        match self.shard.slot(key, self.now) {
            Some(Slot::Live(record, write)) if *write == new.write => Update::Updated(record.version),
            Some(Slot::Live(record, _)) if record.version != new.expected => Update::Conflict(record.clone()),
            Some(Slot::Live(record, _)) => {
                let times = new.times.map_or(record.times, |times| record.times.latest(times));
                let version = self.next_version();
                let record = Record { value: new.value, version, times };
                self.put(key, Some(Slot::Live(record, new.write)), Some((version, Kind::Written)));
                Update::Updated(version)
            }
            Some(Slot::Buried(tombstone, _)) => Update::Buried(tombstone.clone()),
            None => Update::Absent,
        }
    }

    pub(super) fn touch(&mut self, key: &Key, times: Times) -> Touch {
        match self.shard.slot(key, self.now) {
            Some(Slot::Live(record, write)) => {
                let record = Record { times: record.times.latest(times), ..record.clone() };
                let write = *write;
                self.put(key, Some(Slot::Live(record, write)), None);
                Touch::Touched
            }
            Some(Slot::Buried(tombstone, _)) => Touch::Buried(tombstone.clone()),
            None => Touch::Absent,
        }
    }

    pub(super) fn bury(&mut self, key: &Key, burial: Burial) -> Bury {
        let (was, last) = match self.shard.slot(key, self.now) {
            Some(Slot::Live(record, _)) => (Was::Live, Some(record.version)),
            Some(Slot::Buried(..)) => (Was::Buried, None),
            None => (Was::Absent, None),
        };
        if let (Some(expected), Some(version)) = (burial.expected, last)
            && expected != version
        {
            return Bury::Conflict(version);
        }
        let earlier = match self.shard.slot(key, self.now) {
            Some(Slot::Buried(tombstone, version)) => Some((tombstone.clone(), *version)),
            _ => None,
        };
        let version = last.unwrap_or_else(|| self.next_version());
        let tombstone = match (burial.until.filter(|until| *until > self.now), earlier) {
            (Some(until), Some((earlier, last))) => {
                Some((Tombstone { until: until.max(earlier.until), ..earlier }, last))
            }
            (Some(until), None) => Some((Tombstone { ending: burial.ending, until }, version)),
            (None, earlier) => earlier,
        };
        let slot = tombstone.map(|(tombstone, last)| Slot::Buried(tombstone, last));
        self.put(key, slot, Some((version, Kind::Buried)));
        Bury::Buried(was)
    }

    pub(super) fn list(&self, context: &str, after: Option<&[u8]>, limit: usize) -> Page {
        let mut records = Vec::new();
        let mut has_more = false;
        // A context that is no context, or a name that is none, has nothing in it.
        let Ok(from) = Key::new(context, after.filter(|after| !after.is_empty()).unwrap_or(&[0])) else {
            return Page { records, has_more };
        };
        let bound = if after.is_some_and(|after| !after.is_empty()) {
            Bound::Excluded(&from)
        } else {
            Bound::Included(&from)
        };
        let within = self.shard.slots.range::<Key, _>((bound, Bound::Unbounded));
        for (key, slot) in within.take_while(|(key, _)| key.context() == context) {
            let Slot::Live(record, _) = slot else { continue };
            if record.times.expires <= self.now {
                continue;
            }
            if records.len() >= limit {
                has_more = true;
                break;
            }
            records.push(Listed { key: Key::clone(key), version: record.version, times: record.times });
        }
        Page { records, has_more }
    }

    fn put(&mut self, key: &Key, slot: Option<Slot>, change: Option<(Version, Kind)>) {
        let before = self.shard.put(key, slot);
        self.before.push((key.clone(), before));
        if let Some((version, kind)) = change {
            self.changes.push((key.clone(), version, kind));
        }
    }

    /// The version of a record that is created: the one that it brings along, unless what lies there was further.
    fn version_of(&self, key: &Key, brought: Option<Version>) -> Version {
        let last = self.shard.slots.get(key).map(Slot::version);
        match brought.filter(|brought| last.is_none_or(|last| *brought > last)) {
            Some(brought) => {
                self.versions.fetch_max(brought.0, Ordering::Relaxed);
                brought
            }
            None => self.next_version(),
        }
    }

    fn next_version(&self) -> Version {
        Version(self.versions.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// A cursor: two bytes of shard number, one byte of context length, context, name.
pub(super) fn write_cursor(number: usize, last: &Key) -> Vec<u8> {
    let mut cursor = (number as u16).to_be_bytes().to_vec();
    cursor.push(last.context().len() as u8);
    cursor.extend_from_slice(last.context().as_bytes());
    cursor.extend_from_slice(last.name());
    cursor
}

pub(super) fn read_cursor(cursor: &[u8]) -> Option<(usize, Option<Key>)> {
    let (number, rest) = cursor.split_first_chunk()?;
    let (length, rest) = rest.split_first()?;
    let (context, name) = rest.split_at_checked((*length).into())?;
    let key = Key::new(std::str::from_utf8(context).ok()?, name).ok()?;
    Some((u16::from_be_bytes(*number).into(), Some(key)))
}
