//! Being told to stop.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::notify;

/// Somebody may say stop, once, to all who wait for it.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    said: watch::Sender<bool>,
}

impl Stop {
    pub(super) fn new() -> Self {
        Self { said: watch::Sender::new(false) }
    }

    /// SIGTERM and SIGINT (Ctrl-C) say stop; a second one ends the process at once.
    pub(super) fn at_signals() -> io::Result<Self> {
        let stop = Self::new();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let said = stop.clone();
        tokio::spawn(async move {
            let mut is_first = true;
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if !is_first {
                    tracing::warn!("told to stop a second time: requests under way are cut off");
                    std::process::exit(1);
                }
                is_first = false;
                tracing::info!("told to stop; requests under way may end");
                notify::stopping();
                said.now();
            }
        });
        Ok(stop)
    }

    pub(super) fn now(&self) {
        self.said.send_replace(true);
    }

    pub(super) async fn wait(self) {
        // The sender is in our own hands, so it does not go before it has spoken.
        let _ = self.said.subscribe().wait_for(|said| *said).await;
    }
}
