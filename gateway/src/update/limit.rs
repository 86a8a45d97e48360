//! How many sessions whoever logs in may have.

use cache::{Credential, Found, Listed, SessionLimit, WhenFull};
use session::{Handle, Principal, Session, Why};
use storage::Unavailable;

use super::{Proof, Updater};
use crate::settings::OnFull;

impl Updater<'_> {
    /// Whether one session more of `principal` is within what they may have, when this visit becomes theirs, and with it goes
    /// what was found `over_here`.
    pub(super) async fn has_room(
        &self,
        principal: &Principal,
        proof: &Proof,
        over_here: &[Found],
    ) -> Result<bool, Unavailable> {
        let Some(limit) = self.limit(proof) else { return Ok(true) };
        let is_theirs = |session: &Session| {
            session.principal.as_ref().is_some_and(|owner| owner.is_same_person(principal))
        };
        if self.visit.session.as_ref().is_some_and(|(found, _)| is_theirs(&found.session)) {
            return Ok(true);
        }
        let own = self.visit.all().chain(over_here).map(|found| &found.session);
        let own: Vec<Handle> =
            own.filter(|session| is_theirs(session)).map(|session| session.handle).collect();
        self.cache.has_room(principal, &own, &limit, &self.sessions.judge.realm).await
    }

    /// Ends what the person has beyond what they may have, now that they have this as well. Whether they have it still.
    pub(super) async fn hold_to_limit(
        &self,
        principal: &Principal,
        proof: &Proof,
        opened: &Credential,
    ) -> bool {
        let (Some(limit), Credential::Ticket(ticket)) = (self.limit(proof), opened) else { return true };
        let ending = self.ending(Why::Limit, &self.application.id);
        let held = self.cache.hold_to(principal, &limit, &self.sessions.judge.realm, ending).await;
        match held {
            Ok(ended) => {
                if !ended.is_empty() {
                    tracing::info!(
                        application = %self.application.id, sessions = ended.len(),
                        "sessions were ended: their person has more than they may (`sessions_per_person`)"
                    );
                }
                !ended.contains(&ticket.handle)
            }
            Err(error) => {
                // Nobody is kept out by an outage (law 3); whoever logs in next counts again.
                tracing::warn!(
                    application = %self.application.id, %error,
                    "it is not certain that somebody who has logged in has no more sessions than they may"
                );
                true
            }
        }
    }

    /// The sessions of who could end one of them to log in, the oldest first.
    pub(crate) async fn sessions_to_choose_from(
        &self,
        name: &str,
    ) -> Result<Option<Vec<Listed>>, Unavailable> {
        let Some(limit) = self.sessions.limits.per_person.filter(|limit| limit.when_full == OnFull::Ask)
        else {
            return Ok(None);
        };
        let realm = &self.sessions.judge.realm;
        let principal = Principal::named(&realm.id, name);
        self.cache.live_sessions(&principal, realm, limit.most.get().saturating_add(1)).await.map(Some)
    }

    /// One session more than they may have is not theirs.
    pub(super) fn is_full(&self) {
        self.counters.update("limit");
        tracing::info!(
            application = %self.application.id,
            "a login was refused: its person has as many sessions as they may (`sessions_per_person`)"
        );
    }

    /// What visitors carry is not counted.
    fn limit(&self, proof: &Proof) -> Option<SessionLimit> {
        let limit = self.sessions.limits.per_person.filter(|_| !self.sessions.carrier.is_sealed())?;
        let has_been_asked = limit.when_full == OnFull::Ask && proof.may_end_oldest;
        let unasked = limit.of_whom_nobody_can_ask();
        Some(if has_been_asked {
            SessionLimit { when_full: WhenFull::EndOldest, ..unasked }
        } else {
            unasked
        })
    }
}
