//! How a client is connected: what every request of a connection has in common.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use listener::tls::ClientCertificate;
use listener::{Arrival, Secured};

use crate::settings::SecureSettings;

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Link {
    /// Who is at the other end, or whom the PROXY protocol names.
    pub(crate) peer: IpAddr,
    /// Whether it is TLS.
    pub(crate) is_secure: bool,
    /// The certificate that the client has shown.
    certificate: Option<Arc<ClientCertificate>>,
}

impl Link {
    pub(crate) fn of(arrival: &Arrival) -> Self {
        let secured = arrival.secured.as_ref();
        Self {
            peer: arrival.peer.ip(),
            is_secure: secured.is_some(),
            certificate: secured.and_then(|Secured { client, .. }| client.clone()),
        }
    }

    /// Tells the application which certificate the client has shown. What others said about it was removed before.
    pub(crate) fn present(&self, settings: &SecureSettings, headers: &mut HeaderMap) {
        let Some(certificate) = &self.certificate else { return };
        let mut insert = |name: &Option<HeaderName>, value: Option<&str>| {
            // Both are visible ASCII.
            if let Some((name, value)) =
                name.as_ref().zip(value.and_then(|text| HeaderValue::from_str(text).ok()))
            {
                headers.insert(name, value);
            }
        };
        insert(&settings.subject_header, certificate.subject.as_deref());
        insert(&settings.fingerprint_header, Some(&certificate.fingerprint));
    }
}
