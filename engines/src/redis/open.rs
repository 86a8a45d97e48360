//! Opening the records in Redis: everything that an operator must mend is found here, before anybody needs it.

use std::sync::Arc;
use std::time::Duration;

use session::Clock;
use storage::Blame;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::Redis;
use super::dial::Dial;
use super::fault::{Fault, Kind};
use super::keys::Keys;
use super::link::Up;
use super::listen::Listening;
use super::servers::Servers;
use super::url::Url;
use crate::OpenError;

/// How long an operation may take at least: less is less than a connection takes.
const LEAST: Duration = Duration::from_millis(10);

/// How records in Redis are reached. `Debug` shows no secrets.
#[derive(Clone)]
pub struct Settings {
    /// Where Redis is.
    pub url: Url,
    /// The password, if it does not stand in the URL.
    pub password: Option<Zeroizing<String>>,
    /// The password of the Sentinels, if they have one.
    pub sentinel_password: Option<Zeroizing<String>>,
    /// Who signs the certificates of the servers, in PEM; nothing for whoever the system trusts.
    pub authority: Option<Vec<u8>>,
    /// What the names of all keys begin with.
    pub prefix: String,
    /// How many replicas must have an end before it is acknowledged; nothing for all that there are.
    pub min_replicas: Option<usize>,
    /// How long each step of a connection may take.
    pub connect_timeout: Duration,
    /// How long an operation may take.
    pub deadline: Duration,
    /// Whether a server is used that throws away what it keeps when its memory is full.
    pub danger_accept_eviction: bool,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("url", &self.url)
            .field("prefix", &self.prefix)
            .field("min_replicas", &self.min_replicas)
            .field("deadline", &self.deadline)
            .field("danger_accept_eviction", &self.danger_accept_eviction)
            .finish_non_exhaustive()
    }
}

impl Redis {
    /// Connects to Redis for the storage service `id`, and looks whether it can be used. Must be called within a tokio
    /// runtime, in which the tasks that keep connections will live.
    pub async fn open(id: &str, settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let id: Arc<str> = id.into();
        let Settings { url, password, sentinel_password, authority, prefix, .. } = settings;
        let dial = Dial::new(&url, password, authority);
        let sentinels = dial.for_sentinels(sentinel_password);
        // Told before whoever asked gives up by themselves.
        let patience = (settings.deadline - settings.deadline / 10).max(LEAST);
        let database = url.database.into();
        let connect_timeout = settings.connect_timeout.max(LEAST);
        let servers =
            Servers::new(url.servers, dial, sentinels, connect_timeout, patience, settings.min_replicas);
        let seen = look(&servers, settings.danger_accept_eviction).await;
        let is_durable =
            seen.map_err(|fault| OpenError { storage: Arc::clone(&id), problem: fault.problem() })?;
        let servers = Arc::new(servers);
        let keys = Keys::new(&prefix, database, servers.is_cluster());
        let listening = Listening::new(&servers, keys.channel().to_owned());
        Ok(Self { id, clock, keys, servers, listening, is_durable })
    }
}

/// Whether everything that is acknowledged is on a disk, at every primary.
async fn look(servers: &Servers, danger_accept_eviction: bool) -> Result<bool, Fault> {
    let until = Instant::now() + servers.patience();
    let map = servers.known(until).await?;
    let mut is_durable = true;
    for node in &map.primaries {
        let Up { seen, .. } = node.up(until).await?;
        if let (Some(policy), false) = (&seen.eviction, danger_accept_eviction) {
            let what = format!(
                "it throws away sessions and ends when its memory is full (`maxmemory-policy {policy}`)"
            );
            let fault = Fault::new(node.address(), Kind::Lasting, what);
            return Err(fault.with_cure(
                "set `maxmemory-policy noeviction` there, or accept it with `danger_accept_eviction = true`",
            ));
        }
        if seen.is_cluster && !servers.is_cluster() {
            let fault = Fault::new(node.address(), Kind::Lasting, "it is a node of a Cluster");
            return Err(fault.with_cure("say `redis-cluster://` in `url`"));
        }
        is_durable &= seen.is_durable.unwrap_or(false);
    }
    if map.primaries.is_empty() {
        return Err(Fault::new(&"nobody", Kind::Unreachable(Blame::Network), "there is no primary"));
    }
    Ok(is_durable)
}
