//! Looking at a session by its handle: for operators and other programs, who have no ticket and do not use it.

use std::sync::Arc;

use session::{Handle, Millis, Session, Why};
use storage::{Read, Unavailable};

use crate::Cache;
use crate::held::Held;
use crate::why::Life;

/// A live session, as somebody sees it who looks at it.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The session.
    pub session: Arc<Session>,
    /// When it was last used, as far as this process knows.
    pub last_seen: Millis,
}

impl Cache {
    /// The session with this handle, if it is live on the server. Asks storage, and is no use of the session.
    pub async fn show(&self, handle: &Handle) -> Result<Option<Shown>, Unavailable> {
        let Read::Found(record) = self.storage.read(&self.key(handle)?, None).await? else {
            self.outbox.check(handle, self.storage.id())?;
            return Ok(None);
        };
        self.show_held(Held::read(&record, self.storage.id())?).await
    }

    /// What is held of a record that storage gave just now, if it is live.
    pub(crate) async fn show_held(&self, held: Held) -> Result<Option<Shown>, Unavailable> {
        Ok(self.show_until(held).await?.map(|(shown, _)| shown))
    }

    /// The same, and when it is over by time, unless it is used once more.
    pub(crate) async fn show_until(&self, held: Held) -> Result<Option<(Shown, Millis)>, Unavailable> {
        let life = self.life_of(&held).await?;
        // Of an end that storage does not have yet nobody can say what became of it.
        self.outbox.check(&held.session.handle, self.storage.id())?;
        self.outbox.check_session(&held.session, self.storage.id())?;
        if life != Life::Live || self.is_gone(&held.session) {
            return Ok(None);
        }
        let (last_seen, over_at) = self.bounds_of(&held);
        let is_live = self.clock.now() < over_at;
        Ok(is_live.then_some((Shown { session: held.session, last_seen }, over_at)))
    }

    /// Whether a session was ended whose tombstone storage may have lost, and whose record be back, as after a failover.
    pub(crate) fn is_gone(&self, session: &Session) -> bool {
        session.is_recoverable
            && self.revocations.gone(&session.handle).is_some_and(|gone| gone.why != Why::Moved)
    }
}
