//! The whole conformance kit.

use std::sync::atomic::{AtomicU32, Ordering};

use interop::{MariaDb, available};

use crate::database::opened;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_does_what_the_contract_says() {
    let Some(mariadb) = available(MariaDb::start()).unwrap() else {
        return;
    };
    let number = AtomicU32::new(0);
    let fresh = |clock| {
        let database = format!("kit{}", number.fetch_add(1, Ordering::Relaxed));
        mariadb.sql("mysql", &format!("CREATE DATABASE {database}")).unwrap();
        let url = mariadb.url(&database);
        async move { (opened(&url, clock).await.unwrap(), ()) }
    };
    storage::conformance_in_turn!(fresh);
}
