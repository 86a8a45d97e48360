//! An engine that counts what it is asked, can pass for another kind of engine, and whose change stream can be cut.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::future::ready;
use futures_util::stream::{once, select};
use parking_lot::Mutex;
use session::Millis;
use storage::{
    Batch, Burial, Bury, Capabilities, Changes, Create, Key, NewRecord, NewValue, Notice, Operation, Page,
    Position, Read, Scan, Storage, Times, Touch, Unavailable, Update, Version,
};
use tokio::sync::{broadcast, watch};
use tokio_stream::wrappers::BroadcastStream;

/// Another engine, watched.
#[derive(Debug)]
pub(super) struct Probe {
    inner: Arc<dyn Storage>,
    capabilities: Capabilities,
    gaps: broadcast::Sender<()>,
    /// Whether nothing can be heard of changes.
    is_cut: watch::Sender<bool>,
    /// Changes in contexts that begin so are not told.
    lost: Mutex<Option<&'static str>>,
    /// Records that cannot be ended.
    stuck: Mutex<Vec<Key>>,
    followers: Arc<AtomicUsize>,
    pub(super) reads: AtomicUsize,
    pub(super) updates: AtomicUsize,
    pub(super) touches: AtomicUsize,
    pub(super) batches: AtomicUsize,
    /// What was written into the index.
    pub(super) entries: AtomicUsize,
    /// Everything that was asked, of one record or of several.
    pub(super) asked: AtomicUsize,
}

impl Probe {
    /// `inner`, which says that it can do this.
    pub(super) fn new(inner: Arc<dyn Storage>, capabilities: Capabilities) -> Self {
        Self {
            inner,
            capabilities,
            gaps: broadcast::Sender::new(16),
            is_cut: watch::Sender::new(false),
            lost: Mutex::default(),
            stuck: Mutex::default(),
            followers: Arc::default(),
            reads: AtomicUsize::new(0),
            updates: AtomicUsize::new(0),
            touches: AtomicUsize::new(0),
            batches: AtomicUsize::new(0),
            entries: AtomicUsize::new(0),
            asked: AtomicUsize::new(0),
        }
    }

    fn write(&self, key: &Key) {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if key.context().starts_with("index.") {
            self.entries.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// How many began to listen to the change stream.
    pub(super) fn followers(&self) -> usize {
        self.followers.load(Ordering::SeqCst)
    }

    /// This record cannot be ended any more.
    pub(super) fn refuse(&self, key: Key) {
        self.stuck.lock().push(key);
    }

    /// Whoever begins to listen from now on is not told of changes in contexts that begin so.
    pub(super) fn lose(&self, contexts: &'static str) {
        *self.lost.lock() = Some(contexts);
    }

    /// Removes all that expired.
    pub(super) async fn reap_all(&self, now: Millis) {
        while self.inner.reap(now, 1_000).await.unwrap() > 0 {}
    }

    /// Ends the change stream, and gives none, until it is mended.
    pub(super) fn cut(&self, is_cut: bool) {
        self.is_cut.send_replace(is_cut);
    }

    /// Says that notices were lost.
    pub(super) fn gap(&self) {
        self.gaps.send(()).unwrap();
    }
}

#[async_trait]
impl Storage for Probe {
    fn id(&self) -> &Arc<str> {
        self.inner.id()
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    async fn create(&self, key: &Key, new: NewRecord) -> Result<Create, Unavailable> {
        self.write(key);
        self.inner.create(key, new).await
    }

    async fn read(&self, key: &Key, known: Option<Version>) -> Result<Read, Unavailable> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.inner.read(key, known).await
    }

    async fn update(&self, key: &Key, new: NewValue) -> Result<Update, Unavailable> {
        self.write(key);
        self.updates.fetch_add(1, Ordering::SeqCst);
        self.inner.update(key, new).await
    }

    async fn touch(&self, key: &Key, times: Times) -> Result<Touch, Unavailable> {
        self.write(key);
        self.touches.fetch_add(1, Ordering::SeqCst);
        self.inner.touch(key, times).await
    }

    async fn bury(&self, key: &Key, burial: Burial) -> Result<Bury, Unavailable> {
        self.write(key);
        if self.stuck.lock().contains(key) {
            return Err(Unavailable::failed(self.id(), "this record is on a bad page of the disk"));
        }
        self.inner.bury(key, burial).await
    }

    async fn list(&self, context: &str, after: Option<&[u8]>, limit: usize) -> Result<Page, Unavailable> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.inner.list(context, after, limit).await
    }

    async fn scan(&self, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.inner.scan(cursor, budget).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<Batch, Unavailable> {
        self.batches.fetch_add(1, Ordering::SeqCst);
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.inner.batch(operations).await
    }

    async fn reap(&self, now: Millis, budget: usize) -> Result<usize, Unavailable> {
        self.inner.reap(now, budget).await
    }

    fn next_expiry(&self) -> Option<Millis> {
        self.inner.next_expiry()
    }

    async fn watch(&self, from: Option<Position>) -> Result<Changes, Unavailable> {
        if *self.is_cut.borrow() {
            return Err(Unavailable::failed(self.id(), "the line is cut"));
        }
        let mut is_cut = self.is_cut.subscribe();
        let end = async move { drop(is_cut.wait_for(|is_cut| *is_cut).await) };
        let gaps = BroadcastStream::new(self.gaps.subscribe()).map(|_| Notice::Gap);
        let lost = *self.lost.lock();
        let is_told = move |notice: &Notice| match (notice, lost) {
            (Notice::Change(change), Some(lost)) => !change.key.context().starts_with(lost),
            _ => true,
        };
        let changes = self.inner.watch(from).await?.filter(move |notice| ready(is_told(notice)));
        let followers = Arc::clone(&self.followers);
        let first = once(async move { followers.fetch_add(1, Ordering::SeqCst) });
        let told = first.filter_map(|_| ready(None)).chain(select(changes, gaps));
        Ok(Box::pin(told.take_until(Box::pin(end))))
    }
}
