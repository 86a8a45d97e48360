//! `cloakroom store`: looks into a storage service, and moves its records to another one.
//!
//! | file | what |
//! |---|---|
//! | `service.rs` | a storage service of the configuration, opened beside or in the place of the running program |
//! | `check.rs`, `stats.rs` | what is in it, and whether it is well |
//! | `index.rs` | whose sessions these are, verified and mended |
//! | `dump.rs`, `load.rs` | its records into a file, and out of it |
//! | `lines.rs`, `writer.rs`, `reader.rs` | the file: what a line says, how it is written, verified and read |

mod check;
mod dump;
mod index;
mod lines;
mod load;
mod progress;
mod reader;
mod service;
mod stats;
mod writer;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use miette::{IntoDiagnostic as _, WrapErr as _};

use super::ConfigOption;

#[derive(Debug, Subcommand)]
pub(super) enum Store {
    /// Say what a storage service can do, and verify each of its records
    ///
    /// Creates, reads and ends a record of its own, then looks at all others: whether the seal opens, whether the value is what
    /// its key says, whether the times can be. Says which keys sealed how many. Shows handles, never a secret. Exits with 1 if
    /// anything is wrong.
    Check(check::CheckOptions),
    /// Count what is in a storage service: kinds, sizes, ages
    Stats(stats::StatsOptions),
    /// Write the records of a storage service into a file
    ///
    /// One line of JSON a record, values sealed with the keys of this installation: the file alone shows nobody's session and
    /// opens none. It is made for its owner only, and never written over. What expired is left out.
    Dump(dump::DumpOptions),
    /// Bring the records of such a file into a storage service
    ///
    /// Creates what is not there, with its version and times. What is there is left as it is; what was ended stays ended. It
    /// can be done again at any time.
    Load(load::LoadOptions),
}

/// Which storage service is meant.
#[derive(Debug, Args)]
struct Which {
    #[command(flatten)]
    configuration: ConfigOption,
    /// The `id` of its `[[storage]]`; without it, the one that `[cache]` names
    #[arg(long, value_name = "ID")]
    storage: Option<String>,
}

/// How much is told meanwhile.
#[derive(Debug, Args)]
struct Told {
    /// Show no progress
    #[arg(long, short)]
    quiet: bool,
}

/// A file, or what a pipe brings or takes.
#[derive(Debug, Clone)]
enum Place {
    Standard,
    File(PathBuf),
}

impl Place {
    fn of(argument: Option<&PathBuf>) -> Self {
        match argument {
            Some(file) if file.as_os_str() != "-" => Self::File(file.clone()),
            _ => Self::Standard,
        }
    }
}

impl Store {
    pub(super) fn execute(self) -> miette::Result<()> {
        crate::run::set_up_tls()?;
        let runtime =
            tokio::runtime::Runtime::new().into_diagnostic().wrap_err("the runtime does not start")?;
        runtime.block_on(async {
            match self {
                Self::Check(options) => check::check(&options).await,
                Self::Stats(options) => stats::stats(&options).await,
                Self::Dump(options) => dump::dump(&options).await,
                Self::Load(options) => load::load(&options).await,
            }
        })
    }
}
