//! Reading.

use std::borrow::Cow;

use session::Millis;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, query};
use storage::{Key, Listed, Page, Read, Scan, Version};

use super::statements::{LIST, READ, SCAN};
use crate::sql::row::{self, Columns as _, Slot, signed};
use crate::sql::server::scan_page;

pub(super) async fn read(
    connection: &mut PgConnection,
    key: &Key,
    known: Option<Version>,
    now: Millis,
) -> Result<Read, sqlx::Error> {
    // No record has a negative version.
    let unwanted = known.map_or(-1, |known| signed(known.0));
    Ok(row::read_of(slot(connection, key, Some(unwanted), now).await?, known))
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
        let key = row::key::<PgRow>(context, row.bytes(3)?)?;
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
    let rows = query(SCAN)
        .bind(after.map_or(Cow::Borrowed(""), |key| text(key.context())))
        .bind(after.map_or(&[][..], Key::name))
        .bind(signed(budget as u64))
        .fetch(connection);
    let read = |row: &PgRow| Ok((row::key::<PgRow>(&untext(row.text(8)?), row.bytes(9)?)?, slot_of(row)?));
    scan_page(rows, read, budget, now).await
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
