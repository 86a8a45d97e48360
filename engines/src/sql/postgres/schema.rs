//! The schema: which tables are ours, and how an older schema becomes a newer one.
//!
//! Whoever starts takes a lock, so that of several nodes one makes or changes the tables while the others wait; what they
//! find then is up to date. A step and its number are there together or not at all: PostgreSQL undoes whole tables.

use std::sync::Arc;

use session::Millis;
use sqlx::{Connection as _, PgConnection, query, query_scalar};

use super::{refusal, versions};
use crate::Problem;

/// The steps from nothing to the newest schema. A step that was ever released is never changed.
const STEPS: [&str; 2] = [include_str!("schema/1.sql"), include_str!("schema/2.sql")];

/// "Clkr": which lock of the database.
const LOCK: i32 = 1_131_178_866;

const NUMBERS: &str = "CREATE TABLE cloakroom_schema (\
    version integer PRIMARY KEY, since timestamptz NOT NULL DEFAULT now())";

/// One row of everything that statements use.
const PROBES: [&str; 2] = [
    "SELECT context, name, version, touched, expires, write_id, ended_at, ended_why, ended_by, value \
     FROM cloakroom_record LIMIT 0",
    "SELECT last_value FROM cloakroom_version",
];

/// Brings the database to the newest schema, and refuses one that is newer or not ours. Nothing is changed in what is
/// refused. Gives the number of the schema in which the tables are.
pub(super) async fn prepare(
    connection: &mut PgConnection,
    place: &Arc<str>,
    now: Millis,
) -> Result<i64, Problem> {
    let failed = |error: sqlx::Error| refusal::at_start(place, &error);
    let refused = |problem: &str, cure: &str| Problem::database(&**place, problem, cure);
    let encoding: String =
        query_scalar("SHOW server_encoding").fetch_one(&mut *connection).await.map_err(failed)?;
    if encoding != "UTF8" {
        let problem = format!("the database is in {encoding}");
        return Err(refused(&problem, "make one with ENCODING 'UTF8'"));
    }
    if query_scalar("SELECT pg_is_in_recovery()").fetch_one(&mut *connection).await.map_err(failed)? {
        return Err(refused("the server is a standby and only reads", "name the primary in `url`"));
    }
    let schema: Option<i64> =
        query_scalar("SELECT oid::bigint FROM pg_namespace WHERE nspname = current_schema()")
            .fetch_optional(&mut *connection)
            .await
            .map_err(failed)?;
    let Some(schema) = schema else {
        let cure =
            "create the schema and grant USAGE on it, or name another one as `options[search_path]` in `url`";
        return Err(refused("there is no schema that this user may use", cure));
    };
    let mut transaction = connection.begin().await.map_err(failed)?;
    query("SELECT pg_advisory_xact_lock($1, $2)")
        .bind(LOCK)
        .bind(schema as i32)
        .execute(&mut *transaction)
        .await
        .map_err(failed)?;
    let found = found(&mut transaction, place).await?;
    let known = STEPS.len() as i32;
    if found > known {
        let problem = format!("the tables have schema {found}, and this Cloakroom knows up to {known}");
        return Err(refused(&problem, "a newer one made them: use that one"));
    }
    for (step, number) in STEPS.into_iter().zip(1..).filter(|(_, number)| *number > found) {
        if number == 1 {
            query(NUMBERS).execute(&mut *transaction).await.map_err(failed)?;
        }
        sqlx::raw_sql(step).execute(&mut *transaction).await.map_err(failed)?;
        query("INSERT INTO cloakroom_schema (version) VALUES ($1)")
            .bind(number)
            .execute(&mut *transaction)
            .await
            .map_err(failed)?;
    }
    for probe in PROBES {
        query(probe).execute(&mut *transaction).await.map_err(failed)?;
    }
    versions::begin(&mut transaction, now).await.map_err(failed)?;
    transaction.commit().await.map_err(failed)?;
    Ok(schema)
}

/// The number of the schema that is there; 0 for none.
async fn found(connection: &mut PgConnection, place: &Arc<str>) -> Result<i32, Problem> {
    let failed = |error: sqlx::Error| refusal::at_start(place, &error);
    let others: i64 = query_scalar(
        "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace \
         AND relname IN ('cloakroom_record', 'cloakroom_version', 'cloakroom_readable')",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(failed)?;
    let has_numbers: bool = query_scalar(
        "SELECT count(*) > 0 FROM pg_class WHERE relnamespace = current_schema()::regnamespace \
         AND relname = 'cloakroom_schema'",
    )
    .fetch_one(&mut *connection)
    .await
    .map_err(failed)?;
    let foreign = || {
        Problem::database(
            &**place,
            "it has a table `cloakroom_...` that is not ours",
            "rename that table, or name another schema as `options[search_path]` in `url`",
        )
    };
    if !has_numbers {
        return if others == 0 { Ok(0) } else { Err(foreign()) };
    }
    let newest: Result<Option<i32>, _> =
        query_scalar("SELECT max(version) FROM cloakroom_schema").fetch_one(&mut *connection).await;
    match newest {
        Ok(Some(newest)) => Ok(newest),
        Ok(None) | Err(sqlx::Error::ColumnDecode { .. }) => Err(foreign()),
        Err(sqlx::Error::Database(said)) if said.code().as_deref() == Some("42703") => Err(foreign()),
        Err(error) => Err(failed(error)),
    }
}
