//! Our own API, `/v1`: sessions as JSON, by their handles, for programs that open, look at, search, change and end sessions of others.
//!
//! Whoever calls is known before anything is read of what they say. What is wrong is said as RFC 9457 does
//! ([`Problem`]). An outage of storage is 503, and never "there is no such session". Each thing that is done is in the log:
//! who did it, from where, to which handle. A ticket is told once, to the one who opened its session.

mod changes;
mod changing;
pub(crate) mod description;
mod ending;
mod fields;
mod finding;
mod introspection;
mod object;
mod problem;
mod sessions;
mod value;
mod versions;
mod whole;

use std::fmt;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::DefaultBodyLimit;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{get, post};
use cache::{Cache, Openings};
use dialects::llng::{Hidden, SESSION_ID};
use serde::de::DeserializeOwned;
use session::{Ending, Handle, Session, Why};
use tokio::sync::OwnedSemaphorePermit;

use self::object::Object;
use self::problem::Problem;
use crate::bodies::Bodies;
use crate::clients::{Caller, Client, Clients, Denied, Names, Right};
use crate::end_point::journal::Journal;
use crate::llng::{BEFORE, has_kinds};

/// The most bytes of a request.
const MAX_BODY: usize = 16 << 20;
/// How much all requests together may take, in KiB.
const ROOM: usize = 128 << 10;

/// Finds an application by its id, as it is configured now.
#[derive(Clone)]
pub struct Applications(Arc<Finder>);

type Finder = dyn Fn(&str) -> Option<Openings> + Send + Sync;

impl Applications {
    /// Those that `find` finds.
    pub fn new(find: impl Fn(&str) -> Option<Openings> + Send + Sync + 'static) -> Self {
        Self(Arc::new(find))
    }

    /// None.
    #[must_use]
    pub fn none() -> Self {
        Self::new(|_| None)
    }
}

impl fmt::Debug for Applications {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Applications(..)")
    }
}

/// The API.
#[derive(Debug)]
pub(crate) struct Api {
    clients: Arc<Clients>,
    cache: Arc<Cache>,
    applications: Applications,
    /// The entries of LemonLDAP::NG's sessions that leave only to those who may see secrets.
    hidden: Option<Hidden>,
    bodies: Bodies,
    /// What happened to sessions lately, once somebody has asked for it.
    journal: OnceLock<Arc<Journal>>,
}

impl Api {
    pub(crate) fn new(
        clients: Arc<Clients>,
        cache: Arc<Cache>,
        applications: Applications,
        hidden: Option<Hidden>,
    ) -> Arc<Self> {
        Arc::new(Self {
            clients,
            cache,
            applications,
            hidden,
            bodies: Bodies::new(ROOM, MAX_BODY),
            journal: OnceLock::new(),
        })
    }

    pub(crate) fn router(self: Arc<Self>) -> Router {
        let private = |mut response: Response| async move {
            response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        };
        let below = Router::new()
            .route("/sessions", post(sessions::create))
            .route("/sessions/{handle}", get(sessions::show).patch(changing::change).delete(ending::end_one))
            .route("/sessions/{handle}/touch", post(changing::touch))
            .route("/sessions/{handle}/renew", post(changing::renew))
            .route("/sessions/{handle}/why", get(sessions::why))
            .route("/sessions/{handle}/assertion", get(sessions::assertion))
            .route("/openapi.json", get(description::describe))
            .route("/changes", get(changes::changes))
            .route("/find", post(finding::find))
            .route("/introspect", post(introspection::introspect))
            .route("/end", post(ending::end))
            .method_not_allowed_fallback(|| async { Problem::NoMethod })
            .fallback(|| async { Problem::NoResource })
            // Bodies have a bound of their own.
            .layer(DefaultBodyLimit::disable())
            .layer(map_response(private))
            .with_state(self);
        Router::new().nest("/v1", below)
    }

    /// The client that calls, if it may.
    fn admit(&self, caller: &Caller, headers: &HeaderMap, right: Right) -> Result<&Client, Problem> {
        self.clients.admit(caller, headers, right).map_err(|denied| {
            self.clients.note(caller, &denied, self.cache.now(), "the API");
            Problem::Denied(denied)
        })
    }

    /// Whether this session exists for a client. For one that has only some realms or kinds, what is over is of none any more.
    async fn check_exists(&self, client: &Client, handle: &Handle) -> Result<(), Problem> {
        if client.knows_all() {
            return Ok(());
        }
        match self.cache.show(handle).await? {
            Some(shown) if client.knows(&shown.session) => Ok(()),
            Some(_) | None => Err(Problem::NoSession),
        }
    }

    /// Reads a request, once there is room for it.
    async fn request<T: DeserializeOwned>(
        &self,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<(T, OwnedSemaphorePermit), Problem> {
        if !is_json(headers) {
            return Err(Problem::WrongType);
        }
        let (body, room) = self.body(headers, body).await?;
        let Object(read) = serde_json::from_slice(&body).map_err(|error| Problem::malformed(&error))?;
        Ok((read, room))
    }

    async fn body(&self, headers: &HeaderMap, body: Body) -> Result<(Bytes, OwnedSemaphorePermit), Problem> {
        Ok(self.bodies.read(headers, body).await?)
    }

    /// Whether an entry of a session is shown to a client.
    fn shows(&self, client: &Client, session: &Session, name: &str) -> bool {
        // What LemonLDAP::NG's sessions remember for ourselves is for nobody.
        let is_secret = || has_kinds(&session.realm) && (name == BEFORE || self.hides(client, name));
        client.attributes.shows(name) && !is_secret()
    }

    /// Whether an entry of this name is hidden from a client where it is one of LemonLDAP::NG's: what opens such a session, and
    /// what its configuration calls hidden.
    fn hides(&self, client: &Client, name: &str) -> bool {
        let is_hidden = |hidden: &Hidden| name == SESSION_ID || hidden.hides(name);
        !client.may.contains(&Right::Secrets) && self.hidden.as_ref().is_some_and(is_hidden)
    }

    /// How a session ends that this client ends now.
    fn ending(&self, client: &Client, caller: &Caller, why: Why) -> Ending {
        let from = Some(caller.address.to_canonical());
        Ending { from, ..Ending::new(self.cache.now(), why, &client.id) }
    }
}

impl Client {
    /// What it wants is of realms that do not exist for it.
    fn not_there(&self) -> Problem {
        let what = if self.realms == Names::All { "kinds" } else { "realms" };
        Problem::Denied(Denied::Forbidden(format!("that is not within the `{what}` of `{}`", self.id)))
    }
}

/// A merge patch is JSON too.
fn is_json(headers: &HeaderMap) -> bool {
    let media_type = media_type(headers);
    ["application/json", "application/merge-patch+json"]
        .iter()
        .any(|known| media_type.eq_ignore_ascii_case(known))
}

/// Clients that introspect send forms, as RFC 7662 has it.
fn is_form(headers: &HeaderMap) -> bool {
    media_type(headers).eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn media_type(headers: &HeaderMap) -> &str {
    let media_type = headers.get(CONTENT_TYPE).and_then(|found| found.to_str().ok()).unwrap_or_default();
    media_type.split(';').next().unwrap_or_default().trim()
}
