//! TLS from the side of a visitor, and the certificate that every server shows here.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use interop::{Authority, Issued};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::{Seen, clients};
use crate::error::{Error, Result};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// What an answer may have here.
const LARGEST: u64 = 16 << 10;

/// A certificate for `localhost` with its key, ECDSA on P-256, and what a client needs to believe it.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) issued: Issued,
    client: Arc<ClientConfig>,
}

impl Certificate {
    /// The one of this run.
    pub(crate) fn of_this_run() -> Result<&'static Self> {
        static MADE: OnceLock<Certificate> = OnceLock::new();
        if let Some(made) = MADE.get() {
            return Ok(made);
        }
        let new = Self::new()?;
        Ok(MADE.get_or_init(|| new))
    }

    fn new() -> Result<Self> {
        let failed = |error: String| Error::Load(format!("TLS: {error}"));
        let authority = Authority::new()?;
        let mut roots = RootCertStore::empty();
        CertificateDer::from_pem_slice(authority.certificate().as_bytes())
            .map_err(|error| error.to_string())
            .and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()))
            .map_err(failed)?;
        // Of the ways to agree on a key, one that every server here knows: what they prefer beyond it is another matter.
        let kx_groups = vec![aws_lc_rs::kx_group::X25519];
        let provider = CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() };
        let mut client = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = vec![b"http/1.1".to_vec()];
        client.resumption = Resumption::disabled();
        Ok(Self { issued: authority.server(&["localhost"])?, client: Arc::new(client) })
    }
}

/// A connection of a visitor, in the clear or over TLS.
pub(crate) enum Client {
    Clear(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Client {
    /// Connects in the clear.
    pub(crate) fn clear(to: SocketAddr) -> Result<Self> {
        connect(to).map(Self::Clear).map_err(failed)
    }

    /// Connects over TLS, with a whole handshake.
    pub(crate) fn tls(to: SocketAddr) -> Result<Self> {
        let certificate = Certificate::of_this_run()?;
        let name = ServerName::try_from("localhost").map_err(failed)?;
        let connection = ClientConnection::new(Arc::clone(&certificate.client), name).map_err(failed)?;
        let socket = connect(to).map_err(failed)?;
        Ok(Self::Tls(Box::new(StreamOwned::new(connection, socket))))
    }

    /// Asks for `path`, and gives the body of the answer, which says how long it is. The connection is kept.
    pub(crate) fn get(&mut self, path: &str) -> Result<String> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let answer = self.exchange(&request).map_err(failed)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        if head.starts_with("HTTP/1.1 200 ") {
            Ok(body.to_owned())
        } else {
            Err(Error::Load(format!("expected an answer, got `{head}`")))
        }
    }

    fn exchange(&mut self, request: &str) -> std::io::Result<String> {
        self.write_all(request.as_bytes())?;
        self.flush()?;
        let mut answer = Vec::new();
        let mut some = [0; 2048];
        loop {
            let read = self.read(&mut some)?;
            answer.extend_from_slice(some.get(..read).unwrap_or_default());
            let text = String::from_utf8_lossy(&answer);
            if is_whole(&text) || read == 0 || answer.len() as u64 > LARGEST {
                return Ok(text.into_owned());
            }
        }
    }
}

impl Read for Client {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Clear(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Client {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Clear(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Clear(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// New connections, one after the other for each client, with one request each.
pub(super) fn handshakes(to: SocketAddr, path: &str, connections: u32, length: Duration) -> Result<Seen> {
    clients::repeat(connections, length, || Ok(()), |()| Client::tls(to)?.get(path).map(drop))
}

fn connect(to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpStream::connect_timeout(&to, PATIENCE)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// Whether an answer is there with all of its body.
fn is_whole(answer: &str) -> bool {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    length.is_none_or(|length| body.len() >= length)
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Load(format!("a visitor's connection: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_body_is_there() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n";
        assert!(!is_whole("HTTP/1.1 200 OK\r\n") && !is_whole(head) && !is_whole(&format!("{head}ab")));
        assert!(is_whole(&format!("{head}abc")));
    }
}
