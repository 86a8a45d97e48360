//! How visitors come in, as the listener and the gateway want to know it.

use std::sync::Arc;

use gateway::settings::{Http2Limits, SecureSettings};
use http::HeaderValue;
use listener::Entrance;
use listener::proxy_protocol::ProxyProtocol;
use listener::tls::{ClientSettings, KeyPair, Minimum, Tls, TlsSettings};
use miette::{IntoDiagnostic, WrapErr};

use crate::configuration::{CertificateTls, ClientCertificate, Configuration, TlsVersion};

/// What is asked of who comes in. Reads the certificates.
pub fn entrance(configuration: &Configuration) -> miette::Result<Entrance> {
    let listen = &configuration.listen;
    let protocols: &[&'static [u8]] =
        if listen.http2.enabled { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
    let tls = listen.tls.as_ref().map(|tls| Tls::open(settings(&tls.certificate, protocols)).map(Arc::new));
    Ok(Entrance {
        proxy_protocol: listen.proxy_protocol.as_ref().map(|from| ProxyProtocol::new(from.iter().copied())),
        tls: tls.transpose().into_diagnostic().wrap_err("TLS cannot be set up as `[listen.tls]` says")?,
    })
}

/// What is asked of who comes to the session server. Reads the certificates.
pub fn server_entrance(configuration: &Configuration) -> miette::Result<Entrance> {
    let tls = configuration.listen.server_tls.as_ref();
    let tls = tls.map(|tls| Tls::open(settings(tls, &[b"h2", b"http/1.1"])).map(Arc::new));
    let unusable = "TLS cannot be set up as `[listen.server_tls]` says";
    Ok(Entrance { proxy_protocol: None, tls: tls.transpose().into_diagnostic().wrap_err(unusable)? })
}

fn settings(tls: &CertificateTls, protocols: &[&'static [u8]]) -> TlsSettings {
    let pairs = tls.certificates.iter();
    TlsSettings {
        certificates: pairs
            .map(|pair| KeyPair { certificate: pair.certificate.clone(), key: pair.key.clone() })
            .collect(),
        minimum: match tls.min_version {
            TlsVersion::Tls12 => Minimum::Tls12,
            TlsVersion::Tls13 => Minimum::Tls13,
        },
        clients: tls.client_ca.clone().map(|authorities| ClientSettings {
            authorities,
            is_required: tls.client_certificate == ClientCertificate::Required,
        }),
        protocols: protocols.to_vec(),
    }
}

/// What answers over TLS say, and what applications are told of clients.
pub(super) fn secure(configuration: &Configuration) -> SecureSettings {
    let Some(tls) = &configuration.listen.tls else { return SecureSettings::default() };
    let hsts = (!tls.hsts.is_zero()).then(|| format!("max-age={}", tls.hsts.as_secs()));
    SecureSettings {
        hsts: hsts.and_then(|value| HeaderValue::from_str(&value).ok()),
        subject_header: tls.client_subject_header.clone(),
        fingerprint_header: tls.client_fingerprint_header.clone(),
    }
}

pub(super) fn http2(configuration: &Configuration) -> Http2Limits {
    let http2 = &configuration.listen.http2;
    Http2Limits {
        max_streams: http2.max_streams,
        ping_interval: (!http2.ping_interval.is_zero()).then_some(http2.ping_interval),
        in_the_clear: http2.cleartext,
    }
}
