//! Connections that go out, until somebody can speak over them.
//!
//! A [`Connector`] knows one [`Address`]: a host and port, with TLS or without, or a socket in the file system. It tries
//! the addresses of a name one after the other, each with its share of the time, keeps the connection alive, and shakes
//! hands for TLS where that is asked for. What is spoken over the [`Stream`] is not known here, but for its name in the
//! handshake, and for what tells whoever speaks HTTP/2 that a request was not looked at ([`is_refused_stream`]).

mod connect;
mod refused;
mod stream;
pub mod tls;

use std::fmt;
use std::path::PathBuf;

use http::uri::Authority;

pub use connect::{ConnectError, Connected, Connector};
pub use refused::{causes, is_refused_stream};
pub use stream::Stream;

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Host and port, in the clear.
    Http(Authority),
    /// Host and port, over TLS.
    Https(Authority),
    /// A socket in the file system.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    /// As errors name it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(authority) | Self::Https(authority) => authority.fmt(formatter),
            Self::Unix(path) => path.display().fmt(formatter),
        }
    }
}
