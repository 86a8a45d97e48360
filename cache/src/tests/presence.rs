//! Nodes show up and leave by themselves.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use storage::faulty::{Fault, Faulty, Which};
use storage::{Capabilities, LONGEST_UNNOTICED};
use tokio::time::sleep;

use super::Fixture;
use super::fixture::{Engine, House, SETTINGS, cache_with_name, eventually};
use super::probe::Probe;
use crate::{Cache, Settings};

/// One of several nodes over the same storage, with a line of its own to it.
pub(super) struct Node {
    pub(super) cache: Arc<Cache>,
    /// What fails on its line.
    pub(super) faults: Arc<Faulty>,
    /// Its change stream.
    pub(super) probe: Arc<Probe>,
    house: House,
}

impl Deref for Node {
    type Target = Arc<Cache>;

    fn deref(&self) -> &Arc<Cache> {
        &self.cache
    }
}

impl Node {
    /// It loses its power.
    pub(super) fn die(self) -> Arc<Cache> {
        self.cache
    }

    /// It is told to stop.
    pub(super) async fn stop(self) {
        self.cache.leave().await.unwrap();
        drop(self.house);
    }

    /// What it calls the nodes that it knows, itself first.
    pub(super) fn sees(&self) -> String {
        names(&self.cache.nodes())
    }
}

pub(super) fn names(nodes: &[crate::Node]) -> String {
    let names: Vec<_> = nodes.iter().map(|node| &*node.name).collect();
    names.join(" ")
}

/// A storage that several nodes share.
pub(super) async fn shared() -> Fixture {
    let shared = |capabilities: &mut Capabilities| capabilities.is_shared = true;
    Fixture::with(Engine::Tiered, shared).await
}

impl Fixture {
    pub(super) async fn node(&self, name: &str) -> Node {
        self.node_with(name, SETTINGS, None).await
    }

    /// One that is not told of changes in contexts that begin so.
    pub(super) async fn node_with(&self, name: &str, settings: Settings, lost: Option<&'static str>) -> Node {
        let faults = Arc::new(Faulty::new(Arc::clone(&self.probe) as _));
        let probe =
            Arc::new(Probe::new(Arc::clone(&faults) as _, storage::Storage::capabilities(&*self.probe)));
        if let Some(lost) = lost {
            probe.lose(lost);
        }
        let cache = cache_with_name(Arc::clone(&probe) as _, &self.clock, settings, name);
        cache.reckon_with(&self.application.realm);
        let house = House::of(&cache);
        eventually(async || probe.followers() > 0 && !cache.is_deaf()).await;
        Node { cache, faults, probe, house }
    }

    /// Lets time pass, for the nodes as for the records.
    pub(super) async fn pass(&self, span: Duration) {
        const STEP: Duration = Duration::from_millis(250);
        for _ in 0..span.as_millis() / STEP.as_millis() {
            self.advance(STEP);
            sleep(STEP).await;
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// Three nodes that know each other.
async fn three(f: &Fixture) -> [Node; 3] {
    let nodes = [f.node("a").await, f.node("b").await, f.node("c").await];
    eventually(async || nodes.iter().all(|node| node.nodes().len() == 3)).await;
    nodes
}

#[tokio::test(start_paused = true)]
async fn nodes_know_each_other_and_one_that_stops_is_gone_at_once() {
    let f = shared().await;
    let [a, b, c] = three(&f).await;
    assert_eq!([a.sees(), b.sees(), c.sees()], ["a b c", "b a c", "c a b"]);
    assert_eq!(&*a.nodes()[1].version, "1.2.3");
    c.stop().await;
    eventually(async || a.sees() == "a b" && b.sees() == "b a").await;
    f.pass(SECOND * 20).await;
    assert_eq!([a.sees(), b.sees()], ["a b", "b a"], "nobody brings it back, and nobody else goes");
    let (records, _) = listed(&f).await;
    assert_eq!(records, 2);
}

#[tokio::test(start_paused = true)]
async fn one_that_dies_is_gone_when_its_record_has_expired_and_not_before() {
    let f = shared().await;
    let [a, b, c] = three(&f).await;
    c.die();
    f.pass(SECOND * 10).await;
    assert_eq!([a.sees(), b.sees()], ["a b c", "b a c"]);
    f.pass(SECOND * 11).await;
    assert_eq!([a.sees(), b.sees()], ["a b", "b a"]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_storage_makes_nobody_leave_however_long() {
    let f = shared().await;
    let nodes = three(&f).await;
    for outage in [SECOND * 12, SECOND * 60] {
        f.faults.fail(Which::Any, Fault::Refuse);
        for _ in 0..outage.as_secs() {
            f.pass(SECOND).await;
            assert!(nodes.iter().all(|node| node.nodes().len() == 3));
        }
        f.faults.heal();
        for _ in 0..30 {
            f.pass(SECOND).await;
            assert!(nodes.iter().all(|node| node.nodes().len() == 3));
        }
        let (records, expire_in) = listed(&f).await;
        assert!(records == 3 && expire_in > SECOND * 8, "{records} nodes show themselves, for {expire_in:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_cannot_reach_storage_is_gone_and_comes_back_as_the_same() {
    let f = shared().await;
    let [a, _b, c] = three(&f).await;
    c.faults.fail(Which::Any, Fault::Refuse);
    f.pass(SECOND * 21).await;
    assert_eq!(a.sees(), "a b");
    assert_eq!(c.sees(), "c a b", "whoever has no answer does not know that others have gone");
    c.faults.heal();
    f.pass(SECOND * 6).await;
    assert_eq!(a.sees(), "a b c");
    assert_eq!(a.nodes().iter().filter(|node| node.id == c.nodes()[0].id).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_record_outlives_the_trust_in_copies() {
    let f = shared().await;
    let trusting = Settings { trust_window: SECOND * 60, ..SETTINGS };
    let a = f.node("a").await;
    let patient = f.node_with("patient", trusting, None).await;
    eventually(async || a.nodes().len() == 2).await;
    patient.die();
    f.pass(SECOND * 60).await;
    assert_eq!(a.sees(), "a patient");
    f.pass(SECOND * 12 + LONGEST_UNNOTICED).await;
    assert_eq!(a.sees(), "a");
}

#[tokio::test(start_paused = true)]
async fn whoever_hears_nothing_of_others_reads_who_there_is() {
    let f = shared().await;
    let a = f.node("a").await;
    a.probe.cut(true);
    let b = f.node("b").await;
    eventually(async || a.nodes().len() == 2).await;
    b.stop().await;
    eventually(async || a.sees() == "a").await;
}

#[tokio::test(start_paused = true)]
async fn who_is_alone_shows_itself_to_nobody() {
    let f = Fixture::over(Engine::Tiered).await;
    let alone = f.node("alone").await;
    f.pass(SECOND * 6).await;
    assert_eq!(alone.sees(), "alone");
    assert_eq!(listed(&f).await.0, 0, "nobody reads it");
    alone.stop().await;
}

/// How many records of nodes there are, and how long the first will be there.
async fn listed(f: &Fixture) -> (usize, Duration) {
    let page = storage::Storage::list(&*f.probe, "node", None, 100).await.unwrap();
    let expires = page.records.iter().map(|record| record.times.expires).min();
    (page.records.len(), expires.unwrap_or_default().since(f.clock_now()))
}
