//! What requests make storage write: many sessions in use at random, and nothing that changes but when they were last seen.
//!
//! Time is moved by hand, that of the cache and that of the runtime together, so that an hour of requests is over within
//! seconds and every timer of the cache comes when it would. The engine is in memory and counts what it is asked.

use std::sync::Arc;
use std::time::Duration;

use cache::Find;
use session::{ManualClock, Millis, Ticket};
use storage::Memory;
use tokio::runtime::Builder;
use tokio::task::yield_now;
use tokio::time;

use super::counted::{Asked, Counted};
use super::sessions::{ROOMY, TOUCH_INTERVAL, Whose, application, cache_over, failed, open};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;

/// Requests a second, of all visitors together.
pub(super) const RATES: [u32; 3] = [1_000, 5_000, 10_000];
/// By how much time is moved at once.
const STEP: Duration = Duration::from_millis(10);
/// For how long nothing is counted yet: the sessions begin all at once, and forget it within some intervals.
const BEFORE: Duration = Duration::from_mins(3);
/// How often the others are let go on after a step: one who writes waits for storage a few times.
const YIELDS: usize = 4;
const BEGIN: Millis = Millis(1_700_000_000_000);

/// What was counted at one rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Row {
    /// Requests a second.
    pub(super) rate: u32,
    pub(super) requests: u64,
    pub(super) asked: Asked,
}

/// Counts for that long, with so many sessions, at each rate.
pub(super) fn measure(sessions: u64, length: Duration, interrupt: &Interrupt) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for rate in RATES {
        let row = at(rate, sessions, length, interrupt)?;
        eprintln!("{rate} requests/s: {:.4} records and {:.4} calls a request", row.records(), row.calls());
        rows.push(row);
    }
    Ok(rows)
}

impl Row {
    /// Records that are written for a request.
    pub(super) fn records(&self) -> f64 {
        self.each(self.asked.records)
    }

    /// Questions that write, for a request.
    pub(super) fn calls(&self) -> f64 {
        self.each(self.asked.writes)
    }

    /// Questions that do not.
    pub(super) fn reads(&self) -> f64 {
        self.each(self.asked.reads)
    }

    #[expect(clippy::cast_precision_loss, reason = "nobody makes 2^52 requests")]
    fn each(&self, count: u64) -> f64 {
        count as f64 / self.requests.max(1) as f64
    }
}

fn at(rate: u32, sessions: u64, length: Duration, interrupt: &Interrupt) -> Result<Row> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.map_err(Error::file("a runtime"))?.block_on(async {
        let clock = Arc::new(ManualClock::at(BEGIN));
        let memory = Memory::new("measured", Arc::clone(&clock) as _, usize::MAX);
        let storage = Arc::new(Counted::new(Arc::new(memory)));
        let application = application(TOUCH_INTERVAL);
        let cache = cache_over(Arc::clone(&storage) as _, Arc::clone(&clock) as _, ROOMY, &application);
        let house = tokio::spawn(Arc::clone(&cache).keep_house());
        let opened = open(&cache, &application, &Whose::newcomers(), sessions, 1).await?;
        let tickets: Vec<Ticket> = opened.into_iter().map(|one| one.ticket).collect();
        let (steps, before) = (length.as_millis() / STEP.as_millis(), BEFORE.as_millis() / STEP.as_millis());
        let each = u64::from(rate) * u64::try_from(STEP.as_millis()).unwrap_or(0) / 1_000;
        let mut random = fastrand::Rng::with_seed(u64::from(rate));
        let (mut counted_from, mut requests) = (storage.asked(), 0);
        for step in 0..before + steps {
            if step == before {
                (counted_from, requests) = (storage.asked(), 0);
            }
            if step % 1_000 == 0 {
                interrupt.check()?;
            }
            clock.advance(STEP);
            time::advance(STEP).await;
            for _ in 0..each {
                let Some(ticket) = tickets.get(random.usize(..tickets.len())) else { continue };
                match cache.find(ticket, &application).await.map_err(failed)? {
                    Find::Found(_) => requests += 1,
                    // Nobody came for half an hour, which happens to a few: another visitor comes.
                    Find::Absent(_) | Find::Ended(_) => {}
                }
            }
            for _ in 0..YIELDS {
                yield_now().await;
            }
        }
        house.abort();
        Ok(Row { rate, requests, asked: storage.asked().since(counted_from) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_all_the_time_is_written_once_a_minute_and_nothing_else_is() {
        let row = at(1_000, 20, Duration::from_mins(2), &Interrupt::default()).unwrap();
        assert_eq!(row.requests, 120_000);
        // Twenty sessions, two minutes; and what the index needs once an hour, if that falls into them.
        assert!((20..=80).contains(&row.asked.records), "{:?}", row.asked);
        assert!(row.asked.writes <= row.asked.records && row.asked.writes > 0, "{:?}", row.asked);
    }
}
