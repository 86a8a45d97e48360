//! What is measured: the engines, in the order of the page.

use std::pin::Pin;

use super::subjects::{self, Subject};
use super::work::Operation;
use crate::error::{Error, Result};

/// A subject that is being started, for that many sessions.
type Starting = Pin<Box<dyn Future<Output = Result<Subject>>>>;

/// An engine in one situation.
#[derive(Debug)]
pub(super) struct Row {
    /// The name, in JSON and on the command line.
    pub(super) id: &'static str,
    /// What the page says.
    pub(super) what: &'static str,
    /// What is measured of it.
    pub(super) operations: &'static [Operation],
    /// Whether it is measured with many sessions as well.
    pub(super) is_whole: bool,
    /// Starts what it needs.
    pub(super) start: fn(u64) -> Starting,
}

/// All rows.
pub(super) const ROWS: [Row; 8] = [
    Row {
        id: "memory",
        what: "`memory`, beside a hash map behind as many locks, in the same process",
        operations: &Operation::ALL,
        is_whole: true,
        start: |sessions| Box::pin(subjects::memory(sessions)),
    },
    Row {
        id: "embedded",
        what: "`embedded` (SQLite), beside statements through sqlx; every write is on the disk before it is answered",
        operations: &Operation::ALL,
        is_whole: true,
        start: |sessions| Box::pin(subjects::embedded(sessions)),
    },
    Row {
        id: "postgres",
        what: "`sql` on PostgreSQL, beside statements through sqlx; every commit is on the disk",
        operations: &Operation::ALL,
        is_whole: true,
        start: |sessions| Box::pin(subjects::postgres(sessions)),
    },
    Row {
        id: "mariadb",
        what: "`sql` on MariaDB, beside statements through sqlx; every commit is on the disk",
        operations: &Operation::ALL,
        is_whole: true,
        start: |sessions| Box::pin(subjects::mariadb(sessions)),
    },
    Row {
        id: "redis",
        what: "`redis` with `appendonly no`, beside commands, and beside the shortest scripts",
        operations: &Operation::ALL,
        is_whole: true,
        start: |sessions| Box::pin(subjects::redis(sessions)),
    },
    Row {
        id: "redis-everysec",
        what: "`redis` with `appendfsync everysec`, beside commands",
        operations: &Operation::WRITES,
        is_whole: false,
        start: |sessions| Box::pin(subjects::redis_everysec(sessions)),
    },
    Row {
        id: "redis-always",
        what: "`redis` with `appendfsync always`, beside commands; every write is on the disk before it is answered",
        operations: &Operation::WRITES,
        is_whole: false,
        start: |sessions| Box::pin(subjects::redis_always(sessions)),
    },
    Row {
        id: "remote",
        what: "`remote`, a Cloakroom with the memory engine, beside HTTP/2 with bodies of the same size and nothing behind it",
        operations: &Operation::ALL,
        is_whole: true,
        start: |sessions| Box::pin(subjects::remote(sessions)),
    },
];

/// Those that are named, or all.
pub(super) fn chosen(only: &[String]) -> Result<Vec<&'static Row>> {
    if only.is_empty() {
        return Ok(ROWS.iter().collect());
    }
    only.iter()
        .map(|asked| {
            ROWS.iter().find(|row| row.id == asked).ok_or_else(|| Error::NoSuchRow {
                asked: asked.clone(),
                known: ROWS.iter().map(|row| row.id).collect::<Vec<_>>().join(", "),
            })
        })
        .collect()
}
