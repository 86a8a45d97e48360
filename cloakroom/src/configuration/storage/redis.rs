//! The keys of the engine `redis`.

use std::path::PathBuf;
use std::time::Duration;

use engines::redis::{Url, UrlError, Where};

use super::{Engine, server};
use crate::configuration::form::{Count, Switch, Text, Wording, Wrong, quote};
use crate::configuration::names::FileName;
use crate::configuration::section::Section;

/// More replicas than this have no primary.
const MOST_REPLICAS: u32 = 100;
const MAX_PREFIX: usize = 64;

/// The keys that only this engine has.
pub(super) const NAMES: [&str; 4] =
    ["prefix", "sentinel_password_file", "min_replicas", "danger_accept_eviction"];

/// How Redis is reached, and what is expected of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redis {
    /// Where it is.
    pub url: Url,
    /// Where the password is.
    pub password_file: Option<PathBuf>,
    /// Who signs the certificates of the servers.
    pub ca_file: Option<PathBuf>,
    /// How long a connection may take.
    pub connect_timeout: Duration,
    /// What the names of all keys begin with.
    pub prefix: String,
    /// Where the password of the Sentinels is.
    pub sentinel_password_file: Option<PathBuf>,
    /// How many replicas must have an end before it is acknowledged; nothing for all that there are.
    pub min_replicas: Option<u32>,
    /// Whether a server is used that throws away what it keeps.
    pub danger_accept_eviction: bool,
}

/// What the section says of Redis alone.
pub(super) struct Keys {
    prefix: String,
    sentinel_password_file: Option<PathBuf>,
    min_replicas: Option<u32>,
    danger_accept_eviction: bool,
}

impl Keys {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let prefix = section.value(
            "prefix",
            &Text(Prefix),
            "cloakroom".to_owned(),
            "Of the engine `redis`: what the names of all keys begin with, so that several can share one server.",
        );
        let sentinel_password_file = section.optional(
            "sentinel_password_file",
            &Text(FileName),
            PathBuf::from("sentinel.password"),
            "Of the engine `redis`: a file whose first line is the password of the Sentinels, if they have one.",
        );
        let sentinel_password_file = sentinel_password_file
            .map(|file| section.existing("sentinel_password_file", &file, "name a file that can be read"));
        let min_replicas = section.optional(
            "min_replicas",
            &Count(0..=MOST_REPLICAS),
            1,
            "Of the engine `redis`: how many replicas must have an end before it is acknowledged. Without it all that there are. \
             With fewer, the primary that takes the place of one that died may not know of the last ends.",
        );
        let danger_accept_eviction = section.value(
            "danger_accept_eviction",
            &Switch,
            false,
            "Of the engine `redis`: whether a server is used that throws away sessions and ends when its memory is full. Whoever \
             was logged out can then be let in again.",
        );
        Self { prefix, sentinel_password_file, min_replicas, danger_accept_eviction }
    }

    /// The engine, if the section says where it is.
    pub(super) fn engine(self, section: &Section<'_>, server: server::Keys) -> Option<Engine> {
        if self.danger_accept_eviction {
            let message =
                "Redis may throw away sessions and ends: whoever was logged out can be let in again";
            let cure = "set `maxmemory-policy noeviction` there, and remove `danger_accept_eviction`";
            section.warn("danger_accept_eviction", message, cure);
        }
        let Some(text) = server.url else {
            // One that cannot be read was reported.
            if !section.given("url") {
                let cure = "add a line such as `url = \"redis://127.0.0.1:6379\"`";
                section.wrong("engine", "the engine `redis` needs a `url`", cure);
            }
            return None;
        };
        let url: Url = match text.parse() {
            Ok(url) => url,
            Err(UrlError { what, cure }) => {
                let message = format!("`url = {}` is no URL of Redis: {what}", quote(&text));
                section.wrong("url", message, cure);
                return None;
            }
        };
        if matches!(url.servers, Where::Sentinel { .. }) && self.min_replicas.is_none() {
            let message = "without `min_replicas` every replica that the Sentinels know must confirm an end, and after a failover \
                           the primary that died is one of them: until it is back, logouts are not certain";
            let cure = "with two replicas or more, set `min_replicas` to one less than there are; or accept it, and see the \
                        chapter on Redis";
            section.warn("url", message, cure);
        }
        if !url.is_encrypted && server.ca_file.is_some() {
            let message = "`ca_file` is for encrypted connections, and `url` does not ask for them";
            section.wrong("ca_file", message, "say `rediss` in the place of `redis` in `url`, or remove it");
        }
        Some(Engine::Redis(Box::new(Redis {
            url,
            password_file: server.password_file,
            ca_file: server.ca_file,
            connect_timeout: server.connect_timeout,
            prefix: self.prefix,
            sentinel_password_file: self.sentinel_password_file,
            min_replicas: self.min_replicas,
            danger_accept_eviction: self.danger_accept_eviction,
        })))
    }
}

/// What the names of keys begin with.
#[derive(Debug, Clone, Copy)]
struct Prefix;

impl Wording for Prefix {
    type Value = String;
    const NAME: &'static str = "prefix";
    const RULES: &'static str = "at most 64 letters, digits, `.`, `_`, `-`, `:`";

    fn parse(text: &str) -> Result<String, Wrong> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b':');
        if text.len() <= MAX_PREFIX && text.bytes().all(plain) {
            Ok(text.to_owned())
        } else {
            Err(Wrong::new("is no prefix", format!("a prefix has {}", Self::RULES)))
        }
    }

    fn text(value: &String) -> String {
        value.clone()
    }
}
