//! A storage service that moves to another one while both are in use.
//!
//! Whoever asks for a record gets it from the new storage. If it is not there, what the old one has of it is brought along
//! first: a live record with exactly its version and times, a tombstone with its time and ending. So nobody's expected
//! version conflicts, and the counters of principals, whose version *is* what sessions remember, keep their numbers. The old
//! one keeps its copy, which expires there; a record that was brought is the business of the new one.
//!
//! | | the new storage | the old one |
//! |---|---|---|
//! | `read`, `update`, `touch` | asked first | asked if it is absent there; then the new one again |
//! | `create` | creates | asked first: what is there, or was ended, stands in the way |
//! | a write that ends something ([`is_end`](crate::NewRecord::is_end)) | does it | gets the same record, with the same version |
//! | `bury` | first | then the old one, so that neither who still uses it nor a later look finds a live copy |
//! | `list`, `scan` | both, each record once; what is buried in the new one is not listed | |
//!
//! Versions grow over the move for each record. Those of two records, of which one has not moved yet, say nothing about which
//! was written first; only among the counters, which [`Ends`] names, does the new storage draw above all of the old one.
//!
//! If the old one cannot be asked, whatever is in the new one is served, and what is not is unavailable, never absent. An
//! end that only the new one heard of is unavailable with an unknown fate: whoever ended repeats it, and meanwhile the
//! tombstone holds for all who migrate.
//!
//! # Who else is there
//!
//! Several processes bring the same records at the same time, and others may still use the old storage alone. What can
//! come between the three steps of bringing, *read old*, *create new*, *read old again*:
//!
//! - *An end by one who migrates*, at any moment: the new storage has its tombstone before the old one, so the create
//!   finds it, or is followed by it.
//! - *An end in the old storage alone*, before the first look: its tombstone is brought. Between the looks: the second one
//!   finds it, and buries in the new storage. After the second look: [`watch`](Storage::watch) tells of it, and whoever
//!   hears it buries in the new storage; so it does if whoever brings dies between the steps. Without a stream, the next
//!   [`Pass`] finds it.
//! - *A change in the old storage alone*, between the looks: the second one finds it, and what was just created gives way
//!   to it, unless it was written in the new storage already. After the second look it is lost. Records that end others
//!   (counters that are raised) are not: the greater version is brought, whoever hears of it.
//! - *Another who brings*: the create finds the record, exactly what it would have created.
//! - *A write or touch in the new storage*: it needs the record there, so it comes after the create, and a create changes
//!   nothing that is there.
//! - *An end without a tombstone*: the old storage forgets first, so that nobody brings the record back afterwards. Whoever
//!   had read it before creates it once more, finds it gone at the second look, and takes it back: for the moment between, an
//!   id that is meant to come back anyway is there.
//! - *Expiry in the old storage while somebody prolongs the record in the new one*: "absent" is only said when the new one
//!   said so after the old one did.

mod changes;
mod pages;
mod pass;
mod passage;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use session::{Clock, Millis};

use self::passage::Passage;
use crate::{
    Applied, Batch, Burial, Bury, Capabilities, Changes, Create, Key, NewRecord, NewValue, Operation, Page,
    Position, Read, Scan, Storage, Times, Touch, Unavailable, Update, Version, Was,
};

pub use self::pass::Pass;

/// Which records end others by being there, or by their version.
#[derive(Clone, Copy)]
pub struct Ends {
    /// The context of counters, whose versions are remembered elsewhere longer than they live themselves.
    pub counters: &'static str,
    /// Whether the record of a key is one: of the old storage and of the new one, the greater version counts.
    pub is_one: fn(&Key) -> bool,
}

impl fmt::Debug for Ends {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ends").field("counters", &self.counters).finish_non_exhaustive()
    }
}

/// Two storage services that look like one: everything moves from the old one to the new one.
#[derive(Debug)]
pub struct Migrating {
    passage: Arc<Passage>,
}

impl Migrating {
    /// Everything moves from `old` to `new`. The clock is that of their records.
    #[must_use]
    pub fn new(new: Arc<dyn Storage>, old: Arc<dyn Storage>, ends: Ends, clock: Arc<dyn Clock>) -> Self {
        Self { passage: Arc::new(Passage::new(new, old, ends, clock)) }
    }

    /// A pass over everything that is in the old storage.
    #[must_use]
    pub fn pass(&self) -> Pass {
        Pass::new(Arc::clone(&self.passage))
    }

    /// Waits until something in the old storage may have changed without anybody's bringing it: then another
    /// [`pass`](Self::pass) is needed. At once, if it happened since the last one began that [is certain](Pass::is_certain).
    pub async fn doubted(&self) {
        self.passage.doubted.notified().await;
    }

    /// The `id` of the old storage.
    #[must_use]
    pub fn old_id(&self) -> &Arc<str> {
        self.passage.old.id()
    }

    /// Ends a record in the new storage, then in the old one.
    async fn bury_for_good(&self, key: &Key, burial: Burial) -> Result<Bury, Unavailable> {
        let Passage { new, old, .. } = &*self.passage;
        if let Err(error) = self.passage.see_to(key).await {
            // For all who migrate it is over all the same; but not if it was meant for one version only.
            if burial.expected.is_none() {
                new.bury(key, burial).await?;
                return Err(unsure(error));
            }
            return Err(error);
        }
        let buried = new.bury(key, burial.clone()).await?;
        if let Bury::Buried(_) = buried {
            old.bury(key, Burial { expected: None, ..burial }).await.map_err(unsure)?;
        }
        Ok(buried)
    }

    /// Ends a record of an id that is meant to come back: in the old storage first, from where it would be brought again.
    async fn bury_for_now(&self, key: &Key, burial: Burial) -> Result<Bury, Unavailable> {
        let Passage { new, old, .. } = &*self.passage;
        self.passage.see_to(key).await?;
        let was = match new.read(key, None).await? {
            Read::Found(record) => match burial.expected.filter(|expected| *expected != record.version) {
                Some(_) => return Ok(Bury::Conflict(record.version)),
                None => Was::Live,
            },
            Read::Unchanged(_) => Was::Live,
            Read::Buried(_) => Was::Buried,
            Read::Absent => Was::Absent,
        };
        old.bury(key, Burial { expected: None, ..burial.clone() }).await?;
        // Whoever hears of the first one may have been faster with the second: what was there before is known.
        Ok(match new.bury(key, burial).await.map_err(unsure)? {
            Bury::Buried(Was::Absent) => Bury::Buried(was),
            buried => buried,
        })
    }

    /// What a batch that was done in the new storage means for the old one.
    async fn follow_batch(
        &self,
        operations: Vec<Operation>,
        before: &[Option<Version>],
    ) -> Result<(), Unavailable> {
        let Passage { new, old, .. } = &*self.passage;
        for (operation, before) in operations.into_iter().zip(before) {
            let is_end = operation.is_end();
            match operation {
                Operation::Bury(key, burial) => {
                    let burial = Burial { expected: None, ..burial };
                    old.bury(&key, burial.clone()).await?;
                    if let (None, Some(version)) = (burial.until, before) {
                        // Between the two, somebody may have brought it back.
                        new.bury(&key, Burial { expected: Some(*version), ..burial }).await?;
                    }
                }
                Operation::Create(key, _) | Operation::Update(key, _) if is_end => {
                    self.passage.return_end(&key).await?;
                }
                Operation::Create(..) | Operation::Update(..) | Operation::Touch(..) => {}
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Storage for Migrating {
    fn id(&self) -> &Arc<str> {
        self.passage.new.id()
    }

    fn capabilities(&self) -> Capabilities {
        let (new, old) = (self.passage.new.capabilities(), self.passage.old.capabilities());
        Capabilities {
            is_durable: new.is_durable,
            is_shared: new.is_shared || old.is_shared,
            is_memory: false,
            max_value: new.max_value.min(old.max_value),
            // What is done in the old one alone is heard there, then brought, then heard in the new one.
            unnoticed: if old.is_shared {
                new.unnoticed + changes::PATIENCE + old.unnoticed
            } else {
                new.unnoticed
            },
        }
    }

    /// Costs a read of the old storage, also for a new random key: that it was never there is not known otherwise.
    async fn create(&self, key: &Key, new: NewRecord) -> Result<Create, Unavailable> {
        self.admit(&Operation::Create(key.clone(), new.clone()))?;
        self.passage.begin(key.context()).await?;
        self.passage.bring(key).await?;
        let is_end = new.is_end;
        let created = self.passage.new.create(key, new).await?;
        if is_end {
            self.passage.return_end(key).await.map_err(unsure)?;
        }
        Ok(created)
    }

    async fn read(&self, key: &Key, known: Option<Version>) -> Result<Read, Unavailable> {
        let new = &self.passage.new;
        match new.read(key, known).await? {
            Read::Absent => {
                self.passage.bring(key).await?;
                new.read(key, known).await
            }
            found => Ok(found),
        }
    }

    async fn update(&self, key: &Key, new: NewValue) -> Result<Update, Unavailable> {
        let is_end = new.is_end;
        let mut updated = self.passage.new.update(key, new.clone()).await?;
        if updated == Update::Absent {
            self.passage.bring(key).await?;
            updated = self.passage.new.update(key, new).await?;
        }
        if is_end && matches!(updated, Update::Updated(_)) {
            self.passage.return_end(key).await.map_err(unsure)?;
        }
        Ok(updated)
    }

    async fn touch(&self, key: &Key, times: Times) -> Result<Touch, Unavailable> {
        match self.passage.new.touch(key, times).await? {
            Touch::Absent => {
                self.passage.bring(key).await?;
                self.passage.new.touch(key, times).await
            }
            touched => Ok(touched),
        }
    }

    async fn bury(&self, key: &Key, burial: Burial) -> Result<Bury, Unavailable> {
        match burial.until {
            Some(until) if !self.passage.is_about_over(until) => self.bury_for_good(key, burial).await,
            _ => self.bury_for_now(key, burial).await,
        }
    }

    async fn list(&self, context: &str, after: Option<&[u8]>, limit: usize) -> Result<Page, Unavailable> {
        pages::list(&self.passage, context, after, limit).await
    }

    async fn scan(&self, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        pages::scan(&self.passage, cursor, budget).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<Batch, Unavailable> {
        // Before anything is brought.
        let Some(context) = Operation::context_of_all(&operations, usize::MAX, self.id())?.map(str::to_owned)
        else {
            return Ok(Batch::Done(Vec::new()));
        };
        operations.iter().try_for_each(|operation| self.admit(operation))?;
        self.passage.begin(&context).await?;
        let mut before = Vec::with_capacity(operations.len());
        for operation in &operations {
            before.push(self.passage.see_to(operation.key()).await?);
        }
        let done = self.passage.new.batch(operations.clone()).await?;
        if let Batch::Done(_) = done {
            self.follow_batch(operations, &before).await.map_err(unsure)?;
        }
        Ok(done)
    }

    /// Reaps in both. What both had of a record counts once, about: the answer is the greater of the two.
    async fn reap(&self, now: Millis, budget: usize) -> Result<usize, Unavailable> {
        let new = self.passage.new.reap(now, budget).await?;
        let old = self.passage.old.reap(now, budget).await?;
        Ok(new.max(old))
    }

    fn next_expiry(&self) -> Option<Millis> {
        Some(self.passage.new.next_expiry()?.min(self.passage.old.next_expiry()?))
    }

    /// The changes of the new storage. Those of the old one are not told but brought, which the new one tells of.
    async fn watch(&self, from: Option<Position>) -> Result<Changes, Unavailable> {
        changes::watch(&self.passage, from).await
    }
}

impl Migrating {
    fn admit(&self, operation: &Operation) -> Result<(), Unavailable> {
        operation.admit(self.capabilities().max_value, self.id())
    }
}

/// The new storage has it, and the old one did not say.
fn unsure(error: Unavailable) -> Unavailable {
    Unavailable { applied: Applied::Unknown, ..error }
}

#[cfg(test)]
mod tests;
