//! What was written of carried sessions in the last minute.
//!
//! Two answers under way may both change a carried session, and the cookies that they set do not know of each other.
//! So each write also goes into a head record, which lives for a [`WINDOW`]: there writers meet, compare and swap, and
//! every request within it is served by the head, whichever of the cookies it came with.
//!
//! Where storage is shared the heads lie there, and the change stream says of whom there is one. Where this process is
//! the only one they lie in its memory: what a crash takes with them is only what the cookie of an earlier writer was
//! missing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use session::{Clock, Ending, Handle, Millis, Session};
use storage::{
    Burial, Bury, Create, Key, Memory, NewRecord, NewValue, Read, Storage, Times, Unavailable, Update,
    Version, Was, WriteId,
};

use crate::expiring::Expiring;

/// How long a head is kept after the last write: longer than a request that saw the session before it, and its answer,
/// are usually under way.
pub(crate) const WINDOW: Duration = Duration::from_secs(60);

pub(crate) const CONTEXT: &str = "head";

/// The heads of carried sessions.
#[derive(Debug)]
pub(crate) struct Heads {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    is_local: bool,
    /// Of whom there may be one: most requests need not ask.
    known: Expiring<Handle, ()>,
    /// Until when there may be heads that are not known, in milliseconds: those from before the change stream began.
    unsure_until: AtomicU64,
}

/// What was written of a session lately.
#[derive(Debug)]
pub(crate) enum Head {
    /// Nothing: the cookie is all there is.
    None,
    /// It became this.
    Found(Arc<Session>, Version, Times),
    /// It is over, or carried no longer.
    Buried(Ending),
}

impl Heads {
    /// Heads beside the sessions that `storage` keeps. In memory they take about `max_bytes` at most.
    pub(crate) fn new(storage: &Arc<dyn Storage>, clock: &Arc<dyn Clock>, max_bytes: usize) -> Self {
        let is_local = !storage.capabilities().is_shared;
        let heads = if is_local {
            let id = format!("heads of {}", storage.id());
            Arc::new(Memory::new(&id, Arc::clone(clock), max_bytes))
        } else {
            Arc::clone(storage)
        };
        // In memory there is none from before.
        let unsure_until = AtomicU64::new(if is_local { 0 } else { clock.now().plus(WINDOW).0 });
        Self { storage: heads, clock: Arc::clone(clock), is_local, known: Expiring::default(), unsure_until }
    }

    /// What was written of a session. `must_ask`: others may have written without our hearing of it.
    pub(crate) async fn read(&self, handle: &Handle, must_ask: bool) -> Result<Head, Unavailable> {
        let must_ask = must_ask && !self.is_local;
        let is_sure = !must_ask && self.clock.now().0 >= self.unsure_until.load(Ordering::Acquire);
        if is_sure && self.known.of(handle).is_none() {
            return Ok(Head::None);
        }
        self.ask(handle).await
    }

    /// As [`Heads::read`], also where nobody has said that there is one.
    pub(crate) async fn ask(&self, handle: &Handle) -> Result<Head, Unavailable> {
        Ok(match self.storage.read(&self.key(handle)?, None).await? {
            Read::Found(record) => {
                let session = session::record::decode(&record.value).map_err(|malformed| Unavailable {
                    retry_after: None,
                    ..Unavailable::failed(self.storage.id(), malformed)
                })?;
                Head::Found(Arc::new(session), record.version, record.times)
            }
            Read::Buried(tombstone) => Head::Buried(tombstone.ending),
            Read::Absent | Read::Unchanged(_) => Head::None,
        })
    }

    /// Writes a head in place of the one with the version `before`, or the first one. `None` if somebody was faster.
    pub(crate) async fn write(
        &self,
        session: &Session,
        before: Option<Version>,
    ) -> Result<Option<Version>, Unavailable> {
        let now = self.clock.now();
        let times = Times { touched: now, expires: now.plus(WINDOW) };
        let (key, value) = (self.key(&session.handle)?, Bytes::from(session::record::encode(session)));
        let write = WriteId::random().map_err(|error| Unavailable::failed(self.storage.id(), error))?;
        // Before it is there, so that nobody overlooks it.
        self.hear(&session.handle);
        Ok(match before {
            None => match self.storage.create(&key, NewRecord::new(value, times, write)).await? {
                Create::Created(version) => Some(version),
                Create::Exists | Create::Buried(_) => None,
            },
            Some(expected) => {
                let new = NewValue { expected, value, times: Some(times), write, is_end: false };
                match self.storage.update(&key, new).await? {
                    Update::Updated(version) => Some(version),
                    Update::Conflict(_) | Update::Absent | Update::Buried(_) => None,
                }
            }
        })
    }

    /// Lets nobody write one any more, until `until`; not if it is another version by now than `expected`, then `None`.
    pub(crate) async fn bury(
        &self,
        handle: &Handle,
        ending: Ending,
        until: Millis,
        expected: Option<Version>,
    ) -> Result<Option<Was>, Unavailable> {
        // Before it is there, so that nobody overlooks it.
        self.known.put(*handle, (), until, |_, ()| ());
        let burial = Burial { until: Some(until), ending, expected };
        match self.storage.bury(&self.key(handle)?, burial).await? {
            Bury::Buried(was) => Ok(Some(was)),
            Bury::Conflict(_) => Ok(None),
        }
    }

    /// Somebody has written one.
    pub(crate) fn hear(&self, handle: &Handle) {
        self.known.put(*handle, (), self.clock.now().plus(WINDOW * 2), |_, ()| ());
    }

    /// There may be one that nobody has told of yet.
    pub(crate) fn doubt_about(&self, handle: &Handle) {
        if !self.is_local {
            self.hear(handle);
        }
    }

    /// Some may have been missed.
    pub(crate) fn doubt(&self) {
        if self.is_local {
            return;
        }
        self.unsure_until.store(self.clock.now().plus(WINDOW * 2).0, Ordering::Release);
    }

    /// The session that a notice about `key` means, if it is about a head.
    pub(crate) fn handle_of(key: &Key) -> Option<Handle> {
        key.context().strip_prefix(CONTEXT)?.strip_prefix('.')?;
        std::str::from_utf8(key.name()).ok()?.parse().ok()
    }

    /// When something is past its time next, of what is in this process.
    pub(crate) fn next_expiry(&self) -> Millis {
        let stored = if self.is_local { self.storage.next_expiry() } else { None };
        self.known.next().min(stored.unwrap_or(Millis::NEVER))
    }

    /// Forgets what is past its time.
    pub(crate) async fn purge(&self, budget: usize) {
        let now = self.clock.now();
        self.known.purge(now);
        while self.is_local && self.storage.reap(now, budget).await.is_ok_and(|reaped| reaped == budget) {
            tokio::task::yield_now().await;
        }
    }

    fn key(&self, handle: &Handle) -> Result<Key, Unavailable> {
        let [first, ..] = handle.as_bytes();
        Key::new(&format!("{CONTEXT}.{first:02x}"), handle.to_string().as_bytes())
            .map_err(|error| Unavailable::failed(self.storage.id(), error))
    }
}
