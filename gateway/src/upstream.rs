//! How an application is reached.

use std::error::Error as StdError;
use std::fmt::Debug;
use std::future::ready;
use std::io::ErrorKind;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use http::uri::Scheme;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::timeout;

use crate::body::{Inbound, InboundError, Upload};
use crate::gateway::{KEEPALIVE, KEEPALIVE_INTERVAL};
use crate::last_words::Connector;
use crate::settings::UpstreamSettings;

/// How many idle connections to one application are kept, and how long: less than the five seconds after which common
/// servers close theirs, so that no request meets a connection that is being closed.
const MAX_IDLE: usize = 256;
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// The head of an answer, with its body still to come.
pub(crate) type Answer = Pin<Box<dyn Future<Output = Result<Response<Incoming>, UpstreamError>> + Send>>;

/// An application that answers requests. The request names it by an absolute URI.
pub(crate) trait Upstream: Debug + Send + Sync {
    /// Sends a request; the answer comes within the application's time-outs, or begins within `response_timeout` where a
    /// rule says so.
    fn send(&self, request: Request<Inbound>, response_timeout: Option<Duration>) -> Answer;
}

/// Why an application did not answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// It cannot be reached.
    #[error("the application cannot be reached: {0}")]
    Unreachable(ClientError),
    /// It took too long to begin its answer.
    #[error("the application did not begin its answer within {} ms", .0.as_millis())]
    TooSlow(Duration),
    /// It broke off, or what it said is no HTTP.
    #[error("the application broke off or answered something that is no HTTP: {0}")]
    Nonsense(ClientError),
    /// The client did not send the request whole.
    #[error(transparent)]
    Request(InboundError),
}

/// Connections to one application, kept open and used again.
#[derive(Debug)]
pub(crate) struct Pool {
    client: Client<HttpsConnector<Connector>, Inbound>,
    response_timeout: Duration,
}

impl Pool {
    /// Connections by these settings. Where a rule allows for more time than they do, `patience` is how long an application
    /// may take nothing of a request.
    pub(crate) fn new(settings: &UpstreamSettings, patience: Duration) -> std::io::Result<Self> {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_keepalive(Some(KEEPALIVE));
        connector.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
        connector.set_connect_timeout(Some(settings.connect_timeout));
        connector.enforce_http(false);
        let tls = HttpsConnectorBuilder::new();
        // The system's certificates are only read where they are needed; there may be none on a small machine.
        let tls = if settings.scheme == Scheme::HTTPS {
            tls.with_native_roots()?
        } else {
            let none = rustls::RootCertStore::empty();
            tls.with_tls_config(
                rustls::ClientConfig::builder().with_root_certificates(none).with_no_client_auth(),
            )
        };
        let connector =
            tls.https_or_http().enable_http1().wrap_connector(Connector::new(connector, patience));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_max_idle_per_host(MAX_IDLE)
            .pool_idle_timeout(IDLE_TIMEOUT)
            // Only when nothing of the request was sent: an application never sees it twice.
            .retry_canceled_requests(true)
            .build(connector);
        Ok(Self { client, response_timeout: settings.response_timeout })
    }
}

impl Upstream for Pool {
    fn send(&self, request: Request<Inbound>, response_timeout: Option<Duration>) -> Answer {
        if let Some(too_large) = request.body().announces_too_much() {
            return Box::pin(ready(Err(UpstreamError::Request(too_large))));
        }
        let upload = Arc::clone(request.body().upload());
        let answer = self.client.request(request);
        let response_timeout = response_timeout.unwrap_or(self.response_timeout);
        Box::pin(async move {
            within(response_timeout, &upload, answer).await?.map_err(|error| match inbound(error) {
                Ok(inbound) => UpstreamError::Request(inbound),
                Err(error) if error.is_connect() => UpstreamError::Unreachable(error),
                Err(error) if is_timed_out(&error) => UpstreamError::TooSlow(response_timeout),
                Err(error) => UpstreamError::Nonsense(error),
            })
        })
    }
}

/// Waits for an answer. As long as the request still moves, or is the client's to send, the application has not been
/// asked in full; one that takes no more of it has been.
async fn within<T>(
    longest: Duration,
    upload: &Upload,
    answer: impl Future<Output = T>,
) -> Result<T, UpstreamError> {
    let mut answer = std::pin::pin!(answer);
    loop {
        let steps = upload.steps();
        if let Ok(answer) = timeout(longest, answer.as_mut()).await {
            return Ok(answer);
        }
        // The patience with a client is that of the body itself.
        if upload.steps() == steps && !upload.awaits_client() {
            return Err(UpstreamError::TooSlow(longest));
        }
    }
}

/// Whether the application did not take the request.
fn is_timed_out(error: &ClientError) -> bool {
    causes(error).any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::TimedOut)
    })
}

/// The fault of the client's that made a request fail, if it was that.
fn inbound(error: ClientError) -> Result<InboundError, ClientError> {
    let inbound = causes(&error).find_map(|cause| cause.downcast_ref::<InboundError>()).cloned();
    inbound.ok_or(error)
}

fn causes(error: &ClientError) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |cause| (**cause).source())
}
