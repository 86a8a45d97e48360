//! What the gateway is told by the configuration.

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use seal::Keys;
use session::{AddressRule, OnConflict};

use crate::cookies::CookieSettings;
pub use crate::export::{Export, ExportHeaders};
use crate::forwarded::Trust;
use crate::handoff::Presentation;
use crate::login::Login;
use crate::pages::Pages;
use crate::path::{Prefix, Prefixes};
use crate::rewriting::Rewriting;
use crate::rules::{LoginPaths, Rule, SiteSettings};
use crate::traces::Traces;
pub use crate::upstream::settings::{
    ClientIdentity, ServerAddress, ServerSettings, TlsSettings, UpstreamSettings,
};

/// What a configuration says of the whole gateway.
#[derive(Debug)]
pub struct GatewaySettings {
    /// What stands behind it.
    pub applications: Vec<ApplicationSettings>,
    /// What holds for every visitor.
    pub limits: Limits,
    /// Whether each request is logged in a line of its own.
    pub has_access_log: bool,
    /// Our own pages.
    pub pages: Arc<Pages>,
    /// Who follows requests, if anybody.
    pub traces: Option<Arc<dyn Traces>>,
    /// What holds for connections over TLS.
    pub secure: SecureSettings,
}

/// What holds for connections over TLS. The default says nothing to anybody.
#[derive(Debug, Clone, Default)]
pub struct SecureSettings {
    /// `Strict-Transport-Security` of answers in which the application has not set it.
    pub hsts: Option<HeaderValue>,
    /// The header that tells applications whom a client's certificate is made out to. Clients cannot set it.
    pub subject_header: Option<HeaderName>,
    /// The header that tells them its SHA-256. Clients cannot set it.
    pub fingerprint_header: Option<HeaderName>,
}

/// Bounds on what a client may send and how long it may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest from the first byte of a request's head to its last.
    pub header_timeout: Duration,
    /// The longest that a request's body may stand still.
    pub body_timeout: Duration,
    /// The longest that a client may refuse to take more of an answer.
    pub write_timeout: Duration,
    /// The longest that a connection may wait for its next request.
    pub idle_connection_timeout: Duration,
    /// The most bytes of a request's head, its first line included.
    pub max_header_bytes: usize,
    /// The most headers of a request.
    pub max_headers: usize,
    /// The most bytes of a request's body; `None` is no bound.
    pub max_body_bytes: Option<u64>,
    /// How long requests and tunnels under way may take to end when the gateway stops.
    pub drain_timeout: Duration,
    /// How many connections are served at once, tunnels included; more wait to be accepted.
    pub max_connections: usize,
    /// For connections of HTTP/2.
    pub http2: Http2Limits,
}

/// Bounds on what a client may do with one connection of HTTP/2.
#[derive(Debug, Clone, Copy)]
pub struct Http2Limits {
    /// How many requests may be under way at once.
    pub max_streams: u32,
    /// How often a client is asked whether it is still there; `None` is never.
    pub ping_interval: Option<Duration>,
    /// Whether it is also spoken without TLS, with clients that begin with it.
    pub in_the_clear: bool,
}

impl Default for Http2Limits {
    fn default() -> Self {
        Self { max_streams: 100, ping_interval: None, in_the_clear: false }
    }
}

/// What stands behind the gateway under some hosts and a path.
#[derive(Debug)]
pub struct ApplicationSettings {
    /// Names it in logs, metrics and audit.
    pub id: Box<str>,
    /// The hosts it answers for, without ports; none is all that no other application answers for.
    pub hosts: Vec<Box<str>>,
    /// The path below which it answers.
    pub path: Prefix,
    /// Where it is.
    pub upstream: UpstreamSettings,
    /// Whether it sees the `Host` that the client sent; else that of the upstream.
    pub preserve_host: bool,
    /// How it is said in the visitors' terms what it says of its own address.
    pub rewriting: Rewriting,
    /// Whom to believe about the client's address.
    pub trust: Trust,
    /// How it gets sessions; `None` is plain proxying.
    pub sessions: Option<SessionSettings>,
    /// What holds on single paths of it.
    pub rules: Vec<Rule>,
}

impl ApplicationSettings {
    /// All that is decided from the head of a request alone.
    pub(crate) fn site(&self) -> SiteSettings {
        let login = self.sessions.as_ref().and_then(|sessions| sessions.login.as_ref());
        let export = self.sessions.as_ref().and_then(|sessions| sessions.export.as_ref());
        SiteSettings {
            id: self.id.clone(),
            export: export.map(|export| export.location.clone()),
            hosts: self.hosts.clone(),
            path: self.path.clone(),
            handoff: self.sessions.as_ref().map(|sessions| sessions.paths.clone()).unwrap_or_default(),
            login: login.map(|login| LoginPaths {
                demanded: login.demanded().clone(),
                own_pages: login.own_pages().clone(),
            }),
            rules: self.rules.clone(),
        }
    }
}

/// How sessions travel.
#[derive(Debug, Clone)]
pub enum Carrier {
    /// The cookie holds a ticket; the session is on the server.
    Ticket,
    /// The same, and a second cookie holds, sealed, what brings the session back should storage lose it.
    RecoverableTicket {
        /// What seals and opens.
        keys: Arc<Keys>,
        /// The entries that come back.
        names: Box<[Box<str>]>,
        /// Whether sessions of any realm come back, and are served, also while nobody can say whether they were ended.
        danger_is_soft: bool,
    },
    /// The cookie holds the session, sealed.
    Sealed {
        /// What seals and opens.
        keys: Arc<Keys>,
        /// Whether a session that is too large for a cookie moves to the server; else what makes it so is refused.
        may_spill: bool,
    },
}

/// The headers that tell an application when and how who is logged in proved it. It is the gateway's word: no entry and no
/// update header can change it.
#[derive(Debug, Clone, Default)]
pub struct AuthenticationHeaders {
    /// When, in seconds since 1970 (OIDC `auth_time`).
    pub time: Option<HeaderName>,
    /// How (OIDC `acr`), escaped as entries in headers of their own are.
    pub level: Option<HeaderName>,
}

impl AuthenticationHeaders {
    /// Those that there are.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.time.iter().chain(&self.level)
    }
}

/// How an application gets sessions.
#[derive(Debug)]
pub struct SessionSettings {
    /// Whose sessions it shares, and by which bounds it judges them.
    pub judge: cache::Application,
    /// How they travel.
    pub carrier: Carrier,
    /// The cookie that carries them.
    pub cookie: CookieSettings,
    /// From where they may be used.
    pub addresses: AddressSettings,
    /// How many there may be.
    pub limits: SessionLimits,
    /// The headers in which what a visitor holds travels beside the cookie.
    pub ticket_headers: TicketHeaders,
    /// Whether the application does not see that cookie.
    pub hide_from_upstream: bool,
    /// How the session is presented to the application.
    pub presentation: Presentation,
    /// The header by which the application changes it.
    pub update_header: HeaderName,
    /// The header that tells the application which of its earlier changes were not made.
    pub conflict_header: HeaderName,
    /// The headers that tell when and how who is logged in proved it.
    pub authentication: AuthenticationHeaders,
    /// Where it fetches the assertions of its sessions, if it may.
    pub export: Option<Export>,
    /// Where that is done.
    pub paths: Prefixes,
    /// What becomes of a key that another request changed meanwhile.
    pub on_conflict: OnConflict,
    /// The name under which the application is told who is logged in, if anything in its realm logs people in. Then no
    /// entry can have it.
    pub user_entry: Option<Box<str>>,
    /// Whether the application may change who is logged in, by that name in its update header.
    pub may_login: bool,
    /// The gateway's own login form for it.
    pub login: Option<Arc<Login>>,
}

/// From where sessions may be used. The default lets everybody use them from anywhere.
#[derive(Debug, Clone, Default)]
pub struct AddressSettings {
    /// What is compared.
    pub rule: AddressRule,
    /// What happens where that fails.
    pub on_change: OnAddressChange,
}

/// What happens to a request with a session that is tied to another address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnAddressChange {
    /// It is refused, and the session goes on where it is: whoever stole a ticket must not log its owner out.
    #[default]
    Refuse,
    /// The session ends.
    End,
}

/// How many sessions there may be. The default has no limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionLimits {
    /// Of one person, in the realm of the application that they log in to.
    pub per_person: Option<PersonLimit>,
    /// Live ones that were opened from one IPv4 address or one IPv6 network of 64 bits, as far as this process knows.
    pub per_address: Option<NonZeroUsize>,
    /// Those that are opened a minute from there.
    pub new_per_minute: Option<NonZeroU32>,
}

/// How many sessions one person may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PersonLimit {
    /// So many.
    pub most: NonZeroUsize,
    /// What happens to a login that would open one more.
    pub when_full: OnFull,
}

impl PersonLimit {
    /// The same where nobody can be asked what gives way.
    pub(crate) const fn of_whom_nobody_can_ask(self) -> cache::SessionLimit {
        let when_full = match self.when_full {
            OnFull::Refuse | OnFull::Ask => cache::WhenFull::Refuse,
            OnFull::EndOldest => cache::WhenFull::EndOldest,
        };
        cache::SessionLimit { most: self.most, when_full }
    }
}

/// What happens to a login of somebody who has as many sessions as they may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFull {
    /// It is refused.
    Refuse,
    /// Their oldest session ends.
    EndOldest,
    /// They are asked whether that should be; where nobody can be asked, it is refused.
    Ask,
}

/// Headers in which what a visitor holds travels, to and from proxies in front that are trusted. Names are stripped from
/// what clients send and from what applications answer, in every spelling.
#[derive(Debug, Clone, Default)]
pub struct TicketHeaders {
    /// Of requests: wins over the cookie.
    pub inbound: Option<HeaderName>,
    /// Whether anybody may send it, not only a trusted proxy.
    pub inbound_from_anyone: bool,
    /// Of answers: what the visitor is given, also as a header.
    pub outbound: Option<HeaderName>,
}

impl TicketHeaders {
    pub(crate) fn names(&self) -> impl Iterator<Item = &HeaderName> {
        self.inbound.iter().chain(&self.outbound)
    }
}
