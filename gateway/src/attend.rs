//! One connection of a client, from the moment it is accepted to its end.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use listener::proxy_protocol::ProxyError;
use listener::{Accepted, NotEntered, Stream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

use crate::Gateway;
use crate::connection::{Connection, Seat};
use crate::counters::{Counted, Counters};
use crate::link::Link;
use crate::phase::Phase;
use crate::settings::Limits;
use crate::stream::Streams;

/// The name of HTTP/2 in the handshake of TLS.
const H2: &[u8] = b"h2";

/// How long a client may take to answer a PING.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How much of the bodies of requests may wait to be passed on: of one, and of all on a connection.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;

/// How much of one answer may wait for its client.
const SEND_BUFFER: usize = 64 << 10;

/// What somebody is told who does not speak TLS where everybody does.
const NOT_TLS: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 65\r\n\
    Connection: close\r\n\r\nThis port speaks HTTPS: begin the address with https:// instead.\n";

impl Gateway {
    /// Serves a connection to its end.
    pub(crate) async fn attend(
        self: Arc<Self>,
        accepted: Accepted,
        open: Counted,
        stopping: CancellationToken,
    ) {
        let (limits, counters) = {
            let service = self.service.load();
            (service.limits, Arc::clone(&service.counters))
        };
        let phase = Arc::new(Phase::default());
        let entering = stopping.run_until_cancelled(accepted.enter(limits.header_timeout));
        let arrival = match entering.await {
            Some(Ok(arrival)) => arrival,
            Some(Err(refused)) => return turn_away(refused, open, limits, &counters).await,
            None => return,
        };
        let link = Arc::new(Link::of(&arrival));
        let protocol = arrival.secured.as_ref().and_then(|secured| secured.protocol.as_deref());
        let seat = Seat { _seat: arrival.seat, _open: open };
        let mut connection = Connection::new(arrival.stream, Arc::clone(&phase), limits).holding(seat);
        let is_http2 = match protocol {
            Some(protocol) => protocol == H2,
            None if limits.http2.in_the_clear && !link.is_secure => {
                match stopping.run_until_cancelled(connection.begins_http2()).await {
                    Some(Ok(is_http2)) => is_http2,
                    Some(Err(error)) => return ended_badly(&error),
                    None => return,
                }
            }
            None => false,
        };
        if is_http2 {
            self.serve_http2(connection.into_http2(), link, phase, limits, &stopping).await;
        } else {
            self.serve_http1(connection, link, phase, limits, &stopping).await;
        }
    }

    async fn serve_http1(
        self: Arc<Self>,
        connection: Connection<Stream>,
        link: Arc<Link>,
        phase: Arc<Phase>,
        limits: Limits,
        stopping: &CancellationToken,
    ) {
        let (counters, over) = self.at_the_end();
        let answering = service_fn(move |request: Request<Incoming>| {
            let (service, link, phase) = (self.service.load_full(), Arc::clone(&link), Arc::clone(&phase));
            async move { Ok::<_, Infallible>(service.answer(request, &link, &phase).await) }
        });
        let serving = http1(&limits).serve_connection(TokioIo::new(connection), answering).with_upgrades();
        let mut serving = pin!(serving);
        let ended = tokio::select! {
            ended = serving.as_mut() => Some(ended),
            () = stopping.cancelled() => {
                serving.as_mut().graceful_shutdown();
                over.run_until_cancelled(serving).await
            }
        };
        if let Some(Err(error)) = ended {
            if error.is_parse() {
                // The library has answered it.
                counters.refuse("malformed");
            }
            ended_badly(&error);
        }
    }

    async fn serve_http2(
        self: Arc<Self>,
        connection: Connection<Stream>,
        link: Arc<Link>,
        phase: Arc<Phase>,
        limits: Limits,
        stopping: &CancellationToken,
    ) {
        let (counters, over) = self.at_the_end();
        let streams = Streams::new(Arc::clone(&phase), limits.write_timeout);
        let requests = Arc::clone(&phase);
        let answering = service_fn(move |request: Request<Incoming>| {
            let (service, link, phase) = (self.service.load_full(), Arc::clone(&link), Arc::clone(&requests));
            async move { Ok::<_, Infallible>(service.answer(request, &link, &phase).await) }
        });
        let mut serving = pin!(http2(&limits, streams).serve_connection(TokioIo::new(connection), answering));
        let mut is_ending = false;
        let ended = loop {
            tokio::select! {
                ended = serving.as_mut() => break ended,
                () = over.cancelled() => return,
                () = phase.flood.notified() => {
                    counters.refuse("reset_flood");
                    tracing::debug!("a client asked for much and wanted none of it; its connection is closed");
                    return;
                }
                () = phase.retire.notified(), if !is_ending => {
                    is_ending = true;
                    serving.as_mut().graceful_shutdown();
                }
                () = stopping.cancelled(), if !is_ending => {
                    is_ending = true;
                    serving.as_mut().graceful_shutdown();
                }
            }
        };
        if let Err(error) = ended {
            ended_badly(&error);
        }
    }

    fn at_the_end(&self) -> (Arc<Counters>, CancellationToken) {
        let service = self.service.load();
        (Arc::clone(&service.counters), service.over.clone())
    }
}

fn http1(limits: &Limits) -> http1::Builder {
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

/// The library bounds what else a client could flood us with: heads in endless CONTINUATION frames (RUSTSEC-2024-0332),
/// resets of what was not looked at yet, resets that we owe it, SETTINGS and PING that it does not let us answer.
fn http2(limits: &Limits, streams: Streams) -> http2::Builder<Streams> {
    let mut http = http2::Builder::new(streams);
    http.timer(TokioTimer::new())
        .max_concurrent_streams(limits.http2.max_streams)
        .max_header_list_size(u32::try_from(limits.max_header_bytes).unwrap_or(u32::MAX))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(limits.http2.ping_interval)
        .keep_alive_timeout(PING_TIMEOUT);
    http
}

fn ended_badly(error: &(dyn std::error::Error + 'static)) {
    tracing::debug!(error, "a client's connection ended badly");
}

/// Somebody did not get in.
async fn turn_away(refused: NotEntered, open: Counted, limits: Limits, counters: &Counters) {
    counters.refuse(match &refused {
        NotEntered::TooSlow(_) => "slow_handshake",
        NotEntered::Proxy(_) => "proxy_header",
        NotEntered::NotTls(..) => "not_tls",
        NotEntered::Handshake(_) => "tls_handshake",
        // Load balancers look whether we are there, and browsers connect ahead of need.
        NotEntered::Gone => return,
    });
    match refused {
        NotEntered::Proxy(ProxyError::Missing | ProxyError::Malformed(_)) => {
            tracing::warn!(error = %refused, "a connection was refused");
        }
        NotEntered::NotTls(socket, seat) => {
            let seat = Seat { _seat: seat, _open: open };
            let connection = Connection::new(Stream::Plain(socket), Arc::default(), limits).holding(seat);
            if let Err(error) = tell_about_tls(connection).await {
                tracing::debug!(%error, "a client that does not speak TLS could not be told so");
            }
        }
        _ => tracing::debug!(error = %refused, "a connection was refused"),
    }
}

/// Answers what looks like HTTP.
async fn tell_about_tls(mut connection: Connection<Stream>) -> io::Result<()> {
    if connection.read_u8().await?.is_ascii_uppercase() {
        connection.write_all(NOT_TLS).await?;
        connection.shutdown().await?;
    }
    Ok(())
}
