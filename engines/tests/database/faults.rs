//! What can happen to a line and to a server, on any of them. The answer is never that something is not there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use interop::{Condition, FaultProxy};
use session::Millis;
use storage::kit::{burial, key, new_value, record};
use storage::{
    Applied, Blame, Bury, Create, Deadline, Key, Kind, NewValue, Notice, Read, Storage, Unavailable, Update,
    Version, Was,
};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, timeout};

use super::opened;
use super::refusals::clock;

/// How long a test waits for what should take a moment: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(10);
const WRITERS: usize = 8;

/// A database behind a line that can fail.
pub(crate) struct Line {
    pub(crate) proxy: FaultProxy,
    direct: Arc<dyn Storage>,
    storage: Arc<dyn Storage>,
    /// The same, whose operations may take 300 ms.
    hasty: Deadline,
}

impl Line {
    /// `url` is where the database is; the line to it goes through `proxy`.
    pub(crate) async fn to(url: &str, server: std::net::SocketAddr) -> Self {
        // It has a runtime of its own, which cannot begin within another one.
        let proxy = spawn_blocking(move || FaultProxy::start(server)).await.unwrap().unwrap();
        let direct = opened(url, clock()).await.unwrap();
        let through = url.replace(&server.to_string(), &proxy.address().to_string());
        let storage = opened(&through, clock()).await.unwrap();
        let hasty = Deadline::new(Arc::clone(&storage), Duration::from_millis(300));
        Self { proxy, direct, storage, hasty }
    }

    async fn created(&self, key: &Key) -> Version {
        match self.direct.create(key, record(&[0; WRITERS], Millis::NEVER)).await.unwrap() {
            Create::Created(version) => version,
            other => panic!("not created: {other:?}"),
        }
    }

    /// The line passes again; from now on the record is found, in a moment.
    async fn recovers(&self, key: &Key) {
        self.proxy.set(Condition::Passing);
        let began = Instant::now();
        loop {
            match self.hasty.read(key, None).await {
                Ok(Read::Found(_)) => return,
                Ok(other) => panic!("an outage became {other:?}"),
                Err(error) => assert!(began.elapsed() < PATIENCE, "{error}"),
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Nobody listens, whoever comes is cut off, packets vanish: each is told apart from "not there", in time, with the fate.
pub(crate) async fn an_outage_is_unavailable_and_over_when_it_is_over(line: &Line) {
    let key = key("outage");
    line.created(&key).await;
    for condition in [Condition::Refused, Condition::Closed, Condition::BlackHole, Condition::RequestsLost] {
        line.recovers(&key).await;
        line.proxy.set(condition);
        for _ in 0..2 {
            let error = line.hasty.read(&key, None).await.unwrap_err();
            assert_ne!(error.blame, Blame::Caller, "{condition:?}: {error}");
            assert!(error.retry_after.is_some(), "{condition:?}: {error}");
        }
        let error = line.hasty.bury(&storage::kit::key("never there"), burial(None)).await.unwrap_err();
        assert_ne!(error.blame, Blame::Caller, "{condition:?}: {error}");
    }
    // What was certainly never sent is known not to be done.
    line.proxy.set(Condition::Refused);
    let began = Instant::now();
    loop {
        let error = line.storage.bury(&key, burial(None)).await.unwrap_err();
        // Before that somebody was still told of the line as it was.
        if error.to_string().contains("nobody listens") && error.applied == Applied::No {
            assert_eq!(error.blame, Blame::Storage, "{error}");
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{error}");
        sleep(Duration::from_millis(10)).await;
    }
    line.recovers(&key).await;
}

/// The answer is lost, or late, or the question was: whoever asks again under the same name learns what became of it.
pub(crate) async fn an_unknown_fate_is_learnt_by_asking_again(line: &Line) {
    let ways = [
        Condition::AnswersLost,
        Condition::RequestsLost,
        Condition::Slow(Duration::from_secs(2)),
        Condition::BlackHole,
    ];
    for (number, condition) in ways.into_iter().enumerate() {
        let (name, other) = (key(&format!("fate {number}")), key(&format!("end {number}")));
        line.created(&other).await;
        line.recovers(&other).await;
        let new = record(b"mine", Millis::NEVER);
        line.proxy.set(condition);
        let error = line.hasty.create(&name, new.clone()).await.unwrap_err();
        assert_eq!(error.applied, Applied::Unknown, "{condition:?}: {error}");
        let error = line.hasty.bury(&other, burial(Some(Millis::NEVER))).await.unwrap_err();
        assert_eq!(error.applied, Applied::Unknown, "{condition:?}: {error}");
        line.proxy.set(Condition::Passing);
        let created = repeated(|| line.hasty.create(&name, new.clone())).await;
        let Create::Created(version) = created else { panic!("{condition:?}: {created:?}") };
        let Read::Found(found) = line.direct.read(&name, None).await.unwrap() else {
            panic!("it is not there")
        };
        assert_eq!((found.version, &*found.value), (version, &b"mine"[..]), "{condition:?}");
        let ended = repeated(|| line.hasty.bury(&other, burial(Some(Millis::NEVER)))).await;
        assert!(matches!(ended, Bury::Buried(Was::Live | Was::Buried)), "{condition:?}: {ended:?}");
        assert!(matches!(line.direct.read(&other, None).await.unwrap(), Read::Buried(_)));
    }
}

/// Writers who go on under a line that is cut, or a server that dies, lose nothing and do nothing twice.
pub(crate) async fn writers_lose_nothing(line: &Line, fault: impl AsyncFnOnce()) {
    let name = key("marks");
    let first = line.created(&name).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        let (storage, name, is_over) = (Arc::clone(&line.storage), name.clone(), Arc::clone(&is_over));
        writers.spawn(async move {
            let storage = Deadline::new(storage, Duration::from_secs(3));
            let mut done = 0_u8;
            while !is_over.load(Ordering::SeqCst) && done < u8::MAX {
                let Read::Found(found) = repeated(|| storage.read(&name, None)).await else {
                    panic!("a fault became an absence")
                };
                assert_eq!(found.value[number], done, "a write was lost, or done twice");
                let mut value = found.value.to_vec();
                value[number] = done + 1;
                let new: NewValue = new_value(found.version, &value);
                let mut was_unknown = false;
                loop {
                    match storage.update(&name, new.clone()).await {
                        Ok(Update::Updated(_)) => done += 1,
                        // It was done, and somebody has written since: what is there tells.
                        Ok(Update::Conflict(current)) if was_unknown && current.value[number] == done + 1 => {
                            done += 1
                        }
                        Ok(Update::Conflict(_)) => {}
                        Ok(other) => panic!("a fault became {other:?}"),
                        Err(error) => {
                            was_unknown |= error.applied == Applied::Unknown;
                            sleep(Duration::from_millis(10)).await;
                            continue;
                        }
                    }
                    break;
                }
            }
            done
        });
    }
    fault().await;
    is_over.store(true, Ordering::SeqCst);
    let done = timeout(PATIENCE * 3, writers.join_all()).await.expect("the writers do not come to an end");
    let Read::Found(found) = line.direct_again(&name).await else { panic!("it is gone") };
    let mut there = found.value.to_vec();
    let mut expected = done.clone();
    there.sort_unstable();
    expected.sort_unstable();
    assert_eq!(there, expected);
    assert!(done.iter().any(|done| *done > 0), "nobody wrote");
    assert!(found.version > first);
    repeated(|| line.direct.bury(&name, burial(None))).await;
}

impl Line {
    /// After a fault that concerned the server itself.
    async fn direct_again(&self, key: &Key) -> Read {
        repeated(|| self.direct.read(key, None)).await
    }
}

/// While nobody can get in, a crowd that wants to does not become a storm.
pub(crate) async fn a_crowd_is_no_storm(line: &Line) {
    let key = key("crowd");
    line.created(&key).await;
    line.proxy.set(Condition::Closed);
    let before = line.proxy.accepted();
    let began = Instant::now();
    let mut asked = 0_u32;
    while began.elapsed() < Duration::from_secs(1) {
        let crowd = (0..64).map(|_| line.storage.read(&key, None));
        let answers = futures_util::future::join_all(crowd).await;
        assert!(answers.iter().all(Result::is_err), "{answers:?}");
        asked += 64;
        sleep(Duration::from_millis(5)).await;
    }
    let tried = line.proxy.accepted() - before;
    assert!(tried < 40, "{tried} connections for {asked} operations");
    assert!(asked > 500, "only {asked} were asked");
    line.recovers(&key).await;
}

/// Whoever listens learns that nothing is heard any more, cannot listen while that is so, and then hears again.
pub(crate) async fn a_listener_learns_that_it_is_deaf(line: &Line) {
    let key = key("heard");
    let version = line.created(&key).await;
    for condition in [Condition::Refused, Condition::BlackHole] {
        let mut changes = repeated(|| line.storage.watch(None)).await;
        let other = line.created(&storage::kit::key(&format!("{condition:?}"))).await;
        let last = loop {
            match timeout(PATIENCE, changes.next()).await.expect("nothing is heard") {
                Some(Notice::Change(change)) if change.version == other => break change.position,
                Some(Notice::Change(_)) => {}
                unlike => panic!("{condition:?}: {unlike:?}"),
            }
        };
        line.proxy.set(condition);
        // The end is no gap: what was known is as good as it was a moment ago.
        let noticed = timeout(PATIENCE, changes.next()).await.expect("the end is not noticed");
        assert_eq!(noticed, None, "{condition:?}");
        assert!(line.storage.watch(None).await.is_err(), "{condition:?}");
        line.recovers(&key).await;
        // Whoever goes on from where they were is told that something may be missing.
        let mut changes = repeated(|| line.storage.watch(Some(last))).await;
        assert_eq!(changes.next().await, Some(Notice::Gap), "{condition:?}");
    }
    // Of several who listen each hears; whoever was elsewhere is told so.
    let mut changes = repeated(|| line.storage.watch(None)).await;
    let mut later = repeated(|| line.storage.watch(Some(storage::Position(u64::MAX)))).await;
    assert_eq!(later.next().await, Some(Notice::Gap));
    line.direct.update(&key, new_value(version, b"n")).await.unwrap();
    for changes in [&mut changes, &mut later] {
        loop {
            match timeout(PATIENCE, changes.next()).await.expect("nothing is heard") {
                Some(Notice::Change(change)) if change.key == key => {
                    assert_eq!(change.kind, Kind::Written);
                    break;
                }
                Some(_) => {}
                None => panic!("the stream came to an end"),
            }
        }
    }
}

/// Asks until there is an answer.
async fn repeated<T, F: Future<Output = Result<T, Unavailable>>>(ask: impl Fn() -> F) -> T {
    let began = Instant::now();
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => assert!(began.elapsed() < PATIENCE * 2, "{error}"),
        }
        sleep(Duration::from_millis(10)).await;
    }
}
