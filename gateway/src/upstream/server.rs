//! One server of an application: its open connections, what it has to do, and how it is.
//!
//! Connections that wait for a request are in a list of the server, the one that was used last in front: what is not
//! needed gets old and is closed. Those that speak HTTP/2 are shared. Each server has its own short locks, which nobody
//! holds while waiting.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use connector::tls::Tls;
use http::HeaderValue;
use hyper::client::conn::{http1, http2};
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::connect::{Connector, Made};
use super::connection::{Connection, Sender};
use super::error::ConnectError;
use super::health::Health;
use super::last_words::Heard;
use super::settings::{ServerAddress, ServerSettings, UpstreamSettings};
use crate::body::Inbound;

/// How many idle connections to one server are kept, and how long: less than the five seconds after which common
/// servers close theirs, so that hardly a request meets a connection that is being closed.
const MAX_IDLE: usize = 256;
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// How many requests share one connection with HTTP/2 before another one is made; servers allow about as many.
pub(super) const MAX_STREAMS: usize = 100;

/// What a connection is counted to have that shall get no more: far above all that it can have.
pub(super) const RETIRED: usize = usize::MAX / 2;

/// A server of an application.
#[derive(Debug)]
pub(crate) struct Server {
    /// What it is asked as, where the visitor's host is not passed on.
    pub(crate) host: HeaderValue,
    /// Whether it is asked over TLS.
    pub(crate) is_secure: bool,
    pub(crate) weight: u32,
    pub(crate) health: Health,
    in_flight: AtomicU32,
    connector: Connector,
    idle: Mutex<VecDeque<Idle>>,
    /// Somebody closes what gets old.
    is_watched: AtomicBool,
    shared: Mutex<Vec<Shared>>,
    /// One at a time makes a connection that all may share.
    connecting: tokio::sync::Mutex<()>,
    /// It was asked for HTTP/2 and has chosen HTTP/1.1, so that there is nothing to wait for.
    prefers_http1: AtomicBool,
}

/// A connection that waits for a request.
#[derive(Debug)]
struct Idle {
    sender: http1::SendRequest<Inbound>,
    heard: Arc<Heard>,
    since: Instant,
}

/// A connection with HTTP/2.
#[derive(Debug)]
struct Shared {
    sender: http2::SendRequest<Inbound>,
    streams: Arc<AtomicUsize>,
    last_used: Instant,
}

impl Server {
    pub(crate) fn new(
        settings: &ServerSettings,
        tls: Option<&Arc<Tls>>,
        upstream: &UpstreamSettings,
        patience: Duration,
    ) -> Self {
        let host = match &settings.address {
            ServerAddress::Http(authority) | ServerAddress::Https(authority) => {
                HeaderValue::from_str(authority.as_str()).ok()
            }
            ServerAddress::Unix(_) => None,
        };
        Self {
            host: host.unwrap_or(HeaderValue::from_static("localhost")),
            is_secure: matches!(settings.address, ServerAddress::Https(_)),
            weight: settings.weight.max(1),
            health: Health::default(),
            in_flight: AtomicU32::new(0),
            connector: Connector::new(&settings.address, tls, upstream, patience),
            idle: Mutex::default(),
            is_watched: AtomicBool::new(false),
            shared: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            prefers_http1: AtomicBool::new(false),
        }
    }

    /// As logs name it.
    pub(crate) const fn name(&self) -> &str {
        self.connector.name()
    }

    /// How much it has to do, for its weight, compared without a division: times the weight of the other one.
    pub(crate) fn load(&self, other: &Self) -> u64 {
        u64::from(self.in_flight.load(Ordering::Relaxed)) * u64::from(other.weight)
    }

    /// It has one request more, until what this returns is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> Busy {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// A connection that was used before and is still open, as far as anybody knows.
    pub(crate) fn kept(&self, http2: bool, now: Instant) -> Option<Connection> {
        if http2
            && self.connector.speaks_http2
            && let Some(shared) = self.shared(now)
        {
            return Some(shared);
        }
        let mut idle = self.idle.lock();
        while let Some(Idle { sender, heard, since }) = idle.pop_back() {
            if now.saturating_duration_since(since) >= IDLE_TIMEOUT {
                // All others are older.
                idle.clear();
                return None;
            }
            if sender.is_ready() {
                return Some(Connection { sender: Sender::Http1(sender, heard), is_kept: true });
            }
        }
        None
    }

    /// A new connection; or one with HTTP/2 that somebody else has just made.
    pub(crate) async fn connect(&self, http2: bool) -> Result<Connection, ConnectError> {
        let http2 = http2 && self.connector.speaks_http2;
        // Who has waited as long as connecting may take does not wait for others any more.
        let _one_at_a_time = if http2 && !self.prefers_http1.load(Ordering::Relaxed) {
            timeout(self.connector.connect_timeout(), self.connecting.lock()).await.ok()
        } else {
            None
        };
        let now = Instant::now();
        if http2 && let Some(shared) = self.shared(now) {
            return Ok(Connection { is_kept: false, ..shared });
        }
        let made = self.connector.connect(http2).await?;
        if http2 {
            self.prefers_http1.store(matches!(made, Made::Http1(..)), Ordering::Relaxed);
        }
        let sender = match made {
            Made::Http1(sender, heard) => Sender::Http1(sender, heard),
            Made::Http2(sender) => {
                let streams = Arc::new(AtomicUsize::new(0));
                let shared = Shared { sender: sender.clone(), streams: Arc::clone(&streams), last_used: now };
                self.shared.lock().push(shared);
                Sender::http2(sender, streams)
            }
        };
        Ok(Connection { sender, is_kept: false })
    }

    /// Keeps a connection for the next request, now if it is ready, or else once it is.
    pub(crate) fn keep(self: &Arc<Self>, mut sender: http1::SendRequest<Inbound>, heard: Arc<Heard>) {
        if sender.is_ready() {
            self.put_back(sender, heard);
        } else if !sender.is_closed()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let server = Arc::downgrade(self);
            runtime.spawn(async move {
                if sender.ready().await.is_ok()
                    && let Some(server) = server.upgrade()
                {
                    server.put_back(sender, heard);
                }
            });
        }
    }

    fn put_back(self: &Arc<Self>, sender: http1::SendRequest<Inbound>, heard: Arc<Heard>) {
        let since = Instant::now();
        let mut idle = self.idle.lock();
        if idle.len() >= MAX_IDLE {
            idle.pop_front();
        }
        idle.push_back(Idle { sender, heard, since });
        drop(idle);
        if !self.is_watched.swap(true, Ordering::Relaxed) {
            tokio::spawn(watch(Arc::downgrade(self)));
        }
    }

    /// A connection with HTTP/2 that has room.
    fn shared(&self, now: Instant) -> Option<Connection> {
        let mut all = self.shared.lock();
        // Whoever uses a connection that goes holds it until it is done.
        all.retain(|shared| {
            let streams = shared.streams.load(Ordering::Relaxed);
            !shared.sender.is_closed()
                && streams < RETIRED
                && (streams > 0 || now.saturating_duration_since(shared.last_used) < IDLE_TIMEOUT)
        });
        let with_room = all.iter_mut().find(|shared| shared.streams.load(Ordering::Relaxed) < MAX_STREAMS)?;
        with_room.last_used = now;
        let sender = Sender::http2(with_room.sender.clone(), Arc::clone(&with_room.streams));
        Some(Connection { sender, is_kept: true })
    }
}

/// Closes connections that nobody needed, until there are none.
async fn watch(server: Weak<Server>) {
    loop {
        sleep(IDLE_TIMEOUT).await;
        let Some(server) = server.upgrade() else { return };
        let now = Instant::now();
        let is_over = {
            let mut idle = server.idle.lock();
            idle.retain(|kept| {
                !kept.sender.is_closed() && now.saturating_duration_since(kept.since) < IDLE_TIMEOUT
            });
            if idle.is_empty() {
                // Under the lock, so that whoever puts one in after this sees that nobody watches.
                server.is_watched.store(false, Ordering::Relaxed);
            }
            idle.is_empty()
        };
        if is_over {
            return;
        }
    }
}

/// A server has a request to answer.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Server>);

impl Busy {
    pub(crate) const fn server(&self) -> &Arc<Server> {
        &self.0
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
