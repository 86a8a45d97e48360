//! The ring as its users hold it: one handle for all, and the ring behind it can be replaced while they use it.
//!
//! A rotation reaches everybody at once, without a restart and without a lock on the way of a request. Somebody may
//! *keep* the ring: read a folder of keys again and again. Then a value that names a key which is not here is no
//! forgery yet, as another node may have learnt of that key earlier: [`Keys::open_or_look`] has the keeper look first.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
    keeper: Option<Keeper>,
}

/// What a keeper and those who wait for it share.
#[derive(Default)]
struct Keeper {
    wanted: Notify,
    /// How many looks have begun.
    begun: AtomicU64,
    /// The number of the last one that ended.
    ended: watch::Sender<u64>,
}

/// A look for keys that has begun.
#[derive(Debug)]
#[must_use = "whoever waits for it waits until it has ended"]
pub struct Look(u64);

impl Keys {
    /// This ring, until it is [replaced](Self::replace).
    #[must_use]
    pub fn new(ring: KeyRing) -> Self {
        Self { ring: ArcSwap::from_pointee(ring), keeper: None }
    }

    /// This ring, and somebody keeps it: follows [`wanted`](Self::wanted), and says when it [begins](Self::begin) and
    /// [ends](Self::end) a look.
    #[must_use]
    pub fn kept(ring: KeyRing) -> Self {
        Self { ring: ArcSwap::from_pointee(ring), keeper: Some(Keeper::default()) }
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
        if let (Err(OpenError), Some(keeper), Some(tag)) = (&opened, &self.keeper, KeyTag::of(sealed))
            && !ring.knows(tag)
        {
            keeper.wanted.notify_one();
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
        // Before the first try: a look that has begun by then may have missed the key.
        let begun = self.keeper.as_ref().map_or(0, |keeper| keeper.begun.load(Ordering::Acquire));
        match (self.open(associated_data, sealed), &self.keeper, KeyTag::of(sealed)) {
            (Err(OpenError), Some(keeper), Some(tag)) if !self.ring.load().knows(tag) => {
                let mut ended = keeper.ended.subscribe();
                // Who is not answered in time tries all the same.
                let _ = timeout(PATIENCE, ended.wait_for(|ended| *ended > begun)).await;
                self.ring.load().open(associated_data, sealed)
            }
            (opened, ..) => opened,
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

    /// For the keeper: waits until somebody has met a value that names a key which is not here. Whoever sends us values
    /// can make this happen at any rate, so bound how often you look.
    pub async fn wanted(&self) {
        match &self.keeper {
            Some(keeper) => keeper.wanted.notified().await,
            None => std::future::pending().await,
        }
    }

    /// For the keeper: it begins to look for keys.
    pub fn begin(&self) -> Look {
        Look(self.keeper.as_ref().map_or(0, |keeper| keeper.begun.fetch_add(1, Ordering::AcqRel) + 1))
    }

    /// For the keeper: it has looked, and [replaced](Self::replace) the ring if there was anything new. Who waited goes
    /// on.
    pub fn end(&self, Look(number): Look) {
        if let Some(keeper) = &self.keeper {
            keeper.ended.send_replace(number);
        }
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
        let keys = Arc::new(Keys::kept(old()));
        let by_new = both().seal(b"purpose", b"plain").unwrap();
        // A look that has begun before the value came may have missed its key.
        let early = keys.begin();
        let waiting: Vec<_> = (0..8)
            .map(|_| {
                let (keys, sealed) = (Arc::clone(&keys), by_new.clone());
                tokio::spawn(async move { keys.open_or_look(b"purpose", &sealed).await })
            })
            .collect();
        keys.wanted().await;
        keys.end(early);
        let look = keys.begin();
        keys.replace(both());
        keys.end(look);
        for one in waiting {
            assert_eq!(one.await.unwrap(), Ok(b"plain".to_vec()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_keeper_that_does_not_answer_costs_two_seconds_and_not_the_process() {
        let keys = Keys::kept(old());
        let by_new = both().seal(b"purpose", b"plain").unwrap();
        let began = tokio::time::Instant::now();
        assert_eq!(keys.open_or_look(b"purpose", &by_new).await, Err(OpenError));
        assert_eq!(began.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_key_could_open_waits_for_nobody() {
        let keys = Keys::kept(old());
        let mut changed = keys.seal(b"purpose", b"plain").unwrap();
        changed.truncate(20);
        let began = tokio::time::Instant::now();
        for value in [b"".as_slice(), b"\x02abcdefgh", &changed] {
            assert_eq!(keys.open_or_look(b"purpose", value).await, Err(OpenError));
        }
        assert_eq!(Keys::new(old()).open_or_look(b"purpose", b"\x01nokey").await, Err(OpenError));
        assert!(began.elapsed().is_zero());
    }

    #[test]
    fn the_handle_shows_no_key() {
        let shown = format!("{:?}", Keys::new(old())).replace(' ', "");
        assert!(!shown.contains("1,1,1,1"), "{shown}");
    }
}
