//! An engine that fails on demand: for tests of whoever must bear it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use session::Millis;
use tokio::sync::Semaphore;

use crate::{
    Batch, Burial, Bury, Capabilities, Changes, Create, Key, NewRecord, NewValue, Operation, Page, Position,
    Read, Scan, Storage, Times, Touch, Unavailable, Update, Version,
};

/// What goes wrong with an operation.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Nothing is done.
    Refuse,
    /// It is done, but the answer is lost.
    LoseAnswer,
    /// It is done after a while.
    Delay(Duration),
    /// It waits before anything is done, until the gate opens.
    HoldBefore(Gate),
    /// It is done, and its answer waits until the gate opens.
    HoldAfter(Gate),
}

/// Which operations are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// All of them.
    Any,
    /// `create`
    Create,
    /// `read`
    Read,
    /// `update`
    Update,
    /// `touch`
    Touch,
    /// `bury`
    Bury,
    /// `list`, `scan`, `batch`, `reap`, `watch`
    Other,
}

/// Where operations wait for a test.
#[derive(Debug, Clone)]
pub struct Gate {
    arrived: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { arrived: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) }
    }
}

impl Gate {
    /// Waits until an operation has come to the gate.
    pub async fn arrival(&self) {
        if let Ok(permit) = self.arrived.acquire().await {
            permit.forget();
        }
    }

    /// Opens the gate for all who wait and come.
    pub fn open(&self) {
        self.open.add_permits(Semaphore::MAX_PERMITS >> 1);
    }

    async fn pass(&self) {
        self.arrived.add_permits(1);
        let _ = self.open.acquire().await;
    }
}

/// Another engine, with faults.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn Storage>,
    /// What goes wrong from now on, until healed.
    lasting: Mutex<Option<(Which, Fault)>>,
    /// What goes wrong once each, in order.
    once: Mutex<VecDeque<(Which, Fault)>>,
}

impl Faulty {
    /// `inner`, without faults so far.
    #[must_use]
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self { inner, lasting: Mutex::default(), once: Mutex::default() }
    }

    /// All operations of this kind fail so from now on.
    pub fn fail(&self, which: Which, fault: Fault) {
        *self.lasting.lock() = Some((which, fault));
    }

    /// The next operation of this kind fails so.
    pub fn fail_once(&self, which: Which, fault: Fault) {
        self.once.lock().push_back((which, fault));
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        *self.lasting.lock() = None;
        self.once.lock().clear();
    }

    fn fault(&self, which: Which) -> Option<Fault> {
        let is_meant = |meant: Which| meant == Which::Any || meant == which;
        let mut once = self.once.lock();
        if let Some(at) = once.iter().position(|(meant, _)| is_meant(*meant)) {
            return once.remove(at).map(|(_, fault)| fault);
        }
        self.lasting.lock().clone().filter(|(meant, _)| is_meant(*meant)).map(|(_, fault)| fault)
    }

    async fn through<T>(
        &self,
        which: Which,
        operation: impl Future<Output = Result<T, Unavailable>> + Send,
    ) -> Result<T, Unavailable> {
        match self.fault(which) {
            None => operation.await,
            Some(Fault::Refuse) => Err(Unavailable::failed(self.inner.id(), "refused, as the test wants it")),
            Some(Fault::LoseAnswer) => {
                operation.await?;
                Err(Unavailable::unknown(self.inner.id(), "the answer is lost, as the test wants it"))
            }
            Some(Fault::Delay(by)) => {
                tokio::time::sleep(by).await;
                operation.await
            }
            Some(Fault::HoldBefore(gate)) => {
                gate.pass().await;
                operation.await
            }
            Some(Fault::HoldAfter(gate)) => {
                let answer = operation.await;
                gate.pass().await;
                answer
            }
        }
    }
}

#[async_trait]
impl Storage for Faulty {
    fn id(&self) -> &Arc<str> {
        self.inner.id()
    }

    fn capabilities(&self) -> Capabilities {
        // Whoever asks for faults wants them to be met, not skipped by a shortcut for memory.
        Capabilities { is_memory: false, ..self.inner.capabilities() }
    }

    async fn create(&self, key: &Key, new: NewRecord) -> Result<Create, Unavailable> {
        self.through(Which::Create, self.inner.create(key, new)).await
    }

    async fn read(&self, key: &Key, known: Option<Version>) -> Result<Read, Unavailable> {
        self.through(Which::Read, self.inner.read(key, known)).await
    }

    async fn update(&self, key: &Key, new: NewValue) -> Result<Update, Unavailable> {
        self.through(Which::Update, self.inner.update(key, new)).await
    }

    async fn touch(&self, key: &Key, times: Times) -> Result<Touch, Unavailable> {
        self.through(Which::Touch, self.inner.touch(key, times)).await
    }

    async fn bury(&self, key: &Key, burial: Burial) -> Result<Bury, Unavailable> {
        self.through(Which::Bury, self.inner.bury(key, burial)).await
    }

    async fn list(&self, context: &str, after: Option<&[u8]>, limit: usize) -> Result<Page, Unavailable> {
        self.through(Which::Other, self.inner.list(context, after, limit)).await
    }

    async fn scan(&self, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        self.through(Which::Other, self.inner.scan(cursor, budget)).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<Batch, Unavailable> {
        self.through(Which::Other, self.inner.batch(operations)).await
    }

    async fn reap(&self, now: Millis, budget: usize) -> Result<usize, Unavailable> {
        self.through(Which::Other, self.inner.reap(now, budget)).await
    }

    fn next_expiry(&self) -> Option<Millis> {
        self.inner.next_expiry()
    }

    async fn watch(&self, from: Option<Position>) -> Result<Changes, Unavailable> {
        self.through(Which::Other, self.inner.watch(from)).await
    }
}
