//! One request through the gateway, step by step.
//!
//! route -> strip what we present -> find the session -> policy -> present -> application -> update -> Set-Cookie ->
//! cache headers. Whatever goes wrong on the way has an answer here; the session is touched by none of them.

use std::net::IpAddr;
use std::sync::Arc;

use cache::Find;
use http::header::{HOST, SET_COOKIE};
use http::request::Parts;
use http::{
    Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use session::{Handle, Ticket};
use storage::Unavailable;

use crate::application::{Application, Sessions};
use crate::awaited::Awaited;
use crate::body::{Inbound, Outbound};
use crate::caching::{self, Audience};
use crate::forwarded::Client;
use crate::handoff::{self, Presentation};
use crate::hygiene::{self, Refused};
use crate::pages::Fault;
use crate::path::NormalPath;
use crate::refusal::{Asked, Refusal};
use crate::service::Service;
use crate::update::{Effect, Updater};
use crate::visit::Visit;

/// Has browsers drop something that they keep for a site.
const CLEAR_SITE_DATA: HeaderName = HeaderName::from_static("clear-site-data");

/// Pages that a browser fetched or rendered before anybody went there, for which it need not ask again. Browsers that
/// have no such thing pass over it.
const FETCHED_AHEAD: HeaderValue = HeaderValue::from_static("\"prefetchCache\", \"prerenderCache\"");

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

/// A request on its way to an application.
pub(crate) struct Passing {
    pub(crate) parts: Parts,
    pub(crate) body: Inbound,
    pub(crate) client: Client,
    /// The protocol that the client wants to change to.
    upgrade: Option<(HeaderValue, OnUpgrade)>,
}

/// What an answer does to the visitor's cookie.
pub(crate) enum Change {
    Set(HeaderValue),
    Delete,
}

impl Change {
    /// Also has the browser drop what it fetched ahead: that was made for who the visitor was until now.
    pub(crate) fn apply(self, sessions: &Sessions, headers: &mut HeaderMap) {
        match self {
            Self::Set(cookie) => {
                headers.append(SET_COOKIE, cookie);
            }
            Self::Delete => sessions.cookie.delete(headers),
        }
        headers.append(CLEAR_SITE_DATA, FETCHED_AHEAD);
    }
}

impl Service {
    /// Answers a request.
    pub(crate) async fn exchange(self: &Arc<Self>, request: Request<Inbound>, peer: IpAddr) -> Exchange {
        let (mut parts, body) = request.into_parts();
        let path = parts.uri.path().to_owned();
        let (application, path) = match self.route(&parts, &path) {
            Ok(routed) => routed,
            Err(fault) => {
                let response = self.refusal(&parts, fault);
                return Exchange { response, application: None, handle: None, client: None };
            }
        };
        let mut exchange = Exchange {
            response: Response::new(bytes::Bytes::new().into()),
            application: Some(Arc::clone(&application)),
            handle: None,
            client: None,
        };
        let client = application.trust.client(&parts.headers, peer, false);
        exchange.client = Some(client.address);
        let on_upgrade = parts.extensions.remove::<OnUpgrade>();
        let upgrade = hygiene::strip_request(&mut parts).zip(on_upgrade);
        let stripped = self.ours.strip_request(&mut parts.headers);
        if stripped > 0 {
            self.counters.stripped.inc_by(stripped as u64);
            tracing::debug!(application = %application.id, client = %client.address, stripped, "headers that pass for ours were removed");
        }
        if let Err(refused) = hygiene::expectation(&mut parts.headers) {
            exchange.response = self.refusal(&parts, Refusal::Head(refused));
            return exchange;
        }
        let passing = Passing { parts, body, client, upgrade };
        exchange.response = match &application.sessions {
            None => self.pass(passing, &application, &path).await,
            Some(sessions) => {
                self.with_session(passing, &application, sessions, &path, &mut exchange.handle).await
            }
        };
        exchange
    }

    /// For which application the request is, and its path as everybody reads it from here on.
    fn route<'p>(&self, parts: &Parts, path: &'p str) -> Result<(Arc<Application>, NormalPath<'p>), Refusal> {
        let host = hygiene::host(parts).map_err(Refusal::Head)?;
        let path = NormalPath::parse(path).map_err(Refusal::Path)?;
        if path.is_asterisk() && parts.method != Method::OPTIONS {
            return Err(Refusal::Head(Refused::BadTarget));
        }
        let application = self.router.route(host.as_ref(), &path).map_err(Refusal::Ambiguous)?;
        let application = application.ok_or(Refusal::Nobody)?;
        Ok((Arc::clone(application), path))
    }

    /// Plain proxying.
    async fn pass(
        self: &Arc<Self>,
        passing: Passing,
        application: &Arc<Application>,
        path: &NormalPath<'_>,
    ) -> Response<Outbound> {
        let asked = Asked::of(&passing.parts.headers);
        let (request, upgrade) = match self.outgoing(passing, application, path) {
            Ok(outgoing) => outgoing,
            Err(fault) => return self.error(&asked.headers(), &fault),
        };
        match application.upstream.send(request).await {
            Ok(answer) => self.returned(answer, upgrade, &asked, application),
            Err(error) => self.failed(&asked, application, &error),
        }
    }

    /// Proxying with a session.
    async fn with_session(
        self: &Arc<Self>,
        mut passing: Passing,
        application: &Arc<Application>,
        sessions: &Sessions,
        path: &NormalPath<'_>,
        handle: &mut Option<Handle>,
    ) -> Response<Outbound> {
        if let Some(login) = &sessions.login
            && let Some(page) = login.own_page(path)
        {
            return self.own_page(passing, application, sessions, login, page).await;
        }
        let is_handed = sessions.paths.hold(path);
        let is_demanded = sessions.login.as_ref().filter(|login| login.demands(path));
        let mut visit = if is_handed || is_demanded.is_some() {
            match Visit::of(&passing.parts.headers, sessions, &self.cache, &self.counters).await {
                Ok(visit) => visit,
                Err(error) => return self.unavailable(&passing.parts.headers, &error, None),
            }
        } else {
            Visit::default()
        };
        *handle = visit.session.as_ref().map(|(found, _)| found.session.handle);
        if let Some(login) = is_demanded
            && visit.principal().is_none()
        {
            let target = passing.parts.uri.path_and_query().map_or("/", |target| target.as_str());
            let mut response = login.challenge(&passing.parts, target).map(Outbound::from);
            if visit.is_over && Asked::of(&passing.parts.headers).may_delete() {
                Change::Delete.apply(sessions, response.headers_mut());
            }
            return response;
        }
        if is_handed && let Err(too_large) = present(&mut passing.parts.headers, sessions, &mut visit) {
            self.counters.refuse("session_too_large_to_present");
            tracing::error!(application = %application.id, %too_large, "a request was refused");
            let detail = "This application keeps more in your session than can be handed to it.";
            let fault = Fault::new(StatusCode::INTERNAL_SERVER_ERROR).detail(detail);
            return self.error(&passing.parts.headers, &fault);
        }
        let asked = Asked::of(&passing.parts.headers);
        let (request, upgrade) = match self.outgoing(passing, application, path) {
            Ok(outgoing) => outgoing,
            Err(fault) => return self.error(&asked.headers(), &fault),
        };
        let answer = application.upstream.send(request);
        if !is_handed {
            return match answer.await {
                Ok(answer) => {
                    let mut response = self.returned(answer, upgrade, &asked, application);
                    if is_demanded.is_some() {
                        // Who is not logged in does not get it; nor do they from somebody's cache.
                        caching::make_safe(response.headers_mut(), Audience::Person);
                    }
                    response
                }
                Err(error) => self.failed(&asked, application, &error),
            };
        }
        let awaited = Awaited::new(answer, Arc::clone(self), Arc::clone(application), visit);
        let (answer, visit) = awaited.wait().await;
        match answer {
            Ok(answer) => self.after(answer, upgrade, &asked, application, sessions, visit).await,
            Err(error) => self.failed(&asked, application, &error),
        }
    }

    /// What an application's answer does to the session, and what that does to the answer.
    async fn after(
        self: &Arc<Self>,
        mut answer: Response<Incoming>,
        upgrade: Option<OnUpgrade>,
        asked: &Asked,
        application: &Arc<Application>,
        sessions: &Sessions,
        visit: Visit,
    ) -> Response<Outbound> {
        let updates = sessions.update.take(answer.headers_mut());
        let presented = visit.session.as_ref().map(|(found, _)| found.clone());
        let is_over = visit.is_over;
        let is_logged_in = visit.principal().is_some();
        let effect = match self.update(application, visit, updates).await {
            Ok(effect) => effect,
            Err(error) => {
                let detail = "The application has answered, but what it changed in your session could not be \
                              saved. Look before you repeat it.";
                return self.unavailable(&asked.headers(), &error, Some(detail));
            }
        };
        let mut response = self.returned(answer, upgrade, asked, application);
        let change = match effect {
            Effect::Set(ticket) => {
                // Storage that cannot say is no reason to keep it from the visitor.
                let latest = self.latest(&ticket, sessions).await.unwrap_or(Some(ticket));
                latest.and_then(|ticket| set(sessions, &ticket)).map(Change::Set)
            }
            Effect::Delete => Some(Change::Delete),
            Effect::Emptied => asked.may_delete().then_some(Change::Delete),
            Effect::None => match presented.as_ref().and_then(|found| found.successor.as_ref()) {
                Some(successor) => {
                    // The ticket that the visitor has is good for a while, and answered so again.
                    let latest = self.latest(successor, sessions).await.unwrap_or_default();
                    latest.and_then(|ticket| set(sessions, &ticket)).map(Change::Set)
                }
                None if is_over && asked.may_delete() => Some(Change::Delete),
                None => None,
            },
        };
        let audience = match &presented {
            _ if is_logged_in => Audience::Person,
            None if change.is_none() => Audience::Anybody,
            _ => Audience::Visitor,
        };
        caching::make_safe(response.headers_mut(), audience);
        if let Some(change) = change {
            change.apply(sessions, response.headers_mut());
        }
        response
    }

    /// What to set a cookie to that shall hold this ticket: its session may have ended meanwhile, or have another one,
    /// and a dead ticket would take the place of what the visitor got then (law 1).
    pub(crate) async fn latest(
        &self,
        ticket: &Ticket,
        sessions: &Sessions,
    ) -> Result<Option<Ticket>, Unavailable> {
        match self.cache.find(ticket, &sessions.judge).await? {
            Find::Found(found) => Ok(Some(found.successor.unwrap_or_else(|| ticket.clone()))),
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
        if updates.is_empty() && visit.told == 0 {
            return Ok(Effect::None);
        }
        let (service, application) = (Arc::clone(self), Arc::clone(application));
        self.undisturbed(async move {
            let Some(sessions) = &application.sessions else { return Ok(Effect::None) };
            let updater = Updater::new(&service, &application, sessions, &visit);
            if let Some((found, _)) = &visit.session
                && let Some(told) = found.session.conflicts.get(..visit.told)
                && !told.is_empty()
                && let Err(error) = service.cache.settle(&found.session.handle, told, &sessions.judge).await
            {
                // It is told once more; that is better than not at all.
                tracing::debug!(%error, "a conflict that was told could not be settled");
            }
            if updates.is_empty() { Ok(Effect::None) } else { updater.apply(&updates).await }
        })
        .await
    }

    /// Changes a session in a task of its own: nobody who leaves meanwhile leaves it half done.
    pub(crate) async fn undisturbed(
        &self,
        change: impl Future<Output = Result<Effect, Unavailable>> + Send + 'static,
    ) -> Result<Effect, Unavailable> {
        match self.under_way.spawn(change).await {
            Ok(effect) => effect,
            Err(error) => Err(Unavailable::unknown(self.cache.storage().id(), error)),
        }
    }

    /// The request as the application gets it.
    fn outgoing(
        &self,
        passing: Passing,
        application: &Application,
        path: &NormalPath<'_>,
    ) -> Result<(Request<Inbound>, Option<OnUpgrade>), Fault<'static>> {
        let Passing { mut parts, body, client, upgrade } = passing;
        application.cookies.hide(&mut parts.headers);
        application.trust.forward(&client, &mut parts.headers);
        if !application.preserve_host {
            // The library writes that of the URI.
            parts.headers.remove(HOST);
        }
        let on_upgrade = upgrade.map(|(protocol, on_upgrade)| {
            hygiene::pass_upgrade(&mut parts.headers, protocol);
            on_upgrade
        });
        let target = match parts.uri.path_and_query() {
            Some(target) if path.is_unchanged() => target.clone(),
            _ => path.with_query(parts.uri.query()).map_err(|_| Fault::new(StatusCode::BAD_REQUEST))?,
        };
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some(application.scheme.clone());
        uri.authority = Some(application.authority.clone());
        uri.path_and_query = Some(target);
        parts.uri = Uri::from_parts(uri).map_err(|_| Fault::new(StatusCode::BAD_REQUEST))?;
        parts.version = Version::HTTP_11;
        parts.extensions = Extensions::new();
        Ok((Request::from_parts(parts, body), on_upgrade))
    }

    /// An application's answer, without what was meant for us and for its connection with us.
    fn returned(
        &self,
        mut answer: Response<Incoming>,
        upgrade: Option<OnUpgrade>,
        asked: &Asked,
        application: &Application,
    ) -> Response<Outbound> {
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
        hygiene::strip_response(&mut parts);
        parts.version = Version::HTTP_11;
        parts.extensions = Extensions::new();
        Response::from_parts(parts, Outbound::application(body))
    }
}

/// Hands the session to the application.
fn present(headers: &mut HeaderMap, sessions: &Sessions, visit: &mut Visit) -> Result<(), handoff::TooLarge> {
    let Some((found, _)) = &visit.session else { return Ok(()) };
    let session = &found.session;
    let fact = sessions.fact(session.principal.as_ref().map(|principal| &*principal.name));
    sessions.presentation.insert(fact.as_slice(), &session.entries, headers)?;
    if !session.conflicts.is_empty() {
        let Presentation { format, max_header_bytes, .. } = &sessions.presentation;
        let names: Vec<Box<str>> = session.conflicts.iter().map(|conflict| conflict.name.clone()).collect();
        let (value, told) = handoff::conflicts(&names, *format, *max_header_bytes);
        visit.told = told;
        headers.insert(sessions.conflict_header.clone(), value);
    }
    Ok(())
}

pub(crate) fn set(sessions: &Sessions, ticket: &session::Ticket) -> Option<HeaderValue> {
    match sessions.cookie.set(&ticket.expose()) {
        Ok(cookie) => Some(cookie),
        Err(error) => {
            tracing::error!(%error, "a session has no cookie");
            None
        }
    }
}
