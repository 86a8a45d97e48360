//! The one connection that writes.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rusqlite::{Connection, TransactionBehavior};
use session::Clock;
use storage::{Applied, Key, Kind, Publisher, Unavailable, Version};

use super::fault::Fault;
use super::folder::Folder;
use super::open;
use super::queue::{Answer, Work};
use super::readers::Readers;
use super::versions::Versions;
use super::write::Write;

/// Writes groups of operations, each group in one transaction.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) storage: Arc<str>,
    pub(super) clock: Arc<dyn Clock>,
    /// What is said to a connection before it writes, beside what every one is told.
    pub(super) tuning: &'static str,
    /// None after a failure: a connection that failed is not trusted to know whether it is within a transaction.
    pub(super) connection: Option<Connection>,
    pub(super) versions: Versions,
    pub(super) changes: Publisher,
    pub(super) counters: Arc<Counters>,
    pub(super) readers: Arc<Readers>,
    /// Whether another process writes there as well.
    pub(super) sharing: Arc<AtomicBool>,
    /// Whether one did when the last group was written.
    pub(super) was_shared: bool,
    /// Held until everything is closed.
    pub(super) folder: Folder,
}

/// See [`Writes`](super::Writes).
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) operations: AtomicU64,
    pub(super) commits: AtomicU64,
}

/// A group was not committed, or nobody knows whether it was.
#[derive(Debug)]
pub(super) struct Failed {
    storage: Arc<str>,
    fault: Fault,
    applied: Applied,
}

impl Failed {
    /// As the answer to one of the group.
    pub(super) fn unavailable(&self) -> Unavailable {
        self.fault.unavailable(&self.storage, self.applied)
    }
}

/// The answers of a group, and what others must be told when it is committed.
struct Done {
    answers: Vec<Answer>,
    changes: Vec<(Key, Version, Kind)>,
}

impl Writer {
    /// Does all of `group` durably, and announces what changed. The answers come in the order of the group.
    pub(super) fn write(&mut self, group: &[Work]) -> Result<Vec<Answer>, Failed> {
        match self.transact(group) {
            Ok(Done { answers, changes }) => {
                self.counters.commits.fetch_add(1, Ordering::Relaxed);
                self.counters.operations.fetch_add(group.len() as u64, Ordering::Relaxed);
                for (key, version, kind) in changes {
                    self.changes.publish(&key, version, kind);
                }
                Ok(answers)
            }
            Err((error, is_commit)) => Err(self.recover(error, is_commit, group.len())),
        }
    }

    /// Writes back what is only in the log, and closes everything.
    pub(super) async fn finish(mut self) {
        // The last connection that closes removes the log, and only one that may write can.
        self.readers.close().await;
        let Some(connection) = self.connection.take() else { return };
        if let Err(error) = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
            tracing::warn!(storage = %self.storage, %error, "the log is written back at the next start");
        }
        if let Err((_, error)) = connection.close() {
            tracing::warn!(storage = %self.storage, %error, "the database did not close well");
        }
    }

    /// A failure, and whether it was the commit that failed.
    fn transact(&mut self, group: &[Work]) -> Result<Done, (rusqlite::Error, bool)> {
        let before = |error| (error, false);
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(open::to_write(&self.folder.database, self.tuning).map_err(before)?),
        };
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(before)?;
        let needed = group.iter().map(Work::versions).sum();
        let is_shared = self.sharing.load(Ordering::SeqCst);
        // Once more when the other one has gone: what it drew last is not known here.
        if is_shared || self.was_shared {
            self.versions.follow(&transaction).map_err(before)?;
        }
        self.was_shared = is_shared;
        let brought = group.iter().filter_map(Work::brought).max();
        self.versions.reserve(&transaction, needed, brought, !is_shared).map_err(before)?;
        let mut write = Write::new(&transaction, &mut self.versions, &*self.clock);
        let mut answers = Vec::with_capacity(group.len());
        for work in group {
            answers.push(write.work(work).map_err(before)?);
        }
        let changes = write.into_changes();
        transaction.commit().map_err(|error| (error, true))?;
        Ok(Done { answers, changes })
    }

    /// Makes sure that nothing remains of a group that failed, as far as that can be.
    fn recover(&mut self, error: rusqlite::Error, is_commit: bool, count: usize) -> Failed {
        let fault = Fault::new(&self.folder.database, error);
        // Without its commit mark no crash and no reader takes a transaction for one.
        let applied = if is_commit { fault.of_commit() } else { Applied::No };
        tracing::error!(storage = %self.storage, operations = count, ?applied, error = %fault, "writing failed");
        self.versions.doubt();
        if let Some(connection) = self.connection.take() {
            // Closing rolls back, and what it says about that adds nothing.
            let _ = connection.close();
        }
        Failed { storage: Arc::clone(&self.storage), fault, applied }
    }

    /// The file that is written.
    pub(super) fn database(&self) -> &Arc<Path> {
        &self.folder.database
    }
}
