//! Where those wait who want to write.
//!
//! To wake a thread costs as much as to write a record. Therefore the writer is not woken by everybody who comes: it
//! says for how many it waits, and the last of them wakes it. How many that are, the
//! [expectation](super::expectation) says.

use std::time::Instant;

use parking_lot::{Condvar, Mutex};
use tokio::sync::Semaphore;

use super::expectation::Wait;

/// A line with so many places, from whose head one thread takes a group at a time.
#[derive(Debug)]
pub(super) struct Line<T> {
    /// One for each that may still join. Whoever finds none waits for one.
    places: Semaphore,
    standing: Mutex<Standing<T>>,
    called: Condvar,
}

#[derive(Debug)]
struct Standing<T> {
    line: Vec<T>,
    /// The length at which the one who takes is called. None while it is busy: it looks when it is not.
    called_at: Option<usize>,
    is_closed: bool,
}

/// Nobody joins any more.
#[derive(Debug)]
pub(super) struct Closed;

impl<T> Line<T> {
    pub(super) fn new(capacity: usize) -> Self {
        let standing = Standing { line: Vec::new(), called_at: None, is_closed: false };
        Self { places: Semaphore::new(capacity), standing: Mutex::new(standing), called: Condvar::new() }
    }

    /// Waits for a place, and takes it.
    pub(super) async fn join(&self, one: T) -> Result<(), Closed> {
        // Given back by the one who takes.
        self.places.acquire().await.map_err(|_| Closed)?.forget();
        let mut standing = self.standing.lock();
        if standing.is_closed {
            return Err(Closed);
        }
        standing.line.push(one);
        let is_called = standing.called_at.is_some_and(|length| standing.line.len() >= length);
        if is_called {
            standing.called_at = None;
        }
        // Whoever is woken wants the lock.
        drop(standing);
        if is_called {
            self.called.notify_one();
        }
        Ok(())
    }

    /// Takes the first `most`, once there is anybody and what is waited for is there, or was waited for in vain. None when
    /// nobody is there and nobody will come.
    pub(super) fn take(&self, most: usize, wait: Wait) -> Option<Vec<T>> {
        let mut standing = self.standing.lock();
        if standing.line.len() < wait.count.min(most) && !standing.is_closed && !wait.patience.is_zero() {
            let until = Instant::now() + wait.patience;
            standing.called_at = Some(wait.count.min(most));
            self.called.wait_while_until(&mut standing, |standing| standing.called_at.is_some(), until);
        }
        while standing.line.is_empty() && !standing.is_closed {
            standing.called_at = Some(1);
            self.called.wait(&mut standing);
        }
        standing.called_at = None;
        let count = standing.line.len().min(most);
        let left = standing.line.split_off(count);
        let taken = std::mem::replace(&mut standing.line, left);
        drop(standing);
        self.places.add_permits(count);
        (count > 0).then_some(taken)
    }

    /// How many stand there.
    pub(super) fn len(&self) -> usize {
        self.standing.lock().line.len()
    }

    /// Lets nobody join any more. Who is there stays until they are taken.
    pub(super) fn close(&self) {
        self.places.close();
        let mut standing = self.standing.lock();
        standing.is_closed = true;
        standing.called_at = None;
        drop(standing);
        self.called.notify_one();
    }

    /// Sends everybody away: nobody takes them any more.
    pub(super) fn dissolve(&self) {
        self.close();
        let line = std::mem::take(&mut self.standing.lock().line);
        // Not under the lock: those who wait for them are told.
        drop(line);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    use futures_util::future::poll_immediate;

    use super::*;

    /// Longer than any test: whoever waits for so long waits in vain.
    const LONG: Duration = Duration::from_secs(600);

    async fn joined(line: &Line<u32>, numbers: impl IntoIterator<Item = u32>) {
        for number in numbers {
            line.join(number).await.unwrap();
        }
    }

    #[tokio::test]
    async fn the_last_who_is_waited_for_calls_the_one_who_takes() {
        let line = Arc::new(Line::new(10));
        joined(&line, [1]).await;
        let taking = Arc::clone(&line);
        let taken = thread::spawn(move || taking.take(10, Wait { count: 3, patience: LONG }));
        joined(&line, [2, 3]).await;
        assert_eq!(taken.join().unwrap(), Some(vec![1, 2, 3]));
    }

    #[tokio::test]
    async fn who_is_there_is_taken_when_patience_is_over() {
        let line = Line::new(10);
        joined(&line, [1]).await;
        let wait = Wait { count: 3, patience: Duration::from_millis(1) };
        assert_eq!(line.take(10, wait), Some(vec![1]));
    }

    #[tokio::test]
    async fn a_group_has_a_bound_and_the_rest_stays_in_its_order() {
        let line = Line::new(10);
        joined(&line, 1..=5).await;
        // More than a group holds are never waited for.
        let wait = Wait { count: 9, patience: LONG };
        assert_eq!(line.take(3, wait), Some(vec![1, 2, 3]));
        assert_eq!(line.take(2, wait), Some(vec![4, 5]));
    }

    #[tokio::test]
    async fn who_finds_no_place_waits_until_somebody_is_taken() {
        let line = Line::new(2);
        joined(&line, [1, 2]).await;
        let mut third = Box::pin(line.join(3));
        assert!(poll_immediate(&mut third).await.is_none());
        let wait = Wait { count: 1, patience: Duration::ZERO };
        assert_eq!(line.take(10, wait), Some(vec![1, 2]));
        third.await.unwrap();
        assert_eq!(line.take(10, wait), Some(vec![3]));
    }

    #[tokio::test]
    async fn who_is_there_when_it_closes_is_taken_and_nobody_joins() {
        let line = Line::new(2);
        joined(&line, [1, 2]).await;
        let mut late = Box::pin(line.join(3));
        assert!(poll_immediate(&mut late).await.is_none());
        line.close();
        assert!(late.await.is_err());
        let wait = Wait { count: 5, patience: LONG };
        assert_eq!(line.take(10, wait), Some(vec![1, 2]));
        assert_eq!(line.take(10, wait), None);
    }

    #[tokio::test]
    async fn whoever_takes_ends_when_it_closes() {
        let line = Arc::new(Line::<u32>::new(2));
        let taking = Arc::clone(&line);
        let taken = thread::spawn(move || taking.take(10, Wait { count: 2, patience: LONG }));
        line.close();
        assert_eq!(taken.join().unwrap(), None);
    }

    #[tokio::test]
    async fn nobody_waits_for_an_answer_from_a_line_that_is_dissolved() {
        let line = Line::new(2);
        let (answer, answered) = tokio::sync::oneshot::channel::<()>();
        line.join(answer).await.unwrap();
        line.dissolve();
        assert!(answered.await.is_err());
    }
}
