//! An application, ready to be served.

use std::sync::Arc;
use std::time::Duration;

use cache::Application as Judge;
use http::HeaderName;
use http::uri::{Authority, Scheme};
use metrics::Durations;
use session::{Entries, OnConflict, Patch};

use crate::cookies::{Cookie, CookieError};
use crate::counters::{Answers, Counters};
use crate::forwarded::Trust;
use crate::handoff::{Fact, Presentation};
use crate::hygiene::Update;
use crate::login::Login;
use crate::ours::OurCookies;
use crate::rules::{Decision, RuleError, Site, Sited};
use crate::settings::{ApplicationSettings, SessionSettings, UpstreamSettings};
use crate::timed::Timed;
use crate::upstream::{Pool, Upstream};

/// What stands behind the gateway under some hosts and a path.
#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) id: Box<str>,
    site: Site,
    backend: Backend,
    /// Those of rules that name one, by the index of the rule.
    backends: Box<[(usize, Backend)]>,
    pub(crate) preserve_host: bool,
    pub(crate) trust: Trust,
    /// The cookies that are ours on its hosts.
    pub(crate) cookies: OurCookies,
    pub(crate) sessions: Option<Sessions>,
    pub(crate) answers: Answers,
}

/// Where requests go to.
#[derive(Debug, Clone)]
pub(crate) struct Backend {
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
    pub(crate) upstream: Arc<dyn Upstream>,
    /// What `upstream` was made from.
    settings: UpstreamSettings,
    patience: Duration,
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
        let id = settings.id.clone();
        let site = Site::new(settings.site())
            .map_err(|error| ApplicationError::Rules { application: id.clone(), error })?;
        let longest = settings.rules.iter().filter_map(|rule| rule.response_timeout).max();
        let backend_of = |settings: &UpstreamSettings| {
            let patience = settings.response_timeout.max(longest.unwrap_or_default());
            let known = before.into_iter().flat_map(Self::backends);
            match known.into_iter().find(|known| known.settings == *settings && known.patience == patience) {
                Some(known) => Ok(known.clone()),
                None => Backend::new(settings, patience, counters.upstream(&id))
                    .map_err(|error| ApplicationError::Certificates { application: id.clone(), error }),
            }
        };
        let backend = backend_of(&settings.upstream)?;
        let elsewhere = settings.rules.iter().enumerate();
        let backends = elsewhere
            .filter_map(|(index, rule)| Some((index, rule.upstream.as_ref()?)))
            .map(|(index, settings)| backend_of(settings).map(|backend| (index, backend)))
            .collect::<Result<_, _>>()?;
        let sessions = settings
            .sessions
            .map(Sessions::new)
            .transpose()
            .map_err(|error| ApplicationError::Cookie { application: id.clone(), error })?;
        Ok(Self {
            answers: counters.answers(&id),
            cookies,
            id,
            site,
            backend,
            backends,
            preserve_host: settings.preserve_host,
            trust: settings.trust,
            sessions,
        })
    }
}

impl Application {
    /// Where a request goes that was decided on so.
    pub(crate) fn backend(&self, decision: &Decision<'_>) -> &Backend {
        let of_rule = |rule| self.backends.iter().find(|(index, _)| *index == rule);
        decision.upstream.and_then(of_rule).map_or(&self.backend, |(_, backend)| backend)
    }

    fn backends(&self) -> impl Iterator<Item = &Backend> {
        [&self.backend].into_iter().chain(self.backends.iter().map(|(_, backend)| backend))
    }
}

impl Sited for Application {
    fn site(&self) -> &Site {
        &self.site
    }
}

impl Backend {
    fn new(settings: &UpstreamSettings, patience: Duration, durations: Durations) -> std::io::Result<Self> {
        let pool = Pool::new(settings, patience)?;
        Ok(Self {
            scheme: settings.scheme.clone(),
            authority: settings.authority.clone(),
            upstream: Arc::new(Timed::new(pool, durations)),
            settings: settings.clone(),
            patience,
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
    /// Its rules contradict what the gateway does itself.
    #[error("application {application}: {error}")]
    Rules {
        /// Which one.
        application: Box<str>,
        /// Why.
        error: RuleError,
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
