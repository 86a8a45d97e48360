//! What can come between the steps of bringing a record.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::faulty::{Fault, Gate, Which};
use crate::{Notice, kit::new_value};

/// Somebody brings a record, and stands still where the fault says.
async fn stands(rig: &Rig, fault: fn(Gate) -> Fault) -> (Gate, JoinHandle<Read>) {
    let gate = Gate::default();
    rig.new.fail_once(Which::Create, fault(gate.clone()));
    let one = Arc::clone(&rig.one);
    let reads = tokio::spawn(async move { one.read(&key("a"), None).await.unwrap() });
    gate.arrival().await;
    (gate, reads)
}

#[tokio::test]
async fn an_end_in_the_old_storage_alone_is_found_by_the_second_look() {
    let rig = Rig::new();
    rig.in_old(&key("a"), b"1").await;
    let (gate, reads) = stands(&rig, Fault::HoldBefore).await;
    rig.old.bury(&key("a"), burial(Some(rig.at(600_000)))).await.unwrap();
    gate.open();
    assert!(matches!(reads.await.unwrap(), Read::Buried(_)));
    assert!(is_buried(&*rig.new, &key("a")).await);
}

#[tokio::test]
async fn an_end_by_another_who_migrates_is_not_undone_by_a_late_create() {
    let rig = Rig::new();
    rig.in_old(&key("a"), b"1").await;
    let (gate, reads) = stands(&rig, Fault::HoldBefore).await;
    rig.another.bury(&key("a"), burial(Some(rig.at(600_000)))).await.unwrap();
    gate.open();
    assert!(matches!(reads.await.unwrap(), Read::Buried(_)));
}

#[tokio::test]
async fn an_end_right_after_the_create_holds() {
    let rig = Rig::new();
    rig.in_old(&key("a"), b"1").await;
    let (gate, reads) = stands(&rig, Fault::HoldAfter).await;
    rig.another.bury(&key("a"), burial(Some(rig.at(600_000)))).await.unwrap();
    gate.open();
    assert!(matches!(reads.await.unwrap(), Read::Buried(_)));
}

#[tokio::test]
async fn an_end_without_a_tombstone_is_not_undone_by_a_late_create() {
    let rig = Rig::new();
    rig.in_old(&key("a"), b"1").await;
    let (gate, reads) = stands(&rig, Fault::HoldBefore).await;
    rig.another.bury(&key("a"), burial(None)).await.unwrap();
    gate.open();
    assert_eq!(reads.await.unwrap(), Read::Absent);
    assert_eq!(rig.new.read(&key("a"), None).await.unwrap(), Read::Absent);
}

#[tokio::test]
async fn a_change_in_the_old_storage_alone_is_found_by_the_second_look() {
    let rig = Rig::new();
    let version = rig.in_old(&key("a"), b"1").await;
    let (gate, reads) = stands(&rig, Fault::HoldBefore).await;
    let Update::Updated(changed) = rig.old.update(&key("a"), new_value(version, b"2")).await.unwrap() else {
        panic!()
    };
    gate.open();
    let Read::Found(record) = reads.await.unwrap() else { panic!() };
    assert_eq!((&*record.value, record.version), (&b"2"[..], changed));
}

#[tokio::test]
async fn a_change_in_the_new_storage_is_not_given_up_for_one_in_the_old() {
    let rig = Rig::new();
    let version = rig.in_old(&key("a"), b"1").await;
    let (gate, reads) = stands(&rig, Fault::HoldAfter).await;
    rig.another.update(&key("a"), new_value(version, b"new")).await.unwrap();
    // Greater than the one in the new storage.
    for _ in 0..10 {
        let there = found(&*rig.old, &key("a")).await;
        rig.old.update(&key("a"), new_value(there.version, b"old")).await.unwrap();
    }
    gate.open();
    let Read::Found(record) = reads.await.unwrap() else { panic!() };
    assert_eq!(&*record.value, b"new");
}

#[tokio::test]
async fn a_touch_between_the_looks_keeps_alive_what_expires_in_the_old_storage() {
    let rig = Rig::new();
    rig.old.create(&key("a"), record(b"1", rig.at(1_000))).await.unwrap();
    let (gate, reads) = stands(&rig, Fault::HoldAfter).await;
    let times = Times { touched: rig.at(500), expires: rig.at(600_000) };
    assert_eq!(rig.another.touch(&key("a"), times).await.unwrap(), Touch::Touched);
    rig.clock.set(rig.at(2_000));
    gate.open();
    let Read::Found(record) = reads.await.unwrap() else { panic!("it was prolonged") };
    assert_eq!(record.times, times);
}

#[tokio::test]
async fn who_finds_nothing_in_the_old_storage_looks_into_the_new_one_again() {
    let rig = Rig::new();
    rig.old.create(&key("a"), record(b"1", rig.at(1_000))).await.unwrap();
    let gate = Gate::default();
    rig.old.fail_once(Which::Read, Fault::HoldBefore(gate.clone()));
    let one = Arc::clone(&rig.one);
    let reads = tokio::spawn(async move { one.read(&key("a"), None).await.unwrap() });
    gate.arrival().await;
    let times = Times { touched: rig.at(500), expires: rig.at(600_000) };
    rig.another.touch(&key("a"), times).await.unwrap();
    rig.clock.set(rig.at(2_000));
    gate.open();
    assert!(matches!(reads.await.unwrap(), Read::Found(_)), "nobody is logged out");
}

#[tokio::test]
async fn of_two_who_bring_both_find_the_same() {
    let rig = Rig::new();
    rig.in_old(&key("a"), b"1").await;
    let (gate, reads) = stands(&rig, Fault::HoldBefore).await;
    let there = found(&rig.another, &key("a")).await;
    gate.open();
    assert_eq!(reads.await.unwrap(), Read::Found(there));
}

/// Waits for a notice about the key.
async fn hears(changes: &mut Changes, key: &Key) {
    loop {
        match timeout(Duration::from_secs(10), changes.next()).await.expect("no notice within 10 s") {
            Some(Notice::Change(change)) if change.key == *key => return,
            Some(_) => {}
            None => panic!("the stream ended"),
        }
    }
}

#[tokio::test]
async fn what_others_do_to_the_old_storage_alone_is_heard_and_done_to_the_new_one() {
    let rig = Rig::new();
    for name in ["a", "b"] {
        rig.in_old(&key(name), b"1").await;
        found(&*rig.one, &key(name)).await;
    }
    let before = rig.in_old(&a_counter(), b"").await;
    found(&*rig.one, &a_counter()).await;
    let mut changes = rig.one.watch(None).await.unwrap();
    // An end.
    rig.old.bury(&key("a"), burial(Some(rig.at(600_000)))).await.unwrap();
    hears(&mut changes, &key("a")).await;
    assert!(is_buried(&*rig.new, &key("a")).await);
    // One that leaves no tombstone.
    rig.old.bury(&key("b"), burial(None)).await.unwrap();
    hears(&mut changes, &key("b")).await;
    assert_eq!(rig.one.read(&key("b"), None).await.unwrap(), Read::Absent);
    // The end of all sessions of somebody: exactly that number.
    let Update::Updated(raised) = rig.old.update(&a_counter(), new_value(before, b"")).await.unwrap() else {
        panic!()
    };
    hears(&mut changes, &a_counter()).await;
    loop {
        match rig.one.read(&a_counter(), None).await.unwrap() {
            Read::Found(record) if record.version == raised => break,
            other => {
                assert!(matches!(other, Read::Found(_)), "it was gone for a moment: {other:?}");
                hears(&mut changes, &a_counter()).await;
            }
        }
    }
    assert_eq!(found(&*rig.new, &a_counter()).await.version, raised);
}

#[tokio::test]
async fn an_end_that_cannot_be_brought_ends_the_stream_and_is_found_by_the_next_pass() {
    let rig = Rig::new();
    rig.in_old(&key("a"), b"1").await;
    found(&*rig.one, &key("a")).await;
    let mut changes = rig.one.watch(None).await.unwrap();
    let mut pass = rig.one.pass();
    while pass.step().await.unwrap() {}
    assert!(pass.is_certain());
    rig.new.fail(Which::Any, Fault::Refuse);
    rig.old.bury(&key("a"), burial(Some(rig.at(600_000)))).await.unwrap();
    let ended = timeout(Duration::from_secs(10), async { while changes.next().await.is_some() {} }).await;
    ended.expect("the stream goes on");
    assert!(!pass.is_certain());
    rig.new.heal();
    timeout(Duration::from_secs(10), rig.one.doubted()).await.expect("nobody is told");
    let mut pass = rig.one.pass();
    while pass.step().await.unwrap() {}
    assert!(pass.is_certain() && is_buried(&*rig.new, &key("a")).await);
}
