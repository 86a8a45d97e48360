//! Opening a session.

use std::sync::Arc;

use bytes::Bytes;
use session::{
    Addresses, Authentication, Ending, Millis, OnConflict, Patch, Principal, Revision, Session, Ticket,
};
use storage::{Create, NewRecord, Unavailable, WriteId};

use crate::Cache;
use crate::admit::{Admission, LoggedOut};
use crate::application::Application;
use crate::assertions::Assertions;
use crate::held::{Held, Seen};

/// What a new session begins with.
#[derive(Debug, Clone)]
pub struct Opening {
    /// Who it belongs to.
    pub principal: Option<Principal>,
    /// How they proved it.
    pub authentication: Option<Authentication>,
    /// Its first entries.
    pub entries: Patch,
    /// Where it is used from, as [`Addresses::of`]; or where its person is for whom somebody else opens it, as
    /// [`Addresses::awaiting`]: an application with `check_address` wants it used from there first.
    pub addresses: Addresses,
    /// What it was proved by, to be kept beside a session on the server; see [`Cache::assertions`].
    pub assertions: Assertions,
}

/// A session of nobody, with nothing in it.
impl Default for Opening {
    fn default() -> Self {
        Self {
            principal: None,
            authentication: None,
            entries: Patch::new(Revision::default()),
            addresses: Addresses::default(),
            assertions: Assertions::default(),
        }
    }
}

/// What became of an opening.
#[derive(Debug)]
pub enum Open {
    /// There is a session.
    Opened(Opened),
    /// There is none: a logout came before it.
    LoggedOut(LoggedOut),
}

impl Open {
    /// The session, where nobody was logged out.
    #[must_use]
    pub fn opened(self) -> Option<Opened> {
        match self {
            Self::Opened(opened) => Some(opened),
            Self::LoggedOut(_) => None,
        }
    }
}

/// A session that was opened.
#[derive(Debug)]
pub struct Opened {
    /// The session.
    pub session: Arc<Session>,
    /// What the visitor gets.
    pub ticket: Ticket,
}

impl Cache {
    /// Opens a session. When this returns it is as durable as storage is.
    pub async fn open(&self, opening: Opening, application: &Application) -> Result<Open, Unavailable> {
        // A second round is for the day on which two of 2^128 random handles are equal.
        for _ in 0..2 {
            let ticket = Ticket::random().map_err(|error| self.unavailable(error))?;
            match self.begin(&ticket, self.clock.now(), &opening, application).await? {
                Begin::Begun(session) => return Ok(Open::Opened(Opened { session, ticket })),
                Begin::LoggedOut(logged_out) => return Ok(Open::LoggedOut(logged_out)),
                Begin::Taken | Begin::Buried(_) => {}
            }
        }
        Err(self.unavailable("two new random handles were both taken: the random generator is broken"))
    }

    /// Writes a session that there was none of, as one that began at `begun`.
    pub(crate) async fn begin(
        &self,
        ticket: &Ticket,
        begun: Millis,
        opening: &Opening,
        application: &Application,
    ) -> Result<Begin, Unavailable> {
        let (now, realm) = (self.clock.now(), &application.realm);
        let principal = opening.principal.clone().map(|principal| self.as_known(principal));
        let authentication = opening.authentication.as_ref();
        let mut session = Session::new(ticket.handle, ticket.secret.hash(), &realm.id, begun);
        session.epochs =
            match self.admit(principal.as_ref(), authentication, &ticket.handle, realm, begun).await? {
                Admission::Admitted(epochs) => epochs,
                Admission::LoggedOut(logged_out) => return Ok(Begin::LoggedOut(logged_out)),
            };
        session.apply(&opening.entries, OnConflict::Overwrite);
        session.principal = principal;
        session.authentication.clone_from(&opening.authentication);
        session.addresses = opening.addresses;
        session.assertions = opening.assertions.ids();
        session.is_recoverable = self.recoverable.is_realm(&realm.id);
        let value = Bytes::from(session::record::encode(&session));
        let write = WriteId::random().map_err(|error| self.unavailable(error))?;
        let times = Self::times(realm, &session, now);
        let noted = self.keep_assertions(&opening.assertions, &session, realm, times).await?;
        self.enter_values(&session, None, realm, times.expires).await?;
        let registration = self.tier.register(ticket.handle);
        let key = self.key(&ticket.handle)?;
        let create = self.storage.create(&key, NewRecord::new(value, times, write));
        let version = match self.tier.attempt(&ticket.handle, create).await? {
            Create::Created(version) => version,
            Create::Exists => return Ok(Begin::Taken),
            Create::Buried(tombstone) => return Ok(Begin::Buried(tombstone.ending)),
        };
        self.confirm_entry(&session, realm, now).await;
        let seen = Seen::at(now);
        noted.stay();
        seen.enter(times.expires);
        let held = Held::new(session, version, Arc::new(seen));
        let mut held = self.tier.fitted(held, realm);
        held.is_exact = self.is_alone();
        let (held, _) = registration.keep(held);
        self.counters.opened.inc();
        Ok(Begin::Begun(Arc::clone(&held.session)))
    }
}

/// What became of a session that was to begin.
pub(crate) enum Begin {
    Begun(Arc<Session>),
    /// A logout came before it.
    LoggedOut(LoggedOut),
    /// There is one with this handle.
    Taken,
    /// There was one, and it ended so.
    Buried(Ending),
}
