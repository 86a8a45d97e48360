//! What concerns this process as a whole: what it logs, and the limits of its gateway.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::form::{Choice, Count, List, Size, Span, Switch, Text};
use super::names::{FileName, Levels};
use super::section::Section;
use super::web::Network;

const SHORTEST: Duration = Duration::from_millis(100);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// What is logged, as `tracing` filters read it. The environment variable `RUST_LOG` overrides it.
    pub level: String,
    /// One line for each request.
    pub access: bool,
}

/// `[audit]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Audit {
    /// The file for it beside the log. Absolute.
    pub file: Option<PathBuf>,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

const LOG_FORMAT: Choice<LogFormat> = Choice {
    words: &[("auto", LogFormat::Auto), ("human", LogFormat::Human), ("json", LogFormat::Json)],
    later: &[],
};

impl Log {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        Self {
            format: section.value(
                "format",
                &LOG_FORMAT,
                LogFormat::Auto,
                "`human`: lines for people; `json`: one object a line; `auto`: for people when the log goes to a terminal.",
            ),
            level: section.value(
                "level",
                &Text(Levels),
                "info".to_owned(),
                "What is logged. The environment variable `RUST_LOG` overrides it.",
            ),
            access: section.value("access", &Switch, false, "One line for each request. It never holds a ticket or a cookie."),
        }
    }
}

impl Audit {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        let file = section.optional(
            "file",
            &Text(FileName),
            PathBuf::from("/var/log/cloakroom/audit.log"),
            "A file for it beside the log, whatever the level of that: one JSON object a line, appended. It is opened anew by \
             SIGHUP and `cloakroom reload`. Relative to the folder of this file.",
        );
        Self { file: file.map(|file| section.document().folder.join(file)) }
    }
}

/// `[gateway]`: limits that hold for every visitor and application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// From the first byte of a request, or from the connection, to the end of its headers.
    pub header_timeout: Duration,
    /// Between two pieces of a request's body.
    pub body_timeout: Duration,
    /// How long a client may take nothing of a response that waits for it.
    pub write_timeout: Duration,
    /// Between two requests of a connection.
    pub idle_connection_timeout: Duration,
    /// Request line and headers together, in bytes.
    pub max_header_bytes: u64,
    /// Number of headers of a request.
    pub max_headers: u32,
    /// Size of a request's body in bytes; zero: any.
    pub max_body_bytes: u64,
    /// At the end, how long requests in flight may take.
    pub drain_timeout: Duration,
    /// Proxies in front whose word on the visitor's address and scheme is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// Connections of visitors at one time.
    pub max_connections: u32,
}

impl Gateway {
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        let wait = Span::between(SHORTEST, HOUR);
        let gateway = Self {
            header_timeout: section.value(
                "header_timeout",
                &wait,
                SECOND * 10,
                "How long a client may take to send the headers of a request. Cuts off clients that send them one by one.",
            ),
            body_timeout: section.value("body_timeout", &wait, SECOND * 30, "How long a client may pause within the body of a request."),
            write_timeout: section.value("write_timeout", &wait, SECOND * 30, "How long a client may take nothing of its response."),
            idle_connection_timeout: section.value(
                "idle_connection_timeout",
                &wait,
                SECOND * 75,
                "How long a connection is kept open for a next request.",
            ),
            max_header_bytes: section.value(
                "max_header_bytes",
                &Size::between(8 * KIB, MIB),
                32 * KIB,
                "Request line and headers of a request together. More is answered with 431.",
            ),
            max_headers: section.value("max_headers", &Count(10..=1000), 100, "Headers of a request. More are answered with 431."),
            max_body_bytes: section.value(
                "max_body_bytes",
                &Size::between(1, 1 << 40).or_zero("any size"),
                0,
                "Body of a request. More is answered with 413. Bodies are passed on as they come, and never kept.",
            ),
            drain_timeout: section.value(
                "drain_timeout",
                &Span::between(SHORTEST, HOUR).or_zero("do not wait"),
                SECOND * 10,
                "When Cloakroom is told to stop, how long it waits for requests in flight.",
            ),
            trusted_proxies: section.value(
                "trusted_proxies",
                &List(Text(Network)),
                Vec::new(),
                "Proxies in front of the gateway. Only from these, `X-Forwarded-For`, `-Proto`, `-Host` and `Forwarded` are \
                 believed.",
            ),
            max_connections: section.value(
                "max_connections",
                &Count(1..=1_000_000),
                10_000,
                "Connections of visitors at one time. The next one waits until one ends.",
            ),
        };
        warn_of_everybody(section, &gateway.trusted_proxies);
        gateway
    }
}

/// Trusting every address is trusting whatever a visitor claims.
pub(crate) fn warn_of_everybody(section: &Section<'_>, proxies: &[IpNet]) {
    if let Some(network) = proxies.iter().find(|network| network.prefix_len() == 0) {
        let message = format!("`trusted_proxies` holds {network}: any visitor can claim any address");
        section.warn("trusted_proxies", message, "name only the proxies in front of the gateway");
    }
}
