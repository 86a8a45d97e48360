//! A storage service whose values are sealed before they leave this process.
//!
//! Whoever copies the disk, the database or its backup learns from it when sessions began, were used and ended, how
//! large they are, and under which handles they lie, but not what they hold. Whoever can write there can take values away or put an
//! older value of the same record back, but not forge one, change one, or move one to another record: the context and
//! the name of the record are bound to the seal.
//!
//! | bytes | what |
//! |---|---|
//! | 2 | `E5 01`: a value of this format. Nothing else that we store begins so |
//! | the rest | sealed with the [key ring](seal::KeyRing::seal) |
//!
//! The associated data is `cloakroom stored value v1`, a zero byte, the length of the context (8 bytes, big-endian), the
//! context, and the name.
//!
//! Each write seals with the key that is active then. A value that does not open is never "not there": the session may
//! be well, and the key missing (law 3).

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use seal::{KeyTag, Keys, MAX_PLAIN_LEN};
use session::Millis;

use crate::{
    Batch, Burial, Bury, Capabilities, Changes, Create, Key, NewRecord, NewValue, Operation, Outcome, Page,
    Position, Read, Record, Scan, Scanned, Storage, Times, Touch, Unavailable, Update, Version,
};

const FORMAT: [u8; 2] = [0xE5, 0x01];
const LABEL: &[u8] = b"cloakroom stored value v1\0";
/// What sealing adds: the format, and the 33 bytes of the ring.
const OVERHEAD: usize = FORMAT.len() + 33;

/// What is done with a value that is not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plain {
    /// It does not open: we have not written it.
    Refused,
    /// It is taken as it is, and sealed when it is next written: for records from before values were sealed. Whoever can
    /// write to the storage can then forge one.
    DangerAccepted,
}

/// Another service, with sealed values.
#[derive(Debug)]
pub struct Sealed {
    inner: Arc<dyn Storage>,
    keys: Arc<Keys>,
    plain: Plain,
}

/// Why a value does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// Its key is not here.
    #[error(
        "the value of a record in {context} is sealed with the key {tag}, which this node does not have: put the file of that \
         key back (`cloakroom keys list` shows the fingerprints); if the key was removed for good, the record is lost"
    )]
    UnknownKey {
        /// The key that it names.
        tag: KeyTag,
        /// The context of the record.
        context: Box<str>,
    },
    /// Its key is here, and refuses it.
    #[error(
        "the value of a record in {context} does not open with its key {tag}: it was changed, cut, or belongs to another \
         record; restore it from a backup, or find out who writes to this storage"
    )]
    Changed {
        /// The key that it names.
        tag: KeyTag,
        /// The context of the record.
        context: Box<str>,
    },
    /// It is no sealed value.
    #[error(
        "the value of a record in {context} is not sealed: if it was written before `seal = true`, say \
         `danger_accept_plain = true` until such records have expired; otherwise find out who writes to this storage"
    )]
    Plain {
        /// The context of the record.
        context: Box<str>,
    },
}

impl Sealed {
    /// `inner`, whose values are sealed with `keys`.
    #[must_use]
    pub const fn new(inner: Arc<dyn Storage>, keys: Arc<Keys>, plain: Plain) -> Self {
        Self { inner, keys, plain }
    }

    fn seal(&self, key: &Key, plain: &[u8]) -> Result<Bytes, Unavailable> {
        let most = self.capabilities().max_value;
        if plain.len() > most {
            let cause = format!("a value of {} bytes is over the {most} of a sealed one", plain.len());
            return Err(Unavailable::refused(self.id(), cause));
        }
        let sealed =
            self.keys.seal(&bound_to(key), plain).map_err(|error| Unavailable::failed(self.id(), error))?;
        Ok([FORMAT.as_slice(), &sealed].concat().into())
    }

    /// Opens one value as the service underneath keeps it at `key`.
    pub async fn open_value(&self, key: &Key, value: Bytes) -> Result<Bytes, NotOpened> {
        let context = || key.context().into();
        let not_opened = match value.strip_prefix(&FORMAT) {
            None if self.plain == Plain::DangerAccepted => return Ok(value),
            None => NotOpened::Plain { context: context() },
            Some(sealed) => match self.keys.open_or_look(&bound_to(key), sealed).await {
                Ok(plain) => return Ok(plain.into()),
                Err(_) => match KeyTag::of(sealed) {
                    Some(tag) if self.keys.ring().knows(tag) => {
                        NotOpened::Changed { tag, context: context() }
                    }
                    Some(tag) => NotOpened::UnknownKey { tag, context: context() },
                    None => NotOpened::Plain { context: context() },
                },
            },
        };
        Err(not_opened)
    }

    /// The key with which a value was sealed; none if it is not sealed.
    #[must_use]
    pub fn key_of(value: &[u8]) -> Option<KeyTag> {
        value.strip_prefix(&FORMAT).and_then(KeyTag::of)
    }

    async fn open(&self, key: &Key, value: Bytes) -> Result<Bytes, Unavailable> {
        self.open_value(key, value).await.map_err(|error| Unavailable::failed(self.id(), error))
    }

    async fn open_record(&self, key: &Key, record: Record) -> Result<Record, Unavailable> {
        Ok(Record { value: self.open(key, record.value).await?, ..record })
    }

    async fn open_update(&self, key: &Key, update: Update) -> Result<Update, Unavailable> {
        Ok(match update {
            Update::Conflict(current) => Update::Conflict(self.open_record(key, current).await?),
            other => other,
        })
    }

    fn seal_operation(&self, operation: Operation) -> Result<Operation, Unavailable> {
        Ok(match operation {
            Operation::Create(key, new) => {
                let value = self.seal(&key, &new.value)?;
                Operation::Create(key, NewRecord { value, ..new })
            }
            Operation::Update(key, new) => {
                let value = self.seal(&key, &new.value)?;
                Operation::Update(key, NewValue { value, ..new })
            }
            other @ (Operation::Touch(..) | Operation::Bury(..)) => other,
        })
    }
}

#[async_trait]
impl Storage for Sealed {
    fn id(&self) -> &Arc<str> {
        self.inner.id()
    }

    fn capabilities(&self) -> Capabilities {
        let inner = self.inner.capabilities();
        let max_value = inner.max_value.saturating_sub(OVERHEAD).min(MAX_PLAIN_LEN);
        // Whoever keeps what was opened saves the opening.
        Capabilities { is_memory: false, max_value, ..inner }
    }

    async fn create(&self, key: &Key, new: NewRecord) -> Result<Create, Unavailable> {
        let value = self.seal(key, &new.value)?;
        self.inner.create(key, NewRecord { value, ..new }).await
    }

    async fn read(&self, key: &Key, known: Option<Version>) -> Result<Read, Unavailable> {
        Ok(match self.inner.read(key, known).await? {
            Read::Found(record) => Read::Found(self.open_record(key, record).await?),
            other => other,
        })
    }

    async fn update(&self, key: &Key, new: NewValue) -> Result<Update, Unavailable> {
        let value = self.seal(key, &new.value)?;
        let update = self.inner.update(key, NewValue { value, ..new }).await?;
        self.open_update(key, update).await
    }

    async fn touch(&self, key: &Key, times: Times) -> Result<Touch, Unavailable> {
        self.inner.touch(key, times).await
    }

    async fn bury(&self, key: &Key, burial: Burial) -> Result<Bury, Unavailable> {
        self.inner.bury(key, burial).await
    }

    async fn list(&self, context: &str, after: Option<&[u8]>, limit: usize) -> Result<Page, Unavailable> {
        self.inner.list(context, after, limit).await
    }

    async fn scan(&self, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        let mut scan = self.inner.scan(cursor, budget).await?;
        for (key, scanned) in &mut scan.found {
            if let Scanned::Live(record) = scanned {
                record.value = self.open(key, std::mem::take(&mut record.value)).await?;
            }
        }
        Ok(scan)
    }

    /// One that was changed where it lies is given as it lies, which is nothing that anybody wrote: who looks for many is not to
    /// miss all others for it. Without the key, or where nothing was sealed, nobody can say what is missing.
    async fn scan_of(&self, prefix: &str, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        let mut scan = self.inner.scan_of(prefix, cursor, budget).await?;
        for (key, scanned) in &mut scan.found {
            if let Scanned::Live(record) = scanned {
                match self.open_value(key, record.value.clone()).await {
                    Ok(value) => record.value = value,
                    Err(NotOpened::Changed { .. }) => {}
                    Err(error) => return Err(Unavailable::failed(self.id(), error)),
                }
            }
        }
        Ok(scan)
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<Batch, Unavailable> {
        let keys: Vec<Key> = operations.iter().map(|operation| operation.key().clone()).collect();
        let operations: Result<_, _> =
            operations.into_iter().map(|operation| self.seal_operation(operation)).collect();
        let batch = self.inner.batch(operations?).await?;
        Ok(match batch {
            Batch::Refused { index, outcome: Outcome::Update(update) } => {
                let update = match keys.get(index) {
                    Some(key) => self.open_update(key, update).await?,
                    None => update,
                };
                Batch::Refused { index, outcome: Outcome::Update(update) }
            }
            other => other,
        })
    }

    async fn reap(&self, now: Millis, budget: usize) -> Result<usize, Unavailable> {
        self.inner.reap(now, budget).await
    }

    fn next_expiry(&self) -> Option<Millis> {
        self.inner.next_expiry()
    }

    async fn watch(&self, from: Option<Position>) -> Result<Changes, Unavailable> {
        self.inner.watch(from).await
    }
}

/// The length in front of the context keeps two records from looking like one.
fn bound_to(key: &Key) -> Vec<u8> {
    let length = (key.context().len() as u64).to_be_bytes();
    [LABEL, &length, key.context().as_bytes(), key.name()].concat()
}

#[cfg(test)]
mod tests;
