//! A primary dies under load: what was acknowledged as ended stays ended.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use interop::{Cluster, Redis, Sentinels, available};
use storage::kit::{START, burial, manual_clock, new_value, record};
use storage::{
    Applied, Blame, Bury, Create, Key, NewRecord, NewValue, Notice, Read, Storage, Unavailable, Update,
    Version,
};
use tokio::time::{sleep, timeout};

use super::{Engine, Settings, opened, settings};

const HOUR: Duration = Duration::from_hours(1);
/// How long servers may take to agree on another primary, on a busy machine: a Sentinel that finds its own clock late does
/// nothing for half a minute.
const AGREED: Duration = Duration::from_secs(180);
const WRITERS: usize = 8;

/// Whether this end is known, as soon as anybody can say.
async fn is_ended(engine: &Engine, key: &Key) -> bool {
    let began = Instant::now();
    loop {
        match engine.read(key, None).await {
            Ok(read) => return matches!(read, Read::Buried(_)),
            Err(error) => assert!(began.elapsed() < AGREED, "{error}"),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Raises a counter, as whoever ends all sessions of a person does. That it is where it was when that was acknowledged, or
/// further, is seen each time.
async fn raise(engine: &Engine, key: &Key, acknowledged: &mut Option<Version>) -> Result<(), Unavailable> {
    let raised = match engine.read(key, None).await? {
        Read::Found(found) => {
            assert!(Some(found.version) >= *acknowledged, "an acknowledged raise was undone");
            match engine.update(key, NewValue { is_end: true, ..new_value(found.version, b"2") }).await? {
                Update::Updated(version) => version,
                // By an earlier one of ours, of which no answer came.
                Update::Conflict(_) => return Ok(()),
                other => panic!("{other:?}"),
            }
        }
        Read::Absent if acknowledged.is_none() => {
            let new = NewRecord { is_end: true, ..record(b"1", START.plus(HOUR)) };
            match engine.create(key, new).await? {
                Create::Created(version) => version,
                other => panic!("{other:?}"),
            }
        }
        other => panic!("an acknowledged raise became {other:?}"),
    };
    *acknowledged = Some(raised);
    Ok(())
}

/// Opens and ends sessions in all of these contexts, without a pause, until told to stop; gives what was acknowledged.
async fn write(engine: &Engine, writer: usize, contexts: &[String], stop: &AtomicBool) -> Vec<Key> {
    let (mut ended, mut acknowledged) = (Vec::new(), None);
    let counter =
        Key::new(&contexts[writer % contexts.len()], format!("counter.{writer}").as_bytes()).unwrap();
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let context = &contexts[number % contexts.len()];
        let key = Key::new(context, format!("{writer}.{number}").as_bytes()).unwrap();
        // Whether it was done is not known if this fails; the next round sees it.
        let _ = raise(engine, &counter, &mut acknowledged).await;
        // What was opened may be lost with its primary; it is told by nobody that it was not.
        let _ = engine.create(&key, record(b"1", START.plus(HOUR))).await;
        match engine.bury(&key, burial(Some(START.plus(HOUR)))).await {
            Ok(Bury::Buried(_)) => ended.push(key),
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                assert_ne!(error.blame, Blame::Caller, "{error}");
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
    assert!(acknowledged.is_some(), "no raise was acknowledged");
    ended
}

/// Ends sessions without a pause, kills in between, and goes on until ends succeed in every context again.
async fn ends_survive(engine: &Arc<Engine>, contexts: &[String], kill: impl FnOnce()) -> Vec<Key> {
    let mut changes = engine.watch(None).await.unwrap();
    let heard = Arc::new(Mutex::new(false));
    let hearing = {
        let (engine, heard) = (Arc::clone(engine), Arc::clone(&heard));
        tokio::spawn(async move {
            let mut last = None;
            loop {
                while let Some(notice) = changes.next().await {
                    match notice {
                        Notice::Gap => *heard.lock().unwrap() = true,
                        Notice::Change(change) => last = Some(change.position),
                    }
                }
                // It ended without a word. Whoever goes on from where they were is told.
                changes = loop {
                    match engine.watch(last).await {
                        Ok(changes) => break changes,
                        Err(_) => sleep(Duration::from_millis(50)).await,
                    }
                };
            }
        })
    };
    let stop = AtomicBool::new(false);
    let writing = join_all((0..WRITERS).map(|writer| write(engine, writer, contexts, &stop)));
    let killing = async {
        sleep(Duration::from_millis(700)).await;
        tokio::task::block_in_place(kill);
        let began = Instant::now();
        for context in contexts {
            let key = Key::new(context, b"afterwards").unwrap();
            while let Err(error) = engine.bury(&key, burial(Some(START.plus(HOUR)))).await {
                assert!(began.elapsed() < AGREED, "no end succeeds in {context}: {error}");
                sleep(Duration::from_millis(50)).await;
            }
        }
        sleep(Duration::from_millis(300)).await;
        stop.store(true, Ordering::SeqCst);
    };
    let (ended, ()) = tokio::join!(writing, killing);
    let ended = ended.concat();
    assert!(ended.len() > 100, "only {} ends were acknowledged", ended.len());
    for key in &ended {
        assert!(is_ended(engine, key).await, "an acknowledged end was undone: {:?}", key.name());
    }
    timeout(AGREED, async {
        while !*heard.lock().unwrap() {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("nobody was told that notices were lost");
    hearing.abort();
    ended
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_put_a_replica_in_the_place_of_a_primary_that_died() {
    let Some(mut primary) = available(Redis::start()).unwrap() else { return };
    let replicas = [primary.replica().unwrap(), primary.replica().unwrap()];
    let sentinels = Sentinels::start(&primary, replicas.len()).unwrap();
    // One of two: then it need not be waited for the one that died.
    let settings = Settings { min_replicas: Some(1), ..settings(&sentinels.url()) };
    let engine = opened(settings, Arc::new(manual_clock())).await;
    let ended = ends_survive(&engine, &["kit".to_owned()], || primary.kill().unwrap()).await;
    // It comes back with nothing, and is told that it is a replica now.
    primary.restart().unwrap();
    let began = Instant::now();
    while !primary.say(&["INFO", "replication"]).unwrap().contains("master_link_status:up") {
        assert!(began.elapsed() < AGREED, "it is no replica yet");
        sleep(Duration::from_millis(100)).await;
    }
    for key in &ended {
        assert!(is_ended(&engine, key).await, "an acknowledged end was undone: {:?}", key.name());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_primary_that_died_must_know_of_ends_until_sentinels_forget_it() {
    let Some(mut primary) = available(Redis::start()).unwrap() else { return };
    let replicas = [primary.replica().unwrap(), primary.replica().unwrap()];
    let sentinels = Sentinels::start(&primary, replicas.len()).unwrap();
    let engine = opened(settings(&sentinels.url()), Arc::new(manual_clock())).await;
    // Whoever listens looks who is there.
    let _changes = engine.watch(None).await.unwrap();
    let end = async |name: &[u8]| {
        engine.bury(&Key::new("kit", name).unwrap(), burial(Some(START.plus(HOUR)))).await
    };
    assert!(end(b"before").await.is_ok());
    primary.kill().unwrap();
    // Two replicas are expected of the new primary, and one of them is the old one.
    let began = Instant::now();
    loop {
        let error = end(b"between").await.unwrap_err();
        if error.to_string().contains("1 of 2 replicas confirmed") {
            assert_eq!((error.applied, error.blame), (Applied::Unknown, Blame::Storage), "{error}");
            assert!(error.to_string().contains("SENTINEL RESET"), "{error}");
            break;
        }
        assert!(began.elapsed() < AGREED, "{error}");
        sleep(Duration::from_millis(50)).await;
    }
    sentinels.forget().unwrap();
    while let Err(error) = end(b"between").await {
        assert!(began.elapsed() < AGREED, "{error}");
    }
    assert!(is_ended(&engine, &Key::new("kit", b"before").unwrap()).await);
    assert!(is_ended(&engine, &Key::new("kit", b"between").unwrap()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_goes_on_without_a_primary_that_died() {
    let Some(mut cluster) = available(Cluster::start()).unwrap() else { return };
    let engine = opened(settings(&cluster.url()), Arc::new(manual_clock())).await;
    let contexts: Vec<String> = (0..16).map(|number| format!("s{number:02x}")).collect();
    ends_survive(&engine, &contexts, || cluster.nodes_mut()[0].kill().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_to_another_primary_is_followed() {
    let Some(cluster) = available(Cluster::start()).unwrap() else { return };
    let engine = opened(settings(&cluster.url()), Arc::new(manual_clock())).await;
    let key = Key::new("moving", b"a").unwrap();
    engine.create(&key, record(b"1", START.plus(HOUR))).await.unwrap();
    let nodes = cluster.nodes();
    let slot = nodes[0].say(&["CLUSTER", "KEYSLOT", "moving"]).unwrap().trim().to_owned();
    let ids: Vec<String> =
        nodes.iter().map(|node| node.say(&["CLUSTER", "MYID"]).unwrap().trim().to_owned()).collect();
    let owner = nodes.iter().position(|node| {
        let counted = node.say(&["CLUSTER", "COUNTKEYSINSLOT", &slot]).unwrap();
        let role = node.say(&["INFO", "replication"]).unwrap();
        counted.trim() != "0" && role.contains("role:master")
    });
    let from = owner.expect("somebody has the slot");
    let to = (0..3).find(|number| *number != from).unwrap();
    // On its way: the key is there already, its company is not. Whoever asks is sent there, or asked to wait.
    nodes[to].say(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &ids[from]]).unwrap();
    nodes[from].say(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &ids[to]]).unwrap();
    let port = nodes[to].address().port().to_string();
    let migrate = |key: &str| {
        nodes[from].say(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]).unwrap();
    };
    migrate("cloakroom:{moving}:r:a");
    assert!(matches!(engine.read(&key, None).await.unwrap(), Read::Found(_)), "ASK is followed");
    let waiting =
        engine.bury(&key, burial(Some(START.plus(HOUR)))).await.expect_err("half of it is elsewhere");
    assert_eq!(waiting.applied, storage::Applied::No, "{waiting}");
    let keys = nodes[from].say(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]).unwrap();
    for key in keys.lines().filter(|key| !key.is_empty()) {
        migrate(key);
    }
    for node in [to, from] {
        nodes[node].say(&["CLUSTER", "SETSLOT", &slot, "NODE", &ids[to]]).unwrap();
    }
    assert!(matches!(engine.read(&key, None).await.unwrap(), Read::Found(_)), "MOVED is followed");
    assert!(matches!(
        engine.bury(&key, burial(Some(START.plus(HOUR)))).await,
        Ok(Bury::Buried(storage::Was::Live))
    ));
}
