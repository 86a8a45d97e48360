//! A gateway, in front of an application, on a port of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use cache::{AFTERLIFE, Cache, Realm, Settings};
use gateway::cookies::CookieSettings;
use gateway::forwarded::{Trust, Writes};
use gateway::handoff::{Format, Presentation};
use gateway::pages::Pages;
use gateway::path::{Prefix, Prefixes};
use gateway::rewriting::Rewriting;
use gateway::rules::Rule;
use gateway::settings::{
    AddressSettings, ApplicationSettings, GatewaySettings, Http2Limits, Limits, SecureSettings,
    ServerAddress, SessionLimits, SessionSettings, TicketHeaders, UpstreamSettings,
};
use http::HeaderName;
use interop::raw::Connection;
use listener::{Entrance, Listener};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use session::{Clock, OnConflict, SystemClock, Timeouts};
use storage::Memory;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::application::Application;

/// What a gateway is told.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) id: &'static str,
    pub(crate) listen: &'static str,
    pub(crate) upstream: UpstreamSettings,
    pub(crate) hosts: &'static [&'static str],
    pub(crate) preserve_host: bool,
    pub(crate) trusted: &'static [&'static str],
    pub(crate) writes: Writes,
    /// Whether it keeps sessions.
    pub(crate) has_sessions: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) response_timeout: Duration,
    pub(crate) limits: Limits,
    pub(crate) rules: Vec<Rule>,
    pub(crate) entrance: Entrance,
    pub(crate) secure: SecureSettings,
}

/// A plan in which nothing is short of time.
pub(crate) fn plan(application: &Application) -> Plan {
    Plan {
        id: "application",
        listen: "127.0.0.1:0",
        upstream: upstream([application.address()]),
        hosts: &[],
        preserve_host: true,
        trusted: &[],
        writes: Writes::XForwarded,
        has_sessions: false,
        connect_timeout: Duration::from_secs(5),
        response_timeout: Duration::from_secs(10),
        limits: limits(),
        rules: Vec::new(),
        entrance: Entrance::default(),
        secure: SecureSettings::default(),
    }
}

/// These addresses, as servers that do the same.
pub(crate) fn upstream(servers: impl IntoIterator<Item = SocketAddr>) -> UpstreamSettings {
    let address = |server: SocketAddr| ServerAddress::Http(server.to_string().parse().unwrap());
    UpstreamSettings::new(servers.into_iter().map(|server| address(server).into()).collect())
}

pub(crate) fn limits() -> Limits {
    Limits {
        header_timeout: Duration::from_secs(10),
        body_timeout: Duration::from_secs(10),
        write_timeout: Duration::from_secs(10),
        idle_connection_timeout: Duration::from_secs(30),
        max_header_bytes: 16 << 10,
        max_headers: 100,
        max_body_bytes: None,
        drain_timeout: Duration::from_secs(5),
        max_connections: 1000,
        http2: Http2Limits::default(),
    }
}

/// A gateway that keeps no sessions.
pub(crate) fn gateway(application: &Application) -> Gateway {
    plan(application).start()
}

/// A gateway that runs until it is stopped or dropped.
#[derive(Debug)]
pub(crate) struct Gateway {
    address: SocketAddr,
    registry: Registry,
    gateway: Arc<gateway::Gateway>,
    stop: Option<oneshot::Sender<()>>,
    serving: Option<JoinHandle<()>>,
    runtime: Runtime,
}

impl Plan {
    pub(crate) fn start(self) -> Gateway {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let mut registry = Registry::default();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let storage = Arc::new(Memory::new("sessions", Arc::clone(&clock), 64 << 20));
        let settings = Settings {
            inproc_timeout: Duration::from_secs(60),
            inproc_bytes: 1 << 20,
            trust_window: Duration::from_secs(10),
            outage_window: Duration::ZERO,
            renew_window: Duration::from_secs(60),
            cleanup_interval: Duration::ZERO,
            gather_touches: Duration::ZERO,
            maintain_index: true,
        };
        let cache = Arc::new(Cache::new(storage, clock, settings, &mut registry));
        let listen = self.listen;
        let entrance = Arc::new(ArcSwap::from_pointee(self.entrance.clone()));
        let settings = self.settings();
        let gateway = Arc::new(gateway::Gateway::new(settings, cache, &mut registry).unwrap());
        let serving = Arc::clone(&gateway);
        let listener = runtime.block_on(TcpListener::bind(listen)).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = runtime.spawn(async move {
            let until = async {
                let _ = stopped.await;
            };
            serving.serve(Listener::new(listener, entrance), until).await;
        });
        Gateway { address, registry, gateway, stop: Some(stop), serving: Some(serving), runtime }
    }

    fn settings(self) -> GatewaySettings {
        let limits = self.limits;
        let pages = Pages::built_in().unwrap();
        let secure = self.secure.clone();
        GatewaySettings {
            applications: vec![self.application()],
            limits,
            has_access_log: false,
            pages,
            secure,
            traces: None,
        }
    }

    fn application(self) -> ApplicationSettings {
        ApplicationSettings {
            id: self.id.into(),
            hosts: self.hosts.iter().map(|host| (*host).into()).collect(),
            path: Prefix::parse("/").unwrap(),
            upstream: UpstreamSettings {
                connect_timeout: self.connect_timeout,
                response_timeout: self.response_timeout,
                ..self.upstream
            },
            preserve_host: self.preserve_host,
            rewriting: Rewriting::default(),
            trust: Trust::new(self.trusted.iter().map(|network| network.parse().unwrap()), self.writes),
            sessions: self.has_sessions.then(sessions),
            rules: self.rules,
        }
    }
}

fn sessions() -> SessionSettings {
    let timeouts = Timeouts { idle: Duration::from_secs(600), lifetime: Duration::from_secs(3600) };
    let touch_interval = Duration::from_secs(60);
    let realm = Realm {
        id: "realm".into(),
        timeouts: vec![timeouts],
        touch_interval,
        lateness: touch_interval,
        allowance: AFTERLIFE,
    };
    SessionSettings {
        carrier: gateway::settings::Carrier::Ticket,
        judge: cache::Application {
            realm: Arc::new(realm),
            timeouts,
            touch_interval,
            renew_interval: Duration::ZERO,
        },
        cookie: CookieSettings { name: "session".into(), secure: false, ..CookieSettings::default() },
        addresses: AddressSettings::default(),
        limits: SessionLimits::default(),
        ticket_headers: TicketHeaders::default(),
        export: None,
        hide_from_upstream: true,
        presentation: Presentation {
            header: HeaderName::from_static("x-session"),
            format: Format::Form,
            list_separator: None,
            entry_headers: Vec::new(),
            reserved: None,
            max_header_bytes: 16 << 10,
        },
        update_header: HeaderName::from_static("x-replace-session"),
        conflict_header: HeaderName::from_static("x-session-conflicts"),
        authentication: Default::default(),
        paths: Prefixes::new(vec![Prefix::parse("/").unwrap()], Vec::new()),
        on_conflict: OnConflict::KeepFirst,
        user_entry: None,
        may_login: false,
        login: None,
    }
}

impl Gateway {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn connect(&self) -> Connection {
        Connection::open(self.address).unwrap()
    }

    /// A connection on which this was sent. `HOST` in it stands for a good `Host` line.
    pub(crate) fn sent(&self, request: &str) -> Connection {
        let mut connection = self.connect();
        connection.send(self.request(request)).unwrap();
        connection
    }

    pub(crate) fn request(&self, request: &str) -> String {
        request.replace("HOST", &format!("Host: {}", self.address))
    }

    /// What a metric without labels shows.
    pub(crate) fn gauge(&self, name: &str) -> i64 {
        self.metric(&format!("gateway_{name} ")).unwrap_or_else(|| panic!("there is no gauge {name}"))
    }

    /// How often something was counted under a reason.
    pub(crate) fn counted(&self, name: &str, reason: &str) -> i64 {
        self.metric(&format!("gateway_{name}_total{{reason=\"{reason}\"}} ")).unwrap_or(0)
    }

    fn metric(&self, start: &str) -> Option<i64> {
        self.metrics().lines().find_map(|line| line.strip_prefix(start)).map(|value| value.parse().unwrap())
    }

    /// Nobody is connected, nothing is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.gauge("connections") == 0 && self.gauge("in_flight") == 0
    }

    /// Goes on by another plan.
    pub(crate) fn reload(&self, plan: Plan) {
        let _runtime = self.runtime.enter();
        self.gateway.reload(plan.settings()).unwrap();
    }

    /// What the metrics say, as a scraper gets them.
    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).unwrap();
        text
    }

    /// Tells it to stop.
    pub(crate) fn stop(&mut self) {
        let _ = self.stop.take().expect("it is stopped once").send(());
    }

    /// Waits until it has stopped, and says how long that took.
    pub(crate) fn stopped(&mut self) -> Duration {
        let serving = self.serving.take().expect("it stops once");
        let start = Instant::now();
        let ended =
            self.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), serving).await });
        ended.expect("the gateway stops").unwrap();
        start.elapsed()
    }

    /// How many tasks the gateway's runtime still has.
    pub(crate) fn tasks(&self) -> usize {
        self.runtime.metrics().num_alive_tasks()
    }
}

/// Waits until it is so.
pub(crate) fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !is_so() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A whole answer with this body.
pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}
