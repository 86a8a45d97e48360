//! Opening a session that its visitor carries.

use std::sync::Arc;

use session::{Carried, Handle, OnConflict, Secret, SecretHash, Session};
use storage::Unavailable;

use super::carry;
use crate::Cache;
use crate::admit::{Admission, LoggedOut};
use crate::application::Application;
use crate::open::Opening;

/// What became of an opening.
#[derive(Debug)]
pub enum OpenCarried {
    /// There is a session to carry.
    Opened(Arc<Carried>),
    /// There is none: a logout came before it.
    LoggedOut(LoggedOut),
}

impl Cache {
    /// Makes a session for its visitor to carry. Storage learns nothing of it, and is only asked about whom it belongs
    /// to.
    pub async fn open_carried(
        &self,
        opening: &Opening,
        application: &Application,
    ) -> Result<OpenCarried, Unavailable> {
        let now = self.clock.now();
        let handle = Handle::random().map_err(|error| self.unavailable(error))?;
        let secret = Secret::random().map_err(|error| self.unavailable(error))?;
        let mut session = Session::new(handle, SecretHash::NOBODYS, &application.realm.id, now);
        let owner = opening.principal.clone().map(|principal| self.as_known(principal));
        let (realm, authentication) = (&application.realm, opening.authentication.as_ref());
        session.epochs = match self.admit_unlisted(owner.as_ref(), authentication, realm).await? {
            Admission::Admitted(epochs) => epochs,
            Admission::LoggedOut(logged_out) => return Ok(OpenCarried::LoggedOut(logged_out)),
        };
        session.apply(&opening.entries, OnConflict::Overwrite);
        session.principal = owner;
        session.authentication.clone_from(&opening.authentication);
        session.addresses = opening.addresses;
        self.counters.opened.inc();
        Ok(OpenCarried::Opened(Arc::new(carry(Arc::new(session), secret, now, realm))))
    }
}
