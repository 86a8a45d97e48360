//! How Cloakroom is, at `/health` and `/v1/health`.
//!
//! Everybody learns whether it is up or down: that is what load balancers and monitors ask, who have nothing to show. Which storage
//! services there are, why one does not answer, which nodes there are and which version runs is for clients that may look at sessions
//! or change them: it would tell a stranger where to knock.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, State};
use axum::http::header::{AUTHORIZATION, CACHE_CONTROL};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use cache::{Cache, Node};
use futures_util::future::join_all;
use serde::Serialize;
use session::Clock;
use storage::{Key, Storage};
use tokio::time::{Instant, timeout};

use crate::clients::{Caller, Clients, Denied, Right};

/// How long the health of storage is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is asked how it is, and who may know more than that.
#[derive(Debug)]
pub(crate) struct Health {
    pub(crate) version: &'static str,
    pub(crate) storages: Vec<Arc<dyn Storage>>,
    pub(crate) cache: Option<Arc<Cache>>,
    pub(crate) clients: Arc<Clients>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// What everybody is told.
#[derive(Debug, Serialize)]
struct Told {
    status: &'static str,
    #[serde(flatten)]
    more: Option<More>,
}

/// What is told to clients that may know.
#[derive(Debug, Serialize)]
struct More {
    version: &'static str,
    storage: Vec<StorageHealth>,
    /// Who keeps sessions on the same storage, this process first.
    nodes: Vec<NodeHealth>,
}

#[derive(Debug, Serialize)]
struct StorageHealth {
    id: Arc<str>,
    status: &'static str,
    milliseconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct NodeHealth {
    id: String,
    name: Box<str>,
    version: Box<str>,
    /// In milliseconds since the Unix epoch.
    begun: u64,
}

impl Health {
    pub(crate) fn router(self) -> Router {
        Router::new().route("/health", get(tell)).route("/v1/health", get(tell)).with_state(Arc::new(self))
    }

    /// Whether the caller may know which storage services and nodes there are. Nobody is turned away who may not, or who shows
    /// something wrong: a monitor that judges by the status would take that for an outage.
    fn may_know(&self, caller: &Caller, headers: &HeaderMap) -> bool {
        let may = |right| self.clients.admit(caller, headers, right);
        let admitted = match may(Right::Sessions) {
            Err(Denied::Forbidden(_)) => may(Right::AdminSessions),
            admitted => admitted,
        };
        let Err(denied) = admitted else { return true };
        if headers.contains_key(AUTHORIZATION) {
            self.clients.note(caller, &denied, self.clock.now(), "the details of `/health`");
        }
        false
    }
}

/// 200 if every storage service answers, else 503: then sessions that are not in memory cannot be found.
async fn tell(
    State(health): State<Arc<Health>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Response {
    let may_know = health.may_know(&caller, &headers);
    let storage = join_all(health.storages.iter().map(check)).await;
    let is_well = storage.iter().all(|storage| storage.error.is_none());
    let more = may_know.then(|| {
        let nodes = health.cache.iter().flat_map(|cache| cache.nodes()).map(NodeHealth::from).collect();
        More { version: health.version, storage, nodes }
    });
    let (code, status) =
        if is_well { (StatusCode::OK, "ok") } else { (StatusCode::SERVICE_UNAVAILABLE, "degraded") };
    let private = [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    (code, private, Json(Told { status, more })).into_response()
}

async fn check(storage: &Arc<dyn Storage>) -> StorageHealth {
    let since = Instant::now();
    let error = match Key::new("health", b"health") {
        Ok(key) => match timeout(PATIENCE, storage.read(&key, None)).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {} s", PATIENCE.as_secs())),
        },
        Err(error) => Some(error.to_string()),
    };
    StorageHealth {
        id: Arc::clone(storage.id()),
        status: if error.is_none() { "ok" } else { "unavailable" },
        milliseconds: since.elapsed().as_secs_f64() * 1000.0,
        error,
    }
}

impl From<Node> for NodeHealth {
    fn from(node: Node) -> Self {
        let Node { id, name, version, begun } = node;
        Self { id: id.to_string(), name, version, begun: begun.0 }
    }
}
