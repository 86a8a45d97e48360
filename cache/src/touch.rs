//! Writing down when sessions were last used.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use futures_util::stream::iter;
use session::{Millis, Session};
use storage::{Touch, Unavailable};

use crate::Cache;
use crate::application::Application;
use crate::held::{Held, Seen};
use crate::housekeeping::Pause;

/// When a touch that failed is due again.
pub(crate) const TOUCH_AGAIN: Duration = Duration::from_secs(1);
/// How many last uses are written at once.
const WIDTH: usize = 64;

impl Cache {
    /// Writes the last uses that storage does not know yet, and tries once more to end what waits for its end. For an
    /// orderly stop; it ends at the first failure of either, for storage in trouble must not hold up the stop.
    pub async fn flush(&self) {
        self.write_what_waited(Millis::NEVER).await;
        let unwritten: Vec<_> = self.tier.all().into_iter().filter(|held| held.seen.is_unwritten()).collect();
        let uses = iter(unwritten.into_iter().map(Ok))
            .try_for_each_concurrent(WIDTH, |held| async move { self.write_last_use(&held).await });
        if let Err(error) = uses.await {
            tracing::warn!(%error, "the last uses of sessions were not written; they look idle a little earlier");
        }
        self.end_what_waits().await;
    }

    /// Writes the last use of a session, beside the request.
    pub(crate) fn touch(
        &self,
        session: &Arc<Session>,
        seen: &Arc<Seen>,
        application: &Application,
        now: Millis,
    ) {
        if self.can_wait(seen, application, now) {
            return self.gather(session, seen, application, now);
        }
        let Ok(key) = self.key(&session.handle) else { return };
        let times = Self::times(&application.realm, session, now);
        let (handle, interval) = (session.handle, application.touch_interval);
        let (storage, tier, late) =
            (Arc::clone(&self.storage), Arc::clone(&self.tier), Arc::clone(&self.late));
        let prolongation = self.prolongation(session, seen, times.expires, &application.realm);
        let seen = Arc::clone(seen);
        let (touched, failed) = (self.counters.touched.clone(), self.counters.touches_failed.clone());
        tokio::spawn(async move {
            // Before the record, so that its time says what the entry has.
            if let Some(prolongation) = prolongation {
                prolongation.write().await;
            }
            match storage.touch(&key, times).await {
                Ok(Touch::Touched) => {
                    seen.wrote(times.touched);
                    touched.inc()
                }
                // It was ended or has gone, and the change stream did not say so, or not yet.
                Ok(Touch::Absent | Touch::Buried(_)) => {
                    tier.end(&handle);
                    touched.inc()
                }
                Err(error) => {
                    seen.failed(times, now.plus(TOUCH_AGAIN), interval);
                    late.notify_one();
                    tracing::debug!(%error, "the last use of a session was not written; it will be tried again");
                    failed.inc()
                }
            };
        });
    }

    /// Repeats touches that failed until storage confirms them: who was there in an outage must not be called idle after
    /// it, not by another node or after a restart either.
    pub(crate) async fn repeat_touches(&self) {
        loop {
            self.late.notified().await;
            let mut pause = Pause::default();
            loop {
                pause.wait().await;
                if self.write_late_uses().await.is_ok() {
                    break;
                }
            }
        }
    }

    /// Stops at the first failure: storage has enough trouble.
    async fn write_late_uses(&self) -> Result<(), Unavailable> {
        let late: Vec<_> = self.tier.all().into_iter().filter(|held| held.seen.is_late()).collect();
        iter(late.into_iter().map(Ok))
            .try_for_each_concurrent(WIDTH, |held| async move { self.write_last_use(&held).await })
            .await
    }

    async fn write_last_use(&self, held: &Held) -> Result<(), Unavailable> {
        let handle = &held.session.handle;
        let times = held.seen.times();
        match self.storage.touch(&self.key(handle)?, times).await? {
            Touch::Touched => held.seen.wrote(times.touched),
            Touch::Absent | Touch::Buried(_) => self.tier.end(handle),
        }
        self.counters.touched.inc();
        Ok(())
    }
}
