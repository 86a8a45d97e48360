//! A new ticket as time goes by, and what happens when an old one turns up.
//!
//! A ticket that is older than `renew_interval` is renewed with the answer to a request that a visitor made and that can
//! bring a cookie to them. What the cache promises makes it safe to do so at any request: whoever does not get the answer
//! comes with the old ticket, is served, and is told the new one.

use cache::Credential;
use http::request::Parts;
use http::{Response, StatusCode};
use session::Ticket;

use crate::application::{Application, Issued, Sessions};
use crate::body::Outbound;
use crate::exchange::Change;
use crate::pages::Fault;
use crate::refusal::Asked;
use crate::service::Service;
use crate::visit::Visit;

/// What a visitor is told whose session was ended because an old ticket of it was used.
const STOLEN: &str = "Your session was ended, because an older key to it was used from somewhere: somebody may have copied \
                      it. If you were logged in, log in again. To go on, load this page once more.";

impl Service {
    /// The ticket of a visit, if it is due to be renewed with this answer.
    pub(crate) fn due_ticket<'v>(
        &self,
        visit: &'v Visit,
        status: StatusCode,
        sessions: &Sessions,
    ) -> Option<&'v Ticket> {
        let (found, ticket) = visit.ticket()?;
        // Whoever changes protocols is done with cookies for a while.
        let takes_cookies = status != StatusCode::SWITCHING_PROTOCOLS;
        let is_due = || self.cache.is_renewal_due(&found.session, &sessions.judge);
        (takes_cookies && found.successor.is_none() && is_due()).then_some(ticket)
    }

    /// The cookie with the ticket that follows this one.
    pub(crate) async fn renewed(
        &self,
        ticket: &Ticket,
        sessions: &Sessions,
        asked: &Asked,
    ) -> Option<Issued> {
        match self.cache.renew_by_age(ticket, &sessions.judge).await {
            Ok(Some(next)) => self.refreshed(&Credential::Ticket(next), sessions, asked).await,
            Ok(None) => None,
            Err(error) => {
                // The one that they have is as good as it was.
                tracing::debug!(%error, "a ticket could not be renewed; the next request will try again");
                None
            }
        }
    }

    /// The answer to who comes with a ticket of a session that was ended for an old one: it may be the visitor, who should
    /// know.
    pub(crate) fn tell_of_theft(
        &self,
        parts: &Parts,
        application: &Application,
        sessions: &Sessions,
    ) -> Response<Outbound> {
        self.counters.refuse("stolen_ticket");
        tracing::info!(application = %application.id, "somebody was told that their session was ended for an old ticket");
        let mut response = self.error(&parts.headers, &Fault::new(StatusCode::FORBIDDEN).detail(STOLEN));
        Change::Delete.apply(sessions, response.headers_mut());
        response
    }
}
