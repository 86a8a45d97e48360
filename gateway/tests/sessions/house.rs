//! What a test runs in: a gateway on a port of its own, over an engine that can fail, in front of applications that
//! do what the test says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use cache::{Cache, Settings};
use gateway::Gateway;
use gateway::pages::Pages;
use gateway::settings::{GatewaySettings, Http2Limits, Limits, SecureSettings, UpstreamSettings};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use session::{Clock, Ending, ManualClock, Millis, Why};
use storage::faulty::Faulty;
use storage::{Burial, Deadline, Memory, Scanned, Storage};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::application::Scripts;
use crate::plan::{Plan, realms, settings_of};
use crate::visitor::Visitor;

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

/// A gateway and all that it needs.
#[derive(Debug, Clone)]
pub(crate) struct House(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: SocketAddr,
    /// Of a socket for IPv6 and IPv4, if this machine has such.
    dual: Option<SocketAddr>,
    clock: Arc<ManualClock>,
    storage: Arc<Faulty>,
    cache: Arc<Cache>,
    /// The first application, as it judges sessions.
    judge: Option<cache::Application>,
    scripts: Arc<Scripts>,
    registry: Registry,
    upstreams: Vec<UpstreamSettings>,
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
            trust_window: Duration::from_secs(10),
            outage_window: Duration::ZERO,
            renew_window: Duration::from_secs(60),
            cleanup_interval: Duration::ZERO,
            gather_touches: Duration::ZERO,
            maintain_index: true,
        };
        let bounded = Arc::new(Deadline::new(Arc::clone(&storage) as Arc<dyn Storage>, deadline));
        let cache = Cache::new(bounded, Arc::clone(&clock) as _, settings, &mut registry);
        let cache = Arc::new(cache.keeping_assertions(true));
        cache.keep_ends_in(&folder.path().join("outbox")).await.unwrap();
        tokio::spawn(Arc::clone(&cache).keep_house());
        let scripts = Arc::new(Scripts::default());
        let pages = Pages::built_in().unwrap();
        let realms = realms(&plans);
        let (mut applications, mut upstreams) = (Vec::new(), Vec::new());
        for plan in &plans {
            let realm = realms.iter().find(|realm| *realm.id == *plan.realm).unwrap();
            applications.push(settings_of(plan, &plans, realm, &folder, &pages, &scripts).await);
        }
        let judge = applications[0].sessions.as_ref().map(|sessions| sessions.judge.clone());
        upstreams.extend(applications.iter().map(|application| application.upstream.clone()));
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
            http2: Http2Limits::default(),
        };
        let secure = SecureSettings::default();
        let settings =
            GatewaySettings { applications, limits, has_access_log: true, pages, secure, traces: None };
        let gateway = Gateway::new(settings, Arc::clone(&cache), &mut registry).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let gateway = Arc::new(gateway);
        tokio::spawn(Arc::clone(&gateway).serve(listener, std::future::pending()));
        let dual = match TcpListener::bind("[::]:0").await {
            Ok(listener) => {
                let address = listener.local_addr().unwrap();
                tokio::spawn(gateway.serve(listener, std::future::pending()));
                Some(address)
            }
            Err(_) => None,
        };
        Self(Arc::new(Inner {
            address,
            dual,
            clock,
            storage,
            cache,
            judge,
            scripts,
            registry,
            upstreams,
            _folder: folder,
        }))
    }

    /// Somebody who comes for the first time.
    pub(crate) fn visitor(&self) -> Visitor {
        Visitor::new(self.clone())
    }

    /// Waits until it is written who has used a new ticket.
    pub(crate) async fn first_uses_are_written(&self) {
        until("the note of a first use", async || !self.0.cache.has_notes_waiting()).await;
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Where visitors come by IPv6, and by IPv4 that is written as IPv6.
    pub(crate) fn dual(&self) -> SocketAddr {
        self.0.dual.expect("this machine has IPv6")
    }

    /// Where an application is.
    pub(crate) fn upstream(&self, index: usize) -> UpstreamSettings {
        self.0.upstreams[index].clone()
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

    /// How sessions have ended.
    pub(crate) async fn endings(&self) -> Vec<session::Ending> {
        let ending = |record| match record {
            Scanned::Live(_) => None,
            Scanned::Buried(tombstone) => Some(tombstone.ending),
        };
        self.records().await.into_iter().filter_map(ending).collect()
    }

    /// Storage loses all live sessions, without an end, and the change stream has told so.
    pub(crate) async fn forget_sessions(&self) {
        let storage = &self.0.storage;
        let mut cursor = None;
        loop {
            let page = storage.scan(cursor.as_deref(), 1000).await.unwrap();
            for (key, _) in page.found.into_iter().filter(|(key, _)| key.context().starts_with("session.")) {
                let ending = Ending::new(self.now(), Why::Moved, "the test");
                storage.bury(&key, Burial { until: None, ending, expected: None }).await.unwrap();
            }
            cursor = page.cursor;
            if cursor.is_none() {
                break;
            }
        }
        while !self.exposed().contains("\nsessions_first_tier_entries 0\n") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn exposed(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.0.registry).unwrap();
        text
    }

    /// How often that was counted, for this reason.
    pub(crate) fn counted(&self, what: &str, reason: &str) -> u64 {
        let line = format!("gateway_{what}_total{{reason=\"{reason}\"}} ");
        self.exposed()
            .lines()
            .find_map(|known| known.strip_prefix(&line))
            .map_or(0, |count| count.parse().unwrap())
    }

    /// How many headers passed for ours.
    pub(crate) fn stripped(&self) -> u64 {
        let text = self.exposed();
        let line = "gateway_headers_stripped_total ";
        text.lines().find_map(|known| known.strip_prefix(line)).unwrap().parse().unwrap()
    }

    pub(crate) fn judge(&self) -> cache::Application {
        self.0.judge.clone().expect("the first application has sessions")
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
