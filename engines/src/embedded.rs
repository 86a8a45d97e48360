//! The embedded engine: durable records in a folder of this machine, with nothing to install.
//!
//! Today it is [`sql::sqlite`](crate::sql::sqlite). Whoever opens it here gets whatever serves that purpose best, and
//! does not learn what it is.

use std::path::Path;
use std::sync::Arc;

use session::Clock;
use storage::Storage;

use crate::{OpenError, sql};

/// Opens the records in `folder`, which is made if it is not there, for the storage service `id`. One process at a
/// time has them; two storage services need a folder each.
///
/// When the last reference to the engine goes, what was asked is still written and the files are closed in the
/// background. Must be called within a tokio runtime.
pub async fn open(id: &str, folder: &Path, clock: Arc<dyn Clock>) -> Result<Arc<dyn Storage>, OpenError> {
    Ok(Arc::new(sql::sqlite::Sqlite::open(id, folder, clock).await?))
}
