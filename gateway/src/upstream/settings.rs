//! What the configuration says of an upstream. Two that are equal make the same connections, so that a reload which does
//! not change them keeps those that are open.

use std::time::Duration;

pub use connector::Address as ServerAddress;
pub use connector::tls::{ClientIdentity, TlsSettings};

/// Where an application is, and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamSettings {
    /// The servers that do the same; at least one, at most [`MAX_SERVERS`](Self::MAX_SERVERS).
    pub servers: Vec<ServerSettings>,
    /// Whether HTTP/2 is spoken: over TLS if the server takes it, in the clear without asking. A change of protocol
    /// (WebSocket) always gets a connection with HTTP/1.1.
    pub http2: bool,
    /// How servers over TLS are recognised, and what we show them.
    pub tls: TlsSettings,
    /// How often a request may be sent again, if that is safe.
    pub retries: u32,
    /// The longest after a request came that it is sent again.
    pub retry_timeout: Duration,
    /// The longest that connecting may take, TLS included.
    pub connect_timeout: Duration,
    /// The longest that the application may take to begin its answer, counted from when it has the whole request; and
    /// the longest that it may take nothing of what is sent to it, tunnels included.
    pub response_timeout: Duration,
}

impl UpstreamSettings {
    /// More servers than this do not fit.
    pub const MAX_SERVERS: usize = 64;

    /// These servers, and for the rest what holds where nothing is said.
    #[must_use]
    pub fn new(servers: Vec<ServerSettings>) -> Self {
        Self {
            servers,
            http2: false,
            tls: TlsSettings::default(),
            retries: 2,
            retry_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            response_timeout: Duration::from_secs(60),
        }
    }
}

/// One of the servers of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerSettings {
    /// Where it is.
    pub address: ServerAddress,
    /// Its share of the requests, relative to the others; at least 1.
    pub weight: u32,
}

impl From<ServerAddress> for ServerSettings {
    fn from(address: ServerAddress) -> Self {
        Self { address, weight: 1 }
    }
}
