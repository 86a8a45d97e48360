//! The operations of one transaction.
//!
//! Each is one statement that does it if nothing is in the way, and a second one only where that must be told.

use rusqlite::{Connection, OptionalExtension as _, Params, params};
use session::{Clock, Millis};
use storage::{
    Batch, Burial, Bury, Create, Key, Kind, NewRecord, NewValue, Operation, Outcome, Times, Tombstone, Touch,
    Update, Version, Was,
};

use super::super::row::{self, Slot, signed};
use super::queue::{Answer, Work};
use super::statements::{
    BURY, CREATE, PROLONG, READ, READ_WITHOUT_VALUE, REAP, REMOVE, TOUCH, UPDATE, UPDATE_THAT_STAYS,
    UPDATE_WITH_TIMES,
};
use super::versions::Versions;

/// Writes within a transaction that somebody else began and will end.
pub(super) struct Write<'a> {
    connection: &'a Connection,
    versions: &'a mut Versions,
    clock: &'a dyn Clock,
    /// When the work began that is being done.
    now: Millis,
    changes: Vec<(Key, Version, Kind)>,
}

impl<'a> Write<'a> {
    pub(super) fn new(connection: &'a Connection, versions: &'a mut Versions, clock: &'a dyn Clock) -> Self {
        Self { connection, versions, clock, now: clock.now(), changes: Vec::new() }
    }

    /// What others must be told once it is committed.
    pub(super) fn into_changes(self) -> Vec<(Key, Version, Kind)> {
        self.changes
    }

    pub(super) fn work(&mut self, work: &Work) -> Result<Answer, rusqlite::Error> {
        self.now = self.clock.now();
        Ok(match work {
            Work::One(operation) => Answer::One(self.one(operation)?),
            Work::All(operations) => Answer::All(self.all(operations)?),
            Work::Reap { now, budget } => Answer::Reaped(self.reap(*now, *budget)?),
        })
    }

    fn one(&mut self, operation: &Operation) -> Result<Outcome, rusqlite::Error> {
        Ok(match operation {
            Operation::Create(key, new) => Outcome::Create(self.create(key, new)?),
            Operation::Update(key, new) => Outcome::Update(self.update(key, new)?),
            Operation::Touch(key, times) => Outcome::Touch(self.touch(key, *times)?),
            Operation::Bury(key, burial) => Outcome::Bury(self.bury(key, burial)?),
        })
    }

    /// All of them or none; their neighbours in the transaction are not concerned.
    fn all(&mut self, operations: &[Operation]) -> Result<Batch, rusqlite::Error> {
        let changes = self.changes.len();
        self.connection.execute_batch("SAVEPOINT batch")?;
        let mut outcomes = Vec::with_capacity(operations.len());
        for (index, operation) in operations.iter().enumerate() {
            let outcome = self.one(operation)?;
            if !outcome.is_done() {
                self.connection.execute_batch("ROLLBACK TO batch; RELEASE batch")?;
                self.changes.truncate(changes);
                return Ok(Batch::Refused { index, outcome });
            }
            outcomes.push(outcome);
        }
        self.connection.execute_batch("RELEASE batch")?;
        Ok(Batch::Done(outcomes))
    }

    fn reap(&self, now: Millis, budget: usize) -> Result<usize, rusqlite::Error> {
        self.rows_changed(REAP, [signed(now.0), signed(budget as u64)])
    }

    fn create(&mut self, key: &Key, new: &NewRecord) -> Result<Create, rusqlite::Error> {
        let version = match new.version {
            Some(version) if self.was_below(key, version)? => version,
            _ => self.versions.draw(),
        };
        let create = params![
            key.context(),
            key.name(),
            signed(version.0),
            signed(new.times.touched.0),
            signed(new.times.expires.0),
            new.write.0,
            &*new.value,
            signed(self.now.0)
        ];
        if self.rows_changed(CREATE, create)? > 0 {
            self.announce(key, version, Kind::Written);
            return Ok(Create::Created(version));
        }
        Ok(match self.slot_without_value(key)? {
            Some(Slot::Live(record, write)) if write == new.write => Create::Created(record.version),
            Some(Slot::Buried(tombstone)) => Create::Buried(tombstone),
            Some(Slot::Live(..)) | None => Create::Exists,
        })
    }

    fn update(&mut self, key: &Key, new: &NewValue) -> Result<Update, rusqlite::Error> {
        let version = self.versions.draw();
        let (next, expected, now) = (signed(version.0), signed(new.expected.0), signed(self.now.0));
        let (write, value) = (new.write.0, &*new.value);
        let (context, name) = (key.context(), key.name());
        let rows = match new.times {
            Some(times) => {
                let (touched, expires) = (signed(times.touched.0), signed(times.expires.0));
                let stays =
                    params![next, write, value, touched, context, name, expected, write, now, expires];
                let longer =
                    params![next, write, value, touched, expires, context, name, expected, write, now];
                match self.rows_changed(UPDATE_THAT_STAYS, stays)? {
                    0 => self.rows_changed(UPDATE_WITH_TIMES, longer)?,
                    rows => rows,
                }
            }
            None => {
                self.rows_changed(UPDATE, params![next, write, value, context, name, expected, write, now])?
            }
        };
        if rows > 0 {
            self.announce(key, version, Kind::Written);
            return Ok(Update::Updated(version));
        }
        Ok(match self.slot(key)? {
            Some(Slot::Live(record, write)) if write == new.write => Update::Updated(record.version),
            Some(Slot::Live(record, _)) => Update::Conflict(record),
            Some(Slot::Buried(tombstone)) => Update::Buried(tombstone),
            None => Update::Absent,
        })
    }

    fn touch(&mut self, key: &Key, times: Times) -> Result<Touch, rusqlite::Error> {
        let (touched, expires) = (signed(times.touched.0), signed(times.expires.0));
        let touch = params![touched, expires, key.context(), key.name(), signed(self.now.0)];
        if self.rows_changed(TOUCH, touch)? > 0 {
            return Ok(Touch::Touched);
        }
        Ok(match self.slot_without_value(key)? {
            Some(Slot::Buried(tombstone)) => Touch::Buried(tombstone),
            Some(Slot::Live(..)) | None => Touch::Absent,
        })
    }

    /// Looks first, because what was there is part of the answer.
    fn bury(&mut self, key: &Key, burial: &Burial) -> Result<Bury, rusqlite::Error> {
        let slot = self.slot_without_value(key)?;
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
                self.put(key, version, &Tombstone { ending: burial.ending.clone(), until })?;
            }
            (Some(until), Was::Buried) => {
                let prolong = params![signed(until.0), key.context(), key.name(), signed(self.now.0)];
                self.rows_changed(PROLONG, prolong)?;
            }
            (None, Was::Live | Was::Absent) => {
                self.rows_changed(REMOVE, params![key.context(), key.name()])?;
            }
            // The first end has a time, and keeps it.
            (None, Was::Buried) => {}
        }
        self.announce(key, version, Kind::Buried);
        Ok(Bury::Buried(was))
    }

    fn put(&self, key: &Key, version: Version, tombstone: &Tombstone) -> Result<(), rusqlite::Error> {
        let ending = &tombstone.ending;
        let bury = params![
            key.context(),
            key.name(),
            signed(version.0),
            signed(ending.at.0),
            signed(tombstone.until.0),
            signed(ending.at.0),
            ending.why.as_str(),
            ending.actor()
        ];
        self.rows_changed(BURY, bury).map(drop)
    }

    /// Whether what lies at `key`, be its time over or not, has a smaller version. Only records that moved ask this.
    fn was_below(&self, key: &Key, version: Version) -> Result<bool, rusqlite::Error> {
        let mut read = self.connection.prepare_cached(READ_WITHOUT_VALUE)?;
        let last =
            read.query_row(params![key.context(), key.name(), -1], |row| row::version(row)).optional()?;
        Ok(last.is_none_or(|last| last < version))
    }

    fn slot(&self, key: &Key) -> Result<Option<Slot>, rusqlite::Error> {
        let mut read = self.connection.prepare_cached(READ)?;
        read.query_row(params![-1, key.context(), key.name(), signed(self.now.0)], |row| Slot::of(row))
            .optional()
    }

    fn slot_without_value(&self, key: &Key) -> Result<Option<Slot>, rusqlite::Error> {
        let mut read = self.connection.prepare_cached(READ_WITHOUT_VALUE)?;
        read.query_row(params![key.context(), key.name(), signed(self.now.0)], |row| Slot::of(row)).optional()
    }

    fn rows_changed(&self, statement: &str, parameters: impl Params) -> Result<usize, rusqlite::Error> {
        self.connection.prepare_cached(statement)?.execute(parameters)
    }

    fn announce(&mut self, key: &Key, version: Version, kind: Kind) {
        self.changes.push((key.clone(), version, kind));
    }
}
