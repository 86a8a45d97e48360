//! Opening a session where there is none.

use std::sync::Arc;

use cache::{Application as Judge, Credential, Fit, Opening};
use session::{Addresses, Authentication, Change, Entries, Patch, Principal, Session};
use storage::Unavailable;

use super::{Effect, Updater};

impl Updater<'_> {
    pub(super) async fn open(
        &self,
        login: Option<(Principal, Authentication)>,
        entries: Patch,
        judge: &Judge,
    ) -> Result<Effect, Unavailable> {
        let (principal, authentication) = login.unzip();
        let is_nobodys = principal.is_none();
        let addresses = self.visit.address.map(Addresses::of).unwrap_or_default();
        let mut opening = Opening { principal, authentication, entries, addresses };
        let mut opened = self.opened(&opening, judge).await?;
        if opened.is_none() {
            self.unfit();
            if is_nobodys {
                return Ok(Effect::None);
            }
            opening.entries = Patch::new(opening.entries.seen);
            opened = self.opened(&opening, judge).await?;
        }
        let Some((credential, session)) = opened else {
            self.unfit();
            return Ok(Effect::None);
        };
        self.counters.update("opened");
        let is_missing = |(name, change): (&str, &Change)| {
            matches!(change, Change::Set(_)) && session.entries.get(name).is_none()
        };
        self.no_room(opening.entries.changes().filter(|change| is_missing(*change)).count());
        Ok(Effect::Set(credential))
    }

    /// A new session, unless it would not fit.
    async fn opened(
        &self,
        opening: &Opening,
        judge: &Judge,
    ) -> Result<Option<(Credential, Arc<Session>)>, Unavailable> {
        let user = opening.principal.as_ref().map(|principal| &*principal.name);
        if !self.sessions.would_fit(&Entries::default(), &opening.entries, user) {
            return Ok(None);
        }
        if self.sessions.carrier.is_sealed() {
            let carried = self.cache.open_carried(opening, judge).await?;
            match self.sessions.fit(&carried.session) {
                Fit::Fits => {
                    let session = Arc::clone(&carried.session);
                    return Ok(Some((Credential::Carried(carried), session)));
                }
                Fit::Moves => {}
                Fit::Unfit => return Ok(None),
            }
        }
        let opened = self.cache.open(opening.clone(), judge).await?;
        Ok(Some((Credential::Ticket(opened.ticket), opened.session)))
    }
}
