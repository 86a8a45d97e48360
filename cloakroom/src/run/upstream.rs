//! An upstream of the configuration, as the gateway wants to know it, with its certificates read.

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use gateway::settings::{ClientIdentity, ServerAddress, ServerSettings, TlsSettings, UpstreamSettings};
use http::uri::Authority;
use miette::{IntoDiagnostic, WrapErr, miette};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::configuration::{Scheme, ServerUrl, Upstream, UpstreamTls};

/// A time that no request takes.
pub(super) const FOREVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The settings; certificates are only read where they are needed.
pub(super) fn settings(upstream: &Upstream) -> miette::Result<UpstreamSettings> {
    let servers = upstream
        .servers
        .iter()
        .map(|server| Ok(ServerSettings { address: address(&server.url)?, weight: server.weight }))
        .collect::<miette::Result<_>>()?;
    Ok(UpstreamSettings {
        servers,
        http2: upstream.http2,
        tls: if upstream.has_tls() { tls(&upstream.tls)? } else { TlsSettings::default() },
        retries: upstream.retries,
        retry_timeout: upstream.retry_timeout,
        connect_timeout: upstream.connect_timeout,
        response_timeout: match upstream.response_timeout {
            Duration::ZERO => FOREVER,
            bound => bound,
        },
    })
}

/// Where a server is.
pub(crate) fn address(url: &ServerUrl) -> miette::Result<ServerAddress> {
    let origin = match url {
        ServerUrl::Unix(path) => return Ok(ServerAddress::Unix(path.clone())),
        ServerUrl::Network(origin) => origin,
    };
    let authority = Authority::from_str(&format!("{}:{}", origin.host, origin.port)).into_diagnostic()?;
    Ok(match origin.scheme {
        Scheme::Http => ServerAddress::Http(authority),
        Scheme::Https => ServerAddress::Https(authority),
    })
}

/// TLS to a server whom these authorities vouch for, or those whom the system believes.
pub(crate) fn believing(authorities: Option<&Path>) -> miette::Result<TlsSettings> {
    Ok(TlsSettings { authorities: authorities.map(certificates).transpose()?, ..TlsSettings::default() })
}

pub(super) fn tls(tls: &UpstreamTls) -> miette::Result<TlsSettings> {
    let identity = match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => Some(ClientIdentity {
            chain: certificates(certificate)?,
            key: Arc::new(
                PrivateKeyDer::from_pem_file(key)
                    .into_diagnostic()
                    .wrap_err_with(|| format!("{} holds no key in PEM that can be read", key.display()))?,
            ),
        }),
        _ => None,
    };
    let server_name = match &tls.server_name {
        Some(name) => {
            let bare = name.trim_start_matches('[').trim_end_matches(']').to_owned();
            Some(ServerName::try_from(bare).into_diagnostic()?)
        }
        None => None,
    };
    Ok(TlsSettings {
        authorities: tls.ca_file.as_deref().map(certificates).transpose()?,
        identity,
        server_name,
        danger_accept_any_certificate: tls.danger_accept_any_certificate,
    })
}

fn certificates(file: &Path) -> miette::Result<Arc<[CertificateDer<'static>]>> {
    let unreadable = || format!("{} holds no certificates in PEM that can be read", file.display());
    let certificates: Arc<[_]> = CertificateDer::pem_file_iter(file)
        .and_then(|found| found.collect::<Result<_, _>>())
        .into_diagnostic()
        .wrap_err_with(unreadable)?;
    if certificates.is_empty() { Err(miette!("{}", unreadable())) } else { Ok(certificates) }
}
