//! Writing: short transactions that lock the row first, so that what is decided about it still holds when it is written.

use session::Millis;
use sqlx::mysql::MySqlArguments;
use sqlx::{Connection as _, MySqlConnection, query};
use storage::{
    Batch, Burial, Bury, Create, Key, Kind, NewRecord, NewValue, Operation, Outcome, Times, Touch, Update,
    Version, Was, WriteId,
};

use super::read::slot;
use super::statements::{FORGET, INSERT, LOCK, PROLONG, RAISE, REAP, REPLACE, TELL, TOUCH};
use crate::sql::row::{self, Slot, signed};

pub(super) async fn one(
    connection: &mut MySqlConnection,
    now: Millis,
    operation: &Operation,
) -> Result<Outcome, sqlx::Error> {
    // The most frequent of all, and one statement does it.
    if let Operation::Touch(key, times) = operation {
        return Ok(Outcome::Touch(touch(connection, key, *times, now).await?));
    }
    let mut transaction = connection.begin().await?;
    let outcome = Write { connection: &mut transaction, now }.one(operation).await?;
    transaction.commit().await?;
    Ok(outcome)
}

/// Several in one transaction: a `batch` is done as a whole or not at all, and else each is done for itself.
pub(super) async fn several(
    connection: &mut MySqlConnection,
    now: Millis,
    operations: &[Operation],
    is_batch: bool,
) -> Result<Batch, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let mut outcomes = Vec::with_capacity(operations.len());
    for (index, operation) in operations.iter().enumerate() {
        let outcome = Write { connection: &mut transaction, now }.one(operation).await?;
        if is_batch && !outcome.is_done() {
            transaction.rollback().await?;
            return Ok(Batch::Refused { index, outcome });
        }
        outcomes.push(outcome);
    }
    transaction.commit().await?;
    Ok(Batch::Done(outcomes))
}

pub(super) async fn reap(
    connection: &mut MySqlConnection,
    now: Millis,
    budget: usize,
) -> Result<usize, sqlx::Error> {
    query(FORGET).execute(&mut *connection).await?;
    let reaped = query(REAP).bind(signed(now.0)).bind(signed(budget as u64)).execute(connection).await?;
    Ok(reaped.rows_affected() as usize)
}

async fn touch(
    connection: &mut MySqlConnection,
    key: &Key,
    times: Times,
    now: Millis,
) -> Result<Touch, sqlx::Error> {
    let touch = query(TOUCH)
        .bind(signed(times.touched.0))
        .bind(signed(times.expires.0))
        .bind(key.context().as_bytes())
        .bind(key.name())
        .bind(signed(now.0));
    // Rows that were found count, changed or not.
    if touch.execute(&mut *connection).await?.rows_affected() > 0 {
        return Ok(Touch::Touched);
    }
    Ok(match slot(connection, key, None, now).await? {
        Some(Slot::Buried(tombstone)) => Touch::Buried(tombstone),
        // It came meanwhile, and so is at least as new.
        Some(Slot::Live(..)) => Touch::Touched,
        None => Touch::Absent,
    })
}

/// What is at a key whose row is locked.
struct Locked {
    slot: Option<Slot>,
    /// Whether there is a row, be its time over or not.
    has_row: bool,
    /// The version of that row.
    last: Option<Version>,
}

/// What a row is to hold.
struct Content<'a> {
    version: Version,
    times: Times,
    write: Option<&'a WriteId>,
    ended: Option<&'a Burial>,
    value: Option<&'a [u8]>,
}

/// Writes within a transaction that somebody else began and will end.
struct Write<'a> {
    connection: &'a mut MySqlConnection,
    now: Millis,
}

impl Write<'_> {
    async fn one(&mut self, operation: &Operation) -> Result<Outcome, sqlx::Error> {
        Ok(match operation {
            Operation::Create(key, new) => Outcome::Create(self.create(key, new).await?),
            Operation::Update(key, new) => Outcome::Update(self.update(key, new).await?),
            Operation::Touch(key, times) => {
                Outcome::Touch(touch(self.connection, key, *times, self.now).await?)
            }
            Operation::Bury(key, burial) => Outcome::Bury(self.bury(key, burial).await?),
        })
    }

    async fn create(&mut self, key: &Key, new: &NewRecord) -> Result<Create, sqlx::Error> {
        let Locked { slot, has_row, last } = self.lock(key).await?;
        Ok(match slot {
            Some(Slot::Live(record, write)) if write == new.write => Create::Created(record.version),
            Some(Slot::Live(..)) => Create::Exists,
            Some(Slot::Buried(tombstone)) => Create::Buried(tombstone),
            None => {
                let version = match new.version {
                    Some(version) if last.is_none_or(|last| version > last) => {
                        self.tell_brought(key, version).await?;
                        version
                    }
                    _ => self.tell(key, None, Kind::Written).await?,
                };
                let content = Content {
                    version,
                    times: new.times,
                    write: Some(&new.write),
                    ended: None,
                    value: Some(&new.value),
                };
                self.put(key, has_row, &content).await?;
                Create::Created(version)
            }
        })
    }

    async fn update(&mut self, key: &Key, new: &NewValue) -> Result<Update, sqlx::Error> {
        Ok(match self.lock(key).await?.slot {
            Some(Slot::Live(record, write)) if write == new.write => Update::Updated(record.version),
            Some(Slot::Live(record, _)) if record.version == new.expected => {
                let version = self.tell(key, None, Kind::Written).await?;
                let content = Content {
                    version,
                    times: new.times.map_or(record.times, |times| times.latest(record.times)),
                    write: Some(&new.write),
                    ended: None,
                    value: Some(&new.value),
                };
                self.put(key, true, &content).await?;
                Update::Updated(version)
            }
            Some(Slot::Live(..)) => match slot(self.connection, key, None, self.now).await? {
                Some(Slot::Live(record, _)) => Update::Conflict(record),
                // Not while it is locked.
                Some(Slot::Buried(tombstone)) => Update::Buried(tombstone),
                None => Update::Absent,
            },
            Some(Slot::Buried(tombstone)) => Update::Buried(tombstone),
            None => Update::Absent,
        })
    }

    async fn bury(&mut self, key: &Key, burial: &Burial) -> Result<Bury, sqlx::Error> {
        let Locked { slot, has_row, .. } = self.lock(key).await?;
        let until = burial.until.filter(|until| *until > self.now);
        let ended = |version, until| Content {
            version,
            times: Times { touched: burial.ending.at, expires: until },
            write: None,
            ended: Some(burial),
            value: None,
        };
        Ok(match (slot, until) {
            (Some(Slot::Live(record, _)), _)
                if burial.expected.is_some_and(|expected| expected != record.version) =>
            {
                Bury::Conflict(record.version)
            }
            (Some(Slot::Live(record, _)), until) => {
                self.tell(key, Some(record.version), Kind::Buried).await?;
                // A tombstone whose time was over in 1970 is none for any node, however wrong its clock.
                self.put(key, has_row, &ended(record.version, until.unwrap_or(Millis(0)))).await?;
                Bury::Buried(Was::Live)
            }
            (Some(Slot::Buried(_)), Some(until)) => {
                self.tell(key, None, Kind::Buried).await?;
                let prolong = query(PROLONG).bind(signed(until.0));
                prolong
                    .bind(key.context().as_bytes())
                    .bind(key.name())
                    .execute(&mut *self.connection)
                    .await?;
                Bury::Buried(Was::Buried)
            }
            // The first end has a time, and keeps it.
            (Some(Slot::Buried(_)), None) => Bury::Buried(Was::Buried),
            (None, Some(until)) => {
                let version = self.tell(key, None, Kind::Buried).await?;
                self.put(key, has_row, &ended(version, until)).await?;
                Bury::Buried(Was::Absent)
            }
            (None, None) => Bury::Buried(Was::Absent),
        })
    }

    async fn lock(&mut self, key: &Key) -> Result<Locked, sqlx::Error> {
        let rows = query(LOCK)
            .bind(key.context().as_bytes())
            .bind(key.name())
            .fetch_all(&mut *self.connection)
            .await?;
        let slot = rows.first().map(Slot::of).transpose()?;
        let last = rows.first().map(row::version).transpose()?;
        Ok(Locked { has_row: slot.is_some(), slot: slot.filter(|slot| slot.expires() > self.now), last })
    }

    /// Writes down what others are told, and draws the version.
    async fn tell(
        &mut self,
        key: &Key,
        version: Option<Version>,
        kind: Kind,
    ) -> Result<Version, sqlx::Error> {
        let told = query(TELL)
            .bind(key.context().as_bytes())
            .bind(key.name())
            .bind(version.map(|version| signed(version.0)))
            .bind(match kind {
                Kind::Written => "written",
                Kind::Buried => "ended",
            })
            .execute(&mut *self.connection)
            .await?;
        Ok(Version(told.last_insert_id()))
    }

    /// Writes down a version that a record brings along, and sees to it that what is drawn from now on is above it.
    async fn tell_brought(&mut self, key: &Key, version: Version) -> Result<(), sqlx::Error> {
        let drawn = self.tell(key, Some(version), Kind::Written).await?;
        if drawn <= version {
            query(RAISE)
                .bind(signed(version.0))
                .bind(key.context().as_bytes())
                .bind(key.name())
                .bind(signed(version.0))
                .execute(&mut *self.connection)
                .await?;
        }
        Ok(())
    }

    async fn put(&mut self, key: &Key, has_row: bool, content: &Content<'_>) -> Result<(), sqlx::Error> {
        let Content { version, times, write, ended, value } = content;
        let put: Statement = query(if has_row { REPLACE } else { INSERT })
            .bind(signed(version.0))
            .bind(signed(times.touched.0))
            .bind(signed(times.expires.0))
            .bind(write.map(|write| &write.0[..]))
            .bind(ended.map(|burial| signed(burial.ending.at.0)))
            .bind(ended.map(|burial| burial.ending.why.as_str()))
            .bind(ended.map(|burial| burial.ending.actor().into_owned()))
            .bind(*value)
            .bind(key.context().as_bytes())
            .bind(key.name());
        put.execute(&mut *self.connection).await.map(drop)
    }
}

type Statement = sqlx::query::Query<'static, sqlx::MySql, MySqlArguments>;
