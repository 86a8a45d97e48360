//! Redis as an engine, against real servers.

#![cfg(feature = "redis")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "these are tests"
)]

#[path = "redis/conformance.rs"]
mod conformance;
#[path = "redis/failover.rs"]
mod failover;
#[path = "redis/faults.rs"]
mod faults;
#[path = "redis/opening.rs"]
mod opening;

use std::sync::Arc;
use std::time::Duration;

use cloakroom_engines::redis::{Redis as Engine, Settings};
use session::Clock;

/// How long an operation may take in the tests.
const DEADLINE: Duration = Duration::from_secs(3);

/// How the engine reaches what that URL says.
fn settings(url: &str) -> Settings {
    Settings {
        url: url.parse().unwrap(),
        password: None,
        sentinel_password: None,
        authority: None,
        connect_timeout: DEADLINE,
        prefix: "cloakroom".to_owned(),
        min_replicas: None,
        deadline: DEADLINE,
        danger_accept_eviction: false,
    }
}

async fn opened(settings: Settings, clock: Arc<dyn Clock>) -> Arc<Engine> {
    Arc::new(Engine::open("shared", settings, clock).await.unwrap())
}
