//! Lets connections in, one seat each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::enter::Entrance;
use crate::seats::{Seat, Seats};

/// How long accepting pauses when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// When the system asks a silent peer whether it is still there. A tunnel may be silent as long as it likes, so nothing
/// else would tell that its client has lost power or its network.
pub const KEEPALIVE: Duration = Duration::from_secs(60);
/// And how often it asks then.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// An open port.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    entrance: Arc<ArcSwap<Entrance>>,
}

/// A connection that was accepted, and over which nothing was said yet.
#[derive(Debug)]
pub struct Accepted {
    pub(crate) socket: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) seat: Seat,
    pub(crate) entrance: Arc<Entrance>,
}

impl Listener {
    /// Lets in who comes to `socket`, by what `entrance` says at that moment: whoever holds it can change it.
    #[must_use]
    pub const fn new(socket: TcpListener, entrance: Arc<ArcSwap<Entrance>>) -> Self {
        Self { socket, entrance }
    }

    /// Lets in who comes to `socket`, as they are.
    #[must_use]
    pub fn plain(socket: TcpListener) -> Self {
        Self::new(socket, Arc::new(ArcSwap::from_pointee(Entrance::default())))
    }

    /// The next connection, once there is a seat for it. May be dropped while it waits: nobody is lost by that.
    pub async fn accept(&self, seats: &Seats) -> Accepted {
        loop {
            let seat = seats.take().await;
            match self.socket.accept().await {
                Ok((socket, peer)) => {
                    let keepalive =
                        TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE_INTERVAL);
                    let prepared = socket.set_nodelay(true);
                    match prepared.and_then(|()| SockRef::from(&socket).set_tcp_keepalive(&keepalive)) {
                        Ok(()) => {
                            return Accepted { socket, peer, seat, entrance: self.entrance.load_full() };
                        }
                        Err(error) => tracing::debug!(%error, "a connection went before it was served"),
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "no connection can be accepted for a moment");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(socket: TcpListener) -> Self {
        Self::plain(socket)
    }
}
