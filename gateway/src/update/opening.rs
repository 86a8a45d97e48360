//! Opening a session where there is none.

use std::sync::Arc;

use cache::{Application as Judge, Credential, Fit, LoggedOut, Open, OpenCarried, Opening};
use session::{Addresses, Authentication, Change, Entries, Patch, Principal, Session};
use storage::Unavailable;

use super::{Effect, Updater};

/// What became of an attempt to open a session.
enum Attempt {
    Opened(Credential, Arc<Session>),
    /// It would not fit.
    Unfit,
    LoggedOut(LoggedOut),
}

impl Updater<'_> {
    pub(super) async fn open(
        &self,
        login: Option<(Principal, Authentication)>,
        entries: Patch,
        judge: &Judge,
    ) -> Result<Effect, Unavailable> {
        if let Some(from) = self.visit.from
            && let Err(crowded) = self.sessions.newcomers.admit(from, self.cache).await
        {
            self.counters.update("crowded");
            tracing::info!(
                application = %self.application.id, client = %from,
                "no session was opened: too many were from this address (`[application.limits]`)"
            );
            return Ok(Effect::Crowded(crowded));
        }
        let (principal, authentication) = login.unzip();
        let is_nobodys = principal.is_none();
        let addresses = self.visit.address.map(Addresses::of).unwrap_or_default();
        let mut opening = Opening { principal, authentication, entries, addresses, ..Opening::default() };
        let mut attempt = self.attempt(&opening, judge).await?;
        if matches!(attempt, Attempt::Unfit) {
            self.unfit();
            if is_nobodys {
                return Ok(Effect::None);
            }
            opening.entries = Patch::new(opening.entries.seen);
            attempt = self.attempt(&opening, judge).await?;
        }
        let (credential, session) = match attempt {
            Attempt::Opened(credential, session) => (credential, session),
            Attempt::Unfit => {
                self.unfit();
                return Ok(Effect::None);
            }
            Attempt::LoggedOut(logged_out) => {
                return Ok(self.logged_out(&logged_out));
            }
        };
        self.counters.update("opened");
        if let Some(from) = self.visit.from {
            self.sessions.newcomers.note(from, session.handle);
        }
        let is_missing = |(name, change): (&str, &Change)| {
            matches!(change, Change::Set(_)) && session.entries.get(name).is_none()
        };
        self.no_room(opening.entries.changes().filter(|change| is_missing(*change)).count());
        Ok(Effect::Set(credential))
    }

    /// A new session, unless it would not fit, or its person was logged out before it.
    async fn attempt(&self, opening: &Opening, judge: &Judge) -> Result<Attempt, Unavailable> {
        let user = opening.principal.as_ref().map(|principal| &*principal.name);
        if !self.sessions.would_fit(&Entries::default(), &opening.entries, user) {
            return Ok(Attempt::Unfit);
        }
        if self.sessions.carrier.is_sealed() {
            let carried = match self.cache.open_carried(opening, judge).await? {
                OpenCarried::Opened(carried) => carried,
                OpenCarried::LoggedOut(logged_out) => return Ok(Attempt::LoggedOut(logged_out)),
            };
            match self.sessions.fit(&carried.session) {
                Fit::Fits => {
                    let session = Arc::clone(&carried.session);
                    return Ok(Attempt::Opened(Credential::Carried(carried), session));
                }
                Fit::Moves => {}
                Fit::Unfit => return Ok(Attempt::Unfit),
            }
        }
        Ok(match self.cache.open(opening.clone(), judge).await? {
            Open::Opened(opened) => Attempt::Opened(Credential::Ticket(opened.ticket), opened.session),
            Open::LoggedOut(logged_out) => Attempt::LoggedOut(logged_out),
        })
    }
}
