//! The table of outcomes.

use super::*;
use crate::{Blame, Bury, Touch, Was};

/// `create` creates once; the second one is told that it exists, and changes nothing.
pub async fn a_record_is_created_once(subject: &Subject) {
    let version = subject.created(&key("a"), b"1").await;
    let again = subject.storage.create(&key("a"), record(b"2", subject.at(60_000))).await.unwrap();
    assert_eq!(again, Create::Exists);
    let found = subject.found(&key("a")).await;
    assert_eq!((&*found.value, found.version), (&b"1"[..], version));
}

/// `read` gives what was written, says `Unchanged` to who has it, and `Absent` of what is not there.
pub async fn a_record_is_read_as_it_was_written(subject: &Subject) {
    assert_eq!(subject.storage.read(&key("a"), None).await.unwrap(), Read::Absent);
    let version = subject.created(&key("a"), b"1").await;
    let times = Times { touched: START, expires: subject.at(60_000) };
    assert_eq!(
        subject.storage.read(&key("a"), None).await.unwrap(),
        Read::Found(Record { value: Bytes::from_static(b"1"), version, times })
    );
    assert_eq!(subject.storage.read(&key("a"), Some(version)).await.unwrap(), Read::Unchanged(times));
    let newer = subject.updated(&key("a"), version, b"2").await;
    assert!(matches!(subject.storage.read(&key("a"), Some(version)).await.unwrap(), Read::Found(_)));
    assert_eq!(subject.storage.read(&key("a"), Some(newer)).await.unwrap(), Read::Unchanged(times));
}

/// `update` succeeds with the version that is there; with any other it tells what is there, and changes nothing.
pub async fn an_update_needs_the_version_that_is_there(subject: &Subject) {
    let first = subject.created(&key("a"), b"1").await;
    let second = subject.updated(&key("a"), first, b"2").await;
    assert!(second > first);
    for wrong in [first, Version(second.0 + 1), Version(0)] {
        match subject.storage.update(&key("a"), new_value(wrong, b"9")).await.unwrap() {
            Update::Conflict(current) => assert_eq!((&*current.value, current.version), (&b"2"[..], second)),
            other => panic!("a stale update was not refused: {other:?}"),
        }
    }
    // Times move to the later of each.
    let times = |touched, expires| Some(Times { touched: subject.at(touched), expires: subject.at(expires) });
    let later = NewValue { times: times(10, 70_000), ..new_value(second, b"3") };
    let Update::Updated(third) = subject.storage.update(&key("a"), later).await.unwrap() else {
        panic!("not updated")
    };
    let earlier = NewValue { times: times(5, 50_000), ..new_value(third, b"4") };
    assert!(matches!(subject.storage.update(&key("a"), earlier).await.unwrap(), Update::Updated(_)));
    assert_eq!(Some(subject.found(&key("a")).await.times), times(10, 70_000));
}

/// `update` and `touch` of what is not there say so and leave it so.
pub async fn an_update_never_creates(subject: &Subject) {
    let times = Times { touched: START, expires: subject.at(60_000) };
    assert_eq!(subject.storage.update(&key("a"), new_value(Version(1), b"1")).await.unwrap(), Update::Absent);
    assert_eq!(subject.storage.touch(&key("a"), times).await.unwrap(), Touch::Absent);
    assert_eq!(subject.storage.read(&key("a"), None).await.unwrap(), Read::Absent);
}

/// `touch` moves the times forward only, and is no new version.
pub async fn a_touch_takes_the_later_of_each_and_keeps_the_version(subject: &Subject) {
    let version = subject.created(&key("a"), b"1").await;
    let times = |touched, expires| Times { touched: subject.at(touched), expires: subject.at(expires) };
    for (given, expected) in [
        (times(5, 60_005), times(5, 60_005)),
        (times(3, 60_003), times(5, 60_005)),
        (times(9, 60_001), times(9, 60_005)),
        (times(1, 60_009), times(9, 60_009)),
    ] {
        assert_eq!(subject.storage.touch(&key("a"), given).await.unwrap(), Touch::Touched);
        let found = subject.found(&key("a")).await;
        assert_eq!((found.times, found.version), (expected, version));
    }
    subject.updated(&key("a"), version, b"2").await;
}

/// After `bury` everything that comes late is told that it was ended, there or not before.
pub async fn an_end_blocks_what_comes_late(subject: &Subject) {
    let version = subject.created(&key("there"), b"1").await;
    let until = Some(subject.at(60_000));
    assert_eq!(subject.storage.bury(&key("there"), burial(until)).await.unwrap(), Bury::Buried(Was::Live));
    assert_eq!(
        subject.storage.bury(&key("not yet"), burial(until)).await.unwrap(),
        Bury::Buried(Was::Absent)
    );
    let times = Times { touched: subject.at(1), expires: subject.at(90_000) };
    for name in ["there", "not yet"] {
        let key = key(name);
        let Read::Buried(tombstone) = subject.storage.read(&key, None).await.unwrap() else {
            panic!("{name}: no tombstone is read")
        };
        assert_eq!((&tombstone.ending, Some(tombstone.until)), (&burial(until).ending, until));
        assert!(matches!(subject.storage.read(&key, Some(version)).await.unwrap(), Read::Buried(_)));
        let late = subject.storage.create(&key, record(b"2", subject.at(90_000))).await.unwrap();
        assert_eq!(late, Create::Buried(tombstone.clone()), "{name}");
        let late = subject.storage.update(&key, new_value(version, b"2")).await.unwrap();
        assert_eq!(late, Update::Buried(tombstone.clone()), "{name}");
        assert_eq!(subject.storage.touch(&key, times).await.unwrap(), Touch::Buried(tombstone), "{name}");
    }
}

/// A second `bury` keeps who ended it first, and the later time.
pub async fn the_first_end_counts(subject: &Subject) {
    subject.created(&key("a"), b"1").await;
    subject.storage.bury(&key("a"), burial(Some(subject.at(1_000)))).await.unwrap();
    for (until, expected) in [(500, 1_000), (2_000, 2_000)] {
        let mut second = burial(Some(subject.at(until)));
        second.ending = Ending::new(subject.at(7), Why::Revoked, "another");
        assert_eq!(subject.storage.bury(&key("a"), second).await.unwrap(), Bury::Buried(Was::Buried));
        let Read::Buried(tombstone) = subject.storage.read(&key("a"), None).await.unwrap() else {
            panic!("no tombstone is read")
        };
        assert_eq!((tombstone.ending, tombstone.until), (burial(None).ending, subject.at(expected)));
    }
}

/// `bury` without a time is for ids that are meant to come back: the old life's versions are refused, a new life is not.
pub async fn an_end_without_a_time_leaves_no_tombstone(subject: &Subject) {
    let old = subject.created(&key("a"), b"1").await;
    assert_eq!(subject.storage.bury(&key("a"), burial(None)).await.unwrap(), Bury::Buried(Was::Live));
    assert_eq!(subject.storage.read(&key("a"), None).await.unwrap(), Read::Absent);
    assert_eq!(subject.storage.update(&key("a"), new_value(old, b"2")).await.unwrap(), Update::Absent);
    let new = subject.created(&key("a"), b"3").await;
    assert!(new > old);
    let late = subject.storage.update(&key("a"), new_value(old, b"2")).await.unwrap();
    assert!(matches!(late, Update::Conflict(_)), "{late:?}");
    // It does not shorten an end that has a time.
    subject.storage.bury(&key("a"), burial(Some(subject.at(1_000)))).await.unwrap();
    assert_eq!(subject.storage.bury(&key("a"), burial(None)).await.unwrap(), Bury::Buried(Was::Buried));
    assert!(matches!(subject.storage.read(&key("a"), None).await.unwrap(), Read::Buried(_)));
}

/// `bury` with an expected version does nothing to another one.
pub async fn an_end_of_one_version_spares_the_next(subject: &Subject) {
    let first = subject.created(&key("a"), b"1").await;
    let second = subject.updated(&key("a"), first, b"2").await;
    let of = |expected| crate::Burial { expected: Some(expected), ..burial(Some(subject.at(1_000))) };
    assert_eq!(subject.storage.bury(&key("a"), of(first)).await.unwrap(), Bury::Conflict(second));
    assert_eq!(&*subject.found(&key("a")).await.value, b"2");
    assert_eq!(subject.storage.bury(&key("a"), of(second)).await.unwrap(), Bury::Buried(Was::Live));
    assert!(matches!(subject.storage.read(&key("a"), None).await.unwrap(), Read::Buried(_)));
}

/// A version is never used again for the same key, however its lives ended.
pub async fn versions_only_grow_over_all_lives(subject: &Subject) {
    let mut last = Version(0);
    for life in 0..6_u64 {
        let now = subject.at(life * 100_000);
        subject.clock.set(now);
        let expires = now.plus(std::time::Duration::from_secs(10));
        let Create::Created(version) =
            subject.storage.create(&key("a"), record(b"1", expires)).await.unwrap()
        else {
            panic!("life {life} did not begin")
        };
        assert!(version > last, "life {life}: {version:?} after {last:?}");
        last = subject.updated(&key("a"), version, b"2").await;
        assert!(last > version);
        match life % 3 {
            0 => drop(subject.storage.bury(&key("a"), burial(None)).await.unwrap()),
            1 => drop(subject.storage.bury(&key("a"), burial(Some(expires))).await.unwrap()),
            _ => {}
        }
        subject.clock.set(expires);
        if life % 2 == 0 {
            subject.storage.reap(expires, 100).await.unwrap();
        }
    }
}

/// Keys of 1 and 255 bytes and of every byte, values of none, of every byte, and large ones.
pub async fn keys_and_values_of_any_bytes(subject: &Subject) {
    let every_byte: Vec<u8> = (0..=255).collect();
    let longest = vec![0xff; crate::MAX_KEY_BYTES];
    let names: [&[u8]; 6] = [b"a", b"A", b"\0", b"\xff", &every_byte[..255], &longest];
    let large = vec![7; 65_536];
    for (number, name) in names.iter().enumerate() {
        let key = Key::new(&"c".repeat(1 + number * 50), name).unwrap();
        let value = [&b""[..], &every_byte, &large][number % 3];
        subject.created(&key, value).await;
        assert_eq!(&*subject.found(&key).await.value, value, "key {number}");
    }
    assert!(Key::new("", b"a").is_err() && Key::new("c", b"").is_err());
    assert!(Key::new("c", &[0; 256]).is_err() && Key::new(&"c".repeat(256), b"a").is_err());
}

/// A value over the engine's limit is the caller's fault, and what was there stays.
pub async fn what_is_too_large_is_refused_and_nothing_is_lost(subject: &Subject) {
    let version = subject.created(&key("a"), b"1").await;
    let too_large = vec![0; subject.storage.capabilities().max_value + 1];
    let error = subject.storage.update(&key("a"), new_value(version, &too_large)).await.unwrap_err();
    assert_eq!((error.blame, error.applied), (Blame::Caller, crate::Applied::No), "{error}");
    let error = subject.storage.create(&key("b"), record(&too_large, subject.at(60_000))).await.unwrap_err();
    assert_eq!(error.blame, Blame::Caller, "{error}");
    assert_eq!(subject.found(&key("a")).await.version, version);
    assert_eq!(subject.storage.read(&key("b"), None).await.unwrap(), Read::Absent);
}

/// The same name in two contexts is two records.
pub async fn contexts_are_apart(subject: &Subject) {
    let other = Key::new("kit2", b"a").unwrap();
    subject.created(&key("a"), b"1").await;
    subject.created(&other, b"2").await;
    subject.storage.bury(&key("a"), burial(Some(subject.at(1_000)))).await.unwrap();
    assert_eq!(&*subject.found(&other).await.value, b"2");
}
