//! The one queue through which everybody writes.
//!
//! A disk needs a while to say that it has something for good, and says it of as much as one likes. So whoever writes
//! waits in a queue, and one thread takes all who are there, writes for them in one transaction, and answers them when it
//! is committed. The longer the disk takes, the more come along: 64 writers share a synchronisation. Where several write
//! without pause, it waits a moment for [a little more than half](super::expectation) of them. A group costs one change of threads, however
//! many statements it has.
//!
//! What is in the queue is done, even if the one who asked has gone.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use session::Millis;
use storage::{Batch, Operation, Outcome, Unavailable, Version};
use tokio::runtime;
use tokio::sync::{oneshot, watch};

use super::super::grouping::{bytes, fitting};
use super::expectation::Expectation;
use super::line::{Closed, Line};
use super::writer::Writer;

/// How many may wait in the queue; more wait for a place in it.
const CAPACITY: usize = 1024;
/// How many are written in one transaction.
const MAX_GROUP: usize = 256;

/// What is to be written.
#[derive(Debug)]
pub(super) enum Work {
    One(Operation),
    All(Vec<Operation>),
    Reap { now: Millis, budget: usize },
}

/// What became of it.
#[derive(Debug)]
pub(super) enum Answer {
    One(Outcome),
    All(Batch),
    Reaped(usize),
}

/// The end of the queue where one asks. When it is dropped, what is in the queue is written, and the writer finishes.
#[derive(Debug)]
pub(super) struct Queue {
    storage: Arc<str>,
    line: Arc<Line<Job>>,
    /// Nothing is ever said there. The other end is dropped when everything is written and closed.
    finished: watch::Receiver<()>,
}

#[derive(Debug)]
struct Job {
    work: Work,
    answer: oneshot::Sender<Result<Answer, Unavailable>>,
}

impl Queue {
    /// Starts the thread that empties the queue. It waits for the disk, so that it is none of the runtime's.
    pub(super) fn start(storage: &Arc<str>, writer: Writer) -> io::Result<Self> {
        let line = Arc::new(Line::new(CAPACITY));
        let (finishing, finished) = watch::channel(());
        let closing = runtime::Builder::new_current_thread().build()?;
        let served = Served(Arc::clone(&line));
        let thread = thread::Builder::new().name("sqlite-writer".to_owned());
        thread.spawn(move || {
            closing.block_on(serve(&served, writer).finish());
            drop(finishing);
        })?;
        Ok(Self { storage: Arc::clone(storage), line, finished })
    }

    /// Asks for `work` and waits until it is durable.
    pub(super) async fn ask(&self, work: Work) -> Result<Answer, Unavailable> {
        let (answer, answered) = oneshot::channel();
        if let Err(Closed) = self.line.join(Job { work, answer }).await {
            return Err(Unavailable::failed(&self.storage, "it is closed: this process is about to end"));
        }
        answered.await.unwrap_or_else(|_| {
            Err(Unavailable::unknown(&self.storage, "its writer went away: this process is about to end"))
        })
    }

    /// Takes nothing more, and waits until everything is written and closed.
    pub(super) async fn close(&self) {
        self.line.close();
        // An error is what it waits for: the sender is never used, only dropped.
        let _ = self.finished.clone().changed().await;
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.line.close();
    }
}

/// The end of the queue from which is taken. When it is dropped, nobody waits there for an answer that will not come.
struct Served(Arc<Line<Job>>);

impl Drop for Served {
    fn drop(&mut self) {
        self.0.dissolve();
    }
}

/// Writes until nobody is left and nobody will come.
fn serve(Served(line): &Served, mut writer: Writer) -> Writer {
    let mut expectation = Expectation::default();
    loop {
        let wait = expectation.wait();
        let Some(mut jobs) = line.take(MAX_GROUP, wait) else { return writer };
        expectation.gathered(wait, jobs.len());
        while !jobs.is_empty() {
            let count = fitting(&jobs, |job| job.work.bytes());
            let (work, askers): (Vec<_>, Vec<_>) =
                jobs.drain(..count).map(|job| (job.work, job.answer)).unzip();
            let began = Instant::now();
            let answers = writer.write(&work);
            // Before they are answered: then they ask again.
            expectation.written(count, line.len(), began.elapsed());
            answer(answers, askers);
        }
    }
}

fn answer(
    answers: Result<Vec<Answer>, super::writer::Failed>,
    askers: Vec<oneshot::Sender<Result<Answer, Unavailable>>>,
) {
    // Whoever has gone does not want to know.
    match answers {
        Ok(answers) => {
            for (answer, asker) in answers.into_iter().zip(askers) {
                let _ = asker.send(Ok(answer));
            }
        }
        Err(failed) => {
            for asker in askers {
                let _ = asker.send(Err(failed.unavailable()));
            }
        }
    }
}

impl Work {
    /// About how much it adds to a transaction.
    fn bytes(&self) -> usize {
        match self {
            Self::One(operation) => bytes(operation),
            Self::All(operations) => operations.iter().map(bytes).sum(),
            Self::Reap { .. } => 0,
        }
    }

    /// The greatest version that a record of it brings along.
    pub(super) fn brought(&self) -> Option<Version> {
        let of = |operation: &Operation| match operation {
            Operation::Create(_, new) => new.version,
            Operation::Update(..) | Operation::Touch(..) | Operation::Bury(..) => None,
        };
        match self {
            Self::One(operation) => of(operation),
            Self::All(operations) => operations.iter().filter_map(of).max(),
            Self::Reap { .. } => None,
        }
    }

    /// How many versions it may need.
    pub(super) fn versions(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::All(operations) => operations.len(),
            Self::Reap { .. } => 0,
        }
    }
}
