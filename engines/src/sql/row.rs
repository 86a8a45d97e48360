//! Rows, and what they mean.

use std::str::FromStr as _;

use bytes::Bytes;
use session::{Ending, Millis, Why};
use storage::{Key, Read, Record, Times, Tombstone, Version, WriteId};

/// A row of any of the databases. Columns are counted from 0; what was read before is taken from the same buffer.
pub(super) trait Columns {
    /// How the driver of the database fails.
    type Error;

    /// A column holds what nobody here wrote into it.
    fn malformed(column: &str) -> Self::Error;
    fn number(&self, column: usize) -> Result<i64, Self::Error>;
    fn optional_number(&self, column: usize) -> Result<Option<i64>, Self::Error>;
    fn text(&self, column: usize) -> Result<&str, Self::Error>;
    fn bytes(&self, column: usize) -> Result<&[u8], Self::Error>;
    fn optional_bytes(&self, column: usize) -> Result<Option<Vec<u8>>, Self::Error>;
}

#[cfg(any(feature = "postgres", feature = "mysql"))]
macro_rules! columns {
    ($row:ty) => {
        impl Columns for $row {
            type Error = sqlx::Error;

            fn malformed(column: &str) -> sqlx::Error {
                malformed(column)
            }

            fn number(&self, column: usize) -> Result<i64, sqlx::Error> {
                sqlx::Row::try_get(self, column)
            }

            fn optional_number(&self, column: usize) -> Result<Option<i64>, sqlx::Error> {
                sqlx::Row::try_get(self, column)
            }

            fn text(&self, column: usize) -> Result<&str, sqlx::Error> {
                sqlx::Row::try_get(self, column)
            }

            fn bytes(&self, column: usize) -> Result<&[u8], sqlx::Error> {
                sqlx::Row::try_get(self, column)
            }

            fn optional_bytes(&self, column: usize) -> Result<Option<Vec<u8>>, sqlx::Error> {
                sqlx::Row::try_get(self, column)
            }
        }
    };
}

#[cfg(feature = "postgres")]
columns!(sqlx::postgres::PgRow);
#[cfg(feature = "mysql")]
columns!(sqlx::mysql::MySqlRow);

impl Columns for rusqlite::Row<'_> {
    type Error = rusqlite::Error;

    fn malformed(column: &str) -> rusqlite::Error {
        let cause = format!("somebody else wrote what is in the column `{column}`");
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Null, cause.into())
    }

    fn number(&self, column: usize) -> Result<i64, rusqlite::Error> {
        self.get(column)
    }

    fn optional_number(&self, column: usize) -> Result<Option<i64>, rusqlite::Error> {
        self.get(column)
    }

    fn text(&self, column: usize) -> Result<&str, rusqlite::Error> {
        Ok(self.get_ref(column)?.as_str()?)
    }

    fn bytes(&self, column: usize) -> Result<&[u8], rusqlite::Error> {
        Ok(self.get_ref(column)?.as_blob()?)
    }

    fn optional_bytes(&self, column: usize) -> Result<Option<Vec<u8>>, rusqlite::Error> {
        self.get(column)
    }
}

/// What is at a key.
#[derive(Debug)]
pub(super) enum Slot {
    Live(Record, WriteId),
    Buried(Tombstone),
}

impl Slot {
    /// Of a row that begins with version, touched, expires, write id, when, why and by whom it ended, value. A value
    /// that was not asked for is empty.
    pub(super) fn of<R: Columns>(row: &R) -> Result<Self, R::Error> {
        let times = times(row)?;
        if let Some(at) = row.optional_number(4)? {
            let why = row.text(5)?;
            let by = row.text(6)?;
            // A reason that only a newer build knows is no reason to let a session come back.
            let why = Why::from_str(why).unwrap_or(Why::Revoked);
            let ending = Ending::of_actor(Millis(unsigned(at)), why, by);
            return Ok(Self::Buried(Tombstone { ending, until: times.expires }));
        }
        let write = WriteId(row.bytes(3)?.try_into().map_err(|_| R::malformed("write_id"))?);
        let value = row.optional_bytes(7)?.map_or_else(Bytes::new, Bytes::from);
        Ok(Self::Live(Record { value, version: version(row)?, times }, write))
    }

    pub(super) const fn expires(&self) -> Millis {
        match self {
            Self::Live(record, _) => record.times.expires,
            Self::Buried(tombstone) => tombstone.until,
        }
    }
}

/// What a reader is told who has the version that is `known`.
pub(super) fn read_of(slot: Option<Slot>, known: Option<Version>) -> Read {
    match slot {
        Some(Slot::Live(record, _)) if known == Some(record.version) => Read::Unchanged(record.times),
        Some(Slot::Live(record, _)) => Read::Found(record),
        Some(Slot::Buried(tombstone)) => Read::Buried(tombstone),
        None => Read::Absent,
    }
}

pub(super) fn version<R: Columns>(row: &R) -> Result<Version, R::Error> {
    Ok(Version(unsigned(row.number(0)?)))
}

pub(super) fn times<R: Columns>(row: &R) -> Result<Times, R::Error> {
    Ok(Times { touched: Millis(unsigned(row.number(1)?)), expires: Millis(unsigned(row.number(2)?)) })
}

/// The key of a row of this kind.
pub(super) fn key<R: Columns>(context: &str, name: &[u8]) -> Result<Key, R::Error> {
    Key::new(context, name).map_err(|_| R::malformed("name"))
}

/// A column holds what nobody here wrote into it.
#[cfg(any(feature = "postgres", feature = "mysql"))]
pub(super) fn malformed(column: &str) -> sqlx::Error {
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
