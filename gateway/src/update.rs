//! What an application's answer does to the session.

mod limit;
mod login;
mod opening;

use std::future::ready;
use std::sync::Arc;

use cache::{Cache, Credential, Ended, Find, Fit, LoggedOut, Patched, Purpose};
use dialects::apache::form::Limits;
use http::HeaderValue;
use session::{Change, Ending, Handle, MAX_ENTRIES, Merge, Millis, Patch, Revision, Session, Value, Why};
use storage::Unavailable;

use crate::application::Application;
use crate::application::Sessions;
use crate::counters::Counters;
use crate::handoff::receive;
use crate::newcomers::Crowded;
use crate::service::Service;
use crate::visit::Visit;

/// What the update headers of one answer may have together. More than a session can hold would be refused behind it all the same.
const LIMITS: Limits = Limits { bytes: 256 << 10, pairs: MAX_ENTRIES };

/// What the visitor's cookie becomes.
#[derive(Debug)]
pub(crate) enum Effect {
    /// It stays.
    None,
    /// It holds this from now on.
    Set(Credential),
    /// It goes.
    Delete,
    /// It has no use any more, and goes where that harms nobody.
    Emptied,
    /// It stays, and nothing was opened: too many sessions were, from where this came.
    Crowded(Crowded),
    /// It stays, and nobody was logged in: they have been logged out since they proved who they are.
    LoggedOut,
}

/// Who says that somebody is who they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authority {
    /// We ourselves, who were shown the password in this very request.
    Password,
    /// The application, in its answer to a request that came with the visit's session.
    Application,
}

/// Somebody is who they say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proof {
    pub(crate) authority: Authority,
    /// When they proved it.
    pub(crate) at: Millis,
    /// Whether they want their oldest session to end, if they have too many.
    pub(crate) may_end_oldest: bool,
}

impl Authority {
    const fn level(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Application => "application",
        }
    }
}

/// Who makes changes, on what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Updater<'a> {
    cache: &'a Arc<Cache>,
    counters: &'a Counters,
    application: &'a Application,
    sessions: &'a Sessions,
    visit: &'a Visit,
}

impl<'a> Updater<'a> {
    pub(crate) fn new(
        service: &'a Service,
        application: &'a Application,
        sessions: &'a Sessions,
        visit: &'a Visit,
    ) -> Self {
        Self { cache: &service.cache, counters: &service.counters, application, sessions, visit }
    }

    /// Does what the update headers of an answer say.
    pub(crate) async fn apply(&self, headers: &[HeaderValue]) -> Result<Effect, Unavailable> {
        let received = receive(headers, self.sessions.presentation.format, self.seen(), LIMITS);
        for note in &received.notes {
            self.counters.update("malformed");
            tracing::warn!(application = %self.application.id, %note, "an update header was not read in full");
        }
        let mut patch = received.patch;
        let user = self.sessions.user_entry.as_ref().and_then(|name| patch.take(name));
        match user {
            None => self.change(patch).await,
            Some(_) if !self.sessions.may_login => {
                self.counters.update("login_refused");
                tracing::warn!(
                    application = %self.application.id,
                    "the application wants to change who is logged in, and may not (`may_login`); the rest was done"
                );
                self.change(patch).await
            }
            Some(Change::Set(Value::Text(name))) if !name.is_empty() => {
                let effect = self.log_in(&name, self.proof_of_application(), patch, &[]).await?;
                Ok(effect.unwrap_or(Effect::None))
            }
            Some(Change::Set(_)) => {
                self.counters.update("malformed");
                tracing::warn!(application = %self.application.id, "who is logged in must be a text, and not empty");
                self.change(patch).await
            }
            // Nobody is logged in, as far as the application saw.
            Some(Change::Remove) if self.visit.principal().is_none() && self.visit.ambiguous.is_empty() => {
                self.change(patch).await
            }
            Some(Change::Remove) => {
                if self.log_out(&self.application.id).await? == Ended::Before {
                    return Ok(self.too_late());
                }
                // What the application keeps beyond the logout begins a session of nobody.
                let fresh = Visit { address: self.visit.address, ..Visit::default() };
                match (Updater { visit: &fresh, ..*self }).change(patch).await? {
                    Effect::Set(credential) => Ok(Effect::Set(credential)),
                    Effect::None
                    | Effect::Delete
                    | Effect::Emptied
                    | Effect::Crowded(_)
                    | Effect::LoggedOut => Ok(Effect::Delete),
                }
            }
        }
    }

    async fn change(&self, patch: Patch) -> Result<Effect, Unavailable> {
        let judge = &self.sessions.judge;
        let Some((found, credential)) = &self.visit.session else {
            // Nothing is kept for who has nothing.
            if !patch.sets_something() {
                return Ok(Effect::None);
            }
            // A cookie of ours would take the place of one that may be alive.
            if !self.visit.is_certain() {
                self.counters.update("several_sessions");
                tracing::info!(
                    application = %self.application.id,
                    "an update was not made: its visitor came with several sessions"
                );
                return Ok(Effect::None);
            }
            // And where it is over only here, the cookie is that of the other applications of its realm.
            if self.visit.is_alive_elsewhere {
                self.counters.update("alive_elsewhere");
                tracing::info!(
                    application = %self.application.id,
                    "an update was not made: the session is over for this application, and alive for another"
                );
                return Ok(Effect::None);
            }
            return self.open(None, patch, judge).await;
        };
        if patch.is_empty() {
            return Ok(Effect::None);
        }
        let (handle, on_conflict) = (&found.session.handle, self.sessions.on_conflict);
        let fit = |session: &Session| self.sessions.fit(session);
        let mut patched = match credential {
            Credential::Carried(carried) if found.session.is_carried() => {
                self.cache.patch_carried(carried, &patch, on_conflict, judge, fit).await?
            }
            _ => {
                let fits = |session: &Session| fit(session) == Fit::Fits;
                self.cache.patch_if(handle, &patch, on_conflict, judge, fits).await?
            }
        };
        if matches!(patched, Patched::Absent) && self.comes_back(credential).await? {
            let fits = |session: &Session| fit(session) == Fit::Fits;
            patched = self.cache.patch_if(handle, &patch, on_conflict, judge, fits).await?;
        }
        match patched {
            Patched::Merged(session, merge) => {
                self.tell(handle, &merge);
                self.counters.update("done");
                Ok(self.carry(credential, session))
            }
            Patched::Moved(_, ticket, merge) => {
                self.tell(handle, &merge);
                self.counters.update("moved");
                tracing::info!(
                    application = %self.application.id, %handle,
                    "a session became too large for a cookie, and is on the server from now on"
                );
                Ok(Effect::Set(Credential::Ticket(ticket)))
            }
            Patched::Unfit => {
                self.unfit();
                Ok(Effect::None)
            }
            Patched::Emptied => {
                self.counters.update("emptied");
                Ok(Effect::Emptied)
            }
            Patched::Absent | Patched::Ended(_) => Ok(self.too_late()),
            Patched::TooLarge(too_large) => {
                self.too_large(&too_large);
                Ok(Effect::None)
            }
        }
    }

    /// Whether a session whose record has gone, while a copy of it was served, is there again.
    async fn comes_back(&self, credential: &Credential) -> Result<bool, Unavailable> {
        let (Credential::Ticket(ticket), Some(recovery)) = (credential, &self.visit.recovery) else {
            return Ok(false);
        };
        let held = ready(Some(recovery.clone()));
        let answer = self.cache.find_or_recover(Purpose::LOOK, ticket, &self.sessions.judge, held).await?;
        Ok(matches!(answer, Find::Found(_)))
    }

    /// Forgets the conflicts that the application was told of.
    pub(crate) async fn settle(&self) -> Effect {
        let Some((found, credential)) = &self.visit.session else { return Effect::None };
        let Some(told) = found.session.conflicts.get(..self.visit.told).filter(|told| !told.is_empty())
        else {
            return Effect::None;
        };
        let judge = &self.sessions.judge;
        let settled = match credential {
            Credential::Carried(carried) if found.session.is_carried() => {
                self.cache.settle_carried(carried, told, judge).await
            }
            _ => self.cache.settle(&found.session.handle, told, judge).await.map(|()| None),
        };
        match settled {
            Ok(Some(session)) => self.carry(credential, session),
            Ok(None) => Effect::None,
            Err(error) => {
                // It is told once more; that is better than not at all.
                tracing::debug!(%error, "a conflict that was told could not be settled");
                Effect::None
            }
        }
    }

    /// What a visitor who came with `credential` holds now that their session is this one.
    fn carry(&self, credential: &Credential, session: Arc<Session>) -> Effect {
        match credential {
            // It moved to the server by another request. The cookie is good for a while, and is answered with the ticket.
            Credential::Carried(_) if !session.is_carried() => Effect::Set(credential.clone()),
            Credential::Carried(carried) => {
                let next = self.cache.carry(carried, session, &self.sessions.judge);
                next.map_or(Effect::None, |next| Effect::Set(Credential::Carried(next)))
            }
            Credential::Ticket(_) => Effect::None,
        }
    }

    fn proof_of_application(&self) -> Proof {
        Proof { authority: Authority::Application, at: self.cache.now(), may_end_oldest: false }
    }

    fn seen(&self) -> Revision {
        self.visit.session.as_ref().map_or_else(Revision::default, |(found, _)| found.session.revision)
    }

    fn ending(&self, why: Why, by: &str) -> Ending {
        Ending { from: self.visit.from, ..Ending::new(self.cache.now(), why, by) }
    }

    fn too_late(&self) -> Effect {
        self.counters.update("too_late");
        let handle =
            self.visit.session.as_ref().map(|(found, _)| tracing::field::display(&found.session.handle));
        tracing::info!(
            application = %self.application.id, handle,
            "an update came too late: its session had ended, or somebody had logged in with it"
        );
        Effect::None
    }

    /// A login came late: its person has been logged out since they proved who they are.
    fn logged_out(&self, logged_out: &LoggedOut) -> Effect {
        self.counters.update("logged_out");
        tracing::info!(
            application = %self.application.id, by = %logged_out.ending.by,
            "a login was refused: its person was logged out before it came"
        );
        Effect::LoggedOut
    }

    fn no_room(&self, keys: usize) {
        if keys > 0 {
            self.counters.update("too_many_entries");
            tracing::warn!(
                application = %self.application.id, keys,
                "the session has no room for more entries; keys were not set"
            );
        }
    }

    /// Says what of an update was not made.
    fn tell(&self, handle: &Handle, merge: &Merge) {
        if !merge.conflicts.is_empty() {
            self.counters.update("conflict");
            tracing::info!(
                application = %self.application.id, %handle, keys = merge.conflicts.len(),
                "another request had changed keys meanwhile; the application is told with its next request"
            );
        }
        self.no_room(merge.refused.len());
    }

    fn unfit(&self) {
        self.counters.update("unfit");
        tracing::warn!(
            application = %self.application.id,
            "an update was refused: the session would not fit into the headers of a request (`max_header_bytes`), or into a cookie of 4096 bytes, where it is sealed and may not move to the server (`spill = true`)"
        );
    }

    fn too_large(&self, too_large: &cache::TooLarge) {
        self.counters.update("too_large");
        tracing::warn!(application = %self.application.id, %too_large, "an update was refused");
    }
}
