//! Which session a request comes with.

use std::time::Duration;

use cache::{Absence, Application as Judge, Cache, Credential, Find, Found};
use http::HeaderMap;
use session::{Principal, Timeouts};
use storage::Unavailable;

use crate::application::Sessions;
use crate::carrier;
use crate::cookies;
use crate::counters::Counters;

/// A request, as far as sessions are concerned.
#[derive(Debug, Default)]
pub(crate) struct Visit {
    /// The session that it comes with, and what the visitor holds of it.
    pub(crate) session: Option<(Found, Credential)>,
    /// It came with tickets of several live sessions, so that nobody can say which is meant. They are all ended by a
    /// logout, and otherwise count for nothing.
    pub(crate) ambiguous: Vec<Found>,
    /// It came with more cookies of the name than are looked at: nobody knows what it has.
    pub(crate) is_crowded: bool,
    /// It came with a ticket of a session that was ended, and with none that may be alive, here or elsewhere: its cookie
    /// has no use any more.
    pub(crate) is_over: bool,
    /// It came with the ticket of a session that is over for this application, and alive for another of its realm.
    pub(crate) is_alive_elsewhere: bool,
    /// Of how many of the session's conflicts the application is told with this request.
    pub(crate) told: usize,
    /// The visitor has gone, and no cookie reaches them any more.
    pub(crate) has_left: bool,
}

impl Visit {
    /// Looks at the cookies of a request. Up to four of the name are tried, for a neighbouring host may have planted
    /// some; but only if exactly one of them opens a session is it certain who is meant.
    pub(crate) async fn of(
        headers: &HeaderMap,
        sessions: &Sessions,
        cache: &Cache,
        counters: &Counters,
    ) -> Result<Self, Unavailable> {
        Self::judged(headers, sessions, &sessions.judge, cache, counters).await
    }

    /// As [`Visit::of`], for somebody who leaves: with the sessions that are over for this application, and alive for
    /// another one of its realm. Who leaves, leaves everywhere.
    pub(crate) async fn leaving(
        headers: &HeaderMap,
        sessions: &Sessions,
        cache: &Cache,
        counters: &Counters,
    ) -> Result<Self, Unavailable> {
        let unbounded = Timeouts { idle: Duration::ZERO, lifetime: Duration::ZERO };
        let judge = Judge { timeouts: unbounded, ..sessions.judge.clone() };
        Self::judged(headers, sessions, &judge, cache, counters).await
    }

    async fn judged(
        headers: &HeaderMap,
        sessions: &Sessions,
        judge: &Judge,
        cache: &Cache,
        counters: &Counters,
    ) -> Result<Self, Unavailable> {
        let cookies = cookies::find(headers, sessions.cookie.name());
        if cookies.too_many() {
            counters.refuse_cookie("too_many");
            return Ok(Self { is_crowded: true, ..Self::default() });
        }
        let (mut visit, mut may_be_alive) = (Self::default(), false);
        for value in cookies.values() {
            let Some(credential) = sessions.carrier.read(value).await else {
                counters.refuse_cookie("malformed");
                continue;
            };
            match carrier::find(cache, &credential, judge).await? {
                Find::Found(found) => match &visit.session {
                    Some((other, _)) if other.session.handle != found.session.handle => {
                        visit.ambiguous.push(found)
                    }
                    // An older cookie of the same session.
                    Some((other, _)) if other.session.revision > found.session.revision => {}
                    _ => visit.session = Some((found, credential)),
                },
                Find::Absent(absence) => {
                    counters.refuse_cookie(absence.as_str());
                    visit.is_alive_elsewhere |= absence == Absence::OverHere;
                    may_be_alive |= matches!(absence, Absence::OverHere | Absence::OtherRealm);
                }
                Find::Ended(_) => {
                    counters.refuse_cookie("ended");
                    visit.is_over = true;
                }
            }
        }
        if !visit.ambiguous.is_empty() {
            counters.refuse_cookie("several_sessions");
            visit.ambiguous.extend(visit.session.take().map(|(found, _)| found));
        }
        // A browser would delete whichever it holds at our path, and which that is cannot be told.
        visit.is_over &= !may_be_alive && visit.all().next().is_none();
        Ok(visit)
    }

    /// Whether it is known what the visitor has, be it nothing.
    pub(crate) const fn is_certain(&self) -> bool {
        self.ambiguous.is_empty() && !self.is_crowded
    }

    /// The sessions that a logout ends.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Found> {
        self.session.iter().map(|(found, _)| found).chain(&self.ambiguous)
    }

    /// The sessions of this visit that the other one does not have.
    pub(crate) fn beyond(&self, other: &Self) -> Vec<Found> {
        let is_there =
            |found: &&Found| !other.all().any(|there| there.session.handle == found.session.handle);
        self.all().filter(is_there).cloned().collect()
    }

    /// What the visitor should hold instead of what they came with.
    pub(crate) fn successor(&self) -> Option<Credential> {
        let (found, _) = self.session.as_ref()?;
        let successor = found.successor.clone().map(Credential::Ticket);
        successor.or_else(|| found.refreshed.clone().map(Credential::Carried))
    }

    /// Who is logged in.
    pub(crate) fn principal(&self) -> Option<&Principal> {
        self.session.as_ref().and_then(|(found, _)| found.session.principal.as_ref())
    }
}
