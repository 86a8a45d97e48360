//! Reading, on a snapshot that no writer disturbs.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use session::Millis;
use storage::{Key, Listed, Page, Read, Scan, Scanned, Version};

use super::super::row::{self, Columns as _, Slot, signed};
use super::statements::{LIST, READ, SCAN};

/// After so many bytes of values a page of a scan ends, whatever its budget.
const MAX_SCAN_BYTES: usize = 8 << 20;

pub(super) fn read(
    connection: &Connection,
    key: &Key,
    known: Option<Version>,
    now: Millis,
) -> Result<Read, rusqlite::Error> {
    // No record has a negative version.
    let unwanted = known.map_or(-1, |known| signed(known.0));
    let mut read = connection.prepare_cached(READ)?;
    let slot =
        read.query_row(params![unwanted, key.context(), key.name(), signed(now.0)], |row| Slot::of(row));
    Ok(row::read_of(slot.optional()?, known))
}

pub(super) fn list(
    connection: &Connection,
    context: &str,
    after: &[u8],
    limit: usize,
    now: Millis,
) -> Result<Page, rusqlite::Error> {
    let mut list = connection.prepare_cached(LIST)?;
    // One more, to learn whether there are more.
    let looked_at = signed(limit as u64).saturating_add(1);
    let mut rows = list.query(params![context, after, signed(now.0), looked_at])?;
    let mut page = Page { records: Vec::new(), has_more: false };
    while let Some(found) = rows.next()? {
        if page.records.len() >= limit {
            page.has_more = true;
            break;
        }
        let key = row::key::<Row<'_>>(context, found.bytes(3)?)?;
        page.records.push(Listed { key, version: row::version(found)?, times: row::times(found)? });
    }
    Ok(page)
}

/// Of a scan with a prefix, what is live in the contexts that begin so. A cursor is the id of the last row that was looked at, in
/// eight bytes.
pub(super) fn scan(
    connection: &Connection,
    prefix: Option<&str>,
    after: i64,
    budget: usize,
    now: Millis,
) -> Result<Scan, rusqlite::Error> {
    let budget = budget.max(1);
    let mut scanning = connection.prepare_cached(SCAN)?;
    let mut rows = scanning.query([after, signed(budget as u64)])?;
    let mut scan = Scan { found: Vec::new(), cursor: None };
    let (mut looked_at, mut bytes) = (0, 0);
    while let Some(found) = rows.next()? {
        looked_at += 1;
        bytes += push(found, prefix, now, &mut scan.found)?;
        if looked_at >= budget || bytes >= MAX_SCAN_BYTES {
            scan.cursor = Some(found.number(8)?.to_be_bytes().to_vec());
            break;
        }
    }
    Ok(scan)
}

/// Adds what a row holds if it is still there; how many bytes its value has.
fn push(
    row: &Row<'_>,
    prefix: Option<&str>,
    now: Millis,
    found: &mut Vec<(Key, Scanned)>,
) -> Result<usize, rusqlite::Error> {
    if let Some(prefix) = prefix
        && (!row.text(9)?.starts_with(prefix) || row.optional_number(4)?.is_some())
    {
        return Ok(0);
    }
    let slot = Slot::of(row)?;
    if slot.expires() <= now {
        return Ok(0);
    }
    let key = row::key::<Row<'_>>(row.text(9)?, row.bytes(10)?)?;
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
