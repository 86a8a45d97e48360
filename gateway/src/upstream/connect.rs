//! How a connection to a server is made, up to the point where a request can be sent on it.

use std::sync::Arc;
use std::time::Duration;

use connector::tls::Tls;
use connector::{Connected, Stream};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use listener::KEEPALIVE_INTERVAL;
use tokio::time::{Instant, timeout};

use super::error::ConnectError;
use super::last_words::{Heard, LastWords};
use super::server::MAX_STREAMS;
use super::settings::{ServerAddress, UpstreamSettings};
use crate::body::Inbound;

/// How much of one answer over HTTP/2 may wait for its visitor.
const STREAM_WINDOW: u32 = 256 << 10;

/// And of all on one connection: as much as all of them together, or a few visitors who take nothing of large answers
/// would hold up everybody who shares it with them.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MAX_STREAMS as u32;

/// The most bytes of the headers of an answer over HTTP/2.
const MAX_HEADER_BYTES: u32 = 128 << 10;

/// A connection on which nothing was sent yet.
#[derive(Debug)]
pub(crate) enum Made {
    Http1(http1::SendRequest<Inbound>, Arc<Heard>),
    Http2(http2::SendRequest<Inbound>),
}

/// Makes connections to one server.
#[derive(Debug)]
pub(crate) struct Connector {
    connector: connector::Connector,
    pub(crate) speaks_http2: bool,
    /// How long the server may take nothing of a request.
    patience: Duration,
}

impl Connector {
    pub(crate) fn new(
        address: &ServerAddress,
        tls: Option<&Arc<Tls>>,
        settings: &UpstreamSettings,
        patience: Duration,
    ) -> Self {
        Self {
            connector: connector::Connector::new(address, tls, settings.connect_timeout),
            speaks_http2: settings.http2,
            patience,
        }
    }

    /// As errors and logs name it.
    pub(crate) const fn name(&self) -> &str {
        self.connector.name()
    }

    /// How long a connection may take, up to the point where a request can be sent on it.
    pub(crate) const fn connect_timeout(&self) -> Duration {
        self.connector.connect_timeout()
    }

    /// A new connection, with HTTP/2 if the server may speak it and `http2` is wanted.
    pub(crate) async fn connect(&self, http2: bool) -> Result<Made, ConnectError> {
        let http2 = http2 && self.speaks_http2;
        let begun = Instant::now();
        let Connected { stream, chose_http2 } = self.connector.connect(http2).await?;
        let handshake = self.handshake(stream, http2 && chose_http2.unwrap_or(true));
        let after = self.connect_timeout();
        let too_slow = || ConnectError::TooSlow { server: self.name().into(), after };
        timeout(after.saturating_sub(begun.elapsed()), handshake).await.map_err(|_| too_slow())?
    }

    /// Begins to speak HTTP on a connection, in a task of its own, which ends with the connection.
    async fn handshake(&self, socket: Stream, http2: bool) -> Result<Made, ConnectError> {
        let failed = |error| ConnectError::Handshake { server: self.name().into(), error };
        if http2 {
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .keep_alive_interval(KEEPALIVE_INTERVAL)
                .max_header_list_size(MAX_HEADER_BYTES)
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .handshake(TokioIo::new(socket))
                .await
                .map_err(failed)?;
            tokio::spawn(async move { ended(connection.await) });
            return Ok(Made::Http2(sender));
        }
        let socket = LastWords::new(socket, self.patience);
        let heard = Arc::clone(socket.heard());
        let (sender, connection) =
            http1::Builder::new().handshake(TokioIo::new(socket)).await.map_err(failed)?;
        tokio::spawn(async move { ended(connection.with_upgrades().await) });
        Ok(Made::Http1(sender, heard))
    }
}

/// Whoever sent the last request on a connection has its error as well.
fn ended(result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "a connection to an application ended badly");
    }
}
