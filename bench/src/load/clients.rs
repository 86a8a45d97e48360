//! Clients of our own, for what no load generator does. Each has a thread and blocks: what they cost is not counted.

use std::thread;
use std::time::{Duration, Instant};

use super::Seen;
use crate::error::{Error, Result};

/// Has that many clients do the same again and again for that long.
pub(super) fn repeat<C>(
    clients: u32,
    length: Duration,
    begin: impl Fn() -> Result<C> + Sync,
    again: impl Fn(&mut C) -> Result<()> + Sync,
) -> Result<Seen> {
    let began = Instant::now();
    let one = || -> Result<Vec<Duration>> {
        let mut client = begin()?;
        let mut took = Vec::new();
        while began.elapsed() < length {
            let before = Instant::now();
            again(&mut client)?;
            took.push(before.elapsed());
        }
        Ok(took)
    };
    let all: Vec<Duration> = thread::scope(|scope| {
        let threads: Vec<_> = (0..clients).map(|_| scope.spawn(one)).collect();
        let ended = threads.into_iter().map(|thread| {
            thread.join().map_err(|_| Error::Load("a client of our own failed".to_owned())).flatten()
        });
        ended.collect::<Result<Vec<_>>>()
    })?
    .concat();
    seen(all, began.elapsed()).ok_or_else(|| Error::Load("nothing was answered".to_owned()))
}

/// What so many answers are together, each of which took so long; `None` when there was none.
pub(super) fn seen(mut took: Vec<Duration>, length: Duration) -> Option<Seen> {
    took.sort();
    let at = |percent: usize| {
        let one = took.get((took.len() * percent / 100).min(took.len().checked_sub(1)?))?;
        u64::try_from(one.as_micros()).ok()
    };
    Some(Seen {
        requests: took.len() as u64,
        microseconds: u64::try_from(length.as_micros()).ok()?,
        p50: at(50)?,
        p99: at(99)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_all_clients_are_counted_and_one_failure_ends_it() {
        let begin = || Ok(0_u32);
        let pause = |turn: &mut u32| {
            *turn += 1;
            thread::sleep(Duration::from_millis(1));
            Ok(())
        };
        let seen = repeat(2, Duration::from_millis(50), begin, pause).unwrap();
        assert!(seen.requests > 2 && seen.p50 >= 1000 && seen.p99 >= seen.p50, "{seen:?}");
        let fail = |turn: &mut u32| {
            *turn += 1;
            if *turn == 3 { Err(Error::Load("no".to_owned())) } else { Ok(()) }
        };
        assert!(repeat(2, Duration::from_secs(60), begin, fail).is_err());
    }

    #[test]
    fn half_of_a_hundred_and_one_short_of_it() {
        let took = (1..=100).map(Duration::from_micros).rev().collect();
        let seen = seen(took, Duration::from_secs(1)).unwrap();
        assert_eq!((seen.requests, seen.p50, seen.p99), (100, 51, 100));
    }
}
