//! Where an application runs, and how its servers are spoken to.
//!
//! Most have one server and say it as a text. Several are a list, whose members are texts, or tables where a server has a
//! weight of its own; both are read by the one form [`Servers`].

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use toml::Spanned;
use toml::de::DeValue;

use super::form::{Count, Form, Span, Switch, Text, Wording, Wrong, quote};
use super::listen::Listen;
use super::names::FileName;
use super::section::Section;
use super::shape::Kind;
use super::web::{Host, Origin, OriginText, Scheme};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const SHORTEST: Duration = Duration::from_millis(10);

/// More servers than this for one application are refused.
const MAX_SERVERS: usize = gateway::settings::UpstreamSettings::MAX_SERVERS;
const WEIGHT: Count = Count(1..=1000);

/// Where an application runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Servers that do the same; at least one.
    pub servers: Vec<Server>,
    /// Requests travel by HTTP/2.
    pub http2: bool,
    /// How often a request may be sent again.
    pub retries: u32,
    /// The longest after its arrival that it is sent again.
    pub retry_timeout: Duration,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How long a response may take to begin; zero: any time.
    pub response_timeout: Duration,
    /// How servers over TLS are recognised.
    pub tls: UpstreamTls,
}

/// One server of an application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Where it is.
    pub url: ServerUrl,
    /// Its share of the requests, relative to the others.
    pub weight: u32,
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerUrl {
    /// At a host and port.
    Network(Origin),
    /// At a socket in the file system.
    Unix(PathBuf),
}

impl Server {
    /// A server without TLS.
    pub(crate) fn at(host: &str, port: u16) -> Self {
        let origin = Origin { scheme: Scheme::Http, host: host.to_owned(), port };
        Self { url: ServerUrl::Network(origin), weight: 1 }
    }
}

impl ServerUrl {
    /// The one that somebody writes outside of a configuration.
    ///
    /// # Errors
    /// What is wrong with it, to follow it in a sentence, and what would be right.
    pub fn read(text: &str) -> Result<Self, String> {
        Text(ServerText).parse(text).map_err(|wrong| format!("{}: {}", wrong.problem, wrong.cure))
    }

    /// Where the session server of this machine is reached: by its socket, if it has one.
    pub fn of_server(listen: &Listen) -> Self {
        if let Some(path) = &listen.server_socket {
            return Self::Unix(path.clone());
        }
        let address = match listen.server.ip() {
            IpAddr::V4(address) if address.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(address) if address.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
            address => address,
        };
        let host = match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        let scheme = if listen.server_tls.is_some() { Scheme::Https } else { Scheme::Http };
        Self::Network(Origin { scheme, host, port: listen.server.port() })
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(origin) => origin.fmt(formatter),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<String> = self.servers.iter().map(|server| server.url.to_string()).collect();
        formatter.write_str(&urls.join(", "))
    }
}

impl Upstream {
    /// Whether some server is spoken to over TLS.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        let is_secure =
            |url: &ServerUrl| matches!(url, ServerUrl::Network(origin) if origin.scheme == Scheme::Https);
        self.servers.iter().any(|server| is_secure(&server.url))
    }

    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        let servers = section.required(
            "upstream",
            &Servers,
            vec![Server::at("127.0.0.1", 9000)],
            "Where it runs: `http://`, `https://` or `unix:/path/to.sock`. Several that do the same are a list, of texts or of \
             `{ url = \"http://...\", weight = 2 }`. Paths reach it as the visitor sent them.",
        );
        let http2 = section.value(
            "upstream_http2",
            &Switch,
            false,
            "Speak HTTP/2 to `upstream`: over TLS where it takes it, in the clear without asking. WebSockets get connections \
             with HTTP/1.1 all the same.",
        );
        let connect_timeout = section.value(
            "connect_timeout",
            &Span::between(SHORTEST, MINUTE * 5),
            SECOND * 5,
            "How long a connection to `upstream` may take. Then 502.",
        );
        let response_timeout = section.value(
            "response_timeout",
            &Span::between(SHORTEST, HOUR * 24).or_zero("any time"),
            MINUTE,
            "How long `upstream` may take to begin its response. Then 504.",
        );
        let retries = section.value(
            "retries",
            &Count(0..=5),
            2,
            "How often a request may be sent again, where that is safe: nothing of it reached an application, or it is a GET, \
             HEAD, OPTIONS, PUT or DELETE without body whose connection broke before a byte of the response.",
        );
        let retry_timeout = section.value(
            "retry_timeout",
            &Span::between(SHORTEST, MINUTE * 5),
            SECOND * 10,
            "The longest after its arrival that a request is sent again.",
        );
        let text = "How servers of `upstream` over `https://` are recognised, and what they are shown.";
        let tls = section.table("upstream_tls", text, UpstreamTls::read);
        let upstream =
            Self { servers, http2, retries, retry_timeout, connect_timeout, response_timeout, tls };
        if upstream.tls != UpstreamTls::default() && !upstream.has_tls() {
            let message = "`upstream_tls` has no effect: no server of `upstream` has a URL with https://";
            section.warn("upstream_tls", message, "remove it, or say https:// in `upstream`");
        }
        upstream
    }
}

/// How servers over TLS are recognised, and what they are shown: `[application.upstream_tls]`, and what `[[storage]]` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpstreamTls {
    /// Certificates of those who are believed; nothing: those whom the system believes.
    pub ca_file: Option<PathBuf>,
    /// The certificate that we show, with those that vouch for it.
    pub certificate: Option<PathBuf>,
    /// Its key.
    pub key: Option<PathBuf>,
    /// The name that the server's certificate must have; nothing: the host of its URL.
    pub server_name: Option<String>,
    /// Whoever answers is believed.
    pub danger_accept_any_certificate: bool,
}

impl UpstreamTls {
    fn read(section: &mut Section<'_>) -> Self {
        let ca_file = section.optional(
            "ca_file",
            &Text(FileName),
            PathBuf::from("upstream-ca.pem"),
            "Certificates (PEM) of those whose word on the server is taken. Left out: those whom the system believes.",
        );
        let certificate = section.optional(
            "certificate",
            &Text(FileName),
            PathBuf::from("gateway.pem"),
            "The certificate (PEM) that we show the server, followed by those that vouch for it. Needs `key`.",
        );
        let key = section.optional(
            "key",
            &Text(FileName),
            PathBuf::from("gateway.key"),
            "The key (PEM) of `certificate`.",
        );
        let server_name = section.optional(
            "server_name",
            &Text(Host),
            "app.example.org".to_owned(),
            "The name that the server's certificate must have, and that it is asked for. Left out: the host of its URL.",
        );
        let danger_accept_any_certificate = section.value(
            "danger_accept_any_certificate",
            &Switch,
            false,
            "Believe whoever answers to be the server. Whoever is on the way can read and change everything.",
        );
        if certificate.is_some() != key.is_some() {
            let (has, lacks) = if key.is_some() { ("key", "certificate") } else { ("certificate", "key") };
            section.wrong(
                has,
                format!("there is a `{has}` and no `{lacks}`"),
                format!("name both, or remove `{has}`"),
            );
        }
        if danger_accept_any_certificate {
            let message = "`danger_accept_any_certificate = true`: whoever is on the way to the server can read and \
                           change everything";
            section.warn(
                "danger_accept_any_certificate",
                message,
                "name the server's certificate as `ca_file`",
            );
        }
        let found = |name: &str, file: Option<PathBuf>| {
            file.map(|file| section.existing(name, &file, "name a file in PEM that can be read"))
        };
        Self {
            ca_file: found("ca_file", ca_file),
            certificate: found("certificate", certificate),
            key: found("key", key),
            server_name,
            danger_accept_any_certificate,
        }
    }
}

/// One URL, or a list of URLs and tables.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Servers;

impl Form for Servers {
    type Value = Vec<Server>;

    fn kind(&self) -> Kind {
        let url = json!({ "type": "string", "minLength": 1 });
        let weighted = json!({
            "type": "object",
            "properties": { "url": url, "weight": WEIGHT.kind().schema },
            "required": ["url"],
            "additionalProperties": false,
        });
        let list = json!({
            "type": "array", "items": { "anyOf": [url, weighted] }, "minItems": 1, "maxItems": MAX_SERVERS,
        });
        Kind {
            name: "URL, or list",
            bounds: ServerText::RULES.to_owned(),
            schema: json!({ "anyOf": [url, list] }),
        }
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Vec<Server>, Vec<Wrong>> {
        let DeValue::Array(array) = value.get_ref() else {
            return Text(ServerText).read(value).map(|url| vec![Server { url, weight: 1 }]);
        };
        if array.is_empty() || array.len() > MAX_SERVERS {
            let cure = format!("name from 1 to {MAX_SERVERS} servers");
            return Err(vec![Wrong::new("is a list of no or too many servers", cure)]);
        }
        let (mut servers, mut wrongs) = (Vec::new(), Vec::new());
        for element in array.iter() {
            match server(element) {
                Ok(server) => servers.push(server),
                Err(found) => wrongs.extend(found.into_iter().map(|wrong| wrong.within(element.span()))),
            }
        }
        if wrongs.is_empty() { Ok(servers) } else { Err(wrongs) }
    }

    fn write(&self, value: &Vec<Server>) -> String {
        let one = |server: &Server| match server.weight {
            1 => Text(ServerText).write(&server.url),
            weight => format!("{{ url = {}, weight = {weight} }}", Text(ServerText).write(&server.url)),
        };
        match value.as_slice() {
            [only] if only.weight == 1 => one(only),
            several => format!("[{}]", several.iter().map(one).collect::<Vec<_>>().join(", ")),
        }
    }
}

fn server(value: &Spanned<DeValue<'_>>) -> Result<Server, Vec<Wrong>> {
    let DeValue::Table(table) = value.get_ref() else {
        return Text(ServerText).read(value).map(|url| Server { url, weight: 1 });
    };
    let (mut url, mut weight, mut wrongs) = (None, 1, Vec::new());
    for (name, value) in table {
        let mut note =
            |found: Vec<Wrong>| wrongs.extend(found.into_iter().map(|wrong| wrong.within(value.span())));
        match name.get_ref().as_ref() {
            "url" => Text(ServerText).read(value).map_or_else(&mut note, |read| url = Some(read)),
            "weight" => WEIGHT.read(value).map_or_else(&mut note, |read| weight = read),
            _ => wrongs.push(
                Wrong::new("is no key of a server", "a server has `url` and `weight`").within(name.span()),
            ),
        }
    }
    match url {
        Some(url) if wrongs.is_empty() => Ok(Server { url, weight }),
        None if wrongs.is_empty() => Err(vec![Wrong::new(
            "has no `url`",
            format!("say {{ url = {} }}", quote("http://127.0.0.1:9000")),
        )]),
        _ => Err(wrongs),
    }
}

/// The wording of a [`ServerUrl`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServerText;

impl Wording for ServerText {
    type Value = ServerUrl;
    const NAME: &'static str = "URL";
    const RULES: &'static str =
        "scheme (http or https), host, port; no path; or `unix:` and the path of a socket";

    fn parse(text: &str) -> Result<ServerUrl, Wrong> {
        let Some(path) = text.strip_prefix("unix:") else {
            return OriginText::parse(text).map(ServerUrl::Network);
        };
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.starts_with('/') {
            Ok(ServerUrl::Unix(PathBuf::from(path)))
        } else {
            Err(Wrong::new("names no socket", "say its whole path: \"unix:/run/app.sock\""))
        }
    }

    fn text(value: &ServerUrl) -> String {
        value.to_string()
    }
}
