//! Lines that fail, and a server that dies under load.

use std::time::Duration;

use interop::{Postgres, available};
use tokio::time::sleep;

use crate::database::faults::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_fault_of_the_line_or_the_server_undoes_or_invents_anything() {
    let Some(mut server) = available(Postgres::start()).unwrap() else {
        return;
    };
    server.sql("postgres", "CREATE DATABASE faults").unwrap();
    let line = Line::to(&server.url("faults"), server.address()).await;
    an_outage_is_unavailable_and_over_when_it_is_over(&line).await;
    an_unknown_fate_is_learnt_by_asking_again(&line).await;
    a_crowd_is_no_storm(&line).await;
    a_listener_learns_that_it_is_deaf(&line).await;
    writers_lose_nothing(&line, async || {
        for _ in 0..20 {
            sleep(Duration::from_millis(50)).await;
            line.proxy.cut();
        }
    })
    .await;
    writers_lose_nothing(&line, async || {
        sleep(Duration::from_millis(300)).await;
        server.kill().unwrap();
        sleep(Duration::from_millis(300)).await;
        server.restart().unwrap();
        sleep(Duration::from_millis(300)).await;
    })
    .await;
}
