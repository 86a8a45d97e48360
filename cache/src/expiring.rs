//! What is remembered until its time.
//!
//! Reading takes a lock on one of many parts, and none where nothing is remembered. Forgetting costs what is forgotten:
//! everything is also in the order of its time.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::atomic::Ordering;

use session::Millis;

use crate::sync::{AtomicUsize, Mutex, RwLock};

const SHARDS: usize = 64;

/// Values under keys, each until its time.
#[derive(Debug)]
pub(crate) struct Expiring<K, V> {
    shards: Vec<RwLock<HashMap<K, (V, Millis)>>>,
    due: Mutex<BTreeSet<(Millis, K)>>,
    count: AtomicUsize,
    hasher: RandomState,
}

impl<K: Copy + Ord + Hash, V: Copy> Expiring<K, V> {
    /// What is remembered under `key`.
    pub(crate) fn of(&self, key: &K) -> Option<V> {
        if self.count.load(Ordering::SeqCst) == 0 {
            return None;
        }
        self.shard(key).read().get(key).map(|(value, _)| *value)
    }

    /// Remembers `value` until `until`, or longer if that was said before. `choose` makes one of what was there and what
    /// comes.
    pub(crate) fn put(&self, key: K, value: V, until: Millis, choose: impl FnOnce(V, V) -> V) {
        let mut shard = self.shard(&key).write();
        let (value, until) = match shard.get(&key) {
            Some((there, earlier)) => (choose(*there, value), until.max(*earlier)),
            None => (value, until),
        };
        let before = shard.insert(key, (value, until));
        let mut due = self.due.lock();
        match before {
            Some((_, earlier)) if earlier != until => _ = due.remove(&(earlier, key)),
            Some(_) => {}
            None => _ = self.count.fetch_add(1, Ordering::SeqCst),
        }
        due.insert((until, key));
    }

    /// When something is forgotten next; [`Millis::NEVER`] if nothing is.
    pub(crate) fn next(&self) -> Millis {
        self.due.lock().first().map_or(Millis::NEVER, |(until, _)| *until)
    }

    /// Forgets what is past its time.
    pub(crate) fn purge(&self, now: Millis) {
        loop {
            let Some((until, key)) = self.due.lock().first().copied().filter(|(until, _)| *until <= now)
            else {
                return;
            };
            let mut shard = self.shard(&key).write();
            // Its time may have been put off since.
            if shard.get(&key).is_some_and(|(_, known)| *known == until) {
                shard.remove(&key);
                self.count.fetch_sub(1, Ordering::SeqCst);
            }
            self.due.lock().remove(&(until, key));
        }
    }

    /// How many keys there are.
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::SeqCst)
    }

    fn shard(&self, key: &K) -> &RwLock<HashMap<K, (V, Millis)>> {
        let index = self.hasher.hash_one(key) as usize % SHARDS;
        #[expect(
            clippy::indexing_slicing,
            reason = "there are SHARDS of them, and this is a remainder of it"
        )]
        &self.shards[index]
    }
}

impl<K, V> Default for Expiring<K, V> {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            due: Mutex::default(),
            count: AtomicUsize::new(0),
            hasher: RandomState::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_remembered_until_its_time_and_not_longer() {
        let expiring = Expiring::default();
        for key in 0..100_u64 {
            expiring.put(key, key, Millis(1000 + key), |there, _| there);
        }
        expiring.purge(Millis(1049));
        assert_eq!(expiring.len(), 50);
        assert_eq!((expiring.of(&49), expiring.of(&50)), (None, Some(50)));
        expiring.purge(Millis(2000));
        assert_eq!(expiring.len(), 0);
        assert!(expiring.due.lock().is_empty());
    }

    #[test]
    fn the_later_time_counts_and_the_chosen_value() {
        let expiring = Expiring::default();
        expiring.put(1, 5, Millis(20), u64::max);
        expiring.put(1, 3, Millis(10), u64::max);
        assert_eq!(expiring.of(&1), Some(5));
        expiring.put(1, 7, Millis(30), u64::max);
        expiring.purge(Millis(29));
        assert_eq!((expiring.of(&1), expiring.len()), (Some(7), 1));
        expiring.purge(Millis(30));
        assert_eq!((expiring.of(&1), expiring.due.lock().len()), (None, 0));
    }
}
