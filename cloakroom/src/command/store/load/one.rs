//! One record of a dump: created where it is absent, and never against what was decided where it comes to.

use bytes::Bytes;
use cache::Kind;
use session::{Ending, Millis, Why};
use storage::{
    Batch, Burial, Bury, Create, Key, NewRecord, Operation, Read, Record, Storage, Tombstone, Unavailable,
    Was, WriteId,
};

use super::super::lines::Content;

/// How often a record may come and go while it is looked at.
const TRIES: usize = 8;

/// What became of a record.
#[derive(Debug)]
pub(super) enum Done {
    Created,
    /// Created, with a later version than it had.
    Renumbered,
    /// It is there already, as it was.
    Same,
    /// It is there, and was written since.
    Newer,
    /// It was ended here, and a tombstone wins.
    Ended,
    /// Its time is over.
    Expired,
    /// Its end holds from now on.
    Buried,
    /// Something else is there.
    Conflict(Key),
}

pub(super) async fn one(storage: &dyn Storage, content: Content, now: Millis) -> Result<Done, Unavailable> {
    match content {
        Content::Live(key, record) if record.times.expires > now => live(storage, &key, &record).await,
        Content::Buried(key, tombstone) if tombstone.until > now => buried(storage, &key, tombstone).await,
        Content::Live(..) | Content::Buried(..) | Content::End(_) => Ok(Done::Expired),
    }
}

async fn live(storage: &dyn Storage, key: &Key, record: &Record) -> Result<Done, Unavailable> {
    for _ in 0..TRIES {
        match storage.create(key, brought(storage, record)?).await? {
            Create::Created(version) if version == record.version => return Ok(Done::Created),
            Create::Created(_) => return Ok(Done::Renumbered),
            Create::Buried(_) => return Ok(Done::Ended),
            Create::Exists => {}
        }
        let there = match storage.read(key, None).await? {
            Read::Found(there) => there,
            Read::Buried(_) => return Ok(Done::Ended),
            // It has gone meanwhile.
            Read::Absent | Read::Unchanged(_) => continue,
        };
        // What a counter says is its version; what it holds is who raised it.
        let is_counter = Kind::of(key) == Kind::Counter;
        let is_same = if is_counter { there.version == record.version } else { there.value == record.value };
        if is_same {
            return Ok(Done::Same);
        }
        if there.version > record.version {
            return Ok(Done::Newer);
        }
        if !is_counter {
            return Ok(Done::Conflict(key.clone()));
        }
        // A counter that is behind would let in whom the later one ended.
        if raise(storage, key, &there, record).await? {
            return Ok(Done::Created);
        }
    }
    Err(Unavailable::failed(storage.id(), "a record comes and goes while it is loaded"))
}

/// Puts the later counter in the place of the earlier one, at once; not if somebody raised that meanwhile.
async fn raise(
    storage: &dyn Storage,
    key: &Key,
    there: &Record,
    record: &Record,
) -> Result<bool, Unavailable> {
    let ending = Ending::new(record.times.touched, Why::Revoked, "load");
    let burial = Burial { until: None, ending, expected: Some(there.version) };
    let times = record.times.latest(there.times);
    let new = NewRecord { times, ..brought(storage, record)? };
    let both = vec![Operation::Bury(key.clone(), burial), Operation::Create(key.clone(), new)];
    Ok(matches!(storage.batch(both).await?, Batch::Done(_)))
}

async fn buried(storage: &dyn Storage, key: &Key, tombstone: Tombstone) -> Result<Done, Unavailable> {
    let Tombstone { ending, until } = tombstone;
    let burial = Burial { until: Some(until), ending, expected: None };
    Ok(match storage.bury(key, burial).await? {
        Bury::Buried(Was::Buried) => Done::Same,
        Bury::Buried(Was::Live | Was::Absent) | Bury::Conflict(_) => Done::Buried,
    })
}

fn brought(storage: &dyn Storage, record: &Record) -> Result<NewRecord, Unavailable> {
    let write = WriteId::random().map_err(|error| Unavailable::failed(storage.id(), error))?;
    let new = NewRecord::new(Bytes::clone(&record.value), record.times, write);
    Ok(NewRecord { version: Some(record.version), ..new })
}
