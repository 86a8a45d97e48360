//! The change stream: notices that let other nodes drop what they cached.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use futures_core::Stream;
use futures_util::future::ready;
use futures_util::stream::{once, poll_fn};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

use crate::{Key, Version};

/// A stream of notices. It ends when changes are not heard any more, at most
/// [`Capabilities::unnoticed`](crate::Capabilities::unnoticed) after the last moment in which they were, and when all was
/// given that had been heard: whoever relies on it asks storage until [`watch`](crate::Storage::watch) gives another one.
/// The end itself is no [`Notice::Gap`]. What was known until then was right until then; whoever listens again cannot
/// know what was missed meanwhile, and whoever goes on from an earlier position is told of a gap.
pub type Changes = Pin<Box<dyn Stream<Item = Notice> + Send>>;

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

    /// Something is missed from now on. Those who listen are not told, for their streams end; who goes on later from where
    /// they were begins with a gap.
    pub fn break_off(&self) {
        self.position.fetch_add(1, Ordering::SeqCst);
    }

    /// The stream from now on, until `end`; what was announced before that is given first.
    #[must_use]
    pub fn subscribe_until(
        &self,
        from: Option<Position>,
        end: impl Future<Output = ()> + Send + 'static,
    ) -> Changes {
        let (mut changes, mut end, mut is_over) = (self.subscribe(from), Box::pin(end), false);
        Box::pin(poll_fn(move |context| {
            // In this order: what is not there after the end was not announced before it.
            is_over = is_over || end.poll_unpin(context).is_ready();
            match changes.poll_next_unpin(context) {
                Poll::Pending if is_over => Poll::Ready(None),
                polled => polled,
            }
        }))
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

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    fn key(name: &str) -> Key {
        Key::new("c", name.as_bytes()).unwrap()
    }

    #[tokio::test]
    async fn what_was_heard_before_the_end_is_told_before_the_end() {
        let publisher = Publisher::new(10);
        let (ends, end) = oneshot::channel::<()>();
        let mut changes = publisher.subscribe_until(None, async { drop(end.await) });
        publisher.publish(&key("a"), Version(1), Kind::Buried);
        publisher.break_off();
        drop(ends);
        assert!(matches!(changes.next().await, Some(Notice::Change(change)) if change.key == key("a")));
        assert_eq!(changes.next().await, None, "the end is no gap");
    }

    #[tokio::test]
    async fn whoever_goes_on_after_something_was_missed_begins_with_a_gap() {
        let publisher = Publisher::new(10);
        publisher.publish(&key("a"), Version(1), Kind::Written);
        let known = Some(Position(1));
        assert!(publisher.subscribe(known).next().now_or_never().is_none());
        publisher.break_off();
        assert_eq!(publisher.subscribe(known).next().await, Some(Notice::Gap));
        assert!(publisher.subscribe(None).next().now_or_never().is_none(), "who begins has missed nothing");
    }
}
