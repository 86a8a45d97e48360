//! The applications of a test, as it wants them.

use std::sync::Arc;
use std::time::Duration;

use cache::{AFTERLIFE, Realm};
use gateway::cookies::CookieSettings;
use gateway::forwarded::{Trust, Writes};
use gateway::handoff::{Format, Presentation};
use gateway::login::{Login, LoginSettings};
use gateway::pages::Pages;
use gateway::path::{Prefix, Prefixes};
use gateway::rewriting::Rewriting;
use gateway::rules::Rule;
use gateway::settings::{
    AddressSettings, ApplicationSettings, AuthenticationHeaders, Carrier, Export, ServerAddress,
    SessionLimits, SessionSettings, TicketHeaders, UpstreamSettings,
};
use http::HeaderName;
use seal::{Key, KeyRing, KeyState, Keys};
use session::{OnConflict, Timeouts};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::application::{self, Scripts};

/// Who can log in, and with what.
pub(crate) const ADA: (&str, &str) = ("ada", "correct horse battery staple");
/// And somebody else.
pub(crate) const BOB: (&str, &str) = ("bob", "hunter2hunter2");

/// An application as a test wants it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) id: &'static str,
    pub(crate) hosts: &'static [&'static str],
    pub(crate) path: &'static str,
    pub(crate) realm: &'static str,
    /// `carrier = "none"`
    pub(crate) is_plain: bool,
    /// `carrier = "sealed"`, and the value of `spill`.
    pub(crate) sealed: Option<bool>,
    /// What comes back of a session that is lost, if anything does.
    pub(crate) recovery: &'static [&'static str],
    /// What seals sessions that are carried.
    pub(crate) keys: Arc<Keys>,
    pub(crate) idle: Duration,
    pub(crate) lifetime: Duration,
    pub(crate) renew_interval: Duration,
    pub(crate) cookie: CookieSettings,
    pub(crate) format: Format,
    pub(crate) entry_headers: &'static [(&'static str, &'static str)],
    pub(crate) max_header_bytes: usize,
    pub(crate) include: &'static [&'static str],
    pub(crate) exclude: &'static [&'static str],
    pub(crate) on_conflict: OnConflict,
    pub(crate) may_login: bool,
    /// Has the gateway's own login, which is demanded at these paths.
    pub(crate) login: Option<&'static [&'static str]>,
    pub(crate) response_timeout: Duration,
    pub(crate) is_down: bool,
    pub(crate) rules: Vec<Rule>,
    /// From where its sessions may be used.
    pub(crate) addresses: AddressSettings,
    pub(crate) limits: SessionLimits,
    pub(crate) ticket_headers: TicketHeaders,
    pub(crate) export: Option<Export>,
    /// The proxies that it trusts.
    pub(crate) trusted: &'static [&'static str],
}

/// One application everywhere, whose sessions travel in the cookie `session`.
pub(crate) fn plan() -> Plan {
    Plan {
        id: "shop",
        hosts: &[],
        path: "/",
        realm: "shop",
        is_plain: false,
        sealed: None,
        recovery: &[],
        keys: keys(),
        idle: Duration::from_secs(30 * 60),
        lifetime: Duration::from_secs(8 * 3600),
        renew_interval: Duration::ZERO,
        cookie: CookieSettings { name: "session".into(), secure: false, ..CookieSettings::default() },
        format: Format::Form,
        entry_headers: &[],
        max_header_bytes: 16 << 10,
        include: &["/"],
        exclude: &[],
        on_conflict: OnConflict::KeepFirst,
        may_login: false,
        login: None,
        response_timeout: Duration::from_secs(30),
        is_down: false,
        rules: Vec::new(),
        addresses: AddressSettings::default(),
        limits: SessionLimits::default(),
        ticket_headers: TicketHeaders::default(),
        export: None,
        trusted: &[],
    }
}

impl Plan {
    const fn timeouts(&self) -> Timeouts {
        Timeouts { idle: self.idle, lifetime: self.lifetime }
    }
}

/// The realms that these applications make.
pub(crate) fn realms(plans: &[Plan]) -> Vec<Arc<Realm>> {
    plans
        .iter()
        .map(|plan| {
            let of_realm = plans.iter().filter(|other| other.realm == plan.realm);
            Arc::new(Realm {
                id: plan.realm.into(),
                timeouts: of_realm.map(Plan::timeouts).collect(),
                touch_interval: Duration::from_secs(60),
                lateness: Duration::from_secs(60),
                allowance: AFTERLIFE,
            })
        })
        .collect()
}

/// The application, served, as the gateway wants to know it.
pub(crate) async fn settings_of(
    plan: &Plan,
    plans: &[Plan],
    realm: &Arc<Realm>,
    folder: &TempDir,
    pages: &Arc<Pages>,
    scripts: &Arc<Scripts>,
) -> ApplicationSettings {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let authority = listener.local_addr().unwrap().to_string().parse().unwrap();
    if !plan.is_down {
        application::serve(listener, plan.id.to_owned(), Arc::clone(scripts));
    }
    let logs_in = |plan: &Plan| plan.may_login || plan.login.is_some();
    let has_user = plans.iter().any(|other| other.realm == plan.realm && logs_in(other));
    let sessions = SessionSettings {
        carrier: match plan.sealed {
            None if !plan.recovery.is_empty() => Carrier::RecoverableTicket {
                keys: Arc::clone(&plan.keys),
                names: plan.recovery.iter().map(|name| (*name).into()).collect(),
                danger_is_soft: false,
            },
            None => Carrier::Ticket,
            Some(may_spill) => Carrier::Sealed { keys: Arc::clone(&plan.keys), may_spill },
        },
        judge: cache::Application {
            realm: Arc::clone(realm),
            timeouts: plan.timeouts(),
            touch_interval: Duration::from_secs(60),
            renew_interval: plan.renew_interval,
        },
        cookie: plan.cookie.clone(),
        addresses: plan.addresses.clone(),
        limits: plan.limits,
        ticket_headers: plan.ticket_headers.clone(),
        export: plan.export.clone(),
        hide_from_upstream: true,
        presentation: Presentation {
            header: HeaderName::from_static("x-session"),
            format: plan.format,
            list_separator: None,
            entry_headers: plan
                .entry_headers
                .iter()
                .map(|(header, entry)| (HeaderName::from_static(header), (*entry).into()))
                .collect(),
            reserved: has_user.then(|| "user".into()),
            max_header_bytes: plan.max_header_bytes,
        },
        update_header: HeaderName::from_static("x-replace-session"),
        conflict_header: HeaderName::from_static("x-session-conflict"),
        authentication: AuthenticationHeaders {
            time: Some(HeaderName::from_static("x-auth-time")),
            level: Some(HeaderName::from_static("x-auth-level")),
        },
        paths: Prefixes::new(prefixes(plan.include), prefixes(plan.exclude)),
        on_conflict: plan.on_conflict,
        user_entry: has_user.then(|| "user".into()),
        may_login: plan.may_login,
        login: plan.login.map(|demanded| login(plan, demanded, folder, pages)),
    };
    ApplicationSettings {
        id: plan.id.into(),
        hosts: plan.hosts.iter().map(|host| (*host).into()).collect(),
        path: Prefix::parse(plan.path).unwrap(),
        upstream: UpstreamSettings {
            response_timeout: plan.response_timeout,
            ..UpstreamSettings::new(vec![ServerAddress::Http(authority).into()])
        },
        preserve_host: true,
        rewriting: Rewriting::default(),
        trust: Trust::new(plan.trusted.iter().map(|network| network.parse().unwrap()), Writes::XForwarded),
        sessions: (!plan.is_plain).then_some(sessions),
        rules: plan.rules.clone(),
    }
}

fn login(plan: &Plan, demanded: &[&'static str], folder: &TempDir, pages: &Arc<Pages>) -> Arc<Login> {
    let users = folder.path().join(format!("{}.htpasswd", plan.id));
    let line = |(user, password): (&str, &str)| {
        // The lowest cost: nobody attacks it.
        format!("{user}:{}\n", bcrypt::hash(password, 4).unwrap())
    };
    std::fs::write(&users, line(ADA) + &line(BOB)).unwrap();
    let settings = LoginSettings {
        realm: plan.realm.into(),
        require: prefixes(demanded),
        secure: plan.cookie.secure,
        ..LoginSettings::new(plan.id, users)
    };
    Arc::new(Login::new(settings, keys(), Arc::clone(pages)).unwrap())
}

/// The keys of all gateways of the tests.
pub(crate) fn keys() -> Arc<Keys> {
    let mut bytes = [7; 32];
    bytes[0] = 1;
    let key = Key::new("test".parse().unwrap(), KeyState::Active, zeroize::Zeroizing::new(bytes));
    Arc::new(Keys::new(KeyRing::new(vec![key]).unwrap()))
}

fn prefixes(paths: &[&str]) -> Vec<Prefix> {
    paths.iter().map(|path| Prefix::parse(path).unwrap()).collect()
}
