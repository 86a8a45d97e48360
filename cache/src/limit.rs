//! How many sessions a person may have at once.
//!
//! Nobody waits for a lock to log in. Whoever adds a session looks *after* it is there: of two who do so at the same moment the
//! later one sees both. Whoever sees too many ends those that have to give way, their own or not. Which these are follows from
//! what is written in the sessions alone, so that all who look agree, and what none of them ended is ended by the next.
//!
//! The sessions are taken from the index, and each is asked whether it is live. What visitors carry themselves is in no list, and
//! not counted; nor are the sessions of those who are in no index.

use std::num::NonZeroUsize;
use std::sync::Arc;

use session::{Ending, Handle, Millis, Principal, Selector, Whose};
use storage::Unavailable;

use crate::application::Realm;
use crate::{Cache, Listed, MAX_LISTED};

/// How many entries of the index are read at least at once: some are of sessions that are over.
const SOME: usize = 16;
/// How many entries of one person are read to find what is too many. With more, a part gives way at each login.
const MOST_READ: usize = 4 * MAX_LISTED;

/// How many sessions one person may have in a realm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimit {
    /// So many.
    pub most: NonZeroUsize,
    /// What happens to one more.
    pub when_full: WhenFull,
}

/// What happens to a session that would be one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// It is not opened: the youngest gives way.
    Refuse,
    /// The oldest gives way.
    EndOldest,
}

impl Cache {
    /// Whether one session more of `principal` is within `limit`, where those in `but` go or are theirs anyway. Nothing is held:
    /// whoever opens one calls [`Cache::hold_to`] afterwards.
    pub async fn has_room(
        &self,
        principal: &Principal,
        but: &[Handle],
        limit: &SessionLimit,
        realm: &Realm,
    ) -> Result<bool, Unavailable> {
        if limit.when_full == WhenFull::EndOldest {
            return Ok(true);
        }
        let live = self.live_sessions(principal, realm, limit.most.get() + but.len()).await?;
        Ok(live.iter().filter(|live| !but.contains(&live.handle)).count() < limit.most.get())
    }

    /// The live sessions of a person in a realm, the oldest first; those that were found until there were `enough`.
    pub async fn live_sessions(
        &self,
        principal: &Principal,
        realm: &Realm,
        enough: usize,
    ) -> Result<Vec<Listed>, Unavailable> {
        let principal = self.as_known(principal.clone());
        let (mut live, mut after, mut read) = (Vec::new(), None::<Vec<u8>>, 0);
        if !self.is_indexed(&principal) {
            return Ok(live);
        }
        let limit = enough.saturating_add(1).clamp(SOME, MAX_LISTED);
        while live.len() < enough && read < MOST_READ {
            let page = self.list(&principal, after.as_deref(), limit).await?;
            live.extend(page.sessions.into_iter().filter(|session| *session.realm == *realm.id));
            read += limit;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        live.sort_unstable_by_key(age);
        Ok(live)
    }

    /// Ends what a person has beyond `limit`, after a session of theirs was opened. Says which had to give way, be it that one.
    ///
    /// `Err` means that nobody could look, or that an end was not confirmed; what could not be counted now is at the next login.
    pub async fn hold_to(
        self: &Arc<Self>,
        principal: &Principal,
        limit: &SessionLimit,
        realm: &Realm,
        ending: Ending,
    ) -> Result<Vec<Handle>, Unavailable> {
        let mut live = self.live_sessions(principal, realm, usize::MAX).await?;
        let most = limit.most.get();
        if live.len() <= most {
            return Ok(Vec::new());
        }
        let beyond = match limit.when_full {
            WhenFull::Refuse => live.split_off(most),
            WhenFull::EndOldest => {
                live.truncate(live.len() - most);
                live
            }
        };
        let handles: Vec<Handle> = beyond.iter().map(|session| session.handle).collect();
        let youngest = beyond.iter().map(|session| session.begun).max();
        // A session whose person has just logged in once more is another one by its age.
        let begun_before = youngest.map(|youngest| Millis(youngest.0.saturating_add(1)));
        let selector = Selector { begun_before, ..Selector::all(Whose::Handles(handles.clone())) };
        self.end_where(selector, ending).await?;
        Ok(handles)
    }
}

/// The order in which sessions give way. No two are equal.
fn age(session: &Listed) -> (Millis, Handle) {
    (session.begun, session.handle)
}
