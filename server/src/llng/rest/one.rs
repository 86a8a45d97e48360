//! One session: `/sessions/<type>/<id>`, and one of its attributes below.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse as _, Response};
use dialects::llng::json::{self, Update, Wanted};
use dialects::llng::{Id, Kind, SESSION_KIND, StorageType, WHOSE};
use session::Value;
use zeroize::Zeroizing;

use super::answers::{self, Failure};
use super::{Asked, Rest, content_type};
use crate::clients::{Caller, Right};
use crate::in_path::InPath;
use crate::llng::kept::{By, Changed, Kept, LoggedIn, Made};

pub(super) async fn call(
    State(rest): State<Arc<Rest>>,
    Extension(caller): Extension<Caller>,
    InPath((kind, id)): InPath<(String, String)>,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let asked = Asked::of(query.as_deref());
    let target = Target { storage: &kind, id: &id, key: None, asked };
    rest.answer_one(&caller, &method, target, &headers, body)
        .await
        .unwrap_or_else(|failure| failure.into_response(&headers))
}

pub(super) async fn call_with_key(
    State(rest): State<Arc<Rest>>,
    Extension(caller): Extension<Caller>,
    InPath((kind, id, key)): InPath<(String, String, String)>,
    RawQuery(query): RawQuery,
    method: Method,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let asked = Asked::of(query.as_deref());
    // Further words are not looked at.
    let key = key.split('/').next().filter(|key| !key.is_empty());
    let target = Target { storage: &kind, id: &id, key, asked };
    rest.answer_one(&caller, &method, target, &headers, body)
        .await
        .unwrap_or_else(|failure| failure.into_response(&headers))
}

/// What a path names.
struct Target<'p> {
    storage: &'p str,
    id: &'p str,
    key: Option<&'p str>,
    asked: Asked,
}

/// What a handler sends that logs somebody in.
#[derive(Default)]
struct Login {
    user: Option<String>,
    password: Option<Zeroizing<String>>,
    secret: Option<String>,
}

impl Login {
    fn of(form: &[u8]) -> Self {
        let mut login = Self::default();
        for (name, value) in url::form_urlencoded::parse(form) {
            let value = Some(value.into_owned()).filter(|value| !value.is_empty());
            match &*name {
                "user" => login.user = value,
                "password" => login.password = value.map(Zeroizing::new),
                "secret" => login.secret = value,
                _ => {}
            }
        }
        login
    }
}

/// Where somebody is of whom a handler says so that has shown that it knows the key: the last address is the one that it saw itself.
fn visitor(headers: &HeaderMap) -> Option<IpAddr> {
    let said = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    said.rsplit(',').next()?.trim().parse().ok()
}

impl Rest {
    async fn answer_one(
        &self,
        caller: &Caller,
        method: &Method,
        target: Target<'_>,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Response, Failure> {
        // Whoever logs somebody in knows the shared key, and their password: it is a handler, and those may only read else.
        let is_login = *method == Method::POST && target.asked.is_login;
        let right = if *method == Method::GET || is_login { Right::Sessions } else { Right::AdminSessions };
        let client = self.admit(caller, headers, right)?;
        if *method == Method::OPTIONS {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        let storage: StorageType = target.storage.parse().map_err(|_| Failure::NoType)?;
        let by = By { client, caller };
        match *method {
            Method::GET => {
                let id = self.id(target.id, &target.asked)?;
                let kept = self.find(by, storage, &id).await?.ok_or(Failure::NoSession)?;
                // One kind is not another.
                if target.asked.kind.as_deref().is_some_and(|kind| kind != kept.kind.as_str()) {
                    return Err(Failure::NoSession);
                }
                let wanted = target.key.map_or(Wanted::All, Wanted::of_path);
                Ok(answers::json(self.written(client, &kept, &wanted)))
            }
            Method::PUT => {
                let id = self.id(target.id, &target.asked)?;
                let (body, _room) = self.bodies.read(headers, body).await?;
                let update = match target.key {
                    None => json::read_update(content_type(headers), &body)?,
                    Some(key) => {
                        let value = json::read_value(content_type(headers), &body)?;
                        Update { changes: vec![(key.into(), value)], secret: None }
                    }
                };
                drop(body);
                self.put(by, storage, &id, update).await?;
                Ok(answers::json(json::DONE))
            }
            Method::DELETE => {
                let id = self.id(target.id, &target.asked)?;
                let kept = self.find(by, storage, &id).await?.ok_or(Failure::NoSession)?;
                if !self.sessions.end(by, &id, kept.kind).await? {
                    return Err(Failure::NoSession);
                }
                Ok(self.settings.cookie.take(answers::json(json::DELETED)))
            }
            Method::POST if is_login && storage == StorageType::Global => {
                let cookie: Id = target.id.parse().map_err(|_| Failure::NoSession)?;
                self.log_in(by, cookie, headers, body).await
            }
            Method::POST => Err(Failure::NoSession),
            _ => Err(Failure::NoMethod),
        }
    }

    /// `POST /sessions/global/<id>?auth`: a login with the id that a handler has made of name and password.
    async fn log_in(
        &self,
        by: By<'_>,
        cookie: Id,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Response, Failure> {
        if self.settings.logins.is_none() {
            return Err(Failure::NotHere);
        }
        let (body, _room) = self.bodies.read(headers, body).await?;
        let Login { user, password, secret } = Login::of(&body);
        drop(body);
        if !self.is_secret(secret.as_deref()) {
            return Err(Failure::BadSecret);
        }
        let from = visitor(headers).unwrap_or(by.caller.address);
        let (Some(user), Some(password)) = (user, password) else { return Err(Failure::Unauthorized) };
        let kept = match self.sessions.log_in(by, from, &user, &password, Some(cookie.clone())).await? {
            LoggedIn::In { kept, .. } => kept,
            LoggedIn::Refused => self.logged_in_before(by, &self.sessions.id_in(&cookie), &user).await?,
            LoggedIn::Wrong => return Err(Failure::Unauthorized),
            LoggedIn::NotTried => return Err(Failure::TooManyLogins),
            LoggedIn::NoLogins => return Err(Failure::NotHere),
        };
        let answer = answers::json(self.written(by.client, &kept, &Wanted::All));
        Ok(self.settings.cookie.give(answer, cookie.as_str()))
    }

    /// The session of this id, if it is a login of this user: of requests that come together with one password, each logs in with
    /// the same id. One that is over stays so.
    async fn logged_in_before(&self, by: By<'_>, id: &Id, user: &str) -> Result<Kept, Failure> {
        let kept = self.sessions.find(by, id).await?.filter(|kept| {
            kept.kind == Kind::Sso && kept.view().attribute(WHOSE).and_then(Value::as_text) == Some(user)
        });
        kept.ok_or(Failure::Unauthorized)
    }

    async fn put(&self, by: By<'_>, storage: StorageType, id: &Id, update: Update) -> Result<(), Failure> {
        let Update { changes, secret } = update;
        if let Some(name) = by.missing(&changes) {
            return Err(Failure::NotShown(name.to_owned()));
        }
        let has_proof = self.is_secret(secret.as_deref());
        if let Some(kept) = self.find(by, storage, id).await? {
            return match self.sessions.change(by, id, kept.kind, changes).await? {
                Changed::Done => Ok(()),
                Changed::Absent => Err(Failure::NoSession),
                Changed::TooLarge => Err(json::Unread::TooLarge.into()),
            };
        }
        // LemonLDAP::NG's clients choose ids themselves: who knows the key makes a session by writing it.
        if !has_proof {
            return Err(Failure::NoSession);
        }
        let told = changes.iter().find(|(name, _)| **name == *SESSION_KIND);
        let told: Option<Kind> =
            told.and_then(|(_, kind)| kind.clone().into_text()).and_then(|kind| kind.parse().ok());
        let kind = told.filter(|kind| storage.may_hold(*kind)).unwrap_or(storage.default_kind());
        // A persistent session has a storage of its own, or none.
        let kind = if storage == StorageType::Global && kind == Kind::Persistent { Kind::Sso } else { kind };
        match self.sessions.make(by, Some(id.clone()), kind, changes).await? {
            Made::Made(_) => Ok(()),
            Made::Refused => Err(Failure::NoSession),
        }
    }
}
