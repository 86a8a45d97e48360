//! Sessions that their visitors carry: the laws hold for them as for those on the server.

mod endings;
mod everybody;
mod finding;
mod logins;
mod moving;
mod nodes;
mod outages;
mod writing;

use std::sync::Arc;

use session::{Carried, Ending, OnConflict, Patch, Principal, Selector, Session, Why};
use storage::{Scanned, Storage as _, Unavailable};

use super::fixture::Fixture;
use super::on_every_engine;
use crate::{
    Absence, Cache, Credential, Ended, EndedWhere, Find, Fit, Found, OpenCarried, Opening, Patched,
    RenewCarried,
};

/// Above so many entries a session does not fit into a cookie, where a test says that it must.
const ROOM: usize = 4;

pub(super) fn roomy(_: &Session) -> Fit {
    Fit::Fits
}

/// A session that may move to the server.
pub(super) fn spills(session: &Session) -> Fit {
    if session.is_carried() && session.entries.len() > ROOM { Fit::Moves } else { Fit::Fits }
}

/// One that may not.
pub(super) fn narrow(session: &Session) -> Fit {
    if session.is_carried() && session.entries.len() > ROOM { Fit::Unfit } else { Fit::Fits }
}

impl Fixture {
    /// A session with `a=1` that its visitor carries.
    pub(super) async fn open_carried(&self, person: Option<&str>) -> Arc<Carried> {
        let mut entries = Patch::new(session::Revision(0));
        entries.set("a", "1".into());
        let principal = person.map(|name| Principal::named("test", name));
        let opening = Opening { principal, entries, ..Opening::default() };
        carried(self.cache.open_carried(&opening, &self.application).await)
    }

    pub(super) async fn bring(&self, carried: &Arc<Carried>) -> Result<Find, Unavailable> {
        self.cache.find_carried(carried, &self.application).await
    }

    /// What the cookie opens, which must be there.
    pub(super) async fn opens(&self, carried: &Arc<Carried>) -> Found {
        opens(self.bring(carried).await)
    }

    pub(super) async fn end_all_of(&self, name: &str) {
        end_all_of(&self.cache, name).await.unwrap();
    }

    /// Sets an entry in what the cookie opens; the cookie after it.
    pub(super) async fn write(&self, carried: &Arc<Carried>, name: &str, value: &str) -> Arc<Carried> {
        let patched = self.try_to_write(&self.cache, carried, name, value, roomy).await;
        self.next(carried, &patched)
    }

    pub(super) async fn try_to_write(
        &self,
        cache: &Cache,
        carried: &Arc<Carried>,
        name: &str,
        value: &str,
        fits: fn(&Session) -> Fit,
    ) -> Result<Patched, Unavailable> {
        let patch = super::fixture::setting(&carried.session, name, value);
        cache.patch_carried(carried, &patch, OnConflict::KeepFirst, &self.application, fits).await
    }

    /// The cookie after a patch.
    pub(super) fn next(
        &self,
        carried: &Arc<Carried>,
        patched: &Result<Patched, Unavailable>,
    ) -> Arc<Carried> {
        match patched {
            Ok(Patched::Merged(session, _)) => {
                self.cache.carry(carried, Arc::clone(session), &self.application).unwrap()
            }
            other => panic!("a patch was not merged: {other:?}"),
        }
    }

    pub(super) async fn log_in_carried(
        &self,
        cache: &Cache,
        carried: &Carried,
        name: &str,
        fits: fn(&Session) -> Fit,
    ) -> Result<RenewCarried, Unavailable> {
        cache.renew_carried(carried, &self.renewal(Some(name)), &self.application, fits).await
    }

    /// What lies in storage, by the first part of its context: live records, and tombstones.
    pub(super) async fn lies_there(&self, what: &str) -> (usize, usize) {
        let (mut live, mut buried, mut cursor) = (0, 0, None::<Vec<u8>>);
        loop {
            let page = self.probe.scan(cursor.as_deref(), 1000).await.unwrap();
            for (key, found) in page.found {
                if key.context().split('.').next() == Some(what) {
                    match found {
                        Scanned::Live(_) => live += 1,
                        Scanned::Buried(_) => buried += 1,
                    }
                }
            }
            cursor = page.cursor;
            if cursor.is_none() {
                return (live, buried);
            }
        }
    }
}

/// Ends all sessions of a person.
pub(super) async fn end_all_of(cache: &Arc<Cache>, name: &str) -> Result<EndedWhere, Unavailable> {
    let selector = Selector::person(Principal::named("test", name));
    cache.end_where(selector, Ending::new(cache.now(), Why::Revoked, "test")).await
}

pub(super) fn carried(answer: Result<OpenCarried, Unavailable>) -> Arc<Carried> {
    match answer.unwrap() {
        OpenCarried::Opened(carried) => carried,
        OpenCarried::LoggedOut(logged_out) => panic!("a login was refused: {logged_out:?}"),
    }
}

pub(super) fn opens(answer: Result<Find, Unavailable>) -> Found {
    match answer.unwrap() {
        Find::Found(found) => found,
        other => panic!("a live session was not found: {other:?}"),
    }
}

pub(super) fn is_over(answer: Result<Find, Unavailable>) -> Ending {
    super::fixture::ended(answer)
}

pub(super) fn is_absent(answer: Result<Find, Unavailable>) -> Absence {
    super::fixture::absent(answer)
}

pub(super) fn logged_in(answer: Result<RenewCarried, Unavailable>) -> Arc<Carried> {
    match answer.unwrap() {
        RenewCarried::Renewed(Credential::Carried(carried), _) => carried,
        other => panic!("a login did not make a new session to carry: {other:?}"),
    }
}

pub(super) fn text(found: &Found) -> String {
    super::fixture::entries(&found.session)
}

pub(super) async fn end(f: &Fixture, cache: &Arc<Cache>, session: &Session) -> Result<Ended, Unavailable> {
    cache.end(session, f.logout(), &f.application).await
}
