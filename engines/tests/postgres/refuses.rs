//! Bad input at the start: the operator is told what is wrong and what to do, and nothing is changed.

use interop::{Port, Postgres, available};
use storage::kit::{key, record};
use storage::{Create, Read};

use crate::database::opened;
use crate::database::refusals::{assert_says, clock, told, told_with};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_used_is_refused_with_what_to_do() {
    let Some(postgres) = available(Postgres::start()).unwrap() else {
        return;
    };
    let sql = |text: &str| postgres.sql("postgres", text).unwrap();
    let at = postgres.address();
    let of = |schema: &str| {
        sql(&format!("CREATE SCHEMA {schema}"));
        format!("{}?options[search_path]={schema}", postgres.url("postgres"))
    };

    // Nobody listens, or somebody who is no PostgreSQL.
    let nobody = Port::claim().unwrap();
    let text = told(&format!("postgres://admin@{}/postgres", nobody.address())).await;
    assert_says(&text, &["storage database", "refused", "see that the server runs"]);
    assert_says(&told(&format!("postgres://admin@{at}/nowhere")).await, &["nowhere", "create the database"]);

    sql("CREATE USER guarded PASSWORD 'right'");
    let guarded = format!("postgres://guarded@{at}/postgres");
    assert_says(&told_with(&guarded, "hush").await.unwrap_err(), &["password_file"]);
    assert!(!told_with(&guarded, "hush").await.unwrap_err().contains("hush"));
    // The password is right, and the user may not make tables.
    assert_says(&told_with(&guarded, "right").await.unwrap_err(), &["permission denied", "grant the rights"]);
    assert_says(&told("postgres://admin@127.0.0.1/x?sslmode=nonsense").await, &["mend the `url`"]);
    let tls = format!("postgres://admin@{at}/postgres?sslmode=verify-full");
    assert_says(&told(&tls).await, &["encrypted", "ca_file"]);

    let nothing = format!("{}?options[search_path]=nowhere", postgres.url("postgres"));
    assert_says(&told(&nothing).await, &["no schema that this user may use", "options[search_path]"]);
    sql("CREATE DATABASE old ENCODING 'LATIN1' TEMPLATE template0");
    assert_says(&told(&postgres.url("old")).await, &["LATIN1", "ENCODING 'UTF8'"]);

    // Tables of other programs, with and without a table that counts.
    let foreign = of("foreign_record");
    sql("CREATE TABLE foreign_record.cloakroom_record (id integer)");
    assert_says(&told(&foreign).await, &["not ours", "rename that table"]);
    let foreign = of("foreign_schema");
    sql("CREATE TABLE foreign_schema.cloakroom_schema (name text)");
    assert_says(&told(&foreign).await, &["not ours"]);
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname LIKE 'foreign%'";
    assert_eq!(sql(tables), "2", "something was made beside them");

    let newer = of("newer");
    drop(opened(&newer, clock()).await.unwrap());
    sql("INSERT INTO newer.cloakroom_schema (version) VALUES (99)");
    assert_says(&told(&newer).await, &["schema 99", "knows up to 2", "use that one"]);

    let broken = of("broken");
    drop(opened(&broken, clock()).await.unwrap());
    sql("DROP VIEW broken.cloakroom_readable; DROP TABLE broken.cloakroom_record");
    assert_says(&told(&broken).await, &["cloakroom_record", "put a backup back"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_schema_becomes_a_newer_one_and_many_who_come_at_once_make_one() {
    let Some(postgres) = available(Postgres::start()).unwrap() else {
        return;
    };
    let url = postgres.url("postgres");
    let nodes = futures_util::future::join_all((0..6).map(|_| opened(&url, clock()))).await;
    let [first, .., last] = &nodes[..] else { panic!("there are six") };
    let first = first.as_ref().unwrap();
    let Create::Created(_) = first.create(&key("a"), record(b"1", session::Millis::NEVER)).await.unwrap()
    else {
        panic!("not created")
    };
    assert!(matches!(last.as_ref().unwrap().read(&key("a"), None).await.unwrap(), Read::Found(_)));
    let steps =
        || postgres.sql("postgres", "SELECT string_agg(version::text, ',') FROM cloakroom_schema").unwrap();
    assert_eq!(steps(), "1,2");
    // As the first schema was.
    postgres
        .sql("postgres", "DROP VIEW cloakroom_readable; DELETE FROM cloakroom_schema WHERE version = 2")
        .unwrap();
    let after = opened(&url, clock()).await.unwrap();
    assert!(matches!(after.read(&key("a"), None).await.unwrap(), Read::Found(_)));
    assert_eq!(steps(), "1,2");
    let shown =
        postgres.sql("postgres", "SELECT context, name, expires, bytes FROM cloakroom_readable").unwrap();
    assert_eq!(shown, "kit|a|infinity|1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_only_serves_needs_no_right_to_make_tables() {
    let Some(postgres) = available(Postgres::start()).unwrap() else {
        return;
    };
    drop(opened(&postgres.url("postgres"), clock()).await.unwrap());
    // As the book says it.
    postgres
        .sql(
            "postgres",
            "CREATE USER serving; GRANT USAGE ON SCHEMA public TO serving; \
             GRANT SELECT ON cloakroom_schema TO serving; \
             GRANT SELECT, INSERT, UPDATE, DELETE ON cloakroom_record TO serving; \
             GRANT SELECT, USAGE, UPDATE ON SEQUENCE cloakroom_version TO serving",
        )
        .unwrap();
    let url = format!("postgres://serving@{}/postgres", postgres.address());
    let serving = opened(&url, clock()).await.unwrap();
    drop(serving.watch(None).await.unwrap());
    serving.create(&key("a"), record(b"1", session::Millis::NEVER)).await.unwrap();
    serving.bury(&key("a"), storage::kit::burial(Some(session::Millis::NEVER))).await.unwrap();
    assert_eq!(serving.reap(session::Millis(1), 10).await.unwrap(), 0);
}
