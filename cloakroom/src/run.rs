//! Starts what a configuration asks for, and stops it in order.
//!
//! Storage first, then the cache over it, then the session server, so that somebody can ask how Cloakroom is before
//! the first visitor comes; the gateway last. They stop the other way round: no request is cut off by the end of what
//! it needs.

pub(crate) mod applications;
mod clients;
mod control;
mod demonstration;
mod entrance;
mod hand_over;
mod keys;
mod llng;
mod migration;
mod nodes;
mod notify;
mod passing;
mod redis;
mod reload;
mod sockets;
mod stop;
pub(crate) mod storage;
mod upstream;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ::storage::{Latencies, Measured};
use arc_swap::ArcSwap;
use cache::Settings;
use gateway::Gateway;
use gateway::login::Verifiers;
use gateway::pages::Pages;
use gateway::settings::{GatewaySettings, Limits};
use listener::Listener;
use listener::tls::Tls;
use miette::{IntoDiagnostic, WrapErr, miette};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use seal::Keys;
use server::{Door, Server};
use session::{Clock, SystemClock};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use self::applications::Before;
pub(crate) use self::clients::token as client_token;
use self::control::Control;
pub use self::entrance::{entrance, server_entrance};
use self::hand_over::{HandingOver, Predecessor};
use self::keys::KeptKeys;
pub(crate) use self::keys::existing as existing_keys;
use self::migration::Progress;
use self::reload::Reloading;
use self::sockets::{Listening, Sockets};
use self::stop::Stop;
pub(crate) use self::upstream::{address as server_address, believing};
use crate::configuration::{Configuration, Loaded};
use crate::key_metrics::KeyMetrics;
use crate::logs::{AuditFile, Level};
use crate::traces;

/// How long the end of the program waits for storage.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// How long last uses wait for one another: storage takes those of a context in one write, and there are 256 contexts.
const GATHER_TOUCHES: Duration = Duration::from_secs(30);

/// Whether the files can be read that hold certificates and tokens.
pub fn credentials(configuration: &Configuration) -> miette::Result<()> {
    entrance(configuration)?;
    server_entrance(configuration)?;
    clients::of(configuration)?;
    storage::credentials(configuration)
}

/// What is to run.
#[derive(Debug)]
pub struct Plan {
    /// Where the configuration was read, absolute; none if it is in no file.
    pub file: Option<PathBuf>,
    /// The configuration.
    pub loaded: Loaded,
    /// By which the log follows a reload.
    pub level: Option<Level>,
    /// The file of the audit, opened anew with a reload.
    pub audit: Option<AuditFile>,
    /// Whether to take the place of whoever runs with the same data folder.
    pub takes_over: bool,
}

/// Chooses the TLS library, before anything could choose another one.
pub(crate) fn set_up_tls() -> miette::Result<()> {
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_| miette!("another TLS library was set up before ours: this build is broken"))
}

/// Runs until it is told to stop. Without a plan: the demonstration, on loopback.
pub fn run(plan: Option<Plan>) -> miette::Result<()> {
    set_up_tls()?;
    // Before there are threads.
    let sockets = Sockets::of_service_manager()?;
    let runtime = tokio::runtime::Runtime::new().into_diagnostic().wrap_err("the runtime does not start")?;
    runtime.block_on(async {
        let stop = Stop::at_signals().into_diagnostic().wrap_err("signals cannot be received")?;
        match plan {
            Some(plan) => start(plan, stop, sockets).await,
            None => demonstration::start(stop, sockets).await,
        }
    })
}

/// Starts everything and returns when it has stopped.
async fn start(plan: Plan, stop: Stop, mut sockets: Sockets) -> miette::Result<()> {
    let configuration = plan.loaded.configuration.clone();
    let hangup = signal(SignalKind::hangup()).into_diagnostic().wrap_err("SIGHUP cannot be received")?;
    let entrance = entrance(&configuration)?;
    let server_entrance = server_entrance(&configuration)?;
    if plan.takes_over {
        storage::can_take_over(&configuration)?;
    }
    let predecessor =
        if plan.takes_over { Predecessor::ask(&configuration.data_dir, &mut sockets)? } else { None };
    let (claim, predecessor) = predecessor.map(Predecessor::into_parts).unzip();
    // Whoever has a predecessor speaks in its place only once it has given way.
    let control = if predecessor.is_none() { Some(Control::listen(&configuration.data_dir)?) } else { None };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let mut whole = Registry::default();
    whole.register_collector(Box::new(metrics::Process::of_this()));
    let registry = whole.sub_registry_with_prefix("cloakroom");
    metrics::build_info(registry, env!("CARGO_PKG_VERSION"));
    let latencies = Latencies::registered(registry);
    let kept = KeptKeys::open(&configuration, Arc::clone(&clock))?;
    let keys = kept.shared();
    registry.register_collector(Box::new(KeyMetrics::of(keys)));
    let storage::Opened { storage, aside, hand_over: engine, migrating } =
        storage::open(&configuration, keys, claim.flatten(), Arc::clone(&clock)).await?;
    let measured = |storage| traces::of_storage(&configuration, Arc::new(Measured::new(storage, &latencies)));
    let (storage, aside) = (measured(storage), aside.map(measured));
    let storage = match &aside {
        Some(aside) => Arc::new(cache::divided(storage, Arc::clone(aside), Arc::clone(&clock))) as _,
        None => storage,
    };
    // What lies behind another Cloakroom is known only now.
    if let Some((message, cure)) = configuration.cache.trusts_too_shortly(storage.capabilities().unnoticed) {
        tracing::warn!("{message}; {cure}");
    }
    let progress = Progress::registered(registry);
    let moving = migrating.map(|migrating| tokio::spawn(migration::run(migrating, progress)));
    let cache =
        cache::Cache::new(Arc::clone(&storage), Arc::clone(&clock), settings(&configuration), registry);
    let version = env!("CARGO_PKG_VERSION");
    let entity_id = configuration.cache.entity_id.as_deref().unwrap_or_default();
    let cache = cache
        .known_as(entity_id)
        .without_index_of(not_indexed(&configuration))
        .with_index_of_entries(indexed_entries(&configuration))
        .keeping_assertions(configuration.cache.cache_assertions)
        .named(&nodes::name(), version)
        .into_diagnostic()?;
    let cache = Arc::new(cache);
    if predecessor.is_some() {
        cache.begin_sharing();
    }
    let outbox = configuration.data_dir.join("outbox");
    cache.keep_ends_in(&outbox).await.into_diagnostic().wrap_err_with(|| {
        format!("ends that storage does not confirm cannot be written down in {}", outbox.display())
    })?;
    let housekeeping = tokio::spawn(Arc::clone(&cache).keep_house());

    let mut listening = Listening::default();
    let verifiers = Verifiers::for_half_of_the_cores();
    let gateway = if configuration.applications.is_empty() {
        None
    } else {
        let pages = Pages::built_in().into_diagnostic()?;
        let settings = gateway_settings(&configuration, keys, pages, &verifiers, &|_| None)?;
        let gateway = Gateway::new(settings, Arc::clone(&cache), registry).into_diagnostic()?;
        let socket =
            sockets.take("gateway", configuration.listen.gateway, configuration.listen.reuse_port)?;
        listening.add("gateway", &socket)?;
        let socket = TcpListener::from_std(socket).into_diagnostic()?;
        let entrance = Arc::new(ArcSwap::from_pointee(entrance.clone()));
        Some((Arc::new(gateway), Listener::new(socket, entrance)))
    };
    let clients = clients::of(&configuration)?;
    let server = Server {
        registry: whole,
        storages: [Arc::clone(&storage)].into_iter().chain(aside).collect(),
        cache: Some(Arc::clone(&cache)),
        applications: gateway.as_ref().map_or_else(server::Applications::none, |(gateway, _)| {
            let gateway = Arc::clone(gateway);
            server::Applications::new(move |id| gateway.openings(id))
        }),
        version,
        clients,
        clock,
        llng: llng::of(&configuration, &verifiers)?,
    };
    let socket = sockets.take("server", configuration.listen.server, configuration.listen.reuse_port)?;
    listening.add("server", &socket)?;
    let socket = TcpListener::from_std(socket).into_diagnostic()?;
    let server_tls = server_entrance.tls.clone();
    let mut doors =
        vec![Door::Network(Listener::new(socket, Arc::new(ArcSwap::from_pointee(server_entrance))))];
    if let Some(path) = &configuration.listen.server_socket {
        doors.push(Door::File(sockets::file(path, plan.takes_over)?));
    }
    sockets.finish();

    tracing::info!(
        gateway = gateway.as_ref().map(|_| tracing::field::display(&configuration.listen.gateway)),
        server = %configuration.listen.server,
        applications = configuration.applications.len(),
        storage = %storage.id(),
        data = %configuration.data_dir.display(),
        "cloakroom {version} is running"
    );
    let reloading = Arc::new(Reloading {
        file: plan.file,
        gateway: gateway.as_ref().map(|(gateway, _)| Arc::clone(gateway)),
        keys: kept,
        tls: entrance.tls.iter().chain(&server_tls).cloned().collect(),
        verifiers,
        level: plan.level,
        audit: plan.audit,
        now: Mutex::new(plan.loaded),
    });
    let watching: Vec<_> =
        reloading.tls.iter().map(|tls| tokio::spawn(Tls::watch(Arc::clone(tls)))).collect();
    // The session server outlives the gateway, so that the last requests can be watched.
    let drained = Stop::new();
    let handing_over = Arc::new(HandingOver {
        cache: Arc::clone(&cache),
        engine: engine.clone(),
        listening: Mutex::new(listening),
        stops: [stop.clone(), drained.clone()],
        is_handing_over: AtomicBool::new(false),
    });
    let control = match (control, predecessor) {
        (Some(control), _) => {
            notify::ready();
            control
        }
        (None, predecessor) => {
            if let Some(predecessor) = predecessor {
                let leaving = spawn_blocking(move || predecessor.relieve()).await.into_diagnostic()??;
                tracing::info!("took over from the process before, which answers its last requests");
                tokio::spawn(leaving.then_believe(Arc::clone(&cache), engine));
            }
            notify::ready_in_the_place_of_another();
            Control::in_the_place_of_another(&configuration.data_dir)?
        }
    };
    let attending = tokio::spawn(attend(control, hangup, reloading, Arc::clone(&handing_over)));
    let server = tokio::spawn(server.serve(doors, drained.clone().wait()));
    let stopped = async {
        stop.wait().await;
        handing_over.listen_no_more();
    };
    match gateway {
        Some((gateway, listener)) => gateway.serve(listener, stopped).await,
        None => stopped.await,
    }
    if timeout(FLUSH_TIMEOUT, cache.flush()).await.is_err() {
        tracing::warn!("storage takes too long; the last uses of some sessions are not written");
    }
    attending.abort();
    watching.iter().for_each(JoinHandle::abort);
    housekeeping.abort();
    moving.iter().for_each(JoinHandle::abort);
    nodes::leave(&cache).await;
    drained.now();
    server.await.into_diagnostic().wrap_err("the session server failed")?;
    tracing::info!("stopped");
    Ok(())
}

/// Does what somebody asks of this process while it runs, until it is dropped.
async fn attend(control: Control, hangup: Signal, reloading: Arc<Reloading>, handing_over: Arc<HandingOver>) {
    let at_hangup = reload::at_hangup(hangup, Arc::clone(&reloading));
    tokio::join!(control.serve(reloading, handing_over), at_hangup, notify::watchdog());
}

fn gateway_settings(
    configuration: &Configuration,
    keys: &Arc<Keys>,
    pages: Arc<Pages>,
    verifiers: &Verifiers,
    before: Before<'_>,
) -> miette::Result<GatewaySettings> {
    let applications = applications::settings(configuration, keys, &pages, verifiers, before)?;
    let limits = limits(configuration);
    let secure = entrance::secure(configuration);
    let traces = traces::of_requests(configuration);
    Ok(GatewaySettings {
        applications,
        limits,
        has_access_log: configuration.log.access,
        pages,
        secure,
        traces,
    })
}

/// What the session cache is told.
pub(crate) fn settings(configuration: &Configuration) -> Settings {
    let cache = &configuration.cache;
    Settings {
        inproc_timeout: cache.inproc_timeout,
        inproc_bytes: usize::try_from(cache.inproc_bytes).unwrap_or(usize::MAX),
        trust_window: cache.trust_window,
        outage_window: cache.danger_outage_window,
        renew_window: cache.renew_window,
        cleanup_interval: cache.cleanup_interval,
        gather_touches: GATHER_TOUCHES,
        maintain_index: cache.maintain_reverse_index,
    }
}

/// Names of whose sessions it is not written whose they are.
pub(crate) fn not_indexed(configuration: &Configuration) -> impl Iterator<Item = Box<str>> {
    configuration.cache.exclude_reverse_index.iter().map(|name| name.as_str().into())
}

/// Names of entries by which sessions are found quickly.
pub(crate) fn indexed_entries(configuration: &Configuration) -> impl Iterator<Item = Box<str>> {
    let of_all = configuration.cache.index_entries.iter();
    let of_llng =
        configuration.llng.iter().filter(|llng| llng.soap || llng.rest).flat_map(|llng| &llng.index);
    let names: BTreeSet<&String> = of_all.chain(of_llng).collect();
    names.into_iter().map(|name| name.as_str().into())
}

fn limits(configuration: &Configuration) -> Limits {
    let gateway = &configuration.gateway;
    Limits {
        header_timeout: gateway.header_timeout,
        body_timeout: gateway.body_timeout,
        write_timeout: gateway.write_timeout,
        idle_connection_timeout: gateway.idle_connection_timeout,
        max_header_bytes: usize::try_from(gateway.max_header_bytes).unwrap_or(usize::MAX),
        max_headers: gateway.max_headers as usize,
        max_body_bytes: (gateway.max_body_bytes > 0).then_some(gateway.max_body_bytes),
        drain_timeout: gateway.drain_timeout,
        max_connections: gateway.max_connections as usize,
        http2: entrance::http2(configuration),
    }
}
