//! The embedded engine: durable records in a folder of this machine, with nothing to install.
//!
//! Today it is [`sql::sqlite`](crate::sql::sqlite). Whoever opens it here gets whatever serves that purpose best, and
//! does not learn what it is.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use session::Clock;
use storage::Storage;

use crate::OpenError;
use crate::sql::sqlite::Sqlite;

/// Opens the records in `folder`, which is made if it is not there, for the storage service `id`. One process at a
/// time has them; two storage services need a folder each.
///
/// When the last reference to the engine goes, what was asked is still written and the files are closed in the
/// background. Must be called within a tokio runtime.
pub async fn open(id: &str, folder: &Path, clock: Arc<dyn Clock>) -> Result<Arc<dyn Storage>, OpenError> {
    Ok(Arc::new(Sqlite::open(id, folder, clock).await?))
}

/// An embedded engine of which one process can hand over to the next while both serve.
#[derive(Debug, Clone)]
pub struct HandOver(Arc<Sqlite>);

impl HandOver {
    /// Opens like [`open`], or with the claim on the folder that the process before has [shared](Self::share).
    pub async fn open(
        id: &str,
        folder: &Path,
        claim: Option<File>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let engine = match claim {
            Some(claim) => Sqlite::join(id, folder, claim, clock).await?,
            None => Sqlite::open(id, folder, clock).await?,
        };
        Ok(Self(Arc::new(engine)))
    }

    /// The engine.
    #[must_use]
    pub fn storage(&self) -> Arc<dyn Storage> {
        Arc::clone(&self.0) as _
    }

    /// Lets the next process in: the claim on the folder, to be passed to it. From now on neither is told of what the other
    /// changes: no copy may be served before this engine was asked.
    pub fn share(&self) -> io::Result<File> {
        self.0.share()
    }

    /// The other process is gone.
    pub fn end_sharing(&self) {
        self.0.end_sharing();
    }
}
