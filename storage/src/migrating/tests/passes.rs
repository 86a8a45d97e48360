//! Everything moves, without anybody asking for it.

use super::*;
use crate::faulty::{Fault, Which};

async fn passed(rig: &Rig) -> Pass {
    let mut pass = rig.one.pass();
    while pass.step().await.unwrap() {}
    pass
}

#[tokio::test]
async fn after_a_pass_nobody_needs_the_old_storage() {
    let rig = Rig::new();
    let mut expected = Vec::new();
    for number in 0..250 {
        let key = Key::new(&format!("c{}", number % 7), format!("n{number}").as_bytes()).unwrap();
        rig.in_old(&key, b"1").await;
        expected.push((found(&*rig.old, &key).await, key));
    }
    rig.old.bury(&key("ended"), burial(Some(rig.at(600_000)))).await.unwrap();
    rig.old.create(&key("expired"), record(b"1", rig.at(10))).await.unwrap();
    rig.clock.set(rig.at(10));
    let pass = passed(&rig).await;
    assert!(pass.is_certain());
    assert_eq!((pass.moved(), pass.stuck(), pass.count().await.unwrap()), (251, 0, 251));
    rig.old.fail(Which::Any, Fault::Refuse);
    for (record, key) in expected {
        assert_eq!(found(&*rig.one, &key).await, record);
    }
    assert!(is_buried(&*rig.one, &key("ended")).await);
    assert_eq!(rig.new.read(&key("expired"), None).await.unwrap(), Read::Absent);
}

#[tokio::test]
async fn a_pass_that_broke_off_goes_on_or_begins_again() {
    let rig = Rig::new();
    for number in 0..300 {
        rig.in_old(&key(&format!("n{number}")), b"1").await;
    }
    let mut pass = rig.one.pass();
    assert!(pass.step().await.unwrap());
    rig.new.fail(Which::Create, Fault::Refuse);
    pass.step().await.unwrap_err();
    rig.new.heal();
    while pass.step().await.unwrap() {}
    assert_eq!(pass.moved(), 300);
    // Another process does it once more; what changed here meanwhile stays.
    let there = found(&*rig.one, &key("n7")).await;
    rig.one.update(&key("n7"), kit::new_value(there.version, b"2")).await.unwrap();
    rig.one.bury(&key("n8"), burial(Some(rig.at(600_000)))).await.unwrap();
    assert_eq!(passed(&rig).await.moved(), 300);
    assert_eq!(&*found(&*rig.one, &key("n7")).await.value, b"2");
    assert!(is_buried(&*rig.one, &key("n8")).await);
}

#[tokio::test]
async fn what_the_new_storage_cannot_take_is_counted_and_keeps_nothing_else() {
    let clock = Arc::new(kit::manual_clock());
    let memory = |id| Arc::new(Memory::new(id, Arc::clone(&clock) as _, usize::MAX));
    let (old, new) = (memory("old"), memory("new"));
    // Sealing takes some bytes away.
    let mut bytes = [7; 32];
    bytes[0] = 0xA5;
    let key_of_seal =
        seal::Key::new("k".parse().unwrap(), seal::KeyState::Active, zeroize::Zeroizing::new(bytes));
    let keys = Arc::new(seal::Keys::new(seal::KeyRing::new(vec![key_of_seal]).unwrap()));
    let sealed = Arc::new(crate::Sealed::new(new, keys, crate::Plain::Refused));
    let most = sealed.capabilities().max_value;
    let expires = Millis(kit::START.0 + 600_000);
    old.create(&key("large"), record(&vec![0; most + 1], expires)).await.unwrap();
    old.create(&key("small"), record(b"1", expires)).await.unwrap();
    let both = Migrating::new(sealed, old, ENDS, Arc::clone(&clock) as _);
    let mut pass = both.pass();
    while pass.step().await.unwrap() {}
    assert_eq!((pass.moved(), pass.stuck()), (1, 1));
    assert_eq!(&*found(&both, &key("small")).await.value, b"1");
    assert_eq!(both.read(&key("large"), None).await.unwrap_err().blame, crate::Blame::Caller);
}
