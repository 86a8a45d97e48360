//! Room for the lists of sessions that are being answered.
//!
//! A list is whole or it is none, so it is in memory until it has been sent. All of them together have one bound: who begins waits
//! a while for room, and who grows beyond what is left is told to come back, for two that waited for each other would wait for
//! ever.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// The most bytes of a list. A part of the sessions would be taken for all.
pub(super) const MAX_LISTING: usize = 256 << 20;
/// How much all lists together may take, in MiB: as much as the largest.
const ROOM: usize = MAX_LISTING >> 20;
/// How many may be made at once: each reads all that is in storage.
const AT_ONCE: usize = 4;
/// How long one waits until it begins.
const PATIENCE: Duration = Duration::from_secs(30);

/// The room of all lists.
#[derive(Debug)]
pub(super) struct Lists {
    room: Arc<Semaphore>,
    at_once: Arc<Semaphore>,
}

impl Default for Lists {
    fn default() -> Self {
        Self { room: Arc::new(Semaphore::new(ROOM)), at_once: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Lists {
    /// The room of one list, small at first; none if too many others are being made.
    pub(super) async fn begin(&self) -> Option<Room> {
        let begun = async {
            let turn = Arc::clone(&self.at_once).acquire_owned().await.ok()?;
            let permit = Arc::clone(&self.room).acquire_owned().await.ok()?;
            Some(Room { room: Arc::clone(&self.room), permit, _turn: turn })
        };
        timeout(PATIENCE, begun).await.ok().flatten()
    }
}

/// What one list may take.
#[derive(Debug)]
pub(super) struct Room {
    room: Arc<Semaphore>,
    permit: OwnedSemaphorePermit,
    _turn: OwnedSemaphorePermit,
}

impl Room {
    /// Has room for a list of so many bytes, if there is.
    pub(super) fn is_enough_for(&mut self, bytes: usize) -> bool {
        let wanted = bytes / (1 << 20) + 1;
        let more = u32::try_from(wanted.saturating_sub(self.permit.num_permits())).unwrap_or(u32::MAX);
        if more == 0 {
            return true;
        }
        let permit = Arc::clone(&self.room).try_acquire_many_owned(more).ok();
        permit.map(|permit| self.permit.merge(permit)).is_some()
    }

    /// A list that keeps its room until it has been sent.
    pub(super) fn hold(self, list: Vec<u8>) -> Bytes {
        Bytes::from_owner(Held { list, _permit: self.permit })
    }
}

/// A list, and its room.
struct Held {
    list: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEBIBYTE: usize = 1 << 20;

    #[tokio::test]
    async fn lists_have_one_bound_together_until_they_are_sent() {
        let lists = Lists::default();
        let mut one = lists.begin().await.unwrap();
        let mut other = lists.begin().await.unwrap();
        assert!(one.is_enough_for(200 * MEBIBYTE));
        assert!(!other.is_enough_for(100 * MEBIBYTE), "there is not so much room left");
        assert!(other.is_enough_for(50 * MEBIBYTE));
        let sent = one.hold(b"a list".to_vec());
        assert!(!other.is_enough_for(100 * MEBIBYTE), "it is still in memory");
        assert_eq!(&*sent, b"a list");
        drop(sent);
        assert!(other.is_enough_for(100 * MEBIBYTE));
    }

    #[tokio::test]
    async fn who_begins_waits_for_others() {
        let lists = Lists::default();
        let mut begun = Vec::new();
        for _ in 0..AT_ONCE {
            begun.push(lists.begin().await.unwrap());
        }
        let one_too_many = timeout(Duration::from_millis(20), lists.begin()).await;
        assert!(one_too_many.is_err(), "they are still being made");
        let (next, ()) = tokio::join!(lists.begin(), async { drop(begun.pop()) });
        assert!(next.is_some());
    }
}
