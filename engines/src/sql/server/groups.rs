//! Writes that share a commit.
//!
//! A database that tells others of changes as it commits them, one commit after the other, makes as many commits a second
//! as its disk can synchronise. Whoever comes while a lane is free is served at once and alone; whoever comes while all are
//! busy waits for the next group. Each of a group gets its own answer: what one of them finds in its way does not concern
//! its neighbours. If the transaction itself fails, each of them goes on alone, knowing what may have been done.
//!
//! Records are locked in the order of their keys, so that groups do not wait for each other in a circle.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use storage::{Operation, Outcome, Unavailable};
use tokio::spawn;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::asking::{Asking, Past};
use super::{Backend, Reply, Request};
use crate::sql::grouping::{bytes, fitting};

/// How many groups are under way at once: one writes its rows while another one is being committed.
const LANES: usize = 2;
/// How many operations share a transaction at most.
const MAX_GROUP: usize = 64;
/// How many may wait; more wait for a place.
const CAPACITY: usize = 1024;
/// For how long a group keeps its lane. One that takes longer is stuck, and must not hold up those behind it.
const LONGEST_TURN: Duration = Duration::from_millis(500);

/// Where writers meet.
#[derive(Debug)]
pub(super) struct Groups {
    storage: Arc<str>,
    sender: mpsc::Sender<Job>,
}

#[derive(Debug)]
struct Job {
    operation: Operation,
    /// Closed when the caller has gone.
    answer: oneshot::Sender<Result<Outcome, Unavailable>>,
}

impl Groups {
    /// Starts the task that makes groups. It ends when the last one who can ask has gone.
    pub(super) fn start<B: Backend>(asking: &Arc<Asking<B>>) -> Self {
        let (sender, jobs) = mpsc::channel(CAPACITY);
        spawn(serve(Arc::clone(asking), jobs));
        Self { storage: Arc::clone(&asking.id), sender }
    }

    /// Does `operation`. Whoever goes away before it has begun takes it along.
    pub(super) async fn write(&self, operation: Operation) -> Result<Outcome, Unavailable> {
        let (answer, answered) = oneshot::channel();
        if self.sender.send(Job { operation, answer }).await.is_err() {
            return Err(Unavailable::failed(&self.storage, "this process is about to end"));
        }
        answered.await.unwrap_or_else(|_| {
            Err(Unavailable::unknown(&self.storage, "nobody works on it: this process is about to end"))
        })
    }
}

async fn serve<B: Backend>(asking: Arc<Asking<B>>, mut jobs: mpsc::Receiver<Job>) {
    let lanes = Arc::new(Semaphore::new(LANES));
    let mut waiting = Vec::with_capacity(MAX_GROUP);
    while let Ok(lane) = Arc::clone(&lanes).acquire_owned().await {
        if waiting.is_empty() && jobs.recv_many(&mut waiting, MAX_GROUP).await == 0 {
            return;
        }
        waiting.retain(|job| !job.answer.is_closed());
        let count = fitting(&waiting, |job| bytes(&job.operation));
        let group: Vec<Job> = waiting.drain(..count).collect();
        spawn(take_turn(Arc::clone(&asking), group, lane));
    }
}

async fn take_turn<B: Backend>(asking: Arc<Asking<B>>, group: Vec<Job>, lane: OwnedSemaphorePermit) {
    let mut work = pin!(together(asking, group));
    if timeout(LONGEST_TURN, &mut work).await.is_err() {
        drop(lane);
        work.await;
    }
}

async fn together<B: Backend>(asking: Arc<Asking<B>>, mut group: Vec<Job>) {
    if group.len() < 2 {
        for job in group {
            alone(Arc::clone(&asking), job, Past::NONE).await;
        }
        return;
    }
    group.sort_by(|one, other| one.operation.key().cmp(other.operation.key()));
    let (operations, mut answers): (Vec<_>, Vec<_>) =
        group.into_iter().map(|Job { operation, answer }| (operation, answer)).unzip();
    let request = Request::Each(operations);
    let reply = {
        let all_gone = join_all(answers.iter_mut().map(oneshot::Sender::closed));
        let all_gone = pin!(async { drop(all_gone.await) });
        asking.ask_once(&request, all_gone).await
    };
    let (past, outcomes) = match reply {
        Ok(Reply::Each(outcomes)) => (Past::NONE, outcomes),
        Ok(_) => (Past::NONE, Vec::new()),
        Err(past) => (past, Vec::new()),
    };
    let Request::Each(operations) = request else { return };
    let mut outcomes = outcomes.into_iter();
    for (operation, answer) in operations.into_iter().zip(answers) {
        match outcomes.next() {
            // Whoever has gone does not want to know.
            Some(outcome) => drop(answer.send(Ok(outcome))),
            None => drop(spawn(alone(Arc::clone(&asking), Job { operation, answer }, past.clone()))),
        }
    }
}

async fn alone<B: Backend>(asking: Arc<Asking<B>>, job: Job, past: Past) {
    let Job { operation, mut answer } = job;
    if answer.is_closed() {
        return;
    }
    let reply = {
        let gone = pin!(answer.closed());
        asking.ask(&Request::One(operation), past, gone).await
    };
    let outcome = reply.and_then(|reply| match reply {
        Reply::One(outcome) => Ok(outcome),
        _ => Err(asking.mistaken()),
    });
    // Whoever has gone does not want to know.
    let _ = answer.send(outcome);
}
