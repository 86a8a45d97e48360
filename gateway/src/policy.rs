//! Who must be there before an application sees a request, and what everybody else is told.

use http::header::WWW_AUTHENTICATE;
use http::request::Parts;
use http::{HeaderMap, Response, StatusCode};

use crate::application::{Application, Sessions};
use crate::body::Outbound;
use crate::exchange::Change;
use crate::login::SCHEME;
use crate::pages::Fault;
use crate::refusal::Asked;
use crate::rules::{Demand, Unmet};
use crate::service::Service;
use crate::visit::Visit;

impl Service {
    /// The answer to a visitor who is not whom a rule demands; none lets them in.
    pub(crate) fn turned_away(
        &self,
        demand: &Demand,
        parts: &Parts,
        application: &Application,
        sessions: &Sessions,
        visit: &Visit,
    ) -> Option<Response<Outbound>> {
        let session = visit.session.as_ref().map(|(found, _)| &found.session);
        let there = session.map(|session| (session.principal.as_ref(), &session.entries));
        let unmet = demand.meets(there).err()?;
        let mut response = match (unmet, &sessions.login) {
            (Unmet::SomebodyElse, _) => return Some(self.not_for_them(parts, application)),
            (Unmet::NobodyLoggedIn | Unmet::NoSession, Some(login)) => {
                let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
                login.challenge(parts, target, visit.ended()).map(Outbound::from)
            }
            (Unmet::NobodyLoggedIn, None) => {
                self.nobody_there(parts, StatusCode::UNAUTHORIZED, "Log in first.")
            }
            (Unmet::NoSession, None) => {
                let detail = "This page is for visitors who come from another page of this application.";
                self.nobody_there(parts, StatusCode::FORBIDDEN, detail)
            }
        };
        if visit.is_over && Asked::of(&parts.headers).may_delete() {
            Change::Delete.apply(sessions, response.headers_mut());
        }
        Some(response)
    }

    /// Their session is tied to another address. It goes on there, and so does the cookie: who has stolen a ticket must not
    /// log its owner out, and who has only moved may come back.
    pub(crate) fn elsewhere(&self, request: &HeaderMap, sessions: &Sessions) -> Response<Outbound> {
        self.counters.refuse("other_address");
        let detail = if sessions.login.is_some() {
            "Your session is used from another network address, and can be used from there only. It has not ended: go back \
             to the network in which you began, or log in again to begin another session here."
        } else {
            "Your session is used from another network address, and can be used from there only. It has not ended: go back \
             to the network in which you began."
        };
        let fault = Fault::new(StatusCode::FORBIDDEN).detail(detail).code("other_address");
        self.error(request, &fault)
    }

    /// Somebody is there, and another one is demanded: to log in again would not help them.
    fn not_for_them(&self, parts: &Parts, application: &Application) -> Response<Outbound> {
        self.counters.refuse("not_allowed");
        tracing::debug!(application = %application.id, "a rule demands somebody else than who is there");
        let fault = Fault::new(StatusCode::FORBIDDEN).detail("This page is not for you.");
        self.error(&parts.headers, &fault)
    }

    /// Nobody is there, and there is no login of ours to send them to.
    fn nobody_there(&self, parts: &Parts, status: StatusCode, detail: &str) -> Response<Outbound> {
        self.counters.refuse("nobody_there");
        let mut response = self.error(&parts.headers, &Fault::new(status).detail(detail));
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, SCHEME);
        }
        response
    }
}
