//! Which certificate a client is shown: one that is made out to the name it asks for (SNI).

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::{KeyPair, TlsError};

/// Certificates by the names that they are made out to.
#[derive(Debug)]
pub(super) struct Certificates {
    /// In lower case. A name may have several: one of each kind of key.
    exact: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    /// By what follows `*.`: any one label may stand before it.
    wildcard: HashMap<Box<str>, Vec<Arc<CertifiedKey>>>,
    /// The first, for those who ask for nothing, or for a name that none is made out to.
    default: Option<Arc<CertifiedKey>>,
}

impl Certificates {
    pub(super) fn read(pairs: &[KeyPair], provider: &CryptoProvider) -> Result<Self, TlsError> {
        let mut certificates = Self { exact: HashMap::new(), wildcard: HashMap::new(), default: None };
        for pair in pairs {
            let chain = chain(&pair.certificate)?;
            let names = names(&pair.certificate, &chain)?;
            let key = PrivateKeyDer::from_pem_file(&pair.key)
                .map_err(|cause| TlsError::Unreadable { file: pair.key.clone(), cause })?;
            let certified = CertifiedKey::from_der(chain, key, provider).map_err(|cause| {
                TlsError::KeyPair { certificate: pair.certificate.clone(), key: pair.key.clone(), cause }
            })?;
            certificates.add(Arc::new(certified), names);
        }
        Ok(certificates)
    }

    fn add(&mut self, certified: Arc<CertifiedKey>, names: Vec<String>) {
        for name in names {
            let place = match name.strip_prefix("*.") {
                Some(parent) => self.wildcard.entry(parent.into()),
                None => self.exact.entry(name.into()),
            };
            place.or_default().push(Arc::clone(&certified));
        }
        self.default.get_or_insert(certified);
    }

    fn named(&self, name: &str) -> Option<&Vec<Arc<CertifiedKey>>> {
        self.exact.get(name).or_else(|| self.wildcard.get(name.split_once('.')?.1))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // The library gives it in lower case and without a last dot.
        let named = hello.server_name().and_then(|name| self.named(name));
        let fits =
            |certified: &&Arc<CertifiedKey>| certified.key.choose_scheme(hello.signature_schemes()).is_some();
        named.and_then(|all| all.iter().find(fits).or(all.first())).or(self.default.as_ref()).cloned()
    }
}

/// The certificates in a file; at least one.
pub(super) fn chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |cause| TlsError::Unreadable { file: file.to_owned(), cause };
    let chain = CertificateDer::pem_file_iter(file).map_err(unreadable)?;
    let chain: Vec<_> = chain.collect::<Result<_, _>>().map_err(unreadable)?;
    if chain.is_empty() { Err(TlsError::NoCertificate(file.to_owned())) } else { Ok(chain) }
}

/// The names that the first certificate is made out to, in lower case. Says what an operator should know about it.
fn names(file: &Path, chain: &[CertificateDer<'_>]) -> Result<Vec<String>, TlsError> {
    let malformed = || TlsError::Malformed(file.to_owned());
    let (_, certificate) =
        X509Certificate::from_der(chain.first().ok_or_else(malformed)?).map_err(|_| malformed())?;
    let alternatives = certificate.subject_alternative_name().map_err(|_| malformed())?;
    let names: Vec<String> = alternatives
        .iter()
        .flat_map(|extension| &extension.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    let (file, validity) = (file.display(), certificate.validity());
    let until = validity.not_after;
    if validity.is_valid() {
        tracing::info!(certificate = %file, %until, names = names.join(" "), "a certificate is ready");
    } else {
        tracing::warn!(certificate = %file, %until, "a certificate is out of its time, and visitors are warned of it: renew it");
    }
    Ok(names)
}
