//! `cloakroom config`: what can be configured, and what is.

use std::io::Write;

use clap::Subcommand;
use miette::IntoDiagnostic;

use super::ConfigOption;
use crate::configuration;

#[derive(Debug, Subcommand)]
pub(super) enum Config {
    /// Every key with its range, default and meaning, in Markdown
    Reference,
    /// A JSON schema of the file, for editors
    Schema,
    /// A file to begin with: every key explained, most of them commented out
    Example,
    /// Every key of a configuration with the value that holds
    Effective(ConfigOption),
}

impl Config {
    pub(super) fn execute(self) -> miette::Result<()> {
        match self {
            Self::Reference => print(&configuration::reference()),
            Self::Schema => print(&format!("{:#}\n", configuration::schema())),
            Self::Example => print(&configuration::example()),
            Self::Effective(option) => print(&option.load()?.effective()),
        }
    }
}

/// Prints a page. A reader that has seen enough, such as `head`, is no mistake.
fn print(page: &str) -> miette::Result<()> {
    match std::io::stdout().write_all(page.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error).into_diagnostic(),
        _ => Ok(()),
    }
}
