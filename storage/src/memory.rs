//! The memory engine: records in this process, gone with it.
//!
//! It is also the model of the contract: what it does is what the other engines must do. Contexts are spread over
//! shards with a lock each, so a batch, which stays within one context, needs one lock. Expirations lie in an ordered
//! set beside the records, so reaping costs what it removes.

mod shard;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use session::{Clock, Millis};

use self::shard::{Shard, Write};
use crate::{
    Batch, Burial, Bury, Capabilities, Changes, Create, Key, NewRecord, NewValue, Operation, Outcome, Page,
    Position, Publisher, Read, Scan, Storage, Times, Touch, Unavailable, Update, Version,
};

const SHARDS: usize = 64;
const MAX_VALUE: usize = 16 << 20;
/// How many changes a listener may miss before it is told that it did.
const STREAM_CAPACITY: usize = 4096;

/// Records in this process's memory.
#[derive(Debug)]
pub struct Memory {
    id: Arc<str>,
    clock: Arc<dyn Clock>,
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    versions: AtomicU64,
    /// Bytes of keys and values that are there, about.
    held: AtomicUsize,
    max_bytes: usize,
    changes: Publisher,
}

impl Memory {
    /// An empty store called `id` that refuses new records, and updates that make one larger, beyond about `max_bytes` of
    /// keys and values.
    #[must_use]
    pub fn new(id: &str, clock: Arc<dyn Clock>, max_bytes: usize) -> Self {
        Self {
            id: id.into(),
            // Versions of an earlier life of this process are not used again.
            versions: AtomicU64::new(Version::beginning(clock.now()).0),
            clock,
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            held: AtomicUsize::new(0),
            max_bytes,
            changes: Publisher::new(STREAM_CAPACITY),
        }
    }

    /// Runs `action` on the shard of `context`; what it wrote is announced before the lock is let go, so that notices
    /// come in the order of the versions.
    fn on_shard<T>(&self, context: &str, action: impl FnOnce(&mut Write<'_>) -> T) -> T {
        let index = self.hasher.hash_one(context) as usize % SHARDS;
        #[expect(
            clippy::indexing_slicing,
            reason = "there are SHARDS of them, and this is a remainder of it"
        )]
        let mut shard = self.shards[index].lock();
        let before = shard.bytes();
        let mut write = Write::new(&mut shard, self.clock.now(), &self.versions);
        let answer = action(&mut write);
        for (key, version, kind) in write.into_changes() {
            self.changes.publish(&key, version, kind);
        }
        let after = shard.bytes();
        self.held.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
        answer
    }

    /// Whether there is room for `new`. An end finds room always.
    fn admit(&self, new: &NewRecord) -> Result<(), Unavailable> {
        new.admit(MAX_VALUE, &self.id)?;
        if new.is_end { Ok(()) } else { self.has_room(new.value.len()) }
    }

    /// Whether there is room for an update, which may be larger than what was there.
    fn admit_growth(&self, write: &Write<'_>, key: &Key, new: &NewValue) -> Result<(), Unavailable> {
        let growth = write.growth(key, new.value.len());
        if new.is_end || growth == 0 { Ok(()) } else { self.has_room(growth) }
    }

    fn has_room(&self, bytes: usize) -> Result<(), Unavailable> {
        if self.held.load(Ordering::Relaxed).saturating_add(bytes) > self.max_bytes {
            return Err(Unavailable::failed(
                &self.id,
                format!("full: it may hold {} bytes (`max_bytes`)", self.max_bytes),
            ));
        }
        Ok(())
    }
}

#[async_trait]
impl Storage for Memory {
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
        self.admit(&new)?;
        Ok(self.on_shard(key.context(), |write| write.create(key, new)))
    }

    async fn read(&self, key: &Key, known: Option<Version>) -> Result<Read, Unavailable> {
        Ok(self.on_shard(key.context(), |write| write.read(key, known)))
    }

    async fn update(&self, key: &Key, new: NewValue) -> Result<Update, Unavailable> {
        new.admit(MAX_VALUE, &self.id)?;
        self.on_shard(key.context(), |write| {
            self.admit_growth(write, key, &new)?;
            Ok(write.update(key, new))
        })
    }

    async fn touch(&self, key: &Key, times: Times) -> Result<Touch, Unavailable> {
        Ok(self.on_shard(key.context(), |write| write.touch(key, times)))
    }

    async fn bury(&self, key: &Key, burial: Burial) -> Result<Bury, Unavailable> {
        Ok(self.on_shard(key.context(), |write| write.bury(key, burial)))
    }

    async fn list(&self, context: &str, after: Option<&[u8]>, limit: usize) -> Result<Page, Unavailable> {
        Ok(self.on_shard(context, |write| write.list(context, after, limit)))
    }

    async fn scan(&self, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        // The cursor is the number of a shard, then the last key that was given of it.
        let (index, after) = match cursor {
            None => (0, None),
            Some(cursor) => shard::read_cursor(cursor)
                .ok_or_else(|| Unavailable::refused(&self.id, "this is no cursor of this engine"))?,
        };
        let mut scan = Scan { found: Vec::new(), cursor: None };
        let mut after = after;
        for (number, shard) in self.shards.iter().enumerate().skip(index) {
            let room = budget.max(1).saturating_sub(scan.found.len());
            let last = shard.lock().scan(after.take().as_ref(), self.clock.now(), room, &mut scan.found);
            if let Some(last) = last {
                scan.cursor = Some(shard::write_cursor(number, &last));
                break;
            }
        }
        Ok(scan)
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<Batch, Unavailable> {
        let Some(context) = Operation::context_of_all(&operations, usize::MAX, &self.id)?.map(str::to_owned)
        else {
            return Ok(Batch::Done(Vec::new()));
        };
        for operation in &operations {
            match operation {
                Operation::Create(_, new) => self.admit(new)?,
                other => other.admit(MAX_VALUE, &self.id)?,
            }
        }
        self.on_shard(&context, |write| {
            let mut outcomes = Vec::with_capacity(operations.len());
            for (index, operation) in operations.into_iter().enumerate() {
                if let Operation::Update(key, new) = &operation
                    && let Err(full) = self.admit_growth(write, key, new)
                {
                    write.undo();
                    return Err(full);
                }
                let outcome = match operation {
                    Operation::Create(key, new) => Outcome::Create(write.create(&key, new)),
                    Operation::Update(key, new) => Outcome::Update(write.update(&key, new)),
                    Operation::Touch(key, times) => Outcome::Touch(write.touch(&key, times)),
                    Operation::Bury(key, burial) => Outcome::Bury(write.bury(&key, burial)),
                };
                if !outcome.is_done() {
                    write.undo();
                    return Ok(Batch::Refused { index, outcome });
                }
                outcomes.push(outcome);
            }
            Ok(Batch::Done(outcomes))
        })
    }

    async fn reap(&self, now: Millis, budget: usize) -> Result<usize, Unavailable> {
        let mut reaped = 0;
        for shard in &self.shards {
            let mut shard = shard.lock();
            let before = shard.bytes();
            reaped += shard.reap(now, budget - reaped);
            self.held.fetch_sub(before - shard.bytes(), Ordering::Relaxed);
            if reaped >= budget {
                break;
            }
        }
        Ok(reaped)
    }

    fn next_expiry(&self) -> Option<Millis> {
        self.shards.iter().map(|shard| shard.lock().next_expiry()).min()
    }

    async fn watch(&self, from: Option<Position>) -> Result<Changes, Unavailable> {
        Ok(self.changes.subscribe(from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::conformance_tests!(|clock| async move {
        (Arc::new(Memory::new("memory", clock, usize::MAX)) as Arc<dyn Storage>, ())
    });

    #[tokio::test]
    async fn a_full_store_refuses_the_new_and_keeps_the_old() {
        use crate::kit::{Subject, key, record};

        let clock = Arc::new(session::ManualClock::at(Millis(1_000)));
        let subject = Subject::new(Arc::new(Memory::new("memory", Arc::clone(&clock) as _, 1_000)), clock);
        let storage = &subject.storage;
        storage.create(&key("a"), record(&[b'x'; 600], Millis::NEVER)).await.unwrap();
        let refused = storage.create(&key("b"), record(&[b'x'; 600], Millis::NEVER)).await.unwrap_err();
        assert_eq!(refused.blame, crate::Blame::Storage);
        assert!(refused.to_string().contains("full"), "{refused}");
        assert!(matches!(storage.read(&key("a"), None).await.unwrap(), Read::Found(_)));
        // Nor does what is there grow, alone or in a batch; it can be changed, and what ends something finds room.
        let Read::Found(found) = storage.read(&key("a"), None).await.unwrap() else { panic!("it is gone") };
        let grown = crate::kit::new_value(found.version, &[b'y'; 900]);
        assert!(storage.update(&key("a"), grown.clone()).await.unwrap_err().to_string().contains("full"));
        let batch = vec![
            Operation::Touch(key("a"), Times { touched: Millis(5_000), expires: Millis::NEVER }),
            Operation::Update(key("a"), grown),
        ];
        storage.batch(batch).await.unwrap_err();
        assert_eq!(storage.read(&key("a"), None).await.unwrap(), Read::Found(found.clone()));
        let changed = crate::kit::new_value(found.version, &[b'y'; 600]);
        assert!(matches!(storage.update(&key("a"), changed).await.unwrap(), Update::Updated(_)));
        let end = NewRecord { is_end: true, ..record(&[b'x'; 600], Millis::NEVER) };
        assert!(matches!(storage.create(&key("end"), end).await.unwrap(), Create::Created(_)));
        storage.bury(&key("end"), crate::kit::burial(None)).await.unwrap();
        // What goes makes room.
        storage.bury(&key("a"), crate::kit::burial(None)).await.unwrap();
        storage.create(&key("b"), record(&[b'x'; 600], Millis::NEVER)).await.unwrap();
    }

    #[tokio::test]
    async fn when_something_expires_next_is_known() {
        use crate::kit::{key, record};

        let clock = Arc::new(session::ManualClock::at(Millis(1_000)));
        let storage = Memory::new("memory", clock, usize::MAX);
        assert_eq!(storage.next_expiry(), Some(Millis::NEVER));
        storage.create(&key("stays"), record(b"1", Millis::NEVER)).await.unwrap();
        assert_eq!(storage.next_expiry(), Some(Millis::NEVER));
        for (context, expires) in [("one", 9_000), ("two", 5_000), ("three", 7_000)] {
            let key = Key::new(context, b"goes").unwrap();
            storage.create(&key, record(b"1", Millis(expires))).await.unwrap();
        }
        assert_eq!(storage.next_expiry(), Some(Millis(5_000)));
        assert_eq!(storage.reap(Millis(5_000), 10).await.unwrap(), 1);
        assert_eq!(storage.next_expiry(), Some(Millis(7_000)));
    }
}
