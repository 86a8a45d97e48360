//! All sessions, or those of somebody.

use std::sync::Arc;

use dialects::llng::json::Search;
use dialects::llng::{Id, WHOSE};
use session::{Principal, Session};
use storage::{Scanned, Unavailable};

use super::super::has_kinds;
use super::super::kept::{By, Kept};
use super::{ISSUER, REALM, Sessions, kind_for};

/// How many records are looked at together.
const PAGE: usize = 512;

impl Sessions {
    /// Has `each` look at all sessions until it says no more, or at least at those that are looked for.
    pub(in crate::llng) async fn list(
        &self,
        by: By<'_>,
        search: Option<&Search>,
        each: &mut (dyn for<'i, 'k> FnMut(&'i Id, &'k Kept) -> bool + Send),
    ) -> Result<(), Unavailable> {
        let whose = search.filter(|search| *search.name == *WHOSE);
        let whose = whose.map(|search| Principal::named(ISSUER, search.value()));
        self.look(whose.as_ref(), &mut |session| self.shows(by, session, each)).await
    }

    /// Has `each` look at all live sessions until it says no more; where the index knows it, only at those of somebody.
    pub(super) async fn look(
        &self,
        whose: Option<&Principal>,
        each: &mut (dyn FnMut(Arc<Session>) -> bool + Send),
    ) -> Result<(), Unavailable> {
        match whose.filter(|whose| self.cache.is_indexed(whose)) {
            Some(whose) => self.look_at_those_of(whose, each).await,
            None => self.look_at_all(each).await,
        }
    }

    async fn look_at_all(
        &self,
        each: &mut (dyn FnMut(Arc<Session>) -> bool + Send),
    ) -> Result<(), Unavailable> {
        let mut cursor = None;
        loop {
            let scan = self.cache.storage().scan(cursor.as_deref(), PAGE).await?;
            for (key, scanned) in scan.found {
                let Scanned::Live(record) = scanned else { continue };
                if cache::Kind::of(&key) != cache::Kind::Session {
                    continue;
                }
                let shown = self.cache.show_record(&record).await?;
                if shown.is_some_and(|shown| !each(shown.session)) {
                    return Ok(());
                }
            }
            cursor = scan.cursor;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }

    async fn look_at_those_of(
        &self,
        whose: &Principal,
        each: &mut (dyn FnMut(Arc<Session>) -> bool + Send),
    ) -> Result<(), Unavailable> {
        let mut after = None;
        loop {
            let listing = self.cache.list(whose, after.as_deref(), PAGE).await?;
            for listed in listing.sessions.iter().filter(|listed| *listed.realm == *REALM) {
                let shown = self.cache.show(&listed.handle).await?;
                if shown.is_some_and(|shown| !each(shown.session)) {
                    return Ok(());
                }
            }
            after = listing.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Has `each` look at a session that is live, if it exists for the client. Whether to go on.
    fn shows(
        &self,
        by: By<'_>,
        session: Arc<Session>,
        each: &mut (dyn for<'i, 'k> FnMut(&'i Id, &'k Kept) -> bool + Send),
    ) -> bool {
        if !has_kinds(&session.realm) || self.is_idle(&session) {
            return true;
        }
        let known = kind_for(by, &session).zip(self.id_of(&session));
        known.is_none_or(|(kind, id)| each(&id, &Self::kept(&id, kind, session)))
    }
}
