//! What fails between us and Redis: never an answer that is wrong, always one in time, and back when Redis is back.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use interop::{Condition, FaultProxy, Redis, available};
use storage::kit::{burial, key, manual_clock, new_value, record};
use storage::{
    Applied, Blame, Bury, Create, NewRecord, NewValue, Notice, Read, Storage, Unavailable, Update, Was,
};
use tokio::time::timeout;

use super::{DEADLINE, Engine, opened, settings};

/// An operation may be late by this much before we call it late: the machine is busy with other tests.
const SLACK: Duration = Duration::from_secs(2);
/// Redis is looked for at least every 600 ms.
const FOUND_AGAIN: Duration = Duration::from_secs(3);

/// A server behind a line that can fail, and the engine in front of it.
struct Line {
    server: Redis,
    proxy: FaultProxy,
    engine: Arc<Engine>,
}

impl Line {
    async fn with(configuration: &str) -> Option<Self> {
        let server = available(Redis::start_with(configuration)).unwrap()?;
        let proxy = FaultProxy::start(server.address()).unwrap();
        let url = format!("redis://{}", proxy.address());
        let engine = opened(settings(&url), Arc::new(manual_clock())).await;
        Some(Self { server, proxy, engine })
    }

    async fn created(&self, name: &str) -> storage::Version {
        match self.engine.create(&key(name), record(name.as_bytes(), storage::kit::START.plus(HOUR))).await {
            Ok(Create::Created(version)) => version,
            other => panic!("{name} was not created: {other:?}"),
        }
    }

    async fn found(&self, name: &str) {
        assert!(
            matches!(self.engine.read(&key(name), None).await, Ok(Read::Found(_))),
            "{name} is not found"
        );
    }

    /// Waits until Redis answers again.
    async fn is_back(&self) {
        let began = Instant::now();
        while let Err(error) = self.engine.read(&key("a"), None).await {
            assert!(began.elapsed() < FOUND_AGAIN, "it is not found again: {error}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

const HOUR: Duration = Duration::from_hours(1);

/// What a failed operation says, which must be said in time.
async fn unavailable<T: std::fmt::Debug>(
    answer: impl Future<Output = Result<T, Unavailable>>,
) -> Unavailable {
    let began = Instant::now();
    let error = answer.await.expect_err("it was answered");
    assert!(began.elapsed() < DEADLINE + SLACK, "too late, after {:?}: {error}", began.elapsed());
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_is_unavailable_at_once_and_found_again() {
    let Some(line) = Line::with("").await else { return };
    line.created("a").await;
    line.proxy.set(Condition::Refused);
    tokio::time::sleep(Duration::from_millis(100)).await;
    for _ in 0..3 {
        let error = unavailable(line.engine.read(&key("a"), None)).await;
        assert!(error.retry_after.is_some(), "{error}");
    }
    let error = unavailable(line.engine.create(&key("b"), record(b"", storage::kit::START.plus(HOUR)))).await;
    assert_eq!((error.applied, error.blame), (Applied::No, Blame::Storage), "{error}");
    assert!(error.to_string().contains("see whether it runs, and that host and port are right"), "{error}");
    line.proxy.set(Condition::Passing);
    line.is_back().await;
    line.found("a").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_black_hole_the_fate_is_unknown_and_the_write_id_tells_it() {
    let Some(line) = Line::with("").await else { return };
    line.created("a").await;
    line.proxy.set(Condition::BlackHole);
    let new = record(b"b", storage::kit::START.plus(HOUR));
    let error = unavailable(line.engine.create(&key("b"), new.clone())).await;
    assert_eq!((error.applied, error.blame), (Applied::Unknown, Blame::Network), "{error}");
    let error = unavailable(line.engine.read(&key("a"), None)).await;
    assert!(
        error.to_string().contains("no answer within") || error.to_string().contains("no connection"),
        "{error}"
    );
    line.proxy.set(Condition::Passing);
    line.is_back().await;
    assert!(matches!(line.engine.create(&key("b"), new).await, Ok(Create::Created(_))));
    line.found("a").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_whose_answer_is_lost_was_done_once() {
    let Some(line) = Line::with("").await else { return };
    let version = line.created("a").await;
    line.proxy.set(Condition::AnswersLost);
    let update = new_value(version, b"2");
    let error = unavailable(line.engine.update(&key("a"), update.clone())).await;
    assert_eq!(error.applied, Applied::Unknown, "{error}");
    line.proxy.set(Condition::Passing);
    line.is_back().await;
    let Ok(Read::Found(there)) = line.engine.read(&key("a"), None).await else { panic!("it is lost") };
    assert_eq!(&*there.value, b"2", "the server did it");
    assert_eq!(line.engine.update(&key("a"), update).await.unwrap(), Update::Updated(there.version));

    line.proxy.set(Condition::RequestsLost);
    let error = unavailable(line.engine.bury(&key("a"), burial(Some(storage::kit::START.plus(HOUR))))).await;
    assert_eq!(error.applied, Applied::Unknown, "{error}");
    line.proxy.set(Condition::Passing);
    line.is_back().await;
    let ended = line.engine.bury(&key("a"), burial(Some(storage::kit::START.plus(HOUR)))).await.unwrap();
    assert_eq!(ended, Bury::Buried(Was::Live), "the server never heard of it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_server_is_waited_for_and_one_that_is_too_slow_is_not() {
    let Some(line) = Line::with("").await else { return };
    line.created("a").await;
    line.proxy.set(Condition::Slow(Duration::from_secs(2)));
    line.found("a").await;
    line.proxy.set(Condition::Slow(DEADLINE * 2));
    let error = unavailable(line.engine.read(&key("a"), None)).await;
    assert_eq!(error.blame, Blame::Network, "{error}");
    line.proxy.set(Condition::Passing);
    line.is_back().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_empty_tells_of_a_gap_and_uses_no_version_again() {
    let Some(mut line) = Line::with("").await else { return };
    let mut changes = line.engine.watch(None).await.unwrap();
    let before = line.created("a").await;
    let Some(Notice::Change(last)) = changes.next().await else { panic!("nothing is told") };
    line.server.kill().unwrap();
    // The end is no gap: what was known is as good as it was a moment ago.
    assert_eq!(timeout(FOUND_AGAIN, changes.next()).await.expect("the end is not noticed"), None);
    assert!(unavailable(line.engine.read(&key("a"), None)).await.retry_after.is_some());
    line.server.restart().unwrap();
    line.is_back().await;
    assert_eq!(line.engine.read(&key("a"), None).await.unwrap(), Read::Absent, "its memory is empty");
    // Whoever goes on from where they were is told that something is missing.
    let mut changes = line.engine.watch(Some(last.position)).await.unwrap();
    assert_eq!(timeout(FOUND_AGAIN, changes.next()).await.expect("nobody tells"), Some(Notice::Gap));
    assert!(line.created("a").await > before);
    // It is followed again, and the server knows the scripts again.
    let notice = timeout(FOUND_AGAIN, changes.next()).await.expect("the stream is not followed again");
    assert!(matches!(notice, Some(Notice::Change(change)) if change.key == key("a")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_listens_learns_that_a_line_is_dead_however_it_died_and_hears_again() {
    let Some(line) = Line::with("").await else { return };
    for condition in
        [Condition::Closed, Condition::BlackHole, Condition::AnswersLost, Condition::RequestsLost]
    {
        line.is_back().await;
        let mut changes = line.engine.watch(None).await.unwrap();
        let version = line.created(&format!("{condition:?}")).await;
        let Some(Notice::Change(heard)) = changes.next().await else { panic!("nothing is told") };
        assert_eq!(heard.version, version);
        line.proxy.set(condition);
        let end = timeout(line.engine.capabilities().unnoticed + SLACK, changes.next()).await;
        assert_eq!(end.expect("the end is not noticed"), None, "{condition:?}");
        line.proxy.set(Condition::Passing);
        let began = Instant::now();
        let mut changes = loop {
            match line.engine.watch(Some(heard.position)).await {
                Ok(changes) => break changes,
                Err(error) => assert!(began.elapsed() < FOUND_AGAIN, "{condition:?}: {error}"),
            }
        };
        assert_eq!(changes.next().await, Some(Notice::Gap), "{condition:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_on_the_disk_outlives_a_crash_and_the_engine_knows_when_that_is_so() {
    let Some(mut line) = Line::with("appendonly yes\nappendfsync always\n").await else { return };
    assert!(line.engine.capabilities().is_durable);
    line.created("a").await;
    line.engine.bury(&key("b"), burial(Some(storage::kit::START.plus(HOUR)))).await.unwrap();
    line.server.kill().unwrap();
    line.server.restart().unwrap();
    line.is_back().await;
    line.found("a").await;
    assert!(matches!(line.engine.read(&key("b"), None).await, Ok(Read::Buried(_))));
    let Some(line) = Line::with("appendonly yes\nappendfsync everysec\n").await else { return };
    assert!(!line.engine.capabilities().is_durable, "a second may be lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_no_storm_of_connections() {
    let Some(line) = Line::with("").await else { return };
    line.created("a").await;
    let _changes = line.engine.watch(None).await.unwrap();
    let before = line.proxy.accepted();
    line.proxy.set(Condition::Closed);
    let began = Instant::now();
    let askers = (0..16).map(|_| {
        let engine = Arc::clone(&line.engine);
        async move {
            let mut asked = 0;
            while began.elapsed() < Duration::from_secs(2) {
                let _ = engine.read(&key("a"), None).await;
                asked += 1;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            asked
        }
    });
    let asked: usize = futures_util::future::join_all(askers).await.into_iter().sum();
    let attempts = line.proxy.accepted() - before;
    assert!(asked > 200, "only {asked} questions");
    assert!(attempts <= 50, "{attempts} connections in two seconds, for {asked} questions");
    line.proxy.set(Condition::Passing);
    line.is_back().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_refuses_for_sure_and_still_takes_ends() {
    let Some(line) = Line::with("maxmemory 4mb\nmaxmemory-policy noeviction\n").await else { return };
    line.created("a").await;
    let full = async |name: &str| {
        line.engine.create(&key(name), record(&[7; 60_000], storage::kit::START.plus(HOUR))).await
    };
    let mut last = 0;
    let error = loop {
        match full(&last.to_string()).await {
            Ok(Create::Created(_)) => last += 1,
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
        assert!(last < 1_000, "it never is full");
    };
    assert_eq!((error.applied, error.blame), (Applied::No, Blame::Storage), "{error}");
    assert!(error.to_string().contains("raise `maxmemory`"), "{error}");
    assert_eq!(line.engine.read(&key(&last.to_string()), None).await.unwrap(), Read::Absent);
    line.found("a").await;
    for number in 0..last {
        let ended =
            line.engine.bury(&key(&number.to_string()), burial(Some(storage::kit::START.plus(HOUR)))).await;
        assert_eq!(ended.unwrap(), Bury::Buried(Was::Live));
    }
    assert!(matches!(full("more").await, Ok(Create::Created(_))), "ends made room");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_becomes_a_replica_takes_nothing() {
    let Some(line) = Line::with("").await else { return };
    line.created("a").await;
    line.server.say(&["REPLICAOF", "127.0.0.1", "1"]).unwrap();
    let error = unavailable(line.engine.bury(&key("a"), burial(None))).await;
    assert_eq!((error.applied, error.blame), (Applied::No, Blame::Storage), "{error}");
    assert!(error.to_string().contains("replica"), "{error}");
    line.server.say(&["REPLICAOF", "NO", "ONE"]).unwrap();
    line.is_back().await;
    assert_eq!(line.engine.bury(&key("a"), burial(None)).await.unwrap(), Bury::Buried(Was::Live));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_busy_is_asked_again() {
    let Some(line) = Line::with("lua-time-limit 50\n").await else { return };
    line.created("a").await;
    std::thread::scope(|scope| {
        scope.spawn(|| line.server.say(&["EVAL", "while true do end", "0"]).unwrap());
        std::thread::sleep(Duration::from_millis(400));
        let runtime = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            let error = runtime.block_on(unavailable(line.engine.bury(&key("a"), burial(None))));
            assert_eq!((error.applied, error.blame), (Applied::No, Blame::Storage), "{error}");
            assert!(error.to_string().contains("it will pass"), "{error}");
        });
        line.server.say(&["SCRIPT", "KILL"]).unwrap();
    });
    line.is_back().await;
    line.found("a").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_waits_for_the_replicas_and_is_not_certain_without_them() {
    let Some(primary) = available(Redis::start()).unwrap() else { return };
    let mut replica = primary.replica().unwrap();
    let engine = opened(settings(&primary.url()), Arc::new(manual_clock())).await;
    let until = Some(storage::kit::START.plus(HOUR));
    let ended = engine.bury(&key("a"), burial(until)).await.unwrap();
    assert_eq!(ended, Bury::Buried(Was::Absent));
    let known = replica.say(&["EXISTS", "cloakroom:{kit}:r:a"]).unwrap();
    assert_eq!(known.trim(), "1", "the replica has it when it is acknowledged");

    replica.kill().unwrap();
    let error = unavailable(engine.bury(&key("b"), burial(until))).await;
    assert_eq!((error.applied, error.blame), (Applied::Unknown, Blame::Storage), "{error}");
    assert!(error.to_string().contains("0 of 1 replicas confirmed an end in time"), "{error}");
    let create = engine.create(&key("c"), record(b"", storage::kit::START.plus(HOUR))).await;
    assert!(matches!(create, Ok(Create::Created(_))), "nothing else waits: {create:?}");
    assert!(matches!(engine.read(&key("b"), None).await, Ok(Read::Buried(_))), "it holds here all the same");

    replica.restart().unwrap();
    let began = Instant::now();
    let ended = loop {
        match engine.bury(&key("b"), burial(until)).await {
            Ok(ended) => break ended,
            Err(error) => assert!(began.elapsed() < Duration::from_secs(30), "{error}"),
        }
    };
    assert_eq!(ended, Bury::Buried(Was::Buried));
    assert_eq!(replica.say(&["EXISTS", "cloakroom:{kit}:r:b"]).unwrap().trim(), "1");

    a_counter_waits_like_an_end(&engine, &mut replica).await;

    let alone =
        super::Settings { min_replicas: Some(0), prefix: "alone".to_owned(), ..settings(&primary.url()) };
    let engine = opened(alone, Arc::new(manual_clock())).await;
    assert_eq!(engine.bury(&key("a"), burial(until)).await.unwrap(), Bury::Buried(Was::Absent));
}

/// What ends all sessions of a person is a record that is created or changed, and says so. The replica is there, and is away
/// in the end.
async fn a_counter_waits_like_an_end(engine: &Engine, replica: &mut Redis) {
    let counter = key("counter");
    let new = NewRecord { is_end: true, ..record(b"1", storage::kit::START.plus(HOUR)) };
    replica.kill().unwrap();
    let error = unavailable(engine.create(&counter, new.clone())).await;
    assert_eq!((error.applied, error.blame), (Applied::Unknown, Blame::Storage), "{error}");
    // Somebody else finds it there, and is not told so before the replica has it.
    let other = NewRecord { is_end: true, ..record(b"2", storage::kit::START.plus(HOUR)) };
    let error = unavailable(engine.create(&counter, other.clone())).await;
    assert_eq!(error.applied, Applied::Unknown, "{error}");

    replica.restart().unwrap();
    let began = Instant::now();
    let version = loop {
        match engine.create(&counter, new.clone()).await {
            Ok(Create::Created(version)) => break version,
            Ok(other) => panic!("its own write is not recognised: {other:?}"),
            Err(error) => assert!(began.elapsed() < Duration::from_secs(30), "{error}"),
        }
    };
    assert_eq!(replica.say(&["EXISTS", "cloakroom:{kit}:r:counter"]).unwrap().trim(), "1");
    assert_eq!(engine.create(&counter, other).await.unwrap(), Create::Exists);
    let raised = NewValue { is_end: true, ..new_value(version, b"3") };
    assert!(matches!(engine.update(&counter, raised).await, Ok(Update::Updated(_))));

    replica.kill().unwrap();
    let Read::Found(found) = engine.read(&counter, None).await.unwrap() else { panic!("it is not there") };
    let raised = NewValue { is_end: true, ..new_value(found.version, b"4") };
    assert_eq!(unavailable(engine.update(&counter, raised)).await.applied, Applied::Unknown);
}
