//! Changing what a carried session holds.

use session::{Carried, Conflict, OnConflict, Patch, Session};
use storage::Unavailable;

use crate::Cache;
use crate::application::Application;
use crate::patch::{Changed, Patched, Step};

/// Whether a session fits where it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// It does.
    Fits,
    /// It does not fit into a cookie, and may move to the server.
    Moves,
    /// It does not fit.
    Unfit,
}

impl Cache {
    /// Applies `patch` to a session that its visitor carries, as [`Cache::patch_if`] does to one on the server. What it
    /// becomes is for the visitor to carry: [`Cache::carry`].
    pub async fn patch_carried(
        &self,
        carried: &Carried,
        patch: &Patch,
        on_conflict: OnConflict,
        application: &Application,
        fits: impl Fn(&Session) -> Fit,
    ) -> Result<Patched, Unavailable> {
        let step = self.patching(patch, on_conflict, fits);
        let changed = self.change_carried(carried, application, step).await?;
        Ok(self.patched(changed))
    }

    /// As [`Cache::settle`]; what the session is then.
    pub async fn settle_carried(
        &self,
        carried: &Carried,
        told: &[Conflict],
        application: &Application,
    ) -> Result<Option<std::sync::Arc<Session>>, Unavailable> {
        let changed = self.change_carried(carried, application, |current| {
            let mut next = Session::clone(current);
            if next.settle(told) { Step::Write(Box::new(next), ()) } else { Step::Leave(()) }
        });
        Ok(match changed.await? {
            Changed::Done(session, ()) => Some(session),
            Changed::Moved(..) | Changed::Absent | Changed::Ended(_) | Changed::TooLarge(_) => None,
        })
    }

    /// What the visitor carries from now on, if that is another session than `carried`, and not one on the server.
    #[must_use]
    pub fn carry(
        &self,
        carried: &Carried,
        session: std::sync::Arc<Session>,
        application: &Application,
    ) -> Option<std::sync::Arc<Carried>> {
        let is_later = session.is_carried() && session.revision > carried.session.revision;
        is_later.then(|| super::follow(carried, session, self.clock.now(), &application.realm))
    }
}
