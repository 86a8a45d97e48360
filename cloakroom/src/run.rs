//! Starts what a configuration asks for.

use crate::configuration::Configuration;

/// Runs until it is told to stop. Without a configuration: the demonstration, on loopback.
///
/// Storage, cache, gateway and servers are not wired to the configuration yet, and this says so.
pub fn run(configuration: Option<Configuration>) -> miette::Result<()> {
    let what = if configuration.is_some() { "what this file describes" } else { "the demonstration" };
    Err(miette::miette!(
        help = "`cloakroom check --config FILE` shows what would run",
        "this build cannot start {what}: storage, gateway and servers are not wired to the configuration yet",
    ))
}
