//! How long one waits for bytes.
//!
//! Only waiting counts, not the time in which nobody asked; and a few bytes now and then do not count as progress, so
//! that a peer who sends one byte a second (Slowloris) is cut off like one who sends none.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};

/// So many bytes are progress.
const PROGRESS: usize = 256;

/// Measures how long a peer made us wait.
#[derive(Debug)]
pub(crate) struct Patience {
    longest: Duration,
    waited: Duration,
    bytes: usize,
    since: Option<Instant>,
    /// Made at the first wait; most connections never need it.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Patience {
    /// Waits for `longest` without progress.
    pub(crate) const fn new(longest: Duration) -> Self {
        Self { longest, waited: Duration::ZERO, bytes: 0, since: None, sleep: None }
    }

    /// Some bytes came through, without a wait or after it.
    pub(crate) fn progress(&mut self, bytes: usize) {
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes >= PROGRESS {
            self.bytes = 0;
            self.waited = Duration::ZERO;
        }
    }

    /// Whether somebody waits now.
    pub(crate) const fn is_waiting(&self) -> bool {
        self.since.is_some()
    }

    /// Nothing comes through now. Ready when that has been so for too long; else the task is woken then.
    pub(crate) fn poll_exhausted(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = Instant::now();
        let since = *self.since.get_or_insert(now);
        let deadline = since + self.longest.saturating_sub(self.waited);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(Duration::ZERO)));
        if sleep.deadline() != deadline {
            sleep.as_mut().reset(deadline);
        }
        sleep.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::advance;

    use super::*;

    async fn is_exhausted(patience: &mut Patience) -> bool {
        poll_fn(|cx| Poll::Ready(patience.poll_exhausted(cx).is_ready())).await
    }

    #[tokio::test(start_paused = true)]
    async fn drops_now_and_then_are_no_progress() {
        let mut patience = Patience::new(Duration::from_secs(10));
        for second in 0..10 {
            assert!(!is_exhausted(&mut patience).await, "{second}");
            advance(Duration::from_secs(1)).await;
            patience.progress(1);
        }
        is_exhausted(&mut patience).await;
        advance(Duration::from_millis(1)).await;
        assert!(is_exhausted(&mut patience).await);
    }

    #[tokio::test(start_paused = true)]
    async fn progress_and_our_own_pauses_do_not_count() {
        let mut patience = Patience::new(Duration::from_secs(10));
        for _ in 0..10 {
            assert!(!is_exhausted(&mut patience).await);
            advance(Duration::from_secs(9)).await;
            patience.progress(PROGRESS);
            // Nobody asked for more in this time.
            advance(Duration::from_secs(60)).await;
        }
        assert!(!is_exhausted(&mut patience).await);
    }
}
