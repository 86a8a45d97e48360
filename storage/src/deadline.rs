//! A storage service whose operations answer in time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use session::Millis;
use tokio::time::timeout;

use crate::{
    Batch, Burial, Bury, Capabilities, Changes, Create, Key, NewRecord, NewValue, Operation, Page, Position,
    Read, Scan, Storage, Times, Touch, Unavailable, Update, Version,
};

/// Bounds every operation of another service in time. What did not answer by then is [`Unavailable`], and what became
/// of it is not known.
#[derive(Debug)]
pub struct Deadline {
    inner: Arc<dyn Storage>,
    after: Duration,
}

impl Deadline {
    /// `inner`, each of whose operations may take `after`.
    #[must_use]
    pub const fn new(inner: Arc<dyn Storage>, after: Duration) -> Self {
        Self { inner, after }
    }

    async fn within<T>(
        &self,
        answer: impl Future<Output = Result<T, Unavailable>>,
    ) -> Result<T, Unavailable> {
        match timeout(self.after, answer).await {
            Ok(answer) => answer,
            Err(_) => Err(Unavailable::deadline(self.inner.id(), self.after)),
        }
    }
}

#[async_trait]
impl Storage for Deadline {
    fn id(&self) -> &Arc<str> {
        self.inner.id()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn create(&self, key: &Key, new: NewRecord) -> Result<Create, Unavailable> {
        self.within(self.inner.create(key, new)).await
    }

    async fn read(&self, key: &Key, known: Option<Version>) -> Result<Read, Unavailable> {
        self.within(self.inner.read(key, known)).await
    }

    async fn update(&self, key: &Key, new: NewValue) -> Result<Update, Unavailable> {
        self.within(self.inner.update(key, new)).await
    }

    async fn touch(&self, key: &Key, times: Times) -> Result<Touch, Unavailable> {
        self.within(self.inner.touch(key, times)).await
    }

    async fn bury(&self, key: &Key, burial: Burial) -> Result<Bury, Unavailable> {
        self.within(self.inner.bury(key, burial)).await
    }

    async fn list(&self, context: &str, after: Option<&[u8]>, limit: usize) -> Result<Page, Unavailable> {
        self.within(self.inner.list(context, after, limit)).await
    }

    async fn scan(&self, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        self.within(self.inner.scan(cursor, budget)).await
    }

    async fn scan_of(&self, prefix: &str, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        self.within(self.inner.scan_of(prefix, cursor, budget)).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<Batch, Unavailable> {
        self.within(self.inner.batch(operations)).await
    }

    async fn reap(&self, now: Millis, budget: usize) -> Result<usize, Unavailable> {
        self.within(self.inner.reap(now, budget)).await
    }

    fn next_expiry(&self) -> Option<Millis> {
        self.inner.next_expiry()
    }

    async fn watch(&self, from: Option<Position>) -> Result<Changes, Unavailable> {
        self.within(self.inner.watch(from)).await
    }
}
