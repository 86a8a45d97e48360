//! Expiry, tombstones and clocks.

use std::time::Duration;

use super::*;
use crate::{Bury, Touch, Was};

/// Reaped or not, a record reads as absent from its millisecond on, and not before.
pub async fn a_record_expires_at_its_millisecond(subject: &Subject) {
    let storage = &subject.storage;
    let Create::Created(version) = storage.create(&key("a"), record(b"1", subject.at(1_000))).await.unwrap()
    else {
        panic!("not created")
    };
    subject.clock.set(subject.at(999));
    assert_eq!(subject.found(&key("a")).await.version, version);
    subject.clock.set(subject.at(1_000));
    assert_eq!(storage.read(&key("a"), None).await.unwrap(), Read::Absent);
    assert_eq!(storage.read(&key("a"), Some(version)).await.unwrap(), Read::Absent);
    assert_eq!(storage.update(&key("a"), new_value(version, b"2")).await.unwrap(), Update::Absent);
    let times = Times { touched: subject.at(1_000), expires: subject.at(9_000) };
    assert_eq!(storage.touch(&key("a"), times).await.unwrap(), Touch::Absent);
    assert!(storage.list("kit", None, 10).await.unwrap().records.is_empty());
    // It does not stand in the way of a new life.
    let Create::Created(next) = storage.create(&key("a"), record(b"3", subject.at(9_000))).await.unwrap()
    else {
        panic!("an expired record stands in the way")
    };
    assert!(next > version);
    assert_eq!(&*subject.found(&key("a")).await.value, b"3");
}

/// A tombstone blocks until its millisecond, and then no more.
pub async fn a_tombstone_holds_until_its_millisecond(subject: &Subject) {
    subject.created(&key("a"), b"1").await;
    subject.storage.bury(&key("a"), burial(Some(subject.at(1_000)))).await.unwrap();
    subject.clock.set(subject.at(999));
    assert!(matches!(subject.storage.read(&key("a"), None).await.unwrap(), Read::Buried(_)));
    subject.clock.set(subject.at(1_000));
    assert_eq!(subject.storage.read(&key("a"), None).await.unwrap(), Read::Absent);
    assert_eq!(
        subject.storage.bury(&key("a"), burial(Some(subject.at(2_000)))).await.unwrap(),
        Bury::Buried(Was::Absent)
    );
    subject.clock.set(subject.at(2_000));
    subject.created(&key("a"), b"2").await;
}

/// A clock that is set back or ahead neither loses a record that is not over, nor an end, nor the order of versions.
pub async fn a_clock_that_jumps_loses_nothing(subject: &Subject) {
    let first = subject.created(&key("a"), b"1").await;
    subject.clock.set(Millis(START.0 - 86_400_000));
    let second = subject.updated(&key("a"), first, b"2").await;
    let other = subject.created(&key("b"), b"1").await;
    assert!(second > first && other > first);
    subject.storage.bury(&key("b"), burial(Some(subject.at(1_000)))).await.unwrap();
    subject.clock.set(subject.at(500));
    assert_eq!(&*subject.found(&key("a")).await.value, b"2");
    assert!(matches!(subject.storage.read(&key("b"), None).await.unwrap(), Read::Buried(_)));
    // Touches from the past change nothing.
    let past = Times { touched: Millis(1), expires: Millis(2) };
    assert_eq!(subject.storage.touch(&key("a"), past).await.unwrap(), Touch::Touched);
    assert_eq!(subject.found(&key("a")).await.times, Times { touched: START, expires: subject.at(60_000) });
}

/// What never expires does not, and is not reaped.
pub async fn never_is_never(subject: &Subject) {
    subject.storage.create(&key("a"), record(b"1", Millis::NEVER)).await.unwrap();
    subject.storage.bury(&key("b"), burial(Some(Millis::NEVER))).await.unwrap();
    let far = Millis(Millis::NEVER.0 - 1);
    subject.clock.set(far);
    assert_eq!(subject.storage.reap(far, 100).await.unwrap(), 0);
    assert_eq!(&*subject.found(&key("a")).await.value, b"1");
    assert!(matches!(subject.storage.read(&key("b"), None).await.unwrap(), Read::Buried(_)));
}

/// `reap` removes what is over, at most its budget, and nothing else.
pub async fn reaping_is_bounded_and_takes_only_what_is_over(subject: &Subject) {
    for number in 0..20 {
        let expires = subject.at(if number < 10 { 1_000 } else { 2_000 });
        subject.storage.create(&key(&format!("r{number}")), record(b"1", expires)).await.unwrap();
        subject.storage.bury(&key(&format!("t{number}")), burial(Some(expires))).await.unwrap();
    }
    let now = subject.at(1_000);
    assert_eq!(subject.storage.reap(Millis(now.0 - 1), 100).await.unwrap(), 0);
    subject.clock.set(now);
    let mut reaped = Vec::new();
    while reaped.last() != Some(&0) {
        assert!(reaped.len() < 50, "reaping does not come to an end: {reaped:?}");
        reaped.push(subject.storage.reap(now, 3).await.unwrap());
    }
    assert!(reaped.iter().all(|reaped| *reaped <= 3), "{reaped:?}");
    assert_eq!(reaped.iter().sum::<usize>(), 20, "{reaped:?}");
    for number in 10..20 {
        subject.found(&key(&format!("r{number}"))).await;
        let read = subject.storage.read(&key(&format!("t{number}")), None).await.unwrap();
        assert!(matches!(read, Read::Buried(_)), "{read:?}");
    }
    // A record whose life was prolonged since is not taken by its old time.
    let times = Times { touched: now, expires: now.plus(Duration::from_secs(60)) };
    subject.storage.touch(&key("r10"), times).await.unwrap();
    subject.clock.set(subject.at(2_000));
    assert_eq!(subject.storage.reap(subject.at(2_000), 100).await.unwrap(), 19);
    subject.found(&key("r10")).await;
}
