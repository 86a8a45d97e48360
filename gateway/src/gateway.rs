//! The gateway: accepts connections, and has each request answered.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use cache::Cache;
use http::header::CONNECTION;
use http::{HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::registry::Registry;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::application::{Application, ApplicationError};
use crate::body::{Inbound, Outbound};
use crate::connection::{Connection, Seat};
use crate::counters::{Answers, Counted, Counters};
use crate::ours::{OurCookies, Ours};
use crate::pages::Pages;
use crate::phase::Phase;
use crate::router::Router;
use crate::settings::{ApplicationSettings, Limits};

/// For how many visitors who have left the answer is awaited, at one time.
const MAX_LATE: usize = 1024;

/// How long accepting pauses when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// When the system asks a silent peer whether it is still there, and how often. A tunnel may be silent as long as it
/// likes, so nothing else would tell that its client has lost power or its network.
pub(crate) const KEEPALIVE: Duration = Duration::from_secs(60);
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// A reverse proxy that keeps sessions for the applications behind it.
#[derive(Debug)]
pub struct Gateway {
    pub(crate) router: Router,
    pub(crate) ours: Ours,
    /// Room for answers that are awaited although their visitors have left.
    pub(crate) late: Arc<Semaphore>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) pages: Arc<Pages>,
    pub(crate) counters: Counters,
    pub(crate) limits: Limits,
    has_access_log: bool,
    /// What is answered for no application in particular.
    unrouted: Answers,
    /// What a stop waits for.
    pub(crate) under_way: TaskTracker,
    /// Nobody waits any more.
    pub(crate) over: CancellationToken,
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
        let ours = Ours::of(&applications);
        let cookies: Vec<OurCookies> =
            applications.iter().map(|application| OurCookies::of(application, &applications)).collect();
        let applications = applications
            .into_iter()
            .zip(cookies)
            .map(|(settings, cookies)| Application::new(settings, cookies, &counters).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            router: Router::new(applications),
            ours,
            late: Arc::new(Semaphore::new(MAX_LATE)),
            cache,
            pages,
            unrouted: counters.answers("none"),
            counters,
            limits,
            has_access_log,
            under_way: TaskTracker::new(),
            over: CancellationToken::new(),
        })
    }

    /// Serves connections of `listener` until `stop` is ready. Then idle connections are closed, and requests and tunnels
    /// under way may end, for the drain time-out. To be called once.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stop: impl Future<Output = ()>) {
        let stopping = CancellationToken::new();
        let room = Arc::new(Semaphore::new(self.limits.max_connections));
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = accept(&listener, &room) => accepted,
            };
            let Some((socket, peer, permit)) = accepted else { continue };
            let phase = Arc::new(Phase::default());
            let seat = Seat { _permit: permit, _open: Counted::in_gauge(&self.counters.connections) };
            let connection = Connection::new(socket, Arc::clone(&phase), self.limits).holding(seat);
            let gateway = Arc::clone(&self);
            let service = service_fn(move |request| {
                let (gateway, phase) = (Arc::clone(&gateway), Arc::clone(&phase));
                async move { Ok::<_, Infallible>(gateway.answer(request, peer.ip(), &phase).await) }
            });
            let serving = self.http().serve_connection(TokioIo::new(connection), service).with_upgrades();
            let (gateway, stopping) = (Arc::clone(&self), stopping.clone());
            self.under_way.spawn(async move {
                let mut serving = std::pin::pin!(serving);
                let ended = tokio::select! {
                    ended = serving.as_mut() => Some(ended),
                    () = stopping.cancelled() => {
                        serving.as_mut().graceful_shutdown();
                        gateway.over.run_until_cancelled(serving).await
                    }
                };
                if let Some(Err(error)) = ended {
                    gateway.ended_badly(&error);
                }
            });
        }
        drop(listener);
        self.under_way.close();
        stopping.cancel();
        if timeout(self.limits.drain_timeout, self.under_way.wait()).await.is_err() {
            tracing::warn!(
                left = self.under_way.len(),
                "requests or tunnels were still under way after the drain time-out; they are cut off"
            );
            self.over.cancel();
        }
    }

    fn ended_badly(&self, error: &hyper::Error) {
        if error.is_parse() {
            // The library has answered it.
            self.counters.refuse("malformed");
        }
        tracing::debug!(%error, "a client's connection ended badly");
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
        let line = self.has_access_log.then(|| AccessLine::of(&request));
        let request = request.map(|body| Inbound::new(body, &self.limits));
        let upload = Arc::clone(request.body().upload());
        let serving = phase.serve(Arc::clone(&upload), Counted::in_gauge(&self.counters.in_flight));
        let exchange = self.exchange(request, peer).await;
        let mut response = exchange.response;
        if response.body().is_own() && !upload.has_ended() {
            // Nobody reads the rest, so nothing can follow it.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
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
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((socket, peer)) => {
            let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_INTERVAL);
            let prepared = socket.set_nodelay(true);
            if let Err(error) = prepared.and_then(|()| SockRef::from(&socket).set_tcp_keepalive(&keepalive)) {
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
