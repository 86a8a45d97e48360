//! What a test runs in: a gateway on a port of its own, over an engine that can fail, in front of applications that
//! do what the test says.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use cache::{Cache, Realm, Settings};
use gateway::Gateway;
use gateway::cookies::CookieSettings;
use gateway::forwarded::{Trust, Writes};
use gateway::handoff::{Format, Presentation};
use gateway::login::{Login, LoginSettings};
use gateway::pages::Pages;
use gateway::path::{Prefix, Prefixes};
use gateway::settings::{ApplicationSettings, Limits, SessionSettings, UpstreamSettings};
use http::HeaderName;
use http::uri::Scheme;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use seal::{Key, KeyRing, KeyState};
use session::{Clock, ManualClock, Millis, OnConflict, Timeouts};
use storage::faulty::Faulty;
use storage::{Deadline, Memory, Scanned, Storage};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::application::{self, Scripts};
use crate::visitor::Visitor;

/// Who can log in, and with what.
pub(crate) const ADA: (&str, &str) = ("ada", "correct horse battery staple");
/// And somebody else.
pub(crate) const BOB: (&str, &str) = ("bob", "hunter2hunter2");

/// Over which engine a test runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Memory,
    Embedded,
}

/// Runs each test over each engine.
macro_rules! over_each_engine {
    ($($(#[$meta:meta])* async fn $name:ident($engine:ident: Engine) $body:block)+) => {$(
        $(#[$meta])*
        mod $name {
            use super::*;

            async fn test($engine: Engine) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn memory() {
                test(Engine::Memory).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn embedded() {
                test(Engine::Embedded).await;
            }
        }
    )+};
}
pub(crate) use over_each_engine;

/// An application as a test wants it.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) id: &'static str,
    pub(crate) hosts: &'static [&'static str],
    pub(crate) path: &'static str,
    pub(crate) realm: &'static str,
    /// `carrier = "none"`
    pub(crate) is_plain: bool,
    pub(crate) idle: Duration,
    pub(crate) lifetime: Duration,
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
}

/// One application everywhere, whose sessions travel in the cookie `session`.
pub(crate) fn plan() -> Plan {
    Plan {
        id: "shop",
        hosts: &[],
        path: "/",
        realm: "shop",
        is_plain: false,
        idle: Duration::from_secs(30 * 60),
        lifetime: Duration::from_secs(8 * 3600),
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
    }
}

impl Plan {
    const fn timeouts(&self) -> Timeouts {
        Timeouts { idle: self.idle, lifetime: self.lifetime }
    }
}

/// A gateway and all that it needs.
#[derive(Debug, Clone)]
pub(crate) struct House(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: SocketAddr,
    clock: Arc<ManualClock>,
    storage: Arc<Faulty>,
    cache: Arc<Cache>,
    scripts: Arc<Scripts>,
    registry: Registry,
    _folder: TempDir,
}

impl House {
    /// With one application.
    pub(crate) async fn with(plan: Plan) -> Self {
        Self::over(Engine::Memory, vec![plan]).await
    }

    pub(crate) async fn over(engine: Engine, plans: Vec<Plan>) -> Self {
        Self::within(engine, Duration::from_secs(20), plans).await
    }

    /// With storage that is given up after the deadline.
    pub(crate) async fn within(engine: Engine, deadline: Duration, plans: Vec<Plan>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Millis(1_800_000_000_000)));
        let inner: Arc<dyn Storage> = match engine {
            Engine::Memory => Arc::new(Memory::new("test", Arc::clone(&clock) as Arc<dyn Clock>, 256 << 20)),
            Engine::Embedded => {
                engines::embedded::open("test", folder.path(), Arc::clone(&clock) as _).await.unwrap()
            }
        };
        let storage = Arc::new(Faulty::new(inner));
        let mut registry = Registry::default();
        let settings = Settings {
            inproc_timeout: Duration::from_secs(900),
            inproc_bytes: 64 << 20,
            renew_window: Duration::from_secs(60),
        };
        let bounded = Arc::new(Deadline::new(Arc::clone(&storage) as Arc<dyn Storage>, deadline));
        let cache = Arc::new(Cache::new(bounded, Arc::clone(&clock) as _, settings, &mut registry));
        tokio::spawn(Arc::clone(&cache).keep_house());
        let scripts = Arc::new(Scripts::default());
        let pages = Pages::built_in().unwrap();
        let realms = realms(&plans);
        let mut applications = Vec::new();
        for plan in &plans {
            let realm = realms.iter().find(|realm| *realm.id == *plan.realm).unwrap();
            applications.push(settings_of(plan, &plans, realm, &folder, &pages, &scripts).await);
        }
        let limits = Limits {
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            idle_connection_timeout: Duration::from_secs(75),
            max_header_bytes: 256 << 10,
            max_headers: 100,
            max_body_bytes: None,
            drain_timeout: Duration::from_secs(1),
            max_connections: 1000,
        };
        let gateway =
            Gateway::new(applications, limits, true, Arc::clone(&cache), pages, &mut registry).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(Arc::new(gateway).serve(listener, std::future::pending()));
        Self(Arc::new(Inner { address, clock, storage, cache, scripts, registry, _folder: folder }))
    }

    /// Somebody who comes for the first time.
    pub(crate) fn visitor(&self) -> Visitor {
        Visitor::new(self.clone())
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address
    }

    pub(crate) fn scripts(&self) -> &Scripts {
        &self.0.scripts
    }

    pub(crate) fn storage(&self) -> &Faulty {
        &self.0.storage
    }

    pub(crate) fn time_passes(&self, by: Duration) {
        self.0.clock.advance(by);
    }

    pub(crate) fn now(&self) -> Millis {
        self.0.clock.now()
    }

    /// How many sessions storage holds.
    pub(crate) async fn stored(&self) -> usize {
        self.records().await.iter().filter(|record| matches!(record, Scanned::Live(_))).count()
    }

    /// All that storage holds of sessions, live and ended.
    pub(crate) async fn records(&self) -> Vec<Scanned> {
        let mut records = Vec::new();
        let mut cursor = None;
        loop {
            let page = self.0.storage.scan(cursor.as_deref(), 1000).await.unwrap();
            let sessions = page.found.into_iter().filter(|(key, _)| key.context().starts_with("session."));
            records.extend(sessions.map(|(_, found)| found));
            cursor = page.cursor;
            if cursor.is_none() {
                return records;
            }
        }
    }

    /// How often that was counted, for this reason.
    pub(crate) fn counted(&self, what: &str, reason: &str) -> u64 {
        let mut text = String::new();
        encode(&mut text, &self.0.registry).unwrap();
        let line = format!("gateway_{what}_total{{reason=\"{reason}\"}} ");
        text.lines().find_map(|known| known.strip_prefix(&line)).map_or(0, |count| count.parse().unwrap())
    }

    pub(crate) fn cache(&self) -> &Arc<Cache> {
        &self.0.cache
    }
}

/// Waits for what happens soon.
pub(crate) async fn until(what: &str, mut happened: impl AsyncFnMut() -> bool) {
    for _ in 0..1000 {
        if happened().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{what} did not happen within ten seconds");
}

fn realms(plans: &[Plan]) -> Vec<Arc<Realm>> {
    plans
        .iter()
        .map(|plan| {
            let of_realm = plans.iter().filter(|other| other.realm == plan.realm);
            Arc::new(Realm {
                id: plan.realm.into(),
                timeouts: of_realm.map(Plan::timeouts).collect(),
                touch_interval: Duration::from_secs(60),
            })
        })
        .collect()
}

async fn settings_of(
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
        judge: cache::Application {
            realm: Arc::clone(realm),
            timeouts: plan.timeouts(),
            touch_interval: Duration::from_secs(60),
        },
        cookie: plan.cookie.clone(),
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
            max_header_bytes: plan.max_header_bytes,
        },
        update_header: HeaderName::from_static("x-replace-session"),
        conflict_header: HeaderName::from_static("x-session-conflict"),
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
            scheme: Scheme::HTTP,
            authority,
            connect_timeout: Duration::from_secs(5),
            response_timeout: plan.response_timeout,
        },
        preserve_host: true,
        trust: Trust::new([], Writes::XForwarded),
        sessions: (!plan.is_plain).then_some(sessions),
    }
}

fn login(plan: &Plan, demanded: &[&'static str], folder: &TempDir, pages: &Arc<Pages>) -> Arc<Login> {
    let users = folder.path().join(format!("{}.htpasswd", plan.id));
    let line = |(user, password): (&str, &str)| {
        // The lowest cost: nobody attacks it.
        format!("{user}:{}\n", bcrypt::hash(password, 4).unwrap())
    };
    std::fs::write(&users, line(ADA) + &line(BOB)).unwrap();
    let mut bytes = [7; 32];
    bytes[0] = 1;
    let key = Key::new("test".parse().unwrap(), KeyState::Active, zeroize::Zeroizing::new(bytes));
    let settings = LoginSettings {
        realm: plan.realm.into(),
        require: prefixes(demanded),
        secure: plan.cookie.secure,
        parallel: NonZeroUsize::MIN.saturating_add(1),
        ..LoginSettings::new(plan.id, users)
    };
    Arc::new(Login::new(settings, Arc::new(KeyRing::new(vec![key]).unwrap()), Arc::clone(pages)).unwrap())
}

fn prefixes(paths: &[&str]) -> Vec<Prefix> {
    paths.iter().map(|path| Prefix::parse(path).unwrap()).collect()
}
