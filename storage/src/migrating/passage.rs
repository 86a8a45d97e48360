//! The way of a record from the old storage to the new one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use session::{Clock, Ending, Millis, Why};
use tokio::sync::{Notify, OnceCell};

use super::Ends;
use crate::moving::{self, begin_above, last_version};
use crate::{
    Burial, Change, Create, Key, Kind, NewRecord, Read, Record, Storage, Tombstone, Unavailable, Version,
    WriteId,
};

/// How often others may be faster before it is given up.
const MAX_ROUNDS: usize = 16;

/// How far clocks may be apart, and what is over by then is about to be.
const APART: Duration = Duration::from_secs(30);

/// Both storages, and what is known of them.
pub(super) struct Passage {
    pub(super) new: Arc<dyn Storage>,
    pub(super) old: Arc<dyn Storage>,
    ends: Ends,
    clock: Arc<dyn Clock>,
    /// Whether the new storage draws above all counters that the old one ever had.
    is_begun: OnceCell<()>,
    /// How often something of the old one may have been missed.
    pub(super) doubts: AtomicU64,
    pub(super) doubted: Notify,
}

impl fmt::Debug for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passage")
            .field("new", self.new.id())
            .field("old", self.old.id())
            .finish_non_exhaustive()
    }
}

/// What the old storage had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Brought {
    /// A record, which is in the new one now, or was, or was ended there.
    Live,
    /// A tombstone, and the new one has it as well.
    Buried,
    /// Nothing.
    Absent,
}

/// What became of a record that was put somewhere.
enum Put {
    Created(Version),
    /// It is there, or what counts more.
    There,
    Buried,
}

/// A record that was just created in the new storage, after what was read in the old one.
struct Fresh {
    read: Version,
    created: Version,
    expires: Millis,
}

impl Passage {
    pub(super) fn new(
        new: Arc<dyn Storage>,
        old: Arc<dyn Storage>,
        ends: Ends,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let (is_begun, doubts, doubted) = (OnceCell::new(), AtomicU64::new(0), Notify::new());
        Self { new, old, ends, clock, is_begun, doubts, doubted }
    }

    /// Something of the old storage may have been missed.
    pub(super) fn doubt(&self) {
        self.doubts.fetch_add(1, Ordering::SeqCst);
        self.doubted.notify_one();
    }

    /// Whether what ends at `moment` is over, or so soon that a storage with another clock may think so.
    pub(super) fn is_about_over(&self, moment: Millis) -> bool {
        moment <= self.clock.now().plus(APART)
    }

    /// Before the first record is created in the context of the counters: the new storage draws above all that the old one
    /// drew there. A counter that is forgotten may be remembered by a session.
    pub(super) async fn begin(&self, context: &str) -> Result<(), Unavailable> {
        if context == self.ends.counters {
            self.begin_counters().await?;
        }
        Ok(())
    }

    pub(super) async fn begin_counters(&self) -> Result<(), Unavailable> {
        let begin = || async {
            let (context, now) = (self.ends.counters, self.clock.now());
            let last = last_version(&*self.old, context, now).await?;
            begin_above(&*self.new, context, last, now).await
        };
        self.is_begun.get_or_try_init(begin).await.copied()
    }

    /// Sees to it that the record is in the new storage if it is anywhere; says the version that it has there.
    pub(super) async fn see_to(&self, key: &Key) -> Result<Option<Version>, Unavailable> {
        let mut read = self.new.read(key, None).await?;
        if read == Read::Absent && self.bring(key).await? == Brought::Live {
            read = self.new.read(key, None).await?;
        }
        Ok(if let Read::Found(record) = read { Some(record.version) } else { None })
    }

    /// Brings what the old storage has of a record to the new one. What is there already stays; see [`super`] for what
    /// may come between.
    pub(super) async fn bring(&self, key: &Key) -> Result<Brought, Unavailable> {
        let mut fresh: Option<Fresh> = None;
        for _ in 0..MAX_ROUNDS {
            match (self.old.read(key, fresh.as_ref().map(|fresh| fresh.read)).await?, &fresh) {
                (Read::Unchanged(_), _) => return Ok(Brought::Live),
                (Read::Buried(tombstone), _) => {
                    self.bury_as(key, tombstone).await?;
                    return Ok(Brought::Buried);
                }
                (Read::Absent, None) => return Ok(Brought::Absent),
                // It expired there meanwhile, and here it may have been prolonged.
                (Read::Absent, Some(fresh)) if self.is_about_over(fresh.expires) => return Ok(Brought::Live),
                (Read::Absent, Some(fresh)) => {
                    self.forget(&*self.new, key, fresh.created).await?;
                    return Ok(Brought::Absent);
                }
                (Read::Found(record), _) => {
                    let gives_way = |there: Version| {
                        self.is_end(key) || fresh.as_ref().is_some_and(|fresh| fresh.created == there)
                    };
                    match self.put(&*self.new, key, &record, gives_way).await? {
                        Put::Created(created) => {
                            let (read, expires) = (record.version, record.times.expires);
                            fresh = Some(Fresh { read, created, expires });
                        }
                        Put::There | Put::Buried => return Ok(Brought::Live),
                    }
                }
            }
        }
        let cause = format!("a record of {} changed {MAX_ROUNDS} times while it was moved", key.context());
        Err(Unavailable::failed(self.old.id(), cause))
    }

    /// What ends something is known in the old storage as well, for whoever still uses it alone.
    pub(super) async fn return_end(&self, key: &Key) -> Result<(), Unavailable> {
        if let Read::Found(record) = self.new.read(key, None).await? {
            self.put(&*self.old, key, &record, |_| true).await?;
        }
        Ok(())
    }

    /// Does to the new storage what `change` says of the old one.
    pub(super) async fn follow(&self, change: &Change) -> Result<(), Unavailable> {
        let key = &change.key;
        if moving::is_probe(key) || self.bring(key).await? != Brought::Absent || change.kind != Kind::Buried {
            return Ok(());
        }
        // It was ended there and left no tombstone. A later life, which began here, has a greater version.
        match self.new.read(key, None).await? {
            Read::Found(record) if record.version <= change.version => {
                self.forget(&*self.new, key, record.version).await
            }
            _ => Ok(()),
        }
    }

    fn is_end(&self, key: &Key) -> bool {
        (self.ends.is_one)(key)
    }

    /// Puts exactly this record into `storage`, unless it has the same or a later one, or one that does not give way.
    async fn put(
        &self,
        storage: &dyn Storage,
        key: &Key,
        record: &Record,
        gives_way: impl Fn(Version) -> bool + Send + Sync,
    ) -> Result<Put, Unavailable> {
        for _ in 0..MAX_ROUNDS {
            let write = WriteId::random().map_err(|error| Unavailable::failed(storage.id(), error))?;
            let new = NewRecord {
                version: Some(record.version),
                is_end: self.is_end(key),
                ..NewRecord::new(record.value.clone(), record.times, write)
            };
            match storage.create(key, new).await? {
                Create::Created(version) => return Ok(Put::Created(version)),
                Create::Buried(_) => return Ok(Put::Buried),
                Create::Exists => {}
            }
            match storage.read(key, Some(record.version)).await? {
                Read::Unchanged(_) => return Ok(Put::There),
                Read::Found(there) if there.version > record.version || !gives_way(there.version) => {
                    return Ok(Put::There);
                }
                Read::Found(there) => self.forget(storage, key, there.version).await?,
                Read::Buried(_) => return Ok(Put::Buried),
                Read::Absent => {}
            }
        }
        let cause = format!("a record of {} changed {MAX_ROUNDS} times while it was moved", key.context());
        Err(Unavailable::failed(storage.id(), cause))
    }

    async fn bury_as(&self, key: &Key, tombstone: Tombstone) -> Result<(), Unavailable> {
        if let Read::Buried(there) = self.new.read(key, None).await?
            && there.until >= tombstone.until
        {
            return Ok(());
        }
        let burial = Burial { until: Some(tombstone.until), ending: tombstone.ending, expected: None };
        self.new.bury(key, burial).await.map(drop)
    }

    /// Takes a record away that must not be there, if it is that version still; leaves no tombstone.
    async fn forget(&self, storage: &dyn Storage, key: &Key, version: Version) -> Result<(), Unavailable> {
        let ending = Ending::new(self.clock.now(), Why::Replaced, "migration");
        storage.bury(key, Burial { until: None, ending, expected: Some(version) }).await.map(drop)
    }
}
