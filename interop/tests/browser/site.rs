//! A site of a test: pages that a test writes, and a few paths that do something.
//!
//! It stands behind the gateway as an application that reads `X-Session` and answers with `X-Replace-Session`, or it
//! is somebody else's site and answers the browser itself. It remembers what it was asked, as it came: a page in a
//! foreign frame, or the answer to a foreign fetch, cannot be looked into, but what was asked for it can.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use super::streams;

/// How long what is expected may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running site. It ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Site {
    address: SocketAddr,
    pub(crate) shared: Arc<Shared>,
    serving: AbortHandle,
}

/// What its answers are made from, and what becomes of them.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pages: Mutex<HashMap<String, Page>>,
    seen: Mutex<Vec<Seen>>,
    /// Streams, sockets and bodies that somebody still has open.
    pub(crate) open: AtomicUsize,
    /// Bodies and streams that broke off.
    pub(crate) broken: AtomicUsize,
}

/// Header lines, and a text in which `{session}` stands for the session that the request came with.
#[derive(Debug, Clone)]
struct Page {
    headers: Vec<(String, String)>,
    text: String,
}

/// A request, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) path: String,
    headers: http::HeaderMap,
}

impl Seen {
    pub(crate) fn of(request: &http::request::Parts) -> Self {
        let path = request.uri.path_and_query().map_or("/", |path| path.as_str());
        Self { path: path.to_owned(), headers: request.headers.clone() }
    }

    /// The session that the gateway presented.
    pub(crate) fn session(&self) -> Option<&str> {
        self.header("x-session")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl Site {
    /// Listens on loopback, on a port that the system chooses.
    pub(crate) async fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/put", any(put))
            .route("/session", any(session))
            .route("/large", any(streams::large))
            .route("/upload", any(streams::upload))
            .route("/events", any(streams::events))
            .route("/socket", any(streams::socket))
            .fallback(page)
            .with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await }).abort_handle();
        Self { address, shared, serving }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the browser calls it under the name `host`, which stays on this machine (RFC 6761, 6.3), counts as a secure
    /// place like the real thing over TLS, and whose last label but one is its site.
    pub(crate) fn url(&self, host: &str, path: &str) -> String {
        format!("http://{host}.localhost:{}{path}", self.address.port())
    }

    /// Has a page there from now on.
    pub(crate) fn page(&self, path: &str, html: &str) {
        self.answer(
            path,
            &[("content-type", "text/html")],
            &format!("<!doctype html><title>{path}</title>{html}"),
        );
    }

    /// Has something there from now on, with these headers.
    pub(crate) fn answer(&self, path: &str, headers: &[(&str, &str)], text: &str) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let page = Page { headers, text: text.to_owned() };
        self.shared.pages.lock().unwrap().insert(path.to_owned(), page);
    }

    /// What it was asked for under that path so far, the query included.
    pub(crate) fn seen(&self, path: &str) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().iter().filter(|seen| seen.path == path).cloned().collect()
    }

    /// The first request for that path: one that was made, or is about to be.
    pub(crate) async fn asked(&self, path: &str) -> Seen {
        eventually(&format!("a request for {path}"), || self.seen(path).into_iter().next()).await
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Shared {
    pub(crate) fn note(&self, request: &http::request::Parts) -> Seen {
        let seen = Seen::of(request);
        self.seen.lock().unwrap().push(seen.clone());
        seen
    }

    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    pub(crate) fn broken(&self) -> usize {
        self.broken.load(Ordering::SeqCst)
    }
}

/// Waits for what is about to happen; fails when it does not.
pub(crate) async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "there was not: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// `/put?KEY=VALUE`: changes the session so.
async fn put(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    shared.note(&parts);
    Response::builder()
        .header("x-replace-session", parts.uri.query().unwrap_or_default())
        .header("content-type", "text/html")
        .body(Body::from("<!doctype html><title>put</title>"))
        .unwrap()
}

/// The session, as text.
async fn session(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let seen = shared.note(&parts);
    Response::new(Body::from(seen.session().unwrap_or_default().to_owned()))
}

/// What the test has put there, whatever the query.
async fn page(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let seen = shared.note(&parts);
    let page = shared.pages.lock().unwrap().get(parts.uri.path()).cloned();
    let Some(page) = page else {
        return Response::builder().status(404).body(Body::empty()).unwrap();
    };
    let mut response = Response::builder();
    for (name, value) in page.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(page.text.replace("{session}", seen.session().unwrap_or_default()))).unwrap()
}
