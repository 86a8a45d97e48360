//! What is counted, and told in the end.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What happened to the Cluster.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    Killed,
    Whole,
}

/// Counts, and moments in milliseconds since the beginning.
pub(crate) struct Tally {
    began: Instant,
    killed: AtomicU64,
    whole: AtomicU64,
    opened: AtomicU64,
    found: AtomicU64,
    refused: AtomicU64,
    ended: AtomicU64,
    unavailable: AtomicU64,
    ends_refused: AtomicU64,
    /// When an end was first and last refused.
    refusals: Mutex<Option<(u64, u64)>>,
    /// Ended sessions that another gateway still showed, and for how long at most, in milliseconds.
    late: AtomicU64,
    latest: AtomicU64,
    undone: AtomicU64,
    logged_out: AtomicU64,
    strange: Mutex<Vec<String>>,
    settled: Mutex<(usize, usize, usize)>,
}

impl Tally {
    pub(crate) fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            began: Instant::now(),
            killed: zero(),
            whole: zero(),
            opened: zero(),
            found: zero(),
            refused: zero(),
            ended: zero(),
            unavailable: zero(),
            ends_refused: zero(),
            refusals: Mutex::default(),
            late: zero(),
            latest: zero(),
            undone: zero(),
            logged_out: zero(),
            strange: Mutex::default(),
            settled: Mutex::default(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(crate) fn mark(&self, moment: Moment) {
        let mark = match moment {
            Moment::Killed => &self.killed,
            Moment::Whole => &self.whole,
        };
        mark.store(self.now(), Relaxed);
    }

    pub(crate) fn opened(&self) {
        self.opened.fetch_add(1, Relaxed);
    }

    /// A session of somebody who did not log out.
    pub(crate) fn found(&self) {
        self.found.fetch_add(1, Relaxed);
    }

    /// One of somebody who did.
    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(crate) fn ended(&self) {
        self.ended.fetch_add(1, Relaxed);
    }

    pub(crate) fn unavailable(&self) {
        self.unavailable.fetch_add(1, Relaxed);
    }

    pub(crate) fn end_refused(&self) {
        self.ends_refused.fetch_add(1, Relaxed);
        let now = self.now();
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        *refusals = Some((refusals.map_or(now, |(first, _)| first), now));
    }

    /// An ended session was shown, so long after the end, which is within what is promised.
    pub(crate) fn late(&self, after: Duration) {
        self.late.fetch_add(1, Relaxed);
        self.latest.fetch_max(u64::try_from(after.as_millis()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(crate) fn undone(&self, after: Duration) {
        self.undone.fetch_add(1, Relaxed);
        self.strange(format!("a session was shown {} ms after its end was acknowledged", after.as_millis()));
    }

    pub(crate) fn logged_out(&self) {
        self.logged_out.fetch_add(1, Relaxed);
        let ago = self.now().saturating_sub(self.killed.load(Relaxed));
        self.strange(format!("somebody was logged out who had not asked for it, {ago} ms after the kill"));
    }

    pub(crate) fn strange(&self, what: String) {
        self.strange.lock().unwrap_or_else(PoisonError::into_inner).push(what);
    }

    pub(crate) fn settled(&self, staying: usize, gone: usize, unsure: usize) {
        *self.settled.lock().unwrap_or_else(PoisonError::into_inner) = (staying, gone, unsure);
    }

    /// What must not be, the first of each.
    pub(crate) fn wrong(&self) -> Vec<String> {
        let mut wrong = self.strange.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if [&self.found, &self.ended, &self.refused].iter().any(|count| count.load(Relaxed) < 100) {
            wrong.push("there was hardly any load".to_owned());
        }
        wrong.truncate(20);
        wrong
    }

    pub(crate) fn told(&self) -> String {
        let of = |count: &AtomicU64| count.load(Relaxed);
        let killed = of(&self.killed);
        let refusals = *self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let refusals = refusals.map_or("never".to_owned(), |(first, last)| {
            format!("{} to {} ms after the kill", first.saturating_sub(killed), last.saturating_sub(killed))
        });
        let (staying, gone, unsure) = *self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        format!(
            "\
# A primary of a Redis Cluster dies under load

Three gateways on six nodes, `min_replicas = 1`; the primary was killed {killed} ms after the beginning, started again 5 s later,
and the Cluster was whole again {} ms after the kill. Written by `cargo xtask example cluster`.

| what | how many |
|---|---|
| sessions opened | {} |
| asked for and found | {} |
| logouts acknowledged | {} |
| ended sessions asked for, and refused | {} |
| of ended sessions shown once more, before the news had come | {}, at most {} ms after the end |
| answers 503, which log nobody out | {} |
| logouts refused with 503 | {} ({refusals}) |
| in the end: asked for at all gateways, and in | {staying} |
| in the end: asked for at all gateways, and out | {gone} |
| of these, logouts that were refused at first and acknowledged when tried again | {unsure} |
| **ends undone** | **{}** |
| **logged out without having asked for it** | **{}** |
",
            of(&self.whole).saturating_sub(killed),
            of(&self.opened),
            of(&self.found),
            of(&self.ended),
            of(&self.refused),
            of(&self.late),
            of(&self.latest),
            of(&self.unavailable),
            of(&self.ends_refused),
            of(&self.undone),
            of(&self.logged_out),
        )
    }
}
