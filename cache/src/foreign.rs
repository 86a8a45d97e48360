//! Sessions that another system names.
//!
//! Its ids are chosen by whoever uses it, and are name and proof at once: a [`Ticket::of_foreign`] stands for one. So the same
//! id can be used for another session only if that is meant to be: what was ended does not come back under it (law 1), unless
//! only [one life of it](Cache::end_life) was.

use std::sync::Arc;

use session::{Ending, Epochs, Millis, OnConflict, Patch, Principal, Session, Ticket};
use storage::{Burial, Bury, Read, Unavailable};

use crate::Cache;
use crate::admit::{Admission, LoggedOut};
use crate::application::Application;
use crate::end::Ended;
use crate::open::{Begin, Opening};
use crate::patch::{Changed, MAX_ROUNDS, Step, TooLarge};

/// What became of an opening under an id that was chosen by others.
#[derive(Debug)]
pub enum OpenForeign {
    /// There is this session now.
    Opened(Arc<Session>),
    /// There is one already, which may be over by its time.
    Exists,
    /// There was one, which ended so: the id is not good any more.
    Ended(Ending),
    /// There is none: a logout came before it.
    LoggedOut(LoggedOut),
}

/// What another system makes of a session that it keeps here.
#[derive(Debug, Clone)]
pub struct Rewriting {
    /// What changes of its entries, whatever others did meanwhile: who makes this has looked at the current session.
    pub patch: Patch,
    /// Its time-outs count from here from now on, if this is given.
    pub begun: Option<Millis>,
}

/// What became of a rewriting.
#[derive(Debug)]
pub enum Rewritten {
    /// The session is this now.
    Written(Arc<Session>),
    /// It is not there, or somebody else's.
    Absent,
    /// It was ended meanwhile (law 1).
    Ended(Ending),
    /// It is as it was: the person was logged out before they became its owner.
    LoggedOut(LoggedOut),
    /// It would be larger than storage takes.
    TooLarge(TooLarge),
}

impl Cache {
    /// Opens a session under `ticket`, as one that began at `begun`.
    ///
    /// # Errors
    /// Storage has no answer, or an end under this id still waits for it.
    pub async fn open_foreign(
        &self,
        ticket: &Ticket,
        begun: Millis,
        opening: &Opening,
        application: &Application,
    ) -> Result<OpenForeign, Unavailable> {
        self.outbox.check(&ticket.handle, self.storage.id())?;
        Ok(match self.begin(ticket, begun, opening, application).await? {
            Begin::Begun(session) => OpenForeign::Opened(session),
            Begin::Taken => OpenForeign::Exists,
            Begin::Buried(ending) => OpenForeign::Ended(ending),
            Begin::LoggedOut(logged_out) => OpenForeign::LoggedOut(logged_out),
        })
    }

    /// Has `edit` say what becomes of the session of `ticket`, and writes that; again, if somebody else was faster. `owner` is
    /// to whom it belongs from then on, if that is said.
    ///
    /// # Errors
    /// Storage has no answer.
    pub async fn rewrite(
        &self,
        ticket: &Ticket,
        owner: Option<&Principal>,
        application: &Application,
        mut edit: impl FnMut(&Session) -> Rewriting,
    ) -> Result<Rewritten, Unavailable> {
        let owner = owner.map(|owner| self.as_known(owner.clone()));
        let adoption = match owner {
            Some(owner) if !self.is_known_to_be_of(&ticket.handle, &owner) => {
                let (realm, now) = (&application.realm, self.clock.now());
                match self.admit(Some(&owner), None, &ticket.handle, realm, now).await? {
                    Admission::Admitted(epochs) => Some((owner, epochs)),
                    Admission::LoggedOut(logged_out) => return Ok(Rewritten::LoggedOut(logged_out)),
                }
            }
            _ => None,
        };
        let (hash, mut previous) = (ticket.secret.hash(), None);
        let changed = self
            .change(&ticket.handle, application, |current| {
                if current.secret != hash {
                    return Step::Leave(false);
                }
                previous = current.principal.clone();
                match rewritten(current, edit(current), adoption.as_ref()) {
                    Some(next) => Step::Write(Box::new(next), true),
                    None => Step::Leave(true),
                }
            })
            .await?;
        Ok(match changed {
            Changed::Done(session, true) => {
                if let Some(previous) = previous.filter(|known| session.principal.as_ref() != Some(known)) {
                    self.leave_index_of(&previous, &ticket.handle);
                }
                Rewritten::Written(session)
            }
            // Only what is carried moves.
            Changed::Done(_, false) | Changed::Moved(..) | Changed::Absent => Rewritten::Absent,
            Changed::Ended(ending) => Rewritten::Ended(ending),
            Changed::TooLarge(too_large) => Rewritten::TooLarge(too_large),
        })
    }

    /// Ends a session whose id is meant to come back: a later [`Cache::open_foreign`] under it succeeds, and only writers who
    /// saw this life of it are refused.
    ///
    /// # Errors
    /// Storage has no answer: then nobody knows whether it ended, and nothing is repeated later, for that could hit the next life.
    pub async fn end_life(&self, ticket: &Ticket, ending: Ending) -> Result<Ended, Unavailable> {
        let key = self.key(&ticket.handle)?;
        for _ in 0..MAX_ROUNDS {
            let Read::Found(record) = self.storage.read(&key, None).await? else {
                self.tier.end(&ticket.handle);
                return Ok(Ended::Before);
            };
            let burial = Burial { until: None, ending: ending.clone(), expected: Some(record.version) };
            let buried = self.tier.attempt(&ticket.handle, self.storage.bury(&key, burial)).await?;
            self.tier.end(&ticket.handle);
            if let Bury::Buried(_) = buried {
                self.counters.count_end(ending.why);
                return Ok(Ended::Now);
            }
        }
        Err(self.unavailable(format!("{MAX_ROUNDS} writers of this session were faster than its end")))
    }
}

/// The session after a rewriting; none if it is as it was.
fn rewritten(
    current: &Session,
    rewriting: Rewriting,
    adoption: Option<&(Principal, Epochs)>,
) -> Option<Session> {
    let Rewriting { patch, begun } = rewriting;
    let mut next = Session::clone(current);
    let mut is_changed = next.apply(&patch, OnConflict::Overwrite).changed;
    if let Some(begun) = begun.filter(|begun| *begun != current.begun) {
        next.begun = begun;
        is_changed = true;
    }
    if let Some((owner, epochs)) = adoption.filter(|(owner, _)| current.principal.as_ref() != Some(owner)) {
        next.principal = Some(owner.clone());
        next.epochs = *epochs;
        is_changed = true;
    }
    if next.revision == current.revision {
        next.revision = current.revision.next();
    }
    is_changed.then_some(next)
}
