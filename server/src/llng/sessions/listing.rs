//! Lists of sessions, and searches: by an index where one has what is looked for, and else through all of them.

use std::sync::Arc;

use cache::Surveyed as _;
use dialects::llng::json::Search;
use dialects::llng::{LAST_SEEN, SESSION_ID, SESSION_KIND, WHOSE};
use session::Principal;
use storage::Unavailable;

use super::super::echoes::REVISION;
use super::super::kept::{By, Each, Listed, View};
use super::super::line::Line;
use super::{ISSUER, Sessions};

/// The entries that every list looks at.
pub(super) const NEEDED: [&str; 3] = [SESSION_ID, SESSION_KIND, LAST_SEEN];
/// How many sessions of an index are looked at together.
const PAGE: usize = 512;
/// How many sessions are read one by one.
const FEW: usize = 1000;

impl Sessions {
    /// Has `each` look at the sessions that are asked for, until it says no more.
    pub(in crate::llng) async fn list(
        &self,
        by: By<'_>,
        listed: Listed<'_>,
        each: &mut Each<'_>,
    ) -> Result<(), Unavailable> {
        let search = listed.search.map(search_of).unwrap_or_default();
        let sought = listed.search.map(|search| &*search.name);
        if let (Some(sought), None) = (sought, listed.names)
            && !self.cache.has_index_for(&search)
            && self.list_found(by, listed, sought, each).await?
        {
            return Ok(());
        }
        let names: Option<Vec<&str>> = listed.names.map(|names| {
            let wanted = names.iter().map(|name| &**name).chain(sought);
            NEEDED.into_iter().chain(wanted).collect()
        });
        self.look(search, names.as_deref(), |line| self.shows(by, line, listed, each)).await
    }

    /// The same, where a few are searched for of which everything is wanted: they are found by what is sought, and each is read then.
    /// Whether it is done: many are read sooner together.
    async fn list_found(
        &self,
        by: By<'_>,
        listed: Listed<'_>,
        sought: &str,
        each: &mut Each<'_>,
    ) -> Result<bool, Unavailable> {
        let names: Vec<&str> = NEEDED.into_iter().chain([sought]).collect();
        let mut found = Vec::new();
        let find = |line: &Line| {
            self.shows(by, line, listed, &mut |_, _| {
                found.push(line.handle);
                found.len() <= FEW
            })
        };
        self.cache.survey(&self.survey, Some(&names), find).await?;
        if found.len() > FEW {
            return Ok(false);
        }
        let show = |session| Line::of(session).is_none_or(|line| self.shows(by, &line, listed, each));
        self.cache.look_at_each(&found, show).await?;
        Ok(true)
    }

    /// Has `each` look at all live sessions until it says no more; where an index knows it, only at those that are searched for.
    /// They have at least the entries of these names, or all if none are named.
    pub(super) async fn look(
        &self,
        search: cache::Search,
        names: Option<&[&str]>,
        mut each: impl FnMut(&Line) -> bool + Send,
    ) -> Result<(), Unavailable> {
        if !self.cache.has_index_for(&search) {
            return self.cache.survey(&self.survey, names, each).await;
        }
        let mut after = None;
        loop {
            let hits = self.cache.search(&search, after, PAGE).await?;
            let sessions = hits.sessions.into_iter().map(|shown| Arc::unwrap_or_clone(shown.session));
            if !sessions.filter_map(Line::of).all(|line| each(&line)) {
                return Ok(());
            }
            after = hits.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Has `each` look at a session that is live, if it exists for the client and is asked for. Whether to go on.
    fn shows(&self, by: By<'_>, line: &Line, listed: Listed<'_>, each: &mut Each<'_>) -> bool {
        if self.is_idle(line.last_seen) || !by.client.knows_kind(line.kind) {
            return true;
        }
        // The id costs the most.
        let is_sought_by_id = listed.search.is_some_and(|search| *search.name == *SESSION_ID);
        let mut facts = Vec::new();
        if listed.has(REVISION) {
            facts.push((REVISION, line.revision.0.to_string().into()));
        }
        let view = View { kind: line.kind, facts: &facts, entries: &line.entries };
        if !is_sought_by_id && !(listed.is_chosen)(view) {
            return true;
        }
        let Some(id) = line.id(|entries| self.id_in_entries(entries)) else { return true };
        if listed.has(SESSION_ID) {
            facts.insert(0, (SESSION_ID, id.as_str().into()));
        }
        let view = View { kind: line.kind, facts: &facts, entries: &line.entries };
        (is_sought_by_id && !(listed.is_chosen)(view)) || each(id, view)
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
