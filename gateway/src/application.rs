//! An application, ready to be served.

use std::sync::Arc;

use cache::Application as Judge;
use http::HeaderName;
use http::uri::{Authority, Scheme};
use session::{Entries, OnConflict, Patch};

use crate::cookies::{Cookie, CookieError};
use crate::counters::{Answers, Counters};
use crate::forwarded::Trust;
use crate::handoff::{Fact, Presentation};
use crate::hygiene::Update;
use crate::login::Login;
use crate::ours::OurCookies;
use crate::path::{Prefix, Prefixes};
use crate::settings::{ApplicationSettings, SessionSettings, UpstreamSettings};
use crate::timed::Timed;
use crate::upstream::{Pool, Upstream};

/// What stands behind the gateway under some hosts and a path.
#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) id: Box<str>,
    pub(crate) hosts: Vec<Box<str>>,
    pub(crate) path: Prefix,
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    pub(crate) preserve_host: bool,
    pub(crate) trust: Trust,
    pub(crate) upstream: Arc<dyn Upstream>,
    /// What `upstream` was made from.
    upstream_settings: UpstreamSettings,
    /// The cookies that are ours on its hosts.
    pub(crate) cookies: OurCookies,
    pub(crate) sessions: Option<Sessions>,
    pub(crate) answers: Answers,
}

/// As long as the name of whoever may log in: a visitor's basket must not fill the header that will name them.
const SOMEBODY: &str = "................................................................";

/// How an application gets sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    pub(crate) judge: Judge,
    pub(crate) cookie: Cookie,
    pub(crate) presentation: Presentation,
    pub(crate) update: Update,
    pub(crate) conflict_header: HeaderName,
    pub(crate) paths: Prefixes,
    pub(crate) on_conflict: OnConflict,
    pub(crate) user_entry: Option<Box<str>>,
    pub(crate) may_login: bool,
    pub(crate) login: Option<Arc<Login>>,
}

impl Application {
    /// An application with these settings. `before` is what it was before a reload: its connections are used on if they
    /// would be made in the same way again.
    pub(crate) fn new(
        settings: ApplicationSettings,
        cookies: OurCookies,
        counters: &Counters,
        before: Option<&Self>,
    ) -> Result<Self, ApplicationError> {
        let id = settings.id;
        let upstream: Arc<dyn Upstream> =
            match before.filter(|before| before.upstream_settings == settings.upstream) {
                Some(before) => Arc::clone(&before.upstream),
                None => {
                    let pool = Pool::new(&settings.upstream)
                        .map_err(|error| ApplicationError::Certificates { application: id.clone(), error })?;
                    Arc::new(Timed::new(pool, counters.upstream(&id)))
                }
            };
        let sessions = settings
            .sessions
            .map(Sessions::new)
            .transpose()
            .map_err(|error| ApplicationError::Cookie { application: id.clone(), error })?;
        Ok(Self {
            answers: counters.answers(&id),
            cookies,
            id,
            hosts: settings.hosts,
            path: settings.path,
            scheme: settings.upstream.scheme.clone(),
            authority: settings.upstream.authority.clone(),
            preserve_host: settings.preserve_host,
            trust: settings.trust,
            upstream,
            upstream_settings: settings.upstream,
            sessions,
        })
    }
}

impl Sessions {
    /// What the gateway itself says to the application: who is logged in.
    pub(crate) fn fact<'a>(&'a self, user: Option<&'a str>) -> Option<Fact<'a>> {
        self.user_entry.as_deref().zip(user)
    }

    /// Whether a session with these entries can be presented to the application; where nobody is logged in yet, also
    /// once somebody is.
    pub(crate) fn fits(&self, entries: &Entries, user: Option<&str>) -> bool {
        let fact = self.fact(Some(user.unwrap_or(SOMEBODY)));
        let facts = fact.as_slice();
        self.presentation.value(facts, entries).is_ok()
            && self.presentation.entry_values(facts, entries).is_ok()
    }

    /// Whether it could after `patch`, or could not before it either.
    pub(crate) fn would_fit(&self, entries: &Entries, patch: &Patch, user: Option<&str>) -> bool {
        let mut after = entries.clone();
        after.merge(patch, patch.seen.next(), OnConflict::Overwrite);
        self.fits(&after, user) || !self.fits(entries, user)
    }

    fn new(settings: SessionSettings) -> Result<Self, CookieError> {
        Ok(Self {
            judge: settings.judge,
            cookie: Cookie::new(settings.cookie)?,
            presentation: settings.presentation,
            update: Update::new(settings.update_header),
            conflict_header: settings.conflict_header,
            paths: settings.paths,
            on_conflict: settings.on_conflict,
            user_entry: settings.user_entry,
            may_login: settings.may_login,
            login: settings.login,
        })
    }
}

/// An application cannot be served as it is configured.
#[derive(Debug, thiserror::Error)]
pub enum ApplicationError {
    /// Browsers would not take its cookie.
    #[error("application {application}: {error}")]
    Cookie {
        /// Which one.
        application: Box<str>,
        /// Why.
        error: CookieError,
    },
    /// The system's certificates, by which an application over TLS is recognised, cannot be read.
    #[error(
        "application {application}: the system's root certificates cannot be read: {error}; install `ca-certificates`"
    )]
    Certificates {
        /// Which one.
        application: Box<str>,
        /// Why.
        error: std::io::Error,
    },
}
