//! The one queue through which everybody writes.
//!
//! A disk needs a while to say that it has something for good, and says it of as much as one likes. So whoever writes
//! waits in a queue, and one thread takes all who are there, writes for them in one transaction, and answers them when it
//! is committed. The longer the disk takes, the more come along: 64 writers share a synchronisation. A group costs one
//! change of threads, however many statements it has.
//!
//! What is in the queue is done, even if the one who asked has gone.

use std::io;
use std::sync::Arc;
use std::thread;

use session::Millis;
use storage::{Batch, Operation, Outcome, Unavailable, Version};
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};

use super::super::grouping::{bytes, fitting};
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

/// The end of the queue where one asks. When the last one is dropped, what is in the queue is written, and the writer
/// finishes.
#[derive(Debug)]
pub(super) struct Queue {
    storage: Arc<str>,
    sender: mpsc::Sender<Message>,
}

#[derive(Debug)]
enum Message {
    Write(Job),
    /// Nothing more is taken. The sender is dropped when everything is written and closed.
    Close(oneshot::Sender<()>),
}

#[derive(Debug)]
struct Job {
    work: Work,
    answer: oneshot::Sender<Result<Answer, Unavailable>>,
}

impl Queue {
    /// Starts the thread that empties the queue. It waits for the disk, so that it is none of the runtime's.
    pub(super) fn start(storage: &Arc<str>, writer: Writer) -> io::Result<Self> {
        let (sender, messages) = mpsc::channel(CAPACITY);
        let waiting = runtime::Builder::new_current_thread().build()?;
        let thread = thread::Builder::new().name("sqlite-writer".to_owned());
        thread.spawn(move || waiting.block_on(serve(messages, writer)))?;
        Ok(Self { storage: Arc::clone(storage), sender })
    }

    /// Asks for `work` and waits until it is durable.
    pub(super) async fn ask(&self, work: Work) -> Result<Answer, Unavailable> {
        let (answer, answered) = oneshot::channel();
        if self.sender.send(Message::Write(Job { work, answer })).await.is_err() {
            return Err(Unavailable::failed(&self.storage, "it is closed: this process is about to end"));
        }
        answered.await.unwrap_or_else(|_| {
            Err(Unavailable::unknown(&self.storage, "its writer went away: this process is about to end"))
        })
    }

    /// Takes nothing more, and waits until everything is written and closed.
    pub(super) async fn close(&self) {
        let (closed, is_closed) = oneshot::channel();
        if self.sender.send(Message::Close(closed)).await.is_ok() {
            // The sender is never used, only dropped.
            let _ = is_closed.await;
        }
    }
}

async fn serve(mut messages: mpsc::Receiver<Message>, mut writer: Writer) {
    let mut arrived = Vec::with_capacity(MAX_GROUP);
    let mut closing = Vec::new();
    while messages.recv_many(&mut arrived, MAX_GROUP).await > 0 {
        let mut jobs = Vec::with_capacity(arrived.len());
        for message in arrived.drain(..) {
            match message {
                Message::Write(job) => jobs.push(job),
                Message::Close(closed) => {
                    messages.close();
                    closing.push(closed);
                }
            }
        }
        while !jobs.is_empty() {
            let count = fitting(&jobs, |job| job.work.bytes());
            let (work, askers): (Vec<_>, Vec<_>) =
                jobs.drain(..count).map(|job| (job.work, job.answer)).unzip();
            answer(writer.write(&work), askers);
        }
    }
    writer.finish().await;
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
