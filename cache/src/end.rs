//! Ending a session.

use std::sync::Arc;

use session::{Ending, Epoch, Handle, Session};
use storage::{Burial, Bury, Unavailable, Was};
use tracing::Instrument as _;

use crate::Cache;
use crate::application::{Application, Realm};
use crate::end_where::End;
use crate::outbox::due::{Target, Waiting};
use crate::recent::EndOf;

/// A session is ended, and will not be found again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was live until now.
    Now,
    /// It was over before, or never was.
    Before,
}

impl Cache {
    /// Ends a session. When this returns `Ok`, no request finds it any more, on this node and wherever storage is
    /// shared, as durably as storage says.
    ///
    /// If storage does not confirm it, this node refuses the session from now on all the same (with
    /// [`Unavailable`], for nobody knows yet whether it is over), and repeats the end until storage confirms it: how far that
    /// is certain says the [`Promise`](crate::Promise) in the error.
    pub async fn end(
        self: &Arc<Self>,
        session: &Session,
        ending: Ending,
        application: &Application,
    ) -> Result<Ended, Unavailable> {
        let (cache, session) = (Arc::clone(self), session.clone());
        let (realm, why) = (Arc::clone(&application.realm), ending.why);
        // In a task of its own: whoever logs out and closes the window meanwhile is logged out.
        let end = async move {
            if session.is_carried() {
                cache.end_carried(&session, &realm, ending).await
            } else {
                cache.end_now(&session, &realm, ending).await
            }
        };
        let ended = tokio::spawn(end.in_current_span());
        let ended = ended.await.map_err(|error| self.unavailable(error))?;
        if matches!(ended, Ok(Ended::Now)) {
            tracing::debug!(why = why.as_str(), "a session was ended");
        }
        ended
    }

    pub(crate) async fn end_now(
        &self,
        session: &Session,
        realm: &Realm,
        ending: Ending,
    ) -> Result<Ended, Unavailable> {
        let why = ending.why;
        let until = Some(realm.buried_until(session.begun, self.clock.now()));
        let burial = Burial { until, ending, expected: None };
        let buried = match self.mark_end(session, &burial).await {
            Ok(()) => self.bury_only(&session.handle, burial.clone()).await,
            Err(unavailable) => Err(unavailable),
        };
        match buried {
            Ok(ended) => {
                if ended == Ended::Now {
                    self.counters.count_end(why);
                }
                self.leave_index(session);
                self.forget_assertions(session);
                Ok(ended)
            }
            Err(failed) => {
                self.tier.end(&session.handle);
                Err(self.wait(Target::Session(session.handle), Waiting::Burial(burial), failed).await)
            }
        }
    }

    pub(crate) async fn bury(&self, handle: &Handle, burial: Burial) -> Result<Ended, Unavailable> {
        // What could bring the session back is worthless before the session is gone.
        self.note_any_end(handle, &burial).await?;
        self.bury_only(handle, burial).await
    }

    async fn bury_only(&self, handle: &Handle, burial: Burial) -> Result<Ended, Unavailable> {
        let key = self.key(handle)?;
        let (ending, until) = (burial.ending.clone(), burial.until);
        let buried = self.tier.attempt(handle, self.storage.bury(&key, burial)).await?;
        // After storage has it: a copy that was read before is caught here, one that is read later finds the tombstone.
        self.tier.end(handle);
        if matches!(buried, Bury::Buried(_)) {
            self.recent.made(
                EndOf::Session(*handle),
                End { ending, before: None, late: None },
                until,
                Epoch::default(),
            );
        }
        Ok(match buried {
            Bury::Buried(Was::Live) => Ended::Now,
            Bury::Buried(Was::Buried | Was::Absent) | Bury::Conflict(_) => Ended::Before,
        })
    }
}
