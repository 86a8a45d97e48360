//! The keys of the engine `sql`.

use std::time::Duration;

use engines::sql::{Address, Settings};

use super::{Engine, MILLISECOND, SECOND, server};
use crate::configuration::form::{Count, Span, quote};
use crate::configuration::section::Section;

/// The keys that only this engine has.
pub(super) const NAMES: [&str; 2] = ["max_connections", "poll_interval"];

/// What the section says of a database.
pub(super) struct Keys {
    max_connections: u32,
    poll_interval: Duration,
}

impl Keys {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let max_connections = section.value(
            "max_connections",
            &Count(1..=1000),
            16,
            "Of the engine `sql`: how many connections this process opens at most, beside the one that hears of changes.",
        );
        let poll_interval = section.value(
            "poll_interval",
            &Span::between(MILLISECOND * 5, SECOND * 5),
            MILLISECOND * 50,
            "Of the engine `sql` on MySQL and MariaDB: how often this process looks for what other nodes changed. PostgreSQL tells.",
        );
        Self { max_connections, poll_interval }
    }

    /// The engine, if the section says where it is.
    pub(super) fn engine(self, section: &Section<'_>, server: server::Keys) -> Option<Engine> {
        let Some(url) = server.url else {
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
            password_file: server.password_file,
            ca_file: server.ca_file,
            max_connections: self.max_connections,
            connect_timeout: server.connect_timeout,
            poll_interval: self.poll_interval,
        }))
    }
}
