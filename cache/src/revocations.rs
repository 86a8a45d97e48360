//! What was ended before its time, in this process's memory.
//!
//! A session that its visitor carries is in no storage, so that nothing there could be missing when it is over. Storage
//! keeps a record of each one that was ended for as long as its cookie could come back, and for each [scope](crate::scope) of
//! which all sessions were ended at once a counter, or marks. Every node knows them all: it reads them once, and hears of each
//! further one by the change stream. So a find asks no storage, and an outage logs nobody out, and nobody in.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use futures_util::future::try_join_all;
use session::{Ending, Epoch, Handle, Millis, Session, Why};
use storage::{Create, Key, NewRecord, Read, Record, Times, Unavailable, WriteId};
use tokio::try_join;

use crate::Cache;
use crate::application::AFTERLIFE;
use crate::end::Ended;
use crate::end_where::End;
use crate::expiring::Expiring;
use crate::recent;
use crate::roll_call::Subject;
use crate::scope::{ByScope, COUNTERS, MARKS, Mark, Scope, Scopes};
use crate::survey::Followers;
use crate::sync::AtomicU64;

/// How many are read at once.
const PAGE: usize = 1000;

pub(crate) const GONE: &str = "gone";
/// The context of tickets that were renewed: see [`crate::recovery`].
pub(crate) const RENEWED: &str = "renewed";

/// The records here that end others: what moves them from one storage to another must know.
pub const ENDS: storage::Ends = storage::Ends { counters: COUNTERS, is_one: is_revocation };

/// A carried session that is over, or not carried any more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gone {
    pub(crate) why: Why,
    pub(crate) at: Millis,
}

/// By what a session ended together with others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behind {
    Counter(Scope),
    Mark(Mark),
}

/// Ends, counters and marks that are alive.
#[derive(Debug, Default)]
pub(crate) struct Revocations {
    gone: Expiring<Handle, Gone>,
    counters: ByScope<Epoch>,
    /// The latest moment for each scope.
    marks: ByScope<Millis>,
    /// How often something may have been missed.
    doubts: AtomicU64,
    /// How many of these doubts are settled, once all was read; and one more, for nothing is known at first.
    settled: AtomicU64,
    learning: tokio::sync::Mutex<()>,
    /// Told of what is over by them.
    followers: Arc<Followers>,
}

impl Revocations {
    pub(crate) fn new(followers: Arc<Followers>) -> Self {
        Self { followers, ..Self::default() }
    }

    /// Whether everything is here that was acknowledged anywhere, but for what the change stream is just bringing.
    pub(crate) fn is_known(&self) -> bool {
        self.settled.load(Ordering::Acquire) == self.doubts.load(Ordering::Acquire) + 1
    }

    /// Whether everything is here that was acknowledged until a moment in this process's life.
    pub(crate) fn was_known(&self) -> bool {
        self.settled.load(Ordering::Acquire) > 0
    }

    /// Something may have been missed: all must be read again.
    pub(crate) fn doubt(&self) {
        self.doubts.fetch_add(1, Ordering::AcqRel);
    }

    /// How a carried session went, if it did.
    pub(crate) fn gone(&self, handle: &Handle) -> Option<Gone> {
        self.gone.of(handle)
    }

    /// By what the session was ended together with others after it was opened, if it was.
    pub(crate) fn behind(&self, session: &Session) -> Option<Behind> {
        self.behind_but(session, |_| None, |_| None)
    }

    /// The same, where some counters and marks are taken to be what they were before.
    pub(crate) fn behind_but(
        &self,
        session: &Session,
        counter: impl Fn(&Scope) -> Option<Epoch>,
        mark: impl Fn(&Scope) -> Option<Millis>,
    ) -> Option<Behind> {
        let scopes = Scopes::of(session);
        let is_behind = |scope: &Scope, current, remembered| counter(scope).unwrap_or(current) > remembered;
        let is_before = |scope: &Scope, before, _| session.begun < mark(scope).unwrap_or(before);
        let counter = self.counters.first(&scopes, is_behind).map(|(scope, _)| Behind::Counter(scope));
        let mark = || {
            let (scope, before) = self.marks.first(&scopes, is_before)?;
            Some(Behind::Mark(Mark { scope, before }))
        };
        counter.or_else(mark)
    }

    /// The counter of a scope, as far as this process knows.
    pub(crate) fn epoch(&self, scope: &Scope) -> Epoch {
        self.counters.of(scope).unwrap_or_default()
    }

    /// The latest mark of a scope, as far as this process knows.
    pub(crate) fn mark(&self, scope: &Scope) -> Option<Millis> {
        self.marks.of(scope)
    }

    /// When something is past its time next.
    pub(crate) fn next_expiry(&self) -> Millis {
        self.gone.next().min(self.counters.next()).min(self.marks.next())
    }

    pub(crate) fn purge(&self, now: Millis) {
        self.gone.purge(now);
        self.counters.purge(now);
        self.marks.purge(now);
    }

    fn put_gone(&self, handle: Handle, gone: Gone, until: Millis) {
        // One that moved can be ended afterwards; what has ended does not move.
        let choose = |there: Gone, comes| if there.why == Why::Moved { comes } else { there };
        self.gone.put(handle, gone, until, choose);
        self.followers.note(&handle);
    }

    pub(crate) fn put_epoch(&self, scope: Scope, epoch: Epoch, until: Millis) {
        let is_raised = self.counters.of(&scope).is_none_or(|known| known < epoch);
        self.counters.put(scope, epoch, until, Epoch::max);
        if is_raised {
            self.followers.outdate();
        }
    }

    /// The same by whoever tells somebody that it is so: another one may have heard of it first, and not have come to what follows.
    pub(crate) fn raise_epoch(&self, scope: Scope, epoch: Epoch, until: Millis) {
        self.put_epoch(scope, epoch, until);
        self.followers.outdate();
    }

    pub(crate) fn raise_mark(&self, mark: Mark, until: Millis) {
        self.put_mark(mark, until);
        self.followers.outdate();
    }

    pub(crate) fn put_mark(&self, mark: Mark, until: Millis) {
        let is_later = self.marks.of(&mark.scope).is_none_or(|known| known < mark.before);
        self.marks.put(mark.scope, mark.before, until, Millis::max);
        if is_later {
            self.followers.outdate();
        }
    }
}

impl Gone {
    pub(crate) fn ending(self) -> Ending {
        Ending::new(self.at, self.why, "")
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
            self.read_all(COUNTERS).await?;
            self.read_all(MARKS).await?;
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

    /// All at once, so that it costs one round.
    pub(crate) async fn ask_about(&self, session: &Session) -> Result<(), Unavailable> {
        let scopes: Vec<Scope> = Scopes::of(session).all().collect();
        let counters = try_join_all(scopes.into_iter().map(|scope| self.counter(scope)));
        // There are few: only events and operators end by time.
        let marks = self.read_all(MARKS);
        try_join!(self.ask_whether_gone(session), counters, marks).map(drop)
    }

    async fn ask_whether_gone(&self, session: &Session) -> Result<(), Unavailable> {
        if !session.is_carried() && !session.is_recoverable {
            return Ok(());
        }
        let handle = session.handle.to_string();
        let [first, ..] = session.handle.as_bytes();
        // One that moved and was ended then has a record of each.
        let page = self.storage.list(&gone_context(*first), Some(handle.as_bytes()), Why::ALL.len()).await?;
        for listed in &page.records {
            self.learn(&listed.key, Epoch(listed.version.0), listed.times);
        }
        Ok(())
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
        if let Some(subject) = self.learn(key, version, Times { touched: now, expires: until }) {
            // Of the others each is written once: another version is no later end.
            let is_counter = matches!(subject, recent::EndOf::Counter(_));
            self.recent.heard(subject, if is_counter { version } else { Epoch::default() });
        }
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
            Subject::Counter(scope, epoch) => {
                let key = scope.key().map_err(|error| self.unavailable(error))?;
                self.hear_revocation(&key, *epoch);
                self.tier.followers.outdate();
            }
            Subject::Mark(mark) => {
                let key = mark.key().map_err(|error| self.unavailable(error))?;
                self.hear_revocation(&key, Epoch::default());
                self.tier.followers.outdate();
            }
        }
        Ok(())
    }

    /// Enters what is at `key`; what that ends, if it is an end.
    fn learn(&self, key: &Key, version: Epoch, times: Times) -> Option<recent::EndOf> {
        if let Some(scope) = Scope::of(key) {
            self.revocations.put_epoch(scope, version, times.expires);
            return Some(recent::EndOf::Counter(scope));
        }
        if let Some(mark) = Mark::of(key) {
            self.revocations.put_mark(mark, times.expires);
            return Some(recent::EndOf::Mark(mark));
        }
        let (handle, why) = read_gone(key).filter(|_| key.context() != RENEWED)?;
        self.revocations.put_gone(handle, Gone { why, at: times.touched }, times.expires);
        Some(recent::EndOf::Gone(handle, why))
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
        let value = Bytes::copy_from_slice(ending.actor().as_bytes());
        let new = NewRecord { is_end: true, ..NewRecord::new(value, times, write) };
        let created = self.storage.create(&key, new).await?;
        let before = self.revocations.gone(handle).filter(|gone| gone.why != Why::Moved);
        self.revocations.put_gone(*handle, Gone { why: ending.why, at: ending.at }, until);
        let end = End { ending: ending.clone(), before: None, late: None };
        self.recent.made(recent::EndOf::Gone(*handle, ending.why), end, Some(until), Epoch::default());
        Ok(match (created, before) {
            (Create::Created(_), None) => Ended::Now,
            _ => Ended::Before,
        })
    }

    /// How a session ended that was opened before all of its person, realm, or of everybody were ended: nobody may write it,
    /// least of all somebody who would have it remember the counters as they are now.
    pub(crate) fn left_behind(&self, session: &Session) -> Option<Ending> {
        self.revocations.behind(session).map(|_| Ending::new(self.clock.now(), Why::Revoked, ""))
    }

    /// The counter of a scope as storage has it; none, if nothing was ever ended so.
    pub(crate) async fn counter(&self, scope: Scope) -> Result<Option<Record>, Unavailable> {
        let key = scope.key().map_err(|error| self.unavailable(error))?;
        match self.storage.read(&key, None).await? {
            Read::Found(record) => {
                self.revocations.put_epoch(scope, Epoch(record.version.0), record.times.expires);
                Ok(Some(record))
            }
            Read::Absent | Read::Unchanged(_) | Read::Buried(_) => Ok(None),
        }
    }
}

/// Whether `key` is about something that was revoked.
pub(crate) fn is_revocation(key: &Key) -> bool {
    matches!(key.context(), COUNTERS | MARKS | RENEWED)
        || key.context().strip_prefix(GONE).is_some_and(|rest| rest.starts_with('.'))
}

pub(crate) fn gone_context(first: u8) -> String {
    format!("{GONE}.{first:02x}")
}

/// The reason is a part of the name, so that a list tells all.
pub(crate) fn gone_key(handle: &Handle, why: Why) -> Result<Key, storage::KeyError> {
    let [first, ..] = handle.as_bytes();
    Key::new(&gone_context(*first), format!("{handle}.{why}").as_bytes())
}

pub(crate) fn read_gone(key: &Key) -> Option<(Handle, Why)> {
    let (handle, why) = std::str::from_utf8(key.name()).ok()?.split_once('.')?;
    // A reason of a newer build ends it as well.
    Some((handle.parse().ok()?, why.parse().unwrap_or(Why::Revoked)))
}
