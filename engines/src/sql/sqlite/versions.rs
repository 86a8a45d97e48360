//! Versions that only grow: over restarts, over the lives of a key, and over a database that was put back from a copy.
//!
//! They are handed out from memory, below a ceiling that lies in the database and is raised by a block at a time, in
//! the transaction that first needs it.

use rusqlite::Connection;
use session::Millis;
use storage::Version;

use super::super::row::{signed, unsigned};
use super::statements::{CEILING, RAISE_CEILING};

/// How many versions a start may leave unused.
const BLOCK: u64 = 1 << 16;

#[derive(Debug)]
pub(super) struct Versions {
    last: u64,
    ceiling: u64,
}

impl Versions {
    /// Begins above whatever may have been used. A copy that was put back does not know what was used after it was
    /// made; that is why a new life begins at the time.
    pub(super) fn begin(connection: &Connection, now: Millis) -> Result<Self, rusqlite::Error> {
        let last = ceiling(connection)?.max(Version::beginning(now).0);
        Ok(Self { last, ceiling: last })
    }

    /// Goes on above what another process has drawn, as far as it has committed it. Within a transaction that nobody else
    /// can write beside.
    pub(super) fn follow(&mut self, connection: &Connection) -> Result<(), rusqlite::Error> {
        self.last = self.last.max(ceiling(connection)?);
        self.ceiling = self.last;
        Ok(())
    }

    /// Sees to it that `count` versions above `brought`, the greatest that records bring along, can be drawn within this
    /// transaction. Alone, a whole block is taken; whoever shares
    /// takes what is drawn, so that the ceiling is always the last one that was used.
    pub(super) fn reserve(
        &mut self,
        connection: &Connection,
        count: usize,
        brought: Option<Version>,
        is_alone: bool,
    ) -> Result<(), rusqlite::Error> {
        self.last = self.last.max(brought.map_or(0, |brought| brought.0));
        let needed = self.last.saturating_add(count as u64);
        if needed > self.ceiling {
            let ceiling = if is_alone { needed.saturating_add(BLOCK) } else { needed };
            connection.prepare_cached(RAISE_CEILING)?.execute([signed(ceiling)])?;
            self.ceiling = ceiling;
        }
        Ok(())
    }

    /// The next one.
    pub(super) const fn draw(&mut self) -> Version {
        self.last += 1;
        Version(self.last)
    }

    /// The transaction that raised the ceiling may not have been committed. What was drawn stays drawn.
    pub(super) const fn doubt(&mut self) {
        self.ceiling = self.last;
    }
}

/// What lies in the database.
fn ceiling(connection: &Connection) -> Result<u64, rusqlite::Error> {
    connection.prepare_cached(CEILING)?.query_row([], |row| row.get(0)).map(unsigned)
}
