//! Requests and answers as bytes.

use session::wire::Writer;
use storage::{Batch, Bury, Create, Operation, Outcome, Page, Read, Scan, Scanned, Touch, Update};

use super::records::parts;
use super::wire::{Damaged, Decode, Encode, Source, UNKNOWN};
use super::{ListRequest, ReapRequest, ScanRequest};

parts! {
    ListRequest { context, after, limit }
    ScanRequest { cursor, budget }
    ReapRequest { now, budget }
    Page { records, has_more }
}

/// Variants by their numbers, with the parts of each.
macro_rules! outcomes {
    ($($type:ident { $($number:literal = $variant:ident $(( $($part:ident),+ ))?),+ })+) => {$(
        impl Encode for $type {
            fn encode(&self, to: &mut Writer) {
                match self {
                    $(Self::$variant $(( $($part),+ ))? => {
                        to.raw(&[$number]);
                        $($($part.encode(to);)+)?
                    })+
                }
            }
        }

        impl Decode for $type {
            fn decode(from: &mut Source<'_>) -> Result<Self, Damaged> {
                match from.variant()? {
                    $($number => {
                        $($(let $part = Decode::decode(from)?;)+)?
                        Ok(Self::$variant $(( $($part),+ ))?)
                    })+
                    _ => Err(UNKNOWN),
                }
            }
        }
    )+};
}

outcomes! {
    Create { 0 = Created(version), 1 = Exists, 2 = Buried(tombstone) }
    Read { 0 = Found(record), 1 = Unchanged(times), 2 = Absent, 3 = Buried(tombstone) }
    Update { 0 = Updated(version), 1 = Conflict(current), 2 = Absent, 3 = Buried(tombstone) }
    Touch { 0 = Touched, 1 = Absent, 2 = Buried(tombstone) }
    Bury { 0 = Buried(was), 1 = Conflict(version) }
    Operation { 0 = Create(key, new), 1 = Update(key, new), 2 = Touch(key, times), 3 = Bury(key, burial) }
    Outcome { 0 = Create(create), 1 = Update(update), 2 = Touch(touch), 3 = Bury(bury) }
    Scanned { 0 = Live(record), 1 = Buried(tombstone) }
}

impl Encode for Batch {
    fn encode(&self, to: &mut Writer) {
        match self {
            Self::Done(outcomes) => {
                to.raw(&[0]);
                outcomes.encode(to);
            }
            Self::Refused { index, outcome } => {
                to.raw(&[1]);
                to.number(*index as u64);
                outcome.encode(to);
            }
        }
    }
}

impl Decode for Batch {
    fn decode(from: &mut Source<'_>) -> Result<Self, Damaged> {
        match from.variant()? {
            0 => Decode::decode(from).map(Self::Done),
            1 => Ok(Self::Refused { index: from.size()?, outcome: Decode::decode(from)? }),
            _ => Err(UNKNOWN),
        }
    }
}

impl Encode for Scan {
    fn encode(&self, to: &mut Writer) {
        self.found.encode(to);
        self.cursor.is_some().encode(to);
        if let Some(cursor) = &self.cursor {
            to.bytes(cursor);
        }
    }
}

impl Decode for Scan {
    fn decode(from: &mut Source<'_>) -> Result<Self, Damaged> {
        let found = Decode::decode(from)?;
        let cursor = Option::<Box<[u8]>>::decode(from)?.map(Into::into);
        Ok(Self { found, cursor })
    }
}
