//! A session that became too large for its visitor to carry moves to the server.
//!
//! The head record says so first, with all that the session is then, so that of several who would move it one does, and
//! whoever meets such a head brings the move to its end. Only then is anybody given the ticket.

use bytes::Bytes;
use session::{Carried, Ending, Previous, Secret, Session, Ticket, Why};
use storage::{Create, NewRecord, NewValue, Read, Unavailable, Update, Version, WriteId};

use crate::Cache;
use crate::application::Application;
use crate::heads::Head;
use crate::renew::SUCCESSOR;

/// How often a record that an earlier attempt left is overwritten against others who do the same.
const MAX_ROUNDS: usize = 16;

impl Cache {
    /// The session as it will be on the server, and the ticket for it. The secret in the cookie becomes the one before,
    /// so that requests which are under way with the cookie are told the ticket for a while.
    pub(super) fn moving(
        &self,
        carried: &Carried,
        session: Session,
    ) -> Result<(Session, Ticket), Unavailable> {
        let secret = Secret::random().map_err(|error| self.unavailable(error))?;
        let successor = seal::seal_under(carried.secret.expose(), SUCCESSOR, secret.expose())
            .map_err(|error| self.unavailable(error))?
            .into();
        let until = self.clock.now().plus(self.settings.renew_window);
        let previous = Some(Previous { secret: carried.secret.hash(), until, successor });
        let moving = Session { secret: secret.hash(), previous, ..session };
        let ticket = Ticket { handle: moving.handle, secret };
        Ok((moving, ticket))
    }

    /// Brings a move to its end: the record, the note that older cookies are worthless, the end of the head. Each step
    /// may have been done by somebody else already.
    pub(super) async fn finish_move(
        &self,
        moving: &Session,
        head: Version,
        application: &Application,
    ) -> Result<(), Unavailable> {
        let entered = self.clock.now();
        let expires = application.realm.record_expires(moving.begun, entered);
        self.enter_all(moving, &application.realm, expires).await?;
        self.put_on_server(moving, head, application).await?;
        self.confirm_entry(moving, &application.realm, entered).await;
        let now = self.clock.now();
        let ending = Ending::new(now, Why::Moved, "its size");
        let until = application.realm.buried_until(moving.begun, now);
        self.revoke(&moving.handle, &ending, until).await?;
        self.heads.bury(&moving.handle, ending, self.closed_until(), Some(head)).await?;
        Ok(())
    }

    async fn put_on_server(
        &self,
        moving: &Session,
        head: Version,
        application: &Application,
    ) -> Result<(), Unavailable> {
        let key = self.key(&moving.handle)?;
        let value = Bytes::from(session::record::encode(moving));
        let times = Self::times(&application.realm, moving, self.clock.now());
        for _ in 0..MAX_ROUNDS {
            let write = WriteId::random().map_err(|error| self.unavailable(error))?;
            let create = self.storage.create(&key, NewRecord::new(value.clone(), times, write));
            match self.tier.attempt(&moving.handle, create).await? {
                Create::Created(_) => return Ok(()),
                // It has lived there since, and was ended.
                Create::Buried(_) => return Ok(()),
                Create::Exists => {}
            }
            let Read::Found(record) = self.storage.read(&key, None).await? else { continue };
            let there = session::record::decode(&record.value).map_err(|error| self.unavailable(error))?;
            if there.secret == moving.secret {
                return Ok(());
            }
            // Another one: what a crash left of an earlier attempt, as long as this head stands; else it has been
            // renewed since somebody else brought the move to its end.
            match self.heads.ask(&moving.handle).await? {
                Head::Found(_, version, _) if version == head => {}
                _ => return Ok(()),
            }
            let new = NewValue {
                expected: record.version,
                value: value.clone(),
                times: Some(times),
                write,
                is_end: false,
            };
            if let Update::Updated(_) =
                self.tier.attempt(&moving.handle, self.storage.update(&key, new)).await?
            {
                return Ok(());
            }
        }
        Err(self
            .unavailable(format!("{MAX_ROUNDS} other requests moved this session to the server meanwhile")))
    }
}
