//! What is done with sessions, and clients that do it side by side.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::task::JoinSet;
use tokio::task::coop::consume_budget;

use crate::error::{Error, Result};

/// What is done with a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operation {
    /// A new one is written.
    Create,
    /// It is read.
    Read,
    /// It is asked for by who has it as it is.
    Unchanged,
    /// Its value is replaced.
    Update,
    /// Its times are moved.
    Touch,
    /// It is ended.
    Bury,
}

impl Operation {
    /// All of them, in the order in which they are measured: those that end sessions come last.
    pub(super) const ALL: [Self; 6] =
        [Self::Create, Self::Read, Self::Unchanged, Self::Update, Self::Touch, Self::Bury];

    /// Those that a server must keep.
    pub(super) const WRITES: [Self; 4] = [Self::Create, Self::Update, Self::Touch, Self::Bury];

    /// As the page calls it.
    pub(super) const fn shown(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Unchanged => "read, unchanged",
            Self::Update => "update",
            Self::Touch => "touch",
            Self::Bury => "end",
        }
    }
}

/// What keeps sessions: an engine behind the contract, or the bare driver of its server.
pub(super) trait Work: Send + Sync + 'static {
    /// Does it with the session of that number, and fails unless it was done.
    fn work(&self, operation: Operation, number: u64) -> impl Future<Output = Result<()>> + Send;
}

/// A while of one operation.
#[derive(Clone, Debug)]
pub(super) struct Stretch {
    pub(super) operation: Operation,
    /// How many clients do it at a time, each of which waits for its answer.
    pub(super) clients: u32,
    /// When it ends at the latest.
    pub(super) length: Duration,
    /// Which sessions: each once and in this order where they come or go, else any of them.
    pub(super) numbers: Range<u64>,
}

/// What the clients saw.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) operations: u64,
    pub(super) elapsed: Duration,
    /// Half of the answers came within this time, and 99 of 100 within that.
    pub(super) p50: Duration,
    pub(super) p99: Duration,
}

/// [`Work`] of any kind.
pub(super) trait Worker: Send + Sync {
    /// Sets the clients to work, within the runtime. Each tells how long its answers took.
    fn begin(self: Arc<Self>, stretch: &Stretch) -> JoinSet<Result<Vec<Duration>>>;
}

impl<W: Work> Worker for W {
    fn begin(self: Arc<Self>, stretch: &Stretch) -> JoinSet<Result<Vec<Duration>>> {
        let turns = Arc::new(AtomicU64::new(stretch.numbers.start));
        let ends = Instant::now() + stretch.length;
        let mut clients = JoinSet::new();
        for client in 0..u64::from(stretch.clients) {
            let (this, stretch, turns) = (Arc::clone(&self), stretch.clone(), Arc::clone(&turns));
            clients.spawn(async move {
                let mut took = Vec::new();
                let mut began = Instant::now();
                while began < ends {
                    let Some(number) = stretch.next(client, &turns) else { break };
                    this.work(stretch.operation, number).await?;
                    let now = Instant::now();
                    took.push(now - began);
                    began = now;
                    // What never waits would not let the other clients come to their turn.
                    consume_budget().await;
                }
                Ok(took)
            });
        }
        clients
    }
}

impl Stretch {
    fn next(&self, client: u64, turns: &AtomicU64) -> Option<u64> {
        let Range { start, end } = self.numbers;
        if matches!(self.operation, Operation::Create | Operation::Bury) {
            return Some(turns.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < end);
        }
        // No two clients have one session: what writers cost who are in each other's way is another question.
        let clients = u64::from(self.clients);
        let each = (end - start) / clients;
        (each > 0).then(|| start + fastrand::u64(..each) * clients + client)
    }

    /// Waits for the end of the work.
    pub(super) async fn run(&self, worker: Arc<dyn Worker>) -> Result<Seen> {
        let began = Instant::now();
        let mut clients = worker.begin(self);
        let mut took = Vec::new();
        while let Some(client) = clients.join_next().await {
            took.extend(client.map_err(|error| Error::Load(format!("a client: {error}")))??);
        }
        Seen::of(took, began.elapsed())
            .ok_or_else(|| Error::Load(format!("{}: nothing was done", self.operation.shown())))
    }
}

impl Seen {
    fn of(mut took: Vec<Duration>, elapsed: Duration) -> Option<Self> {
        let operations = took.len();
        let mut at = |percent: usize| {
            let place = (operations * percent / 100).min(operations.checked_sub(1)?);
            Some(*took.select_nth_unstable(place).1)
        };
        Some(Self { operations: operations as u64, elapsed, p50: at(50)?, p99: at(99)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Default)]
    struct Heard(Mutex<Vec<u64>>);

    impl Work for Heard {
        async fn work(&self, _: Operation, number: u64) -> Result<()> {
            self.0.lock().unwrap().push(number);
            if number == 13 { Err(Error::Load("thirteen".to_owned())) } else { Ok(()) }
        }
    }

    fn stretch(operation: Operation, numbers: Range<u64>) -> Stretch {
        Stretch { operation, clients: 4, length: Duration::from_secs(60), numbers }
    }

    #[tokio::test]
    async fn each_session_comes_once_and_goes_once() {
        let heard = Arc::new(Heard::default());
        let seen = stretch(Operation::Create, 100..200).run(Arc::clone(&heard) as _).await.unwrap();
        assert_eq!(seen.operations, 100);
        let mut numbers = heard.0.lock().unwrap().clone();
        numbers.sort_unstable();
        assert_eq!(numbers, (100..200).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn what_lasts_is_done_until_the_time_is_over_with_any_of_the_sessions() {
        let heard = Arc::new(Heard::default());
        let read = Stretch { length: Duration::from_millis(20), ..stretch(Operation::Read, 20..30) };
        let seen = read.run(Arc::clone(&heard) as _).await.unwrap();
        assert!(seen.operations > 0 && seen.p99 >= seen.p50);
        // Each of the four clients has two of the ten for itself; the other two are nobody's.
        assert!(heard.0.lock().unwrap().iter().all(|number| (20..28).contains(number)));
    }

    #[tokio::test]
    async fn one_failure_ends_it_all() {
        let failed = stretch(Operation::Bury, 0..100).run(Arc::new(Heard::default())).await;
        assert!(failed.unwrap_err().to_string().contains("thirteen"));
    }

    #[test]
    fn half_of_a_hundred_and_one_short_of_it() {
        let took = (1..=100).map(Duration::from_micros).rev().collect();
        let seen = Seen::of(took, Duration::from_secs(1)).unwrap();
        assert_eq!((seen.p50, seen.p99), (Duration::from_micros(51), Duration::from_micros(100)));
        assert!(Seen::of(Vec::new(), Duration::from_secs(1)).is_none());
    }
}
