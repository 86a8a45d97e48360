//! The keys of all engines whose records lie on a server.

use std::path::PathBuf;
use std::time::Duration;

use super::{MILLISECOND, MINUTE, SECOND};
use crate::configuration::form::{Span, Text, Wording, Wrong};
use crate::configuration::names::FileName;
use crate::configuration::section::Section;

/// Their names.
pub(super) const NAMES: [&str; 3] = ["url", "ca_file", "connect_timeout"];

/// The name of the one that only those have who ask for a password.
pub(super) const PASSWORD: [&str; 1] = ["password_file"];

/// What the section says of a server.
pub(super) struct Keys {
    /// As it was written; each engine has rules of its own.
    pub(super) url: Option<String>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) connect_timeout: Duration,
}

impl Keys {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let url = section.optional(
            "url",
            &Text(ServiceUrl),
            "postgres://cloakroom@127.0.0.1:5432/cloakroom".to_owned(),
            "Of the engines `sql`, `redis` and `remote`: where the server is. `sql`: which database, and who connects; the password \
             does not belong here. `redis`: `redis://host:6379`, `unix:///path/to.sock`, `redis-sentinel://host:26379,host/name` or \
             `redis-cluster://host,host`; encrypted with `rediss` in the place of `redis`; with `user@` before the hosts and the \
             number of a database, `/1`, behind them. `remote`: the session server of the other Cloakroom, `https://host:port`, `unix:/path/to.sock`, or \
             `http://host:port` where nobody is on the way.",
        );
        let password_file = section.optional(
            "password_file",
            &Text(FileName),
            PathBuf::from("database.password"),
            "Of the engines `sql` and `redis`: a file whose first line is the password. `sql` reads it for every connection that \
             is opened, `redis` at the start.",
        );
        let password_file = password_file
            .map(|file| section.existing("password_file", &file, "name a file that can be read"));
        let ca_file = section.optional(
            "ca_file",
            &Text(FileName),
            PathBuf::from("storage-ca.pem"),
            "Of the engines `sql`, `redis` and `remote`: certificates (PEM) of authorities of which the server's may be. `sql`: besides those \
             of the public web; a database server on another machine must show one, unless `sslmode` in `url` asks for less. \
             `redis` and `remote`: of no others; without it, `redis` goes by those that the system trusts.",
        );
        let ca_file =
            ca_file.map(|file| section.existing("ca_file", &file, "name a file in PEM that can be read"));
        let connect_timeout = section.value(
            "connect_timeout",
            &Span::between(MILLISECOND * 10, MINUTE),
            SECOND * 2,
            "Of the engines `sql`, `redis` and `remote`: how long the opening of a connection may take.",
        );
        Self { url, password_file, ca_file, connect_timeout }
    }
}

/// The URL of a service, whose other rules depend on the engine.
#[derive(Debug, Clone, Copy)]
struct ServiceUrl;

impl Wording for ServiceUrl {
    type Value = String;
    const NAME: &'static str = "URL";
    const RULES: &'static str = "without a password";

    fn parse(text: &str) -> Result<String, Wrong> {
        if holds_password(text) {
            let cure = "write the password into a file, and name that as `password_file`";
            return Err(Wrong { secret: true, ..Wrong::new("holds a password", cure) });
        }
        Ok(text.to_owned())
    }

    fn text(value: &String) -> String {
        value.clone()
    }
}

/// Looks only at the places where one can be, so that it sees one also in what is no URL.
fn holds_password(text: &str) -> bool {
    let after_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
    let (place, query) = after_scheme.split_once('?').unwrap_or((after_scheme, ""));
    let user = place.rsplit_once('@').map_or("", |(user, _)| user);
    user.contains(':') || query.split('&').any(|pair| pair.starts_with("password="))
}
