//! The REST interface of LemonLDAP::NG: `/sessions/<type>/...` for programs, `/session/my` and `/mysession` for whoever has the
//! cookie of a session.
//!
//! Who calls is known before anything is read of what they say. Ids are in the paths: no path reaches a log from here. What only a
//! portal can answer is not found.

mod answers;
mod mine;
mod one;
mod several;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::routing::{any, get};
use cache::Cache;
use dialects::llng::json::{MAX_BODY, Wanted};
use dialects::llng::{Id, StorageType, attributes, json};
use session::Value;

use self::answers::Failure;
use super::Settings;
use super::kept::{By, Kept, View};
use super::sessions::Sessions;
use crate::bodies::Bodies;
use crate::clients::{Attributes, Caller, Client, Clients, Right};

/// How much all bodies together may take, in KiB.
const ROOM: usize = 64 << 10;
/// How far the clock of a client may be off that proves that it knows the shared key: `restClockTolerance`.
const TOLERANCE: Duration = Duration::from_secs(15);

/// The end points.
#[derive(Debug)]
pub(crate) struct Rest {
    clients: Arc<Clients>,
    cache: Arc<Cache>,
    sessions: Arc<Sessions>,
    settings: Arc<Settings>,
    bodies: Bodies,
}

impl Rest {
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
            .route("/sessions/my", any(mine::end_others))
            .route("/sessions/{type}", any(several::call))
            .route("/sessions/{type}/", any(several::call))
            .route("/sessions/{type}/{id}", any(one::call))
            .route("/sessions/{type}/{id}/{*key}", any(one::call_with_key))
            .route("/session/my", get(mine::show).post(mine::show).delete(mine::end))
            .route("/session/my/{type}", get(mine::show).post(mine::show))
            .route("/session/my/{type}/{key}", get(mine::show_key).post(mine::show_key))
            .route("/mysession", get(mine::ask))
            .route("/mysession/", get(mine::ask));
        Router::new()
            .nest("/index.fcgi", below.clone())
            .nest("/index.psgi", below.clone())
            .merge(below)
            // Bodies have a bound of their own.
            .layer(DefaultBodyLimit::disable())
            .with_state(self)
    }

    fn admit(&self, caller: &Caller, headers: &HeaderMap, right: Right) -> Result<&Client, Failure> {
        self.clients.admit(caller, headers, right).map_err(|denied| {
            self.clients.note(caller, &denied, self.cache.now(), "the REST end points");
            Failure::Denied(denied)
        })
    }

    /// The session that somebody means, if it is of the type.
    async fn find(&self, by: By<'_>, storage: StorageType, id: &Id) -> Result<Option<Kept>, Failure> {
        let kept = match storage {
            StorageType::Persistent => self.sessions.find_persistent(by, id).await?,
            _ => self.sessions.find(by, id).await?,
        };
        Ok(kept.filter(|kept| storage.may_hold(kept.kind)))
    }

    /// The id that a request means: hashed, where it is the value of a cookie and sessions lie under hashes.
    fn id(&self, word: &str, asked: &Asked) -> Result<Id, Failure> {
        let id: Id = word.parse().map_err(|_| Failure::NoSession)?;
        Ok(if asked.is_hash && self.settings.hashed { id.hashed() } else { id })
    }

    /// Whether whoever sent this knows the shared key, and has ciphered it now.
    fn is_secret(&self, ciphered: Option<&str>) -> bool {
        let plain =
            ciphered.zip(self.settings.cipher.as_ref()).and_then(|(text, cipher)| cipher.decrypt(text));
        let told = plain.and_then(|plain| std::str::from_utf8(&plain).ok()?.parse::<u64>().ok());
        told.is_some_and(|told| told.abs_diff(self.cache.now().0 / 1000) <= TOLERANCE.as_secs())
    }

    /// The attributes that leave, each name once: what is hidden is masked for whoever may not see secrets.
    fn shown<'k>(&'k self, client: &'k Client, view: View<'k>) -> impl Iterator<Item = (&'k str, &'k Value)> {
        view.attributes()
            .filter(|(name, _)| leaves(client, name))
            .map(|(name, value)| (name, self.masked(client, name, value)))
    }

    fn masked<'k>(&self, client: &Client, name: &str, value: &'k Value) -> &'k Value {
        if !client.may.contains(&Right::Secrets) && self.settings.hidden.hides(name) {
            attributes::mask()
        } else {
            value
        }
    }

    /// One attribute, as it leaves.
    fn attribute<'k>(&self, client: &Client, view: View<'k>, name: &str) -> Option<&'k Value> {
        let value = view.attribute(name).filter(|_| leaves(client, name))?;
        Some(self.masked(client, name, value))
    }

    fn written(&self, client: &Client, kept: &Kept, wanted: &Wanted) -> Vec<u8> {
        match wanted {
            Wanted::All => json::session(self.shown(client, kept.view())),
            Wanted::One(name) => json::key(self.attribute(client, kept.view(), name)),
            Wanted::These(names) => {
                json::keys(names.iter().map(|name| (&**name, self.attribute(client, kept.view(), name))))
            }
        }
    }
}

/// Whether an attribute exists for a client. Unlike SOAP for readers, this interface gives all of them where nothing else is said:
/// a portal reads sessions by it in order to write them.
fn leaves(client: &Client, name: &str) -> bool {
    match &client.attributes {
        _ if name == dialects::llng::SESSION_ID => true,
        Attributes::Usual | Attributes::All | Attributes::Further(_) => true,
        Attributes::Only(names) => names.iter().any(|listed| **listed == *name),
    }
}

/// What the query of a request asks for.
#[derive(Default)]
struct Asked {
    /// All sessions.
    is_all: bool,
    /// Those with this attribute.
    search: Option<Box<str>>,
    /// The id is the value of a cookie.
    is_hash: bool,
    kind: Option<Box<str>>,
    /// A login with a name and a password.
    is_login: bool,
}

impl Asked {
    fn of(query: Option<&str>) -> Self {
        let mut asked = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*name {
                "all" => asked.is_all = &*value != "0",
                "search" => asked.search = Some(value.into()),
                "hash" => asked.is_hash = !matches!(&*value, "0" | ""),
                // Programs that know of no kind send an empty one.
                "kind" => asked.kind = (!value.is_empty()).then(|| value.into()),
                "auth" => asked.is_login = true,
                _ => {}
            }
        }
        asked
    }
}

fn content_type(headers: &HeaderMap) -> Option<&str> {
    headers.get(CONTENT_TYPE)?.to_str().ok()
}

fn accepted(headers: &HeaderMap) -> Option<&str> {
    headers.get(ACCEPT)?.to_str().ok()
}
