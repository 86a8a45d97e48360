//! Reading.

use session::Millis;
use sqlx::mysql::MySqlRow;
use sqlx::{MySqlConnection, query};
use storage::{Key, Listed, Page, Read, Scan, Version};

use super::statements::{LIST, READ, SCAN};
use crate::sql::row::{self, Columns as _, Slot, signed};
use crate::sql::server::scan_page;

pub(super) async fn read(
    connection: &mut MySqlConnection,
    key: &Key,
    known: Option<Version>,
    now: Millis,
) -> Result<Read, sqlx::Error> {
    Ok(row::read_of(slot(connection, key, known, now).await?, known))
}

/// What is at a key; its value unless it has the version that is known.
pub(super) async fn slot(
    connection: &mut MySqlConnection,
    key: &Key,
    known: Option<Version>,
    now: Millis,
) -> Result<Option<Slot>, sqlx::Error> {
    let row = query(READ)
        // No record has a negative version.
        .bind(known.map_or(-1, |known| signed(known.0)))
        .bind(key.context().as_bytes())
        .bind(key.name())
        .bind(signed(now.0))
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(Slot::of).transpose()
}

pub(super) async fn list(
    connection: &mut MySqlConnection,
    context: &str,
    after: &[u8],
    limit: usize,
    now: Millis,
) -> Result<Page, sqlx::Error> {
    let found = query(LIST)
        .bind(context.as_bytes())
        .bind(after)
        .bind(signed(now.0))
        // One more, to learn whether there are more.
        .bind(signed(limit as u64).saturating_add(1))
        .fetch_all(connection)
        .await?;
    let listed = |row: &MySqlRow| {
        let key = row::key::<MySqlRow>(context, row.bytes(3)?)?;
        Ok(Listed { key, version: row::version(row)?, times: row::times(row)? })
    };
    let records = found.iter().take(limit).map(listed).collect::<Result<_, sqlx::Error>>()?;
    Ok(Page { records, has_more: found.len() > limit })
}

pub(super) async fn scan(
    connection: &mut MySqlConnection,
    after: Option<&Key>,
    budget: usize,
    now: Millis,
) -> Result<Scan, sqlx::Error> {
    let context = after.map_or("", Key::context).as_bytes();
    let rows = query(SCAN)
        .bind(context)
        .bind(context)
        .bind(after.map_or(&[][..], Key::name))
        .bind(signed(budget as u64))
        .fetch(connection);
    scan_page(rows, |row| Ok((key(row, 8, 9)?, Slot::of(row)?)), budget, now).await
}

/// The key in these columns.
pub(super) fn key(row: &MySqlRow, context: usize, name: usize) -> Result<Key, sqlx::Error> {
    let context = std::str::from_utf8(row.bytes(context)?).map_err(|_| row::malformed("context"))?;
    row::key::<MySqlRow>(context, row.bytes(name)?)
}
