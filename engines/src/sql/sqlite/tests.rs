use std::fs;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{join_all, poll_immediate};
use rusqlite::TransactionBehavior;
use session::{ManualClock, Why};
use storage::kit::{START, burial, key, new_value, record};
use storage::{Applied, Blame, Was};
use tempfile::TempDir;

use super::*;
use crate::Problem;

storage::conformance_tests!(|clock| async move {
    let folder = tempfile::tempdir().unwrap();
    let engine = Sqlite::open("sqlite", folder.path(), clock).await.unwrap();
    (Arc::new(engine) as Arc<dyn Storage>, folder)
});

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(START))
}

async fn opened(folder: &TempDir, clock: &Arc<ManualClock>) -> Sqlite {
    Sqlite::open("local", folder.path(), Arc::clone(clock) as _).await.unwrap()
}

async fn refused(folder: &Path) -> OpenError {
    Sqlite::open("local", folder, clock()).await.expect_err("it was opened")
}

async fn created(engine: &Sqlite, name: &str) -> Version {
    match engine.create(&key(name), record(name.as_bytes(), Millis::NEVER)).await.unwrap() {
        Create::Created(version) => version,
        other => panic!("not created: {other:?}"),
    }
}

/// What an operator does with `sqlite3`.
fn operator(folder: &TempDir) -> Connection {
    Connection::open(folder.path().join("cloakroom.sqlite")).unwrap()
}

#[tokio::test]
async fn a_restart_keeps_records_ends_and_the_order_of_versions() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let engine = opened(&folder, &clock).await;
    let first = created(&engine, "kept").await;
    created(&engine, "ended").await;
    let mut end = burial(Some(Millis::NEVER));
    end.ending.why = Why::Revoked;
    engine.bury(&key("ended"), end.clone()).await.unwrap();
    created(&engine, "comes back").await;
    engine.bury(&key("comes back"), burial(None)).await.unwrap();
    let last = created(&engine, "last").await;
    engine.close().await;
    assert!(engine.create(&key("late"), record(b"", Millis::NEVER)).await.is_err(), "it is closed");

    let engine = opened(&folder, &clock).await;
    let Read::Found(kept) = engine.read(&key("kept"), None).await.unwrap() else { panic!("it is lost") };
    assert_eq!((&*kept.value, kept.version), (&b"kept"[..], first));
    let Read::Buried(tombstone) = engine.read(&key("ended"), None).await.unwrap() else {
        panic!("it is back")
    };
    assert_eq!((tombstone.ending, tombstone.until), (end.ending, Millis::NEVER));
    assert!(created(&engine, "comes back").await > last);
}

#[tokio::test]
async fn a_database_put_back_from_a_copy_does_not_use_versions_again() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let (database, copy) = (folder.path().join("cloakroom.sqlite"), folder.path().join("copy"));
    opened(&folder, &clock).await.close().await;
    fs::copy(&database, &copy).unwrap();
    let engine = opened(&folder, &clock).await;
    let seen = created(&engine, "a").await;
    engine.close().await;
    fs::rename(copy, database).unwrap();
    clock.advance(Duration::from_millis(1));
    let engine = opened(&folder, &clock).await;
    assert_eq!(engine.read(&key("a"), None).await.unwrap(), Read::Absent);
    assert!(created(&engine, "a").await > seen);
}

#[tokio::test]
async fn what_was_asked_is_done_although_the_asker_and_the_engine_are_gone() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let engine = opened(&folder, &clock).await;
    let (a, new) = (key("a"), record(b"1", Millis::NEVER));
    let mut asked = engine.create(&a, new);
    assert!(poll_immediate(&mut asked).await.is_none(), "it was answered at once");
    drop(asked);
    drop(engine);
    // The files are closed in the background.
    let engine = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            match Sqlite::open("local", folder.path(), Arc::clone(&clock) as _).await {
                Ok(engine) => break engine,
                Err(OpenError { problem: Problem::InUse { .. }, .. }) => tokio::task::yield_now().await,
                Err(other) => panic!("{other}"),
            }
        }
    })
    .await
    .expect("the folder was not let go");
    assert!(matches!(engine.read(&a, None).await.unwrap(), Read::Found(_)));
}

#[tokio::test]
async fn closing_leaves_one_file_that_holds_everything() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let engine = opened(&folder, &clock).await;
    created(&engine, "a").await;
    engine.read(&key("a"), None).await.unwrap();
    engine.close().await;
    assert!(!folder.path().join("cloakroom.sqlite-wal").exists());
    let names = |row: &rusqlite::Row<'_>| row.get(0);
    let name: Vec<u8> = operator(&folder).query_one("SELECT name FROM record", [], names).unwrap();
    assert_eq!(name, b"a");
}

#[tokio::test]
async fn writers_who_come_together_share_a_synchronisation() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let engine = opened(&folder, &clock).await;
    for round in 0..4 {
        let names: Vec<_> = (0..64).map(|writer| format!("{round}.{writer}")).collect();
        join_all(names.iter().map(|name| created(&engine, name))).await;
    }
    let Writes { operations, commits } = engine.writes();
    assert_eq!(operations, 256);
    assert!(commits <= 8, "{commits} commits");
}

#[tokio::test]
async fn a_refused_batch_leaves_its_neighbours_alone() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let engine = opened(&folder, &clock).await;
    let there = created(&engine, "there").await;
    let commits = engine.writes().commits;
    let batch = vec![
        Operation::Update(key("there"), new_value(there, b"2")),
        Operation::Create(key("before"), record(b"", Millis::NEVER)),
    ];
    // They gather while the writer waits for somebody's lock, with the one before them.
    let lock = operator(&folder);
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let mut first = pin!(created(&engine, "first"));
    assert!(poll_immediate(first.as_mut()).await.is_none());
    tokio::time::sleep(Duration::from_millis(50)).await;
    let unlocked = async {
        tokio::task::yield_now().await;
        lock.execute_batch("COMMIT").unwrap();
    };
    let (_, before, batch, after, ()) = tokio::join!(
        first,
        created(&engine, "before"),
        engine.batch(batch),
        created(&engine, "after"),
        unlocked
    );
    assert!(engine.writes().commits <= commits + 2, "they were not together");
    assert!(matches!(batch.unwrap(), Batch::Refused { index: 1, .. }));
    for (name, version) in [("there", there), ("before", before), ("after", after)] {
        let Read::Found(found) = engine.read(&key(name), None).await.unwrap() else {
            panic!("{name} is lost")
        };
        assert_eq!((&*found.value, found.version), (name.as_bytes(), version));
    }
}

#[tokio::test]
async fn a_large_reap_lets_others_write_in_between() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let engine = opened(&folder, &clock).await;
    let over = START.plus(Duration::from_secs(1));
    for start in (0..5_000).step_by(250) {
        let create = |number| Operation::Create(key(&format!("{number}")), record(b"1", over));
        engine.batch((start..start + 250).map(create).collect()).await.unwrap();
    }
    clock.set(over);
    let mut reaping = pin!(engine.reap(over, 4_900));
    let mut slices = 0;
    loop {
        // A write that is asked for now need not wait for all of the reap.
        let name = format!("between {slices}");
        tokio::select! {
            biased;
            reaped = &mut reaping => break assert_eq!(reaped.unwrap(), 4_900),
            _ = created(&engine, &name) => slices += 1,
        }
    }
    // Each waits for two slices of the twenty at most: the one that is being done, and the one in whose transaction it is.
    assert!(slices >= 9, "only {slices} writes came through");
    assert_eq!(engine.reap(over, 4_900).await.unwrap(), 100);
}

#[tokio::test]
async fn expiry_and_reading_go_by_an_index() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    opened(&folder, &clock).await.close().await;
    let connection = operator(&folder);
    for (statement, index) in [
        (statements::REAP, "SEARCH record USING COVERING INDEX record_by_expiry"),
        (statements::READ, "SEARCH record USING INDEX sqlite_autoindex_record_1 (context=? AND name=?)"),
        (statements::LIST, "SEARCH record USING INDEX sqlite_autoindex_record_1 (context=? AND name>?)"),
        (statements::SCAN, "SEARCH record USING INTEGER PRIMARY KEY (rowid>?)"),
    ] {
        let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {statement}")).unwrap();
        let steps = explain.raw_query().mapped(|row| row.get("detail"));
        let plan: Vec<String> = steps.collect::<Result<_, _>>().unwrap();
        assert!(plan.iter().any(|step| step.starts_with(index)), "{statement}: {plan:?}");
        assert!(!plan.iter().any(|step| step.contains("SCAN") || step.contains("TEMP")), "{plan:?}");
    }
}

#[tokio::test]
async fn a_full_disk_refuses_for_sure_and_keeps_what_was_there() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let full = "PRAGMA max_page_count = 40";
    let engine = Sqlite::open_with("local", folder.path(), None, clock, full).await.unwrap();
    let mut last = created(&engine, "first").await;
    let error = loop {
        match engine.create(&key(&last.0.to_string()), record(&[0; 10_000], Millis::NEVER)).await {
            Ok(Create::Created(version)) => last = version,
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert_eq!((error.applied, error.blame), (Applied::No, Blame::Storage));
    assert!(error.retry_after.is_some());
    assert!(error.to_string().contains("storage local is unavailable: "), "{error}");
    assert!(error.to_string().contains("cloakroom.sqlite: the disk is full; make room on it"), "{error}");
    assert_eq!(engine.read(&key(&last.0.to_string()), None).await.unwrap(), Read::Absent);
    assert!(matches!(engine.read(&key("first"), None).await.unwrap(), Read::Found(_)));
    // What needs no room is still done, with a version of its own.
    assert_eq!(engine.bury(&key("first"), burial(None)).await.unwrap(), Bury::Buried(Was::Live));
    assert!(created(&engine, "first").await > last);
}

#[tokio::test]
async fn a_commit_that_failed_has_an_unknown_fate_and_can_be_repeated() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let engine = opened(&folder, &clock).await;
    // What is wrong with it shows only at the commit.
    let trap = "CREATE TABLE target (id INTEGER PRIMARY KEY);
        CREATE TABLE trap (id INTEGER REFERENCES target (id) DEFERRABLE INITIALLY DEFERRED);
        CREATE TRIGGER trapped AFTER INSERT ON record BEGIN INSERT INTO trap VALUES (1); END";
    let operator = operator(&folder);
    operator.execute_batch(trap).unwrap();
    let new = record(b"1", Millis::NEVER);
    let (a, b) = (key("a"), key("b"));
    let (one, two) = tokio::join!(engine.create(&a, new.clone()), engine.create(&b, new.clone()));
    for failed in [one, two] {
        assert_eq!(failed.unwrap_err().applied, Applied::Unknown);
    }
    operator.execute_batch("DROP TRIGGER trapped").unwrap();
    assert_eq!(engine.read(&a, None).await.unwrap(), Read::Absent);
    assert!(matches!(engine.create(&a, new).await.unwrap(), Create::Created(_)));
}

#[tokio::test]
async fn whoever_locks_the_database_is_named_as_the_cause() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let hasty = "PRAGMA busy_timeout = 1";
    let engine = Sqlite::open_with("local", folder.path(), None, clock, hasty).await.unwrap();
    created(&engine, "a").await;
    let mut operator = operator(&folder);
    let lock = operator.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    let error = engine.create(&key("b"), record(b"", Millis::NEVER)).await.unwrap_err();
    assert_eq!(error.applied, Applied::No);
    assert!(error.to_string().contains("another program holds a lock on the database; end it"), "{error}");
    assert!(matches!(engine.read(&key("a"), None).await.unwrap(), Read::Found(_)), "reading goes on");
    lock.rollback().unwrap();
    created(&engine, "b").await;
}

#[tokio::test]
async fn a_folder_belongs_to_one_engine() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let engine = opened(&folder, &clock).await;
    let error = refused(folder.path()).await;
    assert!(
        matches!(&error.problem, Problem::InUse { by: Some(process), .. } if *process == std::process::id()),
        "{error}"
    );
    assert!(error.to_string().contains("; stop that one, or give each a `data_dir` of its own"), "{error}");
    engine.close().await;
    opened(&folder, &clock).await;
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    opened(&folder, &clock).await.close().await;
    let connection = operator(&folder);
    connection.execute_batch("PRAGMA user_version = 7").unwrap();
    let error = refused(folder.path()).await;
    assert!(matches!(error.problem, Problem::Newer { found: 7, known: 1, .. }), "{error}");
    assert!(error.to_string().contains("a newer one wrote it; use that one, or put a backup"), "{error}");
    let left: i64 = connection.query_one("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 7);
}

#[tokio::test]
async fn a_database_of_another_program_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cloakroom.sqlite");
    let connection = Connection::open(&file).unwrap();
    connection.execute_batch("CREATE TABLE record (theirs TEXT)").unwrap();
    connection.close().unwrap();
    let before = fs::read(&file).unwrap();
    let error = refused(folder.path()).await;
    assert!(matches!(error.problem, Problem::Foreign { .. }), "{error}");
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cloakroom.sqlite");
    fs::write(&file, "a letter to somebody, long enough for a header ".repeat(100)).unwrap();
    let before = fs::read(&file).unwrap();
    let error = refused(folder.path()).await;
    assert!(matches!(error.problem, Problem::NoDatabase { .. }), "{error}");
    assert_eq!(fs::read(&file).unwrap(), before);
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    // Where even root cannot make anything.
    for path in [file.as_path(), Path::new("/proc/cloakroom-data")] {
        let error = refused(path).await;
        assert!(matches!(error.problem, Problem::Folder { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(&path.display().to_string()) && text.contains("`data_dir`"), "{text}");
    }
}

/// The process that takes the place of the one that has `engine` open.
async fn joined(engine: &Sqlite, folder: &TempDir, clock: &Arc<ManualClock>) -> Result<Sqlite, OpenError> {
    let claim = engine.share().unwrap();
    Sqlite::join("local", folder.path(), claim, Arc::clone(clock) as _).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_share_lose_nothing_and_versions_grow_over_both() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let before = opened(&folder, &clock).await;
    created(&before, "counted").await;
    let next = joined(&before, &folder, &clock).await.unwrap();
    let counting = [&before, &next].map(|engine| async move {
        let mut versions = Vec::new();
        while versions.len() < 100 {
            let Read::Found(there) = engine.read(&key("counted"), None).await.unwrap() else {
                panic!("it is lost")
            };
            let value = [&there.value[..], b"+"].concat();
            match engine.update(&key("counted"), new_value(there.version, &value)).await.unwrap() {
                Update::Updated(version) => {
                    assert!(version > there.version, "{version:?} after {:?}", there.version);
                    versions.push(version);
                }
                Update::Conflict(_) => {}
                other => panic!("{other:?}"),
            }
        }
        versions
    });
    let mut versions = join_all(counting).await.concat();
    let Read::Found(there) = next.read(&key("counted"), None).await.unwrap() else { panic!("it is lost") };
    assert_eq!(there.value.len(), "counted".len() + 200, "every one of both is there");
    versions.sort();
    versions.dedup();
    assert_eq!(versions.len(), 200, "no version was used twice");

    before.close().await;
    drop(before);
    next.end_sharing();
    assert!(created(&next, "afterwards").await > *versions.last().unwrap());
    assert!(matches!(refused(folder.path()).await.problem, Problem::InUse { .. }), "the claim went over");
}

#[tokio::test]
async fn an_end_is_known_to_both_that_share() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let before = opened(&folder, &clock).await;
    let version = created(&before, "a").await;
    let next = joined(&before, &folder, &clock).await.unwrap();
    next.bury(&key("a"), burial(Some(Millis::NEVER))).await.unwrap();
    assert!(matches!(before.read(&key("a"), None).await.unwrap(), Read::Buried(_)));
    assert!(matches!(
        before.update(&key("a"), new_value(version, b"late")).await.unwrap(),
        Update::Buried(_)
    ));
    assert!(matches!(before.create(&key("a"), record(b"", Millis::NEVER)).await.unwrap(), Create::Buried(_)));
}

#[tokio::test]
async fn a_claim_opens_only_the_folder_that_it_is_for() {
    let (folder, other, clock) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), clock());
    let engine = opened(&folder, &clock).await;
    let _taken = opened(&other, &clock).await;
    let refused = joined(&engine, &other, &clock).await.expect_err("it was opened");
    assert!(matches!(refused.problem, Problem::InUse { .. }), "{refused}");
    engine.close().await;
    assert!(engine.share().is_err(), "what is closed is not shared");
}

#[tokio::test]
async fn what_somebody_uses_is_not_brought_to_a_newer_schema() {
    let (folder, clock) = (tempfile::tempdir().unwrap(), clock());
    let engine = opened(&folder, &clock).await;
    operator(&folder).execute_batch("PRAGMA user_version = 0").unwrap();
    let refused = joined(&engine, &folder, &clock).await.expect_err("it was opened");
    assert!(matches!(refused.problem, Problem::Older { found: 0, .. }), "{refused}");
}

#[tokio::test]
async fn a_url_may_name_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/my%20sessions.db", folder.path().display());
    let settings = crate::sql::Settings {
        address: crate::sql::Address::parse(&url).unwrap(),
        password_file: None,
        ca_file: None,
        max_connections: 1,
        connect_timeout: Duration::from_secs(1),
        poll_interval: Duration::from_secs(1),
    };
    let engine = crate::sql::open("local", &settings, clock()).await.unwrap();
    engine.create(&key("a"), record(b"1", Millis::NEVER)).await.unwrap();
    assert!(folder.path().join("my sessions.db").is_file());
    let told = crate::sql::open("local", &settings, clock()).await.unwrap_err();
    assert!(matches!(told.problem, Problem::InUse { by: Some(_), .. }), "{told}");
    // Another file of the same folder is another database.
    let beside = Sqlite::open_file("local", &folder.path().join("other.db"), clock()).await.unwrap();
    assert_eq!(beside.read(&key("a"), None).await.unwrap(), Read::Absent);
}
