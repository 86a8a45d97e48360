//! Opens Redis as the configuration says.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use engines::redis::{Redis as Engine, Settings};
use miette::{Context as _, IntoDiagnostic as _, miette};
use session::Clock;
use storage::Storage;
use zeroize::Zeroizing;

use crate::configuration::Redis;

/// Opens it for the storage service `id`, whose operations may take `deadline`.
pub(super) async fn open(
    id: &str,
    redis: &Redis,
    deadline: Duration,
    clock: Arc<dyn Clock>,
) -> miette::Result<Arc<dyn Storage>> {
    let password = |file: &Option<PathBuf>| file.as_deref().map(password).transpose();
    let settings = Settings {
        url: redis.url.clone(),
        password: password(&redis.password_file)?,
        sentinel_password: password(&redis.sentinel_password_file)?,
        authority: redis.ca_file.as_deref().map(read).transpose()?.map(|text| text.as_bytes().to_vec()),
        connect_timeout: redis.connect_timeout.min(deadline),
        prefix: redis.prefix.clone(),
        min_replicas: redis.min_replicas.and_then(|count| usize::try_from(count).ok()),
        deadline,
        danger_accept_eviction: redis.danger_accept_eviction,
    };
    Ok(Arc::new(Engine::open(id, settings, clock).await.into_diagnostic()?))
}

/// The first line of a file. Editors end it with a line feed that is not part of the password.
fn password(file: &Path) -> miette::Result<Zeroizing<String>> {
    let text = read(file)?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        return Err(miette!("{} holds no password; write it into its first line", file.display()));
    }
    Ok(Zeroizing::new(line.to_owned()))
}

fn read(file: &Path) -> miette::Result<Zeroizing<String>> {
    let text = fs::read_to_string(file).into_diagnostic();
    text.map(Zeroizing::new).wrap_err_with(|| format!("{} cannot be read", file.display()))
}
