//! Connections that only read, each for one reader at a time.
//!
//! In WAL mode readers neither wait for the writer nor keep it waiting.

use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::open;

/// Up to so many connections, opened when they are first needed.
#[derive(Debug)]
pub(super) struct Readers {
    database: Arc<Path>,
    count: u32,
    free: Arc<Semaphore>,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(database: &Arc<Path>, count: u32) -> Self {
        let free = Arc::new(Semaphore::new(count as usize));
        Self { database: Arc::clone(database), count, free, idle: Mutex::new(Vec::new()) }
    }

    /// Waits for its turn, and has `read` use a connection, on a thread that may wait for the disk. None if it is closed.
    pub(super) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Option<Result<T, rusqlite::Error>> {
        let permit = Arc::clone(&self.free).acquire_owned().await.ok()?;
        let readers = Arc::clone(self);
        let asking = spawn_blocking(move || {
            // Let go last, when the connection is back.
            let _permit = permit;
            // A binding of its own, so that the lock is let go before anybody waits.
            let idle = readers.idle.lock().pop();
            let connection = match idle {
                Some(connection) => connection,
                None => open::to_read(&readers.database)?,
            };
            let found = read(&connection);
            // One that failed is not used again.
            if found.is_ok() {
                readers.idle.lock().push(connection);
            }
            found
        });
        asking.await.ok()
    }

    /// Waits for those who read, and closes all connections. Nobody reads afterwards.
    pub(super) async fn close(&self) {
        let _all = self.free.acquire_many(self.count).await;
        self.free.close();
        let idle = std::mem::take(&mut *self.idle.lock());
        for connection in idle {
            if let Err((_, error)) = connection.close() {
                tracing::debug!(%error, "a reading connection did not close well");
            }
        }
    }
}
