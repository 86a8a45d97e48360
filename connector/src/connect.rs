//! How a connection to a server is made.

use std::io::{Error, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use http::uri::Authority;
use listener::{KEEPALIVE, KEEPALIVE_INTERVAL};
use rustls::pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::tls::{Tls, is_http2};
use crate::{Address, Stream};

/// Makes connections to one server.
#[derive(Debug)]
pub struct Connector {
    address: Address,
    /// As errors name it.
    name: Box<str>,
    tls: Option<Arc<Tls>>,
    connect_timeout: Duration,
}

/// A connection over which nothing was said yet.
#[derive(Debug)]
pub struct Connected {
    /// Over which to speak.
    pub stream: Stream,
    /// Whether the server has chosen HTTP/2 in the handshake of TLS; `None` where there was none.
    pub chose_http2: Option<bool>,
}

/// Why there is no connection to a server. Nothing of a request has reached it.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Its name has no address.
    #[error("the name {host} is not known: {error}")]
    Name {
        /// The name.
        host: Box<str>,
        /// What the system says.
        error: Error,
    },
    /// It refuses, or cannot be reached.
    #[error("{server} takes no connection: {error}")]
    Refused {
        /// Which server.
        server: Box<str>,
        /// What the system says.
        error: Error,
    },
    /// It says nothing.
    #[error("{server} did not take a connection within {} ms", .after.as_millis())]
    TooSlow {
        /// Which server.
        server: Box<str>,
        /// How long it was waited for.
        after: Duration,
    },
    /// There is no agreement, or no trust.
    #[error("{server} and we do not agree on TLS: {error}")]
    Tls {
        /// Which server.
        server: Box<str>,
        /// What the TLS library says.
        error: Error,
    },
}

impl Connector {
    /// For the server at `address`, which may take `connect_timeout` for a connection, the handshake of TLS included.
    #[must_use]
    pub fn new(address: &Address, tls: Option<&Arc<Tls>>, connect_timeout: Duration) -> Self {
        Self {
            name: address.to_string().into(),
            tls: tls.filter(|_| matches!(address, Address::Https(_))).cloned(),
            address: address.clone(),
            connect_timeout,
        }
    }

    /// As errors and logs name it.
    #[must_use]
    pub const fn name(&self) -> &str {
        &self.name
    }

    /// How long a connection may take.
    #[must_use]
    pub const fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// A new connection. In the handshake of TLS, HTTP/2 is offered if `http2` is wanted and the settings have it.
    ///
    /// # Errors
    /// There is none within the time.
    pub async fn connect(&self, http2: bool) -> Result<Connected, ConnectError> {
        let connecting = async {
            let stream = match &self.address {
                Address::Unix(path) => {
                    Stream::Unix(UnixStream::connect(path).await.map_err(|error| self.refused(error))?)
                }
                Address::Http(authority) => Stream::Tcp(self.tcp(authority, 80).await?),
                Address::Https(authority) => return self.secure(authority, http2).await,
            };
            Ok(Connected { stream, chose_http2: None })
        };
        let too_slow = || ConnectError::TooSlow { server: self.name.clone(), after: self.connect_timeout };
        timeout(self.connect_timeout, connecting).await.map_err(|_| too_slow())?
    }

    async fn tcp(&self, authority: &Authority, port: u16) -> Result<TcpStream, ConnectError> {
        let host = bare(authority);
        let port = authority.port_u16().unwrap_or(port);
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

    async fn secure(&self, authority: &Authority, http2: bool) -> Result<Connected, ConnectError> {
        let failed = |error| ConnectError::Tls { server: self.name.clone(), error };
        let missing = || failed(Error::new(ErrorKind::NotFound, "TLS is not set up"));
        let tls = self.tls.as_ref().ok_or_else(missing)?;
        let server_name = match &tls.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(bare(authority).to_owned())
                .map_err(|error| failed(Error::new(ErrorKind::InvalidInput, error)))?,
        };
        let config = Arc::clone(if http2 { &tls.any } else { &tls.http1 });
        let socket = self.tcp(authority, 443).await?;
        let secure = TlsConnector::from(config).connect(server_name, socket).await.map_err(failed)?;
        let chose_http2 = Some(is_http2(secure.get_ref().1.alpn_protocol()));
        Ok(Connected { stream: Stream::Tls(Box::new(secure)), chose_http2 })
    }

    fn refused(&self, error: Error) -> ConnectError {
        ConnectError::Refused { server: self.name.clone(), error }
    }
}

/// A host without the brackets of an address of IPv6.
fn bare(authority: &Authority) -> &str {
    authority.host().trim_start_matches('[').trim_end_matches(']')
}
