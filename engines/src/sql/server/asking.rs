//! One operation, from the wait for a connection to the answer.
//!
//! It is a task of its own. Whoever asked may go away in the middle, because a visitor did or because a deadline passed; the
//! answer that is under way is then still waited for a little, so that the connection can be used again. A connection
//! whose answer does not come is closed, and those beside it, which led to the same place, are not trusted any more.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use session::Clock;
use storage::{Applied, Unavailable};
use tokio::time::sleep;

use super::fault::{Fault, Nature};
use super::pool::{Lease, Pool};
use super::{ANSWER_TIMEOUT, Backend, Reply, Request};

/// How often transactions that got into each other's way try again.
const TRIES: u32 = 12;
/// How long an answer is still waited for that nobody wants any more.
const LINGER: Duration = Duration::from_millis(500);

/// What an operation needs.
pub(super) struct Asking<B: Backend> {
    pub(super) id: Arc<str>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) backend: Arc<B>,
    pub(super) pool: Pool<B>,
}

/// What earlier tries have left.
#[derive(Clone)]
pub(super) struct Past {
    applied: Applied,
    lost: Option<Fault>,
}

impl Past {
    /// There were none, or none that did anything.
    pub(super) const NONE: Self = Self { applied: Applied::No, lost: None };

    /// The connection is of no use any more.
    fn lose(&mut self, fault: Fault, request: &Request) {
        if fault.nature() == Nature::Lost && request.is_write() {
            self.applied = Applied::Unknown;
        }
        self.lost = Some(fault);
    }
}

/// What became of a try.
enum Try {
    Answered(Reply),
    Failed(Fault),
    /// Whoever asked has gone, and no answer came since.
    Abandoned,
}

impl<B: Backend> Asking<B> {
    /// Asks until there is an answer or nothing more can be hoped for. When `gone` is ready, nobody wants the answer any
    /// more.
    pub(super) async fn ask(
        &self,
        request: &Request,
        mut past: Past,
        mut gone: impl Future<Output = ()> + Unpin,
    ) -> Result<Reply, Unavailable> {
        let mut tries = 0;
        loop {
            let lease = tokio::select! {
                lease = self.pool.lease() => lease,
                () = &mut gone => return Err(self.abandoned()),
            };
            let mut lease = lease.map_err(|fault| fault.unavailable(&self.id, past.applied))?;
            tries += 1;
            let fault = match self.attempt(&mut lease, request, &mut gone).await {
                Try::Answered(reply) => {
                    lease.finish();
                    // What is in the way now may have come after our own write, which nobody has told of yet.
                    return match past.lost {
                        Some(fault) if past.applied == Applied::Unknown && reply.is_refusal() => {
                            Err(fault.unavailable(&self.id, past.applied))
                        }
                        _ => Ok(reply),
                    };
                }
                Try::Failed(fault) => fault,
                Try::Abandoned => {
                    self.pool.doubt();
                    return Err(self.abandoned());
                }
            };
            match fault.nature() {
                Nature::Again if tries < TRIES => {
                    lease.finish();
                    sleep(Duration::from_micros(fastrand::u64(0..2_000 << tries.min(6)))).await;
                }
                Nature::Again | Nature::Refused { .. } => {
                    lease.finish();
                    return Err(fault.unavailable(&self.id, past.applied));
                }
                Nature::Lost | Nature::Moved => {
                    drop(lease);
                    self.pool.doubt();
                    // Once more: perhaps the server was started anew, and this is the first to learn of it.
                    let is_last = past.lost.is_some();
                    past.lose(fault.clone(), request);
                    if is_last {
                        return Err(fault.unavailable(&self.id, past.applied));
                    }
                }
            }
        }
    }

    /// Asks once, for a group; what was answered, or what each of the group must know when it goes on alone.
    pub(super) async fn ask_once(
        &self,
        request: &Request,
        mut gone: impl Future<Output = ()> + Unpin,
    ) -> Result<Reply, Past> {
        let lease = tokio::select! {
            lease = self.pool.lease() => lease,
            () = &mut gone => return Err(Past::NONE),
        };
        // Why there is none is told to whoever asks next, at once.
        let mut lease = lease.map_err(|_| Past::NONE)?;
        let fault = match self.attempt(&mut lease, request, &mut gone).await {
            Try::Answered(reply) => {
                lease.finish();
                return Ok(reply);
            }
            Try::Failed(fault) => fault,
            Try::Abandoned => {
                self.pool.doubt();
                return Err(Past::NONE);
            }
        };
        let mut past = Past::NONE;
        if matches!(fault.nature(), Nature::Lost | Nature::Moved) {
            drop(lease);
            self.pool.doubt();
            past.lose(fault, request);
        } else {
            lease.finish();
        }
        Err(past)
    }

    async fn attempt(
        &self,
        lease: &mut Lease<'_, B>,
        request: &Request,
        gone: impl Future<Output = ()>,
    ) -> Try {
        let mut answer = pin!(self.backend.work(lease.connection(), request, self.clock.now()));
        let (answer, is_wanted) = tokio::select! {
            answer = &mut answer => (Some(answer), true),
            () = sleep(ANSWER_TIMEOUT) => (None, true),
            () = gone => (tokio::time::timeout(LINGER, answer).await.ok(), false),
        };
        match (answer, is_wanted) {
            (Some(Ok(reply)), _) => Try::Answered(reply),
            (Some(Err(error)), true) => Try::Failed(Fault::new(&*self.backend, error)),
            (None, true) => Try::Failed(Fault::new(
                &*self.backend,
                std::io::Error::from(std::io::ErrorKind::TimedOut).into(),
            )),
            (Some(Err(_)) | None, false) => Try::Abandoned,
        }
    }

    /// The answer is to something else.
    pub(super) fn mistaken(&self) -> Unavailable {
        Unavailable::unknown(
            &self.id,
            "the answer belongs to another question: this is an error in Cloakroom",
        )
    }

    /// Nobody reads it.
    fn abandoned(&self) -> Unavailable {
        Unavailable::unknown(&self.id, "nobody waits for the answer any more")
    }
}
