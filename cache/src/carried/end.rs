//! Ending a session that its visitor carries.

use session::{Ending, Handle, Millis, Session};
use storage::Unavailable;

use crate::Cache;
use crate::application::Realm;
use crate::end::Ended;
use crate::heads::WINDOW;

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
            Err(unavailable) => {
                self.wait_to_revoke(&session.handle, ending, until);
                Err(unavailable)
            }
        }
    }

    /// Nobody writes it any more, wherever they are, and nobody finds it.
    pub(crate) async fn revoke_carried(
        &self,
        handle: &Handle,
        ending: &Ending,
        until: Millis,
    ) -> Result<Ended, Unavailable> {
        self.heads.bury(handle, ending.clone(), self.closed_until(), None).await?;
        self.revoke(handle, ending, until).await
    }

    /// Until when a head stays buried: by then every writer knows from elsewhere that there is nothing to write.
    pub(crate) fn closed_until(&self) -> Millis {
        self.clock.now().plus(WINDOW * 10)
    }
}
