//! The gateway: accepts connections, and has each request answered.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use cache::Cache;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::application::{Application, ApplicationError};
use crate::body::Outbound;
use crate::connection::{Connection, Phase};
use crate::counters::{Answers, Counters};
use crate::pages::Pages;
use crate::router::Router;
use crate::settings::{ApplicationSettings, Limits};

/// How long accepting pauses when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A reverse proxy that keeps sessions for the applications behind it.
#[derive(Debug)]
pub struct Gateway {
    pub(crate) router: Router,
    pub(crate) cache: Arc<Cache>,
    pub(crate) pages: Arc<Pages>,
    pub(crate) counters: Counters,
    pub(crate) limits: Limits,
    has_access_log: bool,
    /// What is answered for no application in particular.
    unrouted: Answers,
}

impl Gateway {
    /// A gateway in front of `applications`, which counts in `registry` and, if asked to, logs a line a request.
    pub fn new(
        applications: Vec<ApplicationSettings>,
        limits: Limits,
        has_access_log: bool,
        cache: Arc<Cache>,
        pages: Arc<Pages>,
        registry: &mut Registry,
    ) -> Result<Self, ApplicationError> {
        let counters = Counters::registered(registry);
        let applications = applications
            .into_iter()
            .map(|settings| Application::new(settings, &counters).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            router: Router::new(applications),
            cache,
            pages,
            unrouted: counters.answers("none"),
            counters,
            limits,
            has_access_log,
        })
    }

    /// Serves connections of `listener` until `stop` is ready; then those under way may end, for the drain time-out.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stop: impl Future<Output = ()>) {
        let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
        let room = Arc::new(Semaphore::new(self.limits.max_connections));
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = accept(&listener, &room) => accepted,
            };
            let Some((socket, peer, permit)) = accepted else { continue };
            let phase = Arc::new(Phase::default());
            let connection = Connection::new(socket, Arc::clone(&phase), self.limits);
            let gateway = Arc::clone(&self);
            let service = service_fn(move |request| {
                let (gateway, phase) = (Arc::clone(&gateway), Arc::clone(&phase));
                async move { Ok::<_, Infallible>(gateway.answer(request, peer.ip(), &phase).await) }
            });
            let serving = self.http().serve_connection(TokioIo::new(connection), service).with_upgrades();
            let (open, stopping) = (self.counters.connections.clone(), stopping.clone());
            open.inc();
            tasks.spawn(async move {
                let mut serving = std::pin::pin!(serving);
                let ended = tokio::select! {
                    ended = serving.as_mut() => ended,
                    () = stopping.cancelled() => {
                        serving.as_mut().graceful_shutdown();
                        serving.await
                    }
                };
                if let Err(error) = ended {
                    tracing::debug!(%error, "a client's connection ended badly");
                }
                open.dec();
                drop(permit);
            });
        }
        drop(listener);
        tasks.close();
        stopping.cancel();
        if timeout(self.limits.drain_timeout, tasks.wait()).await.is_err() {
            tracing::warn!("requests were still under way after the drain time-out; they are cut off");
        }
    }

    fn http(&self) -> http1::Builder {
        let mut http = http1::Builder::new();
        // The connection has bounds of its own for heads and for idleness, which the library does not tell apart.
        http.timer(TokioTimer::new())
            .header_read_timeout(None)
            .half_close(false)
            .max_headers(self.limits.max_headers)
            .max_header_size(self.limits.max_header_bytes)
            .max_buf_size(self.limits.max_header_bytes.max(64 << 10));
        http
    }

    async fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        peer: IpAddr,
        phase: &Arc<Phase>,
    ) -> Response<Outbound> {
        let serving = phase.serve();
        let _in_flight = InFlight::of(&self.counters);
        let line = self.has_access_log.then(|| AccessLine::of(&request));
        let exchange = self.exchange(request, peer).await;
        let response = exchange.response;
        if response.status() == http::StatusCode::SWITCHING_PROTOCOLS {
            phase.tunnel();
        }
        exchange
            .application
            .as_ref()
            .map_or(&self.unrouted, |application| &application.answers)
            .count(response.status());
        if let Some(line) = line {
            tracing::info!(
                target: "access",
                method = %line.method,
                host = line.host,
                path = line.path,
                status = response.status().as_u16(),
                milliseconds = line.since.elapsed().as_secs_f64() * 1000.0,
                application = exchange.application.as_ref().map(|application| &*application.id),
                session = exchange.handle.map(tracing::field::display),
                client = %exchange.client.unwrap_or(peer),
            );
        }
        response.map(|body| body.with(serving))
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((socket, peer)) => {
            if let Err(error) = socket.set_nodelay(true) {
                tracing::debug!(%error, "a connection went before it was served");
                return None;
            }
            Some((socket, peer, permit))
        }
        Err(error) => {
            tracing::warn!(%error, "no connection can be accepted for a moment");
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// A request that is being answered.
struct InFlight<'a>(&'a Counters);

impl<'a> InFlight<'a> {
    fn of(counters: &'a Counters) -> Self {
        counters.in_flight.inc();
        Self(counters)
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.dec();
    }
}

/// What the access log says of a request. Not its query: that is where secrets go astray.
struct AccessLine {
    method: Method,
    host: String,
    path: String,
    since: Instant,
}

impl AccessLine {
    fn of(request: &Request<Incoming>) -> Self {
        let host = request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok());
        Self {
            method: request.method().clone(),
            host: host.unwrap_or_default().to_owned(),
            path: request.uri().path().to_owned(),
            since: Instant::now(),
        }
    }
}
