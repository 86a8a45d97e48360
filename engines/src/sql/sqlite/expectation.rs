//! For how many the writer waits before it writes, and for how long.
//!
//! A commit costs the same for one as for many, and whoever is answered asks again soon. So it pays to let a group grow
//! a little. It does not pay to wait for all who write: then the disk has nothing to do while they are answered and ask
//! again, and the processors have nothing to do while it writes. With a little more than half of them, the others gather
//! while those are written.
//!
//! Who writes alone never waits. Nobody waits longer than a group takes, and where the others do not come, more groups
//! go by each time before it is tried again.

use std::time::Duration;

/// What is waited for, of those who write: so many of so many.
const SHARE: (usize, usize) = (5, 8);
/// The longest wait, if groups take longer. With more, the disk rests too long where processors are idle.
const LONGEST: Duration = Duration::from_micros(100);
/// The most groups that go by after a wait in vain.
const MOST_SKIPPED: u32 = 63;
/// Of the writers that were seen, so many are forgotten with each group: one of this number, rounded up.
const FORGOTTEN: usize = 16;

/// What the last groups say about the next one.
#[derive(Debug, Default)]
pub(super) struct Expectation {
    /// How many seem to write without pause.
    writers: usize,
    /// How long the last group took.
    took: Duration,
    /// How many groups go by after the next wait in vain, and how many still do after the last one.
    to_skip: u32,
    skipping: u32,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wait {
    /// How many.
    pub(super) count: usize,
    /// For how long at most, while there are fewer. If there is nobody at all, the wait for the first has no bound.
    pub(super) patience: Duration,
}

impl Wait {
    /// For the first who comes.
    const FOR_ONE: Self = Self { count: 1, patience: Duration::ZERO };
}

impl Expectation {
    /// Before the next group.
    pub(super) fn wait(&self) -> Wait {
        let (part, whole) = SHARE;
        let count = (self.writers * part).div_ceil(whole);
        if count < 2 || self.skipping > 0 {
            return Wait::FOR_ONE;
        }
        Wait { count, patience: self.took.min(LONGEST) }
    }

    /// After this `wait`, so many were there.
    pub(super) fn gathered(&mut self, wait: Wait, count: usize) {
        if wait == Wait::FOR_ONE {
            self.skipping = self.skipping.saturating_sub(1);
        } else if count < wait.count {
            self.to_skip = (2 * self.to_skip + 1).min(MOST_SKIPPED);
            self.skipping = self.to_skip;
            self.writers = count;
        } else {
            self.to_skip = 0;
        }
    }

    /// So many were written, that `took` so long, and so many are `waiting` already.
    pub(super) fn written(&mut self, count: usize, waiting: usize, took: Duration) {
        let remembered = self.writers - self.writers.div_ceil(FORGOTTEN);
        self.writers = remembered.max(count + waiting);
        self.took = took;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOOK: Duration = Duration::from_micros(50);

    fn after(count: usize, waiting: usize) -> Expectation {
        let mut expectation = Expectation::default();
        expectation.written(count, waiting, TOOK);
        expectation
    }

    #[test]
    fn who_writes_alone_is_written_at_once() {
        assert_eq!(Expectation::default().wait(), Wait::FOR_ONE);
        assert_eq!(after(1, 0).wait(), Wait::FOR_ONE);
    }

    #[test]
    fn a_little_more_than_half_are_waited_for_and_not_longer_than_a_group_takes() {
        assert_eq!(after(3, 5).wait(), Wait { count: 5, patience: TOOK });
        let mut slow = Expectation::default();
        slow.written(8, 0, Duration::from_millis(20));
        assert_eq!(slow.wait().patience, LONGEST);
    }

    #[test]
    fn after_a_burst_who_remains_waits_only_for_a_few_groups() {
        let mut expectation = after(64, 0);
        let mut waits = 0;
        for _ in 0..1_000 {
            let wait = expectation.wait();
            waits += u32::from(wait != Wait::FOR_ONE);
            expectation.gathered(wait, 1);
            expectation.written(1, 0, TOOK);
        }
        assert_eq!(waits, 1, "the first wait in vain shows that the others are gone");
    }

    #[test]
    fn waits_in_vain_become_rare_and_one_that_paid_brings_them_back() {
        let mut expectation = Expectation::default();
        let mut waits = Vec::new();
        for group in 0..1_000 {
            // Six seem to write, and never more than two come together.
            expectation.written(2, 4, TOOK);
            let wait = expectation.wait();
            if wait != Wait::FOR_ONE {
                waits.push(group);
            }
            expectation.gathered(wait, 2);
        }
        assert_eq!(waits[..5], [0, 2, 6, 14, 30]);
        assert!(waits.windows(2).all(|pair| pair[1] - pair[0] <= 64), "{waits:?}");
        while expectation.wait() == Wait::FOR_ONE {
            expectation.gathered(Wait::FOR_ONE, 2);
            expectation.written(2, 4, TOOK);
        }
        expectation.gathered(expectation.wait(), 4);
        assert_eq!(expectation.wait().count, 4, "it is tried again at once");
    }
}
