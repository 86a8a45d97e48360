//! The embedded engine under `kill -9`: what was acknowledged is there afterwards.
//!
//! The test starts itself as a process that writes and says what was acknowledged, kills it in mid-write, and looks.

#![allow(clippy::panic, clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use cloakroom_engines::{OpenError, Problem, embedded};
use session::{Millis, SystemClock};
use storage::kit::{burial, key, new_value, record};
use storage::{Bury, Create, Read, Storage, Update, Version, Was};

const FOLDER: &str = "CLOAKROOM_TEST_CRASH_FOLDER";
const ROUND: &str = "CLOAKROOM_TEST_CRASH_ROUND";
const KILLS: usize = 8;
const WRITERS: usize = 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = BTreeMap::new();
    let mut highest = Version(0);
    for round in 0..KILLS {
        let mut child = writing_process(folder.path(), round);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut said = Vec::new();
        while said.len() < 200 + 137 * round {
            said.extend(
                lines
                    .next()
                    .expect("the writing process ended early")
                    .strip_prefix("did ")
                    .map(str::to_owned),
            );
        }
        // While it writes, nobody else gets the folder.
        let refused = open(folder.path()).await.unwrap_err();
        assert!(
            matches!(refused.problem, Problem::InUse { by: Some(by), .. } if by == child.id()),
            "{refused}"
        );
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had said by then counts too.
        said.extend(lines.filter_map(|line| line.strip_prefix("did ").map(str::to_owned)));
        let mut of_this_round = Vec::new();
        for line in said {
            let (name, step) = line.split_once(' ').unwrap();
            let (step, version) = step.split_once(' ').unwrap();
            let version = Version(version.parse().unwrap());
            of_this_round.push(version);
            acknowledged.insert(name.to_owned(), (step.to_owned(), version));
        }
        assert!(of_this_round.iter().all(|version| *version > highest), "a version was used again");
        highest = of_this_round.into_iter().max().unwrap();

        let storage = open_when_free(folder.path()).await;
        for (name, (step, version)) in &acknowledged {
            let read = storage.read(&key(name), None).await.unwrap();
            match (step.as_str(), read) {
                ("end", Read::Buried(_)) => {}
                ("create" | "update", Read::Found(record)) => {
                    let is_as_said = record.version == *version && &*record.value == step.as_bytes();
                    // It may have gone one step further before it could say so.
                    let is_further =
                        record.version > *version && (step.as_str(), &*record.value) == ("create", b"update");
                    assert!(is_as_said || is_further, "{name}: {step} {version:?}, but there is {record:?}");
                }
                ("update", Read::Buried(_)) if is_ended(name) => {}
                (step, read) => panic!("{name}: {step} was acknowledged, and now it reads {read:?}"),
            }
        }
        drop(storage);
    }
    assert!(acknowledged.len() > 100, "{} records", acknowledged.len());
}

/// Not a test of its own: what [`kill_9_loses_nothing_that_was_acknowledged`] starts and kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_until_it_is_killed() {
    let (Some(folder), Ok(round)) = (env::var_os(FOLDER), env::var(ROUND)) else { return };
    let storage = open_when_free(folder.as_ref()).await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let (storage, round) = (Arc::clone(&storage), round.clone());
        writers.spawn(async move {
            for number in 0.. {
                write(&*storage, &format!("{round}.{writer}.{number}")).await;
            }
        });
    }
    writers.join_all().await;
}

async fn write(storage: &dyn Storage, name: &str) {
    let Create::Created(version) =
        storage.create(&key(name), record(b"create", Millis::NEVER)).await.unwrap()
    else {
        panic!("not created")
    };
    say(name, "create", version);
    let Update::Updated(version) = storage.update(&key(name), new_value(version, b"update")).await.unwrap()
    else {
        panic!("not updated")
    };
    say(name, "update", version);
    if is_ended(name) {
        let end = storage.bury(&key(name), burial(Some(Millis::NEVER))).await.unwrap();
        assert_eq!(end, Bury::Buried(Was::Live));
        say(name, "end", version);
    }
}

fn is_ended(name: &str) -> bool {
    name.ends_with('3')
}

fn say(name: &str, step: &str, version: Version) {
    // In one call, so that a kill leaves whole lines.
    std::io::stdout().write_all(format!("did {name} {step} {}\n", version.0).as_bytes()).unwrap();
}

fn writing_process(folder: &Path, round: usize) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "writes_until_it_is_killed", "--nocapture"])
        .env(FOLDER, folder)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

async fn open(folder: &Path) -> Result<Arc<dyn Storage>, OpenError> {
    embedded::open("crash", folder, Arc::new(SystemClock::default())).await
}

/// Waits for a predecessor that closes its files in the background.
async fn open_when_free(folder: &Path) -> Arc<dyn Storage> {
    let free = async {
        loop {
            match open(folder).await {
                Ok(storage) => break storage,
                Err(OpenError { problem: Problem::InUse { .. }, .. }) => tokio::task::yield_now().await,
                Err(other) => panic!("{other}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), free).await.expect("the folder was not let go")
}
