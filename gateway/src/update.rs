//! What an application's answer does to the session.

use std::sync::Arc;

use cache::{Application as Judge, Cache, Ended, Found, Opening, Patched, Renew, Renewal};
use dialects::apache::form::Limits;
use http::HeaderValue;
use session::{
    Authentication, Change, Ending, Entries, Handle, MAX_ENTRIES, Merge, Patch, Principal, Revision, Session,
    Ticket, Value, Why,
};
use storage::Unavailable;

use crate::application::Application;
use crate::application::Sessions;
use crate::counters::Counters;
use crate::handoff::receive;
use crate::service::Service;
use crate::visit::Visit;

/// What the update headers of one answer may have together. More than a session can hold would be refused behind it all the same.
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
    /// It has no use any more, and goes where that harms nobody.
    Emptied,
}

/// Who says that somebody is who they say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authority {
    /// We ourselves, who were shown the password in this very request.
    Password,
    /// The application, in its answer to a request that came with the visit's session.
    Application,
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
                self.log_in(&name, Authority::Application, patch).await
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
                let fresh = Visit::default();
                match (Updater { visit: &fresh, ..*self }).change(patch).await? {
                    Effect::Set(ticket) => Ok(Effect::Set(ticket)),
                    Effect::None | Effect::Delete | Effect::Emptied => Ok(Effect::Delete),
                }
            }
        }
    }

    /// Makes the session that of `name`, with a new ticket: a known one is worthless after a login (session fixation).
    /// What somebody else had in it is not handed on; what a visitor collected before is theirs.
    ///
    /// Of several sessions none is known to be theirs. They are ended, or the visitor would stay nobody.
    pub(crate) async fn log_in(
        &self,
        name: &str,
        authority: Authority,
        mut patch: Patch,
    ) -> Result<Effect, Unavailable> {
        let judge = &self.sessions.judge;
        let principal = Principal::named(&judge.realm.id, name);
        let authentication = Authentication { at: self.cache.now(), level: authority.level().into() };
        if self.visit.has_left
            && !self.visit.principal().is_some_and(|owner| owner.is_same_person(&principal))
        {
            // The ticket would reach nobody, and the one that they have, with all that they collected, would be
            // worthless.
            self.counters.update("left_before_login");
            tracing::info!(application = %self.application.id, "a visitor who had left was not logged in");
            return Ok(Effect::None);
        }
        self.replace(&self.visit.ambiguous).await?;
        if let Some((found, ticket)) = &self.visit.session {
            let is_anothers =
                found.session.principal.as_ref().is_some_and(|owner| !owner.is_same_person(&principal));
            if is_anothers {
                let ending = self.ending(Why::Replaced, &self.application.id);
                let ended = self.cache.end(&found.session, ending, judge).await?;
                if ended == Ended::Before && authority == Authority::Application {
                    return Ok(self.too_late());
                }
            } else {
                let login = Some((principal.clone(), authentication.clone()));
                let secret = found.successor.as_ref().map_or(&ticket.secret, |successor| &successor.secret);
                let on_conflict = self.sessions.on_conflict;
                if !self.sessions.would_fit(&found.session.entries, &patch, Some(name)) {
                    self.unfit();
                    patch = Patch::new(patch.seen);
                }
                let renewal = Renewal { login, patch: patch.clone(), on_conflict };
                match self.cache.renew(&ticket.handle, secret, &renewal, judge).await? {
                    Renew::Renewed(_, ticket, merge) => {
                        self.tell(&ticket.handle, &merge);
                        return Ok(Effect::Set(ticket));
                    }
                    Renew::TooLarge(too_large) => {
                        self.too_large(&too_large);
                        return Ok(Effect::None);
                    }
                    // Another request has renewed it for the same person.
                    Renew::Superseded(current)
                        if current
                            .principal
                            .as_ref()
                            .is_some_and(|owner| owner.is_same_person(&principal)) =>
                    {
                        if authority == Authority::Application {
                            // That is renewed enough.
                            self.change(patch).await?;
                            return Ok(Effect::None);
                        }
                        // They sent the form twice. Which answer the browser keeps is not known, so each gets a ticket,
                        // and what was collected before.
                        for (name, value) in current.entries.iter() {
                            patch.set(name, value.clone());
                        }
                    }
                    // It ended, or somebody logged in with it, while they entered their password: they begin anew.
                    Renew::Superseded(_) | Renew::Gone if authority == Authority::Password => {}
                    // That wins over what an application says to a request from before it (law 1).
                    Renew::Superseded(_) | Renew::Gone => return Ok(self.too_late()),
                }
            }
        }
        patch.seen = Revision::default();
        self.open(Some((principal, authentication)), patch, judge).await
    }

    /// Ends sessions whose ticket the visitor will not have any more.
    pub(crate) async fn replace(&self, sessions: &[Found]) -> Result<(), Unavailable> {
        for found in sessions {
            let ending = self.ending(Why::Replaced, &self.application.id);
            self.cache.end(&found.session, ending, &self.sessions.judge).await?;
        }
        Ok(())
    }

    /// Ends the session, if there is one, or all that the visitor came with. Says whether one of them was live until
    /// now.
    pub(crate) async fn log_out(&self, by: &str) -> Result<Ended, Unavailable> {
        let mut outcome = Ok(Ended::Before);
        for found in self.visit.all() {
            let ending = self.ending(Why::Logout, by);
            // What fails for one is tried for the others all the same: each that was tried is refused from now on.
            match (self.cache.end(&found.session, ending, &self.sessions.judge).await, &outcome) {
                (Err(error), _) => outcome = Err(error),
                (Ok(Ended::Now), Ok(_)) => outcome = Ok(Ended::Now),
                (Ok(_), _) => {}
            }
        }
        outcome
    }

    async fn change(&self, patch: Patch) -> Result<Effect, Unavailable> {
        let judge = &self.sessions.judge;
        let Some((found, _)) = &self.visit.session else {
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
        let handle = &found.session.handle;
        let fits = |session: &Session| {
            let user = session.principal.as_ref().map(|principal| &*principal.name);
            self.sessions.fits(&session.entries, user)
        };
        match self.cache.patch_if(handle, &patch, self.sessions.on_conflict, judge, fits).await? {
            Patched::Merged(_, merge) => {
                self.tell(handle, &merge);
                self.counters.update("done");
                Ok(Effect::None)
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

    async fn open(
        &self,
        login: Option<(Principal, Authentication)>,
        entries: Patch,
        judge: &Judge,
    ) -> Result<Effect, Unavailable> {
        let (principal, authentication) = login.unzip();
        let mut entries = entries;
        let user = principal.as_ref().map(|principal: &Principal| &*principal.name);
        if !self.sessions.would_fit(&Entries::default(), &entries, user) {
            self.unfit();
            if principal.is_none() {
                return Ok(Effect::None);
            }
            entries = Patch::new(entries.seen);
        }
        let names: Vec<Box<str>> = entries
            .changes()
            .filter(|(_, change)| matches!(change, Change::Set(_)))
            .map(|(name, _)| name.into())
            .collect();
        let opened = self.cache.open(Opening { principal, authentication, entries }, judge).await?;
        self.counters.update("opened");
        self.no_room(names.iter().filter(|name| opened.session.entries.get(name).is_none()).count());
        Ok(Effect::Set(opened.ticket))
    }

    fn seen(&self) -> Revision {
        self.visit.session.as_ref().map_or_else(Revision::default, |(found, _)| found.session.revision)
    }

    fn ending(&self, why: Why, by: &str) -> Ending {
        Ending { at: self.cache.now(), why, by: by.into() }
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
            "an update was refused: the session would not fit into the headers of a request (`max_header_bytes`)"
        );
    }

    fn too_large(&self, too_large: &cache::TooLarge) {
        self.counters.update("too_large");
        tracing::warn!(application = %self.application.id, %too_large, "an update was refused");
    }
}
