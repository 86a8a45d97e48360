//! Reading.

use std::borrow::Cow;

use futures_util::TryStreamExt as _;
use session::Millis;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, query};
use storage::{Key, Listed, Page, Read, Scan, Scanned, Version};

use super::statements::{LIST, READ, SCAN};
use crate::sql::row::{self, Columns as _, Slot, signed};
use crate::sql::server::write_cursor;

/// After so many bytes of values a page of a scan ends, whatever its budget.
const MAX_SCAN_BYTES: usize = 8 << 20;

pub(super) async fn read(
    connection: &mut PgConnection,
    key: &Key,
    known: Option<Version>,
    now: Millis,
) -> Result<Read, sqlx::Error> {
    // No record has a negative version.
    let unwanted = known.map_or(-1, |known| signed(known.0));
    Ok(match slot(connection, key, Some(unwanted), now).await? {
        Some(Slot::Live(record, _)) if known == Some(record.version) => Read::Unchanged(record.times),
        Some(Slot::Live(record, _)) => Read::Found(record),
        Some(Slot::Buried(tombstone)) => Read::Buried(tombstone),
        None => Read::Absent,
    })
}

/// What is at a key; its value unless it has the `unwanted` version, or no value if there is none such.
pub(super) async fn slot(
    connection: &mut PgConnection,
    key: &Key,
    unwanted: Option<i64>,
    now: Millis,
) -> Result<Option<Slot>, sqlx::Error> {
    let row = query(READ)
        .bind(unwanted)
        .bind(text(key.context()))
        .bind(key.name())
        .bind(signed(now.0))
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(slot_of).transpose()
}

fn slot_of(row: &PgRow) -> Result<Slot, sqlx::Error> {
    let mut slot = Slot::of(row)?;
    if let Slot::Buried(tombstone) = &mut slot
        && let Cow::Owned(by) = untext(&tombstone.ending.by)
    {
        tombstone.ending.by = by.into();
    }
    Ok(slot)
}

pub(super) async fn list(
    connection: &mut PgConnection,
    context: &str,
    after: &[u8],
    limit: usize,
    now: Millis,
) -> Result<Page, sqlx::Error> {
    let found = query(LIST)
        .bind(text(context))
        .bind(after)
        .bind(signed(now.0))
        // One more, to learn whether there are more.
        .bind(signed(limit as u64).saturating_add(1))
        .fetch_all(connection)
        .await?;
    let listed = |row: &PgRow| {
        let key = row::key(context, row.bytes(3)?)?;
        Ok(Listed { key, version: row::version(row)?, times: row::times(row)? })
    };
    let records = found.iter().take(limit).map(listed).collect::<Result<_, sqlx::Error>>()?;
    Ok(Page { records, has_more: found.len() > limit })
}

pub(super) async fn scan(
    connection: &mut PgConnection,
    after: Option<&Key>,
    budget: usize,
    now: Millis,
) -> Result<Scan, sqlx::Error> {
    let mut scan = Scan { found: Vec::new(), cursor: None };
    let (mut looked_at, mut bytes) = (0, 0);
    let mut rows = query(SCAN)
        .bind(after.map_or(Cow::Borrowed(""), |key| text(key.context())))
        .bind(after.map_or(&[][..], Key::name))
        .bind(signed(budget as u64))
        .fetch(&mut *connection);
    while let Some(row) = rows.try_next().await? {
        looked_at += 1;
        let key = row::key(&untext(row.text(8)?), row.bytes(9)?)?;
        let slot = slot_of(&row)?;
        let is_over = slot.expires() <= now;
        let scanned = match slot {
            Slot::Live(record, _) => {
                bytes += record.value.len();
                Scanned::Live(record)
            }
            Slot::Buried(tombstone) => Scanned::Buried(tombstone),
        };
        let is_page = looked_at >= budget || bytes >= MAX_SCAN_BYTES;
        if is_page {
            scan.cursor = Some(write_cursor(&key));
        }
        if !is_over {
            scan.found.push((key, scanned));
        }
        if is_page {
            break;
        }
    }
    Ok(scan)
}

/// As a text of PostgreSQL, which knows no NUL: it is written as `\0`, and a backslash as two.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    if text.contains(['\0', '\\']) {
        Cow::Owned(text.replace('\\', "\\\\").replace('\0', "\\0"))
    } else {
        Cow::Borrowed(text)
    }
}

/// What [`text`] was made of.
pub(super) fn untext(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let mut original = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        original.push(match character {
            '\\' if characters.next() == Some('0') => '\0',
            other => other,
        });
    }
    Cow::Owned(original)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_context_with_nul_and_backslash_comes_back_as_it_was() {
        for context in ["plain", "\0", "\\", "\\0", "a\0b\\\\c\\0", "\\\0"] {
            assert_eq!(untext(&text(context)), context);
            assert!(!text(context).contains('\0'));
        }
    }
}
