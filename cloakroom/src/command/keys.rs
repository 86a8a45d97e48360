//! `cloakroom keys`: make keys, and list those of a configuration. No command shows a key itself.

use std::path::PathBuf;

use clap::Subcommand;
use seal::KeyId;

use super::ConfigOption;
use crate::key_files;

#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Make a key in a new file that only its owner can read
    ///
    /// An existing file is never overwritten. Prints the lines that name the key in the configuration.
    New {
        /// What the configuration shall call it; without it, the name of the file
        #[arg(long, value_name = "ID")]
        id: Option<KeyId>,
        /// The file to make
        file: PathBuf,
    },
    /// List the keys of a configuration: id, state, fingerprint, file
    List(ConfigOption),
}

impl Keys {
    pub(super) fn execute(self) -> miette::Result<()> {
        match self {
            Self::New { id, file } => new(id, file),
            Self::List(option) => list(&option),
        }
    }
}

fn new(id: Option<KeyId>, file: PathBuf) -> miette::Result<()> {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
    let Some(id) = id.or(stem) else {
        return Err(miette::miette!(
            help = "name it: `cloakroom keys new --id 2026-11 FILE`",
            "the name of {} cannot be the id of a key",
            file.display(),
        ));
    };
    key_files::create(&file)?;
    let name = toml::Value::String(file.display().to_string());
    println!("{} holds a new key. Name it in the configuration:\n", file.display());
    println!("[[keys]]\nid = \"{id}\"\nfile = {name}        # relative to the folder of the configuration");
    Ok(())
}

fn list(option: &ConfigOption) -> miette::Result<()> {
    let keys = option.load()?.configuration.keys;
    if keys.is_empty() {
        println!("The configuration names no key: one is made in the data directory at the first start.");
        return Ok(());
    }
    println!("{:<20} {:<10} {:<11} file", "id", "state", "fingerprint");
    for key in &keys {
        let fingerprint = key_files::load(key)?.tag().map_err(key_files::KeyFileError::from)?;
        println!(
            "{:<20} {:<10} {:<11} {}",
            key.id,
            key.state.to_string(),
            fingerprint.to_string(),
            key.file.display()
        );
    }
    Ok(())
}
