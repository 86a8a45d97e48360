//! When a session is over.

use std::time::Duration;

use crate::Millis;

/// The time-outs by which an application judges a session. Both are checked together, at every find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Over after so long without use; zero means no such bound.
    pub idle: Duration,
    /// Over so long after it began, used or not; zero means no such bound.
    pub lifetime: Duration,
}

/// What an application's time-outs say of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judgement {
    /// It may be used.
    Live,
    /// It was not used for too long.
    Idle,
    /// It is too old.
    Lifetime,
}

impl Timeouts {
    /// Judges a session that began at `begun` and was last used at `touched`.
    ///
    /// `grace` is how much later than `touched` somebody may have used it without our knowing: nobody is judged idle
    /// early. A session is over *at* its time, not a millisecond after it.
    #[must_use]
    pub fn judge(&self, begun: Millis, touched: Millis, now: Millis, grace: Duration) -> Judgement {
        if now >= bound(begun, self.lifetime, Duration::ZERO) {
            Judgement::Lifetime
        } else if now >= bound(touched, self.idle, grace) {
            Judgement::Idle
        } else {
            Judgement::Live
        }
    }

    /// When a session that nobody uses any more is over, [`Millis::NEVER`] if there is no bound.
    #[must_use]
    pub fn over_at(&self, begun: Millis, touched: Millis, grace: Duration) -> Millis {
        bound(begun, self.lifetime, Duration::ZERO).min(bound(touched, self.idle, grace))
    }
}

/// When the record of a session may go: when it is over for all applications of its realm.
#[must_use]
pub fn record_expiry<'a>(
    realm: impl IntoIterator<Item = &'a Timeouts>,
    begun: Millis,
    touched: Millis,
    grace: Duration,
) -> Millis {
    realm.into_iter().map(|timeouts| timeouts.over_at(begun, touched, grace)).max().unwrap_or(Millis::NEVER)
}

fn bound(from: Millis, length: Duration, grace: Duration) -> Millis {
    if length.is_zero() { Millis::NEVER } else { from.plus(length).plus(grace) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: Timeouts =
        Timeouts { idle: Duration::from_millis(10), lifetime: Duration::from_millis(100) };

    #[test]
    fn idle_is_over_at_its_millisecond() {
        let judge = |now| TIMEOUTS.judge(Millis(0), Millis(50), Millis(now), Duration::ZERO);
        assert_eq!(judge(59), Judgement::Live);
        assert_eq!(judge(60), Judgement::Idle);
    }

    #[test]
    fn grace_makes_idle_later_and_lifetime_not() {
        let judge =
            |touched, now| TIMEOUTS.judge(Millis(0), Millis(touched), Millis(now), Duration::from_millis(5));
        assert_eq!(judge(50, 64), Judgement::Live);
        assert_eq!(judge(50, 65), Judgement::Idle);
        assert_eq!(judge(99, 99), Judgement::Live);
        assert_eq!(judge(99, 100), Judgement::Lifetime);
    }

    #[test]
    fn zero_means_no_bound() {
        let none = Timeouts { idle: Duration::ZERO, lifetime: Duration::ZERO };
        assert_eq!(none.judge(Millis(0), Millis(0), Millis(u64::MAX >> 2), Duration::ZERO), Judgement::Live);
        assert_eq!(none.over_at(Millis(0), Millis(0), Duration::ZERO), Millis::NEVER);
    }

    #[test]
    fn a_record_stays_until_it_is_over_for_all_of_its_realm() {
        let patient = Timeouts { idle: Duration::from_millis(30), lifetime: Duration::ZERO };
        assert_eq!(record_expiry([&TIMEOUTS, &patient], Millis(0), Millis(50), Duration::ZERO), Millis(80));
        assert_eq!(record_expiry([], Millis(0), Millis(50), Duration::ZERO), Millis::NEVER);
    }

    #[test]
    fn a_touch_that_lies_ahead_is_not_idle() {
        assert_eq!(TIMEOUTS.judge(Millis(40), Millis(70), Millis(50), Duration::ZERO), Judgement::Live);
    }
}
