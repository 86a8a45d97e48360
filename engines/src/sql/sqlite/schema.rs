//! The schema: which databases are ours, and how an older one becomes a newer one.

use std::path::Path;

use rusqlite::{Connection, TransactionBehavior};

use super::fault;
use crate::Problem;

/// "Clkr", in the header of the file.
const APPLICATION: i64 = 1_131_178_866;

/// The steps from an empty file to the newest schema. A step that was ever released is never changed.
const STEPS: [&str; 1] = [include_str!("schema/1.sql")];

/// Brings an empty or an older database to the newest schema, and refuses one that is newer or not ours. Nothing is
/// changed in what is refused. While another process uses the database, an older one is refused as well.
pub(super) fn prepare(connection: &mut Connection, file: &Path, is_shared: bool) -> Result<(), Problem> {
    let failed = |error| fault::problem(file, error);
    let application = number(connection, "PRAGMA application_id").map_err(failed)?;
    let found = number(connection, "PRAGMA user_version").map_err(failed)?;
    let things = number(connection, "SELECT count(*) FROM sqlite_schema").map_err(failed)?;
    if application != APPLICATION && (application, found, things) != (0, 0, 0) {
        return Err(Problem::Foreign { path: file.into() });
    }
    let known = STEPS.len() as i64;
    if found > known {
        return Err(Problem::Newer { path: file.into(), found, known });
    }
    if found < known && is_shared {
        return Err(Problem::Older { path: file.into(), found, known });
    }
    for (step, number) in STEPS.into_iter().zip(1..).filter(|(_, number)| *number > found) {
        apply(connection, step, number).map_err(failed)?;
    }
    Ok(())
}

/// A step and its number are there together or not at all.
fn apply(connection: &mut Connection, step: &str, number: i64) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    transaction.execute_batch(step)?;
    transaction.pragma_update(None, "user_version", number)?;
    transaction.commit()
}

fn number(connection: &Connection, sql: &str) -> Result<i64, rusqlite::Error> {
    connection.query_row(sql, [], |row| row.get(0))
}
