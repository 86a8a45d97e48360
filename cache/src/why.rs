//! Why a session is over.
//!
//! Whoever ended it left that with the end: in the tombstone of one session, in the name and value of what is kept of a carried
//! one, in the value of the counter or mark by which many ended at once. It is there for as long as the session could come back.
//! Of what ended by itself the time-out is said to have ended it, when it was reached, whoever came to look later.

use session::{Ending, Handle, Millis, Session, Why};
use storage::{Read, Unavailable};

use crate::Cache;
use crate::held::Held;
use crate::revocations::{Behind, gone_context, read_gone};

/// Who ended what nobody ended.
const TIME_OUT: &str = "the time-out";

/// What became of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Life {
    /// It is live on the server.
    Live,
    /// Somebody ended it.
    Ended(Ending),
    /// Nobody used it for too long: since when it is over.
    Idle(Ending),
    /// It reached its lifetime, or the end that was set for it: when.
    Lifetime(Ending),
    /// There is nothing of it on the server: it never was, its visitor carries it, or it ended so long ago that it could not come
    /// back anyway.
    Unknown,
}

impl Life {
    fn of(ending: Ending) -> Self {
        match ending.why {
            Why::Idle => Self::Idle(ending),
            Why::Lifetime => Self::Lifetime(ending),
            _ => Self::Ended(ending),
        }
    }
}

impl Cache {
    /// What became of the session with this handle: for whoever is asked why somebody was logged out. Asks storage.
    pub async fn why(&self, handle: &Handle) -> Result<Life, Unavailable> {
        self.outbox.check(handle, self.storage.id())?;
        match self.storage.read(&self.key(handle)?, None).await? {
            Read::Buried(tombstone) => Ok(Life::of(tombstone.ending)),
            Read::Found(record) => self.life_of(&Held::read(&record, self.storage.id())?).await,
            Read::Absent | Read::Unchanged(_) => self.why_gone(handle).await,
        }
    }

    pub(crate) async fn life_of(&self, held: &Held) -> Result<Life, Unavailable> {
        if let Some(ending) = self.ended_lately(&held.session.handle).await? {
            return Ok(Life::of(ending));
        }
        self.know_revocations_of(&held.session).await?;
        if let Some(behind) = self.revocations.behind(&held.session) {
            let revoked = || self.left_behind(&held.session).map_or(Life::Unknown, Life::Ended);
            return Ok(self.ending_of(behind).await?.map_or_else(revoked, Life::Ended));
        }
        Ok(self.over_by_time(held).map_or(Life::Live, Life::of))
    }

    /// How a session ended that is over for all of its realm by now, if it is.
    fn over_by_time(&self, held: &Held) -> Option<Ending> {
        let ((_, over_at), now) = (self.bounds_of(held), self.clock.now());
        if now < over_at {
            return None;
        }
        let session = &held.session;
        let realm = self.realm(&session.realm);
        // However lately it was used.
        let is_too_old = session.ends.is_some_and(|ends| now >= ends)
            || realm.is_some_and(|realm| now >= realm.over_at(session.begun, now, realm.lateness));
        let why = if is_too_old { Why::Lifetime } else { Why::Idle };
        Some(Ending::new(over_at, why, TIME_OUT))
    }

    /// The same for one that its visitor carried.
    async fn why_gone(&self, handle: &Handle) -> Result<Life, Unavailable> {
        let [first, ..] = handle.as_bytes();
        let after = handle.to_string();
        // One that moved and was ended then has a record of each.
        let page = self.storage.list(&gone_context(*first), Some(after.as_bytes()), Why::ALL.len()).await?;
        for listed in page.records {
            let Some((_, why)) =
                read_gone(&listed.key).filter(|(gone, why)| gone == handle && *why != Why::Moved)
            else {
                continue;
            };
            let actor = match self.storage.read(&listed.key, None).await? {
                Read::Found(record) => String::from_utf8_lossy(&record.value).into_owned(),
                Read::Absent | Read::Unchanged(_) | Read::Buried(_) => String::new(),
            };
            return Ok(Life::of(Ending::of_actor(listed.times.touched, why, &actor)));
        }
        Ok(Life::Unknown)
    }

    /// How those ended that ended with a counter or a mark.
    async fn ending_of(&self, behind: Behind) -> Result<Option<Ending>, Unavailable> {
        let key = match behind {
            Behind::Counter(scope) => scope.key(),
            Behind::Mark(mark) => mark.key(),
        };
        match self.storage.read(&key.map_err(|error| self.unavailable(error))?, None).await? {
            Read::Found(record) => Ok(Some(self.ended_by(&record)?.ending)),
            Read::Absent | Read::Unchanged(_) | Read::Buried(_) => Ok(None),
        }
    }

    /// How a session ended that is over for `why`, by time since `over_at`, as the one who finds it out writes it down.
    pub(crate) async fn ending_for(&self, session: &Session, why: Why, over_at: Millis) -> Ending {
        let now = self.clock.now();
        let Some(behind) = self.revocations.behind(session) else {
            if matches!(why, Why::Idle | Why::Lifetime) {
                return Ending::new(over_at.min(now), why, TIME_OUT);
            }
            // Its end is noted, and its tombstone is lost.
            return match self.why_gone(&session.handle).await {
                Ok(Life::Ended(ending)) => ending,
                _ => Ending::new(now, why, ""),
            };
        };
        // That it is over is certain; who did it is for people.
        match self.ending_of(behind).await {
            Ok(Some(ending)) => ending,
            Ok(None) | Err(_) => Ending::new(now, Why::Revoked, ""),
        }
    }
}
