//! What goes on beside the requests.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use session::Epoch;
use storage::{Kind, Notice};
use tokio::time::sleep;

use crate::Cache;
use crate::cache::handle_of;
use crate::heads::Heads;
use crate::recent::EndOf;
use crate::revocations::is_revocation;
use crate::sync::jitter;

/// How soon expired records are looked for again at the earliest, and where several nodes do it.
const SHORTEST_REST: Duration = Duration::from_secs(1);
const SHORTEST_SHARED_REST: Duration = Duration::from_secs(5);
/// And at the latest: something may come that expires sooner than all that was there.
const LONGEST_REST: Duration = Duration::from_secs(60);
/// How many expired records are removed at once, so that no writer waits for long.
const REAP_BUDGET: usize = 500;
/// The first and the longest pause between two attempts, each up to half as much shorter or longer: storage that is back is
/// found within a second.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(600);

impl Cache {
    /// Reaps, follows the change stream, shows this process to the other nodes, writes which tickets were used, repeats ends and
    /// failed touches until storage confirms them, and looks whether it still has the ends that it confirmed. Runs until it is dropped.
    pub async fn keep_house(self: Arc<Self>) {
        let nodes = async { tokio::join!(self.attend_nodes(), self.answer_roll()) };
        let ends = async { tokio::join!(self.repeat_ends(), self.adopt_ends(), self.make_ends_again()) };
        let memory = async { tokio::join!(self.reap(), self.forget_unused()) };
        let uses =
            async { tokio::join!(self.repeat_touches(), self.confirm_tickets(), self.write_gathered()) };
        // Each is woken by itself: the change stream speaks with every write, and the others need not be asked each time.
        let tasks: [BoxFuture<'_, ()>; 5] = [
            Box::pin(self.follow()),
            Box::pin(memory.map(drop)),
            Box::pin(nodes.map(drop)),
            Box::pin(ends.map(drop)),
            Box::pin(uses.map(drop)),
        ];
        tasks.into_iter().collect::<FuturesUnordered<_>>().collect::<()>().await;
    }

    /// A copy that is not served any more takes room, and that is all.
    async fn forget_unused(&self) {
        let interval = self.settings.cleanup_interval;
        while !interval.is_zero() {
            sleep(interval).await;
            let now = self.clock.now();
            self.tier.forget_unused(now.minus(self.settings.inproc_timeout));
        }
    }

    /// How many bytes the first tier takes, and how many sessions it holds.
    #[must_use]
    pub fn first_tier_size(&self) -> (u64, usize) {
        self.tier.size()
    }

    /// What expired is absent, reaped or not: it takes room, and that is all. So nobody looks for it who knows that nothing
    /// is due, and who does not know looks ever more seldom while nothing is found.
    async fn reap(&self) {
        let is_shared = self.storage.capabilities().is_shared;
        let mut rest = SHORTEST_REST;
        loop {
            sleep(if is_shared { jittered(rest) } else { rest }).await;
            let before = self.counters.reaped.get();
            self.revocations.purge(self.clock.now());
            self.heads.purge(REAP_BUDGET).await;
            loop {
                match self.storage.reap(self.clock.now(), REAP_BUDGET).await {
                    Ok(reaped) => {
                        self.counters.reaped.inc_by(reaped as u64);
                        if reaped < REAP_BUDGET {
                            break;
                        }
                    }
                    Err(error) => {
                        tracing::debug!(%error, "expired records were not removed; they read as absent all the same");
                        break;
                    }
                }
                tokio::task::yield_now().await;
            }
            let now = self.clock.now();
            let known = self.storage.next_expiry();
            let next =
                known.map(|next| next.min(self.revocations.next_expiry()).min(self.heads.next_expiry()));
            let found = self.counters.reaped.get() > before;
            rest = rest_until(next.map(|next| next.since(now)), rest, found, is_shared);
        }
    }

    async fn follow(&self) {
        let mut pause = Pause::default();
        loop {
            match self.storage.watch(None).await {
                Ok(mut changes) => {
                    // Nobody believes its copies whom the others do not know: see `nodes`. If that cannot be written now, they
                    // are believed all the same: an overloaded storage is not to be asked for each request as well.
                    if let Err(error) = self.show_up().await {
                        tracing::debug!(%error, "this node could not show itself; it will try again");
                    }
                    // What changed before the stream began is not known. Before it counts as heard, so that nobody goes by
                    // what was ended meanwhile.
                    self.doubt_all();
                    self.trust.hear();
                    pause = Pause::default();
                    while let Some(notice) = changes.next().await {
                        self.hear(&notice);
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "the change stream cannot be followed; it will be tried again")
                }
            }
            // Storage is asked while others may end sessions without our hearing of it.
            self.trust.lose(self.storage.capabilities().unnoticed);
            pause.wait().await;
        }
    }

    fn hear(&self, notice: &Notice) {
        match notice {
            Notice::Gap => self.doubt_all(),
            Notice::Change(change) => {
                if let Some(handle) = handle_of(&change.key) {
                    match change.kind {
                        Kind::Written => self.tier.outdate(&handle, change.version),
                        Kind::Buried => {
                            self.recent.heard(EndOf::Session(handle), Epoch::default());
                            self.tier.end(&handle);
                        }
                    }
                } else if let Some(handle) = Heads::handle_of(&change.key) {
                    self.heads.hear(&handle);
                } else if is_revocation(&change.key) {
                    self.hear_revocation(&change.key, Epoch(change.version.0));
                } else {
                    self.hear_of_nodes(change);
                }
            }
        }
    }

    /// Others may have changed anything without our hearing of it.
    fn doubt_all(&self) {
        self.tier.doubt_all();
        self.heads.doubt();
        self.recent.doubt();
        if self.storage.capabilities().is_shared {
            self.revocations.doubt();
            self.doubt_nodes();
        }
    }
}

/// For how long expired records are left alone, when the next is due in `due`, if that is known, and the rest before this one
/// was `rest` long and something was `found` after it.
fn rest_until(due: Option<Duration>, rest: Duration, found: bool, is_shared: bool) -> Duration {
    let shortest = if is_shared { SHORTEST_SHARED_REST } else { SHORTEST_REST };
    let rest = match due {
        Some(due) => due,
        None if found => shortest,
        None => rest * 2,
    };
    rest.clamp(shortest, LONGEST_REST)
}

/// From a half of it to one and a half, so that many nodes do not do the same at once.
fn jittered(pause: Duration) -> Duration {
    let jitter = jitter() % 1000;
    pause.mul_f64(0.5 + f64::from(jitter) / 1000.0)
}

/// Pauses that grow, with jitter, so that many nodes do not come back at once.
pub(crate) struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(SHORTEST_PAUSE)
    }
}

impl Pause {
    pub(crate) async fn wait(&mut self) {
        sleep(self.next()).await;
    }

    fn next(&mut self) -> Duration {
        let pause = jittered(self.0);
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_are_never_alike_and_never_a_second_long() {
        let (mut one, mut other) = (Pause::default(), Pause::default());
        let pauses: Vec<_> = (0..1000).map(|_| (one.next(), other.next())).collect();
        assert!(pauses.iter().all(|(one, other)| one.max(other) < &Duration::from_secs(1)));
        assert!(pauses.iter().skip(5).all(|(one, other)| one.min(other) >= &(LONGEST_PAUSE / 2)));
        assert!(pauses.iter().filter(|(one, other)| one == other).count() < 100);
    }

    #[test]
    fn nobody_looks_for_what_is_not_due_and_ever_more_seldom_for_what_is_not_found() {
        let seconds = Duration::from_secs;
        // Known: not before it is due, nor many times a second.
        assert_eq!(rest_until(Some(seconds(30)), seconds(1), false, false), seconds(30));
        assert_eq!(rest_until(Some(Duration::ZERO), seconds(30), true, false), seconds(1));
        assert_eq!(rest_until(Some(Duration::MAX), seconds(1), true, false), LONGEST_REST);
        // Not known.
        let mut rest = SHORTEST_REST;
        let mut rests = Vec::new();
        for _ in 0..8 {
            rest = rest_until(None, rest, false, true);
            rests.push(rest.as_secs());
        }
        assert_eq!(rests, [5, 10, 20, 40, 60, 60, 60, 60]);
        assert_eq!(rest_until(None, rest, true, true), SHORTEST_SHARED_REST);
        assert_eq!(rest_until(None, rest, true, false), SHORTEST_REST);
        for _ in 0..100 {
            assert!((seconds(30)..seconds(90)).contains(&jittered(seconds(60))));
        }
    }
}
