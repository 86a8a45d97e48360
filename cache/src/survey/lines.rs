//! What is kept of each session, in the order in which they were read.
//!
//! In that order it lies in memory as well, so that a list of all goes through it from front to back: from one place of memory
//! to another that is far away costs more than all that is done there.

use std::collections::HashMap;
use std::mem::take;

use session::{Handle, Millis};
use tokio::runtime;

use super::Surveyed;

/// What a session takes beside what the lister keeps of it, in bytes: its place in the table, which is half full on average.
const IN_TABLE: usize = 2 * size_of::<(Handle, usize)>() + size_of::<Handle>() + size_of::<Millis>();

#[derive(Debug)]
pub(super) struct Lines<T: Surveyed> {
    lines: Vec<Option<Line<T>>>,
    places: HashMap<Handle, usize>,
    /// Places where nothing is any more.
    free: Vec<usize>,
    bytes: usize,
    /// Until when no session is over by time.
    soonest: Millis,
}

#[derive(Debug)]
struct Line<T> {
    handle: Handle,
    told: T,
    /// When the session is over by time, unless it is used once more.
    over_at: Millis,
}

impl<T: Surveyed> Default for Lines<T> {
    fn default() -> Self {
        Self { lines: Vec::new(), places: HashMap::new(), free: Vec::new(), bytes: 0, soonest: Millis::NEVER }
    }
}

impl<T: Surveyed> Lines<T> {
    pub(super) fn put(&mut self, handle: Handle, told: T, over_at: Millis) {
        self.remove(&handle);
        self.bytes += IN_TABLE + told.bytes();
        self.soonest = self.soonest.min(over_at);
        let line = Some(Line { handle, told, over_at });
        let place = self.free.pop().unwrap_or(self.lines.len());
        match self.lines.get_mut(place) {
            Some(free) => *free = line,
            None => self.lines.push(line),
        }
        self.places.insert(handle, place);
    }

    pub(super) fn remove(&mut self, handle: &Handle) {
        let Some(place) = self.places.remove(handle) else { return };
        if let Some(line) = self.lines.get_mut(place).and_then(Option::take) {
            self.bytes -= IN_TABLE + line.told.bytes();
            self.free.push(place);
        }
    }

    /// Those that are over by time, as far as is known here.
    pub(super) fn over(&self, now: Millis) -> Vec<Handle> {
        if now < self.soonest {
            return Vec::new();
        }
        let lines = self.lines.iter().flatten();
        lines.filter(|line| line.over_at <= now).map(|line| line.handle).collect()
    }

    /// What is over by time was looked at again.
    pub(super) fn settle(&mut self) {
        let over_at = self.lines.iter().flatten().map(|line| line.over_at);
        self.soonest = over_at.min().unwrap_or(Millis::NEVER);
    }

    /// All, so many at a time.
    pub(super) fn some_by_some(&self, some: usize) -> impl Iterator<Item = impl Iterator<Item = &T>> {
        self.lines.chunks(some).map(|lines| lines.iter().flatten().map(|line| &line.told))
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Nothing more comes, but for little.
    pub(super) fn shrink(&mut self) {
        self.lines.shrink_to_fit();
        self.places.shrink_to_fit();
    }
}

impl<T: Surveyed> Drop for Lines<T> {
    fn drop(&mut self) {
        let (lines, places) = (take(&mut self.lines), take(&mut self.places));
        // Many small blocks: to give them back takes a while.
        if !lines.is_empty()
            && let Ok(runtime) = runtime::Handle::try_current()
        {
            runtime.spawn_blocking(move || drop((lines, places)));
        }
    }
}

#[cfg(test)]
mod tests {
    use session::Session;

    use super::*;

    struct Told(u64);

    impl Surveyed for Told {
        fn of(_: Session) -> Option<Self> {
            None
        }

        fn bytes(&self) -> usize {
            10
        }
    }

    fn all(lines: &Lines<Told>) -> Vec<u64> {
        lines.some_by_some(2).flatten().map(|told| told.0).collect()
    }

    #[test]
    fn each_is_there_once_and_takes_no_more_than_it_says() {
        let mut lines = Lines::default();
        let handle = |number| Handle::from_bytes([number; 16]);
        for number in 0..5 {
            lines.put(handle(number), Told(number.into()), Millis(100 + u64::from(number)));
        }
        assert_eq!((all(&lines), lines.bytes()), (vec![0, 1, 2, 3, 4], 5 * (IN_TABLE + 10)));
        lines.remove(&handle(1));
        lines.remove(&handle(1));
        lines.put(handle(3), Told(33), Millis(500));
        assert_eq!((all(&lines), lines.bytes()), (vec![0, 2, 33, 4], 4 * (IN_TABLE + 10)));
        lines.put(handle(6), Told(6), Millis(600));
        assert_eq!((all(&lines), lines.lines.len()), (vec![0, 6, 2, 33, 4], 5), "no place is wasted");
    }

    #[test]
    fn those_that_are_over_by_time_are_known_from_when_they_are() {
        let mut lines = Lines::default();
        let (soon, late) = (Handle::from_bytes([1; 16]), Handle::from_bytes([2; 16]));
        lines.put(soon, Told(1), Millis(100));
        lines.put(late, Told(2), Millis(200));
        assert!(lines.over(Millis(99)).is_empty());
        assert_eq!(lines.over(Millis(100)), [soon]);
        lines.remove(&soon);
        lines.settle();
        assert_eq!(lines.soonest, Millis(200));
        assert!(lines.over(Millis(199)).is_empty());
        assert_eq!(lines.over(Millis(200)), [late]);
    }
}
