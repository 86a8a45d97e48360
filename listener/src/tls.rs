//! TLS for those who come in: which certificate each is shown, and who may have to show one.
//!
//! Everything comes from files, and the files change under a running process. So what was made of them is one immutable
//! value, exchanged as a whole: a handshake sees the old files or the new ones, and files that are broken change nothing.
//! Sessions are resumed by tickets whose keys never leave this process and are replaced by themselves.

mod certificates;
mod client;
mod error;
mod watch;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, ProducesTickets, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub use client::ClientCertificate;
pub use error::TlsError;

use certificates::Certificates;

/// What is agreed upon with whom. Names of files are absolute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    /// The certificates; a client gets one that is made out to the name it asks for, and else the first. Never empty.
    pub certificates: Vec<KeyPair>,
    /// The oldest version that is spoken.
    pub minimum: Minimum,
    /// Whether clients show certificates.
    pub clients: Option<ClientSettings>,
    /// What is spoken over it, the best first (ALPN). A client that names none of these is turned away.
    pub protocols: Vec<&'static [u8]>,
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyPair {
    /// PEM: the certificate first, then those that lead to its authority.
    pub certificate: PathBuf,
    /// PEM: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
}

/// The oldest version of TLS that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Minimum {
    /// TLS 1.2, with forward secrecy and authenticated encryption only.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// Which clients show certificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientSettings {
    /// PEM: the authorities whose certificates are believed.
    pub authorities: PathBuf,
    /// Whether one without a certificate is turned away. One with a certificate that is not believed always is.
    pub is_required: bool,
}

/// TLS, ready to shake hands.
pub struct Tls {
    settings: TlsSettings,
    provider: Arc<CryptoProvider>,
    current: ArcSwap<Current>,
    /// How the files were before they were last read.
    seen: Mutex<Vec<watch::Stamp>>,
}

/// What was made of the files at one moment.
struct Current {
    config: Arc<ServerConfig>,
    /// The bytes of the authorities, to see whether they have changed.
    authorities: Vec<u8>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// A file is missing, or is not what it should be.
    pub fn open(settings: TlsSettings) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let seen = Mutex::new(watch::stamps(&settings));
        let current = Current::read(&settings, &provider, None)?;
        Ok(Self { settings, provider, current: ArcSwap::from_pointee(current), seen })
    }

    /// Reads the files again. Handshakes from now on go by them; connections stay as they are.
    ///
    /// # Errors
    /// As for [`Tls::open`], and then everything is as it was.
    pub fn reload(&self) -> Result<(), TlsError> {
        // One at a time, and what changes while the files are read is seen the next time.
        let mut seen = self.seen.lock();
        *seen = watch::stamps(&self.settings);
        let next = Current::read(&self.settings, &self.provider, Some(&self.current.load()))?;
        self.current.store(Arc::new(next));
        Ok(())
    }

    /// What it was made of.
    pub const fn settings(&self) -> &TlsSettings {
        &self.settings
    }

    /// Shakes hands. Whoever calls it sets a bound on the time.
    pub(crate) async fn accept(&self, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = Arc::clone(&self.current.load().config);
        TlsAcceptor::from(config).accept(socket).await
    }
}

impl TlsSettings {
    fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let pairs = self.certificates.iter().flat_map(|pair| [&pair.certificate, &pair.key]);
        pairs.chain(self.clients.iter().map(|clients| &clients.authorities))
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tls").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Current {
    fn read(
        settings: &TlsSettings,
        provider: &Arc<CryptoProvider>,
        before: Option<&Self>,
    ) -> Result<Self, TlsError> {
        let certificates = Certificates::read(&settings.certificates, provider)?;
        let (verifier, authorities) = match &settings.clients {
            Some(clients) => verifier(clients, provider)?,
            None => (Arc::new(NoClientAuth) as Arc<dyn ClientCertVerifier>, Vec::new()),
        };
        let versions: &[&SupportedProtocolVersion] = match settings.minimum {
            Minimum::Tls12 => &[&TLS13, &TLS12],
            Minimum::Tls13 => &[&TLS13],
        };
        let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(versions)
            .map_err(TlsError::Library)?
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(certificates));
        config.alpn_protocols = settings.protocols.iter().map(|protocol| protocol.to_vec()).collect();
        // A ticket holds the client's certificate, which is not judged again when it is used: tickets that were given
        // under other authorities are worth nothing.
        config.ticketer = match before.filter(|before| before.authorities == authorities) {
            Some(before) => Arc::clone(&before.config.ticketer),
            None => tickets()?,
        };
        Ok(Self { config: Arc::new(config), authorities })
    }
}

fn tickets() -> Result<Arc<dyn ProducesTickets>, TlsError> {
    aws_lc_rs::Ticketer::new().map_err(TlsError::Library)
}

fn verifier(
    clients: &ClientSettings,
    provider: &Arc<CryptoProvider>,
) -> Result<(Arc<dyn ClientCertVerifier>, Vec<u8>), TlsError> {
    let file = &clients.authorities;
    let mut roots = RootCertStore::empty();
    let mut bytes = Vec::new();
    for certificate in certificates::chain(file)? {
        bytes.extend_from_slice(&certificate);
        roots.add(certificate).map_err(|cause| TlsError::Authority { file: file.clone(), cause })?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = if clients.is_required { builder } else { builder.allow_unauthenticated() };
    let verifier = builder.build().map_err(|cause| TlsError::Authorities { file: file.clone(), cause })?;
    Ok((verifier, bytes))
}

#[cfg(test)]
mod tests;
