//! Verifying the index against the sessions, and mending it, while gateways go on.
//!
//! One walk over everything. Each session of somebody must be in the index: an entry that is missing is written, then the
//! session is asked for once more, and if it has ended meanwhile the entry goes again; an end that comes later removes the
//! entry itself, for it removes what it finds after it has ended the session. Each entry must have its session: one that
//! has none goes, if it is not so new that its session may be about to come, and only in the version that was seen before
//! the session was asked for; so whoever enters it anew meanwhile keeps it.

use futures_util::stream::iter;
use futures_util::{StreamExt as _, TryStreamExt as _};
use session::record::decode;
use session::{Handle, Millis, Session};
use storage::{Key, Read, Record, Scanned, Times, Touch, Unavailable};

use super::{UNDER_WAY, covering, entry};
use crate::Cache;
use crate::application::SHORTEST_SLACK;
use crate::cache::handle_of;

/// How many records are read at once.
const PAGE: usize = 500;
/// How many of them are compared at once.
const WIDTH: usize = 32;

/// What a check of the index has found so far, and done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IndexCheck {
    /// Records of any kind that were come by.
    pub records: u64,
    /// Live sessions of somebody: each must be in the index.
    pub sessions: u64,
    /// Entries of the index: each must have its session.
    pub entries: u64,
    /// Entries that were missing, and were written.
    pub written: u64,
    /// Entries that would have gone before their sessions, and stay longer now.
    pub prolonged: u64,
    /// Entries that had no session, and were removed.
    pub removed: u64,
    /// Entries without a session that were left alone, for they are so new that it may be about to be opened.
    pub early: u64,
    /// Sessions that could not be read: of a newer build, or damaged. Nothing was done about them.
    pub unreadable: u64,
}

/// What was done about one record.
#[derive(Debug, Clone, Copy)]
enum Did {
    /// It is neither a session of somebody nor an entry.
    Other,
    Session(About),
    Entry(Fate),
    Unreadable,
}

/// What was done about the entries of a session, the most of it last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    InOrder,
    Prolonged,
    Written,
}

/// What became of an entry.
#[derive(Debug, Clone, Copy)]
enum Fate {
    InOrder,
    Removed,
    Early,
}

impl Cache {
    /// Compares the index with all sessions, and mends it. `tell` is told how far it is, page by page.
    ///
    /// Others may open and end sessions meanwhile. Memory is bounded by a page; storage is asked once for each session of
    /// somebody and once for each entry.
    ///
    /// # Errors
    /// Storage failed, or no index is kept. What was mended until then stays so, and another check does the rest.
    pub async fn check_index(&self, mut tell: impl FnMut(&IndexCheck)) -> Result<IndexCheck, Unavailable> {
        if self.index.values_of.is_empty() {
            self.check_index_is_kept()?;
        }
        self.know_revocations().await?;
        let (mut check, mut cursor) = (IndexCheck::default(), None);
        loop {
            let scan = self.storage.scan(cursor.as_deref(), PAGE).await?;
            let mut done = iter(scan.found)
                .map(|(key, scanned)| self.check_record(key, scanned))
                .buffer_unordered(WIDTH);
            while let Some(did) = done.try_next().await? {
                check.count(did);
            }
            tell(&check);
            cursor = scan.cursor;
            if cursor.is_none() {
                return Ok(check);
            }
        }
    }

    async fn check_record(&self, key: Key, scanned: Scanned) -> Result<Did, Unavailable> {
        let Scanned::Live(record) = scanned else { return Ok(Did::Other) };
        if let Some(handle) = entry(&key) {
            return self.check_entry(&key, handle.as_ref(), &record).await;
        }
        if handle_of(&key).is_none() {
            return Ok(Did::Other);
        }
        match decode(&record.value) {
            Ok(session) => self.check_session(&key, &session, record.times.expires).await,
            Err(_) => Ok(Did::Unreadable),
        }
    }

    /// Whether a session is in the index that was there when it was come by.
    async fn check_session(&self, key: &Key, session: &Session, expires: Millis) -> Result<Did, Unavailable> {
        let entries = self.index.keys(session).map_err(|error| self.unavailable(error))?;
        if entries.is_empty() || self.left_behind(session).is_some() {
            return Ok(Did::Other);
        }
        let mut about = About::InOrder;
        for entry in entries {
            match self.check_entry_of(&entry, key, session, expires).await? {
                Some(did) => about = about.max(did),
                None => return Ok(Did::Other),
            }
        }
        Ok(Did::Session(about))
    }

    /// Whether one entry of a session is there; none, if the session has ended meanwhile.
    async fn check_entry_of(
        &self,
        entry: &Key,
        key: &Key,
        session: &Session,
        expires: Millis,
    ) -> Result<Option<About>, Unavailable> {
        let slack = self.realm(&session.realm).map_or(SHORTEST_SLACK, |realm| realm.index_slack());
        let times = Times { touched: self.clock.now(), expires: covering(&session.handle, expires, slack) };
        if let Read::Found(found) = self.storage.read(entry, None).await? {
            if found.times.expires >= times.expires {
                return Ok(Some(About::InOrder));
            }
            if self.storage.touch(entry, times).await? == Touch::Touched {
                return Ok(Some(About::Prolonged));
            }
        }
        let Some(version) = self.index.create(entry, times).await? else {
            return Ok(Some(About::InOrder));
        };
        // Its end may have removed the entry before it was written.
        if self.has_session(entry, key).await? == Some(false) {
            self.index.remove(entry, Some(version), self.clock.now()).await?;
            return Ok(None);
        }
        Ok(Some(About::Written))
    }

    /// Whether an entry has its session.
    async fn check_entry(
        &self,
        entry: &Key,
        handle: Option<&Handle>,
        record: &Record,
    ) -> Result<Did, Unavailable> {
        let has_session = match handle {
            Some(handle) => self.has_session(entry, &self.key(handle)?).await?,
            None => Some(false),
        };
        let now = self.clock.now();
        Ok(Did::Entry(match has_session {
            None | Some(true) => Fate::InOrder,
            Some(false) if now.since(record.times.touched) < UNDER_WAY => Fate::Early,
            Some(false) if self.index.remove(entry, Some(record.version), now).await? => Fate::Removed,
            // Somebody has entered it anew.
            Some(false) => Fate::InOrder,
        }))
    }

    /// Whether the session at `key` is the one that `entry` means, and is not over with all of its principal; none if nobody
    /// can say, for it cannot be read.
    async fn has_session(&self, entry: &Key, key: &Key) -> Result<Option<bool>, Unavailable> {
        Ok(match self.storage.read(key, None).await? {
            Read::Found(record) => decode(&record.value).ok().map(|session| {
                self.index.is_entered(&session, entry) && self.left_behind(&session).is_none()
            }),
            Read::Absent | Read::Unchanged(_) | Read::Buried(_) => Some(false),
        })
    }
}

impl IndexCheck {
    const fn count(&mut self, did: Did) {
        self.records += 1;
        match did {
            Did::Other => {}
            Did::Unreadable => self.unreadable += 1,
            Did::Session(about) => {
                self.sessions += 1;
                match about {
                    About::InOrder => {}
                    About::Written => self.written += 1,
                    About::Prolonged => self.prolonged += 1,
                }
            }
            Did::Entry(fate) => {
                self.entries += 1;
                match fate {
                    Fate::InOrder => {}
                    Fate::Removed => self.removed += 1,
                    Fate::Early => self.early += 1,
                }
            }
        }
    }
}
