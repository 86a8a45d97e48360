//! Two storages in memory, and what comes between.

mod interleavings;
mod outages;
mod passes;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use session::{Clock, ManualClock, Millis};

use super::*;
use crate::faulty::Faulty;
use crate::kit::{self, burial, key, record};
use crate::{Memory, Record, begin_above, last_version};

/// What a record means in these tests.
const ENDS: Ends = Ends { counters: "counters", is_one: |key| key.context() == "counters" };

/// Two storages that fail on demand, and two processes that move from one to the other.
struct Rig {
    clock: Arc<ManualClock>,
    old: Arc<Faulty>,
    new: Arc<Faulty>,
    one: Arc<Migrating>,
    /// Meets no faults.
    another: Migrating,
}

impl Rig {
    fn new() -> Self {
        let clock = Arc::new(kit::manual_clock());
        let memory =
            |id| -> Arc<dyn Storage> { Arc::new(Memory::new(id, Arc::clone(&clock) as _, usize::MAX)) };
        let (old, new) = (memory("old"), memory("new"));
        let another = Migrating::new(Arc::clone(&new), Arc::clone(&old), ENDS, Arc::clone(&clock) as _);
        let (old, new) = (Arc::new(Faulty::new(old)), Arc::new(Faulty::new(new)));
        let one = Migrating::new(Arc::clone(&new) as _, Arc::clone(&old) as _, ENDS, Arc::clone(&clock) as _);
        Self { clock, old, new, one: Arc::new(one), another }
    }

    fn at(&self, millis: u64) -> Millis {
        Millis(kit::START.0 + millis)
    }

    /// A record that is in the old storage only.
    async fn in_old(&self, key: &Key, value: &[u8]) -> Version {
        match self.old.create(key, record(value, self.at(600_000))).await.unwrap() {
            Create::Created(version) => version,
            other => panic!("{other:?}"),
        }
    }
}

/// What is live there.
async fn found(storage: &dyn Storage, key: &Key) -> Record {
    match storage.read(key, None).await.unwrap() {
        Read::Found(record) => record,
        other => panic!("{other:?}"),
    }
}

async fn is_buried(storage: &dyn Storage, key: &Key) -> bool {
    matches!(storage.read(key, None).await.unwrap(), Read::Buried(_))
}

fn a_counter() -> Key {
    Key::new(ENDS.counters, b"somebody").unwrap()
}

mod from_nothing {
    use super::*;

    crate::conformance_tests!(|clock| async move {
        let memory = |id| Arc::new(Memory::new(id, Arc::clone(&clock) as _, usize::MAX));
        let both = Migrating::new(memory("new"), memory("old"), ENDS, Arc::clone(&clock) as _);
        (Arc::new(both) as Arc<dyn Storage>, ())
    });
}

mod from_the_old_one {
    use super::*;

    crate::conformance_tests!(|clock: kit::AnyClock| async move {
        let memory = |id| Arc::new(Memory::new(id, Arc::clone(&clock) as _, usize::MAX));
        let (new, old) = (memory("new"), memory("old"));
        let both =
            Migrating::new(Arc::clone(&new) as _, Arc::clone(&old) as _, ENDS, Arc::clone(&clock) as _);
        (Arc::new(BeginsInOld { both, new, old, clock, begun: Mutex::default() }) as Arc<dyn Storage>, ())
    });
}

/// Each record begins its life in the old storage, as if it had been there before anybody thought of a new one.
#[derive(Debug)]
struct BeginsInOld {
    both: Migrating,
    new: Arc<Memory>,
    old: Arc<Memory>,
    clock: Arc<dyn Clock>,
    /// What began in the old one, and until when it is there.
    begun: Mutex<BTreeMap<Key, Millis>>,
}

#[async_trait]
impl Storage for BeginsInOld {
    fn id(&self) -> &Arc<str> {
        self.both.id()
    }

    fn capabilities(&self) -> Capabilities {
        self.both.capabilities()
    }

    async fn create(&self, key: &Key, new: NewRecord) -> Result<Create, Unavailable> {
        let is_moved = self.new.read(key, None).await? != Read::Absent;
        if is_moved && self.old.read(key, None).await? == Read::Absent {
            return self.both.create(key, new).await;
        }
        // Whatever the new one has drawn in this test meanwhile, this life comes after it; and what it draws next comes
        // after this life, as of storages of which one began later.
        let (context, now) = (key.context(), self.clock.now());
        begin_above(&*self.old, context, last_version(&*self.new, context, now).await?, now).await?;
        self.begun.lock().insert(key.clone(), new.times.expires);
        let created = self.old.create(key, new).await?;
        begin_above(&*self.new, context, last_version(&*self.old, context, now).await?, now).await?;
        Ok(created)
    }

    async fn read(&self, key: &Key, known: Option<Version>) -> Result<Read, Unavailable> {
        self.both.read(key, known).await
    }

    async fn update(&self, key: &Key, new: NewValue) -> Result<Update, Unavailable> {
        self.both.update(key, new).await
    }

    async fn touch(&self, key: &Key, times: Times) -> Result<Touch, Unavailable> {
        self.both.touch(key, times).await
    }

    async fn bury(&self, key: &Key, burial: Burial) -> Result<Bury, Unavailable> {
        self.both.bury(key, burial).await
    }

    async fn list(&self, context: &str, after: Option<&[u8]>, limit: usize) -> Result<Page, Unavailable> {
        self.both.list(context, after, limit).await
    }

    async fn scan(&self, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        self.both.scan(cursor, budget).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<Batch, Unavailable> {
        self.both.batch(operations).await
    }

    async fn reap(&self, now: Millis, budget: usize) -> Result<usize, Unavailable> {
        let mut reaped = self.both.reap(now, budget).await?;
        let over: Vec<Key> =
            self.begun.lock().extract_if(.., |_, expires| *expires <= now).map(|(key, _)| key).collect();
        for key in over {
            // What lives on in the new one has left a copy, which is nobody's record any more.
            if matches!(self.new.read(&key, None).await?, Read::Found(_)) {
                reaped -= 1;
            }
        }
        Ok(reaped)
    }

    fn next_expiry(&self) -> Option<Millis> {
        self.both.next_expiry()
    }

    async fn watch(&self, from: Option<Position>) -> Result<Changes, Unavailable> {
        self.both.watch(from).await
    }
}

#[tokio::test]
async fn a_record_moves_with_its_version_and_its_times_and_the_copy_stays() {
    let rig = Rig::new();
    let version = rig.in_old(&key("a"), b"1").await;
    let there = found(&*rig.old, &key("a")).await;
    assert_eq!(found(&*rig.one, &key("a")).await, there);
    assert_eq!(found(&*rig.new, &key("a")).await, there);
    assert_eq!(found(&*rig.old, &key("a")).await.version, version);
    // From now on it is the new one's business.
    let new = kit::new_value(version, b"2");
    assert!(matches!(rig.one.update(&key("a"), new).await.unwrap(), Update::Updated(_)));
    assert_eq!(&*found(&*rig.one, &key("a")).await.value, b"2");
    assert_eq!(&*found(&*rig.old, &key("a")).await.value, b"1");
}

#[tokio::test]
async fn a_batch_takes_along_what_it_needs_and_ends_in_both() {
    let rig = Rig::new();
    let version = rig.in_old(&key("a"), b"1").await;
    rig.in_old(&key("ends"), b"1").await;
    rig.in_old(&key("comes back"), b"1").await;
    let until = Some(rig.at(600_000));
    let operations = vec![
        Operation::Update(key("a"), kit::new_value(version, b"2")),
        Operation::Bury(key("ends"), burial(until)),
        Operation::Bury(key("comes back"), burial(None)),
    ];
    assert!(matches!(rig.one.batch(operations).await.unwrap(), Batch::Done(_)));
    assert_eq!(&*found(&*rig.one, &key("a")).await.value, b"2");
    assert!(is_buried(&*rig.new, &key("ends")).await && is_buried(&*rig.old, &key("ends")).await);
    assert_eq!(rig.one.read(&key("comes back"), None).await.unwrap(), Read::Absent);
    assert_eq!(rig.old.read(&key("comes back"), None).await.unwrap(), Read::Absent);
}

#[tokio::test]
async fn a_list_is_of_both_and_what_was_ended_in_the_new_storage_is_not_in_it() {
    let rig = Rig::new();
    for name in ["a", "c", "d", "e"] {
        rig.in_old(&key(name), b"1").await;
    }
    rig.new.create(&key("b"), record(b"1", rig.at(600_000))).await.unwrap();
    let moved = found(&*rig.one, &key("c")).await;
    rig.new.bury(&key("d"), burial(Some(rig.at(600_000)))).await.unwrap();
    let names = |page: &Page| -> Vec<Vec<u8>> {
        page.records.iter().map(|listed| listed.key.name().to_vec()).collect()
    };
    let page = rig.one.list("kit", None, 3).await.unwrap();
    assert_eq!((names(&page), page.has_more), (vec![b"a".to_vec(), b"b".to_vec(), b"c".to_vec()], true));
    assert_eq!(page.records[2].version, moved.version);
    let page = rig.one.list("kit", Some(b"c"), 3).await.unwrap();
    assert_eq!((names(&page), page.has_more), (vec![b"e".to_vec()], false));
}

#[tokio::test]
async fn what_it_can_do_is_what_both_can() {
    let clock = Arc::new(kit::manual_clock());
    let memory = || Arc::new(Memory::new("m", Arc::clone(&clock) as _, usize::MAX)) as Arc<dyn Storage>;
    let shared = Arc::new(crate::Shared::new(memory()));
    let both = Migrating::new(memory(), shared, ENDS, Arc::clone(&clock) as _);
    let is = both.capabilities();
    assert!(is.is_shared && !is.is_memory && !is.is_durable);
}

#[tokio::test]
async fn a_counter_begins_above_all_that_were_ever_in_the_old_storage() {
    let rig = Rig::new();
    // The old one is far ahead, and has forgotten the counter.
    let ahead = Version(last_version(&*rig.new, ENDS.counters, rig.clock.now()).await.unwrap().0 + 1_000_000);
    let new = NewRecord { version: Some(ahead), ..record(b"", rig.at(10)) };
    rig.old.create(&a_counter(), new).await.unwrap();
    rig.clock.set(rig.at(1_000));
    rig.old.reap(rig.at(1_000), 100).await.unwrap();
    let created = rig.one.create(&a_counter(), record(b"", rig.at(600_000))).await.unwrap();
    assert!(matches!(created, Create::Created(version) if version > ahead), "{created:?} after {ahead:?}");
}

#[tokio::test]
async fn what_ends_others_is_told_to_the_old_storage_with_the_same_number() {
    let rig = Rig::new();
    let first = rig.in_old(&a_counter(), b"").await;
    let raised = NewValue { is_end: true, ..kit::new_value(first, b"by me") };
    let Update::Updated(raised) = rig.one.update(&a_counter(), raised).await.unwrap() else {
        panic!("not raised")
    };
    assert!(raised > first);
    assert_eq!(found(&*rig.old, &a_counter()).await.version, raised);
    let other = Key::new(ENDS.counters, b"another").unwrap();
    let new = NewRecord { is_end: true, ..record(b"", rig.at(600_000)) };
    let Create::Created(version) = rig.one.create(&other, new.clone()).await.unwrap() else { panic!() };
    assert_eq!(found(&*rig.old, &other).await.version, version);
    // Whoever did not hear that it was done does it again.
    assert_eq!(rig.one.create(&other, new).await.unwrap(), Create::Created(version));
}
