//! TLS to a server: whom we believe, and what we show.

use std::io::Error;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Names of protocols in a handshake (RFC 7301).
const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";

/// How TLS to a server is made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsSettings {
    /// Whose certificates are believed; `None` is those whom the system believes.
    pub authorities: Option<Arc<[CertificateDer<'static>]>>,
    /// The certificate that we show.
    pub identity: Option<ClientIdentity>,
    /// The name that the server's certificate must have, and that it is asked for; `None` is the host of its address.
    pub server_name: Option<ServerName<'static>>,
    /// Whoever answers is believed to be the server: the connection is secret from those who only listen.
    pub danger_accept_any_certificate: bool,
}

/// A certificate of ours, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    /// Our own first, then those that vouch for it.
    pub chain: Arc<[CertificateDer<'static>]>,
    /// The key. It is not shown.
    pub key: Arc<PrivateKeyDer<'static>>,
}

/// What a handshake needs, for connections that may speak HTTP/2 and for those that must not.
#[derive(Debug)]
pub struct Tls {
    pub(crate) any: Arc<ClientConfig>,
    pub(crate) http1: Arc<ClientConfig>,
    pub(crate) server_name: Option<ServerName<'static>>,
}

impl Tls {
    /// Reads the system's certificates, if those are to be believed. `http2` is whether HTTP/2 is ever offered.
    ///
    /// # Errors
    /// The system's certificates cannot be read, or ours cannot be used.
    pub fn new(settings: &TlsSettings, http2: bool) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let building = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Unusable)?;
        let building = if settings.danger_accept_any_certificate {
            let anybody = Arc::new(Anybody(provider.signature_verification_algorithms));
            building.dangerous().with_custom_certificate_verifier(anybody)
        } else {
            building.with_root_certificates(roots(settings)?)
        };
        let mut http1 = match &settings.identity {
            Some(identity) => building
                .with_client_auth_cert(identity.chain.to_vec(), identity.key.clone_key())
                .map_err(TlsError::Unusable)?,
            None => building.with_no_client_auth(),
        };
        http1.alpn_protocols = vec![HTTP1.to_vec()];
        let mut any = http1.clone();
        if http2 {
            any.alpn_protocols = vec![HTTP2.to_vec(), HTTP1.to_vec()];
        }
        Ok(Self { any: Arc::new(any), http1: Arc::new(http1), server_name: settings.server_name.clone() })
    }
}

/// Whether the server has chosen HTTP/2.
pub(crate) fn is_http2(chosen: Option<&[u8]>) -> bool {
    chosen == Some(HTTP2)
}

fn roots(settings: &TlsSettings) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let Some(authorities) = &settings.authorities else {
        let system = rustls_native_certs::load_native_certs();
        // A few that cannot be read are no harm; nothing to believe in is.
        roots.add_parsable_certificates(system.certs);
        let cause = system.errors.into_iter().next();
        return if roots.is_empty() { Err(TlsError::nobody(cause)) } else { Ok(roots) };
    };
    for authority in authorities.iter() {
        roots.add(authority.clone()).map_err(TlsError::Unusable)?;
    }
    Ok(roots)
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The system's certificates, by which a server is recognised, cannot be read.
    #[error(
        "the system's root certificates cannot be read: {0}; install `ca-certificates`, or name those that count as \
         `ca_file`"
    )]
    System(Error),
    /// A certificate or key of the configuration cannot be used.
    #[error("a certificate that the configuration names for TLS cannot be used: {0}")]
    Unusable(rustls::Error),
}

impl TlsError {
    fn nobody(cause: Option<rustls_native_certs::Error>) -> Self {
        Self::System(cause.map_or_else(|| Error::other("there are none"), Error::other))
    }
}

/// Believes whoever answers. That they have the key of the certificate they show is still checked.
#[derive(Debug)]
struct Anybody(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
