//! Searching sessions on the server: by person, by what they hold, by address, realm and times.
//!
//! Where an index has what is asked for, only its entries are looked at. Else all sessions are gone through, in the order of their
//! handles, a bounded number at a time, so that a search costs each call as much as it may and no more. Whatever is
//! found was asked for in storage, and is live.

use std::net::IpAddr;
use std::sync::Arc;

use futures_util::stream::iter;
use futures_util::{StreamExt as _, TryStreamExt as _};
use session::record::{Malformed, decode};
use session::{Handle, Millis, Principal};
use storage::{Key, Page, Read, Unavailable};

use crate::Cache;
use crate::cache::SESSIONS;
use crate::held::Held;
use crate::index::{MAX_LISTED, UNDER_WAY, context, entry, texts, value_context};
use crate::show::Shown;
use crate::walk::Unreadable;
use crate::why::Life;

/// How many sessions one call looks at, at most.
pub const MAX_LOOKED_AT: usize = 2 * MAX_LISTED;
/// How many are asked for at once.
const WIDTH: usize = 32;

/// Which sessions are searched; all conditions must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// Whose they are, whatever their session index.
    pub principal: Option<Principal>,
    /// Which realm they are of.
    pub realm: Option<Box<str>>,
    /// Which address they are tied to, or awaited from.
    pub address: Option<IpAddr>,
    /// When they began.
    pub begun: Between,
    /// When they were last used.
    pub seen: Between,
    /// What they hold: under a name a text, or a list with that text in it.
    pub entries: Vec<(Box<str>, Box<str>)>,
}

/// A stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Between {
    /// From this moment on.
    pub after: Option<Millis>,
    /// Before this moment.
    pub before: Option<Millis>,
}

/// What a search found.
#[derive(Debug, Clone)]
pub struct Hits {
    /// Those that are live and searched for, in the order of their handles. There may be none and yet more behind `next`.
    pub sessions: Vec<Shown>,
    /// Behind which handle to go on; `None` at the end.
    pub next: Option<Handle>,
    /// Whether an index was used.
    pub is_indexed: bool,
}

impl Between {
    /// Whether this moment is in it.
    #[must_use]
    pub fn has(&self, moment: Millis) -> bool {
        self.after.is_none_or(|after| moment >= after) && self.before.is_none_or(|before| moment < before)
    }
}

impl Search {
    /// Whether this session is searched for.
    #[must_use]
    pub fn has(&self, shown: &Shown) -> bool {
        let session = &shown.session;
        let is_theirs = |principal: &Principal| {
            session.principal.as_ref().is_some_and(|owner| owner.is_same_person(principal))
        };
        let holds = |(name, text): &(Box<str>, Box<str>)| {
            session.entries.get(name).is_some_and(|value| texts(value).any(|held| *held == **text))
        };
        self.principal.as_ref().is_none_or(is_theirs)
            && self.realm.as_ref().is_none_or(|realm| **realm == *session.realm)
            && self.address.is_none_or(|address| session.addresses.has(address))
            && self.begun.has(session.begun)
            && self.seen.has(shown.last_seen)
            && self.entries.iter().all(holds)
    }
}

impl Cache {
    /// Live sessions on the server, behind `after`, at most `limit` of them. What visitors carry themselves is in no search.
    pub async fn search(
        &self,
        search: &Search,
        after: Option<Handle>,
        limit: usize,
    ) -> Result<Hits, Unavailable> {
        let principal = search.principal.clone().map(|principal| self.as_known(principal));
        let search = &Search { principal, ..search.clone() };
        self.know_revocations().await?;
        let mut hits = Hits { sessions: Vec::new(), next: None, is_indexed: false };
        match self.index_for(search) {
            Some(context) => {
                hits.is_indexed = true;
                let after = after.map(|handle| handle.to_string());
                let page =
                    self.storage.list(&context, after.as_deref().map(str::as_bytes), MAX_LISTED).await?;
                let (has_more, last) = (page.has_more, page.records.last().and_then(|last| named(&last.key)));
                if !self.look_at(search, page, limit, &mut hits).await? {
                    hits.next = last.filter(|_| has_more);
                }
            }
            None => self.search_all(search, after, limit, &mut hits).await?,
        }
        Ok(hits)
    }

    /// Whether an index has what is asked for.
    #[must_use]
    pub fn has_index_for(&self, search: &Search) -> bool {
        self.index_for(search).is_some()
    }

    /// The context in which whatever is searched for has an entry.
    fn index_for(&self, search: &Search) -> Option<String> {
        let by_person = search.principal.as_ref().filter(|principal| self.is_indexed(principal)).map(context);
        by_person.or_else(|| {
            let known = search.entries.iter().find(|(name, _)| self.index.has_values_of(name));
            known.map(|(name, value)| value_context(name, value))
        })
    }

    /// Goes through the contexts of sessions, which are in the order of handles.
    async fn search_all(
        &self,
        search: &Search,
        after: Option<Handle>,
        limit: usize,
        hits: &mut Hits,
    ) -> Result<(), Unavailable> {
        let mut room = MAX_LOOKED_AT;
        let first = after.map_or(0, |handle| handle.as_bytes().first().copied().unwrap_or_default());
        let mut after = after.map(|handle| handle.to_string());
        for byte in first..=u8::MAX {
            loop {
                let context = format!("{SESSIONS}.{byte:02x}");
                let behind = after.take();
                let page = self.storage.list(&context, behind.as_deref().map(str::as_bytes), room).await?;
                let (has_more, last) = (page.has_more, page.records.last().and_then(|last| named(&last.key)));
                room = room.saturating_sub(page.records.len());
                if self.look_at(search, page, limit, hits).await? {
                    return Ok(());
                }
                if room == 0 && last.is_some() {
                    hits.next = last;
                    return Ok(());
                }
                match last.filter(|_| has_more) {
                    Some(last) => after = Some(last.to_string()),
                    None => break,
                }
            }
        }
        Ok(())
    }

    /// Adds those of a page that are searched for. Whether that is as many as there may be, and `next` says where to go on.
    async fn look_at(
        &self,
        search: &Search,
        page: Page,
        limit: usize,
        hits: &mut Hits,
    ) -> Result<bool, Unavailable> {
        let now = self.clock.now();
        let mut found = iter(page.records)
            .map(|listed| async move { Ok((self.searched(&listed.key).await?, listed)) })
            .buffered(WIDTH);
        let (mut stale, mut is_full, mut unreadable) = (Vec::new(), false, Unreadable::default());
        while let Some((searched, listed)) = found.try_next().await? {
            match searched {
                Searched::Live(shown) if search.has(&shown) => {
                    hits.next = Some(shown.session.handle);
                    hits.sessions.push(shown);
                    is_full = hits.sessions.len() >= limit;
                }
                Searched::Stale if now.since(listed.times.touched) >= UNDER_WAY => {
                    stale.push((listed.key, Some(listed.version)));
                }
                Searched::Unreadable(why) => unreadable.note(&listed.key, why),
                Searched::Live(_) | Searched::Over | Searched::Stale => {}
            }
            if is_full {
                break;
            }
        }
        if !is_full {
            hits.next = None;
        }
        if !stale.is_empty() {
            self.remove_entries(stale);
        }
        Ok(is_full)
    }

    /// What a record of a session is, or an entry of an index.
    async fn searched(&self, key: &Key) -> Result<Searched, Unavailable> {
        let is_entry = entry(key).is_some();
        let absent = if is_entry { Searched::Stale } else { Searched::Over };
        let Some(handle) = named(key) else { return Ok(absent) };
        let Read::Found(record) = self.storage.read(&self.key(&handle)?, None).await? else {
            return Ok(absent);
        };
        let held = match decode(&record.value) {
            Ok(session) => Held::of(session, &record),
            Err(why) => return Ok(Searched::Unreadable(why)),
        };
        if is_entry && !self.index.is_entered(&held.session, key) {
            return Ok(Searched::Stale);
        }
        if self.is_leaving(&held.session) {
            return Ok(Searched::Over);
        }
        let is_live = self.life_of(&held).await? == Life::Live && !self.is_gone(&held.session);
        let last_seen = self.live_since(&held).filter(|_| is_live);
        Ok(last_seen.map_or(Searched::Over, |last_seen| {
            Searched::Live(Shown { session: Arc::clone(&held.session), last_seen })
        }))
    }
}

/// What is at a key that a search comes by.
enum Searched {
    Live(Shown),
    /// It is over, or there is nobody to say so.
    Over,
    /// Nobody can say: it is left out.
    Unreadable(Malformed),
    /// An entry whose session is not there, or has another value by now.
    Stale,
}

/// The session that a key names: a record of one, or an entry of an index.
fn named(key: &Key) -> Option<Handle> {
    match entry(key) {
        Some(handle) => handle,
        None => std::str::from_utf8(key.name()).ok()?.parse().ok(),
    }
}
