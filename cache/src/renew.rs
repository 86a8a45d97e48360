//! A new ticket for the same session.

use std::sync::Arc;

use session::{
    Authentication, Handle, Merge, OnConflict, Patch, Previous, Principal, Secret, Session, Ticket,
};
use storage::Unavailable;

use crate::Cache;
use crate::admit::{Admission, LoggedOut};
use crate::application::Application;
use crate::patch::{Changed, Step, TooLarge};

/// What the successor of a secret is sealed for.
pub(crate) const SUCCESSOR: &str = "successor";

/// Why a ticket is renewed, and what else changes with it.
#[derive(Debug, Clone)]
pub struct Renewal {
    /// Who the session belongs to from now on, and how they proved it; `None` leaves it as it is.
    pub login: Option<(Principal, Authentication)>,
    /// What else is written in the same moment.
    pub patch: Patch,
    /// What becomes of a key of the patch that another request changed meanwhile.
    pub on_conflict: OnConflict,
}

/// What a renewal did.
#[derive(Debug)]
pub enum Renew {
    /// The session has this ticket now, and its patch was merged so.
    Renewed(Arc<Session>, Ticket, Merge),
    /// The session is there, and nothing was done: the ticket that was presented is not its current one, or it belongs
    /// to another person. Somebody else was faster.
    Superseded(Arc<Session>),
    /// Nothing was done: the person was logged out, and has not proved since who they are.
    LoggedOut(LoggedOut),
    /// The session is not there, or was ended.
    Gone,
    /// The session would be larger than storage takes.
    TooLarge(TooLarge),
}

impl Cache {
    /// Gives the session a new secret; its handle stays.
    ///
    /// The ticket that was presented stays good for `renew_window`, so that requests under way are not refused, and is
    /// answered with its successor. Not so after a login: if the session gets another owner by it, the old ticket is
    /// worthless at once, for whoever planted it must not be logged in with it (session fixation); if the owner stays,
    /// it is told nothing, for whoever stole it must not outlive a change of the password. A login begins the lifetime
    /// of the session anew.
    pub async fn renew(
        &self,
        handle: &Handle,
        presented: &Secret,
        renewal: &Renewal,
        application: &Application,
    ) -> Result<Renew, Unavailable> {
        let secret = Secret::random().map_err(|error| self.unavailable(error))?;
        let (hash, now) = (presented.hash(), self.clock.now());
        let successor = match &renewal.login {
            Some(_) => Box::default(),
            None => seal::seal_under(presented.expose(), SUCCESSOR, secret.expose())
                .map_err(|error| self.unavailable(error))?
                .into(),
        };
        let previous = Previous { secret: hash, until: now.plus(self.settings.renew_window), successor };
        let realm = &application.realm;
        let known = |(principal, proof): &(Principal, Authentication)| {
            (self.as_known(principal.clone()), proof.clone())
        };
        let login = renewal.login.as_ref().map(known);
        let admission = match &login {
            // Whose it is already stays in the index.
            Some((principal, proof)) if self.is_known_to_be_of(handle, principal) => {
                Some(self.admit_unlisted(Some(principal), Some(proof), realm).await?)
            }
            Some((principal, proof)) => {
                Some(self.admit(Some(principal), Some(proof), handle, realm, now).await?)
            }
            None => None,
        };
        let epochs = match admission {
            Some(Admission::LoggedOut(logged_out)) => return Ok(Renew::LoggedOut(logged_out)),
            Some(Admission::Admitted(epochs)) => Some(epochs),
            None => None,
        };
        let changed = self
            .change(handle, application, |current| {
                let is_anothers = match (&current.principal, &login) {
                    (Some(owner), Some((principal, _))) => !owner.is_same_person(principal),
                    _ => false,
                };
                if current.secret != hash || is_anothers {
                    return Step::Leave(None);
                }
                let mut next = Session::clone(current);
                let merge = next.apply(&renewal.patch, renewal.on_conflict);
                let keeps_owner = login.is_none() || current.principal.is_some();
                if let Some((principal, authentication)) = &login {
                    next.principal = Some(principal.clone());
                    next.authentication = Some(authentication.clone());
                    next.begun = now;
                }
                next.epochs = epochs.unwrap_or(next.epochs);
                next.previous = keeps_owner.then(|| previous.clone());
                next.secret = secret.hash();
                next.revision = current.revision.next();
                Step::Write(Box::new(next), Some(merge))
            })
            .await?;
        Ok(match changed {
            Changed::Done(session, Some(merge)) => {
                if epochs.is_some() {
                    self.confirm_entry(&session, &application.realm, now).await;
                }
                self.counters.renewed.inc();
                self.counters.conflicts.inc_by(merge.conflicts.len() as u64);
                Renew::Renewed(session, Ticket { handle: *handle, secret }, merge)
            }
            Changed::Done(session, None) => Renew::Superseded(session),
            // Only what is carried moves.
            Changed::Moved(..) | Changed::Absent | Changed::Ended(_) => Renew::Gone,
            Changed::TooLarge(too_large) => Renew::TooLarge(too_large),
        })
    }

    /// Whether this process has seen it as this person's, which it stays until its end.
    fn is_known_to_be_of(&self, handle: &Handle, principal: &Principal) -> bool {
        let held = self.tier.held(handle);
        let owner = held.as_ref().and_then(|held| held.session.principal.as_ref());
        owner.is_some_and(|owner| owner.is_same_person(principal))
    }
}
