//! A storage service of the configuration, opened by somebody who is not the program that uses it.

use std::sync::Arc;
use std::time::Duration;

use ::storage::{Deadline, Key, NotOpened, Scan, Scanned, Sealed, Storage};
use bytes::Bytes;
use engines::Problem;
use miette::{IntoDiagnostic as _, miette};
use seal::Keys;
use session::{Clock, SystemClock};

use super::Which;
use crate::configuration::{Configuration, Engine};
use crate::run::{existing_keys, storage};

/// About how many records are read at once.
pub(super) const PAGE: usize = 256;
/// How often a page is asked for that could not be had.
const TRIES: usize = 5;

/// An open storage service.
#[derive(Debug)]
pub(super) struct Service {
    /// The `id` from the configuration.
    pub(super) id: Arc<str>,
    /// What it is made of, in a word.
    pub(super) engine: &'static str,
    /// What it holds, as it lies there.
    pub(super) raw: Arc<dyn Storage>,
    /// Opens what is sealed there, if it is to be.
    pub(super) sealed: Option<Arc<Sealed>>,
    /// The keys of the installation; none are made.
    pub(super) keys: Arc<Keys>,
    /// What time it is.
    pub(super) clock: Arc<dyn Clock>,
}

impl Service {
    /// Opens the service that is meant.
    pub(super) async fn open(which: &Which) -> miette::Result<Self> {
        Self::open_at(which, Arc::new(SystemClock::default())).await
    }

    /// The same, for which it is as late as `engine_clock` says: what expired after that is there.
    pub(super) async fn open_at(which: &Which, engine_clock: Arc<dyn Clock>) -> miette::Result<Self> {
        let configuration = which.configuration.load()?.configuration;
        let id = which.storage.as_deref().unwrap_or(&configuration.cache.storage);
        let described = storage::configured(&configuration, id)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let engine = match &described.engine {
            Engine::Memory { .. } => return Err(in_memory(id)),
            Engine::Embedded => "embedded",
            Engine::Sql(_) => "sql",
            Engine::Redis(_) => "redis",
            Engine::Remote(_) => "remote",
        };
        let opened = storage::engine(&configuration, id, None, engine_clock).await;
        let (raw, _) = opened.map_err(|report| if_in_use(report, &configuration))?;
        let keys = Arc::new(Keys::new(existing_keys(&configuration, &*clock)?));
        let raw: Arc<dyn Storage> = Arc::new(Deadline::new(raw, configuration.cache.deadline));
        let sealed =
            described.seal.map(|plain| Arc::new(Sealed::new(Arc::clone(&raw), Arc::clone(&keys), plain)));
        Ok(Self { id: id.into(), engine, raw, sealed, keys, clock })
    }

    /// As the program uses it.
    pub(super) fn storage(&self) -> Arc<dyn Storage> {
        match &self.sealed {
            Some(sealed) => Arc::clone(sealed) as _,
            None => Arc::clone(&self.raw),
        }
    }

    /// What a value means that lies at `key`.
    pub(super) async fn opened(&self, key: &Key, value: Bytes) -> Result<Bytes, NotOpened> {
        match &self.sealed {
            Some(sealed) => sealed.open_value(key, value).await,
            None => Ok(value),
        }
    }

    /// A page of everything, as it lies there. A storage that is away for a moment is asked again.
    pub(super) async fn scan(&self, cursor: Option<&[u8]>) -> miette::Result<Scan> {
        let mut tries = 1;
        loop {
            match self.raw.scan(cursor, PAGE).await {
                Ok(scan) => return Ok(scan),
                Err(error) => {
                    let Some(after) = error.retry_after.filter(|_| tries < TRIES) else {
                        return Err(error).into_diagnostic();
                    };
                    tries += 1;
                    tokio::time::sleep(after.max(Duration::from_millis(100))).await;
                }
            }
        }
    }

    /// Shows everything to `see`, page by page.
    pub(super) async fn each(&self, mut see: impl AsyncFnMut(Vec<(Key, Scanned)>)) -> miette::Result<()> {
        let mut cursor = None;
        loop {
            let scan = self.scan(cursor.as_deref()).await?;
            see(scan.found).await;
            cursor = scan.cursor;
            if cursor.is_none() {
                return Ok(());
            }
        }
    }
}

/// A record as it may be shown: by its handle, or by nothing but its context.
pub(super) fn shown(key: &Key) -> String {
    match std::str::from_utf8(key.name()) {
        Ok(name) if cache::Kind::of(key) != cache::Kind::Other => format!("{} {name}", key.context()),
        _ => format!("a record in {}", key.context()),
    }
}

fn in_memory(id: &str) -> miette::Report {
    miette!(
        help = "whoever runs can offer it: give a `[[client]]` of the running program `may = [\"storage\"]`, and name that program \
                here as `engine = \"remote\"`",
        "the storage `{id}` is the memory of the program that runs: nobody else can open it"
    )
}

/// What to do about a database that the running program holds.
fn if_in_use(report: miette::Report, configuration: &Configuration) -> miette::Report {
    let is_in_use = report
        .downcast_ref::<storage::NotOpened>()
        .is_some_and(|storage::NotOpened(error)| matches!(error.problem, Problem::InUse { .. }));
    if !is_in_use {
        return report;
    }
    miette!(
        help = format!(
            "a database of one process is opened by one process. Stop the program, and start it again afterwards; or leave it \
             running, give a `[[client]]` of it `may = [\"storage\"]`, and name it here as `engine = \"remote\"` with \
             `url = \"http://{}\"`",
            configuration.listen.server
        ),
        "{report}"
    )
}
