//! Reading, on a snapshot that no writer disturbs.

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use session::Millis;
use storage::{Key, Listed, Page, Read, Scan, Scanned, Version};

use super::super::row::{self, Columns as _, Slot, signed};
use super::statements::{LIST, NEXT, READ, SCAN, SCAN_OF};

/// After so many bytes of values a page of a scan ends, whatever its budget.
const MAX_SCAN_BYTES: usize = 8 << 20;
/// How many rows a scan of some contexts steps over for each that it may find: a session has about so many beside it.
const STRETCH: i64 = 4;

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

/// A cursor is the id of the last row that was looked at, in eight bytes.
pub(super) fn scan(
    connection: &Connection,
    after: i64,
    budget: usize,
    now: Millis,
) -> Result<Scan, rusqlite::Error> {
    let budget = budget.max(1);
    let mut scanning = connection.prepare_cached(SCAN)?;
    let mut rows = scanning.query([after, signed(budget as u64)])?;
    let mut scan = Scan { found: Vec::new(), cursor: None };
    let (mut looked_at, mut bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        looked_at += 1;
        let slot = Slot::of(row)?;
        if slot.expires() > now {
            bytes += push(&mut scan, row, slot)?;
        }
        if looked_at >= budget || bytes >= MAX_SCAN_BYTES {
            scan.cursor = Some(row.number(8)?.to_be_bytes().to_vec());
            break;
        }
    }
    Ok(scan)
}

/// What is live in the contexts that begin with `prefix`. A cursor is the same.
pub(super) fn scan_of(
    connection: &Connection,
    prefix: &str,
    after: i64,
    budget: usize,
    now: Millis,
) -> Result<Scan, rusqlite::Error> {
    let mut scan = Scan { found: Vec::new(), cursor: None };
    let mut next = connection.prepare_cached(NEXT)?;
    let Some(first) = next.query_row([after], |row| row.number(0)).optional()? else { return Ok(scan) };
    let budget = signed(budget.max(1) as u64).saturating_mul(STRETCH);
    let last = first.saturating_add(budget - 1);
    let mut scanning = connection.prepare_cached(SCAN_OF)?;
    let mut rows = scanning.query(params![first, last, prefix, behind(prefix), signed(now.0)])?;
    scan.cursor = Some(last.to_be_bytes().to_vec());
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        bytes += push(&mut scan, row, Slot::of(row)?)?;
        if bytes >= MAX_SCAN_BYTES {
            scan.cursor = Some(row.number(8)?.to_be_bytes().to_vec());
            break;
        }
    }
    Ok(scan)
}

/// The first text behind all that begin with `prefix`, in the order of bytes, as far as contexts go.
fn behind(prefix: &str) -> String {
    let mut behind = prefix.to_owned();
    while let Some(last) = behind.pop() {
        if let Some(next) = (last..=char::MAX).nth(1) {
            behind.push(next);
            return behind;
        }
    }
    // No context is as long as this.
    char::MAX.to_string().repeat(64)
}

/// Adds what a row holds; how many bytes its value has.
fn push(scan: &mut Scan, row: &Row<'_>, slot: Slot) -> Result<usize, rusqlite::Error> {
    let key = row::key::<Row<'_>>(row.text(9)?, row.bytes(10)?)?;
    let (scanned, bytes) = match slot {
        Slot::Live(record, _) => {
            let bytes = record.value.len();
            (Scanned::Live(record), bytes)
        }
        Slot::Buried(tombstone) => (Scanned::Buried(tombstone), 0),
    };
    scan.found.push((key, scanned));
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_begin_with_a_text_are_before_the_one_behind_them() {
        for prefix in ["", "session.", "a\u{d7ff}", "a\u{10ffff}", "\u{10ffff}"] {
            let behind = behind(prefix);
            for rest in ["", "\0", "00", "\u{10ffff}\u{10ffff}z"] {
                assert!(format!("{prefix}{rest}") < behind, "{prefix:?} {rest:?}");
            }
            assert!(!behind.starts_with(prefix) || prefix.is_empty() || behind.len() > 255, "{prefix:?}");
        }
    }
}
