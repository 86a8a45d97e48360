//! The operations of one transaction.
//!
//! Each is one statement that does it if nothing is in the way, and a second one only where that must be told.

use session::{Clock, Millis};
use sqlx::query;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use storage::{
    Batch, Burial, Bury, Create, Key, Kind, NewRecord, NewValue, Operation, Outcome, Times, Tombstone, Touch,
    Update, Version, Was,
};

use super::super::row::{self, Slot, signed};
use super::queue::{Answer, Work};
use super::statements::{
    BURY, CREATE, PROLONG, READ, READ_WITHOUT_VALUE, REAP, REMOVE, TOUCH, UPDATE, UPDATE_WITH_TIMES,
};
use super::versions::Versions;

/// Writes within a transaction that somebody else began and will end.
pub(super) struct Write<'a> {
    connection: &'a mut SqliteConnection,
    versions: &'a mut Versions,
    clock: &'a dyn Clock,
    /// When the work began that is being done.
    now: Millis,
    changes: Vec<(Key, Version, Kind)>,
}

impl<'a> Write<'a> {
    pub(super) fn new(
        connection: &'a mut SqliteConnection,
        versions: &'a mut Versions,
        clock: &'a dyn Clock,
    ) -> Self {
        Self { connection, versions, clock, now: clock.now(), changes: Vec::new() }
    }

    /// What others must be told once it is committed.
    pub(super) fn into_changes(self) -> Vec<(Key, Version, Kind)> {
        self.changes
    }

    pub(super) async fn work(&mut self, work: &Work) -> Result<Answer, sqlx::Error> {
        self.now = self.clock.now();
        Ok(match work {
            Work::One(operation) => Answer::One(self.one(operation).await?),
            Work::All(operations) => Answer::All(self.all(operations).await?),
            Work::Reap { now, budget } => Answer::Reaped(self.reap(*now, *budget).await?),
        })
    }

    async fn one(&mut self, operation: &Operation) -> Result<Outcome, sqlx::Error> {
        Ok(match operation {
            Operation::Create(key, new) => Outcome::Create(self.create(key, new).await?),
            Operation::Update(key, new) => Outcome::Update(self.update(key, new).await?),
            Operation::Touch(key, times) => Outcome::Touch(self.touch(key, *times).await?),
            Operation::Bury(key, burial) => Outcome::Bury(self.bury(key, burial).await?),
        })
    }

    /// All of them or none; their neighbours in the transaction are not concerned.
    async fn all(&mut self, operations: &[Operation]) -> Result<Batch, sqlx::Error> {
        let changes = self.changes.len();
        self.say("SAVEPOINT batch").await?;
        let mut outcomes = Vec::with_capacity(operations.len());
        for (index, operation) in operations.iter().enumerate() {
            let outcome = self.one(operation).await?;
            if !outcome.is_done() {
                self.say("ROLLBACK TO batch").await?;
                self.say("RELEASE batch").await?;
                self.changes.truncate(changes);
                return Ok(Batch::Refused { index, outcome });
            }
            outcomes.push(outcome);
        }
        self.say("RELEASE batch").await?;
        Ok(Batch::Done(outcomes))
    }

    async fn reap(&mut self, now: Millis, budget: usize) -> Result<usize, sqlx::Error> {
        let reaped = query(REAP)
            .bind(signed(now.0))
            .bind(signed(budget as u64))
            .execute(&mut *self.connection)
            .await?;
        Ok(reaped.rows_affected() as usize)
    }

    async fn create(&mut self, key: &Key, new: &NewRecord) -> Result<Create, sqlx::Error> {
        let version = match new.version {
            Some(version) if self.was_below(key, version).await? => version,
            _ => self.versions.draw(),
        };
        let create = on_key(CREATE, key)
            .bind(signed(version.0))
            .bind(signed(new.times.touched.0))
            .bind(signed(new.times.expires.0))
            .bind(new.write.0.to_vec())
            .bind(new.value.to_vec())
            .bind(signed(self.now.0));
        if self.changes_a_row(create).await? {
            self.announce(key, version, Kind::Written);
            return Ok(Create::Created(version));
        }
        Ok(match self.slot_without_value(key).await? {
            Some(Slot::Live(record, write)) if write == new.write => Create::Created(record.version),
            Some(Slot::Buried(tombstone)) => Create::Buried(tombstone),
            Some(Slot::Live(..)) | None => Create::Exists,
        })
    }

    async fn update(&mut self, key: &Key, new: &NewValue) -> Result<Update, sqlx::Error> {
        let version = self.versions.draw();
        let statement = if new.times.is_some() { UPDATE_WITH_TIMES } else { UPDATE };
        let mut update =
            query(statement).bind(signed(version.0)).bind(new.write.0.to_vec()).bind(new.value.to_vec());
        if let Some(times) = new.times {
            update = update.bind(signed(times.touched.0)).bind(signed(times.expires.0));
        }
        let update = update
            .bind(key.context().to_owned())
            .bind(key.name().to_vec())
            .bind(signed(new.expected.0))
            .bind(new.write.0.to_vec())
            .bind(signed(self.now.0));
        if self.changes_a_row(update).await? {
            self.announce(key, version, Kind::Written);
            return Ok(Update::Updated(version));
        }
        Ok(match self.slot(key).await? {
            Some(Slot::Live(record, write)) if write == new.write => Update::Updated(record.version),
            Some(Slot::Live(record, _)) => Update::Conflict(record),
            Some(Slot::Buried(tombstone)) => Update::Buried(tombstone),
            None => Update::Absent,
        })
    }

    async fn touch(&mut self, key: &Key, times: Times) -> Result<Touch, sqlx::Error> {
        let touch = query(TOUCH)
            .bind(signed(times.touched.0))
            .bind(signed(times.expires.0))
            .bind(key.context().to_owned())
            .bind(key.name().to_vec())
            .bind(signed(self.now.0));
        if self.changes_a_row(touch).await? {
            return Ok(Touch::Touched);
        }
        Ok(match self.slot_without_value(key).await? {
            Some(Slot::Buried(tombstone)) => Touch::Buried(tombstone),
            Some(Slot::Live(..)) | None => Touch::Absent,
        })
    }

    /// Looks first, because what was there is part of the answer.
    async fn bury(&mut self, key: &Key, burial: &Burial) -> Result<Bury, sqlx::Error> {
        let slot = self.slot_without_value(key).await?;
        let until = burial.until.filter(|until| *until > self.now);
        let (was, last) = match &slot {
            Some(Slot::Live(record, _)) => (Was::Live, Some(record.version)),
            Some(Slot::Buried(_)) => (Was::Buried, None),
            None => (Was::Absent, None),
        };
        if let (Some(expected), Some(version)) = (burial.expected, last)
            && expected != version
        {
            return Ok(Bury::Conflict(version));
        }
        let version = last.unwrap_or_else(|| self.versions.draw());
        match (until, was) {
            (Some(until), Was::Live | Was::Absent) => {
                self.put(key, version, &Tombstone { ending: burial.ending.clone(), until }).await?;
            }
            (Some(until), Was::Buried) => {
                let prolong = query(PROLONG)
                    .bind(signed(until.0))
                    .bind(key.context().to_owned())
                    .bind(key.name().to_vec())
                    .bind(signed(self.now.0));
                self.changes_a_row(prolong).await?;
            }
            (None, Was::Live | Was::Absent) => {
                self.changes_a_row(on_key(REMOVE, key)).await?;
            }
            // The first end has a time, and keeps it.
            (None, Was::Buried) => {}
        }
        self.announce(key, version, Kind::Buried);
        Ok(Bury::Buried(was))
    }

    async fn put(&mut self, key: &Key, version: Version, tombstone: &Tombstone) -> Result<(), sqlx::Error> {
        let ending = &tombstone.ending;
        let bury = on_key(BURY, key)
            .bind(signed(version.0))
            .bind(signed(ending.at.0))
            .bind(signed(tombstone.until.0))
            .bind(signed(ending.at.0))
            .bind(ending.why.as_str())
            .bind(ending.actor().into_owned());
        self.changes_a_row(bury).await?;
        Ok(())
    }

    /// Whether what lies at `key`, be its time over or not, has a smaller version. Only records that moved ask this.
    async fn was_below(&mut self, key: &Key, version: Version) -> Result<bool, sqlx::Error> {
        let row = on_key(READ_WITHOUT_VALUE, key).bind(-1).fetch_optional(&mut *self.connection).await?;
        Ok(row.as_ref().map(row::version).transpose()?.is_none_or(|last| last < version))
    }

    async fn slot(&mut self, key: &Key) -> Result<Option<Slot>, sqlx::Error> {
        let read = query(READ).bind(-1);
        let row = read
            .bind(key.context().to_owned())
            .bind(key.name().to_vec())
            .bind(signed(self.now.0))
            .fetch_optional(&mut *self.connection)
            .await?;
        row.as_ref().map(Slot::of).transpose()
    }

    async fn slot_without_value(&mut self, key: &Key) -> Result<Option<Slot>, sqlx::Error> {
        let read = on_key(READ_WITHOUT_VALUE, key).bind(signed(self.now.0));
        let row = read.fetch_optional(&mut *self.connection).await?;
        row.as_ref().map(Slot::of).transpose()
    }

    async fn changes_a_row(&mut self, statement: Statement) -> Result<bool, sqlx::Error> {
        Ok(statement.execute(&mut *self.connection).await?.rows_affected() > 0)
    }

    async fn say(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        query(sql).execute(&mut *self.connection).await.map(drop)
    }

    fn announce(&mut self, key: &Key, version: Version, kind: Kind) {
        self.changes.push((key.clone(), version, kind));
    }
}

type Statement = sqlx::query::Query<'static, sqlx::Sqlite, SqliteArguments>;

/// A statement whose first parameters are the context and the name.
fn on_key(sql: &'static str, key: &Key) -> Statement {
    query(sql).bind(key.context().to_owned()).bind(key.name().to_vec())
}
