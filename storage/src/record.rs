//! Records, and what remains of them.

use std::sync::Arc;

use bytes::Bytes;
use session::{Ending, Millis, NoRandomness};

use crate::Unavailable;

/// Grows with each write of a record and is never used again for the same key, not by a later life of it either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl Version {
    /// The greatest that a record can bring along from another storage, 2^52. Engines count on above it, to 2^53, which
    /// is what Redis counts exactly: nobody can use up the numbers.
    pub const MOST_MOVED: Self = Self(1 << 52);

    /// Where the versions of a life that begins `now` begin: at the time, of which a millisecond has more of them than can
    /// be written. So a storage that lost its memory, or was put back from a copy, does not use one again, and records
    /// that move between engines find versions of about their size. Zero for a clock beyond the year 2112, which would use
    /// up all the numbers at a glance.
    #[must_use]
    pub fn beginning(now: Millis) -> Self {
        let first = now.0.checked_mul(1000).map(Self);
        first.filter(|first| *first < Self::MOST_MOVED).unwrap_or(Self(0))
    }
}

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
    /// Exactly this version, for a record that moves here from another storage; `None` draws the next one. Everything that
    /// is written afterwards in the same context has a greater one. If an earlier life of the record is not forgotten here
    /// and had this version or a greater one, the next one is drawn all the same: what
    /// [`Created`](crate::Create::Created) says is what it got. At most [`Version::MOST_MOVED`].
    pub version: Option<Version>,
    /// Which write this is.
    pub write: WriteId,
    /// Whether it ends something elsewhere, as a counter does that is ahead of all sessions of a person: then it is
    /// acknowledged only when it is as safe as a burial.
    pub is_end: bool,
}

impl NewRecord {
    /// A record that begins here, with the next version, and ends nothing.
    #[must_use]
    pub const fn new(value: Bytes, times: Times, write: WriteId) -> Self {
        Self { value, times, version: None, write, is_end: false }
    }

    /// Whether the engine `id`, whose values have at most `max_value` bytes, can hold it.
    ///
    /// # Errors
    /// The value or the version is too large: the caller is to blame.
    pub fn admit(&self, max_value: usize, id: &Arc<str>) -> Result<(), Unavailable> {
        if let Some(Version(version)) = self.version.filter(|version| *version > Version::MOST_MOVED) {
            let cause = format!("a record that moves has at most the version 2^52, and not {version}");
            return Err(Unavailable::refused(id, cause));
        }
        admit(&self.value, max_value, id)
    }
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
    /// Whether it ends something elsewhere: see [`NewRecord::is_end`].
    pub is_end: bool,
}

impl NewValue {
    /// Whether the engine `id`, whose values have at most `max_value` bytes, can hold it.
    ///
    /// # Errors
    /// The value is too large: the caller is to blame.
    pub fn admit(&self, max_value: usize, id: &Arc<str>) -> Result<(), Unavailable> {
        admit(&self.value, max_value, id)
    }
}

fn admit(value: &[u8], max_value: usize, id: &Arc<str>) -> Result<(), Unavailable> {
    if value.len() > max_value {
        let cause = format!("a value of {} bytes is over the engine's {max_value}", value.len());
        return Err(Unavailable::refused(id, cause));
    }
    Ok(())
}

/// How a record is buried.
#[derive(Debug, Clone, PartialEq, Eq)]
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
