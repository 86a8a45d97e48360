//! A map in this process: what keeping sessions in memory costs at the least.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use bytes::Bytes;
use parking_lot::Mutex;
use session::{Clock as _, SystemClock};
use storage::{Key, Times};

use crate::error::{Error, Result};
use crate::storage::sessions::{VALUE_BYTES, place, times, value};
use crate::storage::work::{Operation, Work};

/// As many as the engine has.
const SHARDS: usize = 64;

/// Sessions by their keys, behind as many locks as the engine has.
pub(in crate::storage) struct Map {
    shards: Vec<Mutex<HashMap<Key, (Bytes, Times)>>>,
    hasher: RandomState,
    clock: SystemClock,
}

impl Map {
    pub(in crate::storage) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, hasher: RandomState::new(), clock: SystemClock::default() }
    }
}

impl Work for Map {
    async fn work(&self, operation: Operation, number: u64) -> Result<()> {
        let (context, name) = place(number);
        let key = Key::new(&context, name.as_bytes()).map_err(|error| Error::Load(error.to_string()))?;
        let times = times(self.clock.now());
        let shard = self.hasher.hash_one(&context) as usize % SHARDS;
        let mut shard =
            self.shards.get(shard).ok_or_else(|| Error::Load("there is no such shard".to_owned()))?.lock();
        let is_done = match operation {
            Operation::Create => shard.insert(key, (value(), times)).is_none(),
            Operation::Read => {
                let read = shard.get(&key).cloned();
                read.is_some_and(|(value, _)| value.len() == VALUE_BYTES)
            }
            Operation::Unchanged => shard.get(&key).is_some_and(|(_, times)| times.expires.0 > 0),
            Operation::Update => shard.get_mut(&key).map(|kept| *kept = (value(), times)).is_some(),
            Operation::Touch => shard.get_mut(&key).map(|(_, kept)| *kept = times).is_some(),
            Operation::Bury => shard.remove(&key).is_some(),
        };
        if is_done { Ok(()) } else { Err(Error::Load(format!("the map: session {number} is not there"))) }
    }
}
