//! What a database must bring along to be an engine.

use async_trait::async_trait;
use session::Millis;
use storage::{Batch, Key, Kind, Operation, Outcome, Page, Read, Scan, Version};

use super::{Nature, Settings};
use crate::Problem;

/// A kind of database server.
#[async_trait]
pub(in crate::sql) trait Backend: Send + Sync + 'static {
    type Connection: Send + 'static;
    type Listener: Listener;

    /// Where it is, for people; without a password.
    fn place(&self) -> &str;

    /// The most bytes that a value may have.
    fn max_value(&self) -> usize;

    /// Opens a connection, ready for use.
    async fn connect(&self) -> Result<Self::Connection, sqlx::Error>;

    /// Does what is asked, all or nothing. After an error that left the connection usable nothing of it remains.
    async fn work(
        &self,
        connection: &mut Self::Connection,
        request: &Request<'_>,
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
pub(in crate::sql) enum Request<'a> {
    Read {
        key: &'a Key,
        known: Option<Version>,
    },
    One(&'a Operation),
    All(&'a [Operation]),
    List {
        context: &'a str,
        after: &'a [u8],
        limit: usize,
    },
    /// Behind this key.
    Scan {
        after: Option<&'a Key>,
        budget: usize,
    },
    Reap {
        now: Millis,
        budget: usize,
    },
}

impl Request<'_> {
    pub(super) const fn is_write(&self) -> bool {
        match self {
            Self::One(_) | Self::All(_) | Self::Reap { .. } => true,
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
    List(Page),
    Scan(Scan),
    Reaped(usize),
}

/// The cursor of a scan: the length of the context, the context, the name.
pub(in crate::sql) fn write_cursor(key: &Key) -> Vec<u8> {
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
