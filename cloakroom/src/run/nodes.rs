//! How this process is called among those that keep sessions on the same storage.

use std::time::Duration;

use cache::Cache;
use tokio::time::timeout;

/// How long the end of the program waits for storage to hear that it leaves. If it does not, its record expires.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(1);

/// `host/process`: several may run on one machine.
pub(super) fn name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = match host.trim() {
        "" => "unnamed",
        host => host,
    };
    format!("{host}/{}", std::process::id())
}

/// Says to the others that this process serves nobody any more.
pub(super) async fn leave(cache: &Cache) {
    match timeout(LEAVE_TIMEOUT, cache.leave()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::info!(%error, "the other nodes are not told that this one stops"),
        Err(_) => tracing::info!("the other nodes are not told that this one stops: storage takes too long"),
    }
}
