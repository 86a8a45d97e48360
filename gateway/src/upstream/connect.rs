//! How a connection to a server is made: by name, address or path, with TLS where it is wanted, up to the point where a
//! request can be sent on it.

use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use http::uri::Authority;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::error::ConnectError;
use super::last_words::{Heard, LastWords};
use super::server::MAX_STREAMS;
use super::settings::{ServerAddress, UpstreamSettings};
use super::tls::{Tls, is_http2};
use crate::body::Inbound;
use listener::{KEEPALIVE, KEEPALIVE_INTERVAL};

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
    address: ServerAddress,
    /// As errors name it.
    name: Box<str>,
    tls: Option<Arc<Tls>>,
    pub(crate) speaks_http2: bool,
    pub(crate) connect_timeout: Duration,
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
        let name = match address {
            ServerAddress::Http(authority) | ServerAddress::Https(authority) => authority.as_str().into(),
            ServerAddress::Unix(path) => path.to_string_lossy().into(),
        };
        Self {
            address: address.clone(),
            name,
            tls: tls.filter(|_| matches!(address, ServerAddress::Https(_))).cloned(),
            speaks_http2: settings.http2,
            connect_timeout: settings.connect_timeout,
            patience,
        }
    }

    /// As errors and logs name it.
    pub(crate) const fn name(&self) -> &str {
        &self.name
    }

    /// A new connection, with HTTP/2 if the server may speak it and `http2` is wanted.
    pub(crate) async fn connect(&self, http2: bool) -> Result<Made, ConnectError> {
        let http2 = http2 && self.speaks_http2;
        let connecting = async {
            match &self.address {
                ServerAddress::Unix(path) => {
                    let socket = UnixStream::connect(path).await.map_err(|error| self.refused(error))?;
                    self.handshake(socket, http2).await
                }
                ServerAddress::Http(authority) => self.handshake(self.tcp(authority).await?, http2).await,
                ServerAddress::Https(authority) => self.secure(authority, http2).await,
            }
        };
        let too_slow = || ConnectError::TooSlow { server: self.name.clone(), after: self.connect_timeout };
        timeout(self.connect_timeout, connecting).await.map_err(|_| too_slow())?
    }

    async fn tcp(&self, authority: &Authority) -> Result<TcpStream, ConnectError> {
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let port = authority.port_u16().unwrap_or(match self.address {
            ServerAddress::Https(_) => 443,
            ServerAddress::Http(_) | ServerAddress::Unix(_) => 80,
        });
        let unknown = |error| ConnectError::Name { host: host.into(), error };
        let addresses: Vec<_> = lookup_host((host, port)).await.map_err(unknown)?.collect();
        // One address that swallows everything must not take the time of the others.
        let share = self.connect_timeout / u32::try_from(addresses.len()).unwrap_or(1).max(1);
        let mut failed = Error::new(ErrorKind::NotFound, "the name has no address");
        for address in addresses {
            match timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(socket)) => {
                    let keepalive =
                        TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_INTERVAL);
                    let prepared = socket.set_nodelay(true);
                    prepared
                        .and_then(|()| SockRef::from(&socket).set_tcp_keepalive(&keepalive))
                        .map_err(|error| self.refused(error))?;
                    return Ok(socket);
                }
                Ok(Err(error)) => failed = error,
                Err(_) => failed = ErrorKind::TimedOut.into(),
            }
        }
        Err(self.refused(failed))
    }

    async fn secure(&self, authority: &Authority, http2: bool) -> Result<Made, ConnectError> {
        let failed = |error| ConnectError::Tls { server: self.name.clone(), error };
        let missing = || failed(Error::new(ErrorKind::NotFound, "TLS is not set up"));
        let tls = self.tls.as_ref().ok_or_else(missing)?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let server_name = match &tls.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(host.to_owned())
                .map_err(|error| failed(Error::new(ErrorKind::InvalidInput, error)))?,
        };
        let config = Arc::clone(if http2 { &tls.any } else { &tls.http1 });
        let socket = self.tcp(authority).await?;
        let secure = TlsConnector::from(config).connect(server_name, socket).await.map_err(failed)?;
        let http2 = is_http2(secure.get_ref().1.alpn_protocol());
        self.handshake(secure, http2).await
    }

    /// Begins to speak HTTP on a connection, in a task of its own, which ends with the connection.
    async fn handshake<S>(&self, socket: S, http2: bool) -> Result<Made, ConnectError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let failed = |error| ConnectError::Handshake { server: self.name.clone(), error };
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

    fn refused(&self, error: Error) -> ConnectError {
        ConnectError::Refused { server: self.name.clone(), error }
    }
}

/// Whoever sent the last request on a connection has its error as well.
fn ended(result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "a connection to an application ended badly");
    }
}
