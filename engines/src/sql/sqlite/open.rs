//! From a folder to a database that can be used.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::available_parallelism;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use session::Clock;
use storage::Publisher;

use super::folder::Folder;
use super::readers::Readers;
use super::versions::Versions;
use super::writer::Writer;
use super::{fault, schema};
use crate::Problem;

/// How long an operator who holds a lock on the database may keep us waiting.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// What is acknowledged is on the disk; and the most bytes of the log that remain when a burst of writes is over.
const WRITING: &str = "PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 67108864;";
/// How many prepared statements a connection keeps: all that there are.
const STATEMENTS: usize = 32;
/// How many changes a listener may miss before it is told that it did.
const STREAM_CAPACITY: usize = 4096;

/// Opens and prepares the database in a folder that is claimed, or was taken over from the process that shares it. This waits
/// for the disk.
pub(super) fn writer(
    storage: &Arc<str>,
    folder: Folder,
    is_shared: bool,
    clock: Arc<dyn Clock>,
    tuning: &'static str,
) -> Result<Writer, Problem> {
    let failed = |error| fault::problem(&folder.database, error);
    let mut connection = to_write(&folder.database, tuning).map_err(failed)?;
    schema::prepare(&mut connection, &folder.database, is_shared)?;
    // Only now that it is known to be ours. It stays in that mode.
    let mode: String =
        connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(failed)?;
    if mode != "wal" {
        let cause =
            format!("SQLite cannot keep a write-ahead log there (`{mode}`); name a folder on a local disk");
        return Err(Problem::Failed { path: folder.database.to_path_buf(), cause: cause.into() });
    }
    let versions = Versions::begin(&connection, clock.now()).map_err(failed)?;
    let count = available_parallelism().map_or(2, |count| count.get().clamp(2, 8) as u32);
    let readers = Arc::new(Readers::new(&folder.database, count));
    Ok(Writer {
        storage: Arc::clone(storage),
        clock,
        tuning,
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

/// A connection that writes, which is told `tuning` as well.
pub(super) fn to_write(database: &Path, tuning: &str) -> Result<Connection, rusqlite::Error> {
    let connection = connected(database, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.execute_batch(WRITING)?;
    connection.execute_batch(tuning)?;
    Ok(connection)
}

/// A connection that only reads.
pub(super) fn to_read(database: &Path) -> Result<Connection, rusqlite::Error> {
    connected(database, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn connected(database: &Path, access: OpenFlags) -> Result<Connection, rusqlite::Error> {
    // One thread at a time has it, and a name is a path and no URL.
    let connection = Connection::open_with_flags(database, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}
