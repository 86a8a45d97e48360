//! Writing: one statement that does it if nothing is in the way, and a second one only where that must be told.

use session::Millis;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Connection as _, Executor as _, PgConnection, query};
use storage::{
    Batch, Burial, Bury, Create, Key, NewRecord, NewValue, Operation, Outcome, Times, Touch, Update, Version,
    Was, WriteId,
};

use super::read::{slot, text};
use super::statements::{BEGIN_GROUP, COMMIT_GROUP, CREATE, END, END_ABSENT, REAP, TOUCH, UPDATE};
use super::versions;
use crate::sql::row::{self, Slot, signed};

/// How often what was in the way may be gone when one looks, before it is called an error.
const TRIES: usize = 16;

/// All of them or none.
pub(super) async fn all(
    connection: &mut PgConnection,
    channel: &str,
    now: Millis,
    operations: &[Operation],
) -> Result<Batch, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    let mut outcomes = Vec::with_capacity(operations.len());
    for (index, operation) in operations.iter().enumerate() {
        let outcome = Write::new(&mut transaction, channel, now).one(operation).await?;
        if !outcome.is_done() {
            transaction.rollback().await?;
            return Ok(Batch::Refused { index, outcome });
        }
        outcomes.push(outcome);
    }
    transaction.commit().await?;
    Ok(Batch::Done(outcomes))
}

/// Each for itself, in one transaction.
pub(super) async fn each(
    connection: &mut PgConnection,
    channel: &str,
    now: Millis,
    operations: &[Operation],
) -> Result<Vec<Outcome>, sqlx::Error> {
    // Whoever is dropped in the middle takes the connection along, and so the transaction.
    connection.execute(BEGIN_GROUP).await?;
    let mut outcomes = Vec::with_capacity(operations.len());
    for operation in operations {
        match Write::new(connection, channel, now).one(operation).await {
            Ok(outcome) => outcomes.push(outcome),
            Err(error) => {
                // The first error is the one that counts. A line that is broken shows again with its next use.
                let _ = connection.execute("ROLLBACK").await;
                return Err(error);
            }
        }
    }
    connection.execute(COMMIT_GROUP).await?;
    Ok(outcomes)
}

pub(super) async fn reap(
    connection: &mut PgConnection,
    now: Millis,
    budget: usize,
) -> Result<usize, sqlx::Error> {
    let reaped = query(REAP).bind(signed(now.0)).bind(signed(budget as u64)).execute(connection).await?;
    Ok(reaped.rows_affected() as usize)
}

/// Writes at one moment.
pub(super) struct Write<'a> {
    connection: &'a mut PgConnection,
    channel: &'a str,
    now: Millis,
}

impl<'a> Write<'a> {
    pub(super) const fn new(connection: &'a mut PgConnection, channel: &'a str, now: Millis) -> Self {
        Self { connection, channel, now }
    }

    pub(super) async fn one(&mut self, operation: &Operation) -> Result<Outcome, sqlx::Error> {
        Ok(match operation {
            Operation::Create(key, new) => Outcome::Create(self.create(key, new).await?),
            Operation::Update(key, new) => Outcome::Update(self.update(key, new).await?),
            Operation::Touch(key, times) => Outcome::Touch(self.touch(key, *times).await?),
            Operation::Bury(key, burial) => Outcome::Bury(self.bury(key, burial).await?),
        })
    }

    async fn create(&mut self, key: &Key, new: &NewRecord) -> Result<Create, sqlx::Error> {
        if let Some(version) = new.version {
            versions::begin_above(self.connection, version).await?;
        }
        let context = text(key.context());
        for _ in 0..TRIES {
            let create = query(CREATE)
                .bind(&*context)
                .bind(key.name())
                .bind(signed(new.times.touched.0))
                .bind(signed(new.times.expires.0))
                .bind(&new.write.0[..])
                .bind(&new.value[..])
                .bind(signed(self.now.0))
                .bind(self.channel)
                .bind(new.version.map(|version| signed(version.0)));
            if let Some(version) = self.version(create).await? {
                return Ok(Create::Created(version));
            }
            return Ok(match slot(self.connection, key, None, self.now).await? {
                Some(Slot::Live(record, write)) if write == new.write => Create::Created(record.version),
                Some(Slot::Live(..)) => Create::Exists,
                Some(Slot::Buried(tombstone)) => Create::Buried(tombstone),
                // It has gone meanwhile.
                None => continue,
            });
        }
        Err(restless())
    }

    async fn update(&mut self, key: &Key, new: &NewValue) -> Result<Update, sqlx::Error> {
        let context = text(key.context());
        for _ in 0..TRIES {
            let update = query(UPDATE)
                .bind(&*context)
                .bind(key.name())
                .bind(signed(new.expected.0))
                .bind(&new.write.0[..])
                .bind(&new.value[..])
                .bind(new.times.map(|times| signed(times.touched.0)))
                .bind(new.times.map(|times| signed(times.expires.0)))
                .bind(signed(self.now.0))
                .bind(self.channel);
            if let Some(version) = self.version(update).await? {
                return Ok(Update::Updated(version));
            }
            return Ok(match slot(self.connection, key, Some(-1), self.now).await? {
                Some(Slot::Live(record, write)) if write == new.write => Update::Updated(record.version),
                // It had expired for this node, and somebody prolonged it meanwhile.
                Some(Slot::Live(record, _)) if record.version == new.expected => continue,
                Some(Slot::Live(record, _)) => Update::Conflict(record),
                Some(Slot::Buried(tombstone)) => Update::Buried(tombstone),
                None => Update::Absent,
            });
        }
        Err(restless())
    }

    async fn touch(&mut self, key: &Key, times: Times) -> Result<Touch, sqlx::Error> {
        let context = text(key.context());
        for _ in 0..TRIES {
            let touch = query(TOUCH)
                .bind(&*context)
                .bind(key.name())
                .bind(signed(times.touched.0))
                .bind(signed(times.expires.0))
                .bind(signed(self.now.0));
            if touch.execute(&mut *self.connection).await?.rows_affected() > 0 {
                return Ok(Touch::Touched);
            }
            return Ok(match slot(self.connection, key, None, self.now).await? {
                Some(Slot::Buried(tombstone)) => Touch::Buried(tombstone),
                Some(Slot::Live(..)) => continue,
                None => Touch::Absent,
            });
        }
        Err(restless())
    }

    async fn bury(&mut self, key: &Key, burial: &Burial) -> Result<Bury, sqlx::Error> {
        let until = burial.until.filter(|until| *until > self.now);
        for _ in 0..TRIES {
            if self.end(key, burial, until).await? {
                return Ok(Bury::Buried(Was::Live));
            }
            if let Some(until) = until
                && let Some(was) = self.end_absent(key, burial, until).await?
            {
                return Ok(Bury::Buried(was));
            }
            return Ok(match slot(self.connection, key, None, self.now).await? {
                Some(Slot::Live(record, _)) => match burial.expected {
                    Some(expected) if expected != record.version => Bury::Conflict(record.version),
                    // It was created meanwhile.
                    _ => continue,
                },
                Some(Slot::Buried(_)) => Bury::Buried(Was::Buried),
                None => Bury::Buried(Was::Absent),
            });
        }
        Err(restless())
    }

    /// Ends a live record; whether there was one, and the right one.
    async fn end(&mut self, key: &Key, burial: &Burial, until: Option<Millis>) -> Result<bool, sqlx::Error> {
        let context = text(key.context());
        // A tombstone whose time was over in 1970 is none for any node, however wrong its clock.
        let until = until.map_or(0, |until| signed(until.0));
        let end = Self::about(END, &context, key, burial, until, &random()?)
            .bind(signed(self.now.0))
            .bind(burial.expected.map(|expected| signed(expected.0)))
            .bind(self.channel);
        Ok(self.version(end).await?.is_some())
    }

    /// Ends what is not there, or was ended; nothing if a live record is there.
    async fn end_absent(
        &mut self,
        key: &Key,
        burial: &Burial,
        until: Millis,
    ) -> Result<Option<Was>, sqlx::Error> {
        let context = text(key.context());
        let end = Self::about(END_ABSENT, &context, key, burial, signed(until.0), &random()?)
            .bind(signed(self.now.0))
            .bind(self.channel);
        let row = end.fetch_optional(&mut *self.connection).await?;
        row.map(|row| {
            let is_first: bool = sqlx::Row::try_get(&row, 1)?;
            Ok(if is_first { Was::Absent } else { Was::Buried })
        })
        .transpose()
    }

    /// The first seven parameters of an end.
    fn about(
        statement: &'static str,
        context: &str,
        key: &Key,
        burial: &Burial,
        until: i64,
        write: &WriteId,
    ) -> Statement {
        query(statement)
            .bind(context)
            .bind(key.name())
            .bind(signed(burial.ending.at.0))
            .bind(until)
            .bind(burial.ending.why.as_str())
            .bind(text(&burial.ending.actor()).into_owned())
            .bind(&write.0[..])
    }

    /// The version that a statement gave to a row, if it changed one.
    async fn version(&mut self, statement: Statement) -> Result<Option<Version>, sqlx::Error> {
        let row: Option<PgRow> = statement.fetch_optional(&mut *self.connection).await?;
        row.as_ref().map(row::version).transpose()
    }
}

type Statement = sqlx::query::Query<'static, sqlx::Postgres, PgArguments>;

/// Names an end, so that whoever ended something knows that they were the first.
fn random() -> Result<WriteId, sqlx::Error> {
    WriteId::random().map_err(|error| sqlx::Error::Encode(error.into()))
}

/// Every time that one looked something else was there.
fn restless() -> sqlx::Error {
    sqlx::Error::Protocol("the record does not come to rest".to_owned())
}
