//! The gateway: accepts connections, and has each request answered.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use cache::Cache;
use http::header::CONNECTION;
use http::{HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::application::ApplicationError;
use crate::body::{Inbound, Outbound};
use crate::connection::{Connection, Seat};
use crate::counters::{Counted, Counters};
use crate::login::Login;
use crate::phase::Phase;
use crate::service::Service;
use crate::settings::{GatewaySettings, Limits};

/// How long accepting pauses when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// When the system asks a silent peer whether it is still there, and how often. A tunnel may be silent as long as it
/// likes, so nothing else would tell that its client has lost power or its network.
pub(crate) const KEEPALIVE: Duration = Duration::from_secs(60);
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// A reverse proxy that keeps sessions for the applications behind it.
#[derive(Debug)]
pub struct Gateway {
    /// What answers the requests that come now.
    service: ArcSwap<Service>,
    /// Room for connections.
    room: Arc<Semaphore>,
    /// One reload at a time.
    reloading: Mutex<()>,
}

impl Gateway {
    /// A gateway with sessions in `cache`, which counts in `registry`.
    pub fn new(
        settings: GatewaySettings,
        cache: Arc<Cache>,
        registry: &mut Registry,
    ) -> Result<Self, ApplicationError> {
        let room = Arc::new(Semaphore::new(settings.limits.max_connections));
        let service = ArcSwap::from_pointee(Service::first(settings, cache, registry)?);
        Ok(Self { service, room, reloading: Mutex::default() })
    }

    /// Answers the requests that come from now on by these settings. Requests under way end by those with which they
    /// began, and so do tunnels; a connection keeps the limits on how its requests are read until it is closed. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// An application cannot be served so: then nothing has changed.
    pub fn reload(&self, settings: GatewaySettings) -> Result<(), ApplicationError> {
        let _one_at_a_time = self.reloading.lock();
        let before = self.service.load_full();
        let next = Arc::new(before.next(settings)?);
        self.resize(before.limits.max_connections, next.limits.max_connections);
        self.service.store(Arc::clone(&next));
        before.forget_what_is_not_in(&next);
        Ok(())
    }

    /// The login form of an application as it is now, if it has one.
    pub fn login(&self, application: &str) -> Option<Arc<Login>> {
        self.service.load().application(application)?.sessions.as_ref()?.login.clone()
    }

    /// Makes more room, or less as soon as enough connections are closed; until then nobody new is let in.
    fn resize(&self, before: usize, after: usize) {
        self.room.add_permits(after.saturating_sub(before));
        let surplus = u32::try_from(before.saturating_sub(after)).unwrap_or(u32::MAX);
        if surplus > 0 {
            let room = Arc::clone(&self.room);
            tokio::spawn(async move {
                if let Ok(permits) = room.acquire_many_owned(surplus).await {
                    permits.forget();
                }
            });
        }
    }

    /// Serves connections of `listener` until `stop` is ready. Then idle connections are closed, and requests and tunnels
    /// under way may end, for the drain time-out. To be called once.
    pub async fn serve(self: Arc<Self>, listener: TcpListener, stop: impl Future<Output = ()>) {
        let stopping = CancellationToken::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = accept(&listener, &self.room) => accepted,
            };
            let Some((socket, peer, permit)) = accepted else { continue };
            let phase = Arc::new(Phase::default());
            let service = self.service.load();
            let seat = Seat { _permit: permit, _open: Counted::in_gauge(&service.counters.connections) };
            let connection = Connection::new(socket, Arc::clone(&phase), service.limits).holding(seat);
            let gateway = Arc::clone(&self);
            let answering = service_fn(move |request| {
                let (service, phase) = (gateway.service.load_full(), Arc::clone(&phase));
                async move { Ok::<_, Infallible>(service.answer(request, peer.ip(), &phase).await) }
            });
            let serving =
                http(&service.limits).serve_connection(TokioIo::new(connection), answering).with_upgrades();
            let (counters, over) = (Arc::clone(&service.counters), service.over.clone());
            let stopping = stopping.clone();
            service.under_way.spawn(async move {
                let mut serving = std::pin::pin!(serving);
                let ended = tokio::select! {
                    ended = serving.as_mut() => Some(ended),
                    () = stopping.cancelled() => {
                        serving.as_mut().graceful_shutdown();
                        over.run_until_cancelled(serving).await
                    }
                };
                if let Some(Err(error)) = ended {
                    ended_badly(&counters, &error);
                }
            });
        }
        drop(listener);
        let service = self.service.load_full();
        service.under_way.close();
        stopping.cancel();
        if timeout(service.limits.drain_timeout, service.under_way.wait()).await.is_err() {
            tracing::warn!(
                left = service.under_way.len(),
                "requests or tunnels were still under way after the drain time-out; they are cut off"
            );
            service.over.cancel();
        }
    }
}

fn ended_badly(counters: &Counters, error: &hyper::Error) {
    if error.is_parse() {
        // The library has answered it.
        counters.refuse("malformed");
    }
    tracing::debug!(%error, "a client's connection ended badly");
}

fn http(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    // The connection has bounds of its own for heads and for idleness, which the library does not tell apart.
    http.timer(TokioTimer::new())
        .header_read_timeout(None)
        .half_close(false)
        .max_headers(limits.max_headers)
        .max_header_size(limits.max_header_bytes)
        .max_buf_size(limits.max_header_bytes.max(64 << 10));
    http
}

impl Service {
    /// Answers a request, counts it, and logs it if asked to.
    async fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        peer: IpAddr,
        phase: &Arc<Phase>,
    ) -> Response<Outbound> {
        let since = Instant::now();
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
        exchange.application.as_ref().map_or(&self.unrouted, |application| &application.answers).count(
            response.status(),
            since,
            upload.waited(),
        );
        if let Some(line) = line {
            tracing::info!(
                target: "access",
                method = %line.method,
                host = line.host,
                path = line.path,
                status = response.status().as_u16(),
                milliseconds = since.elapsed().as_secs_f64() * 1000.0,
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
}

impl AccessLine {
    fn of(request: &Request<Incoming>) -> Self {
        let host = request.headers().get(http::header::HOST).and_then(|host| host.to_str().ok());
        Self {
            method: request.method().clone(),
            host: host.unwrap_or_default().to_owned(),
            path: request.uri().path().to_owned(),
        }
    }
}
