//! The sequence that versions are drawn from, and how it is raised.
//!
//! `nextval` asks nobody, and `setval` looks at nothing: whoever raises the sequence does it alone, and leaves so much
//! room that those who draw meanwhile do not get there.

use session::Millis;
use sqlx::{PgConnection, query, query_scalar};
use storage::Version;

use crate::sql::row::signed;

/// More numbers than are drawn while one looks at the sequence and sets it.
const ROOM: i64 = 1 << 20;

const LAST: &str = "SELECT last_value FROM cloakroom_version";

/// number of the lock, least, new value. Looks once it is alone, and is alone until the transaction ends, whoever began that.
const RAISE: &str = "\
    SELECT CASE WHEN COALESCE(pg_sequence_last_value(versions), 0) < $2 THEN setval(versions, $3) END FROM (\
        SELECT 'cloakroom_version'::regclass AS versions, \
            pg_advisory_xact_lock($1, 'cloakroom_version'::regclass::oid::int) OFFSET 0) AS alone";

/// "ver", so that nobody else means this lock.
const LOCK: i32 = 0x76_6572;

/// Versions begin at the time: a copy that was put back does not know what was used after it was made.
pub(super) async fn begin(connection: &mut PgConnection, now: Millis) -> Result<(), sqlx::Error> {
    let first = signed(Version::beginning(now).0).max(1);
    raise(connection, first, first).await
}

/// Sees to it that whatever is drawn from now on is above `version`, which a record brings along.
pub(super) async fn begin_above(connection: &mut PgConnection, version: Version) -> Result<(), sqlx::Error> {
    let least = signed(version.0).saturating_add(ROOM);
    // Nearly always it is: the versions of all engines begin at the time.
    let last: i64 = query_scalar(LAST).fetch_one(&mut *connection).await?;
    if last >= least {
        return Ok(());
    }
    raise(connection, least, least.saturating_add(ROOM)).await
}

async fn raise(connection: &mut PgConnection, least: i64, to: i64) -> Result<(), sqlx::Error> {
    query(RAISE).bind(LOCK).bind(least).bind(to).execute(connection).await.map(drop)
}
