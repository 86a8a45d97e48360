//! Connections to the session server: over the network with TLS or without, or by a socket in the file system; with
//! HTTP/1 or HTTP/2.
//!
//! Each has a seat. One that has asked nothing for a while after it was opened is closed, whatever it is doing instead.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use listener::{Listener, NotEntered, Seat, Seats};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower_service::Service as _;

use crate::clients::Caller;

/// How many connections may be open at once.
const MAX_CONNECTIONS: usize = 2048;
/// How long a connection may take until it has asked for something.
const FIRST_REQUEST: Duration = Duration::from_secs(10);
/// How long one of HTTP/1 may be idle, and how long a head may take.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// How often a client with HTTP/2 is asked whether it is still there, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(15);
const PING_TIMEOUT: Duration = Duration::from_secs(15);
/// How long requests under way may take at the end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// How long accepting pauses when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Requests under way at once on one connection, and the most bytes of the head of each.
const MAX_STREAMS: u32 = 256;
const MAX_HEAD_BYTES: usize = 16 << 10;
/// How much of one request may wait to be read, and of all on a connection; and of one answer to be taken.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;
const SEND_BUFFER: usize = 256 << 10;

/// Where callers come in.
#[derive(Debug)]
pub enum Door {
    /// Over the network.
    Network(Listener),
    /// By a socket in the file system: whoever may open it is on this machine.
    File(UnixListener),
}

impl From<TcpListener> for Door {
    fn from(socket: TcpListener) -> Self {
        Self::Network(socket.into())
    }
}

/// Serves until `stop` is ready, and requests under way have ended or taken too long.
pub(crate) async fn serve(router: Router, doors: Vec<Door>, stop: impl Future<Output = ()>) {
    let (serving, stopping) = (TaskTracker::new(), CancellationToken::new());
    let seats = Seats::new(MAX_CONNECTIONS);
    for door in doors {
        let attendant = Attendant {
            router: router.clone(),
            seats: seats.clone(),
            serving: serving.clone(),
            stopping: stopping.clone(),
        };
        serving.spawn(attendant.attend(door));
    }
    stop.await;
    stopping.cancel();
    serving.close();
    if timeout(DRAIN_TIMEOUT, serving.wait()).await.is_err() {
        tracing::warn!(left = serving.len(), "calls of the session server are cut off: they take too long");
    }
}

/// Lets callers in by one door.
struct Attendant {
    router: Router,
    seats: Seats,
    serving: TaskTracker,
    stopping: CancellationToken,
}

impl Attendant {
    async fn attend(self, door: Door) {
        let stopping = self.stopping.clone();
        let attending = async {
            match door {
                Door::Network(listener) => self.attend_network(listener).await,
                Door::File(listener) => self.attend_file(listener).await,
            }
        };
        stopping.run_until_cancelled(attending).await;
    }

    async fn attend_network(&self, listener: Listener) -> Infallible {
        loop {
            let accepted = listener.accept(&self.seats).await;
            let (router, stopping) = (self.router.clone(), self.stopping.clone());
            self.serving.spawn(async move {
                match accepted.enter(FIRST_REQUEST).await {
                    Ok(arrival) => {
                        let certificate = arrival.secured.and_then(|secured| secured.client);
                        let caller = Caller { address: arrival.peer.ip(), certificate };
                        speak(arrival.stream, caller, router, arrival.seat, stopping).await;
                    }
                    Err(NotEntered::Gone) => {}
                    Err(refused) => tracing::debug!(error = %refused, "a connection was refused"),
                }
            });
        }
    }

    async fn attend_file(&self, listener: UnixListener) -> Infallible {
        loop {
            let seat = self.seats.take().await;
            match listener.accept().await {
                Ok((socket, _)) => {
                    let caller = Caller { address: IpAddr::V4(Ipv4Addr::LOCALHOST), certificate: None };
                    let (router, stopping) = (self.router.clone(), self.stopping.clone());
                    self.serving.spawn(speak(socket, caller, router, seat, stopping));
                }
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted for a moment");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn speak<S>(socket: S, caller: Caller, router: Router, _seat: Seat, stopping: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let has_asked = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&has_asked);
    let answering = service_fn(move |request: Request<Incoming>| {
        asked.store(true, Ordering::Relaxed);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(caller.clone());
        router.clone().call(request)
    });
    let http = http();
    let mut serving = pin!(http.serve_connection(TokioIo::new(socket), answering));
    let mut silence = pin!(sleep(FIRST_REQUEST));
    let (mut is_heard, mut is_ending) = (false, false);
    let ended = loop {
        tokio::select! {
            ended = serving.as_mut() => break ended,
            () = silence.as_mut(), if !is_heard => {
                if !has_asked.load(Ordering::Relaxed) {
                    return;
                }
                is_heard = true;
            }
            () = stopping.cancelled(), if !is_ending => {
                is_ending = true;
                serving.as_mut().graceful_shutdown();
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a caller's connection ended badly");
    }
}

fn http() -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_TIMEOUT)
        .half_close(false)
        .max_buf_size(MAX_HEAD_BYTES.max(64 << 10));
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES as u32)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    http
}
