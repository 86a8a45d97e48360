//! What a database must bring along to be an engine.

use std::path::Path;

use async_trait::async_trait;
use futures_util::{Stream, TryStreamExt as _};
use session::Millis;
use storage::{
    Batch, Bury, Create, Key, Kind, Operation, Outcome, Page, Read, Scan, Scanned, Update, Version,
};

use super::{Nature, Settings};
use crate::Problem;
use crate::sql::row::Slot;

/// A kind of database server.
#[async_trait]
pub(in crate::sql) trait Backend: Send + Sync + 'static {
    type Connection: Send + 'static;
    type Listener: Listener;

    /// Whether writers gain by being committed together.
    const SHARES_COMMITS: bool;

    /// Where it is, for people; without a password.
    fn place(&self) -> &str;

    /// The most bytes that a value may have.
    fn max_value(&self) -> usize;

    /// Whether what is committed is there after a crash.
    fn is_durable(&self) -> bool;

    /// Opens a connection, ready for use.
    async fn connect(&self) -> Result<Self::Connection, sqlx::Error>;

    /// Does what is asked, all or nothing; of [`Each`](Request::Each) all is done, and some may have found something in
    /// their way. After an error that left the connection usable nothing of it remains.
    async fn work(
        &self,
        connection: &mut Self::Connection,
        request: &Request,
        now: Millis,
    ) -> Result<Reply, sqlx::Error>;

    /// Begins to hear of changes. Those that are made after it returned are heard.
    async fn listen(&self) -> Result<Self::Listener, sqlx::Error>;

    /// What it means that the server said no with this code and number.
    fn nature(&self, error: &dyn sqlx::error::DatabaseError) -> Nature;
}

/// How a database is first opened.
#[async_trait]
pub(in crate::sql) trait Connect: Sized {
    /// Connects once, and brings the schema to what this build needs.
    async fn open(settings: &Settings, now: Millis) -> Result<Self, Problem>;
}

impl Reply {
    /// Whether a write was not done because of what another one left.
    pub(super) const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::One(
                Outcome::Create(Create::Exists)
                    | Outcome::Update(Update::Conflict(_))
                    | Outcome::Bury(Bury::Conflict(_))
            ) | Self::All(Batch::Refused { .. })
        )
    }
}

/// The first line of the file, as it is now.
pub(in crate::sql) async fn password(file: &Path) -> Result<String, sqlx::Error> {
    let read = tokio::fs::read_to_string(file).await.map_err(|error| {
        sqlx::Error::Configuration(format!("the password file {}: {error}", file.display()).into())
    })?;
    Ok(read.lines().next().unwrap_or_default().to_owned())
}

/// Hears of changes.
#[async_trait]
pub(in crate::sql) trait Listener: Send + 'static {
    /// Waits for the next changes. After an error some may have been missed.
    async fn next(&mut self) -> Result<Notices, sqlx::Error>;
}

/// Changes, in their order.
pub(in crate::sql) type Notices = Vec<(Key, Version, Kind)>;

/// What is asked.
#[derive(Debug)]
pub(in crate::sql) enum Request {
    Read {
        key: Key,
        known: Option<Version>,
    },
    One(Operation),
    /// All or none.
    All(Vec<Operation>),
    /// Each for itself, in one transaction.
    Each(Vec<Operation>),
    List {
        context: Box<str>,
        after: Box<[u8]>,
        limit: usize,
    },
    /// Behind this key.
    Scan {
        after: Option<Key>,
        budget: usize,
    },
    Reap {
        now: Millis,
        budget: usize,
    },
}

impl Request {
    pub(super) const fn is_write(&self) -> bool {
        match self {
            Self::One(_) | Self::All(_) | Self::Each(_) | Self::Reap { .. } => true,
            Self::Read { .. } | Self::List { .. } | Self::Scan { .. } => false,
        }
    }
}

/// What is answered.
#[derive(Debug)]
pub(in crate::sql) enum Reply {
    Read(Read),
    One(Outcome),
    All(Batch),
    /// In the order in which they were asked for.
    Each(Vec<Outcome>),
    List(Page),
    Scan(Scan),
    Reaped(usize),
}

/// After so many bytes of values a page of a scan ends, whatever its budget.
const MAX_SCAN_BYTES: usize = 8 << 20;

/// A page of a scan, of rows in the order of their keys.
pub(in crate::sql) async fn scan_page<R>(
    mut rows: impl Stream<Item = Result<R, sqlx::Error>> + Unpin,
    read: impl Fn(&R) -> Result<(Key, Slot), sqlx::Error>,
    budget: usize,
    now: Millis,
) -> Result<Scan, sqlx::Error> {
    let mut scan = Scan { found: Vec::new(), cursor: None };
    let (mut looked_at, mut bytes) = (0, 0);
    while let Some(row) = rows.try_next().await? {
        let (key, slot) = read(&row)?;
        looked_at += 1;
        let is_over = slot.expires() <= now;
        let scanned = match slot {
            Slot::Live(record, _) => {
                bytes += record.value.len();
                Scanned::Live(record)
            }
            Slot::Buried(tombstone) => Scanned::Buried(tombstone),
        };
        let is_full = looked_at >= budget || bytes >= MAX_SCAN_BYTES;
        if is_full {
            scan.cursor = Some(write_cursor(&key));
        }
        if !is_over {
            scan.found.push((key, scanned));
        }
        if is_full {
            break;
        }
    }
    Ok(scan)
}

/// The cursor of a scan: the length of the context, the context, the name.
fn write_cursor(key: &Key) -> Vec<u8> {
    let context = key.context().as_bytes();
    // At most 255 bytes, as every key has.
    let length = context.len() as u8;
    [&[length], context, key.name()].concat()
}

pub(super) fn read_cursor(cursor: &[u8]) -> Result<Key, &'static str> {
    let key = || {
        let (length, rest) = cursor.split_first()?;
        let (context, name) = rest.split_at_checked(usize::from(*length))?;
        Key::new(std::str::from_utf8(context).ok()?, name).ok()
    };
    key().ok_or("this is no cursor of this engine")
}
