//! The ends of the last minutes, which a storage may yet forget.
//!
//! A storage that fails over to a replica that lagged has forgotten what it acknowledged last: a session that somebody has
//! logged out of is there again. So every node remembers for some minutes which ends it made, and of which it heard. It refuses
//! what they were for, whatever storage says. And whenever it may have missed changes, as after a reconnect, a failover or a gap,
//! it [looks](Cache::make_ends_again) whether storage still has them, and makes those again that are lost.
//!
//! What is remembered is bounded in time and in number. Where nobody else works on the storage there is no other one to fail over
//! to: then nothing is remembered.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use session::{Ending, Epoch, Handle, Millis, Why};
use storage::{Burial, Read, Unavailable, Version, begin_above};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::Cache;
use crate::end_where::End;
use crate::revocations::gone_key;
use crate::scope::{COUNTERS, Mark, Scope};
use crate::sync::{AtomicUsize, Mutex};

/// How long an end is remembered: longer than a failover takes that is looked after by a program.
const REMEMBERED: Duration = Duration::from_secs(600);
/// How many are remembered at most; the oldest make room. Each takes about 200 bytes.
const MOST: usize = 1 << 14;
/// When storage is looked at, after the look before: the connections to it need not all move at the same moment. At the first
/// look each node makes those again that it made: it knows who ended them. Then, when all have had the time to hear changes
/// again, whatever is still lost is made again by everybody.
const LOOKS: [Duration; 4] =
    [Duration::ZERO, Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(20)];
/// How many are looked at at once.
const WIDTH: usize = 16;
/// How many looks may fail until the next round is waited for.
const MOST_FAILED: usize = 8;

/// Who ended what another node has ended, as far as anybody here knows.
const ANOTHER_NODE: &str = "another node";

/// What was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum EndOf {
    /// A session on the server.
    Session(Handle),
    /// One that its visitor carried, or that must not be recovered.
    Gone(Handle, Why),
    /// All of a scope that remember an earlier counter.
    Counter(Scope),
    /// All that began before a moment.
    Mark(Mark),
}

/// What is known of an end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Known {
    /// How it was made; nothing of one that was only heard of.
    pub(crate) end: Option<End>,
    /// Until when storage keeps it, if somebody has said.
    pub(crate) until: Option<Millis>,
    /// What the counter was raised to.
    pub(crate) epoch: Epoch,
}

/// The ends of the last minutes.
#[derive(Debug)]
pub(crate) struct RecentEnds {
    is_needed: bool,
    /// How many there are: so that finds pay for the lock only after an end.
    count: AtomicUsize,
    state: Mutex<State>,
    doubted: Notify,
}

#[derive(Debug, Default)]
struct State {
    ends: HashMap<EndOf, (Instant, Known)>,
    /// The oldest first. What was renewed since is further behind once more.
    order: VecDeque<(Instant, EndOf)>,
}

impl RecentEnds {
    pub(crate) fn new(is_needed: bool) -> Self {
        Self { is_needed, count: AtomicUsize::new(0), state: Mutex::default(), doubted: Notify::new() }
    }

    /// Storage has this end, which was made here.
    pub(crate) fn made(&self, subject: EndOf, end: End, until: Option<Millis>, epoch: Epoch) {
        // What is over by time is so without a tombstone.
        if !matches!(end.ending.why, Why::Idle | Why::Lifetime) {
            self.remember(subject, Known { end: Some(end), until, epoch });
        }
    }

    /// Another node has made this end, or this one, of which it knows more.
    pub(crate) fn heard(&self, subject: EndOf, epoch: Epoch) {
        self.remember(subject, Known { epoch, ..Known::default() });
    }

    fn remember(&self, subject: EndOf, known: Known) {
        if !self.is_needed {
            return;
        }
        let now = Instant::now();
        let mut state = self.state.lock();
        match state.ends.entry(subject) {
            Entry::Occupied(mut there) => {
                let (since, before) = there.get_mut();
                let is_later = known.epoch > before.epoch;
                let epoch = known.epoch.max(before.epoch);
                if is_later || before.end.is_none() {
                    *before = known;
                }
                before.epoch = epoch;
                if !is_later {
                    return;
                }
                *since = now;
            }
            Entry::Vacant(place) => {
                place.insert((now, known));
            }
        }
        state.order.push_back((now, subject));
        state.forget(now);
        self.count.store(state.ends.len(), Ordering::Release);
    }

    /// How a session on the server was ended lately, if it was.
    pub(crate) fn ending_of(&self, handle: &Handle) -> Option<Ending> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let state = self.state.lock();
        let (_, known) = state.ends.get(&EndOf::Session(*handle))?;
        Some(known.end.as_ref().map_or_else(unknown, |end| end.ending.clone()))
    }

    /// Changes may have been missed: storage may be another one.
    pub(crate) fn doubt(&self) {
        if self.is_needed {
            self.doubted.notify_one();
        }
    }

    fn all(&self) -> Vec<(EndOf, Known)> {
        let mut state = self.state.lock();
        state.forget(Instant::now());
        self.count.store(state.ends.len(), Ordering::Release);
        state.ends.iter().map(|(subject, (_, known))| (*subject, known.clone())).collect()
    }

    fn of(&self, subject: &EndOf) -> Option<Known> {
        self.state.lock().ends.get(subject).map(|(_, known)| known.clone())
    }
}

impl State {
    fn forget(&mut self, now: Instant) {
        while let Some((since, subject)) = self.order.front().copied() {
            if self.order.len() <= MOST && now.saturating_duration_since(since) < REMEMBERED {
                break;
            }
            self.order.pop_front();
            if self.ends.get(&subject).is_some_and(|(latest, _)| *latest == since) {
                self.ends.remove(&subject);
            }
        }
    }
}

impl Cache {
    /// Looks, whenever changes may have been missed, whether storage still has the ends of the last minutes.
    pub(crate) async fn make_ends_again(&self) {
        let mut look = LOOKS.len();
        loop {
            let Some(pause) = LOOKS.get(look) else {
                self.recent.doubted.notified().await;
                look = 0;
                continue;
            };
            if timeout(*pause, self.recent.doubted.notified()).await.is_ok() {
                look = 0;
                continue;
            }
            self.look_for_lost_ends(look > 0).await;
            look += 1;
        }
    }

    async fn look_for_lost_ends(&self, also_of_others: bool) {
        let all = self.recent.all().into_iter().filter(|(_, known)| also_of_others || known.end.is_some());
        let mut looks = iter(all)
            .map(|(subject, known)| async move { self.make_again(&subject, known).await })
            .buffer_unordered(WIDTH);
        let (mut again, mut failed) = (0_u64, 0);
        while let Some(looked) = looks.next().await {
            match looked {
                Ok(was_lost) => again += u64::from(was_lost),
                Err(error) => {
                    tracing::debug!(%error, "it could not be looked whether storage still has an end");
                    failed += 1;
                    if failed >= MOST_FAILED {
                        break;
                    }
                }
            }
        }
        if again > 0 {
            tracing::warn!(
                ends = again,
                "storage had confirmed ends and does not have them any more, as after a failover to a replica that lagged; they \
                 were made again"
            );
        }
    }

    /// How a session was ended lately that storage has as a live one. When this returns, storage has the end again.
    pub(crate) async fn ended_lately(&self, handle: &Handle) -> Result<Option<Ending>, Unavailable> {
        let Some(ending) = self.recent.ending_of(handle) else { return Ok(None) };
        let subject = EndOf::Session(*handle);
        if let Some(known) = self.recent.of(&subject)
            && Box::pin(self.make_again(&subject, known)).await?
        {
            tracing::warn!(%handle, "storage had forgotten the end of this session, and has it again");
        }
        Ok(Some(ending))
    }

    /// Makes an end again if storage does not have it; whether it had not.
    async fn make_again(&self, subject: &EndOf, known: Known) -> Result<bool, Unavailable> {
        let now = self.clock.now();
        if known.until.is_some_and(|until| now >= until) {
            return Ok(false);
        }
        let end = known.end.unwrap_or_else(|| End { ending: unknown(), before: None, late: None });
        let ending =
            Ending { at: if end.ending.at == Millis(0) { now } else { end.ending.at }, ..end.ending };
        let end = End { ending, ..end };
        let until = known.until.unwrap_or_else(|| self.all_over_at(now));
        let is_lost = match subject {
            EndOf::Session(handle) => {
                let is_lost = !matches!(self.storage.read(&self.key(handle)?, None).await?, Read::Buried(_));
                if is_lost {
                    let burial = Burial { until: Some(until), ending: end.ending, expected: None };
                    self.bury(handle, burial).await?;
                }
                is_lost
            }
            EndOf::Gone(handle, why) => {
                let key = gone_key(handle, *why).map_err(|error| self.unavailable(error))?;
                let is_lost = !matches!(self.storage.read(&key, None).await?, Read::Found(_));
                if is_lost {
                    self.revoke(handle, &Ending { why: *why, ..end.ending }, until).await?;
                }
                is_lost
            }
            EndOf::Counter(scope) => {
                let there = self.counter(*scope).await?;
                let is_behind = there.as_ref().is_none_or(|record| Epoch(record.version.0) < known.epoch);
                let late = end.late.filter(|late| late.until > now);
                let waits = match &there {
                    Some(record) => {
                        self.ended_by(record).is_ok_and(|by| late.is_none_or(|late| by.waits_as(late)))
                    }
                    None => late.is_none(),
                };
                if is_behind {
                    // Of whoever remembers what was lost, nobody can log in with a counter below that.
                    begin_above(&*self.storage, COUNTERS, Version(known.epoch.0), now).await?;
                }
                if is_behind || !waits {
                    self.write_end(*scope, &End { before: None, ..end }).await?;
                }
                is_behind || !waits
            }
            EndOf::Mark(mark) => {
                let key = mark.key().map_err(|error| self.unavailable(error))?;
                let is_lost = !matches!(self.storage.read(&key, None).await?, Read::Found(_));
                if is_lost {
                    self.write_mark(*mark, &end).await?;
                }
                is_lost
            }
        };
        if is_lost {
            self.counters.ends_repeated.inc();
        }
        Ok(is_lost)
    }
}

/// How something ended of which only that was heard.
fn unknown() -> Ending {
    Ending::new(Millis(0), Why::Revoked, ANOTHER_NODE)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn end(why: Why) -> End {
        End { ending: Ending::new(Millis(7), why, "test"), before: None, late: None }
    }

    fn session() -> EndOf {
        EndOf::Session(Handle::random().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_is_remembered_for_its_time_and_the_one_who_made_it_knows_more() {
        let recent = RecentEnds::new(true);
        let handle = Handle::random().unwrap();
        assert_eq!(recent.ending_of(&handle), None);
        recent.heard(EndOf::Session(handle), Epoch::default());
        assert_eq!(recent.ending_of(&handle), Some(unknown()));
        recent.made(EndOf::Session(handle), end(Why::Logout), None, Epoch::default());
        recent.heard(EndOf::Session(handle), Epoch::default());
        assert_eq!(recent.ending_of(&handle), Some(end(Why::Logout).ending));
        advance(REMEMBERED.saturating_sub(Duration::from_millis(1))).await;
        assert_eq!(recent.all().len(), 1);
        advance(Duration::from_millis(1)).await;
        assert!(recent.all().is_empty() && recent.ending_of(&handle).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_counter_that_is_raised_again_is_remembered_anew() {
        let recent = RecentEnds::new(true);
        let of_all = EndOf::Counter(Scope::Everybody);
        recent.made(of_all, end(Why::Revoked), None, Epoch(5));
        advance(REMEMBERED / 2).await;
        recent.heard(of_all, Epoch(9));
        recent.heard(of_all, Epoch(5));
        advance(REMEMBERED / 2).await;
        let all = recent.all();
        let [(_, known)] = &*all else { panic!("{all:?}") };
        assert!(known.epoch == Epoch(9) && known.end.is_none(), "of the later one nobody here knows more");
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded_and_the_oldest_make_room() {
        let recent = RecentEnds::new(true);
        let first = session();
        recent.heard(first, Epoch::default());
        for _ in 0..MOST {
            recent.heard(session(), Epoch::default());
        }
        assert_eq!(recent.all().len(), MOST);
        assert!(recent.of(&first).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_remembered_that_cannot_be_lost() {
        let (alone, shared) = (RecentEnds::new(false), RecentEnds::new(true));
        alone.made(session(), end(Why::Logout), None, Epoch::default());
        shared.made(session(), end(Why::Idle), None, Epoch::default());
        assert!(alone.all().is_empty() && shared.all().is_empty());
    }
}
