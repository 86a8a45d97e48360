//! Keepers as they run: several nodes on one folder, with the real clock and schedules of a second.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use seal::Keys;
use session::{Clock, SystemClock};
use tokio::sync::mpsc;

use super::*;
use crate::rotation::keeper::{Keeping, keep};

struct Running {
    keys: Arc<Keys>,
    _keeping: Keeping,
}

fn start(folder: &Path, schedule: Schedule) -> Running {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let mut rotation = Rotation::new(Folder::at(folder.to_owned()), schedule, Vec::new());
    rotation.open(clock.now()).unwrap();
    let keys = Arc::new(Keys::new(rotation.ring(clock.now()).unwrap()));
    Running { _keeping: keep(rotation, &keys, clock), keys }
}

/// Keys that change every second, for four seconds: each value that a node seals is opened by the others at once, and
/// again when it has lived long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_every_second_under_load_and_every_value_opens_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let schedule = Schedule {
        every: Duration::from_secs(1),
        announce: Duration::from_millis(400),
        keep: Duration::from_secs(2),
    };
    let nodes: Arc<Vec<Running>> = Arc::new((0..3).map(|_| start(folder.path(), schedule)).collect());
    let (is_over, opened) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (send, mut receive) = mpsc::unbounded_channel::<(Vec<u8>, tokio::time::Instant)>();
    let mut tasks = Vec::new();
    for from in 0..3 {
        let (nodes, is_over, opened, send) =
            (Arc::clone(&nodes), Arc::clone(&is_over), Arc::clone(&opened), send.clone());
        tasks.push(tokio::spawn(async move {
            while !is_over.load(Ordering::Relaxed) {
                let sealed = nodes[from].keys.seal(b"purpose", b"plain").unwrap();
                for to in nodes.iter() {
                    assert_eq!(to.keys.open_or_look(b"purpose", &sealed).await.unwrap(), b"plain");
                    opened.fetch_add(1, Ordering::Relaxed);
                }
                send.send((sealed, tokio::time::Instant::now())).unwrap();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }));
    }
    drop(send);
    let late = Arc::clone(&nodes);
    let old = tokio::spawn(async move {
        let mut tags = BTreeSet::new();
        while let Some((sealed, at)) = receive.recv().await {
            tokio::time::sleep_until(at + Duration::from_millis(1_500)).await;
            tags.insert(seal::KeyTag::of(&sealed).unwrap().to_string());
            assert!(late.iter().all(|node| node.keys.open(b"purpose", &sealed).is_ok()));
        }
        tags.len()
    });
    tokio::time::sleep(Duration::from_secs(4)).await;
    is_over.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    let keys = old.await.unwrap();
    assert!(keys >= 3, "only {keys} keys have sealed");
    assert!(opened.load(Ordering::Relaxed) > 100);
}

/// A rotation at once gives nobody time: the node that meets the new key first looks for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_lags_behind_looks_for_a_key_that_it_does_not_know() {
    let folder = tempfile::tempdir().unwrap();
    let schedule =
        Schedule { announce: Duration::from_hours(1), every: Duration::from_hours(48), ..SCHEDULE };
    let lagging = start(folder.path(), schedule);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let clock = SystemClock::default();
    let mut other = Rotation::new(Folder::at(folder.path().to_owned()), schedule, Vec::new());
    other.open(clock.now()).unwrap();
    other.rotate(clock.now(), true).unwrap();
    let sealed = other.ring(clock.now()).unwrap().seal(b"", b"plain").unwrap();
    assert!(lagging.keys.open(b"", &sealed).is_err(), "it looks every ten seconds only");
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            let (keys, sealed) = (Arc::clone(&lagging.keys), sealed.clone());
            tokio::spawn(async move { keys.open_or_look(b"", &sealed).await })
        })
        .collect();
    for one in waiting {
        assert_eq!(one.await.unwrap().unwrap(), b"plain");
    }
}
