//! The server goes away and comes back, and the line to it fails: what is said of each operation, and that nothing is
//! taken to be gone that is not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cloakroom_engines::remote::{Remote, RemoteSettings};
use futures_util::StreamExt as _;
use interop::{Condition, FaultProxy};
use session::Clock;
use storage::faulty::{Fault, Faulty, Which};
use storage::kit::{START, burial, key, manual_clock, new_value, record};
use storage::{
    Applied, Blame, Bury, Changes, Create, Kind, LONGEST_UNNOTICED, Notice, Position, Read, Storage,
    Unavailable, Update, Was,
};
use tokio::time::{sleep, timeout};

use crate::contract::memory;
use crate::host::{Host, http, link, open_within};

const ANYWHERE: &str = "127.0.0.1:0";
const SHORT: Duration = Duration::from_millis(400);
/// Nothing here takes as long; the tests do not measure.
const PATIENCE: Duration = Duration::from_secs(20);

fn clock() -> Arc<dyn Clock> {
    Arc::new(manual_clock())
}

/// Made by a thread that drives no runtime, as the proxy wants it.
fn line_to(address: SocketAddr) -> FaultProxy {
    std::thread::spawn(move || FaultProxy::start(address).unwrap()).join().unwrap()
}

async fn opened(address: SocketAddr) -> Remote {
    open_within(link(http(address)), SHORT).await.unwrap()
}

/// Reads until there is an answer, and every failure before is one.
async fn found_again(remote: &Remote, name: &str) {
    let since = Instant::now();
    loop {
        match remote.read(&key(name), None).await {
            Ok(Read::Found(_)) => return,
            Ok(other) => panic!("a live record reads as {other:?}"),
            Err(_) if since.elapsed() < PATIENCE => sleep(Duration::from_millis(20)).await,
            Err(error) => panic!("it is not found again: {error}"),
        }
    }
}

async fn next(changes: &mut Changes) -> Option<Notice> {
    timeout(PATIENCE, changes.next()).await.expect("nothing is said")
}

async fn position(changes: &mut Changes) -> Position {
    match next(changes).await {
        Some(Notice::Change(change)) => change.position,
        other => panic!("no change is told, but {other:?}"),
    }
}

async fn created(remote: &dyn Storage, name: &str) {
    let new = record(b"1", START.plus(Duration::from_secs(3600)));
    assert!(matches!(remote.create(&key(name), new).await.unwrap(), Create::Created(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_no_server_without_records() {
    let (clock, storage) = (clock(), memory(&clock()));
    let (host, address) = Host::on_tcp(Arc::clone(&storage), Arc::clone(&clock), ANYWHERE.parse().unwrap());
    let remote = opened(address).await;
    created(&remote, "a").await;
    host.kill();
    for _ in 0..5 {
        let error = remote.read(&key("a"), None).await.unwrap_err();
        assert_eq!(error.blame, Blame::Network, "{error}");
        let error = remote.bury(&key("a"), burial(None)).await.unwrap_err();
        assert_eq!((error.blame, error.applied), (Blame::Network, Applied::No), "{error}");
        // Who comes in the pause between two attempts learns that there was none within their time.
        let says = error.to_string();
        assert!(says.contains("takes no connection") || says.contains("there was no connection"), "{says}");
    }
    let (_host, _) = Host::on_tcp(storage, clock, address);
    found_again(&remote, "a").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_missed_on_the_way_adds_up() {
    let clock = clock();
    let (_near, address) = Host::on_tcp(memory(&clock), Arc::clone(&clock), ANYWHERE.parse().unwrap());
    let settings = RemoteSettings { link: link(http(address)), service: "local".into(), deadline: SHORT };
    let near = Arc::new(Remote::open("local", settings).await.unwrap());
    assert_eq!(near.capabilities().unnoticed, LONGEST_UNNOTICED, "nothing is missed within a process");
    let (_far, address) = Host::on_tcp(near, clock, ANYWHERE.parse().unwrap());
    assert_eq!(opened(address).await.capabilities().unnoticed, LONGEST_UNNOTICED * 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_listens_learns_in_time_that_a_line_is_dead_however_it_died() {
    let clock = clock();
    let (_host, address) = Host::on_tcp(memory(&clock), clock, ANYWHERE.parse().unwrap());
    let faults = [Condition::Closed, Condition::BlackHole, Condition::AnswersLost, Condition::RequestsLost];
    let waits = faults.map(|condition| async move {
        let proxy = line_to(address);
        let remote = opened(proxy.address()).await;
        let mut changes = remote.watch(None).await.unwrap();
        proxy.set(condition);
        let end = timeout(LONGEST_UNNOTICED + SHORT * 5, changes.next()).await;
        assert_eq!(end.expect("nobody notices"), None, "{condition:?}");
    });
    futures_util::future::join_all(waits).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lost_its_memory_says_so_by_a_gap() {
    let clock = clock();
    let (host, address) = Host::on_tcp(memory(&clock), Arc::clone(&clock), ANYWHERE.parse().unwrap());
    let remote = opened(address).await;
    let mut changes = remote.watch(None).await.unwrap();
    created(&remote, "a").await;
    let last = position(&mut changes).await;
    host.stop();
    assert_eq!(next(&mut changes).await, None, "the stream goes on without a server");
    assert!(remote.watch(Some(last)).await.is_err());
    let (_host, _) = Host::on_tcp(memory(&clock), Arc::clone(&clock), address);
    let since = Instant::now();
    let mut changes = loop {
        match remote.watch(Some(last)).await {
            Ok(changes) => break changes,
            Err(_) if since.elapsed() < PATIENCE => sleep(Duration::from_millis(20)).await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(next(&mut changes).await, Some(Notice::Gap));
    // That it is not there is an answer now, for the server says so.
    assert_eq!(remote.read(&key("a"), None).await.unwrap(), Read::Absent);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_stream_that_was_cut_goes_on_where_it_was() {
    let (clock, storage) = (clock(), memory(&clock()));
    let (_host, address) = Host::on_tcp(Arc::clone(&storage), clock, ANYWHERE.parse().unwrap());
    let proxy = line_to(address);
    let remote = opened(proxy.address()).await;
    let mut changes = remote.watch(None).await.unwrap();
    created(&remote, "a").await;
    let last = position(&mut changes).await;
    proxy.cut();
    assert_eq!(next(&mut changes).await, None);
    // What happens meanwhile is not lost, and nothing is said twice.
    created(&*storage, "b").await;
    storage.bury(&key("a"), burial(Some(START.plus(Duration::from_secs(60))))).await.unwrap();
    let mut changes = remote.watch(Some(last)).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        match next(&mut changes).await {
            Some(Notice::Change(change)) => seen.push((change.key, change.kind)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(seen, [(key("b"), Kind::Written), (key("a"), Kind::Buried)]);
    // From a position that nobody knows it is a gap, and then it goes on.
    let mut lost = remote.watch(Some(Position(7))).await.unwrap();
    assert_eq!(next(&mut lost).await, Some(Notice::Gap));
    created(&remote, "c").await;
    assert_eq!(position(&mut lost).await, position(&mut changes).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_which_nothing_comes_ends() {
    let clock = clock();
    let (_host, address) = Host::on_tcp(memory(&clock), Arc::clone(&clock), ANYWHERE.parse().unwrap());
    let proxy = line_to(address);
    let remote = opened(proxy.address()).await;
    let mut changes = remote.watch(None).await.unwrap();
    proxy.set(Condition::BlackHole);
    assert_eq!(next(&mut changes).await, None);
}

/// What each fault of the line does to an operation, and that it is over soon after the fault is.
#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_fails_never_makes_a_record_absent() {
    let (clock, storage) = (clock(), memory(&clock()));
    let (_host, address) = Host::on_tcp(Arc::clone(&storage), clock, ANYWHERE.parse().unwrap());
    let proxy = line_to(address);
    let remote = Arc::new(opened(proxy.address()).await);
    created(&*remote, "a").await;
    for condition in [
        Condition::Refused,
        Condition::Closed,
        Condition::BlackHole,
        Condition::Slow(Duration::from_secs(2)),
        Condition::RequestsLost,
        Condition::AnswersLost,
    ] {
        proxy.set(condition);
        let operations: Vec<_> = (0..8)
            .map(|_| {
                let remote = Arc::clone(&remote);
                tokio::spawn(async move {
                    let since = Instant::now();
                    (remote.read(&key("a"), None).await, since.elapsed())
                })
            })
            .collect();
        for operation in operations {
            match operation.await.unwrap() {
                // An answer may have been on its way.
                (Ok(Read::Found(_)), _) => {}
                (Ok(other), _) => panic!("{condition:?}: {other:?}"),
                (Err(error), after) => {
                    assert_eq!(error.blame, Blame::Network, "{condition:?}: {error}");
                    assert!(after < SHORT * 8, "{condition:?}: the deadline does not hold: {after:?}");
                }
            }
        }
        proxy.set(Condition::Passing);
        found_again(&remote, "a").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_no_storm_of_connections() {
    let clock = clock();
    let (_host, address) = Host::on_tcp(memory(&clock), clock, ANYWHERE.parse().unwrap());
    let proxy = line_to(address);
    let remote = Arc::new(opened(proxy.address()).await);
    created(&*remote, "a").await;
    proxy.set(Condition::Closed);
    let (before, since) = (proxy.accepted(), Instant::now());
    let writers: Vec<_> = (0..64)
        .map(|_| {
            let remote = Arc::clone(&remote);
            tokio::spawn(async move {
                while since.elapsed() < Duration::from_secs(2) {
                    let error = remote.read(&key("a"), None).await.unwrap_err();
                    assert_eq!((error.applied, error.blame), (Applied::No, Blame::Network), "{error}");
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    // Pauses grow to 0.2 to 0.6 seconds.
    let attempts = proxy.accepted() - before;
    assert!((3..40).contains(&attempts), "{attempts} connections in two seconds");
    proxy.set(Condition::Passing);
    found_again(&remote, "a").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_was_lost_is_recognised() {
    let (clock, storage) = (clock(), memory(&clock()));
    let (_host, address) = Host::on_tcp(Arc::clone(&storage), clock, ANYWHERE.parse().unwrap());
    let proxy = line_to(address);
    let remote = opened(proxy.address()).await;
    created(&remote, "a").await;
    let Read::Found(there) = remote.read(&key("a"), None).await.unwrap() else { panic!("not there") };
    proxy.set(Condition::AnswersLost);
    let update = new_value(there.version, b"2");
    let error = remote.update(&key("a"), update.clone()).await.unwrap_err();
    assert_eq!((error.applied, error.blame), (Applied::Unknown, Blame::Network), "{error}");
    let Read::Found(now) = storage.read(&key("a"), None).await.unwrap() else { panic!("not there") };
    assert_eq!(now.value, "2", "the other side did it");
    proxy.set(Condition::Passing);
    found_again(&remote, "a").await;
    assert_eq!(remote.update(&key("a"), update).await.unwrap(), Update::Updated(now.version));
    // An end, too: whoever repeats it learns that it holds.
    proxy.set(Condition::AnswersLost);
    let until = Some(START.plus(Duration::from_secs(60)));
    assert_eq!(remote.bury(&key("a"), burial(until)).await.unwrap_err().applied, Applied::Unknown);
    proxy.set(Condition::Passing);
    let since = Instant::now();
    let buried = loop {
        match remote.bury(&key("a"), burial(until)).await {
            Ok(buried) => break buried,
            Err(error) => assert!(since.elapsed() < PATIENCE, "{error}"),
        }
    };
    assert_eq!(buried, Bury::Buried(Was::Buried));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_other_side_cannot_do_is_told_as_it_tells_it() {
    let clock = clock();
    let faulty = Arc::new(Faulty::new(memory(&clock)));
    let (_host, address) = Host::on_tcp(Arc::clone(&faulty) as _, clock, ANYWHERE.parse().unwrap());
    let remote = opened(address).await;
    created(&remote, "a").await;
    let told = |error: Unavailable| {
        assert!(error.to_string().contains("storage local at 127.0.0.1"), "{error}");
        (error.applied, error.blame, error.retry_after)
    };
    let retry = Some(Duration::from_secs(1));
    faulty.fail_once(Which::Touch, Fault::Refuse);
    let times = storage::Times { touched: START, expires: START };
    let refused = remote.touch(&key("a"), times).await.unwrap_err();
    assert_eq!(told(refused), (Applied::No, Blame::Storage, retry));
    faulty.fail_once(Which::Bury, Fault::LoseAnswer);
    let lost = remote.bury(&key("a"), burial(None)).await.unwrap_err();
    assert_eq!(told(lost), (Applied::Unknown, Blame::Storage, retry));
    // The other side is told when nobody waits any more, and gives up then.
    faulty.fail_once(Which::Read, Fault::Delay(Duration::from_secs(5)));
    let since = Instant::now();
    let slow = remote.read(&key("a"), None).await.unwrap_err();
    assert_eq!(slow.applied, Applied::Unknown, "{slow}");
    assert!(since.elapsed() < SHORT * 8);
    assert_eq!(remote.read(&key("a"), None).await.unwrap(), Read::Absent);
}
