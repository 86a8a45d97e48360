//! Records, and what remains of them.

use bytes::Bytes;
use session::{Ending, Millis, NoRandomness};

/// Grows with each write of a record and is never used again for the same key, not by a later life of it either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// Names one logical write, so that a retry after an unknown fate recognises its own earlier success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WriteId(pub [u8; 16]);

impl WriteId {
    /// A new one. Draw it once for a write and present it with every retry of it.
    pub fn random() -> Result<Self, NoRandomness> {
        session::Handle::random().map(|handle| Self(*handle.as_bytes()))
    }
}

/// A record as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What it holds.
    pub value: Bytes,
    /// Which write it is.
    pub version: Version,
    /// When it was used and when it goes.
    pub times: Times,
}

/// When a record was last used and when it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// When it was last used. Idleness is judged from this, by the cache.
    pub touched: Millis,
    /// From this moment on it reads as absent, reaped or not; [`Millis::NEVER`] for never.
    pub expires: Millis,
}

impl Times {
    /// The later of each.
    #[must_use]
    pub fn latest(self, other: Self) -> Self {
        Self { touched: self.touched.max(other.touched), expires: self.expires.max(other.expires) }
    }
}

/// A record that is to be created.
#[derive(Debug, Clone)]
pub struct NewRecord {
    /// What it holds.
    pub value: Bytes,
    /// Its times.
    pub times: Times,
    /// Which write this is.
    pub write: WriteId,
}

/// What an update writes.
#[derive(Debug, Clone)]
pub struct NewValue {
    /// The version that the writer saw.
    pub expected: Version,
    /// What the record holds from now on.
    pub value: Bytes,
    /// New times, if they move; the later of each is kept.
    pub times: Option<Times>,
    /// Which write this is.
    pub write: WriteId,
}

/// How a record is buried.
#[derive(Debug, Clone)]
pub struct Burial {
    /// Until when nobody may create the record again. `None` for ids that are meant to come back: then only the
    /// versions of the old life are refused, and no tombstone remains.
    pub until: Option<Millis>,
    /// When, why and by whom.
    pub ending: Ending,
    /// Bury only this version, if one is given: whoever ends something *because of what it holds* must not end what
    /// somebody else just wrote.
    pub expected: Option<Version>,
}

/// What an ended record leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tombstone {
    /// When, why and by whom it was ended; the first end counts.
    pub ending: Ending,
    /// Until when nobody may create it again.
    pub until: Millis,
}
