//! The gateway's own pages: logging in and out.

use std::sync::Arc;

use bytes::Bytes;
use cache::Found;
use http::header::{CACHE_CONTROL, LOCATION};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use session::{Patch, Revision};
use storage::Unavailable;

use crate::application::{Application, Sessions};
use crate::body::{Inbound, Outbound};
use crate::exchange::{Change, Passing};
use crate::login::{Leaving, Login, MAX_FORM, OwnPage, Refusal, Submission};
use crate::pages::Fault;
use crate::refusal::Asked;
use crate::service::Service;
use crate::update::{Authority, Effect, Updater};
use crate::visit::{Comer, Visit};

/// What somebody is told whose login storage did not take.
const NOT_LOGGED_IN: &str = "You are not logged in: the session could not be saved for certain.";

/// What somebody is told whose other sessions could not be ended. Their own is still there, so that they can try again.
const NOT_LOGGED_OUT_EVERYWHERE: &str =
    "You are not logged out: what keeps the sessions did not confirm that all of yours are over. Try again.";

impl Service {
    pub(crate) async fn own_page(
        self: &Arc<Self>,
        passing: Passing,
        application: &Arc<Application>,
        sessions: &Sessions,
        login: &Login,
        page: OwnPage,
    ) -> Response<Outbound> {
        let Passing { parts, body, client, shown, .. } = passing;
        let comer = Comer { headers: &parts.headers, shown: &shown, address: client.address };
        let visit = match Visit::of(comer, application, sessions, self).await {
            Ok(visit) => visit,
            Err(error) => return self.unavailable(&parts.headers, &error, None),
        };
        if visit.is_elsewhere && page == OwnPage::Logout {
            // From here nobody logs them out. To log in is to begin another session.
            return self.elsewhere(&parts.headers, sessions);
        }
        let now = self.cache.now();
        let name = visit.principal().map(|principal| &*principal.name);
        if matches!(parts.method, Method::GET | Method::HEAD) {
            return match page {
                OwnPage::Login => login.login_page(&parts, name, now),
                OwnPage::Logout => {
                    // Whoever comes with several sessions has something to end as well.
                    let name = visit.all().find_map(|found| found.session.principal.as_ref());
                    login.logout_page(&parts, name.map(|principal| &*principal.name), now)
                }
            }
            .map(Outbound::from);
        }
        if visit.is_crowded {
            // Nobody could be found among so many afterwards, nor be logged out for certain now.
            return self.error(&parts.headers, &Fault::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        }
        let form = match self.form(&parts, body).await {
            Ok(form) => form,
            Err(fault) => return self.error(&parts.headers, &fault),
        };
        match page {
            OwnPage::Login => match login.submit(&parts, client.address, &form, now).await {
                Submission::Refused(response) => {
                    let reason =
                        response.extensions().get::<Refusal>().map_or("refused", |refusal| refusal.name());
                    self.counters.login(reason);
                    response.map(Outbound::from)
                }
                Submission::Accepted { user, return_to } => {
                    let leaving = Visit::leaving(comer, application, sessions, self).await;
                    let over_here = match leaving {
                        Ok(leaving) => leaving.beyond(&visit),
                        Err(error) => return self.unavailable(&parts.headers, &error, Some(NOT_LOGGED_IN)),
                    };
                    let logged_in = self.log_in(application, visit, over_here, user).await;
                    let to_proxy =
                        Asked::of(&parts.headers).through(application, sessions, &client).takes_ticket;
                    self.logged_in(&parts, sessions, logged_in, &return_to, to_proxy).await
                }
            },
            OwnPage::Logout => match login.check_logout(&parts, &form, now).await {
                Err(response) => {
                    self.counters.login("logout_refused");
                    response.map(Outbound::from)
                }
                Ok(leaving) => match Visit::leaving(comer, application, sessions, self).await {
                    Ok(visit) if visit.is_elsewhere => self.elsewhere(&parts.headers, sessions),
                    Ok(visit) => {
                        let updater = Updater::new(self, application, sessions, &visit);
                        if leaving == Leaving::Everywhere
                            && let Err(error) = updater.log_out_everywhere("the visitor").await
                        {
                            self.counters.login("logout_everywhere_failed");
                            return self.unavailable(&parts.headers, &error, Some(NOT_LOGGED_OUT_EVERYWHERE));
                        }
                        self.log_out(&parts, updater, sessions, login).await
                    }
                    Err(error) => self.unavailable(&parts.headers, &error, None),
                },
            },
        }
    }

    /// Logs in whoever was right about the password, in a task of its own: the old ticket is worthless once it is done,
    /// so it is not given up half way.
    async fn log_in(
        self: &Arc<Self>,
        application: &Arc<Application>,
        visit: Visit,
        over_here: Vec<Found>,
        user: Box<str>,
    ) -> Result<Effect, Unavailable> {
        let (service, application) = (Arc::clone(self), Arc::clone(application));
        self.undisturbed(async move {
            let Some(sessions) = &application.sessions else { return Ok(Effect::None) };
            let updater = Updater::new(&service, &application, sessions, &visit);
            // The new ticket takes the place of theirs: nobody could log out of them any more.
            updater.replace(&over_here).await?;
            let seen =
                visit.session.as_ref().map_or(Revision::default(), |(found, _)| found.session.revision);
            updater.log_in(&user, Authority::Password, Patch::new(seen)).await
        })
        .await
    }

    async fn logged_in(
        &self,
        parts: &Parts,
        sessions: &Sessions,
        outcome: Result<Effect, Unavailable>,
        return_to: &str,
        to_proxy: bool,
    ) -> Response<Outbound> {
        match outcome {
            Ok(Effect::Set(credential)) => {
                self.counters.login("logged_in");
                let mut response = see_other(return_to);
                if let Some(latest) = self.latest(&credential, sessions).await.unwrap_or(Some(credential))
                    && let Some(issued) = sessions.issue(&latest, to_proxy)
                {
                    Change::Set(issued).apply(sessions, response.headers_mut());
                }
                response
            }
            Ok(Effect::None | Effect::Delete | Effect::Emptied) => {
                self.counters.login("no_room");
                let detail = "You are not logged in: your session has no room for it.";
                let fault = Fault::new(StatusCode::INTERNAL_SERVER_ERROR).detail(detail).session_at_risk();
                self.error(&parts.headers, &fault)
            }
            Err(error) => {
                self.counters.login("unavailable");
                self.unavailable(&parts.headers, &error, Some(NOT_LOGGED_IN))
            }
        }
    }

    async fn log_out(
        &self,
        parts: &Parts,
        updater: Updater<'_>,
        sessions: &Sessions,
        login: &Login,
    ) -> Response<Outbound> {
        match updater.log_out("the visitor").await {
            Ok(_) => {
                self.counters.login("logged_out");
                let mut response = login.logged_out().map(Outbound::from);
                Change::Delete.apply(sessions, response.headers_mut());
                response
            }
            Err(error) => {
                // The cookie stays: nobody can say yet whether it is dead (law 3).
                self.counters.login("logout_waits");
                let detail = "You are not logged out for certain yet: what keeps the sessions did not confirm it. \
                              This server refuses your session from now on, and goes on trying.";
                self.unavailable(&parts.headers, &error, Some(detail))
            }
        }
    }

    async fn form(&self, parts: &Parts, body: Inbound) -> Result<Bytes, Fault<'static>> {
        let collected = Limited::new(body, MAX_FORM).collect().await;
        collected.map(http_body_util::Collected::to_bytes).map_err(|error| {
            let status = if error.is::<LengthLimitError>() {
                StatusCode::PAYLOAD_TOO_LARGE
            } else {
                StatusCode::REQUEST_TIMEOUT
            };
            tracing::debug!(%error, path = parts.uri.path(), "a form did not arrive");
            Fault::new(status)
        })
    }
}

fn see_other(location: &str) -> Response<Outbound> {
    let mut response = Response::new(Outbound::from(Bytes::new()));
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(LOCATION, HeaderValue::from_str(location).unwrap_or(HeaderValue::from_static("/")));
    response
}
