//! Whether a server is asked, judged by what became of the requests that were sent to it.
//!
//! A server that fails [`FAILURES`] times in a row is left alone for a while; then one request tries it, and whether that
//! goes well decides if it comes back or stays away for twice as long. Nothing is asked of it beside real requests. Times
//! are milliseconds since the upstream was made.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// So many failures in a row, and none of them by the client.
const FAILURES: u32 = 3;

/// The first time away, and the longest.
const SHORTEST: u64 = 1_000;
const LONGEST: u64 = 60_000;

/// What is known of a server.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// In a row.
    failures: AtomicU32,
    /// How often it was taken out since it last answered.
    times_out: AtomicU32,
    /// 0 is in.
    out_until: AtomicU64,
}

/// Whether a server may be asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    In,
    /// It was out. This one request may see whether it is back.
    Probe,
    Out,
}

impl Health {
    /// Whether the server may be asked. Who is told to probe has `hold` for it before the next one may.
    pub(crate) fn admit(&self, now: u64, hold: u64) -> Admission {
        let until = self.out_until.load(Ordering::Relaxed);
        if until == 0 {
            return Admission::In;
        }
        let next = now.saturating_add(hold.max(1));
        let may_probe = now >= until
            && self.out_until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if may_probe { Admission::Probe } else { Admission::Out }
    }

    /// Until when it is out; 0 if it is in.
    pub(crate) fn out_until(&self) -> u64 {
        self.out_until.load(Ordering::Relaxed)
    }

    /// It answered. Whether it was out until now.
    pub(crate) fn succeeded(&self) -> bool {
        // Nearly always there is nothing to write.
        if self.failures.load(Ordering::Relaxed) == 0 && self.out_until() == 0 {
            return false;
        }
        self.failures.store(0, Ordering::Relaxed);
        self.times_out.store(0, Ordering::Relaxed);
        self.out_until.swap(0, Ordering::Relaxed) != 0
    }

    /// It failed. For how long it is out now, if that takes it out; `jitter` is from 0 to 255.
    pub(crate) fn failed(&self, admission: Admission, now: u64, jitter: u8) -> Option<u64> {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let until = self.out_until();
        let goes = match admission {
            Admission::Probe => true,
            // What was sent before it went out says nothing new.
            Admission::In | Admission::Out => until == 0 && failures >= FAILURES,
        };
        if !goes {
            return None;
        }
        let longest = SHORTEST
            .checked_shl(self.times_out.load(Ordering::Relaxed))
            .map_or(LONGEST, |time| time.min(LONGEST));
        // From half of it to all of it, so that many gateways do not come back at once.
        let time = longest / 2 + longest / 2 * u64::from(jitter) / 255;
        let next = now.saturating_add(time).max(1);
        let is_ours =
            self.out_until.compare_exchange(until, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        is_ours.then(|| {
            self.times_out.fetch_add(1, Ordering::Relaxed);
            time
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fail(health: &Health, now: u64) -> Option<u64> {
        health.failed(health.admit(now, 5_000), now, 255)
    }

    #[test]
    fn failures_in_a_row_take_a_server_out_and_one_request_brings_it_back() {
        let health = Health::default();
        assert_eq!((fail(&health, 1), fail(&health, 2)), (None, None));
        assert!(!health.succeeded());
        assert_eq!((fail(&health, 3), fail(&health, 4), fail(&health, 5)), (None, None, Some(1_000)));
        assert_eq!(health.admit(1_004, 5_000), Admission::Out);
        // One may try; the others do not until that one had its time.
        assert_eq!(health.admit(1_005, 5_000), Admission::Probe);
        assert_eq!(health.admit(1_005, 5_000), Admission::Out);
        assert_eq!(health.admit(6_004, 5_000), Admission::Out);
        assert!(health.succeeded());
        assert_eq!(health.admit(6_005, 5_000), Admission::In);
        assert_eq!((fail(&health, 6_006), fail(&health, 6_007)), (None, None));
    }

    #[test]
    fn a_server_that_stays_away_is_tried_less_and_less_often() {
        let health = Health::default();
        let mut now = 10;
        fail(&health, now);
        fail(&health, now);
        let mut times = vec![fail(&health, now).unwrap()];
        for _ in 0..8 {
            now += times.last().unwrap();
            assert_eq!(health.admit(now, 5_000), Admission::Probe);
            times.push(health.failed(Admission::Probe, now, 255).unwrap());
        }
        assert_eq!(times, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000]);
        assert_eq!(health.failed(Admission::Probe, now, 0), Some(30_000), "half of it is chance");
    }

    #[test]
    fn what_was_under_way_does_not_count_again() {
        let health = Health::default();
        let under_way: Vec<Admission> = (0..100).map(|_| health.admit(0, 5_000)).collect();
        let outs = under_way.into_iter().filter_map(|admission| health.failed(admission, 1, 255));
        assert_eq!(outs.collect::<Vec<_>>(), [1_000]);
    }

    #[test]
    fn a_probe_of_which_nothing_is_heard_does_not_keep_a_server_away() {
        let health = Health::default();
        assert_eq!([(); 3].map(|()| fail(&health, 0)), [None, None, Some(1_000)]);
        assert_eq!(health.admit(2_000, 5_000), Admission::Probe);
        assert_eq!(health.admit(7_000, 5_000), Admission::Probe);
    }
}
