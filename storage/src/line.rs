//! Whether a line over which changes come is still whole.
//!
//! Bytes that vanish are reported by nobody, and a line on which something comes may bring it late. So it is asked all the
//! time, and what counts is when the last question was asked that was answered.

use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// How often it is asked whether the other side is there, and how long it may take to answer.
const ASK_EVERY: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(3);

/// How long one line of a shared service may be dead, or later than that, before its stream ends for it: an answer says that
/// all came through until the question was asked, and the next question comes a second later.
pub const LONGEST_UNNOTICED: Duration = ASK_EVERY.saturating_add(PATIENCE);

/// Asks each second whether the other side of a line is there, also while it has not answered yet, and ends when an answer is
/// missing: with the error, or without one if there was silence for too long. A line on which changes come in the order of
/// these answers is known to be whole until [`LONGEST_UNNOTICED`] before that.
pub async fn until_silent<A, E>(mut ask: impl FnMut() -> A) -> Option<E>
where
    A: Future<Output = Result<(), E>>,
{
    let (mut asked, mut moments) = (FuturesUnordered::new(), interval(ASK_EVERY));
    // One that is late comes when it can; several at once say no more than one.
    moments.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some(answer) = asked.next() => match answer {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Some(error),
                Err(_) => return None,
            },
            _ = moments.tick() => asked.push(timeout(PATIENCE, ask())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use tokio::time::{Instant, sleep};

    use super::*;

    /// How long it goes unnoticed that a line is dead, on which an answer takes as long as this.
    async fn unnoticed(latency: Duration, dies_after: Duration) -> Duration {
        let began = Instant::now();
        let silent = until_silent(|| async move {
            let asked = began.elapsed();
            sleep(latency).await;
            // What is asked then never arrives, and what was asked before is answered.
            if asked < dies_after { Ok::<_, ()>(()) } else { pending().await }
        });
        assert_eq!(silent.await, None);
        began.elapsed() - dies_after
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_line_is_noticed_in_time_however_slow_it_was() {
        for latency in [0, 300, 999, 1000, 1700, 2999].map(Duration::from_millis) {
            for after in (20_000..22_000).step_by(50).map(Duration::from_millis) {
                let unnoticed = unnoticed(latency, after).await;
                assert!(unnoticed <= LONGEST_UNNOTICED, "{latency:?}, dead after {after:?}: {unnoticed:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_is_too_slow_counts_as_dead_and_an_error_is_told() {
        let slow = || async {
            sleep(PATIENCE + Duration::from_millis(1)).await;
            Ok::<_, ()>(())
        };
        assert_eq!(until_silent(slow).await, None);
        assert_eq!(until_silent(|| ready(Err("broken"))).await, Some("broken"));
    }
}
