//! Operations of storage, as spans below the request that needs them. Never the key: it may be a secret of a foreign format.

use std::sync::Arc;

use async_trait::async_trait;
use session::Millis;
use storage::{
    Batch, Burial, Bury, Capabilities, Changes, Create, Key, NewRecord, NewValue, Operation, Page, Position,
    Read, Scan, Storage, Times, Touch, Unavailable, Update, Version,
};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use super::TARGET;

/// Follows every operation of another service that belongs to a request.
#[derive(Debug)]
pub(super) struct Followed {
    inner: Arc<dyn Storage>,
}

impl Followed {
    pub(super) fn new(inner: Arc<dyn Storage>) -> Self {
        Self { inner }
    }

    async fn follow<T>(
        &self,
        operation: &'static str,
        answer: impl Future<Output = Result<T, Unavailable>>,
    ) -> Result<T, Unavailable> {
        // Housekeeping goes on for ever, and is nobody's request.
        if Span::current().is_none() {
            return answer.await;
        }
        let span = tracing::trace_span!(
            target: TARGET,
            "storage",
            otel.name = operation,
            otel.kind = "client",
            otel.status_code = Empty,
            db.operation.name = operation,
            db.namespace = &**self.inner.id(),
            error.r#type = Empty,
        );
        let answer = answer.instrument(span.clone()).await;
        if answer.is_err() {
            span.record("otel.status_code", "ERROR");
            span.record("error.type", "unavailable");
        }
        answer
    }
}

#[async_trait]
impl Storage for Followed {
    fn id(&self) -> &Arc<str> {
        self.inner.id()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn create(&self, key: &Key, new: NewRecord) -> Result<Create, Unavailable> {
        self.follow("create", self.inner.create(key, new)).await
    }

    async fn read(&self, key: &Key, known: Option<Version>) -> Result<Read, Unavailable> {
        self.follow("read", self.inner.read(key, known)).await
    }

    async fn update(&self, key: &Key, new: NewValue) -> Result<Update, Unavailable> {
        self.follow("update", self.inner.update(key, new)).await
    }

    async fn touch(&self, key: &Key, times: Times) -> Result<Touch, Unavailable> {
        self.follow("touch", self.inner.touch(key, times)).await
    }

    async fn bury(&self, key: &Key, burial: Burial) -> Result<Bury, Unavailable> {
        self.follow("bury", self.inner.bury(key, burial)).await
    }

    async fn list(&self, context: &str, after: Option<&[u8]>, limit: usize) -> Result<Page, Unavailable> {
        self.follow("list", self.inner.list(context, after, limit)).await
    }

    async fn scan(&self, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        self.follow("scan", self.inner.scan(cursor, budget)).await
    }

    async fn scan_of(&self, prefix: &str, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        self.follow("scan", self.inner.scan_of(prefix, cursor, budget)).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<Batch, Unavailable> {
        self.follow("batch", self.inner.batch(operations)).await
    }

    async fn reap(&self, now: Millis, budget: usize) -> Result<usize, Unavailable> {
        self.follow("reap", self.inner.reap(now, budget)).await
    }

    fn next_expiry(&self) -> Option<Millis> {
        self.inner.next_expiry()
    }

    async fn watch(&self, from: Option<Position>) -> Result<Changes, Unavailable> {
        self.follow("watch", self.inner.watch(from)).await
    }
}
