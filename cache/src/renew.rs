//! A new ticket for the same session.

use std::sync::Arc;

use session::{Authentication, Handle, OnConflict, Patch, Previous, Principal, Secret, Session, Ticket};
use storage::Unavailable;

use crate::Cache;
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
}

/// What a renewal did.
#[derive(Debug)]
pub enum Renew {
    /// The session has this ticket now.
    Renewed(Arc<Session>, Ticket),
    /// The session is not there, was ended, belongs to another person, or the ticket that was presented is not its
    /// current one: somebody else was faster.
    Gone,
    /// The session would be larger than storage takes.
    TooLarge(TooLarge),
}

impl Cache {
    /// Gives the session a new secret; its handle stays.
    ///
    /// If it gets another owner by this, the ticket that was presented is worthless at once: whoever planted it
    /// (session fixation) must not be logged in with it. Else it stays good for `renew_window`, and is answered with
    /// its successor, so that requests under way are not refused.
    pub async fn renew(
        &self,
        handle: &Handle,
        presented: &Secret,
        renewal: &Renewal,
        application: &Application,
    ) -> Result<Renew, Unavailable> {
        let secret = Secret::random().map_err(|error| self.unavailable(error))?;
        let hash = presented.hash();
        let until = self.clock.now().plus(self.settings.renew_window);
        let successor: Box<[u8]> = seal::seal_under(presented.expose(), SUCCESSOR, secret.expose())
            .map_err(|error| self.unavailable(error))?
            .into();
        let changed = self
            .change(handle, application, |current| {
                let is_anothers = match (&current.principal, &renewal.login) {
                    (Some(owner), Some((principal, _))) => !owner.is_same_person(principal),
                    _ => false,
                };
                if current.secret != hash || is_anothers {
                    return Step::Leave(false);
                }
                let mut next = Session::clone(current);
                next.apply(&renewal.patch, OnConflict::Overwrite);
                let keeps_owner = match &renewal.login {
                    None => true,
                    Some((principal, authentication)) => {
                        let keeps =
                            current.principal.as_ref().is_some_and(|owner| owner.is_same_person(principal));
                        next.principal = Some(principal.clone());
                        next.authentication = Some(authentication.clone());
                        keeps
                    }
                };
                next.previous =
                    keeps_owner.then(|| Previous { secret: hash, until, successor: successor.clone() });
                next.secret = secret.hash();
                next.revision = current.revision.next();
                Step::Write(Box::new(next), true)
            })
            .await?;
        Ok(match changed {
            Changed::Done(session, true) => {
                self.counters.renewed.inc();
                Renew::Renewed(session, Ticket { handle: *handle, secret })
            }
            Changed::Done(_, false) | Changed::Absent | Changed::Ended(_) => Renew::Gone,
            Changed::TooLarge(too_large) => Renew::TooLarge(too_large),
        })
    }
}
