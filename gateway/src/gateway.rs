//! The gateway: accepts connections, and has each request answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::Bytes;
use cache::Cache;
use http::header::{CONNECTION, CONTENT_LENGTH, STRICT_TRANSPORT_SECURITY};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use listener::{Listener, Seats};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use tokio::time::timeout;
use tracing::{Instrument as _, Span};

use crate::application::ApplicationError;
use crate::body::{Inbound, Outbound};
use crate::counters::Counted;
use crate::link::Link;
use crate::login::Login;
use crate::phase::Phase;
use crate::service::Service;
use crate::settings::{GatewaySettings, OnAddressChange};
use crate::stream::Taking;

/// When the gateway stops, how long a connection without a request is left open, at most. A client that uses it again and
/// again has its next request under way just then, and would be told nothing but that the connection was reset; so that
/// request is answered, and the answer says that it is the last one. Whoever is silent for so long gets the ordinary end.
const LAST_REQUEST: Duration = Duration::from_secs(1);

/// How long connections that wait to be accepted are looked for at a stop, at most, and after which pause there are none.
const LATECOMERS: Duration = Duration::from_millis(250);
const QUIET: Duration = Duration::from_millis(5);

/// A reverse proxy that keeps sessions for the applications behind it.
#[derive(Debug)]
pub struct Gateway {
    /// What answers the requests that come now.
    pub(crate) service: ArcSwap<Service>,
    /// Room for connections.
    seats: Seats,
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
        let seats = Seats::new(settings.limits.max_connections);
        let service = ArcSwap::from_pointee(Service::first(settings, cache, registry)?);
        Ok(Self { service, seats, reloading: Mutex::default() })
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
        self.seats.resize(before.limits.max_connections, next.limits.max_connections);
        self.service.store(Arc::clone(&next));
        before.forget_what_is_not_in(&next);
        Ok(())
    }

    /// The login form of an application as it is now, if it has one.
    pub fn login(&self, application: &str) -> Option<Arc<Login>> {
        self.service.load().application(application)?.sessions.as_ref()?.login.clone()
    }

    /// By what an application bounds its sessions now, if it has any: those that others open for it count with those that its
    /// visitors open.
    pub fn openings(&self, application: &str) -> Option<cache::Openings> {
        let service = self.service.load();
        let sessions = service.application(application)?.sessions.as_ref()?;
        let limit = sessions.limits.per_person.map(|limit| limit.of_whom_nobody_can_ask());
        let newcomers = Arc::clone(&sessions.newcomers) as _;
        let addresses = cache::Whereabouts {
            rule: sessions.addresses.rule.clone(),
            ends_elsewhere: sessions.addresses.on_change == OnAddressChange::End,
        };
        Some(cache::Openings { judge: sessions.judge.clone(), limit, newcomers, addresses })
    }

    /// Serves connections of `listener` until `stop` is ready. Then each connection may bring one more request, idle ones
    /// are closed after a moment, and requests and tunnels under way may end, for the drain time-out. To be called once.
    pub async fn serve(self: Arc<Self>, listener: impl Into<Listener>, stop: impl Future<Output = ()>) {
        let listener = listener.into();
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                accepted = listener.accept(&self.seats) => accepted,
            };
            let service = self.service.load();
            let open = Counted::in_gauge(&service.counters.connections);
            service.under_way.spawn(Arc::clone(&self).attend(accepted, open, service.closing.clone()));
        }
        let service = self.service.load_full();
        service.stopping.cancel();
        // Who has come already is served: when the port is closed, the system resets those who wait to be accepted.
        let end = Instant::now() + LATECOMERS;
        while Instant::now() < end
            && let Ok(accepted) = timeout(QUIET, listener.accept(&self.seats)).await
        {
            let open = Counted::in_gauge(&service.counters.connections);
            service.under_way.spawn(Arc::clone(&self).attend(accepted, open, service.closing.clone()));
        }
        drop(listener);
        service.under_way.close();
        let last_requests = async {
            let moment = LAST_REQUEST.min(service.limits.drain_timeout / 2);
            // An error says that not all have come to their end by then, as is to be expected.
            let _ = timeout(moment, service.under_way.wait()).await;
            service.closing.cancel();
            service.under_way.wait().await;
        };
        if timeout(service.limits.drain_timeout, last_requests).await.is_err() {
            tracing::warn!(
                left = service.under_way.len(),
                "requests or tunnels were still under way after the drain time-out; they are cut off"
            );
            service.over.cancel();
        }
    }
}

impl Service {
    /// Answers a request, counts it, and logs it if asked to.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        request: Request<Incoming>,
        link: &Link,
        phase: &Arc<Phase>,
    ) -> Response<Outbound> {
        let since = Instant::now();
        let line = self.has_access_log.then(|| AccessLine::of(&request));
        let version = request.version();
        let is_head = request.method() == Method::HEAD;
        let request = request.map(|body| Inbound::new(body, &self.limits, phase));
        let upload = Arc::clone(request.body().upload());
        let serving = phase.serve(Counted::in_gauge(&self.counters.in_flight));
        let span = self.traces.as_ref().map_or_else(Span::none, |traces| {
            traces.request(request.method(), request.uri(), request.headers())
        });
        let exchange = self.exchange(request, link).instrument(span.clone()).await;
        let mut response = exchange.response;
        if response.body().is_own() && !upload.has_ended() && version != Version::HTTP_2 {
            // Nobody reads the rest, so nothing can follow it.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(hsts) = &self.secure.hsts
            && link.is_secure
        {
            response.headers_mut().entry(STRICT_TRANSPORT_SECURITY).or_insert_with(|| hsts.clone());
        }
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            phase.tunnel();
        } else if self.stopping.is_cancelled() && version != Version::HTTP_2 {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let Some(traces) = &self.traces {
            let application = exchange.application.as_ref().map(|application| &*application.id);
            traces.answered(&span, application, response.status());
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
                client = %exchange.client.unwrap_or(link.peer),
            );
        }
        let taking = if version == Version::HTTP_2 { Taking::current() } else { None };
        if let Some(taking) = &taking {
            taking.answered();
        }
        if version == Version::HTTP_2 && (is_head || has_no_content(response.status())) {
            // With HTTP/1 the library sees to that.
            withhold_content(&mut response);
        }
        response.map(|body| body.with(serving, taking))
    }
}

/// Whether an answer has no content, whatever was asked (RFC 9110, 6.4.1).
fn has_no_content(status: StatusCode) -> bool {
    matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Leaves the head, which says how long our own content would have been.
fn withhold_content(response: &mut Response<Outbound>) {
    let content = std::mem::replace(response.body_mut(), Outbound::from(Bytes::new()));
    if content.is_own()
        && let Some(length) = content.size_hint().exact().filter(|length| *length > 0)
    {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert(length.into());
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
        // HTTP/2 names it in the target.
        let host = host.or_else(|| request.uri().authority().map(|authority| authority.as_str()));
        Self {
            method: request.method().clone(),
            host: host.unwrap_or_default().to_owned(),
            path: request.uri().path().to_owned(),
        }
    }
}
