//! An engine that counts what it is asked, and that has a first tier before it whatever it is.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use session::Millis;
use storage::{
    Batch, Burial, Bury, Capabilities, Changes, Create, Key, NewRecord, NewValue, Operation, Page, Position,
    Read, Scan, Storage, Times, Touch, Unavailable, Update, Version,
};

/// Another engine, counted.
#[derive(Debug)]
pub(super) struct Counted {
    inner: Arc<dyn Storage>,
    reads: AtomicU64,
    writes: AtomicU64,
    records: AtomicU64,
}

/// What was asked until now, or between two moments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Questions that change nothing.
    pub(super) reads: u64,
    /// Questions that write: a round trip each, if the engine is elsewhere.
    pub(super) writes: u64,
    /// Records that these write.
    pub(super) records: u64,
}

impl Counted {
    pub(super) fn new(inner: Arc<dyn Storage>) -> Self {
        Self { inner, reads: AtomicU64::new(0), writes: AtomicU64::new(0), records: AtomicU64::new(0) }
    }

    pub(super) fn asked(&self) -> Asked {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Asked { reads: read(&self.reads), writes: read(&self.writes), records: read(&self.records) }
    }

    fn read_one(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    fn write(&self, records: usize) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.records.fetch_add(records as u64, Ordering::Relaxed);
    }
}

impl Asked {
    pub(super) const fn since(self, before: Self) -> Self {
        Self {
            reads: self.reads - before.reads,
            writes: self.writes - before.writes,
            records: self.records - before.records,
        }
    }
}

#[async_trait]
impl Storage for Counted {
    fn id(&self) -> &Arc<str> {
        self.inner.id()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { is_memory: false, ..self.inner.capabilities() }
    }

    async fn create(&self, key: &Key, new: NewRecord) -> Result<Create, Unavailable> {
        self.write(1);
        self.inner.create(key, new).await
    }

    async fn read(&self, key: &Key, known: Option<Version>) -> Result<Read, Unavailable> {
        self.read_one();
        self.inner.read(key, known).await
    }

    async fn update(&self, key: &Key, new: NewValue) -> Result<Update, Unavailable> {
        self.write(1);
        self.inner.update(key, new).await
    }

    async fn touch(&self, key: &Key, times: Times) -> Result<Touch, Unavailable> {
        self.write(1);
        self.inner.touch(key, times).await
    }

    async fn bury(&self, key: &Key, burial: Burial) -> Result<Bury, Unavailable> {
        self.write(1);
        self.inner.bury(key, burial).await
    }

    async fn list(&self, context: &str, after: Option<&[u8]>, limit: usize) -> Result<Page, Unavailable> {
        self.read_one();
        self.inner.list(context, after, limit).await
    }

    async fn scan(&self, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        self.read_one();
        self.inner.scan(cursor, budget).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<Batch, Unavailable> {
        self.write(operations.len());
        self.inner.batch(operations).await
    }

    /// Nothing that a request asked for.
    async fn reap(&self, now: Millis, budget: usize) -> Result<usize, Unavailable> {
        self.inner.reap(now, budget).await
    }

    fn next_expiry(&self) -> Option<Millis> {
        self.inner.next_expiry()
    }

    async fn watch(&self, from: Option<Position>) -> Result<Changes, Unavailable> {
        self.inner.watch(from).await
    }
}
