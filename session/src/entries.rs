//! What applications keep in a session.
//!
//! Each entry remembers the revision that last wrote it, and a removed one is remembered for a while, so that two
//! writers who saw the same revision can be told apart: different names merge, the same name is a conflict, and
//! equal values never are.

use std::collections::HashSet;

use crate::footprint::shrink;
use crate::{Change, Merge, OnConflict, Patch, Revision, Value};

/// How many entries a session can hold.
pub const MAX_ENTRIES: usize = 1024;

/// How many removals are remembered one by one. Older ones are only known to be older than the floor.
const MAX_REMOVALS: usize = 32;

/// Ordered entries with case-sensitive names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Entries {
    live: Vec<Entry>,
    removals: Vec<Removal>,
    /// The latest removal that was forgotten. A writer who saw less may have missed it.
    floor: Revision,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name, case-sensitive.
    pub name: Box<str>,
    /// The value.
    pub value: Value,
    /// The revision that last wrote it.
    pub written: Revision,
}

/// An entry that is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// The name that it had.
    pub name: Box<str>,
    /// The revision that removed it.
    pub removed: Revision,
}

impl Entries {
    /// Entries as they were stored. Later entries of a name that is already there are dropped.
    #[must_use]
    pub fn restore(live: Vec<Entry>, removals: Vec<Removal>, floor: Revision) -> Self {
        let mut entries = Self { live, removals, floor };
        let mut names = Names::default();
        // Nobody writes a name twice: it is only looked for where a filter says that it may have been there.
        let is_known = |before: &[Entry], name: &str| before.iter().any(|entry| *entry.name == *name);
        let twice = entries.live.iter().enumerate().any(|(index, entry)| {
            names.may_hold(&entry.name)
                && is_known(entries.live.get(..index).unwrap_or_default(), &entry.name)
        });
        if twice {
            let mut names = HashSet::new();
            entries.live.retain(|entry| names.insert(entry.name.clone()));
        }
        entries
    }

    /// The value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.entry(name).map(|entry| &entry.value)
    }

    /// The entry called `name`.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.live.iter().find(|entry| *entry.name == *name)
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.live.iter().map(|entry| (&*entry.name, &entry.value))
    }

    /// The entries, in order.
    #[must_use]
    pub fn live(&self) -> &[Entry] {
        &self.live
    }

    /// The removals that are remembered.
    #[must_use]
    pub fn removals(&self) -> &[Removal] {
        &self.removals
    }

    /// The latest removal that was forgotten.
    #[must_use]
    pub const fn floor(&self) -> Revision {
        self.floor
    }

    /// Those of these names, without what is remembered of others.
    #[must_use]
    pub fn only(&self, names: &[Box<str>]) -> Self {
        let live = self.live.iter().filter(|entry| names.contains(&entry.name)).cloned().collect();
        Self { live, removals: Vec::new(), floor: self.floor }
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.live.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// Applies `patch`; what it changes is written by `revision`.
    pub fn merge(&mut self, patch: &Patch, revision: Revision, on_conflict: OnConflict) -> Merge {
        let conflicts: Vec<Box<str>> = patch
            .changes()
            .filter(|(name, change)| self.is_conflict(name, change, patch.seen))
            .map(|(name, _)| name.into())
            .collect();
        let mut merge = Merge { conflicts, ..Merge::default() };
        if on_conflict == OnConflict::Refuse && !merge.conflicts.is_empty() {
            return merge;
        }
        for (name, change) in patch.changes() {
            if on_conflict == OnConflict::KeepFirst && merge.conflicts.iter().any(|kept| **kept == *name) {
                continue;
            }
            match change {
                Change::Set(value) => self.set(name, value, revision, &mut merge),
                Change::Remove => merge.changed |= self.remove(name, revision),
            }
        }
        merge
    }

    /// Gives back room that its lists have and do not use.
    pub fn shrink(&mut self) {
        shrink(&mut self.live);
        shrink(&mut self.removals);
    }

    /// Whether somebody changed `name`, in another way than this, after the writer saw `seen`.
    fn is_conflict(&self, name: &str, change: &Change, seen: Revision) -> bool {
        match (self.entry(name), change) {
            (Some(entry), Change::Set(value)) => entry.written > seen && entry.value != *value,
            (Some(entry), Change::Remove) => entry.written > seen,
            (None, Change::Set(_)) => self.removed(name) > seen,
            (None, Change::Remove) => false,
        }
    }

    /// When `name` was removed, at the latest.
    fn removed(&self, name: &str) -> Revision {
        self.removals
            .iter()
            .find(|removal| *removal.name == *name)
            .map_or(self.floor, |removal| removal.removed)
    }

    fn set(&mut self, name: &str, value: &Value, revision: Revision, merge: &mut Merge) {
        let is_full = self.live.len() >= MAX_ENTRIES;
        match self.live.iter_mut().find(|entry| *entry.name == *name) {
            Some(entry) if entry.value == *value => {}
            Some(entry) => {
                entry.value = value.clone();
                entry.written = revision;
                merge.changed = true;
            }
            None if is_full => merge.refused.push(name.into()),
            None => {
                self.removals.retain(|removal| *removal.name != *name);
                self.live.push(Entry { name: name.into(), value: value.clone(), written: revision });
                merge.changed = true;
            }
        }
    }

    fn remove(&mut self, name: &str, revision: Revision) -> bool {
        let Some(at) = self.live.iter().position(|entry| *entry.name == *name) else {
            return false;
        };
        self.live.remove(at);
        if self.removals.len() >= MAX_REMOVALS {
            let forgotten = self.removals.remove(0);
            self.floor = self.floor.max(forgotten.removed);
        }
        self.removals.push(Removal { name: name.into(), removed: revision });
        true
    }
}

/// A filter of names that were there: it never forgets one, and hardly ever takes another one for it.
#[derive(Default)]
struct Names([u64; 16]);

impl Names {
    /// Whether this name may have been here before. It has been, from now on.
    fn may_hold(&mut self, name: &str) -> bool {
        let hash = name.bytes().fold(0_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
        let bit = 1 << (hash % 64);
        let Some(word) = self.0.get_mut(hash / 64 % 16) else { return true };
        let held = *word & bit != 0;
        *word |= bit;
        held
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn patch(seen: u64, changes: &[(&str, Option<&str>)]) -> Patch {
        let mut patch = Patch::new(Revision(seen));
        for (name, value) in changes {
            match value {
                Some(value) => patch.set(name, (*value).into()),
                None => patch.remove(name),
            }
        }
        patch
    }

    #[test]
    fn of_a_name_that_was_stored_twice_the_first_is_kept() {
        let entry =
            |name: &str, value: &str| Entry { name: name.into(), value: value.into(), written: Revision(1) };
        // More than the filter can tell apart, and a few that are there twice.
        let names = || (0..MAX_ENTRIES).map(|index| format!("name {index}"));
        let once: Vec<_> = names().map(|name| entry(&name, "first")).collect();
        let restore = |live| Entries::restore(live, Vec::new(), Revision::default());
        assert_eq!(restore(once.clone()).live(), once);
        let again = names().step_by(100).map(|name| entry(&name, "second"));
        let twice: Vec<_> = once.iter().cloned().chain(again).collect();
        assert_eq!(restore(twice).live(), once);
        assert_eq!(restore(vec![entry("a", "1"), entry("a", "2")]).live(), [entry("a", "1")]);
    }

    fn entries(pairs: &[(&str, &str)]) -> Entries {
        let mut entries = Entries::default();
        let changes: Vec<_> = pairs.iter().map(|(name, value)| (*name, Some(*value))).collect();
        entries.merge(&patch(0, &changes), Revision(1), OnConflict::KeepFirst);
        entries
    }

    fn text(entries: &Entries) -> String {
        entries.iter().map(|(name, value)| format!("{name}={} ", value.as_text().unwrap())).collect()
    }

    #[test]
    fn writers_of_different_names_both_keep_their_change() {
        let mut entries = entries(&[("a", "1"), ("b", "1")]);
        entries.merge(&patch(1, &[("a", Some("2"))]), Revision(2), OnConflict::KeepFirst);
        let merge = entries.merge(&patch(1, &[("b", Some("2"))]), Revision(3), OnConflict::KeepFirst);
        assert_eq!(merge, Merge { changed: true, ..Merge::default() });
        assert_eq!(text(&entries), "a=2 b=2 ");
    }

    #[test]
    fn a_stale_writer_of_the_same_name_learns_of_it() {
        for (on_conflict, expected) in [
            (OnConflict::KeepFirst, "a=2 b=9 "),
            (OnConflict::Overwrite, "a=9 b=9 "),
            (OnConflict::Refuse, "a=2 "),
        ] {
            let mut entries = entries(&[("a", "1")]);
            entries.merge(&patch(1, &[("a", Some("2"))]), Revision(2), OnConflict::KeepFirst);
            let stale = patch(1, &[("a", Some("9")), ("b", Some("9"))]);
            let merge = entries.merge(&stale, Revision(3), on_conflict);
            assert_eq!(merge.conflicts, ["a".into()], "{on_conflict:?}");
            assert_eq!(text(&entries), expected, "{on_conflict:?}");
        }
    }

    #[test]
    fn equal_values_never_conflict() {
        let mut entries = entries(&[("a", "1")]);
        entries.merge(&patch(1, &[("a", Some("2"))]), Revision(2), OnConflict::KeepFirst);
        let merge = entries.merge(&patch(1, &[("a", Some("2"))]), Revision(3), OnConflict::Refuse);
        assert_eq!(merge, Merge::default());
        assert_eq!(entries.entry("a").unwrap().written, Revision(2));
    }

    #[test]
    fn a_removed_name_does_not_come_back_through_a_stale_writer() {
        let mut entries = entries(&[("a", "1")]);
        entries.merge(&patch(1, &[("a", None)]), Revision(2), OnConflict::KeepFirst);
        let merge = entries.merge(&patch(1, &[("a", Some("9"))]), Revision(3), OnConflict::KeepFirst);
        assert_eq!(merge.conflicts, ["a".into()]);
        assert!(entries.is_empty());
        // Somebody who saw the removal may set it again.
        let merge = entries.merge(&patch(2, &[("a", Some("9"))]), Revision(3), OnConflict::KeepFirst);
        assert!(merge.changed && merge.conflicts.is_empty());
    }

    #[test]
    fn a_removal_that_was_forgotten_counts_as_conflict() {
        let names: Vec<String> = (0..=MAX_REMOVALS).map(|number| format!("n{number}")).collect();
        let mut entries = entries(&names.iter().map(|name| (&**name, "1")).collect::<Vec<_>>());
        for (number, name) in names.iter().enumerate() {
            let revision = Revision(2 + number as u64);
            entries.merge(&patch(revision.0 - 1, &[(name, None)]), revision, OnConflict::KeepFirst);
        }
        assert_eq!(entries.floor(), Revision(2));
        let stale = entries.merge(&patch(1, &[("n0", Some("9"))]), Revision(99), OnConflict::KeepFirst);
        assert_eq!(stale.conflicts, ["n0".into()]);
        let fresh = entries.merge(&patch(2, &[("n0", Some("9"))]), Revision(99), OnConflict::KeepFirst);
        assert!(fresh.changed);
    }

    #[test]
    fn there_is_room_for_so_many_and_no_more() {
        let mut entries = Entries::default();
        let mut full = Patch::new(Revision(0));
        for number in 0..=MAX_ENTRIES {
            full.set(&number.to_string(), "1".into());
        }
        let merge = entries.merge(&full, Revision(1), OnConflict::KeepFirst);
        assert_eq!(entries.len(), MAX_ENTRIES);
        assert_eq!(merge.refused, [MAX_ENTRIES.to_string().into()]);
    }

    proptest! {
        /// Law 2: whatever a patch does not name stays, and what it names is done or told.
        #[test]
        fn no_change_is_lost_silently(
            first in prop::collection::vec(("[a-e]", prop::option::of("[0-9]")), 0..6),
            second in prop::collection::vec(("[a-e]", prop::option::of("[0-9]")), 0..6),
        ) {
            let as_patch = |changes: &[(String, Option<String>)]| {
                patch(1, &changes.iter().map(|(name, value)| (&**name, value.as_deref())).collect::<Vec<_>>())
            };
            let (first, second) = (as_patch(&first), as_patch(&second));
            let mut entries = entries(&[("a", "x"), ("b", "x"), ("c", "x")]);
            entries.merge(&first, Revision(2), OnConflict::KeepFirst);
            let before = entries.clone();
            let merge = entries.merge(&second, Revision(3), OnConflict::KeepFirst);
            for name in ["a", "b", "c", "d", "e"] {
                let wanted = second.changes().find(|(changed, _)| *changed == name);
                let told = merge.conflicts.iter().any(|conflict| **conflict == *name);
                match wanted {
                    Some((_, change)) if !told => match change {
                        Change::Set(value) => prop_assert_eq!(entries.get(name), Some(value)),
                        Change::Remove => prop_assert_eq!(entries.get(name), None),
                    },
                    _ => prop_assert_eq!(entries.get(name), before.get(name)),
                }
            }
        }
    }
}
