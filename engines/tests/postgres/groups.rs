//! Writers that share a commit: each with its own answer.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use interop::{Postgres, available};
use session::Millis;
use storage::kit::{burial, key, new_value, record};
use storage::{Applied, Bury, Create, Deadline, Read, Storage, Unavailable, Update, Version, Was};
use tokio::task::{JoinHandle, JoinSet, spawn_blocking};
use tokio::time::sleep;

use crate::database::opened;
use crate::database::refusals::{assert_says, clock};

const WRITERS: usize = 64;

/// So many who create at once.
async fn create_all(
    storage: &Arc<dyn Storage>,
    name: impl Fn(usize) -> String,
) -> Vec<Result<Create, Unavailable>> {
    let tasks = (0..WRITERS).map(|number| {
        let (storage, key) = (Arc::clone(storage), key(&name(number)));
        tokio::spawn(async move { storage.create(&key, record(b"1", Millis::NEVER)).await })
    });
    join_all(tasks.collect::<Vec<JoinHandle<_>>>()).await.into_iter().map(Result::unwrap).collect()
}

fn is_created(created: &&Result<Create, Unavailable>) -> bool {
    matches!(created, Ok(Create::Created(_)))
}

async fn create_one(storage: &Arc<dyn Storage>, name: &str) -> Version {
    match storage.create(&key(name), record(b"1", Millis::NEVER)).await.unwrap() {
        Create::Created(version) => version,
        other => panic!("not created: {other:?}"),
    }
}

/// Somebody else who holds a row, until the server is told to put an end to it.
async fn hold(postgres: &Arc<Postgres>, names: &str) {
    let holder = Arc::clone(postgres);
    let hold = format!(
        "BEGIN; SELECT name FROM cloakroom_record WHERE encode(name, 'escape') IN ({names}) FOR UPDATE; SELECT pg_sleep(60)"
    );
    // It fails when it is put an end to.
    spawn_blocking(move || drop(holder.sql("postgres", &hold)));
    let is_held =
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)' AND wait_event = 'PgSleep'";
    while postgres.sql("postgres", is_held).unwrap() != "1" {
        sleep(Duration::from_millis(10)).await;
    }
}

fn release(postgres: &Postgres) {
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'";
    postgres.sql("postgres", end).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_writes_at_once_shares_a_commit_and_each_has_its_own_answer() {
    let Some(postgres) = available(Postgres::start()).unwrap() else {
        return;
    };
    let storage = opened(&postgres.url("postgres"), clock()).await.unwrap();

    let created = create_all(&storage, |number| format!("one {number}")).await;
    assert!(created.iter().all(|created| is_created(&created)), "{created:?}");
    let count = "SELECT count(DISTINCT xmin::text) FROM cloakroom_record";
    let transactions: usize = postgres.sql("postgres", count).unwrap().parse().unwrap();
    assert!(transactions <= WRITERS / 2, "{transactions} transactions for {WRITERS} writers");

    // Two want each name, and one gets it.
    let created = create_all(&storage, |number| format!("two {}", number / 2)).await;
    assert_eq!(created.iter().filter(is_created).count(), WRITERS / 2);
    let refused = created.iter().filter(|created| matches!(created, Ok(Create::Exists)));
    assert_eq!(refused.count(), WRITERS / 2);

    // One that is refused undoes nothing of its neighbours.
    postgres
        .sql(
            "postgres",
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \
                'BEGIN RAISE EXCEPTION ''not this one'' USING ERRCODE = ''53100''; END'; \
             CREATE TRIGGER refuse BEFORE INSERT ON cloakroom_record FOR EACH ROW \
                WHEN (encode(NEW.name, 'escape') = 'three 40') EXECUTE FUNCTION refuse()",
        )
        .unwrap();
    let mut created = create_all(&storage, |number| format!("three {number}")).await;
    let error = created.remove(40).unwrap_err();
    assert_eq!(error.applied, Applied::No);
    assert_says(&error.to_string(), &["not this one", "make room"]);
    assert!(created.iter().all(|created| is_created(&created)), "{created:?}");
    assert_eq!(storage.read(&key("three 40"), None).await.unwrap(), Read::Absent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_a_row_holds_up_nobody_else_and_who_gave_up_has_not_begun() {
    let Some(postgres) = available(Postgres::start()).unwrap() else {
        return;
    };
    let postgres = Arc::new(postgres);
    let storage = opened(&postgres.url("postgres"), clock()).await.unwrap();
    let mut versions = Vec::new();
    for number in 0..WRITERS {
        versions.push(create_one(&storage, &format!("row {number}")).await);
    }
    hold(&postgres, "'row 0', 'row 7', 'row 63'").await;

    let mut writers = JoinSet::new();
    for (number, version) in versions.into_iter().enumerate() {
        let (storage, key) = (Arc::clone(&storage), key(&format!("row {number}")));
        let new = new_value(version, b"2");
        writers.spawn(async move { (number, storage.update(&key, new).await.unwrap()) });
    }
    // Whoever comes while all who write are stuck, and does not wait, was never there.
    let hasty = Deadline::new(Arc::clone(&storage), Duration::from_millis(50));
    let error = hasty.create(&key("hasty"), record(b"1", Millis::NEVER)).await.unwrap_err();
    assert_eq!(error.applied, Applied::Unknown);
    for _ in 0..WRITERS - 3 {
        let (number, update) = writers.join_next().await.unwrap().unwrap();
        assert!(![0, 7, 63].contains(&number), "it was held");
        assert!(matches!(update, Update::Updated(_)), "{update:?}");
    }
    release(&postgres);
    while let Some(updated) = writers.join_next().await {
        assert!(matches!(updated.unwrap().1, Update::Updated(_)));
    }
    assert_eq!(storage.read(&key("hasty"), None).await.unwrap(), Read::Absent);
    let ended = storage.bury(&key("row 0"), burial(None)).await.unwrap();
    assert_eq!(ended, Bury::Buried(Was::Live));
}
