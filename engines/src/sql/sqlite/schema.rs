//! The schema: which databases are ours, and how an older one becomes a newer one.

use std::path::Path;

use sqlx::{Connection as _, SqliteConnection};

use super::fault;
use crate::Problem;

/// "Clkr", in the header of the file.
const APPLICATION: i64 = 1_131_178_866;

/// The steps from an empty file to the newest schema. A step that was ever released is never changed.
const STEPS: [&str; 1] = [include_str!("schema/1.sql")];

/// Brings an empty or an older database to the newest schema, and refuses one that is newer or not ours. Nothing is
/// changed in what is refused. While another process uses the database, an older one is refused as well.
pub(super) async fn prepare(
    connection: &mut SqliteConnection,
    file: &Path,
    is_shared: bool,
) -> Result<(), Problem> {
    let failed = |error| fault::problem(file, error);
    let application = number(connection, "PRAGMA application_id").await.map_err(failed)?;
    let found = number(connection, "PRAGMA user_version").await.map_err(failed)?;
    let things = number(connection, "SELECT count(*) FROM sqlite_schema").await.map_err(failed)?;
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
        apply(connection, step, number).await.map_err(failed)?;
    }
    Ok(())
}

/// A step and its number are there together or not at all.
async fn apply(
    connection: &mut SqliteConnection,
    step: &'static str,
    number: i64,
) -> Result<(), sqlx::Error> {
    let mut transaction = connection.begin_with("BEGIN EXCLUSIVE").await?;
    sqlx::raw_sql(step).execute(&mut *transaction).await?;
    let numbered = format!("PRAGMA user_version = {number}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(numbered)).execute(&mut *transaction).await?;
    transaction.commit().await
}

async fn number(connection: &mut SqliteConnection, sql: &'static str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(sql).fetch_one(connection).await
}
