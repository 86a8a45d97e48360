//! One request through the gateway, step by step.
//!
//! route -> strip what we present -> find the session -> policy -> present -> application -> update -> Set-Cookie ->
//! cache headers. Whatever goes wrong on the way has an answer here; the session is touched by none of them.

use std::net::IpAddr;
use std::sync::Arc;

use cache::{Credential, Find, Found, Purpose};
use http::header::{CONNECTION, HOST, TE, TRAILER};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version};
use hyper::upgrade::OnUpgrade;
use session::Handle;
use storage::Unavailable;
use tracing::Instrument as _;

use crate::application::{Application, Issued, Sessions};
use crate::awaited::Awaited;
use crate::body::{Inbound, Outbound};
use crate::caching::{self, Audience};
use crate::carrier;
use crate::forwarded::Client;
use crate::handoff::{self, Presentation};
use crate::hygiene;
use crate::link::Link;
use crate::pages::Fault;
use crate::recovery::Keeping;
use crate::refusal::{Asked, Refusal};
use crate::router;
use crate::service::Service;
use crate::settings::AuthenticationHeaders;
use crate::ticket_header::Shown;
use crate::traces::Followed;
use crate::trailers;
use crate::update::{Effect, Updater};
use crate::upstream::{Answer, Download};
use crate::visit::{Comer, Visit};

/// Has browsers drop something that they keep for a site.
const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// Pages that a browser fetched or rendered before anybody went there, for which it need not ask again. Browsers that
/// have no such thing pass over it.
const FETCHED_AHEAD: HeaderValue = HeaderValue::from_static("\"prefetchCache\", \"prerenderCache\"");
type Course<'c> = router::Course<'c, 'c, Application>;

/// A request that was answered.
pub(crate) struct Exchange {
    pub(crate) response: Response<Outbound>,
    /// Who it was for, if anybody.
    pub(crate) application: Option<Arc<Application>>,
    /// The session that it came with.
    pub(crate) handle: Option<Handle>,
    /// Where it came from, if trusted proxies say so.
    pub(crate) client: Option<IpAddr>,
}

/// A request on its way to an application. It is handed on in a box, from step to step.
pub(crate) struct Passing {
    pub(crate) parts: Parts,
    pub(crate) body: Inbound,
    pub(crate) client: Client,
    /// What it has in the place of a cookie.
    pub(crate) shown: Shown,
    /// The protocol that the client wants to change to.
    upgrade: Option<(HeaderValue, OnUpgrade)>,
}

/// What an answer does to the visitor's cookie.
pub(crate) enum Change {
    /// It holds another session, or the same one for somebody who has just logged in.
    Set(Issued),
    /// It holds what it held, as that is now.
    Refresh(Issued),
    Delete,
}

impl Change {
    /// Also has the browser drop what it fetched ahead: that was made for who the visitor was until now.
    pub(crate) fn apply(self, sessions: &Sessions, headers: &mut HeaderMap) {
        match self {
            Self::Set(issued) => issued.apply(headers),
            Self::Refresh(issued) => return issued.apply(headers),
            Self::Delete => sessions.delete(headers),
        }
        headers.append(CLEAR_SITE_DATA, FETCHED_AHEAD);
    }
}

impl Service {
    /// Answers a request.
    pub(crate) async fn exchange(self: &Arc<Self>, request: Request<Inbound>, link: &Link) -> Exchange {
        let (mut parts, mut body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let unified = hygiene::unify(&mut parts, self.limits.max_headers).map_err(Refusal::Head);
        let course = match unified.and_then(|()| self.router.decide(&parts, &path)) {
            Ok(course) => course,
            Err(refusal) => {
                let response = self.refusal(&parts, &refusal);
                return Exchange { response, application: None, handle: None, client: None };
            }
        };
        let application = course.target;
        body.bound(course.decision.body_timeout, course.decision.max_body_bytes);
        let mut exchange = Exchange {
            response: Response::new(bytes::Bytes::new().into()),
            application: Some(Arc::clone(application)),
            handle: None,
            client: None,
        };
        let client = application.trust.client(&parts.headers, link.peer, link.is_secure);
        exchange.client = Some(client.address);
        let on_upgrade = parts.extensions.remove::<OnUpgrade>();
        let takes_trailers = trailers::are_taken(parts.version, &parts.headers);
        let upgrade = hygiene::strip_request(&mut parts).zip(on_upgrade);
        let shown = Shown::take(application, &mut parts.headers, client.peer);
        let stripped = self.ours.strip_request(&mut parts.headers);
        if stripped > 0 {
            self.counters.stripped.inc_by(stripped as u64);
            tracing::debug!(application = %application.id, client = %client.address, stripped, "headers that pass for ours were removed");
        }
        link.present(&self.secure, &mut parts.headers);
        if let Err(refused) = hygiene::expectation(&mut parts.headers) {
            exchange.response = self.refusal(&parts, &Refusal::Head(refused));
            return exchange;
        }
        if takes_trailers {
            // From here on it is our own word.
            parts.headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        let passing = Box::new(Passing { parts, body, client, shown, upgrade });
        exchange.response = match &application.sessions {
            None => self.pass(passing, &course).await,
            Some(sessions) => self.with_session(passing, &course, sessions, &mut exchange.handle).await,
        };
        exchange
    }

    /// Plain proxying.
    async fn pass(self: &Arc<Self>, passing: Box<Passing>, course: &Course<'_>) -> Response<Outbound> {
        let asked = Asked::of(&passing.parts.headers);
        match self.ask(passing, course) {
            Ok((answer, upgrade)) => match answer.await {
                Ok(answer) => self.returned(answer, upgrade, &asked, course),
                Err(error) => self.failed(&asked, course.target, &error),
            },
            Err(fault) => self.error(&asked.headers(), &fault),
        }
    }

    /// Proxying with a session.
    async fn with_session(
        self: &Arc<Self>,
        mut passing: Box<Passing>,
        course: &Course<'_>,
        sessions: &Sessions,
        handle: &mut Option<Handle>,
    ) -> Response<Outbound> {
        let Course { target: application, decision, .. } = course;
        if let (true, Some(export)) = (decision.is_export, &sessions.export) {
            return Box::pin(self.export(&passing, application, sessions, export)).await;
        }
        if let (Some(login), Some(page)) = (&sessions.login, decision.own_page) {
            return Box::pin(self.own_page(*passing, application, sessions, login, page)).await;
        }
        let is_handed = decision.is_handed;
        let mut visit = if is_handed || decision.demand.is_some() {
            let purpose = if decision.is_activity { Purpose::USE } else { Purpose::POLL };
            match Visit::with(purpose, Comer::of(&passing), application, sessions, self).await {
                Ok(visit) => visit,
                Err(error) => return self.unavailable(&passing.parts.headers, &error, None),
            }
        } else {
            Visit::default()
        };
        if visit.is_elsewhere {
            return self.elsewhere(&passing.parts.headers, sessions);
        }
        if visit.is_stolen && Asked::of(&passing.parts.headers).may_delete() {
            return self.tell_of_theft(&passing.parts, application, sessions);
        }
        *handle = visit.session.as_ref().map(|(found, _)| found.session.handle);
        if let Some(demand) = decision.demand
            && let Some(response) = self.turned_away(demand, &passing.parts, application, sessions, &visit)
        {
            return response;
        }
        if is_handed && let Err(too_large) = present(&mut passing, application, sessions, &mut visit) {
            self.counters.refuse("session_too_large_to_present");
            tracing::error!(application = %application.id, %too_large, "a request was refused");
            let detail = "This application keeps more in your session than can be handed to it.";
            let fault = Fault::new(StatusCode::INTERNAL_SERVER_ERROR).detail(detail);
            return self.error(&passing.parts.headers, &fault);
        }
        let asked = Asked::of(&passing.parts.headers).through(application, sessions, &passing.client);
        let (answer, upgrade) = match self.ask(passing, course) {
            Ok(asked) => asked,
            Err(fault) => return self.error(&asked.headers(), &fault),
        };
        if !is_handed {
            return match answer.await {
                Ok(answer) => {
                    let mut response = self.returned(answer, upgrade, &asked, course);
                    if decision.demand.is_some() {
                        // Who may not have it does not get it; nor do they from somebody's cache.
                        caching::make_safe(response.headers_mut(), Audience::Person);
                        if let Some(outdated) = visit.outdated()
                            && let Some(issued) = Box::pin(self.refreshed(&outdated, sessions, &asked)).await
                        {
                            issued.apply(response.headers_mut());
                        }
                        let keeping = Keeping::of(&visit, sessions, decision.is_activity);
                        self.keep_recoverable(keeping, application, sessions, response.headers_mut()).await;
                    }
                    response
                }
                Err(error) => self.failed(&asked, application, &error),
            };
        }
        let awaited = Awaited::new(answer, Arc::clone(self), Arc::clone(application), visit);
        let (answer, visit) = awaited.wait().await;
        match answer {
            Ok(answer) => self.after(answer, upgrade, &asked, course, sessions, visit).await,
            Err(error) => self.failed(&asked, application, &error),
        }
    }

    /// What an application's answer does to the session, and what that does to the answer.
    async fn after(
        self: &Arc<Self>,
        mut answer: Response<Download>,
        upgrade: Option<OnUpgrade>,
        asked: &Asked,
        course: &Course<'_>,
        sessions: &Sessions,
        visit: Visit,
    ) -> Response<Outbound> {
        let updates = sessions.update.take(answer.headers_mut());
        let has_session = visit.session.is_some();
        let outdated = visit.outdated();
        let is_used = course.decision.is_activity && asked.may_renew();
        let due = is_used.then(|| self.due_ticket(&visit, answer.status(), sessions)).flatten().cloned();
        let mut keeping = Keeping::of(&visit, sessions, course.decision.is_activity);
        if !updates.is_empty() || outdated.is_some() || due.is_some() {
            Keeping::doubt(&mut keeping);
        }
        let before = visit.session.as_ref().map(|(found, _)| found.session.handle);
        let is_same = |latest: &Credential| match latest {
            // The handle of a carried session changes with whom it belongs to; that of a ticket does not.
            Credential::Carried(carried) => Some(carried.session.handle) == before,
            Credential::Ticket(_) => false,
        };
        let is_over = visit.is_over;
        let is_logged_in = visit.principal().is_some();
        let settled = if updates.is_empty() && visit.told == 0 {
            Ok(Effect::None)
        } else {
            Box::pin(self.update(course.target, visit, updates)).await
        };
        let effect = match settled {
            Ok(effect) => effect,
            Err(error) => {
                let detail = "The application has answered, but what it changed in your session could not be \
                              saved. Look before you repeat it.";
                return self.unavailable(&asked.headers(), &error, Some(detail));
            }
        };
        if let Effect::Crowded(crowded) = effect {
            return self.crowded(&asked.headers(), crowded);
        }
        if matches!(effect, Effect::LoggedOut) {
            return self.logged_out_meanwhile(&asked.headers());
        }
        let mut response = self.returned(answer, upgrade, asked, course);
        let change = match effect {
            Effect::Set(credential) => {
                // Storage that cannot say is no reason to keep it from the visitor.
                let latest = Box::pin(self.latest(&credential, sessions)).await.unwrap_or(Some(credential));
                keeping = latest.as_ref().and_then(|latest| Keeping::hold(keeping.take(), latest));
                latest.and_then(|latest| {
                    let issued = sessions.issue(&latest, asked.takes_ticket)?;
                    Some(if is_same(&latest) { Change::Refresh(issued) } else { Change::Set(issued) })
                })
            }
            Effect::Delete | Effect::Emptied => {
                keeping = None;
                let may_delete = matches!(effect, Effect::Delete) || asked.may_delete();
                may_delete.then_some(Change::Delete)
            }
            Effect::None | Effect::Crowded(_) | Effect::LoggedOut => match outdated {
                Some(outdated) => {
                    Box::pin(self.refreshed(&outdated, sessions, asked)).await.map(Change::Refresh)
                }
                None if is_over && asked.may_delete() => Some(Change::Delete),
                None => match due {
                    Some(ticket) => {
                        Box::pin(self.renewed(&ticket, sessions, asked)).await.map(Change::Refresh)
                    }
                    None => None,
                },
            },
        };
        let audience = if is_logged_in {
            Audience::Person
        } else if has_session || change.is_some() {
            Audience::Visitor
        } else {
            Audience::Anybody
        };
        caching::make_safe(response.headers_mut(), audience);
        if let Some(change) = change {
            change.apply(sessions, response.headers_mut());
        }
        if keeping.is_some() {
            let kept = self.keep_recoverable(keeping, course.target, sessions, response.headers_mut());
            Box::pin(kept).await;
        }
        response
    }

    /// What gives a visitor what they should hold instead of what they came with. What they have is good for a while, and
    /// answered so again.
    pub(crate) async fn refreshed(
        &self,
        successor: &Credential,
        sessions: &Sessions,
        asked: &Asked,
    ) -> Option<Issued> {
        let latest = self.latest(successor, sessions).await.unwrap_or_default();
        latest.and_then(|latest| sessions.issue(&latest, asked.takes_ticket))
    }

    /// What to set a cookie to that shall hold this: its session may have ended meanwhile, or be another one by now, and
    /// what is dead would take the place of what the visitor got then (law 1). So would a ticket after which somebody
    /// logged in.
    pub(crate) async fn latest(
        &self,
        credential: &Credential,
        sessions: &Sessions,
    ) -> Result<Option<Credential>, Unavailable> {
        match carrier::find(&self.cache, Purpose::LOOK, credential, &sessions.judge).await? {
            Find::Found(found) if is_worthless(credential, &found) => Ok(None),
            Find::Found(found) => {
                let visit = Visit { session: Some((found, credential.clone())), ..Visit::default() };
                Ok(visit.successor().or_else(|| Some(credential.clone())))
            }
            Find::Absent(_) | Find::Ended(_) => Ok(None),
        }
    }

    /// Applies update headers.
    pub(crate) async fn update(
        self: &Arc<Self>,
        application: &Arc<Application>,
        visit: Visit,
        updates: Vec<HeaderValue>,
    ) -> Result<Effect, Unavailable> {
        let (service, application) = (Arc::clone(self), Arc::clone(application));
        self.undisturbed(async move {
            let Some(sessions) = &application.sessions else { return Ok(Effect::None) };
            let updater = Updater::new(&service, &application, sessions, &visit);
            let settled = updater.settle().await;
            let effect = if updates.is_empty() { Effect::None } else { updater.apply(&updates).await? };
            Ok(if matches!(effect, Effect::None) { settled } else { effect })
        })
        .await
    }

    /// Changes a session in a task of its own: nobody who leaves meanwhile leaves it half done.
    pub(crate) async fn undisturbed<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, Unavailable>> + Send + 'static,
    ) -> Result<T, Unavailable> {
        match self.under_way.spawn(change.in_current_span()).await {
            Ok(changed) => changed,
            Err(error) => Err(Unavailable::unknown(self.cache.storage().id(), error)),
        }
    }

    /// Sends the request on as the application gets it.
    fn ask(
        &self,
        passing: Box<Passing>,
        course: &Course<'_>,
    ) -> Result<(Answer, Option<OnUpgrade>), Fault<'static>> {
        let Course { target: application, path, decision } = course;
        let Passing { mut parts, body, client, upgrade, shown: _ } = *passing;
        decision.change_request(&mut parts.headers);
        application.cookies.hide(&mut parts.headers);
        application.trust.forward(&client, &mut parts.headers);
        if !application.preserve_host {
            // The one of the server that is asked is written then.
            parts.headers.remove(HOST);
        }
        let on_upgrade = upgrade.map(|(protocol, on_upgrade)| {
            hygiene::pass_upgrade(&mut parts.headers, protocol);
            on_upgrade
        });
        if parts.headers.contains_key(TE) {
            parts.headers.append(CONNECTION, HeaderValue::from_static("te"));
        }
        let target = match parts.uri.path_and_query() {
            Some(target) if path.is_unchanged() => target.clone(),
            _ => path.with_query(parts.uri.query()).map_err(|_| Fault::new(StatusCode::BAD_REQUEST))?,
        };
        parts.uri = Uri::from(target);
        parts.version = Version::HTTP_11;
        parts.extensions = Extensions::new();
        if let Some(traces) = &self.traces {
            Followed::begin(traces, &application.id, &mut parts);
        }
        let request = Request::from_parts(parts, body);
        let answer = application.upstream(decision).send(request, decision.response_timeout);
        Ok((answer, on_upgrade))
    }

    /// An application's answer, without what was meant for us and for its connection with us.
    fn returned(
        &self,
        mut answer: Response<Download>,
        upgrade: Option<OnUpgrade>,
        asked: &Asked,
        course: &Course<'_>,
    ) -> Response<Outbound> {
        let application = course.target;
        self.ours.strip_answer(answer.headers_mut());
        let impostors = application.cookies.remove_impostors(answer.headers_mut());
        if impostors > 0 {
            self.counters.update("cookie_of_our_name");
            tracing::warn!(application = %application.id, impostors, "an application set a cookie of our name; it was removed");
        }
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            match upgrade {
                Some(client) => self.open_tunnel(client, &mut answer),
                None => {
                    self.counters.upstream_failed("upgrade_nobody_asked_for");
                    return self.error(&asked.headers(), &Fault::new(StatusCode::BAD_GATEWAY));
                }
            }
        }
        let (mut parts, body) = answer.into_parts();
        let ours = asked.takes_trailers.then(|| self.ours.names());
        let announced = ours.and_then(|ours| trailers::announced(&parts.headers, ours));
        hygiene::strip_response(&mut parts);
        if let Some(announced) = announced {
            parts.headers.insert(TRAILER, announced);
        }
        application.rewriting.apply(&mut parts.headers);
        course.decision.change_response(&mut parts.headers);
        parts.version = Version::HTTP_11;
        parts.extensions = Extensions::new();
        Response::from_parts(parts, Outbound::application(body, ours.cloned()))
    }
}

/// Whether a ticket is good for requests under way only: somebody has logged in since, and it is told nothing.
fn is_worthless(credential: &Credential, found: &Found) -> bool {
    match credential {
        Credential::Ticket(ticket) => {
            found.successor.is_none() && found.session.secret != ticket.secret.hash()
        }
        Credential::Carried(_) => false,
    }
}

/// Hands the session to the application.
fn present(
    passing: &mut Passing,
    application: &Application,
    sessions: &Sessions,
    visit: &mut Visit,
) -> Result<(), handoff::TooLarge> {
    let headers = &mut passing.parts.headers;
    let Some((found, _)) = &visit.session else { return Ok(()) };
    let session = &found.session;
    let fact = sessions.fact(session.principal.as_ref().map(|principal| &*principal.name));
    sessions.presentation.insert(fact.as_slice(), &session.entries, headers)?;
    if let Some(export) = &sessions.export {
        let has_hosts = application.has_hosts();
        export.present(session, &passing.client, has_hosts, &sessions.presentation, headers)?;
    }
    if let Some(authentication) = &session.authentication {
        let AuthenticationHeaders { time, level } = &sessions.authentication;
        if let Some(time) = time {
            headers.insert(time.clone(), HeaderValue::from(authentication.at.0 / 1000));
        }
        if let Some(level) = level {
            headers.insert(level.clone(), handoff::escaped(&authentication.level));
        }
    }
    if !session.conflicts.is_empty() {
        let Presentation { format, max_header_bytes, .. } = &sessions.presentation;
        let names: Vec<Box<str>> = session.conflicts.iter().map(|conflict| conflict.name.clone()).collect();
        let (value, told) = handoff::conflicts(&names, *format, *max_header_bytes);
        visit.told = told;
        headers.insert(sessions.conflict_header.clone(), value);
    }
    Ok(())
}
