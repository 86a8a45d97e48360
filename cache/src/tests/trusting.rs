//! How long copies are served when nobody says any more what others do.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use storage::faulty::{Fault, Which};
use storage::{Capabilities, LONGEST_UNNOTICED, Unavailable};
use tokio::time::{Instant, sleep_until};

use super::Fixture;
use super::fixture::{Engine, House, SETTINGS, eventually};
use crate::{Cache, Find, Opened, Settings};

/// Long enough for what a test does within it, and short enough to wait for.
const GOOD: Duration = Duration::from_millis(700);
const WINDOW: Duration = LONGEST_UNNOTICED.saturating_add(GOOD);

/// A node that hears of others, and one of them, with a session that the first has a copy of.
struct Nodes {
    f: Fixture,
    other: Arc<Cache>,
    _house: House,
    opened: Opened,
}

impl Nodes {
    async fn over(settings: Settings) -> Self {
        let shared = |capabilities: &mut Capabilities| capabilities.is_shared = true;
        let mut f = Fixture::with(Engine::Tiered, shared).await;
        f.cache = f.cache_with(settings);
        f.cache.reckon_with(&f.application.realm);
        let house = f.keep_house(&f.cache).await;
        let (other, opened) = (f.another_cache(), f.open_for("ada").await);
        f.found(&opened.ticket).await;
        Self { f, other, _house: house, opened }
    }

    /// Whether a find asks storage.
    async fn asks(&self) -> bool {
        let before = self.f.probe.reads.load(Ordering::SeqCst);
        self.f.found(&self.opened.ticket).await;
        self.f.probe.reads.load(Ordering::SeqCst) > before
    }

    /// Cuts the stream; what this gives is when the window is over at the latest.
    fn cut(&self) -> Instant {
        self.f.probe.cut(true);
        Instant::now() + GOOD + Duration::from_millis(50)
    }
}

fn with_window(trust_window: Duration) -> Settings {
    Settings { trust_window, ..SETTINGS }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_served_without_asking_as_long_as_the_stream_is_whole() {
    let nodes = Nodes::over(with_window(WINDOW)).await;
    eventually(async || !nodes.asks().await).await;
    let over = nodes.cut();
    sleep_until(over).await;
    assert!(nodes.asks().await, "nothing is known of what others do");
    assert!(nodes.asks().await, "and one answer says nothing about the next");
    nodes.f.probe.cut(false);
    eventually(async || !nodes.asks().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_is_not_heard_of_holds_after_the_window() {
    let nodes = Nodes::over(with_window(WINDOW)).await;
    eventually(async || !nodes.asks().await).await;
    let over = nodes.cut();
    let (f, opened) = (&nodes.f, &nodes.opened);
    nodes.other.end(&opened.session, f.logout(), &f.application).await.unwrap();
    sleep_until(over).await;
    f.ending(&opened.ticket).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_of_all_that_is_not_heard_of_holds_after_the_window() {
    let nodes = Nodes::over(with_window(WINDOW)).await;
    let carried = nodes.f.open_carried(Some("ada")).await;
    nodes.f.opens(&carried).await;
    let over = nodes.cut();
    let principal = nodes.opened.session.principal.as_ref().unwrap();
    nodes.other.end_all_of(principal, "test").await.unwrap();
    sleep_until(over).await;
    nodes.f.ending(&nodes.opened.ticket).await;
    assert!(matches!(nodes.f.bring(&carried).await.unwrap(), Find::Ended(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_storage_a_copy_is_served_for_the_window_and_then_nobody_knows() {
    let nodes = Nodes::over(with_window(WINDOW)).await;
    let (f, ticket) = (&nodes.f, &nodes.opened.ticket);
    let carried = f.open_carried(Some("ada")).await;
    f.opens(&carried).await;
    eventually(async || !nodes.asks().await).await;
    let over = nodes.cut();
    f.faults.fail(Which::Any, Fault::Refuse);
    eventually(async || f.cache.is_deaf()).await;
    f.found(ticket).await;
    let asked = f.probe.reads.load(Ordering::SeqCst);
    f.found(ticket).await;
    assert_eq!(f.probe.reads.load(Ordering::SeqCst), asked, "who is down is not asked for everybody");
    sleep_until(over).await;
    let unknown = f.find(ticket).await;
    assert!(matches!(unknown, Err(Unavailable { .. })), "an outage is not a logout: {unknown:?}");
    f.faults.heal();
    f.found(ticket).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_window_of_nothing_storage_is_asked_each_time() {
    let nodes = Nodes::over(with_window(Duration::ZERO)).await;
    for _ in 0..3 {
        assert!(nodes.asks().await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_alone_needs_no_stream() {
    let f = Fixture::over(Engine::Tiered).await;
    let opened = f.open().await;
    f.found(&opened.ticket).await;
    let before = f.probe.reads.load(Ordering::SeqCst);
    f.found(&opened.ticket).await;
    assert_eq!(f.probe.reads.load(Ordering::SeqCst), before);
}
