//! Who a session belongs to: logging in and out.

use std::net::IpAddr;
use std::sync::Arc;

use cache::{Acknowledged, Credential, Ended, Find, Found, Promise, Purpose, Renew, RenewCarried, Renewal};
use session::{Authentication, Carried, Patch, Principal, Revision, Selector, Session, Why};
use storage::Unavailable;
use tracing::Instrument as _;

use super::{Authority, Effect, Proof, Updater};
use crate::carrier;
use crate::login::Leaving;

impl Updater<'_> {
    /// Makes the session that of `name`, with a new ticket: a known one is worthless after a login (session fixation).
    /// What somebody else had in it is not handed on; what a visitor collected before is theirs.
    ///
    /// Of several sessions none is known to be theirs. They are ended, or the visitor would stay nobody; and so are those that
    /// are `over_here`, and alive elsewhere: the new ticket takes the place of theirs, and nobody could log out of them any more.
    ///
    /// `None`: the person has as many sessions as they may, and not this one.
    pub(crate) async fn log_in(
        &self,
        name: &str,
        proof: Proof,
        patch: Patch,
        over_here: &[Found],
    ) -> Result<Option<Effect>, Unavailable> {
        let principal = Principal::named(&self.sessions.judge.realm.id, name);
        if !self.has_room(&principal, &proof, over_here).await? {
            self.is_full();
            return Ok(None);
        }
        self.replace(over_here).await?;
        let effect = self.become_theirs(principal.clone(), proof, patch).await?;
        if let Effect::Set(credential) = &effect
            && !self.hold_to_limit(&principal, &proof, credential).await
        {
            self.is_full();
            return Ok(None);
        }
        Ok(Some(effect))
    }

    async fn become_theirs(
        &self,
        principal: Principal,
        Proof { authority, at, .. }: Proof,
        mut patch: Patch,
    ) -> Result<Effect, Unavailable> {
        let judge = &self.sessions.judge;
        let authentication = Authentication { at, level: authority.level().into() };
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
        if let Some((found, credential)) = &self.visit.session {
            let is_anothers =
                found.session.principal.as_ref().is_some_and(|owner| !owner.is_same_person(&principal));
            if is_anothers {
                let ending = self.ending(Why::Replaced, &self.application.id);
                let ended = self.cache.end(&found.session, ending, judge).await?;
                if ended == Ended::Before && authority == Authority::Application {
                    return Ok(self.too_late());
                }
            } else {
                let login = (principal.clone(), authentication.clone());
                let renewed = match credential {
                    Credential::Carried(carried) if found.session.is_carried() => {
                        self.renew_carried(found, carried, login, authority, &mut patch).await?
                    }
                    _ => self.renew(found, credential, login, authority, &mut patch).await?,
                };
                if let Some(effect) = renewed {
                    return Ok(effect);
                }
            }
        }
        patch.seen = Revision::default();
        self.open(Some((principal, authentication)), patch, judge).await
    }

    /// A new ticket for the session of who has logged in. `None` if they begin anew, with what is in `patch`.
    async fn renew(
        &self,
        found: &Found,
        credential: &Credential,
        (principal, authentication): (Principal, Authentication),
        authority: Authority,
        patch: &mut Patch,
    ) -> Result<Option<Effect>, Unavailable> {
        let mut ticket = carrier::ticket(credential);
        if let Some(successor) = &found.successor {
            ticket = successor.clone();
        }
        if !self.sessions.would_fit(&found.session.entries, patch, Some(&principal.name)) {
            self.unfit();
            *patch = Patch::new(patch.seen);
        }
        let login = Some((principal.clone(), authentication));
        let renewal = Renewal { login, patch: patch.clone(), on_conflict: self.sessions.on_conflict };
        match self.cache.renew(&ticket.handle, &ticket.secret, &renewal, &self.sessions.judge).await? {
            Renew::Renewed(_, ticket, merge) => {
                self.tell(&ticket.handle, &merge);
                Ok(Some(Effect::Set(Credential::Ticket(ticket))))
            }
            Renew::LoggedOut(logged_out) => Ok(Some(self.logged_out(&logged_out))),
            Renew::TooLarge(too_large) => {
                self.too_large(&too_large);
                Ok(Some(Effect::None))
            }
            // Another request has renewed it for the same person.
            Renew::Superseded(current)
                if current.principal.as_ref().is_some_and(|owner| owner.is_same_person(&principal)) =>
            {
                if authority == Authority::Application {
                    // That is renewed enough.
                    self.change(patch.clone()).await?;
                    return Ok(Some(Effect::None));
                }
                // They sent the form twice. Which answer the browser keeps is not known, so each gets a ticket, and
                // what was collected before.
                collect(&current, patch);
                Ok(None)
            }
            // It ended, or somebody logged in with it, while they entered their password: they begin anew.
            Renew::Superseded(_) | Renew::Gone if authority == Authority::Password => Ok(None),
            // That wins over what an application says to a request from before it (law 1).
            Renew::Superseded(_) | Renew::Gone => Ok(Some(self.too_late())),
        }
    }

    /// The same for a session that its visitor carries.
    async fn renew_carried(
        &self,
        found: &Found,
        carried: &Carried,
        login: (Principal, Authentication),
        authority: Authority,
        patch: &mut Patch,
    ) -> Result<Option<Effect>, Unavailable> {
        let fits = |session: &Session| self.sessions.fit(session);
        loop {
            let renewal = Renewal {
                login: Some(login.clone()),
                patch: patch.clone(),
                on_conflict: self.sessions.on_conflict,
            };
            match self.cache.renew_carried(carried, &renewal, &self.sessions.judge, fits).await? {
                RenewCarried::Renewed(credential, merge) => {
                    self.tell(&found.session.handle, &merge);
                    return Ok(Some(Effect::Set(credential)));
                }
                RenewCarried::Moved(ticket) => {
                    let moved = self.cache.find_for(Purpose::LOOK, &ticket, &self.sessions.judge).await?;
                    let Find::Found(moved) = moved else {
                        return Ok((authority == Authority::Application).then(|| self.too_late()));
                    };
                    return self.renew(&moved, &Credential::Ticket(ticket), login, authority, patch).await;
                }
                RenewCarried::LoggedOut(logged_out) => {
                    return Ok(Some(self.logged_out(&logged_out)));
                }
                RenewCarried::Unfit if patch.is_empty() => {
                    self.unfit();
                    return Ok(Some(Effect::None));
                }
                RenewCarried::Unfit => {
                    self.unfit();
                    *patch = Patch::new(patch.seen);
                }
                RenewCarried::Replaced if authority == Authority::Password => {
                    // They sent the form twice; see above.
                    collect(&found.session, patch);
                    return Ok(None);
                }
                RenewCarried::Superseded(_) | RenewCarried::Gone if authority == Authority::Password => {
                    return Ok(None);
                }
                RenewCarried::Superseded(_) | RenewCarried::Replaced | RenewCarried::Gone => {
                    return Ok(Some(self.too_late()));
                }
            }
        }
    }

    /// Ends sessions whose ticket the visitor will not have any more.
    pub(crate) async fn replace(&self, sessions: &[Found]) -> Result<(), Unavailable> {
        for found in sessions {
            let ending = self.ending(Why::Replaced, &self.application.id);
            self.cache.end(&found.session, ending, &self.sessions.judge).await?;
        }
        Ok(())
    }

    /// Ends all sessions of whom the visitor is logged in as, wherever they are; of whom that is not known, once it is.
    pub(crate) async fn log_out_everywhere(&self, by: &str, from: IpAddr) -> Result<Ended, Unavailable> {
        let carried = self.visit.unseen.iter().filter_map(|credential| match credential {
            Credential::Carried(carried) => Some(&carried.session),
            Credential::Ticket(_) => None,
        });
        let mut outcome = Ok(());
        for session in self.visit.all().map(|found| &found.session).chain(carried) {
            if let Some(principal) = &session.principal {
                let selector = Selector::person(principal.clone());
                match self.cache.end_where(selector, self.ending(Why::Revoked, by)).await {
                    Ok(ended) => self.keep_receipt(ended.end, by),
                    Err(failed) => outcome = Err(failed),
                }
            }
        }
        let here = self.log_out_from(by, from, Leaving::Everywhere).await;
        // What is said of the failure is true of the least certain.
        match (outcome, here) {
            (Err(all), Err(one)) if Promise::of(&one) < Promise::of(&all) => Err(one),
            (Err(all), _) => Err(all),
            (Ok(()), here) => here,
        }
    }

    /// Has the log say which nodes have confirmed it. The visitor does not wait for them: it holds already.
    fn keep_receipt(&self, end: Acknowledged, by: &str) {
        let (cache, by) = (Arc::clone(self.cache), by.to_owned());
        let receive = async move {
            let receipt = cache.receipt(end).await;
            if receipt.is_whole() {
                tracing::info!(by, %receipt, "all sessions of a person were ended");
            } else {
                tracing::warn!(by, %receipt, "all sessions of a person were ended, and not every node has confirmed it");
            }
        };
        tokio::spawn(receive.in_current_span());
    }

    /// As [`Updater::log_out`], for a visitor at this address, who may come with something that nobody can look at: it is
    /// refused from now on, and ended once somebody can.
    pub(crate) async fn log_out_from(
        &self,
        by: &str,
        from: IpAddr,
        leaving: Leaving,
    ) -> Result<Ended, Unavailable> {
        let mut outcome = self.log_out(by).await;
        for credential in &self.visit.unseen {
            let (ending, judge) = (self.ending(Why::Logout, by), &self.sessions.judge);
            let ended = match credential {
                // That it opened is the proof.
                Credential::Carried(carried) => self.cache.end(&carried.session, ending, judge).await,
                Credential::Ticket(ticket) => {
                    let is_everywhere = leaving == Leaving::Everywhere;
                    Err(self.cache.end_unseen(ticket, is_everywhere, ending, judge, Some(from)).await)
                }
            };
            outcome = match (ended, outcome) {
                (Err(one), Err(other)) if Promise::of(&other) < Promise::of(&one) => Err(other),
                (Err(failed), _) | (Ok(_), Err(failed)) => Err(failed),
                (Ok(Ended::Now), Ok(_)) => Ok(Ended::Now),
                (Ok(Ended::Before), outcome) => outcome,
            };
        }
        outcome
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
}

/// What was collected in a session goes along, but for what is set all the same.
fn collect(session: &Session, patch: &mut Patch) {
    for (name, value) in session.entries.iter() {
        patch.set(name, value.clone());
    }
}
