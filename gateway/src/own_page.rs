//! The gateway's own pages: logging in and out.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use cache::{Ended, Found, Promise};
use http::header::{CACHE_CONTROL, LOCATION};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use session::{Patch, Revision};
use storage::Unavailable;

use crate::application::{Application, Sessions};
use crate::body::{Inbound, Outbound};
use crate::exchange::{Change, Passing};
use crate::login::{Elsewhere, Leaving, Login, MAX_FORM, OwnPage, Refusal, Submission};
use crate::pages::Fault;
use crate::recovery::Keeping;
use crate::refusal::Asked;
use crate::service::Service;
use crate::update::{Authority, Effect, Proof, Updater};
use crate::visit::{Comer, Visit};

/// What somebody is told whose login storage did not take.
const NOT_LOGGED_IN: &str = "You are not logged in: the session could not be saved for certain.";

/// What somebody is told whose logout storage did not confirm, by what is certain of it.
const fn not_logged_out(leaving: Leaving, promise: Promise) -> &'static str {
    match (leaving, promise) {
        (Leaving::Here, Promise::Kept) => {
            "You are not logged out for certain yet: what keeps the sessions did not confirm it. This server refuses your \
             session from now on, and goes on trying."
        }
        (Leaving::Here, Promise::WhileRunning) => {
            "You are not logged out for certain yet: what keeps the sessions did not confirm it. This server refuses your \
             session from now on, and goes on trying, but it could not write that down: log out once more later."
        }
        (Leaving::Everywhere, Promise::Kept) => {
            "You are not logged out everywhere for certain yet: what keeps the sessions did not confirm it. This server refuses \
             all of yours from now on, and goes on trying."
        }
        (Leaving::Everywhere, Promise::WhileRunning) => {
            "You are not logged out everywhere for certain yet: what keeps the sessions did not confirm it. This server refuses \
             all of yours from now on, and goes on trying, but it could not write that down: log out once more later."
        }
        (Leaving::Here | Leaving::Everywhere, Promise::None) => {
            "You are not logged out: what keeps the sessions did not confirm it, and this server has no room to try again \
             later. Log out once more in a moment."
        }
    }
}

impl Service {
    pub(crate) async fn own_page(
        self: &Arc<Self>,
        passing: Passing,
        application: &Arc<Application>,
        sessions: &Sessions,
        login: &Login,
        page: OwnPage,
    ) -> Response<Outbound> {
        let is_read = matches!(passing.parts.method, Method::GET | Method::HEAD);
        if page == OwnPage::Logout && !is_read {
            return self.leave(passing, application, sessions, login).await;
        }
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
        if is_read {
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
            // Nobody could be found among so many afterwards.
            return self.error(&parts.headers, &Fault::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        }
        let form = match self.form(&parts, body).await {
            Ok(form) => form,
            Err(fault) => return self.error(&parts.headers, &fault),
        };
        match login.submit(&parts, client.address, &form, now).await {
            Submission::Refused(response) => {
                let reason =
                    response.extensions().get::<Refusal>().map_or("refused", |refusal| refusal.name());
                self.counters.login(reason);
                response.map(Outbound::from)
            }
            Submission::Accepted { user, return_to, proved, may_end_oldest } => {
                let proof = Proof { authority: Authority::Password, at: proved, may_end_oldest };
                let leaving = Visit::leaving(comer, application, sessions, self).await;
                let over_here = match leaving {
                    Ok(leaving) => leaving.beyond(&visit),
                    Err(error) => return self.unavailable(&parts.headers, &error, Some(NOT_LOGGED_IN)),
                };
                let logged_in = match self.log_in(application, visit, over_here, user.clone(), proof).await {
                    Ok(Some(Effect::LoggedOut)) => {
                        self.counters.login(Refusal::LoggedOut.name());
                        let now = self.cache.now();
                        let page = login.logged_out_meanwhile(&parts, &user, &return_to, now);
                        return page.map(Outbound::from);
                    }
                    Ok(Some(effect)) => Ok(effect),
                    Ok(None) => {
                        self.counters.login("limit");
                        return self.full(&parts, application, sessions, login, (&user, &return_to)).await;
                    }
                    Err(error) => Err(error),
                };
                let to_proxy = Asked::of(&parts.headers).through(application, sessions, &client).takes_ticket;
                self.logged_in(&parts, application, sessions, logged_in, &return_to, to_proxy).await
            }
        }
    }

    /// A logout, if it was meant. It needs no answer of storage to be remembered.
    async fn leave(
        self: &Arc<Self>,
        passing: Passing,
        application: &Arc<Application>,
        sessions: &Sessions,
        login: &Login,
    ) -> Response<Outbound> {
        let Passing { parts, body, client, shown, .. } = passing;
        let form = match self.form(&parts, body).await {
            Ok(form) => form,
            Err(fault) => return self.error(&parts.headers, &fault),
        };
        let leaving = match login.check_logout(&parts, &form, self.cache.now()).await {
            Ok(leaving) => leaving,
            Err(response) => {
                self.counters.login("logout_refused");
                return response.map(Outbound::from);
            }
        };
        let comer = Comer { headers: &parts.headers, shown: &shown, address: client.address };
        let visit = match Visit::leaving_unseen(comer, application, sessions, self).await {
            Ok(visit) if visit.is_elsewhere => return self.elsewhere(&parts.headers, sessions),
            Ok(visit) => visit,
            Err(error) => return self.unavailable(&parts.headers, &error, None),
        };
        if visit.is_crowded {
            // Nobody could be logged out for certain.
            return self.error(&parts.headers, &Fault::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
        }
        let left = self.log_out(application, visit, client.address, leaving).await;
        match left {
            Ok(_) => {
                self.counters.login("logged_out");
                let mut response = login.logged_out().map(Outbound::from);
                Change::Delete.apply(sessions, response.headers_mut());
                response
            }
            Err(error) => {
                // The cookie stays: nobody can say yet whether it is dead (law 3).
                self.counters.login(match leaving {
                    Leaving::Here => "logout_waits",
                    Leaving::Everywhere => "logout_everywhere_failed",
                });
                let detail = not_logged_out(leaving, Promise::of(&error));
                self.unavailable(&parts.headers, &error, Some(detail))
            }
        }
    }

    /// Logs out in a task of its own: whoever closes the window meanwhile has left.
    async fn log_out(
        self: &Arc<Self>,
        application: &Arc<Application>,
        visit: Visit,
        from: IpAddr,
        leaving: Leaving,
    ) -> Result<Ended, Unavailable> {
        let (service, application) = (Arc::clone(self), Arc::clone(application));
        self.undisturbed(async move {
            let Some(sessions) = &application.sessions else { return Ok(Ended::Before) };
            let updater = Updater::new(&service, &application, sessions, &visit);
            match leaving {
                Leaving::Here => updater.log_out_from("the visitor", from, leaving).await,
                Leaving::Everywhere => updater.log_out_everywhere("the visitor", from).await,
            }
        })
        .await
    }

    /// Logs in whoever was right about the password, in a task of its own: the old ticket is worthless once it is done,
    /// so it is not given up half way.
    async fn log_in(
        self: &Arc<Self>,
        application: &Arc<Application>,
        visit: Visit,
        over_here: Vec<Found>,
        user: Box<str>,
        proof: Proof,
    ) -> Result<Option<Effect>, Unavailable> {
        let (service, application) = (Arc::clone(self), Arc::clone(application));
        self.undisturbed(async move {
            let Some(sessions) = &application.sessions else { return Ok(Some(Effect::None)) };
            let updater = Updater::new(&service, &application, sessions, &visit);
            let seen =
                visit.session.as_ref().map_or(Revision::default(), |(found, _)| found.session.revision);
            updater.log_in(&user, proof, Patch::new(seen), &over_here).await
        })
        .await
    }

    /// The answer to who was right about the password and has as many sessions as they may.
    async fn full(
        &self,
        parts: &Parts,
        application: &Application,
        sessions: &Sessions,
        login: &Login,
        (user, return_to): (&str, &str),
    ) -> Response<Outbound> {
        let (visit, now) = (Visit::default(), self.cache.now());
        let live = Updater::new(self, application, sessions, &visit).sessions_to_choose_from(user).await;
        let response = match live {
            Ok(Some(live)) => {
                let live: Vec<Elsewhere> = live
                    .iter()
                    .map(|session| Elsewhere { since: session.begun, last_seen: session.last_seen })
                    .collect();
                login.offer(parts, user, return_to, &live, now)
            }
            Ok(None) => login.full(parts, user, return_to, now),
            Err(error) => return self.unavailable(&parts.headers, &error, Some(NOT_LOGGED_IN)),
        };
        response.map(Outbound::from)
    }

    async fn logged_in(
        &self,
        parts: &Parts,
        application: &Application,
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
                    let keeping = sessions.recovery.as_ref().and_then(|_| Keeping::hold(None, &latest));
                    self.keep_recoverable(keeping, application, sessions, response.headers_mut()).await;
                }
                response
            }
            Ok(Effect::Crowded(crowded)) => {
                self.counters.login("crowded");
                self.crowded(&parts.headers, crowded)
            }
            Ok(Effect::None | Effect::Delete | Effect::Emptied | Effect::LoggedOut) => {
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
