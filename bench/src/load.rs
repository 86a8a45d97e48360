//! The load: connections that are kept, each of which sends its next request when it has the answer; or what else a
//! row is about.

mod clients;
mod h2load;
mod messages;
mod tls;
mod wrk;

use std::net::SocketAddr;
use std::time::Duration;

use crate::error::Result;

pub(crate) use h2load::Protocol;
pub(crate) use messages::Echo;
pub(crate) use tls::{Certificate, Client};
pub(crate) use wrk::Requests;

/// What is done with a server, again and again.
#[derive(Clone, Debug)]
pub(crate) enum Load {
    /// Requests in the clear.
    Clear(Requests),
    /// Requests for that path over TLS.
    Tls(Protocol, &'static str),
    /// Connections over TLS, none of which resumes an earlier one: each asks once for that path.
    Handshakes(&'static str),
    /// Messages to an echo, over WebSocket.
    Messages,
}

/// What the load saw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    /// How many requests, connections or messages were answered.
    pub(crate) requests: u64,
    /// How long it ran.
    pub(crate) microseconds: u64,
    /// Half of the answers came within these microseconds.
    pub(crate) p50: u64,
    /// 99 of 100 did.
    pub(crate) p99: u64,
}

impl Load {
    /// Goes on for that long over that many connections at a time.
    pub(crate) fn send(&self, to: SocketAddr, connections: u32, length: Duration) -> Result<Seen> {
        match self {
            Self::Clear(requests) => requests.send(to, connections, length),
            Self::Tls(protocol, path) => protocol.send(to, path, connections, length),
            Self::Handshakes(path) => tls::handshakes(to, path, connections, length),
            Self::Messages => messages::send(to, connections, length),
        }
    }
}
