//! The storage service of a configuration, opened.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use client::{LinkSettings, Token};
use connector::tls::Tls;
use engines::embedded::HandOver;
use engines::remote::{Remote, RemoteSettings};
use miette::{IntoDiagnostic, WrapErr, miette};
use seal::Keys;
use server::Right;
use session::Clock;
use storage::{Deadline, Memory, Sealed, Shared, Storage};

use super::{clients, redis, upstream};
use crate::configuration::{self, Configuration, Engine};

/// Opens the storage service that the session cache uses. An embedded one can be handed over.
pub(super) async fn open(
    configuration: &Configuration,
    keys: &Arc<Keys>,
    claim: Option<File>,
    clock: Arc<dyn Clock>,
) -> miette::Result<(Arc<dyn Storage>, Option<HandOver>)> {
    let id = &configuration.cache.storage;
    let storage = configuration.storage.iter().find(|storage| storage.id == *id);
    let deadline = configuration.cache.deadline;
    let (engine, hand_over): (Arc<dyn Storage>, _) = match storage.map(|storage| &storage.engine) {
        Some(Engine::Memory { max_bytes }) => {
            (Arc::new(Memory::new(id, clock, usize::try_from(*max_bytes).unwrap_or(usize::MAX))), None)
        }
        Some(Engine::Embedded) | None => {
            let folder = configuration.data_dir.join("storage").join(id);
            let engine = HandOver::open(id, &folder, claim, clock).await.into_diagnostic()?;
            (engine.storage(), Some(engine))
        }
        Some(Engine::Sql(settings)) => {
            (engines::sql::open(id, settings, clock).await.into_diagnostic()?, None)
        }
        Some(Engine::Redis(redis)) => (redis::open(id, redis, deadline, clock).await?, None),
        Some(Engine::Remote(remote)) => {
            let unusable = || format!("the storage `{id}` cannot be used as it is configured");
            let settings = remote_settings(remote, deadline).wrap_err_with(unusable)?;
            (Arc::new(Remote::open(id, settings).await.into_diagnostic()?), None)
        }
    };
    let engine: Arc<dyn Storage> = match storage.and_then(|storage| storage.seal) {
        Some(plain) => Arc::new(Sealed::new(engine, Arc::clone(keys), plain)),
        None => engine,
    };
    let engine: Arc<dyn Storage> = Arc::new(Deadline::new(engine, deadline));
    // What is offered to others, others change.
    let is_offered = configuration.clients.iter().any(|client| client.may.contains(&Right::Storage));
    Ok((if is_offered { Arc::new(Shared::new(engine)) } else { engine }, hand_over))
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
