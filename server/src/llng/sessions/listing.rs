//! Lists of sessions, and searches: by an index where one has what is looked for, and else through all of them.

use std::sync::Arc;

use dialects::llng::json::Search;
use dialects::llng::{LAST_SEEN, SESSION_ID, SESSION_KIND, WHOSE};
use session::{Principal, Session};
use storage::Unavailable;

use super::super::echoes::REVISION;
use super::super::has_kinds;
use super::super::kept::{By, Each, Kept, Listed};
use super::{ISSUER, Sessions, kind_for};

/// How many sessions of an index are looked at together.
const PAGE: usize = 512;

impl Sessions {
    /// Has `each` look at the sessions that are asked for, until it says no more.
    pub(in crate::llng) async fn list(
        &self,
        by: By<'_>,
        listed: Listed<'_>,
        each: &mut Each<'_>,
    ) -> Result<(), Unavailable> {
        let is_needed =
            |name: &str| matches!(name, SESSION_ID | SESSION_KIND | LAST_SEEN) || listed.has(name);
        let search = listed.search.map(search_of).unwrap_or_default();
        self.look(search, is_needed, |session| self.shows(by, session, listed, each)).await
    }

    /// Has `each` look at all live sessions until it says no more; where an index knows it, only at those that are searched for.
    /// They have those entries at least that are wanted.
    pub(super) async fn look(
        &self,
        search: cache::Search,
        wanted: impl Fn(&str) -> bool + Sync,
        mut each: impl FnMut(&Arc<Session>) -> bool + Send,
    ) -> Result<(), Unavailable> {
        if !self.cache.has_index_for(&search) {
            return self.cache.walk(wanted, |shown| each(&shown.session)).await;
        }
        let mut after = None;
        loop {
            let hits = self.cache.search(&search, after, PAGE).await?;
            if !hits.sessions.iter().all(|shown| each(&shown.session)) {
                return Ok(());
            }
            after = hits.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Has `each` look at a session that is live, if it exists for the client and is asked for. Whether to go on.
    fn shows(&self, by: By<'_>, session: &Arc<Session>, listed: Listed<'_>, each: &mut Each<'_>) -> bool {
        if !has_kinds(&session.realm) || self.is_idle(session) {
            return true;
        }
        let Some(kind) = kind_for(by, session) else { return true };
        // The id costs the most.
        let is_sought_by_id = listed.search.is_some_and(|search| *search.name == *SESSION_ID);
        let mut facts = Vec::new();
        if listed.has(REVISION) {
            facts.push((REVISION, session.revision.0.to_string().into()));
        }
        let mut kept = Kept { kind, facts, session: Arc::clone(session) };
        if !is_sought_by_id && !(listed.is_chosen)(&kept) {
            return true;
        }
        let Some(id) = self.id_of(session) else { return true };
        if listed.has(SESSION_ID) {
            kept.facts.insert(0, (SESSION_ID, id.as_str().into()));
        }
        (is_sought_by_id && !(listed.is_chosen)(&kept)) || each(&id, &kept)
    }
}

/// The same search in the words of the session cache: it finds no less.
fn search_of(search: &Search) -> cache::Search {
    if *search.name == *WHOSE {
        return search_for(&Principal::named(ISSUER, search.value()));
    }
    let entries = vec![(search.name.clone(), search.value().into())];
    cache::Search { entries, ..cache::Search::default() }
}

/// A search for the logins of somebody.
pub(super) fn search_for(whose: &Principal) -> cache::Search {
    cache::Search { principal: Some(whose.clone()), ..cache::Search::default() }
}
