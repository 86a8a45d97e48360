//! One request of an HTTP/2 connection, from the side of its task.
//!
//! Each runs in a task of its own, which the library makes. A client that takes the answers to other requests and nothing
//! of this one holds up nothing on the connection, so only here it can be seen: the answer has given a piece of itself
//! and is not asked for the next. And only here a client is seen to give a request up before it was answered.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use hyper::rt::Executor;

use crate::patience::Patience;
use crate::phase::Phase;

tokio::task_local! {
    static TAKING: Arc<Taking>;
}

/// How far a client has taken the answer to one request.
#[derive(Debug, Default)]
pub(crate) struct Taking {
    given: AtomicUsize,
    /// Something was given, and no more was asked for.
    is_waiting: AtomicBool,
    is_answered: AtomicBool,
}

impl Taking {
    /// That of the request whose task asks; HTTP/1 has none.
    pub(crate) fn current() -> Option<Arc<Self>> {
        TAKING.try_with(Arc::clone).ok()
    }

    /// The head of the answer is there.
    pub(crate) fn answered(&self) {
        self.is_answered.store(true, Ordering::Relaxed);
    }

    /// More is asked for.
    pub(crate) fn asked(&self) {
        self.is_waiting.store(false, Ordering::Relaxed);
    }

    /// So much was given.
    pub(crate) fn gave(&self, bytes: usize) {
        self.given.fetch_add(bytes, Ordering::Relaxed);
        self.is_waiting.store(true, Ordering::Relaxed);
    }
}

/// Runs the requests of one connection.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    phase: Arc<Phase>,
    write_timeout: Duration,
}

impl Streams {
    /// For a connection whose client may take nothing of an answer for at most `write_timeout`.
    pub(crate) const fn new(phase: Arc<Phase>, write_timeout: Duration) -> Self {
        Self { phase, write_timeout }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        tokio::spawn(watched(stream, Arc::clone(&self.phase), self.write_timeout));
    }
}

/// Runs a request to its end, or to that of our patience: then it is dropped, and the library resets its stream.
async fn watched(stream: impl Future<Output = ()>, phase: Arc<Phase>, write_timeout: Duration) {
    let taking = Arc::new(Taking::default());
    let mut stream = pin!(stream);
    let mut patience = Patience::new(write_timeout);
    let mut taken = 0;
    poll_fn(|cx| {
        if TAKING.sync_scope(Arc::clone(&taking), || stream.as_mut().poll(cx)).is_ready() {
            return Poll::Ready(());
        }
        let given = taking.given.load(Ordering::Relaxed);
        if given != taken {
            // What was given before was taken.
            patience.progress(given - taken);
            taken = given;
        }
        if !taking.is_waiting.load(Ordering::Relaxed) || patience.poll_exhausted(cx).is_pending() {
            return Poll::Pending;
        }
        tracing::debug!("a client took nothing of an answer for too long; its stream is reset");
        Poll::Ready(())
    })
    .await;
    if !taking.is_answered.load(Ordering::Relaxed) {
        phase.given_up();
    }
}
