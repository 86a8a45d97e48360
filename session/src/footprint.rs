//! What a session takes in memory.
//!
//! A bound in bytes is kept only if bytes are counted as they are taken: a session is some dozens of small blocks, each of
//! which is rounded up.

use crate::{Entries, Entry, Principal, Session, Value};

/// What an allocator takes for a block of so many bytes. Up to 64 it has a size for each 16, above that four for each power of
/// two, as mimalloc and jemalloc do.
#[must_use]
pub fn block(bytes: usize) -> usize {
    match bytes {
        0 => 0,
        1..=8 => 8,
        9..=64 => bytes.next_multiple_of(16),
        _ => bytes.next_multiple_of(bytes.next_power_of_two() / 8),
    }
}

impl Session {
    /// Gives back room that its lists have and do not use.
    pub fn shrink(&mut self) {
        self.entries.shrink();
        shrink(&mut self.conflicts);
        if let Some(lineage) = &mut self.lineage {
            shrink(&mut lineage.ancestors);
        }
    }

    /// How many bytes the blocks take that it owns; not itself, and not the name of its realm, which it shares.
    #[must_use]
    pub fn owned_bytes(&self) -> usize {
        let previous = self.previous.as_ref().map_or(0, |previous| block(previous.successor.len()));
        let lineage = self.lineage.as_ref().map_or(0, |lineage| list(&lineage.ancestors));
        let authentication = self.authentication.as_ref().map_or(0, |proof| block(proof.level.len()));
        let conflicts: usize = self.conflicts.iter().map(|conflict| block(conflict.name.len())).sum();
        let assertions: usize = self.assertions.iter().map(|id| block(id.len())).sum();
        let unknown: usize = self.unknown.iter().map(|field| block(field.len())).sum();
        previous
            + lineage
            + authentication
            + self.principal.as_ref().map_or(0, Principal::owned_bytes)
            + self.entries.owned_bytes()
            + list(&self.conflicts)
            + conflicts
            + block(size_of_val(&*self.assertions))
            + assertions
            + block(size_of_val(&*self.unknown))
            + unknown
    }
}

impl Principal {
    /// How many bytes the blocks take that it owns.
    #[must_use]
    pub fn owned_bytes(&self) -> usize {
        let Self { issuer, name, format, name_qualifier, sp_name_qualifier, session_index } = self;
        let parts = [issuer, name, format, name_qualifier, sp_name_qualifier];
        parts.into_iter().chain(session_index).map(|part| block(part.len())).sum()
    }
}

impl Entries {
    /// How many bytes the blocks take that they own.
    #[must_use]
    pub fn owned_bytes(&self) -> usize {
        let entry = |entry: &Entry| block(entry.name.len()) + entry.value.owned_bytes();
        let entries: usize = self.live().iter().map(entry).sum();
        let removals: usize = self.removals().iter().map(|removal| block(removal.name.len())).sum();
        block(size_of_val(self.live())) + entries + block(size_of_val(self.removals())) + removals
    }
}

impl Value {
    fn owned_bytes(&self) -> usize {
        match self {
            Self::Text(text) => block(text.len()),
            Self::Bytes(bytes) => block(bytes.len()),
            Self::List(values) => list(values) + values.iter().map(Self::owned_bytes).sum::<usize>(),
            Self::Map(values) => {
                let one = |(name, value): &(Box<str>, Self)| block(name.len()) + value.owned_bytes();
                list(values) + values.iter().map(one).sum::<usize>()
            }
        }
    }
}

/// Not [`Vec::shrink_to_fit`]: an allocator leaves a block where it is, and as large as it is, unless half of it is given back.
pub(crate) fn shrink<T>(list: &mut Vec<T>) {
    if list.capacity() > list.len() {
        let mut exact = Vec::with_capacity(list.len());
        exact.append(list);
        *list = exact;
    }
}

fn list<T>(list: &Vec<T>) -> usize {
    block(list.capacity() * size_of::<T>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Handle, Millis, OnConflict, Patch, Revision, SecretHash};

    #[test]
    fn a_block_is_rounded_up_as_allocators_round_it() {
        let sizes = [0, 1, 8, 9, 16, 17, 48, 64, 65, 81, 128, 129, 300, 512, 513, 1024, 1025];
        let taken = [0, 8, 8, 16, 16, 32, 48, 64, 80, 96, 128, 160, 320, 512, 640, 1024, 1280];
        assert_eq!(sizes.map(block), taken);
    }

    #[test]
    fn whatever_a_session_keeps_is_counted() {
        let mut session = Session::new(Handle::from_bytes([1; 16]), SecretHash::NOBODYS, "shop", Millis(0));
        assert_eq!(session.owned_bytes(), 0);
        let map = Value::Map(vec![("map".into(), Value::Bytes(vec![0; 300].into()))]);
        let mut patch = Patch::new(Revision(0));
        patch.set("name", Value::List(vec!["x".repeat(100).into(), map]));
        session.apply(&patch, OnConflict::Overwrite);
        session.shrink();
        let map = block(size_of::<(Box<str>, Value)>()) + 8 + 320;
        let entry = 8 + block(2 * size_of::<Value>()) + 112 + map;
        assert_eq!(session.owned_bytes(), block(size_of::<Entry>()) + entry);
        session.principal = Some(Principal::named("https://idp.example.org", &"n".repeat(70)));
        assert_eq!(session.owned_bytes(), block(size_of::<Entry>()) + entry + 32 + 80);
    }

    #[test]
    fn what_a_find_reads_lies_within_two_lines() {
        // With the two counters of an `Arc` before it.
        assert!(16 + std::mem::offset_of!(Session, is_recoverable) < 128);
        // A byte more, and each session takes 128 more.
        assert!(16 + size_of::<Session>() <= 512);
    }
}
