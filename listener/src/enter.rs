//! From an accepted connection to one that can be spoken over.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::accept::Accepted;
use crate::proxy_protocol::{ProxyError, ProxyProtocol};
use crate::seats::Seat;
use crate::stream::Stream;
use crate::tls::{ClientCertificate, Tls};

/// The first byte of every TLS connection: a handshake record.
const HANDSHAKE: u8 = 0x16;

/// What is asked of who comes in. The default asks nothing.
#[derive(Debug, Clone, Default)]
pub struct Entrance {
    /// Proxies in front that say by the PROXY protocol who comes.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// TLS, for everybody.
    pub tls: Option<Arc<Tls>>,
}

/// A connection that has come in.
#[derive(Debug)]
pub struct Arrival {
    /// Over which to speak.
    pub stream: Stream,
    /// Who is at the other end: our peer, or whom a proxy named that may do so.
    pub peer: SocketAddr,
    /// How the connection is secured; `None` is not at all.
    pub secured: Option<Secured>,
    /// To be kept as long as the stream.
    pub seat: Seat,
}

/// What was agreed upon with TLS.
#[derive(Debug)]
pub struct Secured {
    /// The protocol to be spoken, if the client named some and one of them is known (ALPN).
    pub protocol: Option<Box<[u8]>>,
    /// The certificate of the client, verified, if it has shown one.
    pub client: Option<Arc<ClientCertificate>>,
}

/// Why a connection did not come in. Its peer is to blame, or the network; it is closed unless it is in here.
#[derive(Debug, thiserror::Error)]
pub enum NotEntered {
    /// It took too long.
    #[error("the client did not finish the PROXY header or the TLS handshake within {} ms", .0.as_millis())]
    TooSlow(Duration),
    /// A proxy did not say who comes.
    #[error("{0}")]
    Proxy(#[from] ProxyError),
    /// The client does not speak TLS. It has sent something that nobody has read; who knows what it speaks may answer.
    #[error("the client does not speak TLS")]
    NotTls(TcpStream, Seat),
    /// There is no agreement, or no trust.
    #[error("the TLS handshake failed: {0}")]
    Handshake(io::Error),
    /// It went away.
    #[error("the connection ended before anything was said")]
    Gone,
}

impl Accepted {
    /// Does what the entrance asks for, within `patience`. Where that is nothing, it is done at once.
    ///
    /// # Errors
    /// The connection cannot come in.
    pub async fn enter(self, patience: Duration) -> Result<Arrival, NotEntered> {
        let asks_proxy =
            self.entrance.proxy_protocol.as_ref().is_some_and(|proxies| proxies.covers(self.peer.ip()));
        if !asks_proxy && self.entrance.tls.is_none() {
            let Self { socket, peer, seat, .. } = self;
            return Ok(Arrival { stream: Stream::Plain(socket), peer, secured: None, seat });
        }
        timeout(patience, self.ask(asks_proxy)).await.unwrap_or(Err(NotEntered::TooSlow(patience)))
    }

    async fn ask(self, asks_proxy: bool) -> Result<Arrival, NotEntered> {
        let Self { mut socket, mut peer, seat, entrance } = self;
        if asks_proxy && let Some(named) = ProxyProtocol::read(&mut socket).await? {
            peer = named;
        }
        let Some(tls) = &entrance.tls else {
            return Ok(Arrival { stream: Stream::Plain(socket), peer, secured: None, seat });
        };
        let mut first = [0];
        match socket.peek(&mut first).await {
            Ok(0) | Err(_) => return Err(NotEntered::Gone),
            Ok(_) if first != [HANDSHAKE] => return Err(NotEntered::NotTls(socket, seat)),
            Ok(_) => {}
        }
        let stream = tls.accept(socket).await.map_err(NotEntered::Handshake)?;
        let (_, session) = stream.get_ref();
        let secured = Secured {
            protocol: session.alpn_protocol().map(Into::into),
            client: session
                .peer_certificates()
                .and_then(<[_]>::first)
                .map(|certificate| Arc::new(ClientCertificate::of(certificate))),
        };
        Ok(Arrival { stream: Stream::Tls(Box::new(stream)), peer, secured: Some(secured), seat })
    }
}
