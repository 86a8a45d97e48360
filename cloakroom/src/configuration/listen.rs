//! `[listen]`: where visitors come in, and how.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;

use super::document::Place;
use super::form::{Choice, Count, List, Span, Switch, Text};
use super::names::FileName;
use super::section::Section;
use super::web::{Address, Header, Network};

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_hours(24);

/// `[listen]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Where visitors come in. Used when there is an application.
    pub gateway: SocketAddr,
    /// Where the session server answers.
    pub server: SocketAddr,
    /// A socket in the file system where it answers too. Absolute.
    pub server_socket: Option<PathBuf>,
    /// TLS for the session server.
    pub server_tls: Option<CertificateTls>,
    /// Whether other processes may listen on the same addresses.
    pub reuse_port: bool,
    /// TLS for visitors.
    pub tls: Option<ListenTls>,
    /// Networks of proxies that say by the PROXY protocol who comes.
    pub proxy_protocol: Option<Vec<IpNet>>,
    /// HTTP/2 for visitors.
    pub http2: ListenHttp2,
}

/// `[listen.tls]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenTls {
    /// The certificates, ours and those of clients.
    pub certificate: CertificateTls,
    /// The header that tells applications whom it is made out to.
    pub client_subject_header: Option<HeaderName>,
    /// The header that tells them its SHA-256.
    pub client_fingerprint_header: Option<HeaderName>,
    /// How long browsers shall come by TLS only; zero: nothing is said about it.
    pub hsts: Duration,
}

/// `[listen.server_tls]`, and what `[listen.tls]` has in common with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateTls {
    /// Certificates and their keys; never empty. All names of files are absolute.
    pub certificates: Vec<CertificateFiles>,
    /// The oldest version that is spoken.
    pub min_version: TlsVersion,
    /// The authorities whose client certificates are believed.
    pub client_ca: Option<PathBuf>,
    /// Whether clients must show one.
    pub client_certificate: ClientCertificate,
}

/// A certificate and its key, in files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, and those that lead to its authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// 1.2.
    Tls12,
    /// 1.3.
    Tls13,
}

/// Whether clients show certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificate {
    /// Whoever has none comes in all the same.
    Optional,
    /// Nobody comes in without.
    Required,
}

const VERSION: Choice<TlsVersion> =
    Choice { words: &[("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)], later: &[] };

const CLIENT_CERTIFICATE: Choice<ClientCertificate> = Choice {
    words: &[("optional", ClientCertificate::Optional), ("required", ClientCertificate::Required)],
    later: &[],
};

/// `[listen.http2]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenHttp2 {
    /// Whether it is offered over TLS.
    pub enabled: bool,
    /// Whether it is also spoken without TLS.
    pub cleartext: bool,
    /// Requests under way at once on one connection.
    pub max_streams: u32,
    /// How often clients are asked whether they are still there; zero: never.
    pub ping_interval: Duration,
}

impl Listen {
    /// With where the headers about client certificates are named.
    pub(crate) fn read(section: &mut Section<'_>) -> (Self, Option<Place>) {
        let gateway = section.value(
            "gateway",
            &Text(Address),
            SocketAddr::from(([127, 0, 0, 1], 8080)),
            "Where visitors come in. Used when there is an application.",
        );
        let server = section.value(
            "server",
            &Text(Address),
            SocketAddr::from(([127, 0, 0, 1], 8081)),
            "Where the session server answers: health, metrics and the interfaces for other programs. Keep it away from \
             visitors.",
        );
        let server_socket = section.optional(
            "server_socket",
            &Text(FileName),
            PathBuf::from("/run/cloakroom/server.sock"),
            "A socket in the file system where the session server answers too, in the clear. Its user and group may use it; who \
             comes by it counts as coming from 127.0.0.1. Relative to the folder of this file.",
        );
        let server_socket = server_socket.map(|path| section.document().folder.join(path));
        // Port zero lets the system choose, so two of them are two ports.
        if gateway == server && gateway.port() != 0 {
            let (name, other) =
                if section.given("server") { ("server", "gateway") } else { ("gateway", "server") };
            let message = format!("`gateway` and `server` both listen on {server}");
            section.wrong(name, message, format!("take another port than that of `{other}`"));
        }
        let reuse_port = section.value(
            "reuse_port",
            &Switch,
            false,
            "Several processes of one user may listen on `gateway` and `server` at once, and the system shares the visitors \
             among them (SO_REUSEPORT). They must share their sessions as well: a storage that is shared, or sealed ones.",
        );
        let mut headers = None;
        let tls_text = "TLS for visitors, and for all of them: the port of the gateway speaks nothing else then. Files are \
                        read again when they change.";
        let tls = section.optional_table("tls", tls_text, |section| {
            let tls = ListenTls::read(section);
            headers = Some(section.place("client_subject_header"));
            tls
        });
        let server_tls_text = "TLS for the session server, and for all who come to it over the network. Files are read again \
                               when they change.";
        let server_tls = section.optional_table("server_tls", server_tls_text, CertificateTls::read);
        let proxy_text = "Proxies before the gateway that pass bytes on and say by the PROXY protocol (version 1 or 2) who \
                          sends them.";
        let proxy_protocol = section.optional_table("proxy_protocol", proxy_text, proxies);
        let http2_text = "HTTP/2 for visitors. Upgrades, WebSocket among them, come by HTTP/1.1.";
        let http2 = section.table("http2", http2_text, |section| ListenHttp2::read(section, tls.is_some()));
        (Self { gateway, server, server_socket, server_tls, reuse_port, tls, proxy_protocol, http2 }, headers)
    }
}

impl ListenTls {
    fn read(section: &mut Section<'_>) -> Self {
        let tls = Self {
            certificate: CertificateTls::read(section),
            client_subject_header: section.optional(
                "client_subject_header",
                &Text(Header),
                HeaderName::from_static("x-client-subject"),
                "In this header applications learn whom the client's certificate is made out to, as RFC 4514 writes it. \
                 What clients send under this name is removed.",
            ),
            client_fingerprint_header: section.optional(
                "client_fingerprint_header",
                &Text(Header),
                HeaderName::from_static("x-client-fingerprint"),
                "In this header applications learn the SHA-256 of the client's certificate, in hexadecimal. What clients send \
                 under this name is removed.",
            ),
            hsts: section.value(
                "hsts",
                &Span::between(SECOND, DAY * 3650).or_zero("not said"),
                Duration::ZERO,
                "How long browsers shall come to a host by TLS only, once they were there (`Strict-Transport-Security`). \
                 What an application says itself stays.",
            ),
        };
        tls.check(section);
        tls
    }

    fn check(&self, section: &Section<'_>) {
        if self.certificate.client_ca.is_none() {
            for name in ["client_subject_header", "client_fingerprint_header"] {
                without_authority(section, name);
            }
        }
        if self.client_subject_header.is_some()
            && self.client_subject_header == self.client_fingerprint_header
        {
            let message = "the subject and the fingerprint of a client are told in the same header";
            section.wrong("client_fingerprint_header", message, "give each a header of its own");
        }
    }
}

impl CertificateTls {
    fn read(section: &mut Section<'_>) -> Self {
        let text = "A certificate. Whoever comes is shown one that is made out to the name they ask for, `*.` included, and else \
                    the first.";
        let certificates = section.tables("certificates", text, CertificateFiles::read);
        if certificates.is_empty() {
            let cure = "add `certificates = [{ certificate = \"tls/shop.pem\", key = \"tls/shop.key\" }]`";
            section.wrong("certificates", "there is no certificate to show", cure);
        }
        let min_version = section.value(
            "min_version",
            &VERSION,
            TlsVersion::Tls12,
            "The oldest version of TLS that is spoken.",
        );
        let client_ca = section.optional(
            "client_ca",
            &Text(FileName),
            PathBuf::from("tls/clients.pem"),
            "Authorities for certificates of clients, in PEM. With it, clients are asked for one.",
        );
        let client_ca = client_ca.map(|file| {
            section.existing("client_ca", &file, "name the file with the authorities that issue to clients")
        });
        let tls = Self {
            certificates,
            min_version,
            client_ca,
            client_certificate: section.value(
                "client_certificate",
                &CLIENT_CERTIFICATE,
                ClientCertificate::Required,
                "With `client_ca`: whether one may come without a certificate. One that is not believed is always turned away.",
            ),
        };
        if tls.client_ca.is_none() {
            without_authority(section, "client_certificate");
        }
        tls
    }
}

/// A key that says something about certificates of clients, where clients show none.
fn without_authority(section: &Section<'_>, name: &str) {
    if section.given(name) {
        let cure = "name the file with the authorities that issue to clients as `client_ca`";
        section.wrong(name, format!("`{name}` says nothing without `client_ca`"), cure);
    }
}

impl CertificateFiles {
    fn read(section: &mut Section<'_>) -> Self {
        let certificate = section.required(
            "certificate",
            &Text(FileName),
            PathBuf::from("tls/shop.pem"),
            "The certificate in PEM, followed by those that lead to its authority.",
        );
        let key = section.required(
            "key",
            &Text(FileName),
            PathBuf::from("tls/shop.key"),
            "Its key in PEM, without a password: RSA, ECDSA or Ed25519.",
        );
        Self {
            certificate: section.existing("certificate", &certificate, "name the file with the certificate"),
            key: section.existing("key", &key, "name the file with its key, and let this process read it"),
        }
    }
}

impl ListenHttp2 {
    fn read(section: &mut Section<'_>, has_tls: bool) -> Self {
        let http2 = Self {
            enabled: section.value("enabled", &Switch, true, "Whether HTTP/2 is offered over TLS."),
            cleartext: section.value(
                "cleartext",
                &Switch,
                false,
                "Whether it is also spoken without TLS, with clients that begin with it (h2c by prior knowledge). For proxies \
                 on this machine; browsers never do.",
            ),
            max_streams: section.value(
                "max_streams",
                &Count(1..=1000),
                100,
                "Requests under way at once on one connection.",
            ),
            ping_interval: section.value(
                "ping_interval",
                &Span::between(SECOND, DAY).or_zero("never"),
                SECOND * 60,
                "How often a client is asked whether it is still there. One that does not answer within 20 seconds is gone.",
            ),
        };
        if http2.cleartext && has_tls {
            let message = "`cleartext` has no effect: with `[listen.tls]` nothing is spoken in the clear";
            section.warn("cleartext", message, "remove it");
        }
        http2
    }
}

fn proxies(section: &mut Section<'_>) -> Vec<IpNet> {
    let from = section.required(
        "from",
        &List(Text(Network)),
        vec![IpNet::from(std::net::IpAddr::from([127, 0, 0, 1]))],
        "Their networks. A connection from there must begin with the header; others are served as they are.",
    );
    if from.is_empty() {
        section.wrong(
            "from",
            "`from` names no network",
            "name the proxies, or remove `[listen.proxy_protocol]`",
        );
    }
    if let Some(network) = from.iter().find(|network| network.prefix_len() == 0) {
        let message = format!("`from` holds {network}: any visitor can claim any address");
        section.warn("from", message, "name only the proxies before the gateway");
    }
    from
}
