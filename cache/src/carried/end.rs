//! Ending a session that its visitor carries.

use session::{Ending, Handle, Millis, Session, Why};
use storage::{Burial, Unavailable, Was};

use crate::Cache;
use crate::application::Realm;
use crate::end::Ended;
use crate::heads::{Head, WINDOW};

impl Cache {
    /// Ends it: no cookie opens it any more, however old or new.
    pub(crate) async fn end_carried(
        &self,
        session: &Session,
        realm: &Realm,
        ending: Ending,
    ) -> Result<Ended, Unavailable> {
        let until = realm.buried_until(session.begun, self.clock.now());
        match self.revoke_carried(&session.handle, &ending, until).await {
            Ok(ended) => {
                if ended == Ended::Now {
                    self.counters.count_end(ending.why);
                }
                Ok(ended)
            }
            Err(failed) => Err(self.wait_to_revoke(&session.handle, ending, until, failed).await),
        }
    }

    /// Nobody writes it any more, wherever they are, and nobody finds it.
    pub(crate) async fn revoke_carried(
        &self,
        handle: &Handle,
        ending: &Ending,
        until: Millis,
    ) -> Result<Ended, Unavailable> {
        let was = self.heads.bury(handle, ending.clone(), self.closed_until(), None).await?;
        let has_moved = self.revocations.gone(handle).is_some_and(|gone| gone.why == Why::Moved);
        // What moves to the server has a head until it is there: without one it has moved before, or never will. The
        // heads of another process are not known here.
        let may_be_on_server = has_moved || was != Some(Was::Absent) || self.is_deaf();
        // Before the note of its end is there: whoever is told by that note that it is over must not find it by its ticket.
        let there = if may_be_on_server && ending.why != Why::Moved {
            let burial = Burial { until: Some(until), ending: ending.clone(), expected: None };
            self.bury(handle, burial).await?
        } else {
            Ended::Before
        };
        let noted = self.revoke(handle, ending, until).await?;
        if there == Ended::Now {
            return Ok(Ended::Now);
        }
        // A login that closed it first has made another session of it, also where it has not written that everywhere yet.
        if noted == Ended::Now
            && was == Some(Was::Buried)
            && ending.why != Why::Replaced
            && let Head::Buried(first) = self.heads.ask(handle).await?
            && first.why == Why::Replaced
        {
            return Ok(Ended::Before);
        }
        Ok(noted)
    }

    /// Makes certain what the tombstone of a head says, before anybody is told: it may be all that an end left so far, and
    /// it does not stand for long, where it is in this process's memory not even until a restart.
    pub(crate) async fn confirm(
        &self,
        session: &Session,
        realm: &Realm,
        ending: &Ending,
    ) -> Result<(), Unavailable> {
        if self.revocations.gone(&session.handle).is_none() {
            let until = realm.buried_until(session.begun, self.clock.now());
            if self.revoke_carried(&session.handle, ending, until).await? == Ended::Now {
                self.counters.count_end(ending.why);
            }
        }
        Ok(())
    }

    /// Until when a head stays buried: by then every writer knows from elsewhere that there is nothing to write.
    pub(crate) fn closed_until(&self) -> Millis {
        self.clock.now().plus(WINDOW * 10)
    }
}
