//! Going through all live sessions on the server: for lists, and for searches that no index helps.
//!
//! Everything is read once, and of each session only what the caller wants; while one page is looked at, the next one is on its way.
//! A record that cannot be read is no reason to hide all others: it is left out, and the log says so.

use std::sync::Arc;

use futures_util::future::try_join_all;
use session::record::{Malformed, decode_some};
use session::{Handle, Millis, Session};
use storage::{Key, Read, Record, Scan, Scanned, Unavailable};
use tokio::task::{JoinHandle, spawn, yield_now};

use crate::Cache;
use crate::cache::SESSIONS;
use crate::held::Held;

/// How many records are read at once.
const PAGE: usize = 512;
/// How many sessions are read at once, each by itself.
pub(crate) const AT_ONCE: usize = 64;
/// How many sessions are looked at until others have their turn: each takes some microseconds.
pub(crate) const TURN: usize = 64;

impl Cache {
    /// Has `each` look at all live sessions on the server, in no order, until it says no more; with when each is over by time,
    /// unless it is used once more. Of its entries each has those that are `wanted`.
    pub(crate) async fn walk(
        &self,
        wanted: impl Fn(&str) -> bool + Sync,
        mut each: impl FnMut(Session, Millis) -> bool + Send,
    ) -> Result<(), Unavailable> {
        let mut unreadable = Unreadable::default();
        let mut page = self.page_of_all(None).await;
        loop {
            let scan = page?;
            let ahead = Ahead::of(self, scan.cursor);
            for (number, (key, scanned)) in scan.found.iter().enumerate() {
                let Scanned::Live(record) = scanned else { continue };
                match self.look_in(record, &wanted).await? {
                    Looked::Live(session, over_at) => {
                        if !each(Arc::unwrap_or_clone(session), over_at) {
                            return Ok(());
                        }
                    }
                    Looked::Leaving | Looked::Over => {}
                    Looked::Unreadable(why) => unreadable.note(key, why),
                }
                if number % TURN == TURN - 1 {
                    yield_now().await;
                }
            }
            let Some(ahead) = ahead else { return Ok(()) };
            page = ahead.page(self).await;
        }
    }

    /// Has `each` look at those of these sessions that are live, in their order, until it says no more. Of one that cannot be read
    /// the log says so.
    ///
    /// # Errors
    /// Storage has no answer.
    pub async fn look_at_each(
        &self,
        handles: &[Handle],
        mut each: impl FnMut(Session) -> bool + Send,
    ) -> Result<(), Unavailable> {
        let mut unreadable = Unreadable::default();
        for some in handles.chunks(AT_ONCE) {
            for (key, looked) in self.look_at_some(some, |_| true).await? {
                match looked {
                    Looked::Live(session, _) => {
                        if !each(Arc::unwrap_or_clone(session)) {
                            return Ok(());
                        }
                    }
                    Looked::Leaving | Looked::Over => {}
                    Looked::Unreadable(why) => unreadable.note(&key, why),
                }
            }
        }
        Ok(())
    }

    /// What there is of some sessions, all read at once, with the entries that are `wanted`.
    pub(crate) async fn look_at_some(
        &self,
        handles: &[Handle],
        wanted: impl Fn(&str) -> bool + Sync,
    ) -> Result<Vec<(Key, Looked)>, Unavailable> {
        let wanted = &wanted;
        let look = async |handle| {
            let key = self.key(handle)?;
            let looked = match self.storage.read(&key, None).await? {
                Read::Found(record) => self.look_in(&record, wanted).await?,
                Read::Absent | Read::Unchanged(_) | Read::Buried(_) => Looked::Over,
            };
            Ok((key, looked))
        };
        try_join_all(handles.iter().map(look)).await
    }

    async fn look_in(
        &self,
        record: &Record,
        wanted: impl Fn(&str) -> bool + Sync,
    ) -> Result<Looked, Unavailable> {
        let session = match decode_some(&record.value, wanted) {
            Ok(session) => session,
            Err(why) => return Ok(Looked::Unreadable(why)),
        };
        if self.is_leaving(&session) {
            return Ok(Looked::Leaving);
        }
        let shown = self.show_until(Held::of(session, record)).await?;
        // A record that goes sooner takes its session along.
        Ok(shown.map_or(Looked::Over, |(shown, over_at)| {
            Looked::Live(shown.session, over_at.min(record.times.expires))
        }))
    }

    /// Whether a session was ended here and storage may not know it yet: then it is over for whoever lists.
    pub(crate) fn is_leaving(&self, session: &Session) -> bool {
        let (outbox, id) = (&self.outbox, self.storage.id());
        outbox.check(&session.handle, id).is_err() || outbox.check_session(session, id).is_err()
    }

    async fn page_of_all(&self, cursor: Option<&[u8]>) -> Result<Scan, Unavailable> {
        self.storage.scan_of(&format!("{SESSIONS}."), cursor, PAGE).await
    }
}

/// What somebody sees who looks at a record.
pub(crate) enum Looked {
    /// The session, and when it is over by time unless it is used once more.
    Live(Arc<Session>, Millis),
    /// It was ended here, and storage may not know it yet.
    Leaving,
    Over,
    Unreadable(Malformed),
}

/// The next page, on its way.
struct Ahead(JoinHandle<Result<Scan, Unavailable>>);

impl Ahead {
    fn of(cache: &Cache, cursor: Option<Vec<u8>>) -> Option<Self> {
        let (storage, cursor) = (Arc::clone(&cache.storage), cursor?);
        let page = async move { storage.scan_of(&format!("{SESSIONS}."), Some(&cursor), PAGE).await };
        Some(Self(spawn(page)))
    }

    async fn page(mut self, cache: &Cache) -> Result<Scan, Unavailable> {
        (&mut self.0).await.unwrap_or_else(|error| Err(cache.unavailable(error)))
    }
}

/// Nobody waits for it any more.
impl Drop for Ahead {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The records that a walk came by and could not read.
#[derive(Debug, Default)]
pub(crate) struct Unreadable {
    count: u64,
    first: Option<(Key, Malformed)>,
}

impl Unreadable {
    pub(crate) fn note(&mut self, key: &Key, why: Malformed) {
        self.count += 1;
        self.first.get_or_insert_with(|| (key.clone(), why));
    }
}

/// However the walk ended, the log says once what was left out.
impl Drop for Unreadable {
    fn drop(&mut self) {
        if let Some((key, why)) = &self.first {
            tracing::warn!(
                count = self.count, first = %String::from_utf8_lossy(key.name()), %why,
                "records of sessions cannot be read, and were left out of a list; `cloakroom store check` names them all"
            );
        }
    }
}
