//! Last uses that wait for others, to be written together.
//!
//! A site with 100 000 sessions in use has more than a thousand last uses to write each second, however rarely each of them is
//! written. Storage takes those of one context in one write, so a use that is due waits until others of its context are.
//!
//! Each session is written at most once in `touch_interval`, counted from when that was done. What was written then may be as
//! old as that one had waited, and the next waits as long: so what storage says of a session may be twice `touch_interval` old,
//! and whoever judges by it adds as much ([`Realm::lateness`]).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::iter;
use parking_lot::Mutex;
use session::{Handle, Millis, Session};
use storage::{Batch, Key, Operation, Times, Touch};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::Cache;
use crate::application::{Application, Realm};
use crate::held::Seen;
use crate::touch::TOUCH_AGAIN;

/// How often it is looked which contexts have waited for long enough.
const TICK: Duration = Duration::from_secs(1);
/// How many contexts are written at once.
const WIDTH: usize = 8;
/// How many last uses are written together at most.
const MOST: usize = 256;
/// How many sessions of a batch may turn out to be gone before the others are written one by one.
const MOST_GONE: usize = 4;

/// The last uses that wait, by the context of their records.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    contexts: Mutex<HashMap<u8, Waiting>>,
    arrived: Notify,
}

/// Those of one context.
#[derive(Debug)]
struct Waiting {
    /// When the first of them has waited for long enough.
    until: Millis,
    uses: HashMap<Handle, Use>,
}

/// A session that was used.
#[derive(Debug)]
struct Use {
    session: Arc<Session>,
    seen: Arc<Seen>,
    realm: Arc<Realm>,
    interval: Duration,
    /// Not everything that was seen is in one account, where this process keeps no copies.
    touched: Millis,
}

impl Cache {
    /// How long a last use that is due waits for others at most, until it is looked for.
    fn gathers_for(&self, application: &Application) -> Duration {
        self.settings.gather_touches.min(application.touch_interval / 2).saturating_sub(TICK)
    }

    /// How long it can take until a use is written that is due.
    pub(crate) fn gathers_at_most(&self, application: &Application) -> Duration {
        let wait = self.gathers_for(application);
        if wait.is_zero() { wait } else { wait + TICK }
    }

    /// Whether the last use of a session can wait. Not if storage is so far behind that another node could judge it idle
    /// meanwhile: whoever comes back late is written at once.
    pub(crate) fn can_wait(&self, seen: &Seen, application: &Application, now: Millis) -> bool {
        let wait = self.gathers_for(application);
        let bounds = application.realm.timeouts.iter().map(|timeouts| timeouts.idle);
        let soonest = bounds.filter(|idle| !idle.is_zero()).min().unwrap_or(Duration::MAX);
        !wait.is_zero() && now.since(seen.written()) + wait + TICK < soonest
    }

    /// Has the last use of a session written with those of others.
    pub(crate) fn gather(
        &self,
        session: &Arc<Session>,
        seen: &Arc<Seen>,
        application: &Application,
        now: Millis,
    ) {
        let [context, ..] = *session.handle.as_bytes();
        let mut contexts = self.gathered.contexts.lock();
        if contexts.is_empty() {
            self.gathered.arrived.notify_one();
        }
        let until = now.plus(self.gathers_for(application));
        let waiting = contexts.entry(context).or_insert_with(|| Waiting { until, uses: HashMap::new() });
        waiting.until = waiting.until.min(until);
        let used = waiting.uses.entry(session.handle).or_insert_with(|| Use {
            session: Arc::clone(session),
            seen: Arc::clone(seen),
            realm: Arc::clone(&application.realm),
            interval: application.touch_interval,
            touched: now,
        });
        used.touched = used.touched.max(now);
    }

    /// Writes what has waited for long enough, as long as something waits.
    pub(crate) async fn write_gathered(&self) {
        loop {
            self.gathered.arrived.notified().await;
            while !self.gathered.contexts.lock().is_empty() {
                sleep(TICK).await;
                self.write_what_waited(self.clock.now()).await;
            }
        }
    }

    /// Writes the contexts of which something has waited for long enough by `now`.
    pub(crate) async fn write_what_waited(&self, now: Millis) {
        let has_waited = |_: &u8, waiting: &mut Waiting| waiting.until <= now;
        let ready: Vec<Waiting> =
            self.gathered.contexts.lock().extract_if(has_waited).map(|(_, waiting)| waiting).collect();
        iter(ready)
            .for_each_concurrent(WIDTH, |waiting| async move {
                let mut uses: Vec<Use> = waiting.uses.into_values().collect();
                while !uses.is_empty() {
                    let rest = uses.split_off(uses.len().min(MOST));
                    self.write_together(uses).await;
                    uses = rest;
                }
            })
            .await;
    }

    /// Writes last uses of one context with one write, if none of the sessions is gone.
    async fn write_together(&self, uses: Vec<Use>) {
        let mut uses: Vec<(Key, Times, Use)> = uses
            .into_iter()
            .filter_map(|used| {
                let touched = used.touched.max(used.seen.last());
                let times = Self::times(&used.realm, &used.session, touched);
                Some((self.key(&used.session.handle).ok()?, times, used))
            })
            .collect();
        // Before the records, so that their time says what the entries have.
        iter(&uses)
            .for_each_concurrent(WIDTH, |(_, times, used)| async {
                let prolongation = self.prolongation(&used.session, &used.seen, times.expires, &used.realm);
                if let Some(prolongation) = prolongation {
                    prolongation.write().await;
                }
            })
            .await;
        for _ in 0..MOST_GONE {
            let touches = uses.iter().map(|(key, times, _)| Operation::Touch(key.clone(), *times)).collect();
            match self.storage.batch(touches).await {
                Ok(Batch::Done(_)) => return self.wrote(&uses),
                Ok(Batch::Refused { index, .. }) if index < uses.len() => {
                    let (_, _, gone) = uses.swap_remove(index);
                    self.tier.end(&gone.session.handle);
                }
                // An engine that refuses what was not asked is not to be asked so again.
                Ok(Batch::Refused { .. }) => break,
                Err(error) => {
                    tracing::debug!(%error, "the last uses of sessions were not written; they will be tried again");
                    return self.failed(&uses);
                }
            }
        }
        iter(&uses)
            .for_each_concurrent(WIDTH, |used| async move {
                let (key, times, gone) = used;
                match self.storage.touch(key, *times).await {
                    Ok(Touch::Touched) => self.wrote(std::slice::from_ref(used)),
                    Ok(Touch::Absent | Touch::Buried(_)) => self.tier.end(&gone.session.handle),
                    Err(_) => self.failed(std::slice::from_ref(used)),
                }
            })
            .await;
    }

    fn wrote(&self, uses: &[(Key, Times, Use)]) {
        let now = self.clock.now();
        for (_, times, used) in uses {
            used.seen.wrote(times.touched);
            used.seen.was_written_at(now);
        }
        self.counters.touched.inc_by(uses.len() as u64);
    }

    fn failed(&self, uses: &[(Key, Times, Use)]) {
        let again = self.clock.now().plus(TOUCH_AGAIN);
        for (_, times, used) in uses {
            used.seen.failed(*times, again, used.interval);
        }
        self.counters.touches_failed.inc_by(uses.len() as u64);
        self.late.notify_one();
    }
}
