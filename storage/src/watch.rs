//! The change stream: notices that let other nodes drop what they cached.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_core::Stream;
use futures_util::StreamExt as _;
use futures_util::future::ready;
use futures_util::stream::once;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

use crate::{Key, Version};

/// A stream of notices. It ends when changes are not heard any more, that of a
/// [shared](crate::Capabilities::is_shared) service at most [`LONGEST_UNNOTICED`] after the last moment in which they
/// were: whoever relies on it asks storage until [`watch`](crate::Storage::watch) gives another one.
pub type Changes = Pin<Box<dyn Stream<Item = Notice> + Send>>;

/// How long changes may not be heard before the stream of a shared service ends for it.
pub const LONGEST_UNNOTICED: Duration = Duration::from_secs(4);

/// A place in the change stream, from which it can be continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub u64);

/// What the change stream says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A record changed.
    Change(Change),
    /// Notices were lost: whatever was cached must be asked for again.
    Gap,
}

/// A record changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where the stream is after this notice.
    pub position: Position,
    /// Which record.
    pub key: Key,
    /// Its version, or the last one that it had.
    pub version: Version,
    /// What happened.
    pub kind: Kind,
}

/// What happened to a record. Touches are not announced, and expiry needs no announcement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It was created or updated.
    Written,
    /// It was ended.
    Buried,
}

/// Announces changes within one process; for engines that have no stream of their own.
#[derive(Debug, Clone)]
pub struct Publisher {
    position: Arc<AtomicU64>,
    sender: broadcast::Sender<Notice>,
}

impl Publisher {
    /// A publisher whose listeners may fall `capacity` notices behind before they see a [`Notice::Gap`].
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        Self { position: Arc::default(), sender: broadcast::Sender::new(capacity) }
    }

    /// Announces a change. Call it when the change is visible, before it is acknowledged.
    pub fn publish(&self, key: &Key, version: Version, kind: Kind) {
        let position = Position(self.position.fetch_add(1, Ordering::SeqCst) + 1);
        // Without listeners there is nobody to tell.
        if self.sender.receiver_count() > 0 {
            let _ = self.sender.send(Notice::Change(Change { position, key: key.clone(), version, kind }));
        }
    }

    /// Tells all listeners that notices were lost.
    pub fn interrupt(&self) {
        self.position.fetch_add(1, Ordering::SeqCst);
        if self.sender.receiver_count() > 0 {
            let _ = self.sender.send(Notice::Gap);
        }
    }

    /// The stream from now on. Nothing is kept, so a listener who was elsewhere begins with a gap.
    #[must_use]
    pub fn subscribe(&self, from: Option<Position>) -> Changes {
        let live = BroadcastStream::new(self.sender.subscribe()).map(|notice| notice.unwrap_or(Notice::Gap));
        let current = Position(self.position.load(Ordering::SeqCst));
        if from.is_none_or(|from| from == current) {
            Box::pin(live)
        } else {
            Box::pin(once(ready(Notice::Gap)).chain(live))
        }
    }
}
