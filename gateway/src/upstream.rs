//! How an application is reached: a request is sent to one of its servers, and to another one if that is safe.
//!
//! A request is sent again when nothing of it has reached an application: there was no connection, a kept one was closed
//! before the request was written, or the server says that it has not looked at it, as those with HTTP/2 do when they end
//! a connection that is in use. For that, the first 64 KiB of a body are kept while it is sent.
//!
//! It is also sent again when it may be by its method (RFC 9110, 9.2.2), has no body, and the connection broke before the
//! first byte of an answer, if it was a *kept* one or there is another server: servers close connections that they think
//! idle, and the request that meets this is nobody's fault; one that breaks off on a new connection has gone or is about
//! to, and is not asked again. Everything else is told to the visitor: an application may have done what it was asked to.
//! Nothing is sent again for a visitor who has left, nor more than `retries` times, nor later than `retry_timeout`.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use connector::is_refused_stream;
use connector::tls::{Tls, TlsError};
use http::header::{HOST, UPGRADE};
use http::{HeaderValue, Method, Request, Response};
use metrics::Durations;
use tokio::time::{Instant, timeout};

use self::connection::Connection;
use self::error::{ConnectError, is_broken_connection};
use self::health::Admission;
use self::server::{Busy, Server};
use crate::body::{Inbound, Upload};

mod connect;
mod connection;
mod error;
mod health;
mod last_words;
mod server;
pub(crate) mod settings;

pub(crate) use self::connection::Download;
pub(crate) use self::error::UpstreamError;
use crate::settings::{ServerAddress, UpstreamSettings};
use crate::traces::Followed;

/// The servers of an application, and the connections to them. Can be shared by all that have the same settings.
#[derive(Debug)]
pub(crate) struct Upstream {
    servers: Vec<Arc<Server>>,
    /// Of all servers.
    weight: u32,
    settings: UpstreamSettings,
    patience: Duration,
    /// How long it takes to begin its answers, or to fail.
    durations: Durations,
    /// What the times of the servers' health are counted from.
    since: Instant,
}

impl Upstream {
    /// Makes no connection yet. Where a rule allows for more time than the settings do, `patience` is how long a server may
    /// take nothing of a request.
    ///
    /// # Errors
    /// TLS cannot be set up as it is configured.
    pub(crate) fn new(
        settings: UpstreamSettings,
        patience: Duration,
        durations: Durations,
    ) -> Result<Self, TlsError> {
        let is_secure = |address: &ServerAddress| matches!(address, ServerAddress::Https(_));
        // The system's certificates are only read where they are needed; there may be none on a small machine.
        let tls = match settings.servers.iter().any(|server| is_secure(&server.address)) {
            true => Some(Arc::new(Tls::new(&settings.tls, settings.http2)?)),
            false => None,
        };
        let servers: Vec<_> = settings
            .servers
            .iter()
            .take(UpstreamSettings::MAX_SERVERS)
            .map(|server| Arc::new(Server::new(server, tls.as_ref(), &settings, patience)))
            .collect();
        let weight = servers.iter().fold(0, |sum: u32, server| sum.saturating_add(server.weight));
        Ok(Self { servers, weight, settings, patience, durations, since: Instant::now() })
    }

    /// Whether another one with these settings would be the same.
    pub(crate) fn is_made_from(&self, settings: &UpstreamSettings, patience: Duration) -> bool {
        self.settings == *settings && self.patience == patience
    }

    /// Sends a request, whose URI is a path and whose `Host` is the visitor's, or missing where the application shall see
    /// that of the server. The answer comes within the application's time-outs, or begins within `response_timeout` where a
    /// rule says so.
    pub(crate) fn send(
        self: &Arc<Self>,
        mut request: Request<Inbound>,
        response_timeout: Option<Duration>,
    ) -> Answer {
        let followed = request.extensions_mut().remove::<Followed>();
        let upload = Arc::clone(request.body().upload());
        let began = Instant::now();
        let sending = Sending {
            upstream: Arc::clone(self),
            host: request.headers().get(HOST).cloned(),
            http2: !request.headers().contains_key(UPGRADE),
            upload: Arc::clone(&upload),
            response_timeout: response_timeout.unwrap_or(self.settings.response_timeout),
            began,
            again: 0,
            asked: 0,
            needs_new: false,
        };
        let answering: Pin<Box<dyn Future<Output = _> + Send>> = match followed {
            None => Box::pin(sending.answer(request)),
            Some(followed) => Box::pin(followed.answer(sending.answer(request))),
        };
        Answer { answering, upstream: Arc::clone(self), upload, began }
    }

    /// The server to ask next, of those that were not: of two that are drawn by weight, the one that has less to do. If
    /// all are out, the one that would be back first is better than none.
    fn choose(&self, asked: u64) -> Option<Chosen> {
        if let [only] = self.servers.as_slice() {
            return (asked == 0).then(|| Chosen { index: 0, admission: Admission::In, busy: only.begin() });
        }
        let (first, second) = (self.draw(), self.draw());
        let lighter = match (self.servers.get(first), self.servers.get(second)) {
            (Some(one), Some(other)) if other.load(one) < one.load(other) => [second, first],
            _ => [first, second],
        };
        let now = self.now();
        let hold = u64::try_from(self.settings.connect_timeout.as_millis()).unwrap_or(u64::MAX);
        let left = |index: &usize| asked & bit(*index) == 0;
        lighter
            .into_iter()
            .chain(0..self.servers.len())
            .filter(left)
            .find_map(|index| {
                let server = self.servers.get(index)?;
                let admission = server.health.admit(now, hold);
                (admission != Admission::Out).then(|| Chosen { index, admission, busy: server.begin() })
            })
            .or_else(|| {
                let until = |index: &usize| self.servers.get(*index).map(|server| server.health.out_until());
                let index = (0..self.servers.len()).filter(left).min_by_key(until)?;
                let busy = self.servers.get(index)?.begin();
                Some(Chosen { index, admission: Admission::Out, busy })
            })
    }

    /// A server, by weight.
    fn draw(&self) -> usize {
        let mut at = fastrand::u32(..self.weight.max(1));
        self.servers
            .iter()
            .position(|server| match at.checked_sub(server.weight) {
                Some(rest) => {
                    at = rest;
                    false
                }
                None => true,
            })
            .unwrap_or(0)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A server that is asked.
struct Chosen {
    index: usize,
    admission: Admission,
    busy: Busy,
}

/// An answer on its way: its head, with the body still to come.
pub(crate) struct Answer {
    answering: Pin<Box<dyn Future<Output = Result<Response<Download>, UpstreamError>> + Send>>,
    upstream: Arc<Upstream>,
    upload: Arc<Upload>,
    began: Instant,
}

impl Answer {
    /// The visitor has left: what was sent may be answered, and nothing is sent again.
    pub(crate) fn is_nobodys(&self) {
        self.upload.leave();
    }
}

impl Future for Answer {
    type Output = Result<Response<Download>, UpstreamError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(self.answering.as_mut().poll(cx));
        let waited = self.began.elapsed();
        self.upstream.durations.observe(waited);
        // Whoever counts the request takes it off what we took ourselves.
        self.upload.wait(waited);
        Poll::Ready(answer)
    }
}

/// A request that is being sent.
struct Sending {
    upstream: Arc<Upstream>,
    host: Option<HeaderValue>,
    /// Whether it may travel by HTTP/2, where a connection cannot change its protocol.
    http2: bool,
    upload: Arc<Upload>,
    response_timeout: Duration,
    began: Instant,
    /// How often it was sent again.
    again: u32,
    /// One bit for each server that could not be reached.
    asked: u64,
    /// Kept connections have failed it.
    needs_new: bool,
}

impl Sending {
    async fn answer(mut self, mut request: Request<Inbound>) -> Result<Response<Download>, UpstreamError> {
        if let Some(too_large) = request.body().announces_too_much() {
            return Err(UpstreamError::Request(too_large));
        }
        let may_repeat = self.http2 && is_idempotent(request.method()) && request.body().is_nothing();
        let mut failed = UpstreamError::Unreachable(ConnectError::Nobody);
        while let Some(chosen) = self.upstream.choose(self.asked) {
            let server = Arc::clone(chosen.busy.server());
            let mut connection = match self.connection(&server).await {
                Ok(connection) => connection,
                Err(error) => {
                    self.asked |= bit(chosen.index);
                    failed = self.blame(&chosen, error.into());
                    if self.may_go_on() { continue } else { break }
                }
            };
            if self.again > 0 && self.upload.visitor_has_left() {
                // While the connection was made.
                break;
            }
            let has_others = self.upstream.servers.len() > 1;
            let may_break = may_repeat && (connection.is_kept || has_others);
            let has_body = !request.body().is_nothing();
            let spare = (may_break || connection.is_http2()).then(|| copy(&request, &self.upload));
            if has_body && connection.is_http2() {
                request.body_mut().keep();
            }
            let longest = self.response_timeout;
            let sending = pin!(connection.send(request, self.host.as_ref(), &server));
            let mut error = match within(longest, &self.upload, sending).await {
                Ok(Ok(answer)) => {
                    if has_body && connection.is_http2() {
                        self.upload.forget();
                    }
                    if server.health.succeeded() {
                        tracing::info!(server = server.name(), "a server of an application is back");
                    }
                    return Ok(answer.map(|body| Download::new(body, connection, chosen.busy)));
                }
                Ok(Err(error)) => error,
                Err(error) => {
                    self.upload.forget();
                    return Err(self.blame(&chosen, error));
                }
            };
            let unsent = error.take_message();
            let is_unread = is_refused_stream(error.error());
            if is_unread {
                connection.retire();
            }
            let is_kept = unsent.is_some() || is_unread || connection.is_kept;
            let is_broken = !connection.has_heard() && is_broken_connection(error.error());
            let again = match (unsent, spare) {
                (Some(unsent), _) => Some(unsent),
                (None, Some(spare)) if is_unread && has_body => {
                    self.upload.given_up().await;
                    Inbound::again(&self.upload).map(|body| spare.map(|_| body))
                }
                (None, spare) => spare.filter(|_| is_unread || may_break && is_broken),
            };
            failed = UpstreamError::of(error.into_error(), longest);
            if is_kept && again.is_some() {
                self.needs_new = true;
            } else {
                self.asked |= bit(chosen.index);
                failed = self.blame(&chosen, failed);
            }
            match again {
                Some(again) if self.may_go_on() => request = again,
                _ => break,
            }
        }
        self.upload.forget();
        Err(failed)
    }

    async fn connection(&self, server: &Server) -> Result<Connection, ConnectError> {
        let kept = if self.needs_new { None } else { server.kept(self.http2, Instant::now()) };
        match kept {
            Some(kept) => Ok(kept),
            // Apart, for it is rare and large: what every request carries along is copied and cleared for every request.
            None => Box::pin(server.connect(self.http2)).await,
        }
    }

    /// Whether it may be sent once more.
    fn may_go_on(&mut self) -> bool {
        let settings = &self.upstream.settings;
        let may = self.again < settings.retries
            && !self.upload.visitor_has_left()
            && self.began.elapsed() <= settings.retry_timeout;
        self.again += u32::from(may);
        may
    }

    /// A server that fails too often is left alone for a while, if there are others.
    fn blame(&self, chosen: &Chosen, error: UpstreamError) -> UpstreamError {
        let server = chosen.busy.server();
        if self.upstream.servers.len() > 1
            && error.is_the_servers()
            && let Some(milliseconds) =
                server.health.failed(chosen.admission, self.upstream.now(), fastrand::u8(..))
        {
            tracing::warn!(server = server.name(), %error, milliseconds, "a server of an application is left alone");
        }
        error
    }
}

const fn bit(index: usize) -> u64 {
    1 << (index % 64)
}

/// Whether a method may be repeated when nobody knows what became of it (RFC 9110, 9.2.2).
fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
}

/// The same request, without its body.
fn copy(request: &Request<Inbound>, upload: &Arc<Upload>) -> Request<Inbound> {
    let mut copy = Request::new(Inbound::nothing(upload));
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

/// Waits for an answer. As long as the request still moves, or is the client's to send, the application has not been
/// asked in full; one that takes no more of it has been.
async fn within<T>(
    longest: Duration,
    upload: &Upload,
    mut answer: Pin<&mut impl Future<Output = T>>,
) -> Result<T, UpstreamError> {
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
