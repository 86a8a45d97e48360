//! The log: structured events on standard error, for people on a terminal, as JSON lines otherwise.
//!
//! Standard output is left to the answers of commands.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

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
}

/// Begins to log. `RUST_LOG` overrides the configured level.
pub fn start(log: &Log) -> Result<(), LogError> {
    let wanted = std::env::var("RUST_LOG").ok().filter(|wanted| !wanted.is_empty());
    let filter = EnvFilter::builder().parse(wanted.as_deref().unwrap_or(&log.level))?;
    let terminal = std::io::stderr().is_terminal();
    let for_people = match log.format {
        LogFormat::Human => true,
        LogFormat::Json => false,
        LogFormat::Auto => terminal,
    };
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(terminal && colours());
    if for_people {
        builder.with_target(false).compact().finish().try_init()?;
    } else {
        builder
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .finish()
            .try_init()?;
    }
    Ok(())
}

/// <https://no-color.org>
fn colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
