//! Bad input at the start: the operator is told what is wrong and what to do, and nothing is changed.

use interop::{MariaDb, Port, available};
use storage::Read;
use storage::kit::{key, record};

use crate::database::opened;
use crate::database::refusals::{assert_says, clock, told, told_with};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_used_is_refused_with_what_to_do() {
    let Some(mariadb) = available(MariaDb::start()).unwrap() else {
        return;
    };
    let sql = |text: &str| mariadb.sql("mysql", text).unwrap();
    let at = mariadb.address();
    let of = |database: &str| {
        sql(&format!("CREATE DATABASE {database}"));
        mariadb.url(database)
    };

    let nobody = Port::claim().unwrap();
    let text = told(&format!("mariadb://admin@{}/x", nobody.address())).await;
    assert_says(&text, &["storage database", "refused", "see that the server runs"]);
    assert_says(&told(&mariadb.url("nowhere")).await, &["nowhere", "create the database"]);

    let guarded = of("guarded").replace("admin", "guarded");
    sql(
        "CREATE USER guarded@'127.0.0.1' IDENTIFIED BY 'right'; GRANT SELECT ON guarded.* TO guarded@'127.0.0.1'",
    );
    assert_says(&told_with(&guarded, "hush").await.unwrap_err(), &["password_file"]);
    assert!(!told_with(&guarded, "hush").await.unwrap_err().contains("hush"));
    // The password is right, and the user may not make tables.
    assert_says(&told_with(&guarded, "right").await.unwrap_err(), &["denied", "grant the rights"]);
    let tls = format!("mysql://admin@{at}/mysql?ssl-mode=VERIFY_IDENTITY");
    assert_says(&told(&tls).await, &["encrypted", "ca_file"]);

    // Tables of other programs, with and without a table that counts.
    let foreign = of("foreign_record");
    sql("CREATE TABLE foreign_record.cloakroom_record (id integer)");
    assert_says(&told(&foreign).await, &["not ours", "rename that table"]);
    let foreign = of("foreign_schema");
    sql("CREATE TABLE foreign_schema.cloakroom_schema (name text)");
    assert_says(&told(&foreign).await, &["not ours"]);
    let tables = "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA LIKE 'foreign%'";
    assert_eq!(sql(tables), "2", "something was made beside them");

    let newer = of("newer");
    drop(opened(&newer, clock()).await.unwrap());
    sql("INSERT INTO newer.cloakroom_schema (version) VALUES (99)");
    assert_says(&told(&newer).await, &["schema 99", "knows up to 2", "use that one"]);

    let broken = of("broken");
    drop(opened(&broken, clock()).await.unwrap());
    sql("DROP TABLE broken.cloakroom_record");
    assert_says(&told(&broken).await, &["cloakroom_record", "put a backup back"]);

    // Many who come at once make one, and an older schema becomes a newer one.
    let url = of("shared");
    let nodes = futures_util::future::join_all((0..6).map(|_| opened(&url, clock()))).await;
    let [first, .., last] = &nodes[..] else { panic!("there are six") };
    first.as_ref().unwrap().create(&key("a"), record(b"1", session::Millis::NEVER)).await.unwrap();
    assert!(matches!(last.as_ref().unwrap().read(&key("a"), None).await.unwrap(), Read::Found(_)));
    let steps = || sql("SELECT GROUP_CONCAT(version) FROM shared.cloakroom_schema");
    assert_eq!(steps(), "1,2");
    sql("DROP VIEW shared.cloakroom_readable; DELETE FROM shared.cloakroom_schema WHERE version = 2");
    let after = opened(&url, clock()).await.unwrap();
    assert!(matches!(after.read(&key("a"), None).await.unwrap(), Read::Found(_)));
    assert_eq!(steps(), "1,2");
    assert_eq!(sql("SELECT context, name, bytes FROM shared.cloakroom_readable"), "kit\t61\t1");
}
