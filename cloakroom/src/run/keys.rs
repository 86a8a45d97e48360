//! The keys of a running program: read at its start and at a reload, kept up to date in between.

use std::sync::Arc;

use miette::Result;
use parking_lot::Mutex;
use seal::{KeyRing, Keys};
use session::Clock;

use crate::configuration::Configuration;
use crate::key_files;
use crate::rotation::Rotation;
use crate::rotation::keeper::{Keeping, keep};

/// The keys that everybody shares, and whoever keeps them.
#[derive(Debug)]
pub(super) struct KeptKeys {
    keys: Arc<Keys>,
    clock: Arc<dyn Clock>,
    keeping: Mutex<Option<Keeping>>,
}

/// Keys that were read and are right, and that nobody uses yet.
#[derive(Debug)]
pub(super) struct ReadKeys {
    ring: KeyRing,
    rotation: Option<Rotation>,
}

impl KeptKeys {
    /// The keys of a configuration, from now on.
    pub(super) fn open(configuration: &Configuration, clock: Arc<dyn Clock>) -> Result<Self> {
        let ReadKeys { ring, rotation } = read(configuration, &*clock)?;
        let keys = Arc::new(Keys::new(ring));
        let keeping = rotation.map(|rotation| keep(rotation, &keys, Arc::clone(&clock)));
        Ok(Self { keys, clock, keeping: Mutex::new(keeping) })
    }

    /// The handle for all who seal and open.
    pub(super) const fn shared(&self) -> &Arc<Keys> {
        &self.keys
    }

    /// Reads the keys of a changed configuration.
    pub(super) fn read(&self, configuration: &Configuration) -> Result<ReadKeys> {
        read(configuration, &*self.clock)
    }

    /// Goes on by these keys.
    pub(super) fn take_over(&self, ReadKeys { ring, rotation }: ReadKeys) {
        let mut keeping = self.keeping.lock();
        // First, so that it does not put back what it knew.
        *keeping = None;
        self.keys.replace(ring);
        *keeping = rotation.map(|rotation| keep(rotation, &self.keys, Arc::clone(&self.clock)));
    }
}

/// The keys of a configuration that are there; none is made.
pub(crate) fn existing(configuration: &Configuration, clock: &dyn Clock) -> Result<KeyRing> {
    let now = clock.now();
    if let Some(mut rotation) = Rotation::configured(configuration)? {
        rotation.look(now)?;
        return Ok(rotation.ring(now)?);
    }
    if !configuration.keys.is_empty() {
        return Ok(key_files::ring(&configuration.keys)?);
    }
    Ok(key_files::ring(&[key_files::default_key(&configuration.data_dir)])?)
}

/// Reads the keys of a configuration, and makes the first one where there is none.
fn read(configuration: &Configuration, clock: &dyn Clock) -> Result<ReadKeys> {
    let now = clock.now();
    if let Some(mut rotation) = Rotation::configured(configuration)? {
        for event in rotation.open(now)? {
            tracing::info!(folder = %rotation.folder().path().display(), ?event, "the first key");
        }
        return Ok(ReadKeys { ring: rotation.ring(now)?, rotation: Some(rotation) });
    }
    if !configuration.keys.is_empty() {
        return Ok(ReadKeys { ring: key_files::ring(&configuration.keys)?, rotation: None });
    }
    let key = key_files::default_key(&configuration.data_dir);
    if !key.file.exists() {
        key_files::create(&key.file)?;
        tracing::info!(file = %key.file.display(), "a key was made");
    }
    Ok(ReadKeys { ring: key_files::ring(&[key])?, rotation: None })
}
