//! Rows, and what they mean.

use std::str::FromStr as _;

use bytes::Bytes;
use session::{Ending, Millis, Why};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;
use storage::{Key, Record, Times, Tombstone, Version, WriteId};

/// What is at a key.
#[derive(Debug)]
pub(super) enum Slot {
    Live(Record, WriteId),
    Buried(Tombstone),
}

impl Slot {
    /// Of a row of `READ` or `READ_WITHOUT_VALUE`, or one that begins like it. A value that was not asked for is empty.
    pub(super) fn of(row: &SqliteRow) -> Result<Self, sqlx::Error> {
        let times = times(row)?;
        if let Some(at) = row.try_get::<Option<i64>, _>(4)? {
            let why: &str = row.try_get(5)?;
            let by: &str = row.try_get(6)?;
            // A reason that only a newer build knows is no reason to let a session come back.
            let why = Why::from_str(why).unwrap_or(Why::Revoked);
            let ending = Ending { at: Millis(unsigned(at)), why, by: by.into() };
            return Ok(Self::Buried(Tombstone { ending, until: times.expires }));
        }
        let write: &[u8] = row.try_get(3)?;
        let write = WriteId(write.try_into().map_err(|_| malformed("write_id"))?);
        let value = row.try_get::<Option<Vec<u8>>, _>(7)?.map_or_else(Bytes::new, Bytes::from);
        Ok(Self::Live(Record { value, version: version(row)?, times }, write))
    }

    pub(super) const fn expires(&self) -> Millis {
        match self {
            Self::Live(record, _) => record.times.expires,
            Self::Buried(tombstone) => tombstone.until,
        }
    }
}

pub(super) fn version(row: &SqliteRow) -> Result<Version, sqlx::Error> {
    Ok(Version(unsigned(row.try_get(0)?)))
}

pub(super) fn times(row: &SqliteRow) -> Result<Times, sqlx::Error> {
    Ok(Times { touched: Millis(unsigned(row.try_get(1)?)), expires: Millis(unsigned(row.try_get(2)?)) })
}

pub(super) fn key(context: &str, name: &[u8]) -> Result<Key, sqlx::Error> {
    Key::new(context, name).map_err(|_| malformed("name"))
}

/// A column holds what nobody here wrote into it.
fn malformed(column: &str) -> sqlx::Error {
    sqlx::Error::ColumnDecode { index: column.into(), source: "somebody else wrote it".into() }
}

/// As the database counts; beyond what it can count is never, which is the same number.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// As we count. Nothing that we write is negative.
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
