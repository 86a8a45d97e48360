//! Time, in milliseconds since the Unix epoch, UTC.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A moment: milliseconds since the Unix epoch, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(pub u64);

impl Millis {
    /// Later than every moment: "does not expire". Fits the signed 64 bits of SQL databases.
    pub const NEVER: Self = Self(i64::MAX as u64);

    /// This moment and `duration` more; [`Millis::NEVER`] stays never, and nothing goes beyond it.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis)).min(Self::NEVER)
    }

    /// This moment and `duration` less, but not before the beginning of time.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// Where the time comes from.
pub trait Clock: fmt::Debug + Send + Sync {
    /// The present moment. Never goes backwards within one process.
    fn now(&self) -> Millis;
}

/// The system's clock, held when it is set back.
///
/// A session that was judged over must not come back because somebody corrected the time, so this clock waits until
/// the system's has caught up. A leap ahead is believed: nothing here could tell it from a suspended machine.
#[derive(Debug, Default)]
pub struct SystemClock {
    latest: AtomicU64,
}

impl Clock for SystemClock {
    fn now(&self) -> Millis {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
        let latest = self.latest.load(Ordering::Relaxed);
        // Written once a millisecond at most, so that the cores do not fight over the line.
        if wall > latest {
            self.latest.fetch_max(wall, Ordering::Relaxed);
            Millis(wall)
        } else {
            Millis(latest)
        }
    }
}

/// A clock that stands still until a test moves it, in either direction.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub const fn at(now: Millis) -> Self {
        Self(AtomicU64::new(now.0))
    }

    /// Moves the clock ahead.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().plus(by));
    }

    /// Sets the clock, back as well as ahead.
    pub fn set(&self, now: Millis) {
        self.0.store(now.0, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Millis {
        Millis(self.0.load(Ordering::SeqCst))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_stays_never() {
        assert_eq!(Millis::NEVER.plus(Duration::from_secs(1)), Millis::NEVER);
        assert_eq!(Millis(5).plus(Duration::MAX), Millis::NEVER);
    }

    #[test]
    fn what_lies_ahead_was_no_time_ago() {
        assert_eq!(Millis(5).since(Millis(9)), Duration::ZERO);
        assert_eq!(Millis(9).since(Millis(5)), Duration::from_millis(4));
    }

    #[test]
    fn the_system_clock_does_not_go_back() {
        let clock = SystemClock { latest: AtomicU64::new(Millis::NEVER.0) };
        assert_eq!(clock.now(), Millis::NEVER);
    }
}
