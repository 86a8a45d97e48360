//! The whole conformance kit, on one server and on a Cluster.

use std::sync::Arc;

use interop::{Cluster, Redis, available};
use storage::Storage;
use storage::kit::AnyClock;

use super::{Settings, opened, settings};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_server_does_all_of_it() {
    let Some(server) = available(Redis::start()).unwrap() else { return };
    storage::conformance_in_turn!(|clock: AnyClock| async {
        server.say(&["FLUSHALL"]).unwrap();
        (opened(settings(&server.url()), clock).await as Arc<dyn Storage>, ())
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_does_all_of_it() {
    let Some(cluster) = available(Cluster::start()).unwrap() else { return };
    storage::conformance_in_turn!(|clock: AnyClock| async {
        for node in cluster.nodes().iter().take(3) {
            node.say(&["FLUSHALL"]).unwrap();
        }
        let settings = Settings { min_replicas: Some(1), ..settings(&cluster.url()) };
        (opened(settings, clock).await as Arc<dyn Storage>, ())
    });
}
