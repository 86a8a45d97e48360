//! What an application says of sessions that are opened for it, whoever opens them or presents their tickets: a visitor, or a
//! program for one.

use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use session::{AddressRule, Handle};

use crate::{Application, Cache, SessionLimit};

/// By what an application bounds the sessions that are opened for it.
#[derive(Debug, Clone)]
pub struct Openings {
    /// Whose sessions they are, and by which bounds they are judged.
    pub judge: Application,
    /// How many one person may have. Where people could be asked, a program cannot: then one more is refused.
    pub limit: Option<SessionLimit>,
    /// How many there may be from one address.
    pub newcomers: Arc<dyn Newcomers>,
    /// From where they may be used.
    pub addresses: Whereabouts,
}

/// From where sessions of an application may be used, and what becomes of one that is used from elsewhere.
#[derive(Debug, Clone, Default)]
pub struct Whereabouts {
    /// What is compared.
    pub rule: AddressRule,
    /// Whether it ends; else only that use is refused.
    pub ends_elsewhere: bool,
}

/// Counts from where sessions are opened: asked before each, and told after it.
pub trait Newcomers: Debug + Send + Sync {
    /// Whether one more may be opened for somebody at this address; else when to try again.
    fn admit<'a>(&'a self, from: IpAddr, cache: &'a Cache) -> BoxFuture<'a, Result<(), Duration>>;

    /// One was opened.
    fn note(&self, from: IpAddr, handle: Handle);
}
