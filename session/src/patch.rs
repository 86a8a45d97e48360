//! What a writer wants changed, relative to what it saw.

use crate::{Millis, Revision, Value};

/// Changes to the entries of a session, made by somebody who saw it at [`Patch::seen`].
///
/// A later change of a name replaces the earlier one, so a patch holds each name once, in the order of first mention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patch {
    /// The revision that the writer saw.
    pub seen: Revision,
    /// The session ends at this moment at the latest. A patch can bring the end nearer, never push it away.
    pub ends: Option<Millis>,
    changes: Vec<(Box<str>, Change)>,
}

impl Patch {
    /// A patch without changes.
    #[must_use]
    pub const fn new(seen: Revision) -> Self {
        Self { seen, ends: None, changes: Vec::new() }
    }

    /// Sets an entry.
    pub fn set(&mut self, name: &str, value: Value) {
        self.change(name, Change::Set(value));
    }

    /// Removes an entry.
    pub fn remove(&mut self, name: &str) {
        self.change(name, Change::Remove);
    }

    /// Takes the change of `name` out of the patch, for who decides about that name in another way.
    pub fn take(&mut self, name: &str) -> Option<Change> {
        let at = self.changes.iter().position(|(known, _)| **known == *name)?;
        Some(self.changes.remove(at).1)
    }

    /// The changes, in order.
    pub fn changes(&self) -> impl Iterator<Item = (&str, &Change)> {
        self.changes.iter().map(|(name, change)| (&**name, change))
    }

    /// Whether it would change nothing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.ends.is_none()
    }

    /// Whether it sets an entry: only then is there something to keep for a visitor who has no session.
    #[must_use]
    pub fn sets_something(&self) -> bool {
        self.changes.iter().any(|(_, change)| matches!(change, Change::Set(_)))
    }

    fn change(&mut self, name: &str, change: Change) {
        match self.changes.iter_mut().find(|(known, _)| **known == *name) {
            Some((_, earlier)) => *earlier = change,
            None => self.changes.push((name.into(), change)),
        }
    }
}

/// What happens to one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It gets this value.
    Set(Value),
    /// It goes.
    Remove,
}

/// What becomes of a key that somebody else changed since the writer saw the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnConflict {
    /// The earlier change stays; the other keys of the patch are applied.
    #[default]
    KeepFirst,
    /// The patch wins.
    Overwrite,
    /// Nothing of the patch is applied.
    Refuse,
}

/// What merging a patch did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Merge {
    /// Whether anything is different now.
    pub changed: bool,
    /// The names that somebody else had changed meanwhile. The writer must learn of them (law 2).
    pub conflicts: Vec<Box<str>>,
    /// The names for which there was no room ([`crate::MAX_ENTRIES`]).
    pub refused: Vec<Box<str>>,
}
