//! How a record is written in Redis, and how operations and what they did are said to the scripts.
//!
//! ```text
//! kind 1 | version 8 | touched 8 | expires 8 | write 16 | value                            L, a live record
//! kind 1 | version 8 | ended 8   | until 8   | zeros 16 | length of why 1 | why | by       T, a tombstone
//! ```
//!
//! Numbers are big-endian. Scripts count in floating point, so that no number is over [`MOST`]; a time beyond it, which is
//! after the year 287 000, is written as never.

use std::str::FromStr as _;

use bytes::Bytes;
use redis::{Cmd, Value};
use session::{Ending, Millis, Why};
use storage::{
    Batch, Bury, Create, Key, Listed, Operation, Outcome, Read, Record, Scanned, Times, Tombstone, Touch,
    Update, Version, Was,
};

/// The largest number that scripts count exactly, and never as a time.
const MOST: u64 = (1 << 53) - 1;
const HEADER: usize = 41;

/// What was read that nobody here wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// What is at a key.
#[derive(Debug)]
pub(super) enum Slot {
    Live(Record),
    Buried(Tombstone),
}

impl Slot {
    /// Reads what was written, its value cut off or not.
    pub(super) fn read(raw: Vec<u8>) -> Result<Self, Malformed> {
        let raw = Bytes::from(raw);
        let mut rest = raw.as_ref();
        let kind = take::<1>(&mut rest)?;
        let version = Version(u64::from_be_bytes(take(&mut rest)?));
        let touched = read_time(take(&mut rest)?);
        let expires = read_time(take(&mut rest)?);
        let _write: [u8; 16] = take(&mut rest)?;
        match &kind {
            b"L" => {
                let times = Times { touched, expires };
                Ok(Self::Live(Record { value: raw.slice(HEADER..), version, times }))
            }
            b"T" => {
                let ending = read_ending(touched, rest)?;
                Ok(Self::Buried(Tombstone { ending, until: expires }))
            }
            _ => Err(Malformed),
        }
    }

    const fn expires(&self) -> Millis {
        match self {
            Self::Live(record) => record.times.expires,
            Self::Buried(tombstone) => tombstone.until,
        }
    }

    /// As it is at `now`: what expired is not there.
    pub(super) fn at(self, now: Millis) -> Option<Self> {
        (self.expires() > now).then_some(self)
    }

    pub(super) fn found(this: Option<Self>, known: Option<Version>) -> Read {
        match this {
            Some(Self::Live(record)) if known == Some(record.version) => Read::Unchanged(record.times),
            Some(Self::Live(record)) => Read::Found(record),
            Some(Self::Buried(tombstone)) => Read::Buried(tombstone),
            None => Read::Absent,
        }
    }

    pub(super) fn listed(self, key: Key) -> Option<Listed> {
        match self {
            Self::Live(record) => Some(Listed { key, version: record.version, times: record.times }),
            Self::Buried(..) => None,
        }
    }

    pub(super) fn scanned(self) -> Scanned {
        match self {
            Self::Live(record) => Scanned::Live(record),
            Self::Buried(tombstone) => Scanned::Buried(tombstone),
        }
    }
}

/// An operation as `write.lua` takes it, of the record with that number.
pub(super) fn say(operation: &Operation, record: usize, call: &mut Cmd) {
    let what = match operation {
        Operation::Create(..) => "create",
        Operation::Update(..) => "update",
        Operation::Touch(..) => "touch",
        Operation::Bury(..) => "bury",
    };
    call.arg(what).arg(record).arg(operation.key().name());
    match operation {
        Operation::Create(_, new) => {
            say_times(new.times, call);
            call.arg(new.version.map_or(0, |version| version.0));
            call.arg(&new.write.0[..]).arg(&new.value[..]);
        }
        Operation::Update(_, new) => {
            call.arg(new.expected.0);
            say_times(new.times.unwrap_or(Times { touched: Millis(0), expires: Millis(0) }), call);
            call.arg(&new.write.0[..]).arg(&new.value[..]);
        }
        Operation::Touch(_, new) => say_times(*new, call),
        Operation::Bury(_, burial) => {
            let why = burial.ending.why.as_str();
            let mut tail = vec![u8::try_from(why.len()).unwrap_or_default()];
            tail.extend_from_slice(why.as_bytes());
            tail.extend_from_slice(burial.ending.actor().as_bytes());
            call.arg(time(burial.until.unwrap_or(Millis(0))));
            match burial.expected {
                Some(version) => call.arg(version.0),
                None => call.arg(""),
            };
            call.arg(time(burial.ending.at)).arg(&tail[..]);
        }
    }
}

/// What `write.lua` says that it did.
pub(super) fn done(answer: Value) -> Result<Batch, Malformed> {
    let Value::Array(answer) = answer else { return Err(Malformed) };
    let mut answer = answer.into_iter();
    match answer.next() {
        Some(Value::Int(1)) => answer.map(outcome).collect::<Result<_, _>>().map(Batch::Done),
        Some(Value::Int(0)) => {
            let (Some(Value::Int(index)), Some(found)) = (answer.next(), answer.next()) else {
                return Err(Malformed);
            };
            Ok(Batch::Refused {
                index: usize::try_from(index).map_err(|_| Malformed)?,
                outcome: outcome(found)?,
            })
        }
        _ => Err(Malformed),
    }
}

/// What one operation found, not yet said in its own words.
fn outcome(answer: Value) -> Result<Outcome, Malformed> {
    let Value::Array(answer) = answer else { return Err(Malformed) };
    let mut answer = answer.into_iter().map(|part| match part {
        Value::BulkString(bytes) => Ok(bytes),
        _ => Err(Malformed),
    });
    let mut next = || answer.next().ok_or(Malformed)?;
    let what = next()?;
    let of = next()?;
    Ok(match (what.as_slice(), of) {
        (b"create", of) => Outcome::Create(match of.as_slice() {
            b"created" => Create::Created(read_version(&next()?)?),
            b"exists" => Create::Exists,
            b"buried" => Create::Buried(read_tombstone(next()?)?),
            _ => return Err(Malformed),
        }),
        (b"update", of) => Outcome::Update(match of.as_slice() {
            b"updated" => Update::Updated(read_version(&next()?)?),
            b"conflict" => match Slot::read(next()?)? {
                Slot::Live(record) => Update::Conflict(record),
                Slot::Buried(..) => return Err(Malformed),
            },
            b"absent" => Update::Absent,
            b"buried" => Update::Buried(read_tombstone(next()?)?),
            _ => return Err(Malformed),
        }),
        (b"touch", of) => Outcome::Touch(match of.as_slice() {
            b"touched" => Touch::Touched,
            b"absent" => Touch::Absent,
            b"buried" => Touch::Buried(read_tombstone(next()?)?),
            _ => return Err(Malformed),
        }),
        (b"bury", of) => Outcome::Bury(match of.as_slice() {
            b"ended" => Bury::Buried(match next()?.as_slice() {
                b"L" => Was::Live,
                b"T" => Was::Buried,
                b"A" => Was::Absent,
                _ => return Err(Malformed),
            }),
            b"other" => Bury::Conflict(read_version(&next()?)?),
            _ => return Err(Malformed),
        }),
        _ => return Err(Malformed),
    })
}

/// A time as scripts count.
pub(super) fn time(time: Millis) -> u64 {
    time.0.min(MOST)
}

/// A record is used now, not in a future that nobody can write.
fn say_times(times: Times, call: &mut Cmd) {
    call.arg(time(times.touched)).arg(time(times.expires));
}

fn read_time(bytes: [u8; 8]) -> Millis {
    match u64::from_be_bytes(bytes) {
        MOST.. => Millis::NEVER,
        time => Millis(time),
    }
}

fn read_ending(at: Millis, tail: &[u8]) -> Result<Ending, Malformed> {
    let (length, rest) = tail.split_first().ok_or(Malformed)?;
    let (why, by) = rest.split_at_checked((*length).into()).ok_or(Malformed)?;
    let why = std::str::from_utf8(why).map_err(|_| Malformed)?;
    let by = std::str::from_utf8(by).map_err(|_| Malformed)?;
    // A reason that only a newer build knows is no reason to let a session come back.
    Ok(Ending::of_actor(at, Why::from_str(why).unwrap_or(Why::Revoked), by))
}

fn read_version(bytes: &[u8]) -> Result<Version, Malformed> {
    std::str::from_utf8(bytes).ok().and_then(|text| text.parse().ok()).map(Version).ok_or(Malformed)
}

fn read_tombstone(raw: Vec<u8>) -> Result<Tombstone, Malformed> {
    match Slot::read(raw)? {
        Slot::Buried(tombstone) => Ok(tombstone),
        Slot::Live(..) => Err(Malformed),
    }
}

/// Takes as many bytes as are needed.
pub(super) fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (taken, left) = rest.split_first_chunk().ok_or(Malformed)?;
    *rest = left;
    Ok(*taken)
}
