//! What an application's answer does to the session.

use std::sync::Arc;

use cache::{Application as Judge, Cache, Opening, Patched, Renew, Renewal};
use dialects::apache::form::Limits;
use http::HeaderValue;
use session::{Authentication, Change, Ending, MAX_ENTRIES, Patch, Principal, Revision, Ticket, Value, Why};
use storage::Unavailable;

use crate::application::Application;
use crate::application::Sessions;
use crate::counters::Counters;
use crate::handoff::receive;
use crate::visit::Visit;

/// What one update header may have. More than a session can hold would be refused behind it all the same.
const LIMITS: Limits = Limits { bytes: 256 << 10, pairs: MAX_ENTRIES };

/// What the visitor's cookie becomes.
#[derive(Debug)]
pub(crate) enum Effect {
    /// It stays.
    None,
    /// It holds this ticket from now on.
    Set(Ticket),
    /// It goes.
    Delete,
}

/// Who makes changes, on what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Updater<'a> {
    pub(crate) cache: &'a Arc<Cache>,
    pub(crate) counters: &'a Counters,
    pub(crate) application: &'a Application,
    pub(crate) sessions: &'a Sessions,
    pub(crate) visit: &'a Visit,
}

impl Updater<'_> {
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
            Some(Change::Set(Value::Text(name))) => self.log_in(&name, "application", patch).await,
            Some(Change::Set(_)) => {
                self.counters.update("malformed");
                tracing::warn!(application = %self.application.id, "who is logged in must be a text");
                self.change(patch).await
            }
            Some(Change::Remove) => {
                self.log_out(&self.application.id).await?;
                // What the application keeps beyond the logout begins a session of nobody.
                let fresh = Visit::default();
                match (Updater { visit: &fresh, ..*self }).change(patch).await? {
                    Effect::Set(ticket) => Ok(Effect::Set(ticket)),
                    Effect::None | Effect::Delete => Ok(Effect::Delete),
                }
            }
        }
    }

    /// Makes the session that of `name`, with a new ticket: a known one is worthless after a login (session fixation).
    /// What somebody else had in it is not handed on; what a visitor collected before is theirs.
    pub(crate) async fn log_in(
        &self,
        name: &str,
        level: &str,
        mut patch: Patch,
    ) -> Result<Effect, Unavailable> {
        let judge = &self.sessions.judge;
        let principal = Principal::named(&judge.realm.id, name);
        let authentication = Authentication { at: self.cache.now(), level: level.into() };
        if let Some((found, ticket)) = &self.visit.session {
            let is_anothers =
                found.session.principal.as_ref().is_some_and(|owner| !owner.is_same_person(&principal));
            if is_anothers {
                let ending = self.ending(Why::Replaced, &self.application.id);
                self.cache.end(&found.session, ending, judge).await?;
            } else {
                let login = Some((principal.clone(), authentication.clone()));
                let secret = found.successor.as_ref().map_or(&ticket.secret, |successor| &successor.secret);
                let renewal = Renewal { login, patch: patch.clone() };
                match self.cache.renew(&ticket.handle, secret, &renewal, judge).await? {
                    Renew::Renewed(_, ticket) => return Ok(Effect::Set(ticket)),
                    Renew::TooLarge(too_large) => {
                        self.too_large(&too_large);
                        return Ok(Effect::None);
                    }
                    // It ended, or its ticket was renewed, while they logged in: they begin anew.
                    Renew::Gone => {}
                }
            }
        }
        patch.seen = Revision::default();
        self.open(Some((principal, authentication)), patch, judge).await
    }

    /// Ends the session, if there is one, or all that the visitor came with.
    pub(crate) async fn log_out(&self, by: &str) -> Result<(), Unavailable> {
        for found in self.visit.all() {
            let ending = self.ending(Why::Logout, by);
            self.cache.end(&found.session, ending, &self.sessions.judge).await?;
        }
        Ok(())
    }

    async fn change(&self, patch: Patch) -> Result<Effect, Unavailable> {
        let judge = &self.sessions.judge;
        let Some((found, _)) = &self.visit.session else {
            // Nothing is kept for who has nothing.
            if !patch.sets_something() {
                return Ok(Effect::None);
            }
            return self.open(None, patch, judge).await;
        };
        if patch.is_empty() {
            return Ok(Effect::None);
        }
        let handle = &found.session.handle;
        match self.cache.patch(handle, &patch, self.sessions.on_conflict, judge).await? {
            Patched::Merged(_, merge) => {
                if !merge.conflicts.is_empty() {
                    self.counters.update("conflict");
                    tracing::info!(
                        application = %self.application.id, %handle, keys = merge.conflicts.len(),
                        "another request had changed keys meanwhile; the application is told with its next request"
                    );
                }
                if !merge.refused.is_empty() {
                    self.counters.update("too_many_entries");
                    tracing::warn!(
                        application = %self.application.id, %handle, keys = merge.refused.len(),
                        "the session has no room for more entries; keys were not set"
                    );
                }
                self.counters.update("done");
                Ok(Effect::None)
            }
            Patched::Emptied => {
                self.counters.update("emptied");
                Ok(Effect::Delete)
            }
            Patched::Absent | Patched::Ended(_) => {
                self.counters.update("too_late");
                tracing::info!(application = %self.application.id, %handle, "an update came after the end of its session");
                Ok(Effect::None)
            }
            Patched::TooLarge(too_large) => {
                self.too_large(&too_large);
                Ok(Effect::None)
            }
        }
    }

    async fn open(
        &self,
        login: Option<(Principal, Authentication)>,
        entries: Patch,
        judge: &Judge,
    ) -> Result<Effect, Unavailable> {
        let (principal, authentication) = login.unzip();
        let opened = self.cache.open(Opening { principal, authentication, entries }, judge).await?;
        self.counters.update("opened");
        Ok(Effect::Set(opened.ticket))
    }

    fn seen(&self) -> Revision {
        self.visit.session.as_ref().map_or_else(Revision::default, |(found, _)| found.session.revision)
    }

    fn ending(&self, why: Why, by: &str) -> Ending {
        Ending { at: self.cache.now(), why, by: by.into() }
    }

    fn too_large(&self, too_large: &cache::TooLarge) {
        self.counters.update("too_large");
        tracing::warn!(application = %self.application.id, %too_large, "an update was refused");
    }
}
