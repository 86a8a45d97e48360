//! A new ticket for the same session.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;
use session::{
    Authentication, Handle, Kinship, Merge, OnConflict, Patch, Previous, Principal, Revision, Secret,
    Session, Ticket,
};
use storage::Unavailable;

use crate::Cache;
use crate::admit::{Admission, LoggedOut};
use crate::application::Application;
use crate::find::{Find, unseal};
use crate::patch::{Changed, Step, TooLarge};
use crate::purpose::Purpose;

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
    /// to another person, or the ticket before it is still good. Somebody else was faster.
    Superseded(Arc<Session>),
    /// Nothing was done: the person was logged out, and has not proved since who they are.
    LoggedOut(LoggedOut),
    /// The session is not there, or was ended.
    Gone,
    /// The session would be larger than storage takes.
    TooLarge(TooLarge),
}

/// Sessions whose ticket this process is renewing: of requests that find it due at once, one does it.
#[derive(Debug, Default)]
pub(crate) struct Renewing(Mutex<HashSet<Handle>>);

impl Renewing {
    fn claim(&self, handle: Handle) -> Option<Claim<'_>> {
        let is_first = self.0.lock().insert(handle);
        is_first.then(|| Claim { renewing: self, handle })
    }
}

/// Somebody renews it, until this is dropped.
struct Claim<'r> {
    renewing: &'r Renewing,
    handle: Handle,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.renewing.0.lock().remove(&self.handle);
    }
}

impl Renewal {
    /// Because the ticket is as old as tickets may be.
    fn by_age() -> Self {
        let patch = Patch::new(Revision::default());
        Self { login: None, patch, on_conflict: OnConflict::KeepFirst }
    }
}

impl Cache {
    /// Whether the ticket of a session is so old that its visitor should get another one.
    #[must_use]
    pub fn is_renewal_due(&self, session: &Session, application: &Application) -> bool {
        let (interval, now) = (application.renew_interval, self.clock.now());
        !interval.is_zero()
            && now.since(session.renewed()) >= interval
            && session.is_renewable(now, self.settings.renew_window)
    }

    /// Renews a ticket that is [due](Cache::is_renewal_due), and says which one its visitor should have now; none if that is
    /// the one they came with. Of requests that come at once, here and on other nodes, one renews it, and nobody waits: who
    /// is not told its successor with this answer is told with the next.
    pub async fn renew_by_age(
        &self,
        ticket: &Ticket,
        application: &Application,
    ) -> Result<Option<Ticket>, Unavailable> {
        let Some(_claim) = self.renewing.claim(ticket.handle) else { return Ok(None) };
        // Somebody may have renewed it since this visitor's session was found.
        match self.find_for(Purpose::LOOK, ticket, application).await? {
            Find::Found(found) if found.successor.is_some() => return Ok(found.successor),
            Find::Found(found) if self.is_renewal_due(&found.session, application) => {}
            _ => return Ok(None),
        }
        Ok(match self.renew(&ticket.handle, &ticket.secret, &Renewal::by_age(), application).await? {
            Renew::Renewed(_, next, _) => Some(next),
            // By another node.
            Renew::Superseded(session) => match session.kinship(ticket.secret.hash(), self.clock.now()) {
                Kinship::Previous(sealed) => unseal(&session, &ticket.secret, sealed),
                _ => None,
            },
            Renew::LoggedOut(_) | Renew::Gone | Renew::TooLarge(_) => None,
        })
    }

    /// Gives the session a new secret; its handle stays.
    ///
    /// The ticket that was presented is answered with its successor, and stays good until `renew_window` after that was used
    /// first; see [`Session::kinship`]. It is not renewed again before. Not so after a login: if the session gets another owner by it, the old ticket is
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
            Some(_) => Box::<[u8]>::default(),
            None => seal::seal_under(presented.expose(), SUCCESSOR, secret.expose())
                .map_err(|error| self.unavailable(error))?
                .into(),
        };
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
        self.outdate_recovery(handle, &hash, &application.realm.id).await?;
        let changed = self
            .change(handle, application, |current| {
                let is_anothers = match (&current.principal, &login) {
                    (Some(owner), Some((principal, _))) => !owner.is_same_person(principal),
                    _ => false,
                };
                let is_too_soon =
                    renewal.login.is_none() && !current.is_renewable(now, self.settings.renew_window);
                if current.secret != hash || is_anothers || is_too_soon {
                    return Step::Leave(None);
                }
                let mut next = Session::clone(current);
                let merge = next.apply(&renewal.patch, renewal.on_conflict);
                let Some((principal, authentication)) = &login else {
                    next.succeed(secret.hash(), successor.clone(), now);
                    return Step::Write(Box::new(next), Some(merge));
                };
                let until = now.plus(self.settings.renew_window);
                let previous = || Previous { secret: hash, until, successor: Box::default() };
                next.previous = current.principal.as_ref().map(|_| previous());
                next.lineage = None;
                if current.principal.is_none() {
                    // Whoever gave them did not mean the person who comes only now.
                    next.assertions = Box::default();
                }
                next.principal = Some(principal.clone());
                next.authentication = Some(authentication.clone());
                next.begun = now;
                next.epochs = epochs.unwrap_or(next.epochs);
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
    pub(crate) fn is_known_to_be_of(&self, handle: &Handle, principal: &Principal) -> bool {
        let held = self.tier.held(handle);
        let owner = held.as_ref().and_then(|held| held.session.principal.as_ref());
        owner.is_some_and(|owner| owner.is_same_person(principal))
    }
}
