//! The log: structured events on standard error, for people on a terminal, as JSON lines otherwise.
//!
//! Standard output is left to the answers of commands. The audit is in the log, and by option in a file of its own
//! ([`AuditFile`]).

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::configuration::{Log, LogFormat};

/// The log could not be set up.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
pub enum LogError {
    /// The environment asks for something that is no filter.
    #[error("RUST_LOG is no log filter: {0}")]
    #[diagnostic(help("say RUST_LOG=info, or RUST_LOG=info,gateway=debug; or unset it"))]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Something in this process has set up a log before.
    #[error("the log is set up already: {0}")]
    Twice(#[from] tracing_subscriber::util::TryInitError),
    /// The log cannot be changed any more.
    #[error("what is logged cannot be changed: {0}")]
    Change(#[from] reload::Error),
}

/// By which what is logged can be changed later.
#[derive(Debug)]
pub struct Level(Handle<EnvFilter, Registry>);

impl Level {
    /// Logs what `wanted` says from now on, unless `RUST_LOG` says something.
    pub fn set(&self, wanted: &str) -> Result<(), LogError> {
        Ok(self.0.reload(filter(wanted)?)?)
    }
}

/// Something else than the log that looks at what happens, with a filter of its own.
pub type Part = Box<dyn Layer<Registry> + Send + Sync>;

/// Begins to log. `RUST_LOG` overrides the configured level.
pub fn start(log: &Log, audit: Option<&AuditFile>, other: Option<Part>) -> Result<Level, LogError> {
    let (filter, handle) = reload::Layer::new(filter(&log.level)?);
    let terminal = std::io::stderr().is_terminal();
    let for_people = match log.format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => terminal,
    };
    let lines =
        tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(terminal && colours());
    let lines = if for_people {
        lines.with_target(false).compact().boxed()
    } else {
        lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed()
    };
    let mut parts: Vec<Part> = vec![lines.with_filter(filter).boxed()];
    parts.extend(other);
    parts.extend(audit.cloned().map(AuditFile::part));
    tracing_subscriber::registry().with(parts).try_init()?;
    Ok(Level(handle))
}

/// A file that the audit is appended to, one JSON object a line.
#[derive(Debug, Clone)]
pub struct AuditFile(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    path: PathBuf,
    file: Mutex<File>,
}

impl AuditFile {
    /// Opens it, and makes it where there is none.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = Mutex::new(appended(path)?);
        Ok(Self(Arc::new(Opened { path: path.to_owned(), file })))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Opens it anew: the old one may have been moved away.
    pub fn reopen(&self) -> io::Result<()> {
        let file = appended(&self.0.path)?;
        *self.0.file.lock() = file;
        Ok(())
    }

    /// What writes to it, whatever the level of the log.
    fn part(self) -> Part {
        let lines = tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .with_target(false)
            // A full disk must be seen somewhere.
            .log_internal_errors(true)
            .with_writer(self);
        lines.with_filter(filter_fn(|event| event.target() == server::AUDIT)).boxed()
    }
}

impl<'a> MakeWriter<'a> for AuditFile {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

/// Each line comes as one piece. Acts are rare, and one that is answered is written: so nothing is put off.
impl Write for &AuditFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.file.lock().write_all(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Nobody else reads who comes from where.
fn appended(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn filter(level: &str) -> Result<EnvFilter, LogError> {
    let wanted = std::env::var("RUST_LOG").ok().filter(|wanted| !wanted.is_empty());
    Ok(EnvFilter::builder().parse(wanted.as_deref().unwrap_or(level))?)
}

/// <https://no-color.org>
fn colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
