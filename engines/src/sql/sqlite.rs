//! Records in one file of this machine, through SQLite.
//!
//! ```text
//! create, update, touch, bury, batch, reap -> queue -> writer -> one transaction, one synchronisation for a group
//! read, list, scan ----------------------------------> readers -> a snapshot each
//! ```
//!
//! The database is in WAL mode with `synchronous = FULL`: what was acknowledged is on the disk. One process has the
//! folder; whoever else comes is refused. An operator may look at the tables with `sqlite3` while Cloakroom runs;
//! docs/src/reference/sqlite.md says what the columns mean.

mod fault;
mod folder;
mod open;
mod queue;
mod read;
mod readers;
mod schema;
mod statements;
#[cfg(test)]
mod tests;
mod versions;
mod write;
mod writer;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use rusqlite::Connection;
use session::{Clock, Millis};
use storage::{
    Applied, Batch, BoxError, Burial, Bury, Capabilities, Changes, Create, Key, NewRecord, NewValue,
    Operation, Outcome, Page, Position, Publisher, Read, Scan, Storage, Times, Touch, Unavailable, Update,
    Version,
};
use tokio::task::spawn_blocking;

use self::fault::Fault;
use self::folder::Folder;
use self::queue::{Answer, Queue, Work};
use self::readers::Readers;
use self::writer::Counters;
use crate::{OpenError, Problem};

const MAX_VALUE: usize = 16 << 20;
/// The most operations of a batch: it has the only transaction to itself.
const MAX_BATCH: usize = 1024;
/// How many a call of `reap` removes before it lets others write.
const REAP_AT_ONCE: usize = 256;

/// Durable records in a folder of this machine.
#[derive(Debug)]
pub struct Sqlite {
    id: Arc<str>,
    clock: Arc<dyn Clock>,
    database: Arc<Path>,
    queue: Queue,
    readers: Arc<Readers>,
    changes: Publisher,
    counters: Arc<Counters>,
    sharing: Arc<AtomicBool>,
    /// Not held by this one: whoever closes it lets go of the folder.
    claim: Weak<File>,
}

/// How much was written, and how often that took the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writes {
    /// Operations that were committed, whatever they found; a batch is one, and so is a slice of a large `reap`.
    pub operations: u64,
    /// Commits, each of which waits for the disk at most once.
    pub commits: u64,
}

impl Sqlite {
    /// Opens the records in `folder` for the storage service `id`, and makes them if they are not there. Must be called
    /// within a tokio runtime, whose threads for what blocks will read.
    pub async fn open(id: &str, folder: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        Self::open_with(id, folder, None, clock, "").await
    }

    /// Opens the records that another process has open, with what it got from [`share`](Self::share). Both use them from
    /// now on, until that one is gone and somebody says so ([`end_sharing`](Self::end_sharing)).
    pub async fn join(
        id: &str,
        folder: &Path,
        claim: File,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        Self::open_with(id, folder, Some(claim), clock, "").await
    }

    /// Lets another process use the records as well, until [`end_sharing`](Self::end_sharing) or the end of this one: what
    /// it needs for [`join`](Self::join). What each writes the other reads at once, and versions grow over both. But
    /// neither is told of the other's changes: who keeps copies must ask before they serve them.
    pub fn share(&self) -> io::Result<File> {
        let claim = self.claim.upgrade().ok_or(io::ErrorKind::NotConnected)?;
        self.sharing.store(true, Ordering::SeqCst);
        claim.try_clone()
    }

    /// Nobody else uses the records any more.
    pub fn end_sharing(&self) {
        self.sharing.store(false, Ordering::SeqCst);
    }

    /// How much was written so far, for metrics.
    #[must_use]
    pub fn writes(&self) -> Writes {
        Writes {
            operations: self.counters.operations.load(Ordering::Relaxed),
            commits: self.counters.commits.load(Ordering::Relaxed),
        }
    }

    /// Takes nothing more, writes what was asked, and closes the files. Dropping does the same in the background; this
    /// waits for it.
    pub async fn close(&self) {
        self.queue.close().await;
    }

    /// Opens the records in a file of this name, and makes it if it is not there; beside it lie its log and its lock. One
    /// process at a time has them.
    pub async fn open_file(id: &str, file: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let claim = || {
            let (Some(folder), Some(name)) = (file.parent(), file.file_name()) else {
                let cause = io::Error::from(io::ErrorKind::InvalidFilename);
                return Err(Problem::Folder { path: file.into(), cause });
            };
            let mut lock = name.to_owned();
            lock.push(".lock");
            Folder::claim_file(folder, name, &lock)
        };
        Self::open_claimed(id, claim(), false, clock, "").await
    }

    /// `tuning` is said to the connection that writes.
    async fn open_with(
        id: &str,
        path: &Path,
        claim: Option<File>,
        clock: Arc<dyn Clock>,
        tuning: &'static str,
    ) -> Result<Self, OpenError> {
        let is_shared = claim.is_some();
        let folder = match claim {
            Some(claim) => Folder::inherit(path, claim),
            None => Folder::claim(path),
        };
        Self::open_claimed(id, folder, is_shared, clock, tuning).await
    }

    async fn open_claimed(
        id: &str,
        folder: Result<Folder, Problem>,
        is_shared: bool,
        clock: Arc<dyn Clock>,
        tuning: &'static str,
    ) -> Result<Self, OpenError> {
        let storage: Arc<str> = id.into();
        let refused = |problem| OpenError { storage: Arc::clone(&storage), problem };
        let folder = folder.map_err(refused)?;
        let database = Arc::clone(&folder.database);
        let failed = |cause: BoxError| refused(Problem::Failed { path: database.to_path_buf(), cause });
        let id = Arc::clone(&storage);
        let opening = spawn_blocking(move || open::writer(&id, folder, is_shared, clock, tuning));
        let writer = opening.await.map_err(|error| failed(error.into()))?.map_err(refused)?;
        Ok(Self {
            clock: Arc::clone(&writer.clock),
            database: Arc::clone(writer.database()),
            readers: Arc::clone(&writer.readers),
            changes: writer.changes.clone(),
            counters: Arc::clone(&writer.counters),
            sharing: Arc::clone(&writer.sharing),
            claim: Arc::downgrade(&writer.folder.lock),
            queue: Queue::start(&storage, writer).map_err(|error| failed(error.into()))?,
            id: storage,
        })
    }

    async fn write<T>(
        &self,
        operation: Operation,
        of: impl FnOnce(Outcome) -> Option<T>,
    ) -> Result<T, Unavailable> {
        operation.admit(MAX_VALUE, &self.id)?;
        let outcome = match self.queue.ask(Work::One(operation)).await? {
            Answer::One(outcome) => of(outcome),
            Answer::All(_) | Answer::Reaped(_) => None,
        };
        outcome.ok_or_else(|| self.mistaken())
    }

    /// What `read` finds, on a connection of its own.
    async fn find<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection, Millis) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, Unavailable> {
        let clock = Arc::clone(&self.clock);
        match self.readers.ask(move |connection| read(connection, clock.now())).await {
            Some(Ok(found)) => Ok(found),
            Some(Err(error)) => Err(Fault::new(&self.database, error).unavailable(&self.id, Applied::No)),
            None => Err(Unavailable::failed(&self.id, "it is closed: this process is about to end")),
        }
    }

    /// The id of the row to go on behind.
    fn read_cursor(&self, cursor: Option<&[u8]>) -> Result<i64, Unavailable> {
        match cursor.map(<[u8; 8]>::try_from) {
            // The ids of rows begin with 1.
            None => Ok(0),
            Some(Ok(cursor)) => Ok(i64::from_be_bytes(cursor)),
            Some(Err(_)) => Err(Unavailable::refused(&self.id, "this is no cursor of this engine")),
        }
    }

    fn mistaken(&self) -> Unavailable {
        Unavailable::unknown(
            &self.id,
            "the answer belongs to another question: this is an error in Cloakroom",
        )
    }
}

#[async_trait]
impl Storage for Sqlite {
    fn id(&self) -> &Arc<str> {
        &self.id
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            is_durable: true,
            is_shared: false,
            is_memory: false,
            max_value: MAX_VALUE,
            unnoticed: Duration::ZERO,
        }
    }

    async fn create(&self, key: &Key, new: NewRecord) -> Result<Create, Unavailable> {
        self.write(Operation::Create(key.clone(), new), Outcome::into_create).await
    }

    async fn read(&self, key: &Key, known: Option<Version>) -> Result<Read, Unavailable> {
        let key = key.clone();
        self.find(move |connection, now| read::read(connection, &key, known, now)).await
    }

    async fn update(&self, key: &Key, new: NewValue) -> Result<Update, Unavailable> {
        self.write(Operation::Update(key.clone(), new), Outcome::into_update).await
    }

    async fn touch(&self, key: &Key, times: Times) -> Result<Touch, Unavailable> {
        self.write(Operation::Touch(key.clone(), times), Outcome::into_touch).await
    }

    async fn bury(&self, key: &Key, burial: Burial) -> Result<Bury, Unavailable> {
        self.write(Operation::Bury(key.clone(), burial), Outcome::into_bury).await
    }

    async fn list(&self, context: &str, after: Option<&[u8]>, limit: usize) -> Result<Page, Unavailable> {
        // No name is empty, so all of them come after the empty one.
        let (context, after) = (context.to_owned(), after.unwrap_or_default().to_vec());
        self.find(move |connection, now| read::list(connection, &context, &after, limit, now)).await
    }

    async fn scan(&self, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        let after = self.read_cursor(cursor)?;
        self.find(move |connection, now| read::scan(connection, after, budget, now)).await
    }

    async fn scan_of(&self, prefix: &str, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        let (prefix, after) = (prefix.to_owned(), self.read_cursor(cursor)?);
        self.find(move |connection, now| read::scan_of(connection, &prefix, after, budget, now)).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<Batch, Unavailable> {
        if Operation::context_of_all(&operations, MAX_BATCH, &self.id)?.is_none() {
            return Ok(Batch::Done(Vec::new()));
        }
        operations.iter().try_for_each(|operation| operation.admit(MAX_VALUE, &self.id))?;
        match self.queue.ask(Work::All(operations)).await? {
            Answer::All(batch) => Ok(batch),
            Answer::One(_) | Answer::Reaped(_) => Err(self.mistaken()),
        }
    }

    /// In slices, between which others write.
    async fn reap(&self, now: Millis, budget: usize) -> Result<usize, Unavailable> {
        let mut reaped = 0;
        while reaped < budget {
            let slice = REAP_AT_ONCE.min(budget - reaped);
            match self.queue.ask(Work::Reap { now, budget: slice }).await? {
                Answer::Reaped(count) => {
                    reaped += count;
                    if count < slice {
                        break;
                    }
                }
                Answer::One(_) | Answer::All(_) => return Err(self.mistaken()),
            }
        }
        Ok(reaped)
    }

    async fn watch(&self, from: Option<Position>) -> Result<Changes, Unavailable> {
        Ok(self.changes.subscribe(from))
    }
}
