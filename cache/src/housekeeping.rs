//! What goes on beside the requests.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use session::{Millis, Session};
use storage::{Kind, Notice, Touch};
use tokio::time::sleep;

use crate::Cache;
use crate::application::Application;
use crate::cache::handle_of;
use crate::held::Seen;

/// How often expired records are looked for.
const REAP_EVERY: Duration = Duration::from_secs(1);
/// How many expired records are removed at once, so that no writer waits for long.
const REAP_BUDGET: usize = 500;
/// When a touch that failed is due again.
const TOUCH_AGAIN: Duration = Duration::from_secs(1);
/// The longest pause between two attempts of an end that waits, or of opening the change stream.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How many last uses are written at once when the process stops.
const FLUSH_WIDTH: usize = 64;

impl Cache {
    /// Reaps, follows the change stream, and repeats ends until storage confirms them. Runs until it is dropped.
    pub async fn keep_house(self: Arc<Self>) {
        tokio::join!(self.reap(), self.follow(), self.repeat_ends());
    }

    /// Writes the last uses that storage does not know yet. For an orderly stop.
    pub async fn flush(&self) {
        let unwritten = self.tier.all().into_iter().filter(|held| held.seen.is_unwritten());
        iter(unwritten)
            .for_each_concurrent(FLUSH_WIDTH, |held| async move {
                let Ok(key) = self.key(&held.session.handle) else { return };
                let touched = held.seen.last();
                // The later of each is kept, so that a time of its own does no harm to `expires`.
                let times = storage::Times { touched, expires: touched };
                if let Err(error) = self.storage.touch(&key, times).await {
                    tracing::warn!(%error, "the last use of a session was not written");
                }
            })
            .await;
    }

    /// How many bytes the first tier takes, and how many sessions it holds.
    #[must_use]
    pub fn first_tier_size(&self) -> (u64, usize) {
        self.tier.size()
    }

    /// Writes the last use of a session, beside the request.
    pub(crate) fn touch(
        &self,
        session: &Arc<Session>,
        seen: &Arc<Seen>,
        application: &Application,
        now: Millis,
    ) {
        let Ok(key) = self.key(&session.handle) else { return };
        let times = Self::times(&application.realm, session, now);
        let (storage, seen) = (Arc::clone(&self.storage), Arc::clone(seen));
        let (touched, failed) = (self.counters.touched.clone(), self.counters.touches_failed.clone());
        let interval = application.touch_interval;
        tokio::spawn(async move {
            match storage.touch(&key, times).await {
                // If it is gone, the change stream says so, or the next reader sees it.
                Ok(Touch::Touched | Touch::Absent | Touch::Buried(_)) => touched.inc(),
                Err(error) => {
                    seen.failed(now.plus(TOUCH_AGAIN), interval);
                    tracing::debug!(%error, "the last use of a session was not written; it will be tried again");
                    failed.inc()
                }
            };
        });
    }

    async fn reap(&self) {
        loop {
            sleep(REAP_EVERY).await;
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
        }
    }

    async fn follow(&self) {
        let mut pause = Pause::default();
        loop {
            match self.storage.watch(None).await {
                Ok(mut changes) => {
                    // What changed before the stream began is not known.
                    self.tier.clear();
                    pause = Pause::default();
                    while let Some(notice) = changes.next().await {
                        self.hear(&notice);
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "the change stream cannot be followed; it will be tried again")
                }
            }
            pause.wait().await;
        }
    }

    fn hear(&self, notice: &Notice) {
        match notice {
            Notice::Gap => self.tier.clear(),
            Notice::Change(change) => {
                let Some(handle) = handle_of(&change.key) else { return };
                match change.kind {
                    Kind::Written => self.tier.outdate(&handle, change.version),
                    Kind::Buried => self.tier.end(&handle),
                }
            }
        }
    }

    async fn repeat_ends(&self) {
        loop {
            let mut pause = Pause::default();
            loop {
                let waiting = self.outbox.all();
                if waiting.is_empty() {
                    break;
                }
                for (handle, burial) in waiting {
                    let why = burial.ending.why;
                    match self.bury(&handle, burial).await {
                        Ok(_) => {
                            self.counters.count_end(why);
                            self.outbox.remove(&handle);
                        }
                        Err(error) => {
                            tracing::warn!(%error, %handle, "the end of a session is not confirmed; it will be repeated");
                            break;
                        }
                    }
                }
                pause.wait().await;
            }
            self.outbox.arrived.notified().await;
        }
    }
}

/// Pauses that grow, with jitter, so that many nodes do not come back at once.
struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(Duration::from_millis(50))
    }
}

impl Pause {
    async fn wait(&mut self) {
        let jitter = getrandom::u32().unwrap_or(0) % 1000;
        sleep(self.0.mul_f64(0.5 + f64::from(jitter) / 1000.0)).await;
        self.0 = (self.0 * 2).min(LONGEST_PAUSE);
    }
}
