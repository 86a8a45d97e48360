//! Opening a session that its visitor carries.

use std::sync::Arc;

use session::{Carried, Handle, OnConflict, Secret, SecretHash, Session};
use storage::Unavailable;

use super::carry;
use crate::Cache;
use crate::application::Application;
use crate::open::Opening;

impl Cache {
    /// Makes a session for its visitor to carry. Storage learns nothing of it, and is only asked about whom it belongs
    /// to.
    pub async fn open_carried(
        &self,
        opening: &Opening,
        application: &Application,
    ) -> Result<Arc<Carried>, Unavailable> {
        let now = self.clock.now();
        let handle = Handle::random().map_err(|error| self.unavailable(error))?;
        let secret = Secret::random().map_err(|error| self.unavailable(error))?;
        let mut session = Session::new(handle, SecretHash::NOBODYS, &application.realm.id, now);
        session.epoch = self.epoch_of(opening.principal.as_ref()).await?;
        session.apply(&opening.entries, OnConflict::Overwrite);
        session.principal.clone_from(&opening.principal);
        session.authentication.clone_from(&opening.authentication);
        session.addresses = opening.addresses;
        self.counters.opened.inc();
        Ok(Arc::new(carry(Arc::new(session), secret, now, &application.realm)))
    }
}
