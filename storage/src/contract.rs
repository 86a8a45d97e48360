//! What an engine promises.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use session::Millis;

use crate::{
    Batch, Burial, Bury, Changes, Create, Key, NewRecord, NewValue, Operation, Position, Read, Record, Times,
    Tombstone, Touch, Unavailable, Update, Version,
};

/// A storage service.
///
/// Every operation can also be [`Unavailable`]. What an engine cannot do natively it still does correctly. A change is
/// visible to every later operation of everybody before it is acknowledged, and as durable as
/// [`Capabilities::is_durable`] says. A future that is dropped may or may not have taken effect.
#[async_trait]
pub trait Storage: Debug + Send + Sync + 'static {
    /// The `id` from the configuration.
    fn id(&self) -> &Arc<str>;

    /// What this engine can do.
    fn capabilities(&self) -> Capabilities;

    /// Creates a record. An expired record or a tombstone past its time does not stand in the way. One that moves here
    /// from another storage keeps the version that it had ([`NewRecord::version`]).
    async fn create(&self, key: &Key, new: NewRecord) -> Result<Create, Unavailable>;

    /// Reads a record; says only `Unchanged` if the caller already has its version. An expired record reads as absent
    /// at its millisecond, reaped or not.
    async fn read(&self, key: &Key, known: Option<Version>) -> Result<Read, Unavailable>;

    /// Replaces the value of a record if it still has the version that the writer saw.
    async fn update(&self, key: &Key, new: NewValue) -> Result<Update, Unavailable>;

    /// Moves the times of a record to the later of each. Its version stays, and nobody is told.
    async fn touch(&self, key: &Key, times: Times) -> Result<Touch, Unavailable>;

    /// Ends a record, there or not, and blocks its creation until the burial's time. Idempotent.
    async fn bury(&self, key: &Key, burial: Burial) -> Result<Bury, Unavailable>;

    /// The live records of a context whose names come after `after`, in bytewise order, at most `limit`.
    async fn list(&self, context: &str, after: Option<&[u8]>, limit: usize) -> Result<Page, Unavailable>;

    /// Everything that is there, tombstones included, in no order, about `budget` records a call. Whoever begins with
    /// `None` and follows the cursor sees each record that was there all the time at least once.
    async fn scan(&self, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable>;

    /// The same of the live records whose contexts begin with `prefix`, and nothing else: for whoever looks for one kind of
    /// record among all. A cursor of this is none of [`scan`](Self::scan).
    ///
    /// An engine that can leave the others where they are spares their way here; any other one throws them away.
    async fn scan_of(&self, prefix: &str, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        let mut scan = self.scan(cursor, budget).await?;
        scan.found.retain(|(key, scanned)| {
            matches!(scanned, Scanned::Live(_)) && key.context().starts_with(prefix)
        });
        Ok(scan)
    }

    /// All of `operations` or none. They must be of one context.
    async fn batch(&self, operations: Vec<Operation>) -> Result<Batch, Unavailable>;

    /// Removes what expired before `now`, tombstones past their time included, at most `budget`; says how many went.
    async fn reap(&self, now: Millis, budget: usize) -> Result<usize, Unavailable>;

    /// When something expires next, if the engine knows that without asking anybody: before that nobody need
    /// [`reap`](Self::reap). [`Millis::NEVER`] if nothing does; `None` if it does not know.
    fn next_expiry(&self) -> Option<Millis> {
        None
    }

    /// The change stream, from a position or from now on.
    async fn watch(&self, from: Option<Position>) -> Result<Changes, Unavailable>;
}

/// What an engine can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// What was acknowledged is there after a crash.
    pub is_durable: bool,
    /// Other processes may use the same records.
    pub is_shared: bool,
    /// It is the memory of this process: nothing is gained by caching it.
    pub is_memory: bool,
    /// The most bytes that a value may have.
    pub max_value: usize,
    /// How long changes may not be heard before the change stream ends for it. Of services behind one another it is the sum,
    /// for each may not notice yet that it hears nothing while the next one still says that it is there. Zero where there is
    /// nothing in between.
    pub unnoticed: Duration,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The records, in bytewise order of their names.
    pub records: Vec<Listed>,
    /// Whether there are more behind the last one.
    pub has_more: bool,
}

/// A record in a list: without its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: Key,
    /// Its version.
    pub version: Version,
    /// Its times.
    pub times: Times,
}

/// A page of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// What was found.
    pub found: Vec<(Key, Scanned)>,
    /// Where to go on; `None` at the end.
    pub cursor: Option<Vec<u8>>,
}

/// What a scan found at a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scanned {
    /// A live record.
    Live(Record),
    /// What an ended one left.
    Buried(Tombstone),
}
