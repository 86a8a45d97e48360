//! A session.

use std::sync::Arc;

use crate::record::Field;
use crate::{
    Addresses, Entries, Epochs, Handle, Lineage, Merge, Millis, OnConflict, Patch, Previous, Principal,
    Revision, SecretHash,
};

/// Who it belongs to, when it began and ends, and what applications keep in it.
///
/// When it was last used is not here: that changes without the session changing, and lies beside it.
///
/// In memory it lies as it is written here. What every find reads comes first, within two lines of the processor's cache:
/// among many sessions none of them is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(C)]
pub struct Session {
    /// The hash of the secret of its ticket; [`SecretHash::NOBODYS`] where the visitor carries the session itself.
    pub secret: SecretHash,
    /// When it began.
    pub begun: Millis,
    /// Which applications share it.
    pub realm: Arc<str>,
    /// An end of its own, before what the time-outs allow.
    pub ends: Option<Millis>,
    /// Which tickets there were, where they are renewed as time goes by.
    pub lineage: Option<Lineage>,
    /// Whether its visitor may hold what [brings it back](crate::Recovery) after storage has lost it: then its end must be
    /// remembered where that loss is none.
    pub is_recoverable: bool,
    /// Its public name.
    pub handle: Handle,
    /// From where it is used.
    pub addresses: Addresses,
    /// The counters that it was opened under: if one was raised since, the session is over.
    pub epochs: Epochs,
    /// The ticket before this one, while requests with it may still be under way.
    pub previous: Option<Previous>,
    /// Who it belongs to; nobody before a login.
    pub principal: Option<Principal>,
    /// When and how the person proved who they are.
    pub authentication: Option<Authentication>,
    /// How often it changed.
    pub revision: Revision,
    /// What applications keep in it.
    pub entries: Entries,
    /// Names whose change was not made, mostly because somebody else was faster, and whose writer was not told yet.
    pub conflicts: Vec<Conflict>,
    /// The ids of the assertions that are kept beside it, in the order in which they were given.
    pub assertions: Box<[Box<str>]>,
    /// Fields of a newer build, kept as they are.
    pub unknown: Box<[Field]>,
}

/// A change that was not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The name that was to change.
    pub name: Box<str>,
    /// The revision that noted it: who saw that one, or a later one, can be told.
    pub noted: Revision,
}

/// When and how a person proved who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authentication {
    /// When (OIDC `auth_time`).
    pub at: Millis,
    /// How strongly (OIDC `acr`, SAML AuthnContextClassRef); empty if nobody says.
    pub level: Box<str>,
}

impl Session {
    /// A new session of nobody, without entries.
    #[must_use]
    pub fn new(handle: Handle, secret: SecretHash, realm: &str, begun: Millis) -> Self {
        Self {
            handle,
            realm: realm.into(),
            principal: None,
            authentication: None,
            begun,
            ends: None,
            secret,
            previous: None,
            lineage: None,
            revision: Revision(1),
            entries: Entries::default(),
            conflicts: Vec::new(),
            addresses: Addresses::default(),
            assertions: Box::default(),
            epochs: Epochs::default(),
            is_recoverable: false,
            unknown: Box::default(),
        }
    }

    /// Applies `patch` and says what it did. The revision grows only if something changed.
    pub fn apply(&mut self, patch: &Patch, on_conflict: OnConflict) -> Merge {
        let revision = self.revision.next();
        let mut merge = self.entries.merge(patch, revision, on_conflict);
        let is_refused = on_conflict == OnConflict::Refuse && !merge.conflicts.is_empty();
        if let Some(ends) = patch.ends
            && !is_refused
            && self.ends.is_none_or(|known| ends < known)
        {
            self.ends = Some(ends);
            merge.changed = true;
        }
        if !merge.conflicts.is_empty() || !merge.refused.is_empty() {
            self.note(merge.conflicts.iter().chain(&merge.refused).map(|name| &**name), revision);
            merge.changed = true;
        }
        if merge.changed {
            self.revision = revision;
        }
        merge
    }

    /// Nothing of `patch` can be kept: its writer is to be told of every name in it.
    pub fn refuse(&mut self, patch: &Patch) {
        self.revision = self.revision.next();
        self.note(patch.changes().map(|(name, _)| name), self.revision);
    }

    fn note<'a>(&mut self, names: impl Iterator<Item = &'a str>, noted: Revision) {
        for name in names {
            self.conflicts.retain(|known| *known.name != *name);
            self.conflicts.push(Conflict { name: name.into(), noted });
        }
    }

    /// Forgets the conflicts that somebody was told of, but not later ones of the same names; whether there were any.
    pub fn settle(&mut self, told: &[Conflict]) -> bool {
        let before = self.conflicts.len();
        self.conflicts.retain(|conflict| !told.contains(conflict));
        let is_changed = self.conflicts.len() < before;
        if is_changed {
            self.revision = self.revision.next();
        }
        is_changed
    }

    /// Whether its visitor carries it: no ticket opens it.
    #[must_use]
    pub fn is_carried(&self) -> bool {
        self.secret == SecretHash::NOBODYS
    }

    /// Whether it holds nothing and belongs to nobody.
    #[must_use]
    pub const fn is_void(&self) -> bool {
        self.entries.is_empty() && self.principal.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Secret;

    fn patch(seen: Revision, value: &str) -> Patch {
        let mut patch = Patch::new(seen);
        patch.set("a", value.into());
        patch
    }

    #[test]
    fn a_conflict_is_told_until_somebody_saw_the_latest() {
        let secret = Secret::from_bytes([1; 32]);
        let mut session = Session::new(Handle::from_bytes([1; 16]), secret.hash(), "shop", Millis(0));
        let start = session.revision;
        session.apply(&patch(start, "1"), OnConflict::KeepFirst);
        session.apply(&patch(start, "2"), OnConflict::KeepFirst);
        let told = session.conflicts.clone();
        // The same name again, while the first conflict is being told.
        session.apply(&patch(start, "3"), OnConflict::KeepFirst);
        assert!(!session.settle(&told));
        assert_eq!(session.conflicts.len(), 1);
        let told = session.conflicts.clone();
        assert!(session.settle(&told));
        assert!(session.conflicts.is_empty() && !session.settle(&told));
    }

    #[test]
    fn a_patch_that_changes_nothing_is_no_revision() {
        let secret = Secret::from_bytes([1; 32]);
        let mut session = Session::new(Handle::from_bytes([1; 16]), secret.hash(), "shop", Millis(0));
        session.apply(&patch(session.revision, "1"), OnConflict::KeepFirst);
        let before = session.revision;
        assert!(!session.apply(&patch(before, "1"), OnConflict::KeepFirst).changed);
        assert_eq!(session.revision, before);
    }

    #[test]
    fn an_end_comes_nearer_and_never_goes_away() {
        let secret = Secret::from_bytes([1; 32]);
        let mut session = Session::new(Handle::from_bytes([1; 16]), secret.hash(), "shop", Millis(0));
        for (ends, expected) in [(900, 900), (500, 500), (700, 500)] {
            let mut patch = Patch::new(session.revision);
            patch.ends = Some(Millis(ends));
            session.apply(&patch, OnConflict::KeepFirst);
            assert_eq!(session.ends, Some(Millis(expected)));
        }
    }
}
