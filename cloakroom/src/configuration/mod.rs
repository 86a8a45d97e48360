//! The configuration: one TOML file.
//!
//! Each key is declared once, where it is read: with its name, form, range, default and description. The reference,
//! the JSON schema and the example are written from the same declarations ([`reference()`], [`schema()`], [`example()`]).
//! A file with mistakes gives all of them at once ([`Problems`]), each with its place and its cure.
//!
//! Names of files are relative to the folder of the configuration, so that it can be read from anywhere.
//! `data_dir` alone is relative to the working directory: it belongs to the process, not to the file.

mod addresses;
mod application;
mod assurance;
mod cache;
mod client;
mod cookie;
mod document;
mod example;
mod export;
mod form;
mod handoff;
mod key_file;
mod key_rotation;
mod limits;
mod listen;
mod llng;
mod login;
mod names;
mod node;
mod problem;
mod reference;
mod rewrite;
mod rule;
mod schema;
mod section;
mod shape;
mod storage;
mod ticket_headers;
mod together;
#[cfg(feature = "otel")]
mod traces;
mod upstream;
mod web;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use toml::de::DeTable;

use document::Document;
use form::Text;
use names::FileName;
use section::Section;
use shape::Table;
use together::{
    check_applications, check_client_headers, check_clients, check_keys, check_migrations, check_storage,
};

pub use addresses::{Addresses, OnAddressChange};
pub use application::{Application, Carrier, OnConflict};
pub use cache::Cache;
pub use client::{Basic, Client};
pub use cookie::{Cookie, SameSite};
pub use form::{shown_duration, shown_size};
pub use handoff::{Handoff, HandoffFormat};
pub use key_file::KeyFile;
pub use key_rotation::KeyRotation;
pub use limits::{Limits, OnFull};
pub use listen::{
    CertificateFiles, CertificateTls, ClientCertificate, Listen, ListenHttp2, ListenTls, TlsVersion,
};
pub use llng::{LemonLdap, LlngLogin, TextForm};
pub use login::{Login, LoginProvider};
pub use node::{Audit, Gateway, Log, LogFormat};
pub use problem::{Problem, Problems};
pub use rewrite::Rewrite;
pub use rule::{HeaderChanges, Require, Rule};
pub use storage::{Engine, Redis, Remote, Storage};
pub use ticket_headers::TicketHeaders;
#[cfg(feature = "otel")]
pub use traces::{Sampling, Traces};
pub use upstream::{Server, ServerUrl, Upstream, UpstreamTls};
pub use web::{Origin, Scheme};

/// A larger file is not a configuration, in bytes.
const MAX_FILE: usize = 1 << 20;

/// All that Cloakroom is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// Where data is kept. Relative to the working directory.
    pub data_dir: PathBuf,
    /// Where to listen.
    pub listen: Listen,
    /// Who may call the session server. Empty: it only says how it is.
    pub clients: Vec<Client>,
    /// The storage services; never empty.
    pub storage: Vec<Storage>,
    /// The session cache.
    pub cache: Cache,
    /// The keys. Empty: one is made in the data directory at the first start.
    pub keys: Vec<KeyFile>,
    /// Keys that follow one another, beside those.
    pub key_rotation: Option<KeyRotation>,
    /// The log.
    pub log: Log,
    /// What is kept of who did what by the session server.
    pub audit: Audit,
    /// Whom to tell where requests spend their time, if anybody.
    #[cfg(feature = "otel")]
    pub traces: Option<Traces>,
    /// The limits of the gateway.
    pub gateway: Gateway,
    /// What stands behind the gateway. Empty: there is no gateway, only the session server.
    pub applications: Vec<Application>,
    /// The session server for LemonLDAP::NG, if there is one.
    pub llng: Option<LemonLdap>,
}

/// A configuration without mistakes.
#[derive(Debug)]
pub struct Loaded {
    /// What the file says, with the defaults for what it does not say.
    pub configuration: Configuration,
    /// What is possible and unwise.
    pub warnings: Vec<Problem>,
    table: Table,
    /// Where lines begin, in bytes.
    lines: Vec<usize>,
}

impl Loaded {
    /// The line of a key, counted from one, if the file has it: by the tables around it and which of their name each is.
    pub fn line(&self, tables: &[(&str, usize)], key: &str) -> Option<usize> {
        let place = self.table.place(tables, key)?;
        Some(self.lines.partition_point(|start| *start <= place))
    }

    /// Every key with the value that holds, in TOML. Reading it gives the same configuration.
    pub fn effective(&self) -> String {
        example::effective(&self.table)
    }

    /// The keys that have other values in `other`, in their order, such as `listen.gateway`; those of a `[[table]]`
    /// stand for all tables of that name. No values: one may be a password.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        shape::differences(&self.table, &other.table)
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum LoadError {
    /// The file is not there, or not for us.
    #[error("cannot read the configuration {}", file.display())]
    #[diagnostic(help("`cloakroom config example` prints one to begin with"))]
    Unreadable {
        /// The file as it was named.
        file: PathBuf,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// The file has mistakes.
    #[error(transparent)]
    #[diagnostic(transparent)]
    Wrong(#[from] Problems),
}

impl Configuration {
    /// Reads a file, and sees to it that the files are there which it names.
    pub fn load(file: &Path) -> Result<Loaded, LoadError> {
        let unreadable = |cause| LoadError::Unreadable { file: file.to_owned(), cause };
        let bytes = std::fs::read(file).map_err(unreadable)?;
        let path = std::path::absolute(file).map_err(unreadable)?;
        let folder = path.parent().unwrap_or(&path);
        let name = file.display().to_string();
        match std::str::from_utf8(&bytes) {
            Ok(text) => Ok(parse(text, Document::new(&name, text, folder).looking_for_files())?),
            Err(error) => {
                let text = String::from_utf8_lossy(&bytes);
                let document = Document::new(&name, &text, folder);
                // The mark of what is no character stands there.
                let place = error.valid_up_to()..error.valid_up_to() + char::REPLACEMENT_CHARACTER.len_utf8();
                document.wrong(&place, "the file is not in UTF-8".to_owned(), "save it in UTF-8");
                Err(Problems::new(&name, document.into_problems()).into())
            }
        }
    }

    /// Reads a text. `name` is for messages; relative names of files start from `folder`, and nobody looks for them.
    pub fn parse(name: &str, text: &str, folder: &Path) -> Result<Loaded, Problems> {
        parse(text, Document::new(name, text, folder))
    }

    fn read<'d>(document: &'d Document<'d>, section: &mut Section<'d>) -> Self {
        let data_dir = section.value(
            "data_dir",
            &Text(FileName),
            PathBuf::from("./cloakroom-data"),
            "Where data is kept. Relative to the working directory; all other files are relative to the folder of this file.",
        );
        let (listen, client_headers) = section.table("listen", "Where Cloakroom listens.", Listen::read);
        let storage_text = "A storage service: where sessions are kept. Without any there is one, `local`, of the engine `embedded`.";
        let found = section.tables("storage", storage_text, Storage::read);
        check_storage(document, &found);
        let mut storage: Vec<Storage> = found.iter().map(|(storage, _)| storage.clone()).collect();
        if storage.is_empty() {
            storage.push(Storage::standard());
        }
        let cache =
            section.table("cache", "The session cache, between the applications and storage.", |section| {
                Cache::read(section, &storage)
            });
        check_migrations(document, &found, &cache);
        let keys_text = "A key that seals values which leave this process. Without any, one is made in `data_dir` at the first start.";
        let keys = section.tables("keys", keys_text, KeyFile::read);
        check_keys(document, &keys);
        let log = section.table("log", "The log, on standard error.", Log::read);
        let audit_text = "The audit: what clients of the session server did, from where, to which sessions, by their handles.";
        let audit = section.table("audit", audit_text, Audit::read);
        #[cfg(feature = "otel")]
        let traces = section.optional_table(
            "traces",
            "Tells a collector of OpenTelemetry where requests spend their time.",
            Traces::read,
        );
        #[cfg(not(feature = "otel"))]
        section.unbuilt("traces", "otel");
        let gateway = section.table("gateway", "Limits for every visitor.", Gateway::read);
        let around = application::Around { storage: &storage, cache: &cache, gateway: &gateway };
        let application_text =
            "What stands behind the gateway. Without any there is no gateway, only the session server.";
        let applications =
            section.tables("application", application_text, |section| Application::read(section, around));
        check_applications(document, &applications);
        check_client_headers(document, listen.tls.as_ref().zip(client_headers.as_ref()), &applications);
        let applications: Vec<Application> =
            applications.into_iter().map(|(application, _)| application).collect();
        let used = storage.iter().find(|storage| storage.id == cache.storage);
        let moves_from = used.and_then(|used| used.migrate_from.as_ref());
        let is_used = |storage: &Storage| {
            [&cache.storage, &cache.storage_lite].contains(&&storage.id) || Some(&storage.id) == moves_from
        };
        let is_sealed = |storage: &Storage| is_used(storage) && storage.seal.is_some();
        let sealed = key_rotation::SealedUse {
            applications: &applications,
            is_storage_sealed: storage.iter().any(is_sealed),
            data_dir: &data_dir,
            keys: &keys,
        };
        let rotation_text = "Keys that follow one another by themselves, beside those of `[[keys]]`. Without it, keys change only by hand.";
        let key_rotation = section
            .optional_table("key_rotation", rotation_text, |section| KeyRotation::read(section, sealed));
        let client_text = "A program that may call the session server. Nothing is open to anybody but what says how Cloakroom is.";
        let clients = section.tables("client", client_text, |section| Client::read(section, &listen));
        check_clients(document, &clients);
        let llng_text = "The session server for LemonLDAP::NG: its portals, handlers and managers use it through their own session \
                         modules. Which of them may call what is in `[[client]]`.";
        let llng = section.optional_table("llng", llng_text, LemonLdap::read);
        Self {
            data_dir,
            listen,
            clients: clients.into_iter().map(|(client, _)| client).collect(),
            cache,
            keys: keys.into_iter().map(|(key, ..)| key).collect(),
            key_rotation,
            log,
            audit,
            #[cfg(feature = "otel")]
            traces,
            gateway,
            applications,
            storage,
            llng,
        }
    }
}

impl Default for Configuration {
    fn default() -> Self {
        let (document, empty) = (Document::new("", "", Path::new("")), DeTable::new());
        Self::read(&document, &mut document.root(&empty))
    }
}

fn parse(text: &str, document: Document<'_>) -> Result<Loaded, Problems> {
    let name = document.name().to_owned();
    if text.len() > MAX_FILE {
        document.wrong(
            &(0..0),
            "the file is too large".to_owned(),
            format!("a configuration has at most {MAX_FILE} bytes"),
        );
        return Err(Problems::new(&name, document.into_problems()));
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        // "what is wrong, expected what would be right"
        let (message, cure) = error.message().split_once(", expected ").unwrap_or((error.message(), "TOML"));
        document.wrong(
            &error.span().unwrap_or(0..0),
            format!("this is no TOML: {message}"),
            format!("expected here: {cure}"),
        );
    }
    if !errors.is_empty() {
        return Err(Problems::new(&name, document.into_problems()));
    }
    let mut section = document.root(table.get_ref());
    let configuration = Configuration::read(&document, &mut section);
    let table = section.finish();
    let (warnings, mistakes): (Vec<Problem>, Vec<Problem>) =
        document.into_problems().into_iter().partition(|problem| problem.warning);
    if mistakes.is_empty() {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Ok(Loaded { configuration, warnings, table, lines })
    } else {
        Err(Problems::new(&name, mistakes))
    }
}

/// Everything that can be configured.
fn described() -> Table {
    let (document, empty) = (Document::describing(), DeTable::new());
    let mut section = document.root(&empty);
    Configuration::read(&document, &mut section);
    section.finish()
}

/// Every key with its range, default and meaning, in Markdown.
pub fn reference() -> String {
    reference::markdown(&described())
}

/// The JSON schema of the file, for editors.
pub fn schema() -> serde_json::Value {
    schema::schema(&described())
}

/// A file in which every key stands with its default and its meaning, most of them commented out.
pub fn example() -> String {
    example::example(&described())
}
