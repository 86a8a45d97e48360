//! A storage service that others use as well.

use std::sync::Arc;

use async_trait::async_trait;
use session::Millis;

use crate::{
    Batch, Burial, Bury, Capabilities, Changes, Create, Key, NewRecord, NewValue, Operation, Page, Position,
    Read, Scan, Storage, Times, Touch, Unavailable, Update, Version,
};

/// Another service, of which it is known that this process offers it to others: whoever relies on knowing every use
/// and every change of a record must not do so here.
#[derive(Debug)]
pub struct Shared {
    inner: Arc<dyn Storage>,
}

impl Shared {
    /// `inner`, which others use too.
    #[must_use]
    pub const fn new(inner: Arc<dyn Storage>) -> Self {
        Self { inner }
    }
}

#[async_trait]
impl Storage for Shared {
    fn id(&self) -> &Arc<str> {
        self.inner.id()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { is_shared: true, ..self.inner.capabilities() }
    }

    async fn create(&self, key: &Key, new: NewRecord) -> Result<Create, Unavailable> {
        self.inner.create(key, new).await
    }

    async fn read(&self, key: &Key, known: Option<Version>) -> Result<Read, Unavailable> {
        self.inner.read(key, known).await
    }

    async fn update(&self, key: &Key, new: NewValue) -> Result<Update, Unavailable> {
        self.inner.update(key, new).await
    }

    async fn touch(&self, key: &Key, times: Times) -> Result<Touch, Unavailable> {
        self.inner.touch(key, times).await
    }

    async fn bury(&self, key: &Key, burial: Burial) -> Result<Bury, Unavailable> {
        self.inner.bury(key, burial).await
    }

    async fn list(&self, context: &str, after: Option<&[u8]>, limit: usize) -> Result<Page, Unavailable> {
        self.inner.list(context, after, limit).await
    }

    async fn scan(&self, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        self.inner.scan(cursor, budget).await
    }

    async fn scan_of(&self, prefix: &str, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        self.inner.scan_of(prefix, cursor, budget).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<Batch, Unavailable> {
        self.inner.batch(operations).await
    }

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
