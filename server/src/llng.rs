//! The session server of LemonLDAP::NG: what its portals, handlers, managers and scripts ask, in their own protocols.
//!
//! [`sessions`] keeps their sessions in the session cache, and [`soap`] and [`rest`] speak with them.

mod cookie;
mod echoes;
mod edit;
mod kept;
mod line;
mod lists;
mod logins;
mod paths;
mod rest;
mod rules;
mod sessions;
mod soap;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn;
use cache::Cache;
use dialects::llng::soap::Charset;
use dialects::llng::{Cipher, Exported, Hidden, Kind, SESSION_KIND};
use session::Session;

pub use self::cookie::SessionCookie;
pub(crate) use self::echoes::BEFORE;
pub use self::logins::{Logins, Verdict};
use self::rest::Rest;
pub use self::rules::{Allow, Rule};
use self::sessions::Sessions;
use self::soap::Soap;
use crate::clients::Clients;

/// How LemonLDAP::NG's sessions are kept and told.
#[derive(Debug)]
pub struct Settings {
    /// Whether the SOAP end points are there.
    pub soap: bool,
    /// Whether the REST end points are there.
    pub rest: bool,
    /// Whether sessions lie under hashes of what cookies hold: LemonLDAP::NG's `hashedSessionStore`.
    pub hashed: bool,
    /// The cipher of the key that portals, handlers and managers share. Without it there are no lists of sessions.
    pub cipher: Option<Cipher>,
    /// How long a session lives from its `_utime`; zero means without bound.
    pub timeout: Duration,
    /// How long one may go without use; zero means without bound.
    pub timeout_activity: Duration,
    /// The cookie that logins give, and logouts take away.
    pub cookie: SessionCookie,
    /// The attributes that leave where only some do.
    pub exported: Exported,
    /// The attributes that only clients with [`Right::Secrets`](crate::Right::Secrets) get.
    pub hidden: Hidden,
    /// How text leaves by SOAP.
    pub charset: Charset,
    /// Who may log in by `getCookies` and `?auth`; nobody without it.
    pub logins: Option<Logins>,
    /// What `isAuthorizedURI` goes by.
    pub rules: Vec<Rule>,
    /// By which addresses the end points begin, for their description: `http` or `https`.
    pub scheme: &'static str,
}

/// Whether sessions of a realm are LemonLDAP::NG's, which have kinds.
pub(crate) fn has_kinds(realm: &str) -> bool {
    matches!(realm, sessions::REALM | sessions::PERSISTENT)
}

/// The realm of the sessions of a kind.
pub(crate) const fn realm_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Persistent => sessions::PERSISTENT,
        _ => sessions::REALM,
    }
}

/// The kind of a session, if it is LemonLDAP::NG's.
pub(crate) fn kind_of(session: &Session) -> Option<Kind> {
    if !has_kinds(&session.realm) {
        return None;
    }
    let kind = session.entries.get(SESSION_KIND)?.as_text()?.parse().ok()?;
    // What is no login cannot pass for one, nor the other way round.
    (realm_of(kind) == &*session.realm).then_some(kind)
}

/// The end points that are there.
pub(crate) fn router(settings: Settings, clients: Arc<Clients>, cache: &Arc<Cache>) -> Router {
    let settings = Arc::new(settings);
    let sessions = Arc::new(Sessions::new(Arc::clone(cache), Arc::clone(&settings)));
    let mut router = Router::new();
    if settings.rest {
        let (clients, cache, sessions) = (Arc::clone(&clients), Arc::clone(cache), Arc::clone(&sessions));
        router = router.merge(Rest::new(clients, cache, sessions, Arc::clone(&settings)).router());
    }
    if settings.soap {
        router = router.merge(Soap::new(clients, Arc::clone(cache), sessions, settings).router());
    }
    router.layer(from_fn(paths::only_plain))
}
