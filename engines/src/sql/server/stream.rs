//! One ear for all who listen in this process.
//!
//! The first who wants to hear of changes makes a task that does, on a connection of its own, and hands on what it hears.
//! When that connection is lost, what everybody listens to ends, without a gap: what was known until then was right until
//! then. So they know that they hear nothing, and ask the database instead. Whoever listens again makes a new one, or learns that it cannot be had yet.

use std::sync::Arc;
use std::time::Duration;

use storage::{Changes, Position, Publisher};
use tokio::sync::{Mutex, watch};
use tokio::task::{AbortHandle, spawn};
use tokio::time::timeout;

use super::fault::Fault;
use super::{Backend, Listener as _};

/// How many changes a listener may miss before it is told that it did.
const CAPACITY: usize = 4096;
/// How long a new connection may take until it hears.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(2);

pub(super) struct Stream {
    storage: Arc<str>,
    changes: Publisher,
    ear: Mutex<Option<Ear>>,
}

/// A task that hears.
struct Ear {
    task: AbortHandle,
    /// Its other end is dropped when it hears no more.
    lives: watch::Receiver<()>,
}

impl Stream {
    pub(super) fn new(storage: &Arc<str>) -> Self {
        Self { storage: Arc::clone(storage), changes: Publisher::new(CAPACITY), ear: Mutex::new(None) }
    }

    /// The changes from now on, for as long as they are heard. Nothing is kept, so a listener who was elsewhere begins with
    /// a gap.
    pub(super) async fn watch<B: Backend>(
        &self,
        backend: &Arc<B>,
        from: Option<Position>,
    ) -> Result<Changes, Fault> {
        let mut ear = self.ear.lock().await;
        let lives = match ear.as_ref().filter(|ear| ear.lives.has_changed().is_ok()) {
            Some(ear) => ear.lives.clone(),
            None => {
                let listener = listen(&**backend).await?;
                let (hears, lives) = watch::channel(());
                let storage = Arc::clone(&self.storage);
                let hearing = hear(storage, Arc::clone(backend), listener, self.changes.clone(), hears);
                *ear = Some(Ear { task: spawn(hearing).abort_handle(), lives: lives.clone() });
                lives
            }
        };
        let mut ends = lives;
        let end = async move {
            // Nothing is ever sent: it is dropped.
            let _ = ends.changed().await;
        };
        Ok(self.changes.subscribe_until(from, end))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(ear) = self.ear.get_mut() {
            ear.task.abort();
        }
    }
}

async fn listen<B: Backend>(backend: &B) -> Result<B::Listener, Fault> {
    match timeout(LISTEN_TIMEOUT, backend.listen()).await {
        Ok(Ok(listener)) => Ok(listener),
        Ok(Err(error)) => Err(Fault::new(backend, error)),
        Err(_) => Err(Fault::slow(backend, LISTEN_TIMEOUT)),
    }
}

/// Until nothing is heard any more.
async fn hear<B: Backend>(
    storage: Arc<str>,
    backend: Arc<B>,
    mut listener: B::Listener,
    changes: Publisher,
    _hears: watch::Sender<()>,
) {
    loop {
        match listener.next().await {
            Ok(notices) => {
                for (key, version, kind) in notices {
                    changes.publish(&key, version, kind);
                }
            }
            Err(error) => {
                let fault = Fault::new(&*backend, error);
                tracing::warn!(%storage, %fault, "changes that others make are not heard; storage is asked instead");
                // Whoever comes back and says where they were begins with a gap.
                changes.break_off();
                return;
            }
        }
    }
}
