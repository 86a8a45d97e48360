//! Storage engines over servers that run for a measurement, opened as the program opens them.

use std::sync::Arc;
use std::time::Duration;

use engines::redis::{Redis, Settings as RedisSettings};
use engines::sql;
use session::{Clock, SystemClock};
use storage::Storage;

use crate::error::{Error, Result};

/// How long anything may take. Generous: a run is to be slow where the machine is, and to fail only where something is
/// wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How many connections a pool to a database has, whoever uses it.
pub(crate) const CONNECTIONS: u32 = 16;

/// The time by which engines judge.
pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::default())
}

/// Over the Redis at `url`.
pub(crate) async fn redis(url: &str) -> Result<Arc<dyn Storage>> {
    let settings = RedisSettings {
        url: url.parse().map_err(|error| Error::Load(format!("{url}: {error}")))?,
        password: None,
        sentinel_password: None,
        authority: None,
        prefix: "cloakroom".to_owned(),
        min_replicas: None,
        connect_timeout: PATIENCE,
        deadline: PATIENCE,
        danger_accept_eviction: false,
    };
    Ok(Arc::new(Redis::open("redis", settings, clock()).await?))
}

/// Over the database at `url`.
pub(crate) async fn sql(id: &str, url: &str) -> Result<Arc<dyn Storage>> {
    let settings = sql::Settings {
        address: sql::Address::parse(url).map_err(|error| Error::Load(format!("{url}: {error}")))?,
        password_file: None,
        ca_file: None,
        max_connections: CONNECTIONS,
        connect_timeout: PATIENCE,
        poll_interval: Duration::from_millis(50),
    };
    Ok(sql::open(id, &settings, clock()).await?)
}
