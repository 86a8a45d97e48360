//! The last notices of one storage service, for nodes and for programs, so that whoever lost the connection can go on where they were.
//!
//! One task follows the change stream of the service, for all who follow it here. It keeps the last [`KEPT`] notices;
//! a follower reads from there at their own pace, and one that falls further behind sees a gap. Positions count notices, from a
//! number that is drawn at the start: one from before a restart is not known, and whoever comes with it sees a gap too.
//!
//! When the service itself loses its stream, those that hang on it end: nobody may believe to hear everything who does
//! not.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use client::protocol::{HEARTBEAT, HEARTBEAT_TEXT};
use futures_util::StreamExt as _;
use parking_lot::Mutex;
use storage::{Notice, Position, Storage, Unavailable};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

/// How many notices are kept.
const KEPT: usize = 16_384;
/// How many are given at once.
const CHUNK: usize = 256;
/// The pauses between attempts to follow the service.
const SHORTEST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// The last notices of a storage service.
#[derive(Debug)]
pub(crate) struct Journal {
    kept: Mutex<Kept>,
    state: watch::Sender<State>,
}

#[derive(Debug)]
struct Kept {
    notices: VecDeque<Notice>,
    /// That of the last notice, or where they begin.
    last: u64,
}

/// How far it is, and whether the service is being followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    last: u64,
    is_live: bool,
}

/// How a notice is written as an event; nothing, if it does not concern whoever follows.
pub(crate) type Write = fn(Position, &Notice) -> String;

/// Somebody who follows.
#[derive(Debug)]
pub(crate) struct Follower {
    journal: Arc<Journal>,
    state: watch::Receiver<State>,
    position: u64,
    write: Write,
    /// Nothing was said yet.
    is_new: bool,
}

impl Default for Journal {
    fn default() -> Self {
        // Far from the end of the numbers, and from where another start began.
        let last = fastrand::u64(..) >> 2;
        let kept = Mutex::new(Kept { notices: VecDeque::new(), last });
        Self { kept, state: watch::Sender::new(State { last, is_live: false }) }
    }
}

impl Journal {
    /// Follows the service until it is dropped.
    pub(crate) async fn keep(self: Arc<Self>, storage: Arc<dyn Storage>) {
        let mut pause = SHORTEST_PAUSE;
        let mut is_first = true;
        loop {
            match storage.watch(None).await {
                Ok(mut changes) => {
                    pause = SHORTEST_PAUSE;
                    if !is_first {
                        self.append(Notice::Gap);
                    }
                    is_first = false;
                    self.state.send_modify(|state| state.is_live = true);
                    while let Some(notice) = changes.next().await {
                        self.append(notice);
                    }
                    self.end();
                }
                Err(error) => tracing::debug!(%error, "the changes of a storage cannot be followed"),
            }
            sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Ends all streams that hang on it.
    pub(crate) fn end(&self) {
        self.state.send_modify(|state| state.is_live = false);
    }

    /// Follows from `position` on, or from now on.
    ///
    /// # Errors
    /// The service is not being followed, and does not come to be within the time.
    pub(crate) async fn follow(
        self: Arc<Self>,
        storage: &dyn Storage,
        position: Option<Position>,
        patience: Duration,
        write: Write,
    ) -> Result<Follower, Unavailable> {
        let mut state = self.state.subscribe();
        // The stream of the service may just be being opened.
        if timeout(patience, state.wait_for(|state| state.is_live)).await.is_err() {
            return Err(Unavailable::failed(storage.id(), "its changes cannot be followed now"));
        }
        let position = position.map_or_else(|| self.kept.lock().last, |position| position.0);
        Ok(Follower { journal: self, state, position, write, is_new: true })
    }

    fn append(&self, notice: Notice) {
        let last = {
            let mut kept = self.kept.lock();
            if kept.notices.len() == KEPT {
                kept.notices.pop_front();
            }
            kept.notices.push_back(notice);
            kept.last += 1;
            kept.last
        };
        self.state.send_modify(|state| state.last = last);
    }

    /// What comes after `position`, as events, and the position after that. Nothing, if that is the last one.
    fn after(&self, position: u64, write_event: Write) -> (String, u64) {
        let kept = self.kept.lock();
        let behind = kept.last.checked_sub(position).and_then(|behind| usize::try_from(behind).ok());
        let Some(behind) = behind.filter(|behind| *behind <= kept.notices.len()) else {
            return (write_event(Position(kept.last), &Notice::Gap), kept.last);
        };
        let mut position = position;
        let mut text = String::new();
        for notice in kept.notices.iter().skip(kept.notices.len() - behind).take(CHUNK) {
            position += 1;
            text.push_str(&write_event(Position(position), notice));
        }
        (text, position)
    }
}

impl Follower {
    /// What is to be said next, sooner or later; nothing more, when the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<String> {
        loop {
            let is_live = self.state.borrow_and_update().is_live;
            let (text, position) = self.journal.after(self.position, self.write);
            let has_moved = std::mem::replace(&mut self.position, position) != position;
            if !text.is_empty() {
                self.is_new = false;
                return Some(text);
            }
            if has_moved {
                continue;
            }
            // What was heard before is told before the end.
            if !is_live {
                return None;
            }
            // At once, so that whoever waits knows that the stream has begun.
            if std::mem::take(&mut self.is_new) {
                return Some(HEARTBEAT_TEXT.to_owned());
            }
            match timeout(HEARTBEAT, self.state.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return None,
                Err(_) => return Some(HEARTBEAT_TEXT.to_owned()),
            }
        }
    }
}
