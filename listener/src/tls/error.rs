//! What can be wrong with the files of TLS. Each says which file it is, and how to mend it.

use std::path::PathBuf;

use rustls::pki_types::pem;
use rustls::server::VerifierBuilderError;

/// TLS cannot be set up with these files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is no PEM.
    #[error("cannot read {}: {cause}; it must be there, readable for this process, and in PEM", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why.
        cause: pem::Error,
    },
    /// A file of certificates has none.
    #[error("{} holds no certificate: it needs a section BEGIN CERTIFICATE", .0.display())]
    NoCertificate(PathBuf),
    /// A certificate cannot be read.
    #[error("the first certificate in {} is malformed: issue it again", .0.display())]
    Malformed(PathBuf),
    /// The certificate and the key are no pair, or the key is of a kind that is not supported.
    #[error("{} and {} cannot be used together: {cause}; a key belongs to one certificate, and is RSA, ECDSA or Ed25519", certificate.display(), key.display())]
    KeyPair {
        /// The certificate.
        certificate: PathBuf,
        /// The key.
        key: PathBuf,
        /// Why.
        cause: rustls::Error,
    },
    /// An authority for clients cannot be used.
    #[error("a certificate in {} cannot be an authority for clients: {cause}", file.display())]
    Authority {
        /// Which file.
        file: PathBuf,
        /// Why.
        cause: rustls::Error,
    },
    /// The authorities for clients cannot be used.
    #[error("the authorities for clients in {} cannot be used: {cause}", file.display())]
    Authorities {
        /// Which file.
        file: PathBuf,
        /// Why.
        cause: VerifierBuilderError,
    },
    /// The library itself cannot.
    #[error("TLS cannot be set up: {0}")]
    Library(rustls::Error),
}
