//! The session server: what operators and other programs ask Cloakroom itself.
//!
//! It says whether Cloakroom is up (`/health`) and what it counts (`/metrics`), to whoever reaches it. To clients that may use
//! them, it tells of its storage services and nodes, and offers its storage services ([`Client`], `/storage`), and [an API](api) for sessions (`/v1`).

mod api;
mod audit;
mod bodies;
mod clients;
mod end_point;
mod exposition;
mod health;
mod in_path;
mod llng;
mod serve;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use cache::Cache;
use prometheus_client::registry::Registry;
use session::Clock;
use storage::Storage;

use self::api::Api;
pub use self::api::Applications;
pub use self::audit::AUDIT;
use self::clients::Clients;
pub use self::clients::{Attributes, Client, Names, Right};
use self::end_point::EndPoint;
use self::exposition::Format;
use self::health::Health;
pub use self::llng::{Allow, Logins, Rule, SessionCookie, Settings as LemonLdap, Verdict};
pub use self::serve::Door;

/// What the session server tells of.
#[derive(Debug)]
pub struct Server {
    /// The metrics of everything in this process.
    pub registry: Registry,
    /// The storage services in use.
    pub storages: Vec<Arc<dyn Storage>>,
    /// The session cache, if there is one: it knows which other nodes there are.
    pub cache: Option<Arc<Cache>>,
    /// The applications for which sessions can be opened.
    pub applications: Applications,
    /// The version of this build.
    pub version: &'static str,
    /// Who may call what. Without any, nothing is open but what says how Cloakroom is.
    pub clients: Vec<Client>,
    /// By which it is judged what is over.
    pub clock: Arc<dyn Clock>,
    /// How LemonLDAP::NG's sessions are kept and told, if they are.
    pub llng: Option<LemonLdap>,
}

impl Server {
    /// Serves callers who come in by `doors` until `stop` is ready and requests under way have ended.
    pub async fn serve(mut self, doors: Vec<Door>, stop: impl Future<Output = ()>) {
        let clients = Arc::new(Clients::new(std::mem::take(&mut self.clients)));
        let end_point = clients
            .any_may(Right::Storage)
            .then(|| EndPoint::new(Arc::clone(&clients), &self.storages, Arc::clone(&self.clock)));
        let is_asked = [Right::Sessions, Right::AdminSessions, Right::Secrets]
            .into_iter()
            .any(|right| clients.any_may(right));
        let api = self.cache.as_ref().filter(|_| is_asked).map(|cache| {
            let hidden = self.llng.as_ref().map(|settings| settings.hidden.clone());
            Api::new(Arc::clone(&clients), Arc::clone(cache), self.applications.clone(), hidden)
        });
        let health = Health {
            version: self.version,
            storages: self.storages.clone(),
            cache: self.cache.clone(),
            clients: Arc::clone(&clients),
            clock: Arc::clone(&self.clock),
        };
        let llng = self.llng.take().zip(self.cache.as_ref());
        let llng = llng.map(|(settings, cache)| llng::router(settings, clients, cache));
        let mut router = self.router().merge(health.router());
        if let Some(llng) = llng {
            router = router.merge(llng);
        }
        if let Some(api) = &api {
            router = router.merge(Arc::clone(api).router());
        }
        if let Some(end_point) = &end_point {
            router = router.merge(Arc::clone(end_point).router());
        }
        let journals =
            end_point.as_ref().map(|end_point| tokio::spawn(Arc::clone(end_point).keep_journals()));
        let stop = async {
            stop.await;
            if let Some(journals) = journals {
                journals.abort();
            }
            end_point.iter().for_each(|end_point| end_point.end_streams());
            api.iter().for_each(|api| api.end_streams());
        };
        serve::serve(router, doors, stop).await;
    }

    fn router(self) -> Router {
        Router::new().route("/", get(front)).route("/metrics", get(metrics)).with_state(Arc::new(self))
    }
}

async fn front(State(server): State<Arc<Server>>) -> String {
    format!("Cloakroom {}\n\n/health   how it is\n/metrics  what it counts\n", server.version)
}

async fn metrics(State(server): State<Arc<Server>>, headers: HeaderMap) -> Response {
    let format = Format::accepted(&headers);
    // The kernel is asked too, for each open file among others: not on a thread that answers requests.
    let text = tokio::task::spawn_blocking(move || format.text(&server.registry)).await;
    match text {
        Ok(Ok(text)) => ([(CONTENT_TYPE, format.content_type())], text).into_response(),
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests;
