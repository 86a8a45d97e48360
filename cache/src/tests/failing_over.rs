//! A storage that fails over to a replica that lagged, and has forgotten what it confirmed last.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use session::{Ending, Late, Millis, Principal, Selector, Ticket, Whose, Why};
use storage::{
    Batch, Burial, Bury, Capabilities, Changes, Create, Key, Memory, NewRecord, NewValue, Operation, Page,
    Position, Read, Scan, Storage, Times, Touch, Unavailable, Update, Version, WriteId,
};

use super::Fixture;
use super::carrying::is_over;
use super::fixture::{Engine, House, eventually};
use super::probe::Probe;
use crate::scope::Scope;
use crate::{Cache, Find, Life, Open, Opening};

/// A main storage and a replica, which has what was last carried over to it.
#[derive(Debug)]
struct Replicated {
    main: Memory,
    replica: Memory,
    has_failed_over: AtomicBool,
}

impl Replicated {
    fn now(&self) -> &Memory {
        if self.has_failed_over.load(Ordering::SeqCst) { &self.replica } else { &self.main }
    }

    /// The replica has what the main storage has in these contexts.
    async fn catch_up(&self, contexts: &[&str]) {
        for context in contexts {
            for listed in self.main.list(context, None, 1000).await.unwrap().records {
                let Read::Found(record) = self.main.read(&listed.key, None).await.unwrap() else { continue };
                let new = NewRecord {
                    version: Some(record.version),
                    ..NewRecord::new(record.value, record.times, WriteId::random().unwrap())
                };
                self.replica.create(&listed.key, new).await.unwrap();
            }
        }
    }
}

#[async_trait]
impl Storage for Replicated {
    fn id(&self) -> &Arc<str> {
        self.main.id()
    }
    fn capabilities(&self) -> Capabilities {
        self.main.capabilities()
    }
    async fn create(&self, key: &Key, new: NewRecord) -> Result<Create, Unavailable> {
        self.now().create(key, new).await
    }
    async fn read(&self, key: &Key, known: Option<Version>) -> Result<Read, Unavailable> {
        self.now().read(key, known).await
    }
    async fn update(&self, key: &Key, new: NewValue) -> Result<Update, Unavailable> {
        self.now().update(key, new).await
    }
    async fn touch(&self, key: &Key, times: Times) -> Result<Touch, Unavailable> {
        self.now().touch(key, times).await
    }
    async fn bury(&self, key: &Key, burial: Burial) -> Result<Bury, Unavailable> {
        self.now().bury(key, burial).await
    }
    async fn list(&self, context: &str, after: Option<&[u8]>, limit: usize) -> Result<Page, Unavailable> {
        self.now().list(context, after, limit).await
    }
    async fn scan(&self, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        self.now().scan(cursor, budget).await
    }
    async fn batch(&self, operations: Vec<Operation>) -> Result<Batch, Unavailable> {
        self.now().batch(operations).await
    }
    async fn reap(&self, now: Millis, budget: usize) -> Result<usize, Unavailable> {
        self.now().reap(now, budget).await
    }
    fn next_expiry(&self) -> Option<Millis> {
        self.now().next_expiry()
    }
    async fn watch(&self, from: Option<Position>) -> Result<Changes, Unavailable> {
        self.now().watch(from).await
    }
}

/// Two nodes over a storage that will fail over. The first is the fixture's.
struct Nodes {
    f: Fixture,
    storage: Arc<Replicated>,
    other: Arc<Cache>,
    /// Those that are alive.
    houses: Vec<(Arc<Cache>, House)>,
}

impl Nodes {
    async fn new() -> Self {
        let mut f = Fixture::over(Engine::Tiered).await;
        let engine = |id| Memory::new(id, Arc::clone(&f.clock) as _, 64 << 20);
        let has_failed_over = AtomicBool::new(false);
        let storage =
            Arc::new(Replicated { main: engine("main"), replica: engine("replica"), has_failed_over });
        let mut capabilities = storage.capabilities();
        (capabilities.is_memory, capabilities.is_shared) = (false, true);
        f.probe = Arc::new(Probe::new(Arc::clone(&storage) as _, capabilities));
        f.cache = f.another_cache();
        let other = f.another_cache();
        let mut houses = Vec::new();
        for cache in [&f.cache, &other] {
            cache.reckon_with(&f.application.realm);
            houses.push((Arc::clone(cache), f.keep_house(cache).await));
            eventually(async || !cache.is_deaf()).await;
        }
        Self { f, storage, other, houses }
    }

    /// From here on the replica lags.
    async fn catch_up(&self) {
        let mut contexts: Vec<String> = (0..=u8::MAX).map(|first| format!("session.{first:02x}")).collect();
        contexts.extend(["epoch".into(), "before".into()]);
        self.storage.catch_up(&contexts.iter().map(|context| &**context).collect::<Vec<_>>()).await;
    }

    /// The lines to the main storage are gone, and those to the replica come up.
    async fn fail_over(&self) {
        let before = self.f.probe.followers();
        self.f.probe.cut(true);
        eventually(async || self.houses.iter().all(|(cache, _)| cache.is_deaf())).await;
        self.storage.has_failed_over.store(true, Ordering::SeqCst);
        self.f.probe.cut(false);
        eventually(async || self.f.probe.followers() >= before + self.houses.len()).await;
    }

    /// A node that was not there before.
    fn newcomer(&self) -> Arc<Cache> {
        let cache = self.f.another_cache();
        cache.reckon_with(&self.f.application.realm);
        cache
    }

    /// Whether a node that remembers nothing refuses this, which only storage can have told it.
    async fn is_over_for_anybody(&self, ticket: &Ticket) -> bool {
        matches!(self.newcomer().find(ticket, &self.f.application).await.unwrap(), Find::Ended(_))
    }

    async fn is_refused(&self, cache: &Cache, ticket: &Ticket) -> bool {
        matches!(cache.find(ticket, &self.f.application).await.unwrap(), Find::Ended(_))
    }
}

#[tokio::test]
async fn an_end_that_a_failover_forgot_is_refused_at_once_and_made_again() {
    let mut nodes = Nodes::new().await;
    drop(nodes.houses.pop());
    let nodes = nodes;
    let f = &nodes.f;
    let opened = f.open_for("ada").await;
    nodes.catch_up().await;
    f.end(&opened.session).await.unwrap();
    let ending = f.ending(&opened.ticket).await;
    nodes.fail_over().await;
    assert_eq!(f.ending(&opened.ticket).await, ending, "whoever ended it refuses it, whatever storage says");
    eventually(async || nodes.is_over_for_anybody(&opened.ticket).await).await;
    assert_eq!(nodes.newcomer().why(&opened.ticket.handle).await.unwrap(), Life::Ended(ending));
    assert_eq!(f.cache.counters.ends_repeated.get(), 1);
}

#[tokio::test]
async fn whoever_only_heard_of_an_end_makes_it_again_where_its_maker_is_gone() {
    let mut nodes = Nodes::new().await;
    let opened = nodes.f.open_for("ada").await;
    nodes.catch_up().await;
    nodes.f.end(&opened.session).await.unwrap();
    eventually(async || nodes.other.recent.ending_of(&opened.ticket.handle).is_some()).await;
    drop(nodes.houses.remove(0));
    nodes.fail_over().await;
    assert!(nodes.is_refused(&nodes.other, &opened.ticket).await);
    eventually(async || nodes.is_over_for_anybody(&opened.ticket).await).await;
    let Life::Ended(ending) = nodes.newcomer().why(&opened.ticket.handle).await.unwrap() else { panic!() };
    assert_eq!((ending.why, &*ending.by), (Why::Revoked, "another node"));
}

#[tokio::test]
async fn a_gap_alone_is_a_reason_to_look() {
    let nodes = Nodes::new().await;
    let opened = nodes.f.open_for("ada").await;
    nodes.catch_up().await;
    nodes.f.end(&opened.session).await.unwrap();
    nodes.storage.has_failed_over.store(true, Ordering::SeqCst);
    assert!(!nodes.is_over_for_anybody(&opened.ticket).await, "the replica knows nothing of it");
    nodes.f.probe.gap();
    eventually(async || nodes.is_over_for_anybody(&opened.ticket).await).await;
}

#[tokio::test]
async fn ends_of_many_that_a_failover_forgot_are_made_again() {
    let ada = || Principal::named("test", "ada");
    for is_raised_before in [false, true] {
        for begun_before in [false, true] {
            let mut nodes = Nodes::new().await;
            // Nobody else makes it again before the one who knows who it was.
            drop(nodes.houses.pop());
            let f = &nodes.f;
            if is_raised_before {
                let all = Selector::person(ada());
                f.cache.end_where(all, Ending::new(f.clock_now(), Why::Revoked, "earlier")).await.unwrap();
            }
            let opened = f.open_for("ada").await;
            f.advance(Duration::from_millis(2));
            nodes.catch_up().await;
            let selector = Selector {
                begun_before: begun_before.then(|| f.clock_now()),
                ..Selector::all(Whose::Person { principal: ada(), indexes: Vec::new() })
            };
            f.advance(Duration::from_millis(2));
            let ending = Ending::new(f.clock_now(), Why::Logout, "the issuer");
            f.cache.end_where(selector, ending.clone()).await.unwrap();
            nodes.fail_over().await;
            eventually(async || {
                let life = nodes.newcomer().why(&opened.ticket.handle).await.unwrap();
                life == Life::Ended(ending.clone())
            })
            .await;
            let again = f.open_for("ada").await;
            assert!(matches!(
                nodes.newcomer().find(&again.ticket, &f.application).await.unwrap(),
                Find::Found(_)
            ));
            assert!(f.is_found(&again.ticket).await, "who logs in afterwards is in, wherever they come");
        }
    }
}

#[tokio::test]
async fn a_late_logout_and_the_end_of_a_cookie_are_made_again() {
    let nodes = Nodes::new().await;
    let f = &nodes.f;
    let carried = f.open_carried(Some("bob")).await;
    nodes.catch_up().await;
    let now = f.clock_now();
    let late = Some(Late { issued: now, until: now.plus(Duration::from_secs(300)) });
    let selector = Selector { late, ..Selector::person(Principal::named("test", "ada")) };
    f.cache.end_where(selector, Ending::new(now, Why::Logout, "the issuer")).await.unwrap();
    f.cache.end(&carried.session, f.logout(), &f.application).await.unwrap();
    nodes.fail_over().await;
    eventually(async || {
        let opening = Opening { principal: Some(Principal::named("test", "ada")), ..Opening::default() };
        matches!(nodes.newcomer().open(opening, &f.application).await.unwrap(), Open::LoggedOut(_))
    })
    .await;
    eventually(async || {
        let newcomer = nodes.newcomer();
        newcomer.know_revocations().await.unwrap();
        newcomer.revocations.gone(&carried.session.handle).is_some()
    })
    .await;
    let newcomer = nodes.newcomer();
    is_over(newcomer.find_carried(&carried, &f.application).await);
    assert!(newcomer.revocations.epoch(&Scope::person(&Principal::named("test", "ada"))).0 > 0);
}
