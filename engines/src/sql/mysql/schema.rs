//! The schema: which tables are ours, and how an older schema becomes a newer one.
//!
//! Whoever starts takes a lock, so that of several nodes one makes or changes the tables while the others wait. These
//! databases cannot undo a table, so the first thing that is made says that what follows is ours; a step that was broken
//! off is done again.

use std::sync::Arc;

use session::Millis;
use sqlx::{Connection as _, MySqlConnection, query, query_scalar, raw_sql};
use storage::Version;

use super::refusal;
use crate::Problem;
use crate::sql::row::signed;

/// The steps from nothing to the newest schema. A step that was ever released is never changed. Each can be done again.
const STEPS: [&str; 2] = [include_str!("schema/1.sql"), include_str!("schema/2.sql")];

const NUMBERS: &str = "\
    CREATE TABLE IF NOT EXISTS cloakroom_schema (\
        version INT NOT NULL PRIMARY KEY, since TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP\
    ) ENGINE = InnoDB";

/// The lock that one holds who makes or changes tables of this database.
const LOCK: &str = "SELECT CAST(GET_LOCK(CONCAT('cloakroom.', MD5(DATABASE())), 25) AS SIGNED)";
const UNLOCK: &str = "DO RELEASE_LOCK(CONCAT('cloakroom.', MD5(DATABASE())))";

/// One row of everything that statements use.
const PROBES: [&str; 2] = [
    "SELECT context, name, version, touched, expires, write_id, ended_at, ended_why, ended_by, value \
     FROM cloakroom_record LIMIT 0",
    "SELECT id, at, context, name, version, kind FROM cloakroom_change LIMIT 0",
];

/// Brings the database to the newest schema, and refuses one that is newer or not ours. Nothing is changed in what is
/// refused.
pub(super) async fn prepare(
    connection: &mut MySqlConnection,
    place: &Arc<str>,
    now: Millis,
) -> Result<(), Problem> {
    let failed = |error: sqlx::Error| refusal::at_start(place, &error);
    suits(connection, place).await?;
    let locked: Option<i64> = query_scalar(LOCK).fetch_one(&mut *connection).await.map_err(failed)?;
    if locked != Some(1) {
        let cure = "wait until it is done; if it never is, see `SHOW PROCESSLIST`";
        return Err(Problem::database(&**place, "another node has been changing the tables for long", cure));
    }
    let found = found(connection, place).await?;
    let known = STEPS.len() as i32;
    if found > known {
        let problem = format!("the tables have schema {found}, and this Cloakroom knows up to {known}");
        return Err(Problem::database(&**place, problem, "a newer one made them: use that one"));
    }
    if found < known {
        query(NUMBERS).execute(&mut *connection).await.map_err(failed)?;
    }
    for (step, number) in STEPS.into_iter().zip(1..).filter(|(_, number)| *number > found) {
        raw_sql(step).execute(&mut *connection).await.map_err(failed)?;
        query("INSERT INTO cloakroom_schema (version) VALUES (?)")
            .bind(number)
            .execute(&mut *connection)
            .await
            .map_err(failed)?;
    }
    for probe in PROBES {
        query(probe).execute(&mut *connection).await.map_err(failed)?;
    }
    begin_versions(connection, now).await.map_err(failed)?;
    query(UNLOCK).execute(&mut *connection).await.map_err(failed)?;
    Ok(())
}

/// Whether the server can do what is needed.
async fn suits(connection: &mut MySqlConnection, place: &Arc<str>) -> Result<(), Problem> {
    let failed = |error: sqlx::Error| refusal::at_start(place, &error);
    let version: String =
        query_scalar("SELECT VERSION()").fetch_one(&mut *connection).await.map_err(failed)?;
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|part| part.parse().unwrap_or(0));
    let found: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let least = if version.contains("MariaDB") { (10, 5) } else { (8, 0) };
    if found < least {
        let problem = format!("the server is {version}");
        return Err(Problem::database(&**place, problem, "use MySQL 8.0, MariaDB 10.5, or newer"));
    }
    let reads_only: i64 = query_scalar("SELECT CAST(@@global.read_only AS SIGNED)")
        .fetch_one(&mut *connection)
        .await
        .map_err(failed)?;
    if reads_only != 0 {
        return Err(Problem::database(
            &**place,
            "the server only reads",
            "name the one that writes in `url`",
        ));
    }
    Ok(())
}

/// The number of the schema that is there; 0 for none.
async fn found(connection: &mut MySqlConnection, place: &Arc<str>) -> Result<i32, Problem> {
    let failed = |error: sqlx::Error| refusal::at_start(place, &error);
    let tables = "SELECT CAST(COUNT(*) AS SIGNED) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() \
                  AND TABLE_NAME = 'cloakroom_schema'";
    let others = "SELECT CAST(COUNT(*) AS SIGNED) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() \
                  AND TABLE_NAME IN ('cloakroom_record', 'cloakroom_change', 'cloakroom_readable')";
    let foreign = || {
        Problem::database(
            &**place,
            "it has a table `cloakroom_...` that is not ours",
            "rename that table, or name another database in `url`",
        )
    };
    let has_numbers: i64 = query_scalar(tables).fetch_one(&mut *connection).await.map_err(failed)?;
    let others: i64 = query_scalar(others).fetch_one(&mut *connection).await.map_err(failed)?;
    if has_numbers == 0 {
        return if others == 0 { Ok(0) } else { Err(foreign()) };
    }
    let newest: Result<Option<i32>, _> =
        query_scalar("SELECT MAX(version) FROM cloakroom_schema").fetch_one(&mut *connection).await;
    match newest {
        // Empty: the first step was broken off.
        Ok(newest) => Ok(newest.unwrap_or(0)),
        Err(sqlx::Error::ColumnDecode { .. }) => Err(foreign()),
        Err(sqlx::Error::Database(said)) if said.code().as_deref() == Some("42S22") => Err(foreign()),
        Err(error) => Err(failed(error)),
    }
}

/// Versions begin at the time: a copy that was put back does not know what was used after it was made. What a row once moved the numbers to they keep when the row is undone.
async fn begin_versions(connection: &mut MySqlConnection, now: Millis) -> Result<(), sqlx::Error> {
    let first = Version::beginning(now).0;
    let mut transaction = connection.begin().await?;
    let drawn =
        query("INSERT INTO cloakroom_change (context, name, kind) VALUES ('start', 'start', 'written')")
            .execute(&mut *transaction)
            .await?
            .last_insert_id();
    if drawn < first {
        query(
            "INSERT INTO cloakroom_change (id, context, name, kind) VALUES (?, 'start', 'start', 'written')",
        )
        .bind(signed(first))
        .execute(&mut *transaction)
        .await?;
    }
    transaction.rollback().await
}
