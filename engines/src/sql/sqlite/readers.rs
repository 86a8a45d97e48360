//! Connections that only read, each for one reader at a time.
//!
//! In WAL mode readers neither wait for the writer nor keep it waiting. This is no [`sqlx::Pool`]: that one asks a
//! connection after every use whether it still lives, which here is one more trip to another thread for each read, to
//! learn what cannot be otherwise.

use parking_lot::Mutex;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Up to so many connections, opened when they are first needed.
#[derive(Debug)]
pub(super) struct Readers {
    options: SqliteConnectOptions,
    count: u32,
    free: Semaphore,
    idle: Mutex<Vec<SqliteConnection>>,
}

impl Readers {
    pub(super) const fn new(options: SqliteConnectOptions, count: u32) -> Self {
        Self { options, count, free: Semaphore::const_new(count as usize), idle: Mutex::new(Vec::new()) }
    }

    /// Waits for its turn, and gives the connection back when it is dropped.
    pub(super) async fn reader(&self) -> Result<Reader<'_>, sqlx::Error> {
        let permit = self.free.acquire().await.map_err(|_| sqlx::Error::PoolClosed)?;
        // A binding of its own, so that the lock is let go before anybody waits.
        let idle = self.idle.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        Ok(Reader { connection: Some(connection), readers: self, _permit: permit })
    }

    /// Waits for those who read, and closes all connections. Nobody reads afterwards.
    pub(super) async fn close(&self) {
        let _all = self.free.acquire_many(self.count).await;
        self.free.close();
        let idle = std::mem::take(&mut *self.idle.lock());
        for connection in idle {
            if let Err(error) = connection.close().await {
                tracing::debug!(%error, "a reading connection did not close well");
            }
        }
    }
}

/// A connection for one read.
pub(super) struct Reader<'a> {
    connection: Option<SqliteConnection>,
    readers: &'a Readers,
    _permit: SemaphorePermit<'a>,
}

impl Reader<'_> {
    pub(super) fn connection(&mut self) -> Result<&mut SqliteConnection, sqlx::Error> {
        self.connection.as_mut().ok_or(sqlx::Error::PoolClosed)
    }

    /// Lets go of a connection that failed, so that the next reader gets a new one.
    pub(super) fn discard(&mut self) {
        self.connection = None;
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        // A read that was given up leaves nothing behind: its statement ends when it finds nobody listening.
        self.readers.idle.lock().extend(self.connection.take());
    }
}
