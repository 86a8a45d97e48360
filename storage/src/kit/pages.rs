//! Lists, scans, batches and the change stream.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::*;
use crate::{Batch, Change, Kind, Notice, Operation, Outcome, Scanned, Touch};

/// `list` gives live records in bytewise order, page by page, and only those of its context.
pub async fn a_list_is_ordered_and_paged(subject: &Subject) {
    let names: BTreeSet<Vec<u8>> = (0..25_u8).map(|number| vec![b'n', number * 10, 0xff - number]).collect();
    for name in &names {
        subject.created(&Key::new("kit", name).unwrap(), b"1").await;
        subject.created(&Key::new("kit0", name).unwrap(), b"1").await;
        subject.created(&Key::new("ki", name).unwrap(), b"1").await;
    }
    subject.storage.bury(&key("zz"), burial(Some(subject.at(60_000)))).await.unwrap();
    let mut listed = Vec::new();
    loop {
        let after = listed.last().map(|key: &Key| key.name().to_vec());
        let page = subject.storage.list("kit", after.as_deref(), 7).await.unwrap();
        assert!(page.records.len() <= 7);
        listed.extend(page.records.iter().map(|listed| listed.key.clone()));
        if !page.has_more {
            break;
        }
        assert_eq!(page.records.len(), 7, "a page with more behind it is full");
    }
    let expected: Vec<Key> = names.iter().map(|name| Key::new("kit", name).unwrap()).collect();
    assert_eq!(listed, expected);
    assert!(subject.storage.list("nothing", None, 7).await.unwrap().records.is_empty());
}

/// `scan` comes by everything, tombstones too, and ends.
pub async fn a_scan_sees_everything(subject: &Subject) {
    let mut expected = BTreeSet::new();
    for number in 0..40 {
        let key = Key::new(&format!("kit{}", number % 7), format!("n{number}").as_bytes()).unwrap();
        subject.created(&key, b"1").await;
        if number % 3 == 0 {
            subject.storage.bury(&key, burial(Some(subject.at(60_000)))).await.unwrap();
        }
        expected.insert((key, number % 3 == 0));
    }
    let mut seen = BTreeSet::new();
    let mut cursor = None;
    for call in 0.. {
        assert!(call < 200, "the scan does not come to an end");
        let scan = subject.storage.scan(cursor.as_deref(), 6).await.unwrap();
        seen.extend(scan.found.into_iter().map(|(key, found)| (key, matches!(found, Scanned::Buried(_)))));
        cursor = scan.cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, expected);
}

/// `scan_of` comes by each live record whose context begins so, with its value, and by nothing else.
pub async fn a_scan_of_a_kind_sees_what_is_live_of_it(subject: &Subject) {
    let every_byte: Vec<u8> = (0..=255).collect();
    let values = [b"".to_vec(), every_byte, vec![7; 40_000], b" 1 2 ".to_vec()];
    let mut expected = BTreeSet::new();
    for number in 0..60_usize {
        let context = ["kit.", "kit.a", "kit.\u{e9}b", "kit", "kit/", "kis.", "session"][number % 7];
        let key = Key::new(context, &[&[0, 0xff][..], format!("n {number}").as_bytes()].concat()).unwrap();
        let value = &values[number % values.len()];
        let version = subject.created(&key, value).await;
        if number % 5 == 0 {
            subject.storage.bury(&key, burial(Some(subject.at(60_000)))).await.unwrap();
        } else if context.starts_with("kit.") {
            expected.insert((key, version, value.clone()));
        }
    }
    let mut seen = BTreeSet::new();
    let mut cursor = None;
    for call in 0.. {
        assert!(call < 200, "the scan does not come to an end");
        let scan = subject.storage.scan_of("kit.", cursor.as_deref(), 6).await.unwrap();
        for (key, found) in scan.found {
            let Scanned::Live(record) = found else { panic!("a scan of what is live found {found:?}") };
            assert_eq!(record, subject.found(&key).await);
            seen.insert((key, record.version, record.value.to_vec()));
        }
        cursor = scan.cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, expected);
    assert_eq!(subject.storage.scan_of("nothing.", None, 1000).await.unwrap().found, []);
}

/// A batch is done whole, or refused whole with the operation that could not be done.
pub async fn a_batch_is_all_or_nothing(subject: &Subject) {
    let version = subject.created(&key("there"), b"1").await;
    let times = Times { touched: subject.at(5), expires: subject.at(70_000) };
    let operations = |expected| {
        vec![
            Operation::Create(key("new"), record(b"n", subject.at(60_000))),
            Operation::Update(key("there"), new_value(expected, b"2")),
            Operation::Touch(key("there"), times),
            Operation::Bury(key("gone"), burial(Some(subject.at(60_000)))),
        ]
    };
    match subject.storage.batch(operations(Version(version.0 + 1))).await.unwrap() {
        Batch::Refused { index: 1, outcome: Outcome::Update(Update::Conflict(current)) } => {
            assert_eq!(current.version, version);
        }
        other => panic!("a batch with a stale update was not refused: {other:?}"),
    }
    assert_eq!(subject.storage.read(&key("new"), None).await.unwrap(), Read::Absent);
    assert_eq!(subject.storage.read(&key("gone"), None).await.unwrap(), Read::Absent);
    assert_eq!(subject.found(&key("there")).await.times.touched, START);
    match subject.storage.batch(operations(version)).await.unwrap() {
        Batch::Done(outcomes) => {
            assert_eq!(outcomes.len(), 4);
            assert_eq!(outcomes[2], Outcome::Touch(Touch::Touched));
        }
        other => panic!("a batch was refused: {other:?}"),
    }
    assert_eq!(&*subject.found(&key("new")).await.value, b"n");
    let there = subject.found(&key("there")).await;
    assert_eq!((&*there.value, there.times), (&b"2"[..], times));
    assert!(matches!(subject.storage.read(&key("gone"), None).await.unwrap(), Read::Buried(_)));
    let foreign = Operation::Create(Key::new("other", b"a").unwrap(), record(b"", subject.at(60_000)));
    let mixed = vec![Operation::Touch(key("there"), times), foreign];
    assert_eq!(subject.storage.batch(mixed).await.unwrap_err().blame, crate::Blame::Caller);
    assert_eq!(subject.storage.batch(Vec::new()).await.unwrap(), Batch::Done(Vec::new()));
}

/// Writes and ends are announced after they are visible, in their order; touches are not.
pub async fn changes_are_announced_in_order_and_touches_are_not(subject: &Subject) {
    let mut changes = subject.storage.watch(None).await.unwrap();
    let first = subject.created(&key("a"), b"1").await;
    let times = Times { touched: subject.at(5), expires: subject.at(70_000) };
    subject.storage.touch(&key("a"), times).await.unwrap();
    let second = subject.updated(&key("a"), first, b"2").await;
    subject.storage.bury(&key("a"), burial(Some(subject.at(60_000)))).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        match timeout(Duration::from_secs(10), changes.next()).await.expect("no notice within 10 s") {
            Some(Notice::Change(change)) => seen.push(change),
            other => panic!("the stream of an engine that works says {other:?}"),
        }
    }
    let facts: Vec<_> = seen.iter().map(|Change { key, kind, .. }| (key.clone(), *kind)).collect();
    let a = key("a");
    assert_eq!(facts, [(a.clone(), Kind::Written), (a.clone(), Kind::Written), (a, Kind::Buried)]);
    assert_eq!((seen[0].version, seen[1].version), (first, second));
    assert!(seen.is_sorted_by(|a, b| a.position < b.position), "{seen:?}");
    assert!(
        timeout(Duration::from_millis(50), changes.next()).await.is_err(),
        "there was one notice too many"
    );
}
