//! From a folder to a database that can be used.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::available_parallelism;
use std::time::Duration;

use session::Clock;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use storage::Publisher;

use super::folder::Folder;
use super::readers::Readers;
use super::versions::Versions;
use super::writer::Writer;
use super::{fault, schema};
use crate::Problem;

/// How long an operator who holds a lock on the database may keep us waiting.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of the log that remain when a burst of writes is over.
const LOG_REMAINS: &str = "67108864";
/// How many changes a listener may miss before it is told that it did.
const STREAM_CAPACITY: usize = 4096;

/// Opens and prepares the database in a folder that is claimed, or was taken over from the process that shares it.
pub(super) async fn writer(
    storage: &Arc<str>,
    folder: Folder,
    is_shared: bool,
    clock: Arc<dyn Clock>,
    tune: impl FnOnce(SqliteConnectOptions) -> SqliteConnectOptions,
) -> Result<Writer, Problem> {
    let failed = |error| fault::problem(&folder.database, error);
    let options = connect_options(&folder.database)
        .synchronous(SqliteSynchronous::Full)
        .pragma("journal_size_limit", LOG_REMAINS);
    let options = tune(options);
    let mut connection = options.connect().await.map_err(failed)?;
    schema::prepare(&mut connection, &folder.database, is_shared).await?;
    // Only now that it is known to be ours. It stays in that mode.
    let mode: String =
        sqlx::query_scalar("PRAGMA journal_mode = WAL").fetch_one(&mut connection).await.map_err(failed)?;
    if mode != "wal" {
        let cause =
            format!("SQLite cannot keep a write-ahead log there (`{mode}`); name a folder on a local disk");
        return Err(Problem::Failed { path: folder.database.to_path_buf(), cause: cause.into() });
    }
    let versions = Versions::begin(&mut connection, clock.now()).await.map_err(failed)?;
    let count = available_parallelism().map_or(2, |count| count.get().clamp(2, 8) as u32);
    let read_only = connect_options(&folder.database).read_only(true);
    let readers = Arc::new(Readers::new(read_only, count));
    Ok(Writer {
        storage: Arc::clone(storage),
        clock,
        options,
        connection: Some(connection),
        versions,
        changes: Publisher::new(STREAM_CAPACITY),
        counters: Arc::default(),
        readers,
        sharing: Arc::new(AtomicBool::new(is_shared)),
        was_shared: is_shared,
        folder,
    })
}

fn connect_options(database: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(database).busy_timeout(BUSY_TIMEOUT).disable_statement_logging()
}
