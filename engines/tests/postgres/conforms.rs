//! The whole conformance kit.

use std::sync::atomic::{AtomicU32, Ordering};

use interop::{Postgres, available};

use crate::database::opened;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_does_what_the_contract_says() {
    let Some(postgres) = available(Postgres::start()).unwrap() else {
        return;
    };
    let number = AtomicU32::new(0);
    let fresh = |clock| {
        let schema = format!("kit{}", number.fetch_add(1, Ordering::Relaxed));
        postgres.sql("postgres", &format!("CREATE SCHEMA {schema}")).unwrap();
        let url = format!("{}?options[search_path]={schema}", postgres.url("postgres"));
        async move { (opened(&url, clock).await.unwrap(), ()) }
    };
    storage::conformance_in_turn!(fresh);
}
