//! One of the two cannot be reached.

use super::*;
use crate::Applied;
use crate::faulty::{Fault, Which};

#[tokio::test]
async fn without_the_old_storage_what_moved_is_served_and_nothing_is_absent() {
    let rig = Rig::new();
    rig.in_old(&key("moved"), b"1").await;
    rig.in_old(&key("not yet"), b"1").await;
    let moved = found(&*rig.one, &key("moved")).await;
    rig.old.fail(Which::Any, Fault::Refuse);
    assert_eq!(found(&*rig.one, &key("moved")).await, moved);
    let times = Times { touched: rig.at(5), expires: rig.at(700_000) };
    assert_eq!(rig.one.touch(&key("moved"), times).await.unwrap(), Touch::Touched);
    let update = kit::new_value(moved.version, b"2");
    assert!(matches!(rig.one.update(&key("moved"), update).await.unwrap(), Update::Updated(_)));
    let update = kit::new_value(moved.version, b"2");
    rig.one.read(&key("not yet"), None).await.unwrap_err();
    rig.one.update(&key("not yet"), update).await.unwrap_err();
    rig.one.touch(&key("not yet"), times).await.unwrap_err();
    rig.one.create(&key("fresh"), record(b"1", rig.at(600_000))).await.unwrap_err();
    rig.one.list("kit", None, 10).await.unwrap_err();
    rig.one.watch(None).await.map(drop).unwrap_err();
    rig.old.heal();
    assert_eq!(&*found(&*rig.one, &key("not yet")).await.value, b"1");
}

#[tokio::test]
async fn an_end_without_the_old_storage_holds_here_and_is_claimed_when_both_know() {
    let rig = Rig::new();
    for name in ["moved", "not yet"] {
        rig.in_old(&key(name), b"1").await;
    }
    found(&*rig.one, &key("moved")).await;
    rig.old.fail(Which::Any, Fault::Refuse);
    let burial = burial(Some(rig.at(600_000)));
    for name in ["moved", "not yet"] {
        let error = rig.one.bury(&key(name), burial.clone()).await.unwrap_err();
        assert_eq!((error.applied, &**rig.old.id()), (Applied::Unknown, &*error.storage));
        assert!(is_buried(&*rig.one, &key(name)).await, "{name}");
    }
    rig.old.heal();
    for name in ["moved", "not yet"] {
        assert_eq!(rig.one.bury(&key(name), burial.clone()).await.unwrap(), Bury::Buried(Was::Buried));
        assert!(is_buried(&*rig.old, &key(name)).await, "{name}");
    }
}

#[tokio::test]
async fn an_end_of_one_version_is_not_made_without_knowing_the_version() {
    let rig = Rig::new();
    let version = rig.in_old(&key("a"), b"1").await;
    rig.old.fail(Which::Any, Fault::Refuse);
    let burial = Burial { expected: Some(version), ..burial(Some(rig.at(600_000))) };
    rig.one.bury(&key("a"), burial).await.unwrap_err();
    rig.old.heal();
    assert_eq!(found(&*rig.one, &key("a")).await.version, version);
}

#[tokio::test]
async fn a_raised_counter_is_claimed_when_both_know() {
    let rig = Rig::new();
    let version = rig.in_old(&a_counter(), b"").await;
    found(&*rig.one, &a_counter()).await;
    rig.old.fail(Which::Any, Fault::Refuse);
    let raise = NewValue { is_end: true, ..kit::new_value(version, b"") };
    assert_eq!(rig.one.update(&a_counter(), raise.clone()).await.unwrap_err().applied, Applied::Unknown);
    rig.old.heal();
    let Update::Updated(raised) = rig.one.update(&a_counter(), raise).await.unwrap() else { panic!() };
    assert_eq!(found(&*rig.old, &a_counter()).await.version, raised);
}

#[tokio::test]
async fn without_the_new_storage_nothing_is_answered_and_nothing_changes() {
    let rig = Rig::new();
    let version = rig.in_old(&key("a"), b"1").await;
    rig.new.fail(Which::Any, Fault::Refuse);
    rig.one.read(&key("a"), None).await.unwrap_err();
    rig.one.update(&key("a"), kit::new_value(version, b"2")).await.unwrap_err();
    rig.one.bury(&key("a"), burial(Some(rig.at(600_000)))).await.unwrap_err();
    rig.one.bury(&key("a"), burial(None)).await.unwrap_err();
    assert_eq!(&*found(&*rig.old, &key("a")).await.value, b"1");
    rig.new.heal();
    assert_eq!(found(&*rig.one, &key("a")).await.version, version);
}

#[tokio::test]
async fn a_lost_answer_of_the_new_storage_while_a_record_moves_loses_nothing() {
    let rig = Rig::new();
    let version = rig.in_old(&key("a"), b"1").await;
    rig.new.fail_once(Which::Create, Fault::LoseAnswer);
    rig.one.read(&key("a"), None).await.unwrap_err();
    assert_eq!(found(&*rig.one, &key("a")).await.version, version);
}
