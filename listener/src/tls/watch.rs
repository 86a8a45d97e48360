//! Sees that the files of TLS have changed.
//!
//! Asking the system for the state of a few files costs next to nothing, works on every file system, and sees files that
//! were moved into their place as well as symbolic links that lead elsewhere now.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::{Tls, TlsSettings};

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(10);

/// What tells a file from what it was: device, inode, length, time of its last change.
pub(super) type Stamp = Option<(u64, u64, u64, i64, i64)>;

impl Tls {
    /// Looks at the files again and again, and reads them when one has changed. It never ends. Files that are broken are
    /// reported once, and what was made of those before stays.
    pub async fn watch(self: Arc<Self>) {
        loop {
            sleep(INTERVAL).await;
            let tls = Arc::clone(&self);
            // Whatever became of it was logged.
            let _ = tokio::task::spawn_blocking(move || tls.look()).await;
        }
    }

    /// Reads the files if they are not as they were.
    pub(super) fn look(&self) {
        if *self.seen.lock() == stamps(&self.settings) {
            return;
        }
        match self.reload() {
            Ok(()) => tracing::info!("files of TLS have changed; new connections go by them"),
            Err(error) => {
                tracing::error!(%error, "files of TLS have changed and cannot be used; those before stay in use")
            }
        }
    }
}

/// How the files are now.
pub(super) fn stamps(settings: &TlsSettings) -> Vec<Stamp> {
    settings.files().map(|file| stamp(file)).collect()
}

fn stamp(file: &Path) -> Stamp {
    let metadata = std::fs::metadata(file).ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec()))
}
