//! `cloakroom keys`: make keys, list those of a configuration, and have the next one follow. No command shows a key
//! itself.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use seal::{Key, KeyId};
use session::{Clock as _, Millis, SystemClock};

use super::ConfigOption;
use crate::key_files::{self, KeyFileError};
use crate::rotation::{Rotation, folder};

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
    /// List the keys of a configuration: id, state, since and until when, fingerprint, file
    List(ConfigOption),
    /// Begin to rotate the keys now, before it is time
    ///
    /// Makes the next key in the folder of `[key_rotation]`. As always it is announced first: when it begins to seal,
    /// every node can open with it. Nobody is logged out. If a rotation is under way, that one is told.
    Rotate {
        #[command(flatten)]
        option: ConfigOption,
        /// Seal with the new key at once, without announcing it
        ///
        /// For a key that has leaked, as it ends its use a little earlier. Each node learns of the new key when it looks
        /// next, within ten seconds, or when it meets a value that was sealed with it; one that cannot read the folder at
        /// that moment refuses such values until it can. The old key still opens what it sealed, also what a thief
        /// seals with it: take its file out of the folder as well, which logs out whoever's session it sealed.
        #[arg(long)]
        danger_now: bool,
    },
}

impl Keys {
    pub(super) fn execute(self) -> miette::Result<()> {
        match self {
            Self::New { id, file } => new(id, file),
            Self::List(option) => list(&option),
            Self::Rotate { option, danger_now } => rotate(&option, danger_now),
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
    let configuration = option.load()?.configuration;
    let mut rows = Vec::new();
    let mut named = configuration.keys.clone();
    if let Some(mut rotation) = Rotation::configured(&configuration)? {
        let now = SystemClock::default().now();
        if rotation.folder().path().exists() {
            rotation.look(now)?;
        }
        for (key, dates, stage) in rotation.stages(now) {
            let state = stage.state.map_or_else(|| "over".to_owned(), |state| state.to_string());
            let file = rotation.folder().file(dates.number);
            rows.push(row(key, state, moment(stage.since), moment(stage.until), &file)?);
        }
        if named.is_empty() && !rotation.named().is_empty() {
            named.push(key_files::default_key(&configuration.data_dir));
        }
    } else if named.is_empty() {
        println!("The configuration names no key: one is made in the data directory at the first start.");
        return Ok(());
    }
    for file in &named {
        let key = key_files::load(file)?;
        rows.push(row(&key, key.state().to_string(), "-".to_owned(), "-".to_owned(), &file.file)?);
    }
    if rows.is_empty() {
        println!("There is no key yet: the first one is made at the first start.");
        return Ok(());
    }
    println!("{:<20} {:<10} {:<21} {:<21} {:<11} file", "id", "state", "since", "until", "fingerprint");
    for [id, state, since, until, tag, file] in rows {
        println!("{id:<20} {state:<10} {since:<21} {until:<21} {tag:<11} {file}");
    }
    Ok(())
}

fn row(key: &Key, state: String, since: String, until: String, file: &Path) -> miette::Result<[String; 6]> {
    let tag = key.tag().map_err(KeyFileError::from)?;
    Ok([key.id().to_string(), state, since, until, tag.to_string(), file.display().to_string()])
}

fn rotate(option: &ConfigOption, at_once: bool) -> miette::Result<()> {
    let configuration = option.load()?.configuration;
    let Some(mut rotation) = Rotation::configured(&configuration)? else {
        return Err(miette::miette!(
            help = "add `[key_rotation]`; or change `[[keys]]` by hand on all nodes: first the new key as `announced`, then \
                    as `active`, the old one as `retiring`",
            "this configuration has no `[key_rotation]`",
        ));
    };
    let now = SystemClock::default().now();
    rotation.open(now)?;
    let skew = rotation.folder().skew(now)?;
    if skew > rotation.schedule().skew() {
        return Err(miette::miette!(
            help = "set the clock: what state a key is in follows from the time",
            "the clock of this machine differs from that of the folder by {} s",
            skew.as_secs(),
        ));
    }
    let (key, is_new) = rotation.rotate(now, at_once)?;
    let file = rotation.folder().file(key.number);
    match (is_new, key.active > now) {
        (true, true) => println!(
            "{} is announced: it seals from {} on, on every node. Nobody is logged out.",
            file.display(),
            moment(key.active)
        ),
        (false, true) => println!(
            "A rotation is under way: {} seals from {} on. Nothing was made.",
            file.display(),
            moment(key.active)
        ),
        (_, false) => {
            println!("{} seals from now on.", file.display());
            eprintln!(
                "Warning: it was not announced. A node that cannot read the folder refuses what it seals until it can.\n\
                 The keys before it still open what they sealed. If one has leaked, take its file out of {}: what it \
                 sealed opens nowhere any more, and whoever holds that is logged out.",
                rotation.folder().path().display()
            );
        }
    }
    Ok(())
}

/// In UTC, to the second; a dash for never.
fn moment(moment: Millis) -> String {
    if moment == Millis::NEVER {
        return "-".to_owned();
    }
    let second = Millis(moment.0 / 1000 * 1000);
    folder::shown(second).map_or_else(|_| "-".to_owned(), |shown| shown.replace(".000", ""))
}
