//! Reading, on a snapshot that no writer disturbs.

use futures_util::TryStreamExt as _;
use session::Millis;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, query};
use storage::{Key, Listed, Page, Read, Scan, Scanned, Version};

use super::super::row::{self, Slot, signed};
use super::readers::Reader;
use super::statements::{LIST, READ, SCAN};

/// After so many bytes of values a page of a scan ends, whatever its budget.
const MAX_SCAN_BYTES: usize = 8 << 20;

pub(super) async fn read(
    reader: &mut Reader<'_>,
    key: &Key,
    known: Option<Version>,
    now: Millis,
) -> Result<Read, sqlx::Error> {
    let row = query(READ)
        // No record has a negative version.
        .bind(known.map_or(-1, |known| signed(known.0)))
        .bind(key.context().to_owned())
        .bind(key.name().to_vec())
        .bind(signed(now.0))
        .fetch_optional(reader.connection()?)
        .await?;
    Ok(row::read_of(row.as_ref().map(Slot::of).transpose()?, known))
}

pub(super) async fn list(
    reader: &mut Reader<'_>,
    context: &str,
    after: Option<&[u8]>,
    limit: usize,
    now: Millis,
) -> Result<Page, sqlx::Error> {
    let mut rows = query(LIST)
        .bind(context.to_owned())
        // No name is empty, so all of them come after the empty one.
        .bind(after.unwrap_or_default().to_vec())
        .bind(signed(now.0))
        // One more, to learn whether there are more.
        .bind(signed(limit as u64).saturating_add(1))
        .fetch(reader.connection()?);
    let mut page = Page { records: Vec::new(), has_more: false };
    while let Some(found) = rows.try_next().await? {
        if page.records.len() >= limit {
            page.has_more = true;
            break;
        }
        let key = row::key(context, found.try_get(3)?)?;
        page.records.push(Listed { key, version: row::version(&found)?, times: row::times(&found)? });
    }
    Ok(page)
}

/// A cursor is the id of the last row that was looked at, in eight bytes.
pub(super) async fn scan(
    reader: &mut Reader<'_>,
    after: i64,
    budget: usize,
    now: Millis,
) -> Result<Scan, sqlx::Error> {
    let budget = budget.max(1);
    let mut rows = query(SCAN).bind(after).bind(signed(budget as u64)).fetch(reader.connection()?);
    let mut scan = Scan { found: Vec::new(), cursor: None };
    let (mut looked_at, mut bytes) = (0, 0);
    while let Some(found) = rows.try_next().await? {
        looked_at += 1;
        let id: i64 = found.try_get(8)?;
        bytes += push(&found, now, &mut scan.found)?;
        if looked_at >= budget || bytes >= MAX_SCAN_BYTES {
            scan.cursor = Some(id.to_be_bytes().to_vec());
            break;
        }
    }
    Ok(scan)
}

/// Adds what a row holds if it is still there; how many bytes its value has.
fn push(row: &SqliteRow, now: Millis, found: &mut Vec<(Key, Scanned)>) -> Result<usize, sqlx::Error> {
    let slot = Slot::of(row)?;
    if slot.expires() <= now {
        return Ok(0);
    }
    let key = row::key(row.try_get(9)?, row.try_get(10)?)?;
    let (scanned, bytes) = match slot {
        Slot::Live(record, _) => {
            let bytes = record.value.len();
            (Scanned::Live(record), bytes)
        }
        Slot::Buried(tombstone) => (Scanned::Buried(tombstone), 0),
    };
    found.push((key, scanned));
    Ok(bytes)
}
