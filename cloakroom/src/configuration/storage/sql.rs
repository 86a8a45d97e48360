//! The keys of the engine `sql`.

use std::path::PathBuf;
use std::time::Duration;

use engines::sql::{Address, Settings};

use super::{Engine, MILLISECOND, MINUTE, SECOND};
use crate::configuration::form::{Count, Span, Text, Wording, Wrong, quote};
use crate::configuration::names::FileName;
use crate::configuration::section::Section;

/// The keys that only this engine has.
const NAMES: [&str; 6] =
    ["url", "password_file", "ca_file", "max_connections", "connect_timeout", "poll_interval"];

/// What the section says of a database.
pub(super) struct Keys {
    url: Option<String>,
    password_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    max_connections: u32,
    connect_timeout: Duration,
    poll_interval: Duration,
}

impl Keys {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let url = section.optional(
            "url",
            &Text(ServiceUrl),
            "postgres://cloakroom@127.0.0.1:5432/cloakroom".to_owned(),
            "Of the engine `sql`: which database, and who connects. The password does not belong here.",
        );
        let password_file = section.optional(
            "password_file",
            &Text(FileName),
            PathBuf::from("database.password"),
            "Of the engine `sql`: a file whose first line is the password. It is read for every connection that is opened.",
        );
        let ca_file = section.optional(
            "ca_file",
            &Text(FileName),
            PathBuf::from("database-ca.pem"),
            "Of the engine `sql`: certificates of authorities of which the server's may be, besides those of the public web. A \
             server on another machine must show one, unless `sslmode` in `url` asks for less.",
        );
        let max_connections = section.value(
            "max_connections",
            &Count(1..=1000),
            16,
            "Of the engine `sql`: how many connections this process opens at most, beside the one that hears of changes.",
        );
        let connect_timeout = section.value(
            "connect_timeout",
            &Span::between(MILLISECOND * 10, MINUTE),
            SECOND * 2,
            "Of the engine `sql`: how long the opening of a connection may take.",
        );
        let poll_interval = section.value(
            "poll_interval",
            &Span::between(MILLISECOND * 5, SECOND * 5),
            MILLISECOND * 50,
            "Of the engine `sql` on MySQL and MariaDB: how often this process looks for what other nodes changed. PostgreSQL tells.",
        );
        let existing =
            |name, file: Option<PathBuf>, cure| file.map(|file: PathBuf| section.existing(name, &file, cure));
        Self {
            url,
            password_file: existing("password_file", password_file, "name a file that can be read"),
            ca_file: existing("ca_file", ca_file, "name a file in PEM that can be read"),
            max_connections,
            connect_timeout,
            poll_interval,
        }
    }

    /// The engine, if the section says where it is.
    pub(super) fn engine(self, section: &Section<'_>) -> Option<Engine> {
        let Some(url) = self.url else {
            // One that cannot be read was reported.
            if !section.given("url") {
                let cure = "add a line such as `url = \"postgres://cloakroom@127.0.0.1:5432/cloakroom\"`";
                section.wrong("engine", "the engine `sql` needs a `url`", cure);
            }
            return None;
        };
        let address = match Address::parse(&url) {
            Ok(address) => address,
            Err(error) => {
                section.wrong("url", format!("`url = {}` {}", quote(&url), error.problem), error.cure);
                return None;
            }
        };
        if address.is_unverified() {
            let message = "the certificate of the database server is not verified: somebody on the way can read and change \
                           sessions";
            section.warn(
                "url",
                message,
                "say `sslmode=verify-full` in `url`, and name the authority as `ca_file`",
            );
        }
        Some(Engine::Sql(Settings {
            address,
            password_file: self.password_file,
            ca_file: self.ca_file,
            max_connections: self.max_connections,
            connect_timeout: self.connect_timeout,
            poll_interval: self.poll_interval,
        }))
    }

    /// The section is of another engine.
    pub(super) fn refuse(&self, section: &mut Section<'_>) {
        section.without_effect(&NAMES);
        if section.is_excused() {
            return;
        }
        for name in NAMES.into_iter().filter(|name| section.given(name)) {
            // What was wrong with it was said, and may be that it holds a password.
            if name == "url" && self.url.is_none() {
                continue;
            }
            let message = format!("`{name}` belongs to the engine `sql`");
            section.wrong(name, message, "remove it, or say `engine = \"sql\"`");
        }
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
