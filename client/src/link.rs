//! A few connections to one server, over which requests are sent side by side.
//!
//! A connection of HTTP/2 carries many requests at once, but one task works for it, and what is lost on its way holds up
//! everything behind it: so there are up to [`LANES`], and another one is opened when all that are open have plenty to do.
//!
//! One attempt to connect is made at a time, whoever waits for it, and after one that failed the next one waits, longer
//! each time and each time another while, so that many nodes do not come back at the same moment; at most
//! [`LONGEST_PAUSE`], so that the server is found again soon after its return. Who came meanwhile waits for that one
//! attempt and shares its outcome. An attempt that hears nothing for a moment gets company: where bytes had vanished, the
//! next one finds the way again.

mod heard;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use connector::tls::Tls;
use connector::{Address, Connected, Connector, is_refused_stream};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use http::header::AUTHORIZATION;
use http::uri::{Authority, Parts, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::time::{Instant, interval, sleep_until, timeout};
use zeroize::Zeroizing;

pub(crate) use self::heard::Busy;
use self::heard::{Heard, Listening};
use crate::error::{NotConnected, SendError};

/// How many connections there are at most.
const LANES: usize = 4;
/// How many requests are under way on a connection before another one is opened.
const PLENTY: usize = 32;

/// The pause after the first attempt that failed, and the longest; each up to half as much shorter or longer.
const SHORTEST_PAUSE: Duration = Duration::from_millis(25);
const LONGEST_PAUSE: Duration = Duration::from_millis(400);

/// After which silence another attempt is made beside the one before.
const ANOTHER_ATTEMPT: Duration = Duration::from_millis(700);
/// A server that is back is found within a second.
const _: () = assert!(LONGEST_PAUSE.as_millis() * 3 / 2 < 1000 && ANOTHER_ATTEMPT.as_millis() < 1000);

/// How often the other side is asked whether it is still there, while it has something to answer; and how long it may
/// take. Slow is not dead: an answer may be two seconds on its way.
const PING_INTERVAL: Duration = Duration::from_secs(1);
const PING_TIMEOUT: Duration = Duration::from_secs(3);

/// How much of one answer may wait to be read, and of all on a connection.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// The most bytes of the headers of an answer.
const MAX_HEADER_BYTES: u32 = 16 << 10;

/// Who is asked, and how.
#[derive(Debug)]
pub struct LinkSettings {
    /// Where the server is.
    pub address: Address,
    /// How TLS is made, where the address asks for it.
    pub tls: Option<Arc<Tls>>,
    /// What we prove ourselves with.
    pub token: Option<Token>,
    /// How long a connection may take, the handshake of TLS included.
    pub connect_timeout: Duration,
}

/// A bearer token. It is not shown.
#[derive(Clone)]
pub struct Token(HeaderValue);

impl Token {
    /// A token of visible ASCII; `None` if it is something else, or nothing.
    #[must_use]
    pub fn new(token: &str) -> Option<Self> {
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return None;
        }
        let header = Zeroizing::new(format!("Bearer {token}"));
        let mut header = HeaderValue::from_str(&header).ok()?;
        header.set_sensitive(true);
        Some(Self(header))
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Token(..)")
    }
}

/// The connections to one server.
#[derive(Debug)]
pub struct Link {
    connector: Connector,
    origin: (Scheme, Authority),
    token: Option<Token>,
    lanes: [Lane; LANES],
    /// Held by whoever makes a connection.
    connecting: tokio::sync::Mutex<Attempts>,
    /// How many attempts have failed so far.
    failures: AtomicU64,
}

/// One of the connections, open or not.
#[derive(Debug, Default)]
struct Lane(Mutex<Option<Ready>>);

/// What the attempts so far teach.
#[derive(Debug)]
struct Attempts {
    not_before: Instant,
    pause: Duration,
    last: Option<Arc<NotConnected>>,
}

/// A connection on which a request can be sent at once.
#[derive(Debug, Clone)]
pub struct Ready {
    sender: SendRequest<Full<Bytes>>,
    heard: Arc<Heard>,
}

impl Link {
    /// Makes no connection yet.
    #[must_use]
    pub fn new(settings: LinkSettings) -> Self {
        let origin = match &settings.address {
            Address::Http(authority) => (Scheme::HTTP, authority.clone()),
            Address::Https(authority) => (Scheme::HTTPS, authority.clone()),
            Address::Unix(_) => (Scheme::HTTP, Authority::from_static("localhost")),
        };
        Self {
            connector: Connector::new(&settings.address, settings.tls.as_ref(), settings.connect_timeout),
            origin,
            token: settings.token,
            lanes: Default::default(),
            connecting: tokio::sync::Mutex::new(Attempts {
                not_before: Instant::now(),
                pause: SHORTEST_PAUSE,
                last: None,
            }),
            failures: AtomicU64::new(0),
        }
    }

    /// As errors name the server.
    #[must_use]
    pub const fn name(&self) -> &str {
        self.connector.name()
    }

    /// The whole URI of a path at the server.
    ///
    /// # Errors
    /// It is no path.
    pub fn uri(&self, path: &str) -> Result<Uri, http::Error> {
        let mut parts = Parts::default();
        parts.scheme = Some(self.origin.0.clone());
        parts.authority = Some(self.origin.1.clone());
        parts.path_and_query = Some(PathAndQuery::try_from(path)?);
        Ok(Uri::from_parts(parts)?)
    }

    /// A connection on which a request can be sent: one that is open, or a new one.
    ///
    /// # Errors
    /// The one attempt that was made, by whomsoever, failed.
    pub async fn ready(&self) -> Result<Ready, SendError> {
        if let Some(ready) = self.open(PLENTY) {
            return Ok(ready);
        }
        let failures = self.failures.load(Ordering::Acquire);
        let mut attempts = self.connecting.lock().await;
        // Somebody else may have made one meanwhile; or has failed to.
        if let Some(ready) = self.open(PLENTY) {
            return Ok(ready);
        }
        if self.failures.load(Ordering::Acquire) != failures
            && let Some(last) = &attempts.last
        {
            return Err(SendError::NotSent(Arc::clone(last)));
        }
        let Some(lane) = self.lanes.iter().find(|lane| lane.is_to_be_opened()) else {
            return self.open(usize::MAX).ok_or_else(|| self.closing());
        };
        sleep_until(attempts.not_before).await;
        match self.connect().await {
            Ok(ready) => {
                attempts.pause = SHORTEST_PAUSE;
                attempts.last = None;
                *lane.0.lock() = Some(ready.clone());
                Ok(ready)
            }
            Err(error) => {
                let error = Arc::new(error);
                attempts.not_before = Instant::now() + attempts.pause.mul_f64(0.5 + fastrand::f64());
                attempts.pause = (attempts.pause * 2).min(LONGEST_PAUSE);
                attempts.last = Some(Arc::clone(&error));
                self.failures.fetch_add(1, Ordering::AcqRel);
                // One that is open serves as well as it can.
                self.open(usize::MAX).ok_or(SendError::NotSent(error))
            }
        }
    }

    /// The open connection that has least to do, if that is less than `plenty`, and that does not keep silent.
    fn open(&self, plenty: usize) -> Option<Ready> {
        let open = self.lanes.iter().filter_map(Lane::open);
        open.filter(|ready| ready.heard.busy() < plenty && !ready.heard.is_silent())
            .min_by_key(|ready| ready.heard.busy())
    }

    /// A connection over which the other side has said something.
    async fn connect(&self) -> Result<Ready, NotConnected> {
        let after = self.connector.connect_timeout();
        let connecting = async {
            let (mut attempts, mut moments) = (FuturesUnordered::new(), interval(ANOTHER_ATTEMPT));
            loop {
                tokio::select! {
                    Some(made) = attempts.next() => match made {
                        Err(_) if !attempts.is_empty() => {}
                        made => return made,
                    },
                    _ = moments.tick() => attempts.push(self.attempt()),
                }
            }
        };
        let too_slow = || NotConnected::TooSlow { server: self.name().into(), after };
        timeout(after, connecting).await.map_err(|_| too_slow())?
    }

    async fn attempt(&self) -> Result<Ready, NotConnected> {
        let server = || self.name().into();
        let Connected { stream, chose_http2 } = self.connector.connect(true).await?;
        if chose_http2 == Some(false) {
            return Err(NotConnected::Protocol { server: server() });
        }
        let heard = Heard::new();
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .max_header_list_size(MAX_HEADER_BYTES)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .handshake(TokioIo::new(Listening::new(stream, Arc::clone(&heard))))
            .await
            .map_err(|cause| NotConnected::Handshake { server: server(), cause })?;
        let name: Box<str> = server();
        let speaking = tokio::spawn(async move {
            // Whoever waits for an answer over it has the error as well.
            connection
                .await
                .inspect_err(|error| tracing::debug!(%error, server = name, "a connection ended badly"))
        });
        tokio::select! {
            // Whoever speaks HTTP/2 says so at once.
            () = heard.something() => {}
            ended = speaking => {
                return Err(match ended {
                    Ok(Err(cause)) => NotConnected::Handshake { server: server(), cause },
                    Ok(Ok(())) | Err(_) => NotConnected::Closing { server: server() },
                });
            }
        }
        Ok(Ready { sender, heard })
    }

    fn closing(&self) -> SendError {
        SendError::NotSent(Arc::new(NotConnected::Closing { server: self.name().into() }))
    }
}

impl Lane {
    fn open(&self) -> Option<Ready> {
        let mut ready = self.0.lock();
        if ready.as_ref().is_some_and(|ready| ready.sender.is_closed()) {
            *ready = None;
        }
        ready.clone()
    }

    /// Whether it has no connection, or one that nobody should wait for.
    fn is_to_be_opened(&self) -> bool {
        self.open().is_none_or(|ready| ready.heard.is_silent())
    }
}

impl Ready {
    /// Sends a request of `link`. [`Busy`] is to be kept until its answer was read.
    ///
    /// # Errors
    /// There is no answer.
    pub async fn send(
        &mut self,
        link: &Link,
        mut request: Request<Full<Bytes>>,
    ) -> Result<(Response<Incoming>, Busy), SendError> {
        if let Some(Token(token)) = &link.token {
            request.headers_mut().insert(AUTHORIZATION, token.clone());
        }
        let busy = self.heard.begin();
        match self.sender.try_send_request(request).await {
            Ok(response) => Ok((response, busy)),
            Err(mut failed) => {
                let was_sent = failed.take_message().is_none();
                let cause = failed.into_error();
                if was_sent && !is_refused_stream(&cause) {
                    return Err(SendError::Lost { server: link.name().into(), cause: Arc::new(cause) });
                }
                Err(link.closing())
            }
        }
    }
}
