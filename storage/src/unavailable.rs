//! The one error: the service could not answer.

use std::sync::Arc;
use std::time::Duration;

/// An error of whatever library failed.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The service could not answer. Never a reason to tell a visitor that a session is over (law 3).
#[derive(Debug, thiserror::Error)]
#[error("storage {storage} is unavailable: {cause}")]
pub struct Unavailable {
    /// The `id` from the configuration, so that an operator finds the one that is meant.
    pub storage: Arc<str>,
    /// Whether the change may have taken effect all the same.
    pub applied: Applied,
    /// Who must do something about it.
    pub blame: Blame,
    /// When to try again, if that can help at all.
    pub retry_after: Option<Duration>,
    /// What failed.
    #[source]
    pub cause: BoxError,
}

/// Whether a change that was not answered may have taken effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// Certainly not.
    No,
    /// Nobody knows. A retry presents the same [`WriteId`](crate::WriteId) and so recognises its own success.
    Unknown,
}

/// Who must do something about a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// Whoever asked: what they asked for cannot be done, now or later.
    Caller,
    /// The storage service: it is down, full, or broken.
    Storage,
    /// What lies between.
    Network,
}

impl Unavailable {
    /// The deadline passed. What the service did with the request is not known.
    #[must_use]
    pub fn deadline(storage: &Arc<str>, after: Duration) -> Self {
        Self {
            storage: Arc::clone(storage),
            applied: Applied::Unknown,
            blame: Blame::Storage,
            retry_after: Some(Duration::from_secs(1)),
            cause: format!("no answer within {} ms", after.as_millis()).into(),
        }
    }

    /// The service failed before anything was changed.
    pub fn failed(storage: &Arc<str>, cause: impl Into<BoxError>) -> Self {
        Self {
            storage: Arc::clone(storage),
            applied: Applied::No,
            blame: Blame::Storage,
            retry_after: Some(Duration::from_secs(1)),
            cause: cause.into(),
        }
    }

    /// The service failed, and whether it did what was asked is not known.
    pub fn unknown(storage: &Arc<str>, cause: impl Into<BoxError>) -> Self {
        Self { applied: Applied::Unknown, ..Self::failed(storage, cause) }
    }

    /// What was asked cannot be done, now or later.
    pub fn refused(storage: &Arc<str>, cause: impl Into<BoxError>) -> Self {
        Self { blame: Blame::Caller, retry_after: None, ..Self::failed(storage, cause) }
    }
}
