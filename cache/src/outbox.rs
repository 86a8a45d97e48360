//! Ends that storage has not confirmed yet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use session::{Ending, Handle, Millis};
use storage::{Burial, Unavailable};
use tokio::sync::Notify;

/// What this node must still end. It refuses these sessions meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// How many there are: so that finds pay for the lock only while storage is in trouble.
    waiting: AtomicUsize,
    /// The same for whoever watches this process.
    pub(crate) pending: Gauge,
    /// In an order, so that whoever repeats them can go on behind the one that failed.
    ends: Mutex<BTreeMap<Handle, Waiting>>,
    pub(crate) arrived: Notify,
}

/// An end that waits.
#[derive(Debug, Clone)]
pub(crate) enum Waiting {
    /// Of a session on the server.
    Burial(Burial),
    /// Of one that its visitor carries, whose cookies could come back until then.
    Carried(Ending, Millis),
}

impl Outbox {
    pub(crate) fn put(&self, handle: Handle, waiting: Waiting) {
        let mut ends = self.ends.lock();
        ends.insert(handle, waiting);
        self.count(ends.len());
        self.arrived.notify_one();
    }

    pub(crate) fn remove(&self, handle: &Handle) {
        let mut ends = self.ends.lock();
        ends.remove(handle);
        self.count(ends.len());
    }

    fn count(&self, waiting: usize) {
        self.waiting.store(waiting, Ordering::SeqCst);
        self.pending.set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    pub(crate) fn all(&self) -> Vec<(Handle, Waiting)> {
        self.ends.lock().iter().map(|(handle, waiting)| (*handle, waiting.clone())).collect()
    }

    /// Refuses a session whose end waits. Not as ended: nobody may be told so before storage has it, or a crash of
    /// this process would bring back what somebody was told is over.
    pub(crate) fn check(&self, handle: &Handle, storage: &Arc<str>) -> Result<(), Unavailable> {
        if self.waiting.load(Ordering::SeqCst) == 0 || !self.ends.lock().contains_key(handle) {
            return Ok(());
        }
        Err(Unavailable {
            retry_after: Some(Duration::from_secs(1)),
            ..Unavailable::failed(storage, "the end of this session waits until storage has confirmed it")
        })
    }
}
