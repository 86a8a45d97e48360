//! An application, ready to be served.

use std::sync::Arc;

use cache::{Application as Judge, Credential, Fit};
use connector::tls::TlsError;
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue};
use session::{Addresses, Authentication, Entries, OnConflict, Patch, Principal, Session};

use crate::carrier::Carrier;
use crate::cookies::{Cookie, CookieError, ValueError};
use crate::counters::{Answers, Counters};
use crate::export::Export;
use crate::forwarded::Trust;
use crate::handoff::{Fact, Presentation};
use crate::hygiene::Update;
use crate::login::Login;
use crate::newcomers::Newcomers;
use crate::ours::OurCookies;
use crate::recovery::RecoveryCookie;
use crate::rewriting::Rewriting;
use crate::rules::{Decision, RuleError, Site, Sited};
use crate::settings::{
    self, AddressSettings, ApplicationSettings, AuthenticationHeaders, SessionLimits, SessionSettings,
    TicketHeaders, UpstreamSettings,
};
use crate::upstream::Upstream;

/// What stands behind the gateway under some hosts and a path.
#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) id: Box<str>,
    site: Site,
    upstream: Arc<Upstream>,
    /// Those of rules that name one, by the index of the rule.
    upstreams: Box<[(usize, Arc<Upstream>)]>,
    pub(crate) preserve_host: bool,
    pub(crate) rewriting: Rewriting,
    pub(crate) trust: Trust,
    /// The cookies that are ours on its hosts.
    pub(crate) cookies: OurCookies,
    pub(crate) sessions: Option<Sessions>,
    pub(crate) answers: Answers,
}

/// As long as the name of whoever may log in: a visitor's basket must not fill the header that will name them.
const SOMEBODY: &str = "................................................................";

/// As long as what is said of how they prove it.
const LEVEL: &str = "application";

/// How an application gets sessions.
#[derive(Debug)]
pub(crate) struct Sessions {
    pub(crate) judge: Judge,
    pub(crate) carrier: Carrier,
    /// What brings a session back that storage has lost.
    pub(crate) recovery: Option<RecoveryCookie>,
    pub(crate) cookie: Cookie,
    pub(crate) addresses: AddressSettings,
    pub(crate) limits: SessionLimits,
    pub(crate) newcomers: Arc<Newcomers>,
    pub(crate) ticket_headers: TicketHeaders,
    pub(crate) presentation: Presentation,
    pub(crate) update: Update,
    pub(crate) conflict_header: HeaderName,
    pub(crate) authentication: AuthenticationHeaders,
    pub(crate) export: Option<Export>,
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
        let upstream_of = |settings: &UpstreamSettings| {
            let patience = settings.response_timeout.max(longest.unwrap_or_default());
            let mut known = before.into_iter().flat_map(Self::upstreams);
            match known.find(|known| known.is_made_from(settings, patience)) {
                Some(known) => Ok(Arc::clone(known)),
                None => Upstream::new(settings.clone(), patience, counters.upstream(&id))
                    .map(Arc::new)
                    .map_err(|error| ApplicationError::Tls { application: id.clone(), error }),
            }
        };
        let upstream = upstream_of(&settings.upstream)?;
        let elsewhere = settings.rules.iter().enumerate();
        let upstreams = elsewhere
            .filter_map(|(index, rule)| Some((index, rule.upstream.as_ref()?)))
            .map(|(index, settings)| upstream_of(settings).map(|upstream| (index, upstream)))
            .collect::<Result<_, _>>()?;
        let sessions = settings
            .sessions
            .map(|sessions| Sessions::new(sessions, before.and_then(|before| before.sessions.as_ref())))
            .transpose()
            .map_err(|error| ApplicationError::Cookie { application: id.clone(), error })?;
        Ok(Self {
            answers: counters.answers(&id),
            cookies,
            id,
            site,
            upstream,
            upstreams,
            preserve_host: settings.preserve_host,
            rewriting: settings.rewriting,
            trust: settings.trust,
            sessions,
        })
    }
}

impl Application {
    /// Whether it answers for named hosts only.
    pub(crate) const fn has_hosts(&self) -> bool {
        !self.site.hosts.is_empty()
    }

    /// Where a request goes that was decided on so.
    pub(crate) fn upstream(&self, decision: &Decision<'_>) -> &Arc<Upstream> {
        let of_rule = |rule| self.upstreams.iter().find(|(index, _)| *index == rule);
        decision.upstream.and_then(of_rule).map_or(&self.upstream, |(_, upstream)| upstream)
    }

    fn upstreams(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        [&self.upstream].into_iter().chain(self.upstreams.iter().map(|(_, upstream)| upstream))
    }
}

impl Sited for Application {
    fn site(&self) -> &Site {
        &self.site
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

    /// Whether a session can be presented to the application and fits where it is kept; where nobody is logged in yet,
    /// also once somebody is.
    pub(crate) fn fit(&self, session: &Session) -> Fit {
        let user = session.principal.as_ref().map(|principal| &*principal.name);
        if !self.fits(&session.entries, user) {
            return Fit::Unfit;
        }
        if user.is_some() || self.user_entry.is_none() || !session.is_carried() {
            return self.carrier.fit(&self.cookie, session);
        }
        let principal = Some(Principal::named(&session.realm, SOMEBODY));
        let authentication = Some(Authentication { at: session.begun, level: LEVEL.into() });
        self.carrier.fit(&self.cookie, &Session { principal, authentication, ..session.clone() })
    }

    /// What gives `credential` to the visitor; also in a header, if their proxy takes it so.
    pub(crate) fn issue(&self, credential: &Credential, to_proxy: bool) -> Option<Issued> {
        let issued = self.carrier.value(&self.cookie, credential).and_then(|value| {
            let refuse = |error: &ValueError| tracing::error!(%error);
            let cookie = self.cookie.set(&value).inspect_err(refuse).ok()?;
            let fallback = self.cookie.set_fallback(&value).inspect_err(refuse).ok()?;
            let header = self.ticket_headers.outbound.clone().filter(|_| to_proxy);
            let header = header.and_then(|name| {
                let mut value = HeaderValue::try_from(value).ok()?;
                value.set_sensitive(true);
                Some((name, value))
            });
            Some(Issued { cookie, fallback, header })
        });
        if issued.is_none() {
            tracing::error!("a session could not be put into a cookie; its visitor keeps the one before");
        }
        issued
    }

    /// Adds the lines that delete all that the visitor holds of a session.
    pub(crate) fn delete(&self, headers: &mut HeaderMap) {
        self.cookie.delete(headers);
        if let Some(recovery) = &self.recovery {
            recovery.delete(headers);
        }
    }

    /// Whether it could after `patch`, or could not before it either.
    pub(crate) fn would_fit(&self, entries: &Entries, patch: &Patch, user: Option<&str>) -> bool {
        let mut after = entries.clone();
        after.merge(patch, patch.seen.next(), OnConflict::Overwrite);
        self.fits(&after, user) || !self.fits(entries, user)
    }

    fn new(settings: SessionSettings, before: Option<&Self>) -> Result<Self, CookieError> {
        let cookie = Cookie::new(settings.cookie)?;
        let reserve = if settings.addresses.rule.is_consistent() { Addresses::MAX_BYTES } else { 0 };
        let realm = &settings.judge.realm.id;
        let recovery = match &settings.carrier {
            settings::Carrier::RecoverableTicket { keys, names, .. } => {
                Some(RecoveryCookie::beside(&cookie, realm, Arc::clone(keys), names.clone())?)
            }
            settings::Carrier::Ticket | settings::Carrier::Sealed { .. } => None,
        };
        Ok(Self {
            recovery,
            carrier: Carrier::new(settings.carrier, &settings.judge.realm.id, &cookie, reserve),
            addresses: settings.addresses,
            newcomers: Newcomers::after(settings.limits, before.map(|before| &before.newcomers)),
            limits: settings.limits,
            ticket_headers: settings.ticket_headers,
            judge: settings.judge,
            cookie,
            presentation: settings.presentation,
            update: Update::new(settings.update_header),
            conflict_header: settings.conflict_header,
            authentication: settings.authentication,
            export: settings.export,
            on_conflict: settings.on_conflict,
            user_entry: settings.user_entry,
            may_login: settings.may_login,
            login: settings.login,
        })
    }
}

/// What gives a session to its visitor.
#[derive(Debug)]
pub(crate) struct Issued {
    cookie: HeaderValue,
    fallback: Option<HeaderValue>,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Issued {
    pub(crate) fn apply(self, headers: &mut HeaderMap) {
        headers.append(SET_COOKIE, self.cookie);
        if let Some(fallback) = self.fallback {
            headers.append(SET_COOKIE, fallback);
        }
        if let Some((name, value)) = self.header {
            headers.insert(name, value);
        }
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
    /// TLS to its servers cannot be set up.
    #[error("application {application}: {error}")]
    Tls {
        /// Which one.
        application: Box<str>,
        /// Why.
        error: TlsError,
    },
}
