//! Listing and counting the sessions of a principal.

use std::time::Duration;

use futures_util::stream::iter;
use futures_util::{StreamExt as _, TryStreamExt as _};
use session::record::decode;
use session::{Epoch, Handle, Millis, Principal, Session};
use storage::{Key, Page, Read, Unavailable};
use tokio::try_join;

use super::{UNDER_WAY, context, entry};
use crate::Cache;
use crate::held::Held;
use crate::scope::Scope;

/// The most entries of the index that one call reads.
pub const MAX_LISTED: usize = 1000;
/// How many sessions are asked for at once.
const WIDTH: usize = 32;

/// A live session in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its public name.
    pub handle: Handle,
    /// Which applications share it.
    pub realm: Box<str>,
    /// When it began: at the login.
    pub begun: Millis,
    /// When it was last used, as far as storage and this process know.
    pub last_seen: Millis,
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The live sessions among the entries of the page, in the order of their handles: fewer than were asked for where
    /// entries were stale, and possibly none.
    pub sessions: Vec<Listed>,
    /// Where to go on; `None` at the end.
    pub next: Option<Vec<u8>>,
}

/// How many sessions somebody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// That many are live.
    pub sessions: usize,
    /// Whether there may be more, which were not looked at.
    pub or_more: bool,
}

/// What an entry of the index is worth.
enum Verified {
    /// Its session is live.
    Live(Listed),
    /// It is over by time, or there is nobody to say so; its record is there, and the entry goes when that does.
    Over,
    /// There is no such session of this principal, or no longer.
    Stale,
}

impl Cache {
    /// The live sessions of a principal on the server, behind `after`, where at most `limit` entries of the index are looked
    /// at, and never more than [`MAX_LISTED`]. What visitors carry themselves is in no list.
    ///
    /// Costs a list, and a read for each entry. Entries that are stale are removed in passing, beside the caller.
    pub async fn list(
        &self,
        principal: &Principal,
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Listing, Unavailable> {
        let principal = &self.as_known(principal.clone());
        self.check_index_has(principal)?;
        let context = context(principal);
        let limit = limit.clamp(1, MAX_LISTED);
        // The entries before their sessions: what is stale then is so in the version that was seen.
        let (page, counter, ()) = try_join!(
            self.storage.list(&context, after, limit),
            self.counter(Scope::person(principal)),
            self.know_revocations()
        )?;
        let epoch = counter.map_or(Epoch::default(), |record| Epoch(record.version.0));
        let next = page.records.last().filter(|_| page.has_more).map(|last| last.key.name().to_vec());
        let now = self.clock.now();
        let verified: Vec<_> = iter(page.records)
            .map(|listed| async move {
                let verified = self.verify(&listed.key, epoch).await?;
                Ok((listed, verified))
            })
            .buffered(WIDTH)
            .try_collect()
            .await?;
        let (mut sessions, mut stale) = (Vec::new(), Vec::new());
        for (listed, verified) in verified {
            match verified {
                Verified::Live(session) => sessions.push(session),
                Verified::Stale if now.since(listed.times.touched) >= UNDER_WAY => {
                    stale.push((listed.key, Some(listed.version)));
                }
                Verified::Over | Verified::Stale => {}
            }
        }
        if !stale.is_empty() {
            self.remove_entries(stale);
        }
        Ok(Listing { sessions, next })
    }

    /// How many live sessions a principal has on the server, of whom at most `most` are looked at: it costs what
    /// [`Cache::list`] costs with that limit, however many there are.
    pub async fn count(&self, principal: &Principal, most: usize) -> Result<Count, Unavailable> {
        let listing = self.list(principal, None, most).await?;
        Ok(Count { sessions: listing.sessions.len(), or_more: listing.next.is_some() })
    }

    /// What the entry at `key` is worth, if all sessions of its principal are over that do not remember `epoch`.
    async fn verify(&self, key: &Key, epoch: Epoch) -> Result<Verified, Unavailable> {
        let Some(Some(handle)) = entry(key) else { return Ok(Verified::Stale) };
        match self.storage.read(&self.key(&handle)?, None).await? {
            Read::Found(record) => {
                let Ok(session) = decode(&record.value) else {
                    // Whoever asks for this one session is told why.
                    tracing::warn!(%handle, "the record of a session cannot be read, and was left out of a list");
                    return Ok(Verified::Over);
                };
                let held = Held::of(session, &record);
                let session = &held.session;
                if !self.index.is_entered(session, key) || session.epochs.person < epoch {
                    return Ok(Verified::Stale);
                }
                if self.must_ask() {
                    self.know_revocations_of(session).await?;
                }
                Ok(match self.revocations.behind(session) {
                    Some(_) => Verified::Stale,
                    None => self.judge_entry(&held),
                })
            }
            Read::Absent | Read::Unchanged(_) | Read::Buried(_) => Ok(Verified::Stale),
        }
    }

    fn judge_entry(&self, held: &Held) -> Verified {
        let Some(last_seen) = self.live_since(held) else { return Verified::Over };
        let Session { handle, realm, begun, .. } = &*held.session;
        Verified::Live(Listed { handle: *handle, realm: (**realm).into(), begun: *begun, last_seen })
    }

    /// Whether a session is not over by time, as far as this process knows.
    pub(crate) fn is_live_by_time(&self, held: &Held) -> bool {
        self.live_since(held).is_some()
    }

    /// When a session was last used, if it is not over by time.
    pub(crate) fn live_since(&self, held: &Held) -> Option<Millis> {
        let (last_seen, over_at) = self.bounds_of(held);
        (self.clock.now() < over_at).then_some(last_seen)
    }

    /// When a session was last used, and when it is over by time for all of its realm, unless it is used once more.
    pub(crate) fn bounds_of(&self, held: &Held) -> (Millis, Millis) {
        let session = &held.session;
        let in_memory = self.tier.held(&session.handle);
        let last_seen =
            in_memory.as_ref().map_or(held.seen.last(), |known| known.seen.last().max(held.seen.last()));
        let over_at = self.realm(&session.realm).map_or(Millis::NEVER, |realm| {
            // Where another node may know of a later use, nobody is called idle early.
            let is_exact = in_memory.is_some_and(|known| known.is_exact && self.is_alone());
            let grace = if is_exact { Duration::ZERO } else { realm.lateness };
            realm.over_at(session.begun, last_seen, grace)
        });
        (last_seen, session.ends.map_or(over_at, |ends| ends.min(over_at)))
    }

    /// The first entries of a principal.
    pub(crate) async fn entries_of(&self, principal: &Principal) -> Result<Page, Unavailable> {
        self.check_index_has(principal)?;
        self.storage.list(&context(principal), None, MAX_LISTED).await
    }

    /// The session of an entry, if it is live by time and selected.
    pub(crate) async fn live_entry(
        &self,
        key: &Key,
        is_selected: impl Fn(&Session) -> bool,
    ) -> Result<Option<Handle>, Unavailable> {
        let Some(Some(handle)) = entry(key) else { return Ok(None) };
        let Read::Found(record) = self.storage.read(&self.key(&handle)?, None).await? else {
            return Ok(None);
        };
        let held = Held::read(&record, self.storage.id())?;
        let is_one = self.index.is_entered(&held.session, key) && is_selected(&held.session);
        Ok((is_one && self.is_live_by_time(&held)).then_some(handle))
    }

    fn check_index_has(&self, principal: &Principal) -> Result<(), Unavailable> {
        self.check_index_is_kept()?;
        if self.index.has(principal) {
            return Ok(());
        }
        let cause =
            "the sessions of this name are in no index (`exclude_reverse_index`): they cannot be listed";
        Err(Unavailable::refused(self.storage.id(), cause))
    }

    pub(super) fn check_index_is_kept(&self) -> Result<(), Unavailable> {
        if self.index.is_kept {
            return Ok(());
        }
        let cause =
            "which sessions are whose is not kept (`maintain_reverse_index = false`): they cannot be listed";
        Err(Unavailable::refused(self.storage.id(), cause))
    }
}
