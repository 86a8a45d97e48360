//! `seal = true` over a database: the same contract, and files that show nothing to whoever copies them.

#![cfg(feature = "sql")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use seal::{Key, KeyRing, KeyState, Keys};
use storage::kit::{START, key, manual_clock, new_value, record};
use storage::{Create, Plain, Read, Sealed, Storage, Version};

async fn opened(folder: &Path, clock: Arc<dyn session::Clock>, keys: &Arc<Keys>) -> Sealed {
    // The engine before it lets go of the folder when its connections have closed, a moment after it was dropped.
    for _ in 0..500 {
        if let Ok(inner) = cloakroom_engines::embedded::open("local", folder, Arc::clone(&clock)).await {
            return Sealed::new(inner, Arc::clone(keys), Plain::Refused);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the database does not open")
}

fn keys() -> Arc<Keys> {
    let text = Key::generate_text().unwrap();
    let key = Key::from_text("test".parse().unwrap(), KeyState::Active, text.expose()).unwrap();
    Arc::new(Keys::new(KeyRing::new(vec![key]).unwrap()))
}

storage::conformance_tests!(|clock| async move {
    let folder = tempfile::tempdir().unwrap();
    let sealed = opened(folder.path(), clock, &keys()).await;
    (Arc::new(sealed) as Arc<dyn Storage>, folder)
});

/// Everything that lies in the folder, whatever the engine calls it: database, journal, shared memory.
fn all_bytes(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        all.extend(if path.is_dir() { all_bytes(&path) } else { std::fs::read(path).unwrap() });
    }
    all
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn the_files_hold_none_of_what_was_written() {
    let (folder, keys) = (tempfile::tempdir().unwrap(), keys());
    let clock: Arc<dyn session::Clock> = Arc::new(manual_clock());
    let storage = opened(folder.path(), Arc::clone(&clock), &keys).await;
    let expires = START.plus(Duration::from_secs(60));
    for number in 0..50 {
        let name = key(&format!("handle-{number}"));
        let created = storage.create(&name, record(b"canary-of-the-first-write", expires)).await.unwrap();
        let Create::Created(version) = created else { panic!("{created:?}") };
        storage.update(&name, new_value(version, b"canary-of-the-second-write")).await.unwrap();
        storage
            .update(&name, new_value(Version(version.0 + 1_000_000), b"canary-that-was-late"))
            .await
            .unwrap();
    }
    let there = all_bytes(folder.path());
    assert!(holds(&there, b"handle-7"), "the search finds what is there: keys are not sealed");
    assert!(!holds(&there, b"canary"), "a value lies there in the clear");
    drop(storage);

    // Another start opens it; other keys do not.
    let storage = opened(folder.path(), Arc::clone(&clock), &keys).await;
    let Read::Found(found) = storage.read(&key("handle-7"), None).await.unwrap() else { panic!("not there") };
    assert_eq!(found.value, "canary-of-the-second-write");
    drop(storage);
    let others = opened(folder.path(), clock, &self::keys()).await;
    let refused = others.read(&key("handle-7"), None).await.unwrap_err();
    assert!(refused.to_string().contains("which this node does not have"), "{refused}");
}
