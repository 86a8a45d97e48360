//! Ends that storage has not confirmed yet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use session::Handle;
use storage::{Burial, Unavailable};
use tokio::sync::Notify;

/// What this node must still end. It refuses these sessions meanwhile.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// How many there are: so that finds pay for the lock only while storage is in trouble.
    waiting: AtomicUsize,
    /// In an order, so that whoever repeats them can go on behind the one that failed.
    burials: Mutex<BTreeMap<Handle, Burial>>,
    pub(crate) arrived: Notify,
}

impl Outbox {
    pub(crate) fn put(&self, handle: Handle, burial: Burial) {
        let mut burials = self.burials.lock();
        burials.insert(handle, burial);
        self.waiting.store(burials.len(), Ordering::SeqCst);
        self.arrived.notify_one();
    }

    pub(crate) fn remove(&self, handle: &Handle) {
        let mut burials = self.burials.lock();
        burials.remove(handle);
        self.waiting.store(burials.len(), Ordering::SeqCst);
    }

    pub(crate) fn all(&self) -> Vec<(Handle, Burial)> {
        self.burials.lock().iter().map(|(handle, burial)| (*handle, burial.clone())).collect()
    }

    /// Refuses a session whose end waits. Not as ended: nobody may be told so before storage has it, or a crash of
    /// this process would bring back what somebody was told is over.
    pub(crate) fn check(&self, handle: &Handle, storage: &Arc<str>) -> Result<(), Unavailable> {
        if self.waiting.load(Ordering::SeqCst) == 0 || !self.burials.lock().contains_key(handle) {
            return Ok(());
        }
        Err(Unavailable {
            retry_after: Some(Duration::from_secs(1)),
            ..Unavailable::failed(storage, "the end of this session waits until storage has confirmed it")
        })
    }
}
