//! The ring as its users hold it: one handle for all, and the ring behind it can be replaced while they use it.
//!
//! A rotation reaches everybody at once, without a restart and without a lock on the way of a request. Somebody may
//! *keep* the ring: read a folder of keys again and again. Then a value that names a key which is not here is no
//! forgery yet, as another node may have learnt of that key earlier: [`Keys::open_or_look`] has the [`Keeper`] look
//! first.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use crate::cipher::{OpenError, SealError};
use crate::key::KeyTag;
use crate::ring::KeyRing;

/// How long a value waits for the keeper. A folder that takes longer is out of order.
const PATIENCE: Duration = Duration::from_secs(2);

/// The keys of an installation, shared by all who seal and open.
pub struct Keys {
    ring: ArcSwap<KeyRing>,
    /// How many keepers there are: none, or one, or for a moment two when one takes over.
    keepers: AtomicUsize,
    wanted: Notify,
    /// How many looks have begun.
    begun: AtomicU64,
    /// The number of the last one that ended.
    ended: watch::Sender<u64>,
}

/// Whoever looks for new keys. While there is one, values wait for it.
#[derive(Debug)]
pub struct Keeper(Arc<Keys>);

/// A look for keys that has begun.
#[derive(Debug)]
#[must_use = "whoever waits for it waits until it has ended"]
pub struct Look(u64);

impl Keys {
    /// This ring, until it is [replaced](Self::replace).
    #[must_use]
    pub fn new(ring: KeyRing) -> Self {
        Self {
            ring: ArcSwap::from_pointee(ring),
            keepers: AtomicUsize::new(0),
            wanted: Notify::new(),
            begun: AtomicU64::new(0),
            ended: watch::Sender::new(0),
        }
    }

    /// See [`KeyRing::seal`].
    ///
    /// # Errors
    ///
    /// [`SealError`] when the value is too large or the machine has no randomness.
    pub fn seal(&self, associated_data: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealError> {
        self.ring.load().seal(associated_data, plain)
    }

    /// See [`KeyRing::open`]. If the value names a key that is not here, the keeper is told to look, and this value is
    /// refused: where that would cost a visitor something, take [`open_or_look`](Self::open_or_look).
    ///
    /// # Errors
    ///
    /// [`OpenError`], one for all reasons.
    pub fn open(&self, associated_data: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        let ring = self.ring.load();
        let opened = ring.open(associated_data, sealed);
        if opened.is_err() && self.could_learn(&ring, sealed) {
            self.wanted.notify_one();
        }
        opened
    }

    /// Like [`open`](Self::open), and a value that names a key which is not here is tried again after the keeper has
    /// looked for it. All who wait share a look, and nobody waits longer than two seconds.
    ///
    /// # Errors
    ///
    /// [`OpenError`], one for all reasons.
    pub async fn open_or_look(&self, associated_data: &[u8], sealed: &[u8]) -> Result<Vec<u8>, OpenError> {
        self.look_for(sealed).await;
        self.open(associated_data, sealed)
    }

    /// Has the keeper look for the key of a value, if that is not here; for who opens several values after it.
    pub async fn look_for(&self, sealed: &[u8]) {
        // First of all: a look that has begun by then may have missed the key.
        let begun = self.begun.load(Ordering::Acquire);
        if self.could_learn(&self.ring.load(), sealed) {
            let mut ended = self.ended.subscribe();
            self.wanted.notify_one();
            // Who is not answered in time goes on all the same.
            let _ = timeout(PATIENCE, ended.wait_for(|ended| *ended > begun)).await;
        }
    }

    /// The ring of this moment.
    #[must_use]
    pub fn ring(&self) -> Arc<KeyRing> {
        self.ring.load_full()
    }

    /// Everybody seals and opens with this ring from now on.
    pub fn replace(&self, ring: KeyRing) {
        self.ring.store(Arc::new(ring));
    }

    /// Whoever looks for new keys from now on, until it is dropped.
    #[must_use]
    pub fn keeper(self: &Arc<Self>) -> Keeper {
        self.keepers.fetch_add(1, Ordering::AcqRel);
        Keeper(Arc::clone(self))
    }

    /// Whether a value names a key that is not here, and there is somebody to look for it.
    fn could_learn(&self, ring: &KeyRing, sealed: &[u8]) -> bool {
        self.keepers.load(Ordering::Acquire) > 0 && KeyTag::of(sealed).is_some_and(|tag| !ring.knows(tag))
    }
}

impl Keeper {
    /// Waits until somebody has met a value that names a key which is not here. Whoever sends us values can make this
    /// happen at any rate, so bound how often you look.
    pub async fn wanted(&self) {
        self.0.wanted.notified().await;
    }

    /// It begins to look for keys.
    pub fn begin(&self) -> Look {
        Look(self.0.begun.fetch_add(1, Ordering::AcqRel) + 1)
    }

    /// It has looked, and [replaced](Keys::replace) the ring if there was anything new. Who waited goes on.
    pub fn end(&self, Look(number): Look) {
        self.0.ended.send_replace(number);
    }

    /// The keys that it keeps.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.0
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.keepers.fetch_sub(1, Ordering::AcqRel);
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("ring", &self.ring.load()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Key, KeyState};

    fn ring(ids: &[(&str, KeyState, u8)]) -> KeyRing {
        let key = |(id, state, byte): &(&str, KeyState, u8)| {
            let mut bytes = [*byte; 32];
            bytes[0] = 0xA5;
            Key::new(id.parse().unwrap(), *state, zeroize::Zeroizing::new(bytes))
        };
        KeyRing::new(ids.iter().map(key).collect()).unwrap()
    }

    fn old() -> KeyRing {
        ring(&[("old", KeyState::Active, 1)])
    }

    fn both() -> KeyRing {
        ring(&[("new", KeyState::Active, 2), ("old", KeyState::Retiring, 1)])
    }

    #[test]
    fn a_new_ring_holds_for_all_who_share_the_handle() {
        let keys = Arc::new(Keys::new(old()));
        let held = Arc::clone(&keys);
        let before = held.seal(b"purpose", b"plain").unwrap();
        let by_new = both().seal(b"purpose", b"plain").unwrap();
        assert_eq!(held.open(b"purpose", &by_new), Err(OpenError));
        keys.replace(both());
        for sealed in [before, by_new, held.seal(b"purpose", b"plain").unwrap()] {
            assert_eq!(held.open(b"purpose", &sealed), Ok(b"plain".to_vec()));
        }
        assert_eq!(KeyTag::of(&held.seal(b"", b"").unwrap()), Some(keys.ring().sealing_key().unwrap().tag));
    }

    #[tokio::test]
    async fn a_value_waits_until_the_keeper_has_looked_for_its_key() {
        let keys = Arc::new(Keys::new(old()));
        let keeper = keys.keeper();
        let by_new = both().seal(b"purpose", b"plain").unwrap();
        // A look that has begun before the value came may have missed its key.
        let early = keeper.begin();
        let waiting: Vec<_> = (0..8)
            .map(|_| {
                let (keys, sealed) = (Arc::clone(&keys), by_new.clone());
                tokio::spawn(async move { keys.open_or_look(b"purpose", &sealed).await })
            })
            .collect();
        keeper.wanted().await;
        keeper.end(early);
        let look = keeper.begin();
        keys.replace(both());
        keeper.end(look);
        for one in waiting {
            assert_eq!(one.await.unwrap(), Ok(b"plain".to_vec()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_keeper_that_does_not_answer_costs_two_seconds_and_not_the_process() {
        let keys = Arc::new(Keys::new(old()));
        let keeper = keys.keeper();
        let by_new = both().seal(b"purpose", b"plain").unwrap();
        let began = tokio::time::Instant::now();
        assert_eq!(keys.open_or_look(b"purpose", &by_new).await, Err(OpenError));
        assert_eq!(began.elapsed(), PATIENCE);
        drop(keeper);
        assert_eq!(keys.open_or_look(b"purpose", &by_new).await, Err(OpenError));
        assert_eq!(began.elapsed(), PATIENCE, "nobody is waited for when nobody looks");
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_key_could_open_waits_for_nobody() {
        let keys = Arc::new(Keys::new(old()));
        let _keeper = keys.keeper();
        let mut changed = keys.seal(b"purpose", b"plain").unwrap();
        changed.truncate(20);
        let began = tokio::time::Instant::now();
        for value in [b"".as_slice(), b"\x02abcdefgh", &changed] {
            assert_eq!(keys.open_or_look(b"purpose", value).await, Err(OpenError));
        }
        assert!(began.elapsed().is_zero());
    }

    #[test]
    fn the_handle_shows_no_key() {
        let shown = format!("{:?}", Keys::new(old())).replace(' ', "");
        assert!(!shown.contains("1,1,1,1"), "{shown}");
    }
}
