//! What somebody who writes an engine writes: the whole of a small one, and the line that runs the kit on it.
//!
//! One map behind one lock, in which everything that the contract asks for can be seen at once. It is no engine for
//! real use: it is lost with the process, and has no bound.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cloakroom_storage as storage;
use parking_lot::Mutex;
use storage::session::{Clock, Millis};
use storage::{
    Batch, Burial, Bury, Capabilities, Changes, Create, Key, Kind, Listed, NewRecord, NewValue, Operation,
    Outcome, Page, Position, Publisher, Read, Record, Scan, Scanned, Storage, Times, Tombstone, Touch,
    Unavailable, Update, Version, Was, WriteId,
};

// The line.
storage::conformance_tests!(|clock| async { (Arc::new(OneMap::new(clock)) as Arc<dyn Storage>, ()) });

/// The largest value that this engine takes, in bytes.
const MAX_VALUE: usize = 1024 * 1024;

#[derive(Debug)]
struct OneMap {
    id: Arc<str>,
    clock: Arc<dyn Clock>,
    map: Mutex<Map>,
    changes: Publisher,
}

#[derive(Debug, Clone, Default)]
struct Map {
    slots: BTreeMap<Key, Slot>,
    /// The last version that anything had: so none is used twice, not by a later life either.
    last: u64,
    /// What others must be told, once it is certain.
    news: Vec<(Key, Version, Kind)>,
}

#[derive(Debug, Clone)]
enum Slot {
    Live(Record, WriteId),
    /// What it left, and the last version that it had.
    Buried(Tombstone, Version),
}

impl OneMap {
    fn new(clock: Arc<dyn Clock>) -> Self {
        Self { id: "one map".into(), clock, map: Mutex::default(), changes: Publisher::new(1024) }
    }

    fn write<T>(&self, write: impl FnOnce(&mut Map, Millis) -> T) -> T {
        let mut map = self.map.lock();
        let done = write(&mut map, self.clock.now());
        // Under the lock, so that changes are told in the order in which they were made.
        for (key, version, kind) in std::mem::take(&mut map.news) {
            self.changes.publish(&key, version, kind);
        }
        done
    }
}

impl Map {
    /// What is there, at this moment.
    fn slot(&self, key: &Key, now: Millis) -> Option<&Slot> {
        self.slots.get(key).filter(|slot| slot.ends() > now)
    }

    fn next(&mut self) -> Version {
        self.last += 1;
        Version(self.last)
    }

    /// The version that a record brings along from another storage, unless an earlier life of it was further.
    fn brought(&mut self, key: &Key, version: Option<Version>) -> Option<Version> {
        let before = self.slots.get(key).map(Slot::version);
        let version = version.filter(|version| Some(*version) > before)?;
        self.last = self.last.max(version.0);
        Some(version)
    }

    fn put(&mut self, key: &Key, record: Record, write: WriteId) -> Version {
        let version = record.version;
        self.slots.insert(key.clone(), Slot::Live(record, write));
        self.news.push((key.clone(), version, Kind::Written));
        version
    }

    fn create(&mut self, key: &Key, new: NewRecord, now: Millis) -> Create {
        match self.slot(key, now) {
            // A retry: this is its own write.
            Some(Slot::Live(record, write)) if *write == new.write => Create::Created(record.version),
            Some(Slot::Live(..)) => Create::Exists,
            Some(Slot::Buried(tombstone, _)) => Create::Buried(tombstone.clone()),
            None => {
                let version = self.brought(key, new.version).unwrap_or_else(|| self.next());
                let record = Record { value: new.value, version, times: new.times };
                Create::Created(self.put(key, record, new.write))
            }
        }
    }

    fn read(&self, key: &Key, known: Option<Version>, now: Millis) -> Read {
        match self.slot(key, now) {
            Some(Slot::Live(record, _)) if known == Some(record.version) => Read::Unchanged(record.times),
            Some(Slot::Live(record, _)) => Read::Found(record.clone()),
            Some(Slot::Buried(tombstone, _)) => Read::Buried(tombstone.clone()),
            None => Read::Absent,
        }
    }

    fn update(&mut self, key: &Key, new: NewValue, now: Millis) -> Update {
        let before = match self.slot(key, now) {
            Some(Slot::Live(record, write)) if *write == new.write => return Update::Updated(record.version),
            Some(Slot::Live(record, _)) if record.version != new.expected => {
                return Update::Conflict(record.clone());
            }
            Some(Slot::Live(record, _)) => record.times,
            Some(Slot::Buried(tombstone, _)) => return Update::Buried(tombstone.clone()),
            None => return Update::Absent,
        };
        let times = new.times.map_or(before, |times| before.latest(times));
        let version = self.next();
        Update::Updated(self.put(key, Record { value: new.value, version, times }, new.write))
    }

    fn touch(&mut self, key: &Key, times: Times, now: Millis) -> Touch {
        match self.slots.get_mut(key).filter(|slot| slot.ends() > now) {
            Some(Slot::Live(record, _)) => {
                record.times = record.times.latest(times);
                Touch::Touched
            }
            Some(Slot::Buried(tombstone, _)) => Touch::Buried(tombstone.clone()),
            None => Touch::Absent,
        }
    }

    fn bury(&mut self, key: &Key, burial: Burial, now: Millis) -> Bury {
        let (was, version, earlier) = match self.slot(key, now).cloned() {
            Some(Slot::Live(record, _)) => {
                if burial.expected.is_some_and(|expected| expected != record.version) {
                    return Bury::Conflict(record.version);
                }
                (Was::Live, record.version, None)
            }
            Some(Slot::Buried(tombstone, last)) => (Was::Buried, last, Some(tombstone)),
            None => (Was::Absent, self.next(), None),
        };
        // The first end counts, and the later time.
        let until = burial.until.max(earlier.as_ref().map(|earlier| earlier.until));
        let ending = earlier.map_or(burial.ending, |earlier| earlier.ending);
        match until {
            Some(until) => self.slots.insert(key.clone(), Slot::Buried(Tombstone { ending, until }, version)),
            None => self.slots.remove(key),
        };
        self.news.push((key.clone(), version, Kind::Buried));
        Bury::Buried(was)
    }

    fn one(&mut self, operation: Operation, now: Millis) -> Outcome {
        match operation {
            Operation::Create(key, new) => Outcome::Create(self.create(&key, new, now)),
            Operation::Update(key, new) => Outcome::Update(self.update(&key, new, now)),
            Operation::Touch(key, times) => Outcome::Touch(self.touch(&key, times, now)),
            Operation::Bury(key, burial) => Outcome::Bury(self.bury(&key, burial, now)),
        }
    }

    /// All of it on a copy, which takes the place of what was there if nothing is in the way.
    fn batch(&mut self, operations: Vec<Operation>, now: Millis) -> Batch {
        let mut copy = self.clone();
        let mut outcomes = Vec::with_capacity(operations.len());
        for (index, operation) in operations.into_iter().enumerate() {
            let outcome = copy.one(operation, now);
            if !outcome.is_done() {
                return Batch::Refused { index, outcome };
            }
            outcomes.push(outcome);
        }
        *self = copy;
        Batch::Done(outcomes)
    }
}

impl Slot {
    const fn ends(&self) -> Millis {
        match self {
            Self::Live(record, _) => record.times.expires,
            Self::Buried(tombstone, _) => tombstone.until,
        }
    }

    const fn version(&self) -> Version {
        match self {
            Self::Live(record, _) => record.version,
            Self::Buried(_, version) => *version,
        }
    }
}

#[async_trait]
impl Storage for OneMap {
    fn id(&self) -> &Arc<str> {
        &self.id
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            is_durable: false,
            is_shared: false,
            is_memory: true,
            max_value: MAX_VALUE,
            unnoticed: Duration::ZERO,
        }
    }

    async fn create(&self, key: &Key, new: NewRecord) -> Result<Create, Unavailable> {
        new.admit(MAX_VALUE, &self.id)?;
        Ok(self.write(|map, now| map.create(key, new, now)))
    }

    async fn read(&self, key: &Key, known: Option<Version>) -> Result<Read, Unavailable> {
        Ok(self.map.lock().read(key, known, self.clock.now()))
    }

    async fn update(&self, key: &Key, new: NewValue) -> Result<Update, Unavailable> {
        new.admit(MAX_VALUE, &self.id)?;
        Ok(self.write(|map, now| map.update(key, new, now)))
    }

    async fn touch(&self, key: &Key, times: Times) -> Result<Touch, Unavailable> {
        Ok(self.write(|map, now| map.touch(key, times, now)))
    }

    async fn bury(&self, key: &Key, burial: Burial) -> Result<Bury, Unavailable> {
        Ok(self.write(|map, now| map.bury(key, burial, now)))
    }

    async fn list(&self, context: &str, after: Option<&[u8]>, limit: usize) -> Result<Page, Unavailable> {
        let (map, now) = (self.map.lock(), self.clock.now());
        let mut live = map.slots.iter().filter_map(|(key, slot)| match slot {
            Slot::Live(record, _) if record.times.expires > now && key.context() == context => {
                let listed = Listed { key: key.clone(), version: record.version, times: record.times };
                (Some(key.name()) > after).then_some(listed)
            }
            _ => None,
        });
        let records: Vec<Listed> = live.by_ref().take(limit).collect();
        Ok(Page { records, has_more: live.next().is_some() })
    }

    async fn scan(&self, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        let (map, now) = (self.map.lock(), self.clock.now());
        // Where to go on: behind a key, the length of whose context comes first.
        let after = cursor.and_then(|cursor| {
            let (length, rest) = cursor.split_first()?;
            let (context, name) = rest.split_at_checked(usize::from(*length))?;
            Some((std::str::from_utf8(context).ok()?, name))
        });
        let is_behind = |key: &Key| after.is_none_or(|after| (key.context(), key.name()) > after);
        let mut there = map.slots.iter().filter(|(key, slot)| slot.ends() > now && is_behind(key));
        let page = there.by_ref().take(budget.max(1)).map(|(key, slot)| match slot {
            Slot::Live(record, _) => (key.clone(), Scanned::Live(record.clone())),
            Slot::Buried(tombstone, _) => (key.clone(), Scanned::Buried(tombstone.clone())),
        });
        let found: Vec<(Key, Scanned)> = page.collect();
        let cursor = there.next().and(found.last()).map(|(last, _)| {
            let length = u8::try_from(last.context().len()).unwrap_or(u8::MAX);
            [&[length], last.context().as_bytes(), last.name()].concat()
        });
        Ok(Scan { found, cursor })
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<Batch, Unavailable> {
        Operation::context_of_all(&operations, usize::MAX, &self.id)?;
        for operation in &operations {
            operation.admit(MAX_VALUE, &self.id)?;
        }
        Ok(self.write(|map, now| map.batch(operations, now)))
    }

    async fn reap(&self, now: Millis, budget: usize) -> Result<usize, Unavailable> {
        let mut map = self.map.lock();
        let over = map.slots.iter().filter(|(_, slot)| slot.ends() <= now);
        let over: Vec<Key> = over.map(|(key, _)| key.clone()).take(budget).collect();
        for key in &over {
            map.slots.remove(key);
        }
        Ok(over.len())
    }

    async fn watch(&self, from: Option<Position>) -> Result<Changes, Unavailable> {
        Ok(self.changes.subscribe(from))
    }
}
