//! Going on by a changed configuration, without a restart.
//!
//! All of it or nothing: whatever is wrong in the file, in a file that it names, or cannot be changed while the process
//! runs, is told, and everything stays as it was. So what runs is always what some file said in full.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gateway::Gateway;
use gateway::login::Verifiers;
use gateway::pages::Pages;
use listener::tls::Tls;
use miette::{IntoDiagnostic, WrapErr, miette};
use parking_lot::Mutex;
use tokio::signal::unix::Signal;

use super::keys::KeptKeys;
use super::notify;
use crate::configuration::{Configuration, Loaded};
use crate::logs::{AuditFile, Level};
use crate::report;

/// Begins of the names of keys that a running process cannot follow.
const FIXED: [&str; 9] =
    ["data_dir", "listen.", "client.", "storage.", "cache.", "log.format", "traces.", "audit.", "llng."];

/// What a reload needs and changes.
#[derive(Debug)]
pub(super) struct Reloading {
    /// The configuration; none for the demonstration.
    pub(super) file: Option<PathBuf>,
    pub(super) gateway: Option<Arc<Gateway>>,
    pub(super) keys: KeptKeys,
    /// Their files are read again.
    pub(super) tls: Vec<Arc<Tls>>,
    pub(super) verifiers: Verifiers,
    pub(super) level: Option<Level>,
    pub(super) audit: Option<AuditFile>,
    /// What holds. Locked by the one reload that goes on.
    pub(super) now: Mutex<Loaded>,
}

impl Reloading {
    /// Reads the configuration again, and goes on by it if all of it is right. Both answers are for people; the log has
    /// them as well.
    pub(super) async fn reload(self: Arc<Self>) -> Result<String, String> {
        notify::reloading();
        // It reads files.
        let reloaded = tokio::task::spawn_blocking(move || self.reload_now()).await;
        notify::ready();
        reloaded.unwrap_or_else(|error| Err(format!("the reload broke off: {error}")))
    }

    /// Whether this process runs by that file.
    pub(super) fn is_by(&self, asked: &Path) -> Result<(), String> {
        let same = |own: &Path| own == asked || own.canonicalize().ok() == asked.canonicalize().ok();
        match &self.file {
            Some(own) if !same(own) => Err(format!(
                "the running Cloakroom was started with {}, and not with {}",
                own.display(),
                asked.display()
            )),
            _ => Ok(()),
        }
    }

    fn reload_now(&self) -> Result<String, String> {
        let mut now = self.now.lock();
        match self.apply(&now) {
            Ok(loaded) => {
                let changed = now.differences(&loaded);
                let text = match changed.as_slice() {
                    [] => "reloaded: nothing in the configuration has changed".to_owned(),
                    changed => format!("reloaded: {} changed", listed(changed)),
                };
                for warning in &loaded.warnings {
                    tracing::warn!("{warning}; {}", warning.cure);
                }
                tracing::info!("{text}");
                *now = loaded;
                Ok(text)
            }
            Err(refused) => {
                for line in report::lines(&refused) {
                    tracing::error!("{line}");
                }
                tracing::error!("the configuration was not reloaded: what ran before goes on");
                Err(report::drawn(&refused))
            }
        }
    }

    fn apply(&self, now: &Loaded) -> miette::Result<Loaded> {
        let Some(file) = &self.file else {
            return Err(miette!(
                "the demonstration runs without a configuration: there is nothing to reload"
            ));
        };
        let loaded = Configuration::load(file)?;
        check(now, &loaded)?;
        let configuration = &loaded.configuration;
        let keys = self.keys.read(configuration)?;
        if let Some(audit) = &self.audit {
            let cannot = || format!("the audit cannot be written to {}", audit.path().display());
            audit.reopen().into_diagnostic().wrap_err_with(cannot)?;
        }
        for tls in &self.tls {
            tls.reload().into_diagnostic()?;
        }
        if let Some(gateway) = &self.gateway {
            let pages = Pages::built_in().into_diagnostic()?;
            let before = |application: &str| gateway.login(application);
            let settings =
                super::gateway_settings(configuration, self.keys.shared(), pages, &self.verifiers, &before)?;
            gateway.reload(settings).into_diagnostic()?;
        }
        self.keys.take_over(keys);
        if let Some(level) = &self.level {
            level.set(&configuration.log.level)?;
        }
        Ok(loaded)
    }
}

/// Reloads whenever SIGHUP asks for it, until it is dropped. The verdict is in the log.
pub(super) async fn at_hangup(mut hangup: Signal, reloading: Arc<Reloading>) {
    while hangup.recv().await.is_some() {
        // Whoever waits for an answer asks by the control socket.
        let _ = Arc::clone(&reloading).reload().await;
    }
}

/// Whether a running process can follow.
fn check(now: &Loaded, next: &Loaded) -> miette::Result<()> {
    let fixed: Vec<String> = now
        .differences(next)
        .into_iter()
        .filter(|key| FIXED.iter().any(|fixed| key.starts_with(fixed)))
        .collect();
    if !fixed.is_empty() {
        return Err(miette!(
            help = "put the old value back, or restart Cloakroom",
            "{} cannot change while Cloakroom runs",
            listed(&fixed)
        ));
    }
    if now.configuration.applications.is_empty() != next.configuration.applications.is_empty() {
        return Err(miette!(
            help = "restart Cloakroom",
            "with the first application the gateway begins, and with the last it ends: that takes a restart",
        ));
    }
    Ok(())
}

fn listed(keys: &[String]) -> String {
    let quoted: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    quoted.join(", ")
}
