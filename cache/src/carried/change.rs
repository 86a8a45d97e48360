//! Changing a session that its visitor carries.

use std::sync::Arc;

use session::{Carried, Ending, Handle, Millis, Session, Why};
use storage::{Unavailable, Version, Was};

use super::latest;
use crate::Cache;
use crate::application::Application;
use crate::heads::Head;
use crate::outbox::due::{Target, Waiting};
use crate::patch::{Changed, MAX_ROUNDS, Step};

/// What became of one attempt.
enum Round<T> {
    Done(Changed<T>),
    /// Somebody else was faster.
    Again,
    /// It is on the server by now.
    Moved,
}

impl Cache {
    /// Has `step` say what becomes of the session that a visitor carries, and writes that; again if somebody else was
    /// faster. If it moved to the server meanwhile it is changed there: who comes with a cookie of it may do so.
    pub(crate) async fn change_carried<T>(
        &self,
        carried: &Carried,
        application: &Application,
        mut step: impl FnMut(&Session) -> Step<T>,
    ) -> Result<Changed<T>, Unavailable> {
        self.outbox.check_session(&carried.session, self.storage.id())?;
        self.know_revocations_of(&carried.session).await?;
        for _ in 0..MAX_ROUNDS {
            match self.round(carried, application, &mut step).await? {
                Round::Done(changed) => return Ok(changed),
                Round::Again => {}
                Round::Moved => return self.change(&carried.session.handle, application, step).await,
            }
        }
        Err(self.unavailable(format!("{MAX_ROUNDS} other writers of this session were faster")))
    }

    async fn round<T>(
        &self,
        carried: &Carried,
        application: &Application,
        step: &mut impl FnMut(&Session) -> Step<T>,
    ) -> Result<Round<T>, Unavailable> {
        let handle = &carried.session.handle;
        if let Some(gone) = self.revocations.gone(handle) {
            return Ok(went(gone.ending()));
        }
        let (head, version) = match self.heads.ask(handle).await? {
            Head::Found(session, version, _) if !session.is_carried() => {
                self.finish_move(&session, version, application).await?;
                return Ok(Round::Moved);
            }
            Head::Found(session, version, _) => (Some(session), Some(version)),
            Head::None => (None, None),
            Head::Buried(ending) => {
                self.confirm(&carried.session, &application.realm, &ending).await?;
                return Ok(went(ending));
            }
        };
        let current = latest(carried, head);
        if let Some(ending) = self.left_behind(&current) {
            return Ok(went(ending));
        }
        match step(&current) {
            Step::Leave(answer) => Ok(Round::Done(Changed::Done(current, answer))),
            Step::Write(next, answer) => {
                if self.heads.write(&next, version).await?.is_none() {
                    return Ok(Round::Again);
                }
                // Where heads are in memory an end does not stop a writer: it is seen here instead.
                if let Some(gone) = self.revocations.gone(handle) {
                    return Ok(went(gone.ending()));
                }
                self.outbox.check(handle, self.storage.id())?;
                Ok(Round::Done(Changed::Done(Arc::new(*next), answer)))
            }
            Step::End(ending, answer) => {
                if !self.close(&current, version, ending, application).await? {
                    return Ok(Round::Again);
                }
                Ok(Round::Done(Changed::Done(current, answer)))
            }
            Step::Move(next, answer) => {
                let (moving, ticket) = self.moving(carried, *next)?;
                let Some(version) = self.heads.write(&moving, version).await? else {
                    return Ok(Round::Again);
                };
                self.finish_move(&moving, version, application).await?;
                Ok(Round::Done(Changed::Moved(Arc::new(moving), ticket, answer)))
            }
        }
    }

    /// Lets nobody change or find `current` any more, unless it was changed since: then `false`. `before` is the version
    /// of its head, if it has one.
    pub(crate) async fn close(
        &self,
        current: &Session,
        before: Option<Version>,
        ending: Ending,
        application: &Application,
    ) -> Result<bool, Unavailable> {
        // Without a head nobody could say whether somebody else has just written one.
        let version = match before {
            Some(version) => version,
            None => match self.heads.write(current, None).await? {
                Some(version) => version,
                None => return Ok(false),
            },
        };
        let handle = &current.handle;
        // Of two who close the same version one does: the other one finds the tombstone.
        match self.heads.bury(handle, ending.clone(), self.closed_until(), Some(version)).await? {
            Some(Was::Live | Was::Absent) => {}
            Some(Was::Buried) | None => return Ok(false),
        }
        let until = application.realm.buried_until(current.begun, self.clock.now());
        match self.revoke(handle, &ending, until).await {
            Ok(_) => Ok(true),
            Err(failed) => Err(self.wait_to_revoke(handle, ending, until, failed).await),
        }
    }

    /// An end of a carried session waits until storage has confirmed it; this node refuses the session meanwhile.
    pub(crate) async fn wait_to_revoke(
        &self,
        handle: &Handle,
        ending: Ending,
        until: Millis,
        failed: Unavailable,
    ) -> Unavailable {
        self.wait(Target::Session(*handle), Waiting::Carried(ending, until), failed).await
    }
}

fn went<T>(ending: Ending) -> Round<T> {
    match ending.why {
        Why::Moved => Round::Moved,
        _ => Round::Done(Changed::Ended(ending)),
    }
}
