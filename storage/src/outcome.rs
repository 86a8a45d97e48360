//! What a storage service answers.

use crate::{Record, Times, Tombstone, Version};

/// What [`create`](crate::Storage::create) did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Create {
    /// The record is there now. A retry of the same write gets the same answer.
    Created(Version),
    /// Another record has the key.
    Exists,
    /// It was ended, and nobody may create it again yet.
    Buried(Tombstone),
}

/// What [`read`](crate::Storage::read) found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// The record.
    Found(Record),
    /// The caller's version is current; only the times may have moved.
    Unchanged(Times),
    /// It is not there, or no longer.
    Absent,
    /// It was ended, not merely gone.
    Buried(Tombstone),
}

/// What [`update`](crate::Storage::update) did. It never creates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Update {
    /// The record holds the new value. A retry of the same write gets the same answer.
    Updated(Version),
    /// Somebody else wrote meanwhile; this is what is there.
    Conflict(Record),
    /// It is not there, or no longer.
    Absent,
    /// It was ended.
    Buried(Tombstone),
}

/// What [`touch`](crate::Storage::touch) did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touch {
    /// The times are now at least those given.
    Touched,
    /// It is not there, or no longer.
    Absent,
    /// It was ended.
    Buried(Tombstone),
}

/// What [`bury`](crate::Storage::bury) did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bury {
    /// It is ended; this was there before.
    Buried(Was),
    /// It has another version than the burial was for: nothing was done.
    Conflict(Version),
}

/// What a burial found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Was {
    /// A live record.
    Live,
    /// A tombstone: somebody ended it before. The first end counts, the later `until` too.
    Buried,
    /// Nothing.
    Absent,
}
