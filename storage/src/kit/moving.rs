//! Records that come from another storage, and bring their versions along.

use super::*;
use crate::{Applied, Batch, Blame, Operation, Outcome};

/// How far ahead another storage is.
const AHEAD: u64 = 1_000_000_000;

/// A record that moves has exactly its version, and everything that is written in its context afterwards a greater one.
pub async fn a_record_that_moves_keeps_its_version(subject: &Subject) {
    let here = subject.created(&key("here"), b"1").await;
    let there = Version(here.0 + AHEAD);
    let new = moving(b"2", subject.at(60_000), there);
    assert_eq!(subject.storage.create(&key("a"), new.clone()).await.unwrap(), Create::Created(there));
    assert_eq!(subject.found(&key("a")).await.version, there);
    assert_eq!(&*subject.found(&key("a")).await.value, b"2");
    // A retry knows its own success, and another one finds that it is there.
    assert_eq!(subject.storage.create(&key("a"), new).await.unwrap(), Create::Created(there));
    let another = moving(b"3", subject.at(60_000), Version(there.0 + 1));
    assert_eq!(subject.storage.create(&key("a"), another).await.unwrap(), Create::Exists);
    assert!(subject.created(&key("b"), b"1").await > there, "another record of the context is behind");
    assert!(subject.updated(&key("here"), here, b"2").await > there);
    let last = subject.updated(&key("a"), there, b"4").await;
    assert!(last > there);
    // Nor does a later life begin below it.
    subject.storage.bury(&key("a"), burial(None)).await.unwrap();
    subject.clock.set(subject.at(60_000));
    subject.storage.reap(subject.at(60_000), 100).await.unwrap();
    let Create::Created(next) =
        subject.storage.create(&key("a"), record(b"5", subject.at(90_000))).await.unwrap()
    else {
        panic!("a later life did not begin")
    };
    assert!(next > last);
}

/// One that is behind what is drawn here keeps its version as well, and grows from there.
pub async fn a_record_that_moves_may_be_behind(subject: &Subject) {
    let here = subject.created(&key("here"), b"1").await;
    let moves = |name: &str, version| {
        Operation::Create(key(name), moving(name.as_bytes(), subject.at(60_000), Version(version)))
    };
    let outcomes = subject.storage.batch(vec![moves("a", 7), moves("b", 5), moves("c", 7)]).await.unwrap();
    let created = |version| Outcome::Create(Create::Created(Version(version)));
    assert_eq!(outcomes, Batch::Done(vec![created(7), created(5), created(7)]));
    assert_eq!(subject.found(&key("b")).await.version, Version(5));
    assert!(subject.updated(&key("a"), Version(7), b"2").await > here);
}

/// A version that a known earlier life of the record had, or one below it, is not given again: the next one is drawn.
pub async fn a_version_that_was_here_is_not_brought_back(subject: &Subject) {
    let expired = subject.created(&key("expired"), b"1").await;
    let ended = subject.created(&key("ended"), b"1").await;
    subject.storage.bury(&key("ended"), burial(Some(subject.at(60_000)))).await.unwrap();
    let early = subject.storage.create(&key("ended"), moving(b"1", subject.at(90_000), ended)).await.unwrap();
    assert!(matches!(early, Create::Buried(_)), "{early:?}");
    subject.clock.set(subject.at(60_000));
    for (name, before) in [("expired", expired), ("ended", ended)] {
        let new = moving(b"2", subject.at(90_000), before);
        let Create::Created(version) = subject.storage.create(&key(name), new).await.unwrap() else {
            panic!("{name} stands in the way")
        };
        assert!(version > before, "{name}: {version:?} after {before:?}");
        assert_eq!(subject.found(&key(name)).await.version, version);
    }
}

/// A version that would leave none to draw is refused, whoever asks.
pub async fn a_version_beyond_all_is_refused(subject: &Subject) {
    for version in [Version(Version::MOST_MOVED.0 + 1), Version(u64::MAX)] {
        let new = moving(b"1", subject.at(60_000), version);
        let error = subject.storage.create(&key("a"), new.clone()).await.unwrap_err();
        assert_eq!((error.blame, error.applied), (Blame::Caller, Applied::No), "{error}");
        let batch = vec![Operation::Create(key("a"), new)];
        assert_eq!(subject.storage.batch(batch).await.unwrap_err().blame, Blame::Caller);
    }
    assert_eq!(subject.storage.read(&key("a"), None).await.unwrap(), Read::Absent);
}

/// What one storage has drawn another one begins above, whether or not the records of it came along.
pub async fn a_context_that_moves_begins_above_all_it_ever_had(subject: &Subject) {
    let forgotten = subject.created(&key("a"), b"1").await;
    let last = crate::last_version(&*subject.storage, "kit", START).await.unwrap();
    assert!(last > forgotten);
    let there = Version(last.0 + AHEAD);
    crate::begin_above(&*subject.storage, "kit", there, START).await.unwrap();
    assert!(subject.created(&key("b"), b"1").await > there);
    // The probes are gone.
    let names: Vec<_> = subject.storage.list("kit", None, 10).await.unwrap().records;
    assert_eq!(names.len(), 2);
}

fn moving(value: &[u8], expires: Millis, version: Version) -> NewRecord {
    NewRecord { version: Some(version), ..record(value, expires) }
}
