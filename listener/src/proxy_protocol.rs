//! The PROXY protocol: a proxy that passes bytes on says first who sends them (haproxy.org, proxy-protocol.txt).
//!
//! Anybody could say it, so it is only read from networks that were named; from these it must be there, or a client that
//! gets past the proxy could be who it likes. Version 1 is a line of at most 107 bytes, version 2 a block with its length
//! at the front. What follows is somebody else's, so not a byte too much is read.

mod binary;
mod text;

use std::io;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// How version 2 begins. No other protocol does.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The longest line of version 1, its end included.
const MAX_LINE: usize = 107;
/// The most that version 2 may say after its first 16 bytes: addresses of 216 bytes at most, and extensions.
const MAX_BLOCK: usize = 4096;

/// The proxies that say who comes.
#[derive(Debug, Clone)]
pub struct ProxyProtocol {
    from: Box<[IpNet]>,
}

/// A proxy did not say who comes.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// It says nothing, or something else.
    #[error(
        "a connection from a network in `proxy_protocol` does not begin with a PROXY header: switch it on in the proxy (HAProxy: `send-proxy-v2`), or take the network out"
    )]
    Missing,
    /// It begins like a header and is none.
    #[error("a proxy sent a malformed PROXY header: {0}")]
    Malformed(&'static str),
    /// It went away before it was finished.
    #[error("a proxy broke off in its PROXY header: {0}")]
    Broken(#[from] io::Error),
}

impl ProxyProtocol {
    /// Proxies in these networks say who comes.
    #[must_use]
    pub fn new(from: impl IntoIterator<Item = IpNet>) -> Self {
        Self { from: from.into_iter().collect() }
    }

    /// Whether a connection from there begins with a header. Others are what they are.
    #[must_use]
    pub fn covers(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.from.iter().any(|network| network.contains(&peer))
    }

    /// Reads the header, and nothing after it: who comes, or nothing where the proxy speaks for itself or does not know.
    ///
    /// # Errors
    /// There is none, or it is malformed.
    pub async fn read(source: &mut (impl AsyncRead + Unpin)) -> Result<Option<SocketAddr>, ProxyError> {
        // The shortest of either version is longer than this.
        let mut start = [0; SIGNATURE.len()];
        let mut filled = 0;
        // What is no header is refused at once: its client may wait for an answer before it says more.
        while let Some(rest) = start.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match source.read(rest).await? {
                0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                read => filled += read,
            }
            let so_far = start.get(..filled).unwrap_or_default();
            if !SIGNATURE.starts_with(so_far) && !text::may_begin(so_far) {
                return Err(ProxyError::Missing);
            }
        }
        if start == SIGNATURE { Self::read_block(source).await } else { Self::read_line(start, source).await }
    }

    async fn read_line(
        start: [u8; SIGNATURE.len()],
        source: &mut (impl AsyncRead + Unpin),
    ) -> Result<Option<SocketAddr>, ProxyError> {
        let mut line = start.to_vec();
        while line.last() != Some(&b'\n') {
            if line.len() == MAX_LINE {
                return Err(ProxyError::Malformed("the line has more than 107 bytes"));
            }
            line.push(source.read_u8().await?);
        }
        text::parse(&line).map_err(ProxyError::Malformed)
    }

    async fn read_block(source: &mut (impl AsyncRead + Unpin)) -> Result<Option<SocketAddr>, ProxyError> {
        let mut rest = [0; 4];
        source.read_exact(&mut rest).await?;
        let [command, family, length @ ..] = rest;
        let length = usize::from(u16::from_be_bytes(length));
        if length > MAX_BLOCK {
            return Err(ProxyError::Malformed("it is longer than 4096 bytes"));
        }
        let mut block = vec![0; length];
        source.read_exact(&mut block).await?;
        binary::parse(command, family, &block).map_err(ProxyError::Malformed)
    }
}

#[cfg(test)]
mod tests;
