//! The storage services of a configuration, opened.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use client::{LinkSettings, Token};
use connector::tls::Tls;
use engines::OpenError;
use engines::embedded::HandOver;
use engines::remote::{Remote, RemoteSettings};
use miette::{IntoDiagnostic, WrapErr, miette};
use seal::Keys;
use server::Right;
use session::Clock;
use storage::{Deadline, Memory, Migrating, Sealed, Shared, Storage};

use super::{clients, redis, upstream};
use crate::configuration::{self, Configuration, Engine};

/// An engine that could not be opened, for whoever wants to know why.
#[derive(Debug, thiserror::Error, miette::Diagnostic)]
#[error(transparent)]
pub(crate) struct NotOpened(pub(crate) OpenError);

/// The storage services that the session cache uses.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) storage: Arc<dyn Storage>,
    /// The one for logout data, if that is another one.
    pub(super) aside: Option<Arc<dyn Storage>>,
    /// If one of them is embedded it can be handed over.
    pub(super) hand_over: Option<HandOver>,
    /// If everything moves to it from another one.
    pub(super) migrating: Option<Arc<Migrating>>,
}

/// Opens the storage services that the session cache uses.
pub(super) async fn open(
    configuration: &Configuration,
    keys: &Arc<Keys>,
    claim: Option<File>,
    clock: Arc<dyn Clock>,
) -> miette::Result<Opened> {
    let id = &configuration.cache.storage;
    // Of the two one is embedded at most where one is claimed: see `can_take_over`.
    let is_claimed = matches!(configured(configuration, id)?.engine, Engine::Embedded);
    let (claim, claim_aside) = if is_claimed { (claim, None) } else { (None, claim) };
    let (mut storage, mut hand_over) = of(configuration, id, keys, claim, Arc::clone(&clock)).await?;
    let mut aside = None;
    if let Some(lite) = lite(configuration) {
        let (opened, handed) = of(configuration, lite, keys, claim_aside, Arc::clone(&clock)).await?;
        hand_over = hand_over.or(handed);
        aside = Some(opened);
    }
    let mut migrating = None;
    if let Some(old) = &configured(configuration, id)?.migrate_from {
        let (old, _) = of(configuration, old, keys, None, Arc::clone(&clock)).await?;
        let both = Arc::new(Migrating::new(storage, old, cache::ENDS, clock));
        // What takes several operations of the two is answered as soon as one of a single one.
        storage = Arc::new(Deadline::new(Arc::clone(&both) as _, configuration.cache.deadline));
        migrating = Some(both);
    }
    // What is offered to others, others change.
    if configuration.clients.iter().any(|client| client.may.contains(&Right::Storage)) {
        storage = Arc::new(Shared::new(storage));
        aside = aside.map(|aside| Arc::new(Shared::new(aside)) as _);
    }
    Ok(Opened { storage, aside, hand_over, migrating })
}

/// The id of the storage service for logout data, if that is another one than that of the sessions.
pub(crate) fn lite(configuration: &Configuration) -> Option<&str> {
    let cache = &configuration.cache;
    (cache.storage_lite != cache.storage).then_some(&cache.storage_lite)
}

/// Whether this process could take over from one that runs.
///
/// # Errors
/// Its sessions move from another storage. The process before would go on changing what has moved already, for a moment,
/// and of an embedded storage this one would not hear of it: an end could be lost.
pub(super) fn can_take_over(configuration: &Configuration) -> miette::Result<()> {
    let is_embedded =
        |id: &str| configured(configuration, id).map(|storage| matches!(storage.engine, Engine::Embedded));
    if let Some(lite) = lite(configuration)
        && is_embedded(lite)?
        && is_embedded(&configuration.cache.storage)?
    {
        return Err(miette!(
            help = "restart Cloakroom without `--take-over`; or keep logout data in the storage of the sessions, which is as durable",
            "`{}` and `{lite}` are both embedded, and a process takes over one embedded storage only",
            configuration.cache.storage
        ));
    }
    match &configured(configuration, &configuration.cache.storage)?.migrate_from {
        None => Ok(()),
        Some(old) => Err(miette!(
            help = "restart Cloakroom without `--take-over`; visitors wait for that moment, and nobody is logged out",
            "as long as sessions move from `{old}` (`migrate_from`), no process can take over from another"
        )),
    }
}

/// Opens the storage service `id`, whoever uses it: as it is configured, sealed or not, each operation within the deadline.
pub(crate) async fn of(
    configuration: &Configuration,
    id: &str,
    keys: &Arc<Keys>,
    claim: Option<File>,
    clock: Arc<dyn Clock>,
) -> miette::Result<(Arc<dyn Storage>, Option<HandOver>)> {
    let (engine, hand_over) = engine(configuration, id, claim, clock).await?;
    let engine: Arc<dyn Storage> = match configured(configuration, id)?.seal {
        Some(plain) => Arc::new(Sealed::new(engine, Arc::clone(keys), plain)),
        None => engine,
    };
    Ok((Arc::new(Deadline::new(engine, configuration.cache.deadline)), hand_over))
}

/// What the configuration says of the storage service `id`.
pub(crate) fn configured<'c>(
    configuration: &'c Configuration,
    id: &str,
) -> miette::Result<&'c configuration::Storage> {
    let storage = configuration.storage.iter().find(|storage| storage.id == *id);
    storage.ok_or_else(|| {
        let ids: Vec<String> = configuration.storage.iter().map(|other| format!("`{}`", other.id)).collect();
        miette!(
            help = format!("name one that has a `[[storage]]`: {}", ids.join(", ")),
            "there is no storage `{id}` in this configuration"
        )
    })
}

/// Opens the engine of the storage service `id`: what is sealed there stays so, and nobody looks at the clock.
pub(crate) async fn engine(
    configuration: &Configuration,
    id: &str,
    claim: Option<File>,
    clock: Arc<dyn Clock>,
) -> miette::Result<(Arc<dyn Storage>, Option<HandOver>)> {
    let deadline = configuration.cache.deadline;
    Ok(match &configured(configuration, id)?.engine {
        Engine::Memory { max_bytes } => {
            (Arc::new(Memory::new(id, clock, usize::try_from(*max_bytes).unwrap_or(usize::MAX))), None)
        }
        Engine::Embedded => {
            let folder = configuration.data_dir.join("storage").join(id);
            let engine = HandOver::open(id, &folder, claim, clock).await.map_err(NotOpened)?;
            (engine.storage(), Some(engine))
        }
        Engine::Sql(settings) => (engines::sql::open(id, settings, clock).await.map_err(NotOpened)?, None),
        Engine::Redis(redis) => (redis::open(id, redis, deadline, clock).await?, None),
        Engine::Remote(remote) => {
            let unusable = || format!("the storage `{id}` cannot be used as it is configured");
            let settings = remote_settings(remote, deadline).wrap_err_with(unusable)?;
            (Arc::new(Remote::open(id, settings).await.into_diagnostic()?), None)
        }
    })
}

/// Whether the files can be read that hold certificates and tokens.
pub(super) fn credentials(configuration: &Configuration) -> miette::Result<()> {
    for storage in &configuration.storage {
        if let Engine::Remote(remote) = &storage.engine {
            let unusable = || format!("the storage `{}` cannot be used as it is configured", storage.id);
            remote_settings(remote, configuration.cache.deadline).wrap_err_with(unusable)?;
        }
    }
    Ok(())
}

fn remote_settings(remote: &configuration::Remote, deadline: Duration) -> miette::Result<RemoteSettings> {
    let address = upstream::address(&remote.url)?;
    let tls = match &address {
        connector::Address::Https(_) => {
            Some(Arc::new(Tls::new(&upstream::tls(&remote.tls)?, true).into_diagnostic()?))
        }
        connector::Address::Http(_) | connector::Address::Unix(_) => None,
    };
    let token = match &remote.bearer_file {
        Some(file) => {
            let token = clients::token(file)?;
            Some(Token::new(&token).ok_or_else(|| miette!("{} holds no token", file.display()))?)
        }
        None => None,
    };
    let link = LinkSettings { address, tls, token, connect_timeout: remote.connect_timeout.min(deadline) };
    Ok(RemoteSettings { link, service: remote.service.as_str().into(), deadline })
}
