//! Keeping the recovery cookie of a visitor up to date, with the answers to their requests.

use std::sync::Arc;

use cache::{Credential, Find, Purpose};
use http::HeaderMap;
use session::{Recovery, Session, Ticket};

use super::Recovering;
use crate::application::{Application, Sessions};
use crate::service::Service;
use crate::visit::Visit;

/// What is known of the cookie until the answer goes out.
#[derive(Debug)]
pub(crate) struct Keeping {
    /// By which the visitor has the session.
    ticket: Ticket,
    /// What they hold beside it.
    held: Option<Recovery>,
    /// The session, unless it may be another one by now.
    session: Option<Arc<Session>>,
    /// Whether the request counts as a use of it.
    is_use: bool,
}

impl Keeping {
    /// For who came so. None where there is nothing to keep.
    pub(crate) fn of(visit: &Visit, sessions: &Sessions, is_use: bool) -> Option<Box<Self>> {
        sessions.recovery.as_ref().filter(|_| !visit.is_shown)?;
        let (found, ticket) = visit.ticket()?;
        let session = Some(Arc::clone(&found.session));
        Some(Box::new(Self { ticket: ticket.clone(), held: visit.recovery.clone(), session, is_use }))
    }

    /// The session may be another one by now.
    pub(crate) fn doubt(keeping: &mut Option<Box<Self>>) {
        if let Some(keeping) = keeping {
            keeping.session = None;
        }
    }

    /// The visitor holds this from now on.
    pub(crate) fn hold(keeping: Option<Box<Self>>, credential: &Credential) -> Option<Box<Self>> {
        let Credential::Ticket(ticket) = credential else { return None };
        let held = keeping.and_then(|keeping| keeping.held);
        Some(Box::new(Self { ticket: ticket.clone(), held, session: None, is_use: true }))
    }
}

impl Service {
    /// Adds to an answer what becomes of the recovery cookie. Most answers leave it as it is.
    pub(crate) async fn keep_recoverable(
        &self,
        keeping: Option<Box<Keeping>>,
        application: &Application,
        sessions: &Sessions,
        headers: &mut HeaderMap,
    ) {
        let (Some(cookie), Some(keeping)) = (&sessions.recovery, keeping) else { return };
        let Keeping { ticket, held, session, is_use } = *keeping;
        let (judge, used) = (&sessions.judge, is_use.then(|| self.cache.now()));
        let is_current = |session: &Session| cookie.is_current(held.as_ref(), session, used, judge);
        if session.as_deref().is_some_and(is_current) {
            return;
        }
        // It may have ended meanwhile: then nothing that brings it back goes out. Or the ticket was renewed: what goes out
        // then is for the one that followed it.
        let Ok(Find::Found(found)) = self.cache.find_for(Purpose::LOOK, &ticket, judge).await else { return };
        if is_current(&found.session) {
            return;
        }
        let recovering = match cookie.of(&found.session, (held.as_ref(), used), &self.cache, judge) {
            Recovering::TooLarge => {
                if session.is_none() || held.is_some() {
                    self.counters.update("recovery_too_large");
                    tracing::warn!(
                        application = %application.id,
                        "what is to come back of a session does not fit into a cookie of 4096 bytes: if storage loses this session it \
                         is lost; let `recovery` name fewer entries, or smaller ones"
                    );
                }
                // What the one before would bring back is out of date.
                if held.is_some() { Recovering::Goes } else { Recovering::Stays }
            }
            other => other,
        };
        cookie.apply(recovering, headers);
    }
}
