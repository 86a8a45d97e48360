//! How many connections are open at once.

use std::sync::Arc;

use futures_util::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room for connections, shared by all who let them in.
#[derive(Debug, Clone)]
pub struct Seats(Arc<Semaphore>);

/// One of the connections that may be open at once, until it is dropped.
#[derive(Debug)]
pub struct Seat {
    /// Nobody closes the semaphore, so there always is one.
    _permit: Option<OwnedSemaphorePermit>,
}

impl Seats {
    /// Room for so many.
    #[must_use]
    pub fn new(seats: usize) -> Self {
        Self(Arc::new(Semaphore::new(seats)))
    }

    /// Waits for a seat.
    pub async fn take(&self) -> Seat {
        Seat { _permit: Arc::clone(&self.0).acquire_owned().await.ok() }
    }

    /// Makes more room, or less as soon as enough seats are given back; until then nobody gets one. Must be called within
    /// a tokio runtime.
    pub fn resize(&self, before: usize, after: usize) {
        self.0.add_permits(after.saturating_sub(before));
        let surplus = u32::try_from(before.saturating_sub(after)).unwrap_or(u32::MAX);
        if surplus > 0 {
            let mut surplus = Box::pin(Arc::clone(&self.0).acquire_many_owned(surplus));
            // It waits from now on, and not from when the runtime gets to it: whoever comes later gets a seat later.
            match (&mut surplus).now_or_never() {
                Some(permits) => permits.into_iter().for_each(OwnedSemaphorePermit::forget),
                None => drop(tokio::spawn(async move { surplus.await.map(OwnedSemaphorePermit::forget) })),
            }
        }
    }
}
