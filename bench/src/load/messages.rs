//! Messages over WebSocket, and the echo that answers them.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use tungstenite::{Message, WebSocket};

use super::{Seen, clients};
use crate::error::{Error, Result};

/// What each message says.
const MESSAGE: &str = "a message of sixty-four bytes, as chats and dashboards send them";

/// An application that sends back what it gets. It runs in this process until its end, and is not counted.
#[derive(Debug)]
pub(crate) struct Echo(SocketAddr);

impl Echo {
    /// Starts it on a port that is free.
    pub(crate) fn start() -> Result<Self> {
        let socket = TcpListener::bind("127.0.0.1:0").map_err(Error::file("the echo"))?;
        let address = socket.local_addr().map_err(Error::file("the echo"))?;
        thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                thread::spawn(move || echo(stream));
            }
        });
        Ok(Self(address))
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.0
    }
}

/// Until the other side leaves.
fn echo(stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let Ok(mut socket) = tungstenite::accept(stream) else { return };
    while let Ok(message) = socket.read() {
        if message.is_text() && socket.send(message).is_err() {
            return;
        }
    }
}

/// Each client sends a message when it has the answer to the one before.
pub(super) fn send(to: SocketAddr, connections: u32, length: Duration) -> Result<Seen> {
    let again = |socket: &mut WebSocket<TcpStream>| {
        socket.send(Message::text(MESSAGE)).map_err(failed)?;
        match socket.read().map_err(failed)? {
            Message::Text(text) if text.as_str() == MESSAGE => Ok(()),
            other => Err(Error::Load(format!("WebSocket: expected an echo, got {other:?}"))),
        }
    };
    clients::repeat(connections, length, || open(to), again)
}

fn open(to: SocketAddr) -> Result<WebSocket<TcpStream>> {
    let stream = TcpStream::connect(to).map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(failed)?;
    let (socket, _) = tungstenite::client(format!("ws://{to}/"), stream).map_err(failed)?;
    Ok(socket)
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Load(format!("WebSocket: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_comes_back() {
        assert_eq!(MESSAGE.len(), 64);
        let echo = Echo::start().unwrap();
        let seen = send(echo.address(), 2, Duration::from_millis(200)).unwrap();
        assert!(seen.requests > 2, "{seen:?}");
    }
}
