//! A pass over the old storage, after which everything of it is in the new one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::{FutureExt as _, StreamExt as _, stream};

use super::passage::Passage;
use crate::{Blame, Key, Unavailable, moving};

/// How many records are read at once.
const PAGE: usize = 100;

/// How many are brought at a time.
const AT_A_TIME: usize = 8;

/// One pass. Who makes several at once, here or elsewhere, only does the same work more than once; who begins again finds
/// what is there.
#[derive(Debug)]
pub struct Pass {
    passage: Arc<Passage>,
    cursor: Option<Vec<u8>>,
    doubts: u64,
    moved: u64,
    stuck: u64,
}

impl Pass {
    pub(super) fn new(passage: Arc<Passage>) -> Self {
        let doubts = passage.doubts.load(Ordering::SeqCst);
        Self { passage, cursor: None, doubts, moved: 0, stuck: 0 }
    }

    /// Brings about a hundred records; says whether there are more. After an error, the same again.
    ///
    /// # Errors
    /// One of the storages could not answer.
    pub async fn step(&mut self) -> Result<bool, Unavailable> {
        let passage = &*self.passage;
        passage.begin_counters().await?;
        let scan = passage.old.scan(self.cursor.as_deref(), PAGE).await?;
        let keys = scan.found.into_iter().map(|(key, _)| key).filter(|key| !moving::is_probe(key));
        let keys: Vec<Key> = keys.collect();
        let bring = |key: Key| async move { passage.bring(&key).await }.boxed();
        let mut brought = stream::iter(keys).map(bring).buffer_unordered(AT_A_TIME);
        let (mut moved, mut stuck) = (0, 0);
        while let Some(outcome) = brought.next().await {
            match outcome {
                Ok(_) => moved += 1,
                // The new storage does not take it, now or later.
                Err(error) if error.blame == Blame::Caller => stuck += 1,
                Err(error) => return Err(error),
            }
        }
        drop(brought);
        self.moved += moved;
        self.stuck += stuck;
        self.cursor = scan.cursor;
        Ok(self.cursor.is_some())
    }

    /// How many records there are in the old storage, live or buried, about.
    ///
    /// # Errors
    /// It could not answer.
    pub async fn count(&self) -> Result<u64, Unavailable> {
        let mut cursor = None;
        let mut count = 0;
        loop {
            let scan = self.passage.old.scan(cursor.as_deref(), PAGE).await?;
            count += scan.found.len() as u64;
            if scan.cursor.is_none() {
                return Ok(count);
            }
            cursor = scan.cursor;
        }
    }

    /// How many records were found in the old storage so far, and are in the new one.
    #[must_use]
    pub const fn moved(&self) -> u64 {
        self.moved
    }

    /// How many the new storage refuses to take: they are too large for it.
    #[must_use]
    pub const fn stuck(&self) -> u64 {
        self.stuck
    }

    /// Whether nothing can have changed in the old storage since the pass began that was not brought by who heard of it.
    #[must_use]
    pub fn is_certain(&self) -> bool {
        self.passage.doubts.load(Ordering::SeqCst) == self.doubts
    }
}
