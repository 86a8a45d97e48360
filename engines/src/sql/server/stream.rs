//! One ear for all who listen in this process.
//!
//! The first who wants to hear of changes makes a task that does, on a connection of its own, and hands on what it hears.
//! When the connection is lost everybody is told so at once, and again when there is a new one: whoever asked the
//! database between the two may have been told what was overwritten since.

use std::sync::Arc;
use std::time::Duration;

use storage::{Changes, Position, Publisher};
use tokio::sync::Mutex;
use tokio::task::{AbortHandle, spawn};
use tokio::time::{sleep, timeout};

use super::fault::Fault;
use super::{Backend, Listener as _};

/// How many changes a listener may miss before it is told that it did.
const CAPACITY: usize = 4096;
/// How long a new connection may take until it hears.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

pub(super) struct Stream {
    storage: Arc<str>,
    changes: Publisher,
    task: Mutex<Option<AbortHandle>>,
}

impl Stream {
    pub(super) fn new(storage: &Arc<str>) -> Self {
        Self { storage: Arc::clone(storage), changes: Publisher::new(CAPACITY), task: Mutex::new(None) }
    }

    /// The changes from now on. Nothing is kept, so a listener who was elsewhere begins with a gap.
    pub(super) async fn watch<B: Backend>(
        &self,
        backend: &Arc<B>,
        from: Option<Position>,
    ) -> Result<Changes, Fault> {
        let mut task = self.task.lock().await;
        if task.is_none() {
            let listener = listen(&**backend).await?;
            let task_of =
                hear(Arc::clone(&self.storage), Arc::clone(backend), listener, self.changes.clone());
            *task = Some(spawn(task_of).abort_handle());
        }
        Ok(self.changes.subscribe(from))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(task) = self.task.get_mut() {
            task.abort();
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

async fn hear<B: Backend>(storage: Arc<str>, backend: Arc<B>, mut listener: B::Listener, changes: Publisher) {
    loop {
        let error = loop {
            match listener.next().await {
                Ok(notices) => {
                    for (key, version, kind) in notices {
                        changes.publish(&key, version, kind);
                    }
                }
                Err(error) => break error,
            }
        };
        let fault = Fault::new(&*backend, error);
        tracing::warn!(%storage, %fault, "changes that others make are not heard");
        changes.interrupt();
        drop(listener);
        let mut pause = FIRST_PAUSE;
        listener = loop {
            match listen(&*backend).await {
                Ok(listener) => break listener,
                Err(fault) => tracing::debug!(%storage, %fault, "still not heard"),
            }
            // The database may answer all the same: nobody serves for longer than this what was read from it meanwhile.
            changes.interrupt();
            sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        };
        tracing::info!(%storage, "changes that others make are heard again");
        changes.interrupt();
    }
}
