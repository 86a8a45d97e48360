//! An engine, asked through the storage contract.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use session::{Clock, Ending, Millis, Why};
use storage::{
    Burial, Bury, Create, Key, NewRecord, NewValue, Read, Storage, Touch, Update, Version, Was, WriteId,
};

use super::sessions::{VALUE_BYTES, place, times, value};
use super::work::{Operation, Work};
use crate::error::{Error, Result};

/// Until when an ended session may not be created again, from its end on: as long as it would have lived.
const REMEMBERED: u64 = 8 * 3_600_000;

/// An engine, and the versions that its sessions have.
pub(super) struct Contract {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    versions: Vec<AtomicU64>,
    writes: AtomicU64,
}

impl Contract {
    /// For sessions with numbers below `sessions`.
    pub(super) fn new(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>, sessions: u64) -> Self {
        let versions = (0..sessions).map(|_| AtomicU64::new(0)).collect();
        Self { storage, clock, versions, writes: AtomicU64::new(1) }
    }

    fn version(&self, number: u64) -> Result<&AtomicU64> {
        let version = usize::try_from(number).ok().and_then(|number| self.versions.get(number));
        version.ok_or_else(|| Error::Load(format!("there is no session {number}")))
    }

    /// None was there before. That they can be guessed harms nobody here, and what chance costs is not the engine's.
    fn write_id(&self) -> WriteId {
        WriteId(u128::from(self.writes.fetch_add(1, Ordering::Relaxed)).to_be_bytes())
    }
}

impl Work for Contract {
    async fn work(&self, operation: Operation, number: u64) -> Result<()> {
        let (context, name) = place(number);
        let key = Key::new(&context, name.as_bytes()).map_err(|error| Error::Load(error.to_string()))?;
        let version = self.version(number)?;
        let now = self.clock.now();
        match operation {
            Operation::Create => {
                let new = NewRecord::new(value(), times(now), self.write_id());
                match self.storage.create(&key, new).await {
                    Ok(Create::Created(created)) => version.store(created.0, Ordering::Relaxed),
                    other => return Err(wrong(operation, &other)),
                }
            }
            Operation::Read => match self.storage.read(&key, None).await {
                Ok(Read::Found(record)) if record.value.len() == VALUE_BYTES => {}
                other => return Err(wrong(operation, &other)),
            },
            Operation::Unchanged => {
                let known = Version(version.load(Ordering::Relaxed));
                match self.storage.read(&key, Some(known)).await {
                    Ok(Read::Unchanged(_)) => {}
                    other => return Err(wrong(operation, &other)),
                }
            }
            Operation::Update => {
                let expected = Version(version.load(Ordering::Relaxed));
                let times = Some(times(now));
                let (value, write) = (value(), self.write_id());
                let new = NewValue { expected, value, times, write, is_end: false };
                match self.storage.update(&key, new).await {
                    Ok(Update::Updated(updated)) => version.store(updated.0, Ordering::Relaxed),
                    other => return Err(wrong(operation, &other)),
                }
            }
            Operation::Touch => match self.storage.touch(&key, times(now)).await {
                Ok(Touch::Touched) => {}
                other => return Err(wrong(operation, &other)),
            },
            Operation::Bury => {
                let ending = Ending::new(now, Why::Logout, "measured");
                let until = Some(Millis(now.0 + REMEMBERED));
                match self.storage.bury(&key, Burial { until, ending, expected: None }).await {
                    Ok(Bury::Buried(Was::Live)) => {}
                    other => return Err(wrong(operation, &other)),
                }
            }
        }
        Ok(())
    }
}

fn wrong(operation: Operation, answer: &impl Debug) -> Error {
    Error::Load(format!("{}: {answer:?}", operation.shown()))
}
