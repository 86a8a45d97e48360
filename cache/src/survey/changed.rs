//! Which sessions are others by now than when somebody looked at all of them.
//!
//! Who begins to look at all sessions *follows* what changes, before it reads the first of them. From then on whatever writes
//! or ends a session, or may have, notes it here before it says so to anybody: then it is read again before it is shown. A use is
//! no such change. What changes many at once, or nobody knows which, outdates all that was read.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use session::Handle;

use crate::sync::{AtomicBool, AtomicUsize, Mutex, RwLock};

/// Sessions are divided by the first byte of their handle.
const PARTS: usize = 1 << u8::BITS;
/// How many sessions may have changed: where there are more, all are read again, which costs less a session.
const MOST: usize = 1 << 14;

/// Those who follow what changes. Where nobody does, a change costs nothing.
#[derive(Debug, Default)]
pub(crate) struct Followers {
    count: AtomicUsize,
    all: RwLock<Vec<Arc<Changed>>>,
}

impl Followers {
    /// Notes what changes from now on.
    pub(crate) fn follow(&self) -> Arc<Changed> {
        let changed = Arc::new(Changed::default());
        let mut all = self.all.write();
        all.push(Arc::clone(&changed));
        self.count.store(all.len(), Ordering::SeqCst);
        changed
    }

    /// The opposite of [`Followers::follow`].
    pub(crate) fn leave(&self, changed: &Arc<Changed>) {
        let mut all = self.all.write();
        all.retain(|one| !Arc::ptr_eq(one, changed));
        self.count.store(all.len(), Ordering::SeqCst);
    }

    /// A session changed, or may have: storage shows what it is now.
    pub(crate) fn note(&self, handle: &Handle) {
        if self.count.load(Ordering::SeqCst) > 0 {
            self.all.read().iter().for_each(|changed| changed.note(handle));
        }
    }

    /// Any session may have changed.
    pub(crate) fn outdate(&self) {
        if self.count.load(Ordering::SeqCst) > 0 {
            self.all.read().iter().for_each(|changed| changed.outdate());
        }
    }
}

/// What changed since one of them began to follow.
#[derive(Debug)]
pub(crate) struct Changed {
    is_outdated: AtomicBool,
    /// Of how many sessions something is noted.
    count: AtomicUsize,
    /// How often each session changed that was not read again since.
    parts: Box<[Mutex<HashMap<Handle, u64>>]>,
}

impl Default for Changed {
    fn default() -> Self {
        Self {
            is_outdated: AtomicBool::new(false),
            count: AtomicUsize::new(0),
            parts: (0..PARTS).map(|_| Mutex::default()).collect(),
        }
    }
}

impl Changed {
    /// Whether all must be read again.
    pub(crate) fn is_outdated(&self) -> bool {
        self.is_outdated.load(Ordering::SeqCst)
    }

    pub(crate) fn outdate(&self) {
        self.is_outdated.store(true, Ordering::SeqCst);
    }

    /// Whether no session must be read again.
    pub(crate) fn is_none(&self) -> bool {
        self.parts.iter().all(|part| part.lock().is_empty())
    }

    /// The sessions that must be read again, and how often each changed.
    pub(crate) fn all(&self) -> Vec<(Handle, u64)> {
        let mut all = Vec::new();
        for part in &self.parts {
            all.extend(part.lock().iter().map(|(handle, times)| (*handle, *times)));
        }
        all
    }

    /// A session was read after it had changed so often.
    pub(crate) fn settle(&self, handle: &Handle, times: u64) {
        if let Some(part) = self.parts.get(part_of(handle)) {
            let mut part = part.lock();
            if part.get(handle) == Some(&times) {
                part.remove(handle);
                self.count.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    fn note(&self, handle: &Handle) {
        let Some(part) = self.parts.get(part_of(handle)) else { return };
        let mut part = part.lock();
        if let Some(times) = part.get_mut(handle) {
            *times += 1;
        } else if self.count.fetch_add(1, Ordering::Relaxed) < MOST {
            part.insert(*handle, 1);
        } else {
            // Those that are noted stay so: somebody may be about to read them.
            self.outdate();
        }
    }
}

fn part_of(handle: &Handle) -> usize {
    let [first, ..] = handle.as_bytes();
    usize::from(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_while_a_session_is_read_again_is_not_settled_with_it() {
        let followers = Followers::default();
        let handle = Handle::random().unwrap();
        followers.note(&handle);
        let changed = followers.follow();
        assert!(changed.all().is_empty(), "whoever follows reads what is there");
        followers.note(&handle);
        assert_eq!(changed.all(), [(handle, 1)]);
        followers.note(&handle);
        changed.settle(&handle, 1);
        assert_eq!(changed.all(), [(handle, 2)]);
        changed.settle(&handle, 2);
        assert!(changed.all().is_empty());
        followers.leave(&changed);
        followers.note(&handle);
        assert!(changed.all().is_empty());
    }

    #[test]
    fn too_many_changes_outdate_all_and_forget_none_that_was_noted() {
        let followers = Followers::default();
        let changed = followers.follow();
        let first = Handle::random().unwrap();
        followers.note(&first);
        while !changed.is_outdated() {
            followers.note(&Handle::random().unwrap());
        }
        assert_eq!(changed.all().iter().filter(|(handle, _)| *handle == first).count(), 1);
    }
}
