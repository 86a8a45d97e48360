//! The session server of LemonLDAP::NG: what its portals, handlers, managers and scripts ask, in their own protocols.
//!
//! [`keeper`] says what they ask for, [`sessions`] does that with the session cache, and [`soap`] speaks with them.

mod keeper;
mod logins;
mod rules;
mod sessions;
mod soap;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use cache::Cache;
use dialects::llng::soap::Charset;
use dialects::llng::{Cipher, Exported, Hidden};

pub use self::logins::{Logins, Verdict};
pub use self::rules::{Allow, Rule};
use self::sessions::Sessions;
use self::soap::Soap;
use crate::clients::Clients;

/// How LemonLDAP::NG's sessions are kept and told.
#[derive(Debug)]
pub struct Settings {
    /// Whether the SOAP end points are there.
    pub soap: bool,
    /// The cipher of the key that portals, handlers and managers share. Without it there are no lists of sessions.
    pub cipher: Option<Cipher>,
    /// How long a session lives from its `_utime`; zero means without bound.
    pub timeout: Duration,
    /// How long one may go without use; zero means without bound.
    pub timeout_activity: Duration,
    /// The name of the cookie that `getCookies` gives.
    pub cookie_name: Box<str>,
    /// The attributes that leave where only some do.
    pub exported: Exported,
    /// The attributes that only clients with [`Right::Secrets`](crate::Right::Secrets) get.
    pub hidden: Hidden,
    /// How text leaves by SOAP.
    pub charset: Charset,
    /// Who may log in by `getCookies`; nobody without it.
    pub logins: Option<Logins>,
    /// What `isAuthorizedURI` goes by.
    pub rules: Vec<Rule>,
    /// By which addresses the end points begin, for their description: `http` or `https`.
    pub scheme: &'static str,
}

/// The end points that are there.
pub(crate) fn router(settings: Settings, clients: Arc<Clients>, cache: &Arc<Cache>) -> Router {
    let settings = Arc::new(settings);
    let keeper = Arc::new(Sessions::new(Arc::clone(cache), Arc::clone(&settings)));
    if settings.soap {
        Soap::new(clients, Arc::clone(cache), keeper, settings).router()
    } else {
        Router::new()
    }
}
