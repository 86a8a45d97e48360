//! A storage service of another Cloakroom: where it is, and how we prove who we are.

use std::path::PathBuf;
use std::time::Duration;

use super::{Engine, server};
use crate::configuration::form::{Text, Wording as _, quote};
use crate::configuration::names::{FileName, Identifier};
use crate::configuration::section::Section;
use crate::configuration::upstream::{ServerText, ServerUrl, UpstreamTls};
use crate::configuration::web::{Host, Scheme};

/// What belongs to the engine `remote`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// The session server over there.
    pub url: ServerUrl,
    /// The id of the storage over there.
    pub service: String,
    /// The file with the token that proves us. Absolute.
    pub bearer_file: Option<PathBuf>,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// How that server is recognised, and what it is shown.
    pub tls: UpstreamTls,
}

/// The keys that only this engine has.
pub(super) const NAMES: [&str; 5] = ["service", "bearer_file", "certificate", "key", "server_name"];

/// What the section says of a storage of another Cloakroom.
pub(super) struct Keys {
    service: String,
    bearer_file: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    server_name: Option<String>,
}

impl Keys {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let service = section.value(
            "service",
            &Text(Identifier),
            "local".to_owned(),
            "Of the engine `remote`: the id of the storage over there.",
        );
        let bearer_file = section.optional(
            "bearer_file",
            &Text(FileName),
            PathBuf::from("storage.token"),
            "Of the engine `remote`: a file with the token by which the other Cloakroom knows us. Relative to the folder of \
             this file.",
        );
        let certificate = section.optional(
            "certificate",
            &Text(FileName),
            PathBuf::from("gateway-2.pem"),
            "Of the engine `remote`: the certificate (PEM) that we show the server, followed by those that vouch for it. Needs \
             `key`.",
        );
        let key = section.optional(
            "key",
            &Text(FileName),
            PathBuf::from("gateway-2.key"),
            "Of the engine `remote`: the key (PEM) of `certificate`.",
        );
        let server_name = section.optional(
            "server_name",
            &Text(Host),
            "sessions.example.org".to_owned(),
            "Of the engine `remote`: the name that the server's certificate must have. Left out: the host of `url`.",
        );
        let found = |name: &str, file: Option<PathBuf>, cure: &str| {
            file.map(|file| section.existing(name, &file, cure))
        };
        let pem = "name a file in PEM that can be read";
        Self {
            service,
            bearer_file: found(
                "bearer_file",
                bearer_file,
                "name the file with the token of our `[[client]]` there",
            ),
            certificate: found("certificate", certificate, pem),
            key: found("key", key, pem),
            server_name,
        }
    }

    /// The engine, if the section says where the other one is.
    pub(super) fn engine(self, section: &Section<'_>, server: server::Keys) -> Option<Engine> {
        let Some(url) = server.url else {
            // One that cannot be read was reported.
            if !section.given("url") {
                let cure = "add a line such as `url = \"https://sessions.example.org:8081\"`";
                section.wrong("engine", "the engine `remote` needs the `url` of the other Cloakroom", cure);
            }
            return None;
        };
        let url = match ServerText::parse(&url) {
            Ok(url) => url,
            Err(wrong) => {
                section.wrong("url", format!("`url = {}` {}", quote(&url), wrong.problem), wrong.cure);
                return None;
            }
        };
        if self.certificate.is_some() != self.key.is_some() {
            let (has, lacks) =
                if self.key.is_some() { ("key", "certificate") } else { ("certificate", "key") };
            let cure = format!("name both, or remove `{has}`");
            section.wrong(has, format!("there is a `{has}` and no `{lacks}`"), cure);
        }
        check_way(section, &url);
        let tls = UpstreamTls {
            ca_file: server.ca_file,
            certificate: self.certificate,
            key: self.key,
            server_name: self.server_name,
            danger_accept_any_certificate: false,
        };
        Some(Engine::Remote(Remote {
            url,
            service: self.service,
            bearer_file: self.bearer_file,
            connect_timeout: server.connect_timeout,
            tls,
        }))
    }
}

fn check_way(section: &Section<'_>, url: &ServerUrl) {
    let ServerUrl::Network(origin) = url else { return };
    if origin.scheme == Scheme::Https {
        return;
    }
    let of_tls = ["ca_file", "certificate", "key", "server_name"];
    for name in of_tls.into_iter().filter(|name| section.given(name)) {
        let message = format!("`{name}` has no effect: `url` does not begin with https://");
        section.warn(name, message, "remove it, or say https:// in `url`");
    }
    if !origin.is_loopback() {
        let message = format!("sessions and the token travel to {} in the clear", origin.host);
        let cure =
            "say `https://`, and `[listen.server_tls]` over there; or see to it that nobody is on the way";
        section.warn("url", message, cure);
    }
}
