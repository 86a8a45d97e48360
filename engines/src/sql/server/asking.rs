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
use tokio::sync::oneshot;
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

/// What became of a try.
enum Try {
    Answered(Reply),
    Failed(Fault),
    /// Whoever asked has gone, and no answer came since.
    Abandoned,
}

impl<B: Backend> Asking<B> {
    /// Asks until there is an answer or nothing more can be hoped for. When the sender of `gone` is dropped, nobody wants the
    /// answer any more.
    pub(super) async fn ask(
        &self,
        request: &Request,
        mut gone: oneshot::Receiver<()>,
    ) -> Result<Reply, Unavailable> {
        let mut applied = Applied::No;
        let mut lost: Option<Fault> = None;
        let mut tries = 0;
        loop {
            let lease = tokio::select! {
                lease = self.pool.lease() => lease,
                _ = &mut gone => return Err(self.abandoned()),
            };
            let mut lease = lease.map_err(|fault| fault.unavailable(&self.id, applied))?;
            tries += 1;
            let fault = match self.attempt(&mut lease, request, &mut gone).await {
                Try::Answered(reply) => {
                    lease.finish();
                    // What is in the way now may have come after our own write, which nobody has told of yet.
                    return match lost {
                        Some(fault) if applied == Applied::Unknown && reply.is_refusal() => {
                            Err(fault.unavailable(&self.id, applied))
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
                    return Err(fault.unavailable(&self.id, applied));
                }
                nature @ (Nature::Lost | Nature::Moved) => {
                    drop(lease);
                    self.pool.doubt();
                    if nature == Nature::Lost && request.is_write() {
                        applied = Applied::Unknown;
                    }
                    // Once more: perhaps the server was started anew, and this is the first to learn of it.
                    if lost.is_some() {
                        return Err(fault.unavailable(&self.id, applied));
                    }
                    lost = Some(fault);
                }
            }
        }
    }

    async fn attempt(
        &self,
        lease: &mut Lease<'_, B>,
        request: &Request,
        gone: &mut oneshot::Receiver<()>,
    ) -> Try {
        let mut answer = pin!(self.backend.work(lease.connection(), request, self.clock.now()));
        let (answer, is_wanted) = tokio::select! {
            answer = &mut answer => (Some(answer), true),
            () = sleep(ANSWER_TIMEOUT) => (None, true),
            _ = gone => (tokio::time::timeout(LINGER, answer).await.ok(), false),
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

    /// Nobody reads it.
    fn abandoned(&self) -> Unavailable {
        Unavailable::unknown(&self.id, "nobody waits for the answer any more")
    }
}
