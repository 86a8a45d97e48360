//! A login with a session that its visitor carries.

use std::sync::Arc;

use session::{Carried, Ending, Handle, Merge, Secret, Session, Ticket, Why};
use storage::{Burial, Create, NewRecord, Unavailable, WriteId};

use super::{Credential, Fit, carry, latest};
use crate::Cache;
use crate::admit::{Admission, LoggedOut};
use crate::application::Application;
use crate::heads::Head;
use crate::patch::MAX_ROUNDS;
use crate::renew::Renewal;

/// What a renewal did.
#[derive(Debug)]
pub enum RenewCarried {
    /// The visitor holds this from now on, and the patch was merged so.
    Renewed(Credential, Merge),
    /// The session moved to the server meanwhile. This ticket opens it there, for a while.
    Moved(Ticket),
    /// It belongs to another person by now; nothing was done.
    Superseded(Arc<Session>),
    /// Its visitor has logged in with it already, and carries another one.
    Replaced,
    /// Nothing was done: the person was logged out, and has not proved since who they are.
    LoggedOut(LoggedOut),
    /// It was ended.
    Gone,
    /// It would not fit into a cookie.
    Unfit,
}

impl Cache {
    /// Makes a session after the one that its visitor carries, with what that holds, for who has logged in. Every cookie
    /// of the one before is worthless from then on: who planted it, or stole it, is not logged in with it.
    pub async fn renew_carried(
        &self,
        carried: &Carried,
        renewal: &Renewal,
        application: &Application,
        fits: impl Fn(&Session) -> Fit,
    ) -> Result<RenewCarried, Unavailable> {
        let handle = &carried.session.handle;
        self.outbox.check_session(&carried.session, self.storage.id())?;
        self.know_revocations_of(&carried.session).await?;
        let login = renewal.login.clone().map(|(principal, proof)| (self.as_known(principal), proof));
        let epochs = match &login {
            Some((principal, proof)) => {
                match self.admit_unlisted(Some(principal), Some(proof), &application.realm).await? {
                    Admission::Admitted(epochs) => epochs,
                    Admission::LoggedOut(logged_out) => return Ok(RenewCarried::LoggedOut(logged_out)),
                }
            }
            None => carried.session.epochs,
        };
        for _ in 0..MAX_ROUNDS {
            let went = self.revocations.gone(handle).map(|gone| gone.why);
            let (head, version) = match (went, self.heads.ask(handle).await?) {
                (Some(Why::Moved), _) => return Ok(moved(carried)),
                (Some(Why::Replaced), _) => return Ok(RenewCarried::Replaced),
                (Some(_), _) => return Ok(RenewCarried::Gone),
                (None, Head::Buried(ending)) => {
                    self.confirm(&carried.session, &application.realm, &ending).await?;
                    continue;
                }
                (None, Head::Found(session, version, _)) if !session.is_carried() => {
                    self.finish_move(&session, version, application).await?;
                    return Ok(moved(carried));
                }
                (None, Head::Found(session, version, _)) => (Some(session), Some(version)),
                (None, Head::None) => (None, None),
            };
            let current = latest(carried, head);
            if self.left_behind(&current).is_some() {
                return Ok(RenewCarried::Gone);
            }
            let owner = current.principal.as_ref();
            if let (Some(owner), Some((principal, _))) = (owner, &login)
                && !owner.is_same_person(principal)
            {
                return Ok(RenewCarried::Superseded(current));
            }
            let now = self.clock.now();
            let mut next = Session { epochs, ..Session::clone(&current) };
            let merge = next.apply(&renewal.patch, renewal.on_conflict);
            if let Some((principal, authentication)) = &login {
                next.principal = Some(principal.clone());
                next.authentication = Some(authentication.clone());
                next.begun = now;
            }
            next.handle = Handle::random().map_err(|error| self.unavailable(error))?;
            next.revision = current.revision.next();
            let fit = fits(&next);
            if fit == Fit::Unfit {
                return Ok(RenewCarried::Unfit);
            }
            // First the new one: who is told to come again later must still have the old one.
            let on_server = match fit {
                Fit::Moves => Some(self.open_on_server(next.clone(), application).await?),
                Fit::Fits | Fit::Unfit => None,
            };
            let ending = Ending::new(now, Why::Replaced, "a login");
            if !self.close(&current, version, ending.clone(), application).await? {
                // Nobody has the ticket of what was written in vain.
                if let Some(ticket) = on_server {
                    let until = Some(application.realm.buried_until(now, now));
                    self.bury(&ticket.handle, Burial { until, ending, expected: None }).await?;
                }
                continue;
            }
            self.counters.renewed.inc();
            self.counters.conflicts.inc_by(merge.conflicts.len() as u64);
            let credential = match on_server {
                Some(ticket) => Credential::Ticket(ticket),
                None => {
                    let secret = Secret::random().map_err(|error| self.unavailable(error))?;
                    Credential::Carried(Arc::new(carry(Arc::new(next), secret, now, &application.realm)))
                }
            };
            return Ok(RenewCarried::Renewed(credential, merge));
        }
        Err(self.unavailable(format!("{MAX_ROUNDS} other writers of this session were faster")))
    }

    /// Writes a session that nobody knows yet.
    async fn open_on_server(
        &self,
        session: Session,
        application: &Application,
    ) -> Result<Ticket, Unavailable> {
        let secret = Secret::random().map_err(|error| self.unavailable(error))?;
        let session = Session { secret: secret.hash(), previous: None, ..session };
        let (key, value) = (self.key(&session.handle)?, session::record::encode(&session).into());
        let (realm, now) = (&application.realm, self.clock.now());
        let times = Self::times(realm, &session, now);
        self.enter_all(&session, realm, times.expires).await?;
        let write = WriteId::random().map_err(|error| self.unavailable(error))?;
        match self.storage.create(&key, NewRecord::new(value, times, write)).await? {
            Create::Created(_) => {
                self.confirm_entry(&session, realm, now).await;
                Ok(Ticket { handle: session.handle, secret })
            }
            Create::Exists | Create::Buried(_) => {
                Err(self.unavailable("a new random handle was taken: the random generator is broken"))
            }
        }
    }
}

fn moved(carried: &Carried) -> RenewCarried {
    RenewCarried::Moved(Ticket { handle: carried.session.handle, secret: carried.secret.clone() })
}
