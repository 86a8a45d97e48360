//! How long this process may go by what it has heard.
//!
//! Where others write to the same storage, a copy is good because the change stream would have said otherwise. When
//! that stream has ended, storage is asked for each request. If it cannot be asked either, what was known is good for
//! `trust_window` after the stream was last known to be whole, and no longer: that is the longest for which an end
//! elsewhere is not seen here (law 1), and the outage that nobody notices (law 3). `danger_outage_window` makes both longer.
//!
//! ```text
//!   last notice that can have come      the stream ends             copies are good until here
//!   |------- at most `unnoticed` -------|                            |
//!   |------------- `trust_window` and `danger_outage_window` --------|
//! ```
//!
//! The end of the stream doubts nothing, its return doubts everything, before it counts as heard again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use crate::sync::{AtomicBool, AtomicU64};

/// How long storage is not asked again on behalf of those for whom there is a good copy, once it had no answer: whoever
/// is asked in vain makes visitors wait for nothing.
const IN_VAIN: Duration = Duration::from_secs(1);

/// What was heard, and when. Times are milliseconds since `begun`, and 0 is never.
#[derive(Debug)]
pub(crate) struct Trust {
    /// `None` where nobody else writes: there everything is heard.
    window: Option<Duration>,
    /// How much longer what was heard is good where storage has no answer: a named choice (law 8).
    outage_window: Duration,
    begun: Instant,
    is_hearing: AtomicBool,
    /// Until when what was heard is good, once the stream has ended.
    until: AtomicU64,
    /// When storage was last asked in vain.
    vain: AtomicU64,
}

impl Trust {
    /// Nothing was heard yet.
    pub(crate) fn new(window: Option<Duration>, outage_window: Duration) -> Self {
        Self {
            window,
            outage_window,
            begun: Instant::now(),
            is_hearing: AtomicBool::new(false),
            until: AtomicU64::new(0),
            vain: AtomicU64::new(0),
        }
    }

    /// The change stream is heard.
    pub(crate) fn hear(&self) {
        self.is_hearing.store(true, Ordering::Release);
    }

    /// The change stream has ended; it may have missed what happened for as long as `unnoticed` before.
    pub(crate) fn lose(&self, unnoticed: Duration) {
        let Some(window) = self.window else { return };
        // Before it is known that nothing is heard, so that nobody finds neither.
        if self.is_hearing.load(Ordering::Acquire) {
            let good = window.saturating_add(self.outage_window).saturating_sub(unnoticed);
            // In its first millisecond a process would take a window of nothing for one of a millisecond.
            let until = if good.is_zero() { 0 } else { self.at(Instant::now() + good) };
            self.until.store(until, Ordering::Release);
            self.is_hearing.store(false, Ordering::Release);
        }
    }

    /// Storage could not be asked.
    pub(crate) fn ask_in_vain(&self) {
        if self.window.is_some() {
            self.vain.fetch_max(self.at(Instant::now()), Ordering::AcqRel);
        }
    }

    /// Whether others may have changed what nothing was heard of.
    pub(crate) fn is_deaf(&self) -> bool {
        self.window.is_some_and(|window| window.is_zero() || !self.is_hearing.load(Ordering::Acquire))
    }

    /// Whether what was known is good enough where storage cannot be asked.
    pub(crate) fn holds(&self) -> bool {
        self.window.is_some_and(|window| {
            let until = || Duration::from_millis(self.until.load(Ordering::Acquire));
            let is_nothing = window.is_zero() && self.outage_window.is_zero();
            !is_nothing && (self.is_hearing.load(Ordering::Acquire) || self.begun.elapsed() < until())
        })
    }

    /// Whether somebody has just asked storage in vain.
    pub(crate) fn is_in_vain(&self) -> bool {
        self.is_within(&self.vain, IN_VAIN)
    }

    fn is_within(&self, moment: &AtomicU64, window: Duration) -> bool {
        let moment = moment.load(Ordering::Acquire);
        moment > 0 && self.begun.elapsed() < Duration::from_millis(moment).saturating_add(window)
    }

    fn at(&self, moment: Instant) -> u64 {
        let since = moment.saturating_duration_since(self.begun).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);
    const UNNOTICED: Duration = Duration::from_secs(4);
    const MILLISECOND: Duration = Duration::from_millis(1);

    #[tokio::test(start_paused = true)]
    async fn what_was_heard_is_good_for_the_window_and_not_a_millisecond_longer() {
        let trust = Trust::new(Some(WINDOW), Duration::ZERO);
        assert!(!trust.holds() && trust.is_deaf(), "nothing was heard");
        trust.lose(UNNOTICED);
        assert!(!trust.holds(), "what was never heard cannot be lost");
        trust.hear();
        advance(WINDOW * 2).await;
        assert!(trust.holds() && !trust.is_deaf());
        trust.lose(UNNOTICED);
        assert!(trust.is_deaf());
        // It may have been silent for a while before that was noticed.
        advance(WINDOW.saturating_sub(UNNOTICED + MILLISECOND)).await;
        assert!(trust.holds());
        trust.lose(UNNOTICED);
        advance(MILLISECOND).await;
        assert!(!trust.holds(), "to lose it twice prolongs nothing");
        trust.hear();
        assert!(trust.holds() && !trust.is_deaf());
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_window_is_good_for_as_much_longer_and_not_a_millisecond_more() {
        for window in [WINDOW, UNNOTICED, Duration::ZERO] {
            let trust = Trust::new(Some(window), WINDOW * 60);
            trust.hear();
            trust.lose(UNNOTICED);
            assert!(trust.is_deaf(), "storage is asked first");
            advance((window + WINDOW * 60).saturating_sub(UNNOTICED + MILLISECOND)).await;
            assert!(trust.holds(), "{window:?}");
            advance(MILLISECOND).await;
            assert!(!trust.holds(), "{window:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_that_is_over_before_anybody_notices_is_of_no_use() {
        let trust = Trust::new(Some(UNNOTICED), Duration::ZERO);
        trust.hear();
        advance(MILLISECOND).await;
        trust.lose(UNNOTICED * 2);
        assert!(!trust.holds());
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_of_nothing_trusts_nothing_and_who_is_alone_hears_everything() {
        let none = Trust::new(Some(Duration::ZERO), Duration::ZERO);
        let alone = Trust::new(None, WINDOW);
        none.hear();
        assert!(none.is_deaf() && !none.holds());
        alone.lose(UNNOTICED);
        assert!(!alone.is_deaf());
    }

    #[tokio::test(start_paused = true)]
    async fn storage_that_had_no_answer_is_left_alone_for_a_second() {
        let trust = Trust::new(Some(WINDOW), Duration::ZERO);
        assert!(!trust.is_in_vain());
        advance(MILLISECOND).await;
        trust.ask_in_vain();
        assert!(trust.is_in_vain());
        advance(IN_VAIN).await;
        assert!(!trust.is_in_vain());
    }
}
