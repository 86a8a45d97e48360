//! What is written is read; what is read is bounded; and nothing makes reading fail in another way than by saying so.

use std::time::Duration;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use session::{Ending, Millis, Why};
use storage::{
    Applied, Batch, Blame, Burial, Bury, Capabilities, Change, Create, Key, Kind, Listed, NewRecord,
    NewValue, Notice, Operation, Outcome, Page, Position, Read, Record, Scan, Scanned, Times, Tombstone,
    Touch, Unavailable, Update, Version, Was, WriteId,
};

use super::*;

fn millis() -> impl Strategy<Value = Millis> {
    any::<u64>().prop_map(Millis)
}

fn version() -> impl Strategy<Value = Version> {
    any::<u64>().prop_map(Version)
}

fn times() -> impl Strategy<Value = Times> {
    (millis(), millis()).prop_map(|(touched, expires)| Times { touched, expires })
}

fn key() -> impl Strategy<Value = Key> {
    ("[a-z.\u{e9}]{1,100}", vec(any::<u8>(), 1..=255))
        .prop_map(|(context, name)| Key::new(&context, &name).unwrap())
}

fn value() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..300).prop_map(Bytes::from)
}

fn write() -> impl Strategy<Value = WriteId> {
    any::<[u8; 16]>().prop_map(WriteId)
}

fn ending() -> impl Strategy<Value = Ending> {
    let from = proptest::option::of(any::<std::net::IpAddr>());
    (millis(), proptest::sample::select(Why::ALL.to_vec()), ".{0,40}", from)
        .prop_map(|(at, why, by, from)| Ending { from, ..Ending::new(at, why, &by) })
}

fn tombstone() -> impl Strategy<Value = Tombstone> {
    (ending(), millis()).prop_map(|(ending, until)| Tombstone { ending, until })
}

fn record() -> impl Strategy<Value = Record> {
    (value(), version(), times()).prop_map(|(value, version, times)| Record { value, version, times })
}

fn operation() -> impl Strategy<Value = storage::Operation> {
    prop_oneof![
        (key(), value(), times(), option::of(version()), write(), any::<bool>()).prop_map(
            |(key, value, times, version, write, is_end)| {
                Operation::Create(key, NewRecord { value, times, version, write, is_end })
            }
        ),
        (key(), version(), value(), option::of(times()), write(), any::<bool>()).prop_map(
            |(key, expected, value, times, write, is_end)| {
                Operation::Update(key, NewValue { expected, value, times, write, is_end })
            }
        ),
        (key(), times()).prop_map(|(key, times)| Operation::Touch(key, times)),
        (key(), option::of(millis()), ending(), option::of(version())).prop_map(
            |(key, until, ending, expected)| Operation::Bury(key, Burial { until, ending, expected })
        ),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        version().prop_map(|version| Outcome::Create(Create::Created(version))),
        Just(Outcome::Create(Create::Exists)),
        tombstone().prop_map(|tombstone| Outcome::Create(Create::Buried(tombstone))),
        version().prop_map(|version| Outcome::Update(Update::Updated(version))),
        record().prop_map(|record| Outcome::Update(Update::Conflict(record))),
        Just(Outcome::Update(Update::Absent)),
        Just(Outcome::Touch(Touch::Touched)),
        tombstone().prop_map(|tombstone| Outcome::Touch(Touch::Buried(tombstone))),
        Just(Outcome::Bury(Bury::Buried(Was::Live))),
        version().prop_map(|version| Outcome::Bury(Bury::Conflict(version))),
    ]
}

/// Written, read, and written again is the same bytes; and each of its beginnings is refused, and anything behind it.
fn survives<T: Encode + Decode>(value: &T) {
    let bytes = encode(value);
    let read: T = decode(&bytes).unwrap();
    assert_eq!(encode(&read), bytes);
    for end in [0, bytes.len() / 2, bytes.len() - 1] {
        assert!(decode::<T>(&bytes.slice(..end)).is_err(), "cut at {end} of {}", bytes.len());
    }
    let longer = Bytes::from([bytes.as_ref(), b"\0"].concat());
    assert!(decode::<T>(&longer).is_err());
}

proptest! {
    #[test]
    fn requests_survive(operations in vec(operation(), 1..5), known in option::of(version())) {
        survives(&operations);
        for operation in operations {
            survives(&(operation.key().clone(), known));
            match operation {
                Operation::Create(key, new) => survives(&(key, new)),
                Operation::Update(key, new) => survives(&(key, new)),
                Operation::Touch(key, times) => survives(&(key, times)),
                Operation::Bury(key, burial) => survives(&(key, burial)),
            }
        }
    }

    #[test]
    fn answers_survive(
        outcomes in vec(outcome(), 1..5), record in record(), tombstone in tombstone(), key in key(), cursor in option::of(vec(any::<u8>(), 0..50)),
    ) {
        for outcome in &outcomes {
            let again: Outcome = decode(&encode(outcome)).unwrap();
            prop_assert_eq!(&again, outcome);
            survives(&Batch::Refused { index: 3, outcome: outcome.clone() });
        }
        survives(&Batch::Done(outcomes));
        for read in [Read::Found(record.clone()), Read::Unchanged(record.times), Read::Buried(tombstone.clone())] {
            let again: Read = decode(&encode(&read)).unwrap();
            prop_assert_eq!(&again, &read);
            survives(&read);
        }
        let found = vec![(key.clone(), Scanned::Live(record.clone())), (key.clone(), Scanned::Buried(tombstone))];
        survives(&Scan { found, cursor });
        let listed = Listed { key, version: record.version, times: record.times };
        survives(&Page { records: vec![listed], has_more: true });
    }

    #[test]
    fn what_kept_a_service_from_answering_survives(
        unknown in any::<bool>(), blame in 0..3, retry in option::of(0..u64::MAX / 2), cause in ".{0,80}",
    ) {
        let unavailable = Unavailable {
            storage: "local".into(),
            applied: if unknown { Applied::Unknown } else { Applied::No },
            blame: [Blame::Caller, Blame::Storage, Blame::Network][blame as usize],
            retry_after: retry.map(Duration::from_millis),
            cause: cause.into(),
        };
        let again: Unavailable = decode(&encode(&unavailable)).unwrap();
        prop_assert_eq!(format!("{again:?}"), format!("{unavailable:?}"));
        survives(&unavailable);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..400)) {
        let bytes = Bytes::from(bytes);
        let _ = decode::<Vec<storage::Operation>>(&bytes);
        let _ = decode::<(Key, NewValue)>(&bytes);
        let _ = decode::<(Key, Burial)>(&bytes);
        let _ = decode::<ListRequest>(&bytes);
        let _ = decode::<ScanRequest>(&bytes);
        let _ = decode::<Batch>(&bytes);
        let _ = decode::<Read>(&bytes);
        let _ = decode::<Scan>(&bytes);
        let _ = decode::<Page>(&bytes);
        let _ = decode::<Unavailable>(&bytes);
        let _ = decode::<Offer>(&bytes);
        let _ = EventReader::default().take(&bytes, &mut Vec::new());
    }

    #[test]
    fn a_change_stream_is_read_however_it_is_cut(
        changes in vec((key(), version(), any::<bool>(), any::<u64>()), 1..6), cut in 1..40_usize,
    ) {
        let mut expected = Vec::new();
        let mut text = String::new();
        for (key, version, buried, position) in changes {
            let kind = if buried { Kind::Buried } else { Kind::Written };
            let position = Position(position);
            let change = Notice::Change(Change { position, key, version, kind });
            for notice in [change, Notice::Gap] {
                text += &event(position, &notice);
                text += HEARTBEAT_TEXT;
                expected.push(notice);
            }
        }
        // Somebody in between may end lines in the other way, and events of a newer build mean nothing.
        text += "event: weather\ndata: fine\n\n";
        for text in [text.clone(), text.replace('\n', "\r\n")] {
            let (mut reader, mut read) = (EventReader::default(), Vec::new());
            for part in text.as_bytes().chunks(cut) {
                reader.take(part, &mut read).unwrap();
            }
            prop_assert_eq!(&read, &expected);
        }
    }
}

#[test]
fn the_longest_key_fits_into_an_event() {
    let key = Key::new(&"c".repeat(255), &[255; 255]).unwrap();
    let change = Change { position: Position(u64::MAX), key, version: Version(u64::MAX), kind: Kind::Buried };
    let notice = Notice::Change(change);
    let mut read = Vec::new();
    EventReader::default().take(event(Position(u64::MAX), &notice).as_bytes(), &mut read).unwrap();
    assert_eq!(read, [notice]);
    assert!(EventReader::default().take(&[b'x'; 2000], &mut Vec::new()).is_err());
}

#[test]
fn a_count_that_claims_too_much_takes_no_memory() {
    // A list of four billion operations, and a value as long as that.
    for bytes in
        [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[1, 0, 1, b'c', 1, b'k', 0xff, 0xff, 0xff, 0xff, 0x0f]]
    {
        assert!(decode::<Vec<storage::Operation>>(&Bytes::copy_from_slice(bytes)).is_err());
    }
}

#[test]
fn a_reason_that_only_a_newer_build_knows_is_an_end_all_the_same() {
    let ending = Ending::new(Millis(1), Why::Moved, "x");
    let bytes = encode(&Tombstone { ending, until: Millis(2) });
    let newer: Vec<u8> = bytes.iter().map(|byte| if *byte == b'v' { b'w' } else { *byte }).collect();
    let read: Tombstone = decode(&newer.into()).unwrap();
    assert_eq!(read.ending.why, Why::Revoked);
}

#[test]
fn capabilities_travel_as_they_are() {
    let capabilities = Capabilities {
        is_durable: true,
        is_shared: false,
        is_memory: true,
        max_value: 16 << 20,
        unnoticed: Duration::from_secs(4),
    };
    let offer = Offer { service: "local".into(), capabilities };
    assert_eq!(decode::<Offer>(&encode(&offer)).unwrap(), offer);
    survives(&offer);
}
