//! Moves everything from one storage to another, in the background.
//!
//! Requests take along what they ask for; this is for what nobody asks for. It begins again with each start and finds what
//! is there already; several gateways may do it at once.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use session::Handle;
use storage::{Migrating, Pass, Unavailable};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

/// How long a step, which is about a hundred records, takes at least: visitors need the storages too.
const STEP: Duration = Duration::from_millis(100);
/// The longest pause after a storage did not answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How often the log says how far it is.
const TELL_EVERY: Duration = Duration::from_mins(1);

/// How far it is, for the metrics.
#[derive(Debug)]
pub(super) struct Progress {
    moved: Gauge,
    left: Gauge,
    stuck: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    state: &'static str,
}

impl Progress {
    /// To be shown by `registry`; all zero where nothing moves.
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let family = Family::<Labels, Gauge>::default();
        registry.register(
            "storage_migration_records",
            "Records of the storage that `migrate_from` names: `moved` are in the new one, `left` are not yet, about, and `stuck` \
             are too large for it. `left` stands still above zero: one of the two storages does not answer, see the log",
            family.clone(),
        );
        let of = |state| family.get_or_create_owned(&Labels { state });
        Self { moved: of("moved"), left: of("left"), stuck: of("stuck") }
    }

    fn set(&self, pass: &Pass, all: u64) {
        let gone = pass.moved().saturating_add(pass.stuck());
        for (gauge, value) in
            [(&self.moved, pass.moved()), (&self.left, all.saturating_sub(gone)), (&self.stuck, pass.stuck())]
        {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }
}

/// Runs until it is dropped: when everything has moved, what others change in the old storage may have to follow.
pub(super) async fn run(migrating: Arc<Migrating>, progress: Progress) {
    // Gateways that start together need not do the same at the same moment.
    let jitter =
        Handle::random().map_or(0, |handle| u64::from(handle.as_bytes().first().copied().unwrap_or(0)));
    sleep(Duration::from_millis(jitter * 4)).await;
    loop {
        let pass = whole_pass(&migrating, &progress).await;
        if !pass.is_certain() {
            continue;
        }
        let (old, new) = (migrating.old_id(), storage::Storage::id(&*migrating));
        if pass.stuck() == 0 {
            tracing::info!(
                records = pass.moved(),
                "everything of `{old}` is in `{new}`; `migrate_from` can be removed"
            );
        } else {
            tracing::warn!(
                records = pass.moved(),
                stuck = pass.stuck(),
                "everything of `{old}` is in `{new}` but for records that are too large for it: those sessions are lost when \
                 `migrate_from` is removed"
            );
        }
        while pass.is_certain() {
            migrating.doubted().await;
        }
    }
}

async fn whole_pass(migrating: &Migrating, progress: &Progress) -> Pass {
    let mut pass = migrating.pass();
    let mut patience = Patience::default();
    let all = loop {
        match pass.count().await {
            Ok(all) => break all,
            Err(error) => patience.wait(&error).await,
        }
    };
    let mut steps = interval(STEP);
    steps.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = Instant::now();
    loop {
        steps.tick().await;
        let stepped = pass.step().await;
        progress.set(&pass, all);
        match stepped {
            Ok(true) => patience.pause = Duration::ZERO,
            Ok(false) => {
                progress.set(&pass, 0);
                return pass;
            }
            Err(error) => patience.wait(&error).await,
        }
        if told.elapsed() >= TELL_EVERY {
            told = Instant::now();
            let (old, new) = (migrating.old_id(), storage::Storage::id(migrating));
            tracing::info!(moved = pass.moved(), of = all, "records move from `{old}` to `{new}`");
        }
    }
}

/// Waits longer after each failure, and tells of them once in a while.
#[derive(Debug, Default)]
struct Patience {
    pause: Duration,
    told: Option<Instant>,
}

impl Patience {
    async fn wait(&mut self, error: &Unavailable) {
        if self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            self.told = Some(Instant::now());
            tracing::warn!(%error, "records do not move from one storage to the other for now; it is tried again");
        }
        self.pause = (self.pause * 2).clamp(Duration::from_millis(200), LONGEST_PAUSE);
        sleep(self.pause).await;
    }
}
