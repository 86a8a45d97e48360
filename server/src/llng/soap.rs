//! The SOAP end points of LemonLDAP::NG: `/sessions` for who reads, `/adminSessions` for who writes as well.
//!
//! Who calls is known before anything is read of what they say. Paths are matched as they are spelt, below one prefix at most: what
//! is doubled, escaped or hidden by dots is no end point. An outage is a fault with the status 503, and never "there is no
//! such session".

mod answers;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use axum::routing::{get, post};
use cache::Cache;
use dialects::llng::soap::{
    Answer, Call, Fault, Listing, MAX_BODY, Method, Refused, Replying, Request, read,
};
use dialects::llng::{Changes, Id, Kind};
use session::Value;

use self::answers::Failure;
use super::Settings;
use super::kept::{By, Changed, Kept, Listed, LoggedIn, Made, View};
use super::lists::MAX_LISTING;
use super::rules;
use super::sessions::Sessions;
use crate::audit::{self, Upon};
use crate::bodies::Bodies;
use crate::clients::{Attributes, Caller, Client, Clients, Right};

/// How much all messages together may take, in KiB.
const ROOM: usize = 64 << 10;

/// What `getCookies` answers where it logs nobody in, as LemonLDAP::NG numbers it.
mod code {
    /// The user name or the password is missing.
    pub(super) const MISSING: u16 = 2;
    /// There is no such user, or it is not their password.
    pub(super) const WRONG: u16 = 5;
    /// The session cannot be made.
    pub(super) const NO_SESSION: u16 = 8;
    /// It cannot be found out.
    pub(super) const ERROR: u16 = 24;
}

/// The end points.
#[derive(Debug)]
pub(crate) struct Soap {
    clients: Arc<Clients>,
    cache: Arc<Cache>,
    sessions: Arc<Sessions>,
    settings: Arc<Settings>,
    bodies: Bodies,
}

/// Which one is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EndPoint {
    /// `/sessions`
    Readers,
    /// `/adminSessions`
    Administrators,
}

impl EndPoint {
    const fn has(self, method: Method) -> bool {
        match self {
            Self::Readers => method.is_for_readers(),
            Self::Administrators => method.is_for_administrators(),
        }
    }

    const fn right(self) -> Right {
        match self {
            Self::Readers => Right::Sessions,
            Self::Administrators => Right::AdminSessions,
        }
    }
}

/// Where a message is answered, and to whom.
struct Asked<'a> {
    end_point: EndPoint,
    by: By<'a>,
    replying: Replying,
}

impl Soap {
    pub(crate) fn new(
        clients: Arc<Clients>,
        cache: Arc<Cache>,
        sessions: Arc<Sessions>,
        settings: Arc<Settings>,
    ) -> Arc<Self> {
        Arc::new(Self { clients, cache, sessions, settings, bodies: Bodies::new(ROOM, MAX_BODY) })
    }

    /// The end points, and those below the prefixes that web servers of LemonLDAP::NG put before them.
    pub(crate) fn router(self: Arc<Self>) -> Router {
        let below = Router::new()
            .route("/sessions", post(call_of_readers))
            .route("/sessions/", post(call_of_readers))
            .route("/adminSessions", post(call_of_administrators))
            .route("/adminSessions/", post(call_of_administrators))
            .route("/adminSessions/{*word}", post(call_of_administrators))
            .route("/portal.wsdl", get(description));
        Router::new()
            .nest("/index.fcgi", below.clone())
            .nest("/index.psgi", below.clone())
            .merge(below)
            // Messages have a bound of their own.
            .layer(DefaultBodyLimit::disable())
            .with_state(self)
    }

    /// Answers a message.
    pub(crate) async fn call(
        &self,
        end_point: EndPoint,
        caller: &Caller,
        headers: &HeaderMap,
        body: Body,
    ) -> Response {
        let answer = self.answered(end_point, caller, headers, body).await;
        answer.unwrap_or_else(|failure| failure.into_response(headers))
    }

    async fn answered(
        &self,
        end_point: EndPoint,
        caller: &Caller,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Response, Failure> {
        let client = self.clients.admit(caller, headers, end_point.right()).map_err(|denied| {
            self.clients.note(caller, &denied, self.cache.now(), "the SOAP end points");
            Failure::Denied(denied)
        })?;
        let header = |name: &str| headers.get(name).and_then(|found| found.to_str().ok());
        let action = header("soapaction").ok_or(Refused::NotSoap)?;
        let (body, _room) = self.bodies.read(headers, body).await?;
        let call = read(Some(action), header(CONTENT_TYPE.as_str()), &body)?;
        drop(body);
        if !end_point.has(call.method) {
            return Err(Fault::not_authorized(call.method.as_str()).into());
        }
        let asked = Asked { end_point, by: By { client, caller }, replying: call.replying() };
        self.done(asked, call).await
    }

    async fn done(&self, asked: Asked<'_>, call: Call) -> Result<Response, Failure> {
        let by = asked.by;
        match call.request()? {
            Request::GetAttributes { id } => {
                let kept = self.find(by, id).await?;
                let attributes = kept.as_ref().map(|kept| self.shown(&asked, kept.view()).collect());
                Ok(self.written(&asked, &Answer::Session(attributes)))
            }
            Request::SetAttributes { id, changes } => {
                settable(by, &changes)?;
                let is_done = match id {
                    Some(id) => self.sessions.change(by, &id, Kind::Sso, changes).await? == Changed::Done,
                    None => false,
                };
                Ok(self.written(&asked, &Answer::Result(is_done)))
            }
            Request::NewSession { changes } => {
                settable(by, &changes)?;
                match self.sessions.make(by, None, Kind::Sso, changes).await? {
                    Made::Made(kept) => {
                        Ok(self.written(&asked, &Answer::Created(self.shown(&asked, kept.view()).collect())))
                    }
                    Made::Refused => Ok(self.written(&asked, &Answer::Result(false))),
                }
            }
            Request::DeleteSession { id } => {
                let is_done = match id {
                    Some(id) => self.sessions.end(by, &id, Kind::Sso).await?,
                    None => false,
                };
                let answer = self.written(&asked, &Answer::Result(is_done));
                Ok(if is_done { self.settings.cookie.take(answer) } else { answer })
            }
            Request::GetCipheredToken => {
                let cipher = self.settings.cipher.as_ref().ok_or_else(no_key)?;
                let token = tokens::issue(&self.cache).await?;
                let ciphered = cipher.encrypt(token.as_bytes()).map_err(|_| no_cipher())?;
                Ok(self.written(&asked, &Answer::Text(&ciphered)))
            }
            Request::GetKeyFromAllSessions { token, names } => {
                let is_good = match token {
                    Some(token) => tokens::take(&self.cache, &token, by.client).await?,
                    None => false,
                };
                if is_good { self.list(asked, names).await } else { Err(Fault::bad_token().into()) }
            }
            Request::GetCookies { user, password, id } => self.log_in(&asked, user, password, id).await,
            Request::IsAuthorizedUri { id, uri } => {
                let kept = self.find(by, id).await?.filter(|kept| kept.kind == Kind::Sso);
                let may = |kept: &Kept| {
                    rules::allows(&self.settings.rules, &uri, |name| kept.view().attribute(name))
                };
                Ok(self.written(&asked, &Answer::Result(kept.as_ref().is_some_and(may))))
            }
            Request::Error { code } => {
                let text = answers::meaning(code);
                Ok(self.written(&asked, &Answer::Text(&text)))
            }
        }
    }

    async fn find(&self, by: By<'_>, id: Option<Id>) -> Result<Option<Kept>, Failure> {
        match id {
            Some(id) => Ok(self.sessions.find(by, &id).await?),
            None => Ok(None),
        }
    }

    async fn list(&self, asked: Asked<'_>, names: Option<Vec<Box<str>>>) -> Result<Response, Failure> {
        let mut room = self.sessions.lists().begin().await.ok_or(Failure::Busy)?;
        let mut listing = Listing::new(asked.replying.clone(), self.settings.charset);
        let listed = Listed { search: None, names: names.as_deref(), is_chosen: &|_| true };
        let mut has_room = true;
        let mut each = |id: &Id, view: View<'_>| {
            listing.push(id.as_str(), self.shown(&asked, view).filter(|(name, _)| listed.has(name)));
            has_room = room.is_enough_for(listing.len());
            has_room && listing.len() <= MAX_LISTING
        };
        self.sessions.list(asked.by, listed, &mut each).await?;
        if listing.len() > MAX_LISTING {
            return Err(Fault::server(
                "there are too many sessions for one message: name the keys, or use REST",
            )
            .into());
        }
        if !has_room {
            return Err(Failure::Busy);
        }
        audit::done(
            asked.by.client,
            asked.by.caller,
            "sessions of LemonLDAP::NG were listed",
            Upon::default(),
        );
        Ok(answers::message(room.hold(listing.finish())))
    }

    async fn log_in(
        &self,
        asked: &Asked<'_>,
        user: Option<Box<str>>,
        password: Option<Box<str>>,
        id: Option<Id>,
    ) -> Result<Response, Failure> {
        let refused = |code| Ok(self.written(asked, &Answer::Cookies(Err(code))));
        let Some((user, password)) = user.zip(password) else { return refused(code::MISSING) };
        let id = match self.sessions.log_in(asked.by, asked.by.caller.address, &user, &password, id).await? {
            LoggedIn::In { cookie, .. } => cookie,
            LoggedIn::Wrong => return refused(code::WRONG),
            LoggedIn::NotTried | LoggedIn::NoLogins => return refused(code::ERROR),
            LoggedIn::Refused => return refused(code::NO_SESSION),
        };
        let cookie = &self.settings.cookie;
        let answer = self.written(asked, &Answer::Cookies(Ok(vec![(&cookie.name, id.as_str())])));
        Ok(cookie.give(answer, id.as_str()))
    }

    /// The attributes that leave: on the end point for readers those that are exported, on both none that is hidden, unless the
    /// client may see secrets.
    fn shown<'k>(
        &'k self,
        asked: &'k Asked<'_>,
        view: View<'k>,
    ) -> impl Iterator<Item = (&'k str, &'k Value)> + Clone {
        let client = asked.by.client;
        let sees_secrets = client.may.contains(&Right::Secrets);
        view.attributes().filter(move |(name, _)| {
            self.leaves(asked.end_point, client, name) && (sees_secrets || !self.settings.hidden.hides(name))
        })
    }

    fn leaves(&self, end_point: EndPoint, client: &Client, name: &str) -> bool {
        let is_listed = |names: &[Box<str>]| names.iter().any(|listed| **listed == *name);
        let is_usual = || end_point == EndPoint::Administrators || self.settings.exported.allows(name);
        match &client.attributes {
            _ if name == dialects::llng::SESSION_ID => true,
            Attributes::Usual => is_usual(),
            Attributes::All => true,
            Attributes::Only(names) => is_listed(names),
            Attributes::Further(names) => is_usual() || is_listed(names),
        }
    }

    fn written(&self, asked: &Asked<'_>, answer: &Answer<'_>) -> Response {
        answers::message(answer.write(&asked.replying, self.settings.charset))
    }
}

async fn call_of_readers(
    State(soap): State<Arc<Soap>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    soap.call(EndPoint::Readers, &caller, &headers, body).await
}

async fn call_of_administrators(
    State(soap): State<Arc<Soap>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    soap.call(EndPoint::Administrators, &caller, &headers, body).await
}

/// `GET /portal.wsdl`: for whoever may call what it describes.
async fn description(
    State(soap): State<Arc<Soap>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    if let Err(denied) = soap.clients.admit(&caller, &headers, Right::Sessions) {
        soap.clients.note(&caller, &denied, soap.cache.now(), "the SOAP end points");
        return Failure::Denied(denied).into_response(&headers);
    }
    answers::description(&headers, &soap.settings)
}

/// Whether all these attributes exist for the client.
fn settable(by: By<'_>, changes: &Changes) -> Result<(), Fault> {
    by.missing(changes).map_or(Ok(()), |name| {
        Err(Fault::client(format!("the attribute `{name}` is not among the `attributes` of this client")))
    })
}

fn no_key() -> Fault {
    Fault::server("the session server has no `llng.key_file`: without the shared key there are no tokens")
}

fn no_cipher() -> Fault {
    Fault::server("the system's random generator failed")
}
