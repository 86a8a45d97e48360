//! What was ended before its time, in this process's memory.
//!
//! A session that its visitor carries is in no storage, so that nothing there could be missing when it is over. Storage
//! keeps a record of each one that was ended for as long as its cookie could come back, and a counter for each principal
//! whose sessions were all ended at once. Every node knows them all: it reads them once, and hears of each further one
//! by the change stream. So a find asks no storage, and an outage logs nobody out, and nobody in.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use session::{Ending, Epoch, Handle, Millis, Principal, Session, Why};
use storage::{Create, Key, NewRecord, NewValue, Read, Times, Unavailable, Update, WriteId};

use crate::Cache;
use crate::application::AFTERLIFE;
use crate::end::Ended;
use crate::expiring::Expiring;
use crate::receipt::{Acknowledged, Tally};
use crate::roll_call::Subject;

/// How many are read at once.
const PAGE: usize = 1000;
/// How often a counter is raised against others who raise it.
const MAX_ROUNDS: usize = 64;

pub(crate) const EPOCHS: &str = "epoch";
pub(crate) const GONE: &str = "gone";

/// The records here that end others: what moves them from one storage to another must know.
pub const ENDS: storage::Ends = storage::Ends { counters: EPOCHS, is_one: is_revocation };

/// Names a principal.
pub(crate) type Fingerprint = [u8; 32];

/// A carried session that is over, or not carried any more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gone {
    pub(crate) why: Why,
    pub(crate) at: Millis,
}

/// Ends and counters that are alive.
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    gone: Expiring<Handle, Gone>,
    epochs: Expiring<Fingerprint, Epoch>,
    /// How often something may have been missed.
    doubts: AtomicU64,
    /// How many of these doubts are settled, once all was read; and one more, for nothing is known at first.
    settled: AtomicU64,
    learning: tokio::sync::Mutex<()>,
}

impl Revocations {
    /// Whether everything is here that was acknowledged anywhere, but for what the change stream is just bringing.
    pub(crate) fn is_known(&self) -> bool {
        self.settled.load(Ordering::Acquire) == self.doubts.load(Ordering::Acquire) + 1
    }

    /// Something may have been missed: all must be read again.
    pub(crate) fn doubt(&self) {
        self.doubts.fetch_add(1, Ordering::AcqRel);
    }

    /// How a carried session went, if it did.
    pub(crate) fn gone(&self, handle: &Handle) -> Option<Gone> {
        self.gone.of(handle)
    }

    /// Whether all sessions of the principal were ended after the one that remembers `epoch` was opened.
    pub(crate) fn is_behind(&self, principal: Option<&Principal>, epoch: Epoch) -> bool {
        let Some(principal) = principal.filter(|_| self.epochs.len() > 0) else { return false };
        self.epochs.of(&principal.fingerprint()).is_some_and(|current| current > epoch)
    }

    /// When something is past its time next.
    pub(crate) fn next_expiry(&self) -> Millis {
        self.gone.next().min(self.epochs.next())
    }

    pub(crate) fn purge(&self, now: Millis) {
        self.gone.purge(now);
        self.epochs.purge(now);
    }

    fn put_gone(&self, handle: Handle, gone: Gone, until: Millis) {
        // One that moved can be ended afterwards; what has ended does not move.
        let choose = |there: Gone, comes| if there.why == Why::Moved { comes } else { there };
        self.gone.put(handle, gone, until, choose);
    }

    fn put_epoch(&self, fingerprint: Fingerprint, epoch: Epoch, until: Millis) {
        self.epochs.put(fingerprint, epoch, until, Epoch::max);
    }
}

impl Gone {
    pub(crate) fn ending(self) -> Ending {
        Ending { at: self.at, why: self.why, by: Box::default() }
    }
}

impl Cache {
    /// Reads what was revoked, unless it is known.
    pub(crate) async fn know_revocations(&self) -> Result<(), Unavailable> {
        let revocations = &self.revocations;
        if revocations.is_known() {
            return Ok(());
        }
        let _alone = revocations.learning.lock().await;
        while !revocations.is_known() {
            let doubts = revocations.doubts.load(Ordering::Acquire);
            self.read_all(EPOCHS).await?;
            for first in 0..=u8::MAX {
                self.read_all(&gone_context(first)).await?;
            }
            // What came between is here by the change stream, unless that had a gap: then there is one doubt more.
            revocations.settled.store(doubts + 1, Ordering::Release);
        }
        Ok(())
    }

    /// The same for whoever judges this session: while others work on the same storage unheard, storage is asked about it
    /// each time.
    pub(crate) async fn know_revocations_of(&self, session: &Session) -> Result<(), Unavailable> {
        self.know_revocations().await?;
        if self.must_ask()
            && let Err(error) = self.ask_briefly(self.ask_about(session)).await
            && !self.may_go_by_what_was_heard()
        {
            return Err(error);
        }
        Ok(())
    }

    async fn ask_about(&self, session: &Session) -> Result<(), Unavailable> {
        let handle = session.handle.to_string();
        let [first, ..] = session.handle.as_bytes();
        // One that moved and was ended then has a record of each.
        let page = self.storage.list(&gone_context(*first), Some(handle.as_bytes()), Why::ALL.len()).await?;
        for listed in &page.records {
            self.learn(&listed.key, Epoch(listed.version.0), listed.times);
        }
        self.epoch_of(session.principal.as_ref()).await.map(drop)
    }

    async fn read_all(&self, context: &str) -> Result<(), Unavailable> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.storage.list(context, after.as_deref(), PAGE).await?;
            for listed in &page.records {
                self.learn(&listed.key, Epoch(listed.version.0), listed.times);
            }
            match page.records.last().filter(|_| page.has_more) {
                Some(last) => after = Some(last.key.name().to_vec()),
                None => return Ok(()),
            }
        }
    }

    /// Another node, or this one, has written `key`.
    pub(crate) fn hear_revocation(&self, key: &Key, version: Epoch) {
        // Longer than it may live: the notice does not say.
        let now = self.clock.now();
        let until = self.all_over_at(now).plus(AFTERLIFE);
        self.learn(key, version, Times { touched: now, expires: until });
    }

    /// Another node asks whether this is refused here, and storage has its end.
    pub(crate) fn refuse(&self, subject: &Subject) -> Result<(), Unavailable> {
        match subject {
            Subject::Session(handle) => self.tier.end(handle),
            Subject::Carried(handle, why) => {
                let key = gone_key(handle, *why).map_err(|error| self.unavailable(error))?;
                self.hear_revocation(&key, Epoch::default());
                // It may have come to lie on the server.
                self.tier.end(handle);
                self.heads.hear(handle);
            }
            Subject::Principal(fingerprint, epoch) => {
                self.hear_revocation(&self.epoch_key(fingerprint)?, *epoch);
            }
        }
        Ok(())
    }

    fn learn(&self, key: &Key, version: Epoch, times: Times) {
        if key.context() == EPOCHS {
            if let Ok(fingerprint) = Fingerprint::try_from(key.name()) {
                self.revocations.put_epoch(fingerprint, version, times.expires);
            }
        } else if let Some((handle, why)) = read_gone(key) {
            self.revocations.put_gone(handle, Gone { why, at: times.touched }, times.expires);
        }
    }

    /// A carried session is over, or carried no longer. When this returns `Ok` no cookie opens it on this node, now or
    /// after a restart, nor on any that hears the change stream.
    pub(crate) async fn revoke(
        &self,
        handle: &Handle,
        ending: &Ending,
        until: Millis,
    ) -> Result<Ended, Unavailable> {
        let key = gone_key(handle, ending.why).map_err(|error| self.unavailable(error))?;
        let times = Times { touched: ending.at, expires: until };
        let write = WriteId::random().map_err(|error| self.unavailable(error))?;
        let value = Bytes::copy_from_slice(ending.by.as_bytes());
        let new = NewRecord { is_end: true, ..NewRecord::new(value, times, write) };
        let created = self.storage.create(&key, new).await?;
        let before = self.revocations.gone(handle).filter(|gone| gone.why != Why::Moved);
        self.revocations.put_gone(*handle, Gone { why: ending.why, at: ending.at }, until);
        Ok(match (created, before) {
            (Create::Created(_), None) => Ended::Now,
            _ => Ended::Before,
        })
    }

    /// Ends every session of a person that was opened until now, whichever application it was for, whoever carries it.
    /// It costs the same for one and for a hundred thousand: a counter is raised, and each session that remembers an
    /// earlier one is over when it is next asked for.
    ///
    /// When this returns `Ok`, no request finds one of them on this node, and on others as soon as they hear of it.
    /// `Err` claims nothing: do it again.
    pub async fn end_all_of(&self, principal: &Principal, by: &str) -> Result<Acknowledged, Unavailable> {
        let fingerprint = principal.fingerprint();
        let key = self.epoch_key(&fingerprint)?;
        let value = Bytes::copy_from_slice(by.as_bytes());
        let write = WriteId::random().map_err(|error| self.unavailable(error))?;
        for _ in 0..MAX_ROUNDS {
            let now = self.clock.now();
            let times = Times { touched: now, expires: self.all_over_at(now) };
            let written = match self.storage.read(&key, None).await? {
                Read::Found(record) => {
                    let new = NewValue {
                        expected: record.version,
                        value: value.clone(),
                        times: Some(times),
                        write,
                        is_end: true,
                    };
                    match self.storage.update(&key, new).await? {
                        Update::Updated(version) => Some(version),
                        Update::Conflict(_) | Update::Absent | Update::Buried(_) => None,
                    }
                }
                Read::Absent | Read::Unchanged(_) | Read::Buried(_) => {
                    let new = NewRecord { is_end: true, ..NewRecord::new(value.clone(), times, write) };
                    match self.storage.create(&key, new).await? {
                        Create::Created(version) => Some(version),
                        Create::Exists | Create::Buried(_) => None,
                    }
                }
            };
            if let Some(version) = written {
                let epoch = Epoch(version.0);
                self.revocations.put_epoch(fingerprint, epoch, times.expires);
                self.counters.ended_all.inc();
                let subject = Subject::Principal(fingerprint, epoch);
                return Ok(Acknowledged { subject, sessions: Tally::Unknown });
            }
        }
        Err(self.unavailable(format!("{MAX_ROUNDS} others ended all sessions of the same person meanwhile")))
    }

    /// How a session ended that was opened before all of its person were ended: nobody may write it, least of all somebody
    /// who would have it remember the counter as it is now.
    pub(crate) fn left_behind(&self, session: &Session) -> Option<Ending> {
        let is_behind = self.revocations.is_behind(session.principal.as_ref(), session.epoch);
        is_behind.then(|| Ending { at: self.clock.now(), why: Why::Revoked, by: Box::default() })
    }

    /// The counter that a session which is opened now must remember.
    pub(crate) async fn epoch_of(&self, principal: Option<&Principal>) -> Result<Epoch, Unavailable> {
        let Some(principal) = principal else { return Ok(Epoch::default()) };
        let fingerprint = principal.fingerprint();
        match self.storage.read(&self.epoch_key(&fingerprint)?, None).await? {
            Read::Found(record) => {
                let epoch = Epoch(record.version.0);
                self.revocations.put_epoch(fingerprint, epoch, record.times.expires);
                Ok(epoch)
            }
            Read::Absent | Read::Unchanged(_) | Read::Buried(_) => Ok(Epoch::default()),
        }
    }

    fn epoch_key(&self, fingerprint: &Fingerprint) -> Result<Key, Unavailable> {
        Key::new(EPOCHS, fingerprint).map_err(|error| self.unavailable(error))
    }
}

/// Whether `key` is about something that was revoked.
pub(crate) fn is_revocation(key: &Key) -> bool {
    key.context() == EPOCHS || key.context().strip_prefix(GONE).is_some_and(|rest| rest.starts_with('.'))
}

fn gone_context(first: u8) -> String {
    format!("{GONE}.{first:02x}")
}

/// The reason is a part of the name, so that a list tells all.
fn gone_key(handle: &Handle, why: Why) -> Result<Key, storage::KeyError> {
    let [first, ..] = handle.as_bytes();
    Key::new(&gone_context(*first), format!("{handle}.{why}").as_bytes())
}

pub(crate) fn read_gone(key: &Key) -> Option<(Handle, Why)> {
    let (handle, why) = std::str::from_utf8(key.name()).ok()?.split_once('.')?;
    // A reason of a newer build ends it as well.
    Some((handle.parse().ok()?, why.parse().unwrap_or(Why::Revoked)))
}
