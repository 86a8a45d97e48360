//! How long copies are served when nobody says any more what others do.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use storage::faulty::{Fault, Gate, Which};
use storage::{Capabilities, LONGEST_UNNOTICED, Unavailable};
use tokio::time::{Instant, sleep_until};

use super::Fixture;
use super::carrying::roomy;
use super::fixture::{Engine, House, SETTINGS, entries, eventually};
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
        Self::behind(settings, LONGEST_UNNOTICED).await
    }

    /// Where the stream may be deaf unnoticed for that long.
    async fn behind(settings: Settings, unnoticed: Duration) -> Self {
        let shared = |capabilities: &mut Capabilities| {
            capabilities.is_shared = true;
            capabilities.unnoticed = unnoticed;
        };
        let mut f = Fixture::with(Engine::Tiered, shared).await;
        f.cache = f.cache_with(settings);
        f.cache.reckon_with(&f.application.realm);
        let house = f.keep_house(&f.cache).await;
        // What was never heard cannot be lost.
        eventually(async || settings.trust_window.is_zero() || !f.cache.is_deaf()).await;
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
    crate::tests::carrying::end_all_of(&nodes.other, &principal.name).await.unwrap();
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
async fn an_end_in_an_outage_holds_as_soon_as_changes_are_heard_again() {
    let nodes = Nodes::over(with_window(Duration::from_secs(60))).await;
    let (f, ticket) = (&nodes.f, &nodes.opened.ticket);
    let carried = f.open_carried(Some("ada")).await;
    f.opens(&carried).await;
    nodes.cut();
    eventually(async || f.cache.is_deaf()).await;
    f.faults.fail(Which::Read, Fault::Refuse);
    f.found(ticket).await;
    nodes.other.end(&nodes.opened.session, f.logout(), &f.application).await.unwrap();
    nodes.other.end(&carried.session, f.logout(), &f.application).await.unwrap();
    f.found(ticket).await;
    // The stream is back, and records cannot be read yet: what was known before is worth nothing from now on.
    let followers = f.probe.followers();
    f.probe.cut(false);
    eventually(async || f.probe.followers() > followers && !f.cache.is_deaf()).await;
    f.find(ticket).await.unwrap_err();
    f.faults.heal();
    f.ending(ticket).await;
    assert!(matches!(f.bring(&carried).await.unwrap(), Find::Ended(_)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_was_read_before_an_outage_is_not_kept_after_it() {
    let nodes = Nodes::over(with_window(Duration::from_secs(60))).await;
    let (f, ticket) = (&nodes.f, &nodes.opened.ticket);
    // Given somebody who has read the record, and has not put in the copy yet,
    f.cache.tier.end(&ticket.handle);
    let gate = f.hold_after(Which::Read);
    let find = tokio::spawn({
        let (cache, application, ticket) = (Arc::clone(&f.cache), f.application.clone(), ticket.clone());
        async move { cache.find(&ticket, &application).await }
    });
    gate.arrival().await;
    // when the session ends unheard, and changes are heard again,
    nodes.cut();
    eventually(async || f.cache.is_deaf()).await;
    nodes.other.end(&nodes.opened.session, f.logout(), &f.application).await.unwrap();
    let followers = f.probe.followers();
    f.probe.cut(false);
    eventually(async || f.probe.followers() > followers && !f.cache.is_deaf()).await;
    gate.open();
    // then they ask once more.
    super::fixture::ended(find.await.unwrap());
    f.ending(ticket).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_be_missed_along_the_way_shortens_the_window() {
    let window = with_window(LONGEST_UNNOTICED + GOOD);
    let nodes = Nodes::behind(window, LONGEST_UNNOTICED * 2).await;
    let (f, ticket) = (&nodes.f, &nodes.opened.ticket);
    nodes.cut();
    eventually(async || f.cache.is_deaf()).await;
    f.faults.fail(Which::Any, Fault::Refuse);
    f.find(ticket).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_can_do_without_an_answer_does_not_wait_for_one_that_never_comes() {
    let nodes = Nodes::over(with_window(Duration::from_secs(60))).await;
    let (f, ticket) = (&nodes.f, &nodes.opened.ticket);
    let carried = f.open_carried(Some("ada")).await;
    f.opens(&carried).await;
    nodes.cut();
    eventually(async || f.cache.is_deaf()).await;
    f.faults.fail(Which::Any, Fault::HoldBefore(Gate::default()));
    f.found(ticket).await;
    f.opens(&carried).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_carried_session_is_what_its_cookie_says_for_the_window_and_then_nobody_knows() {
    let nodes = Nodes::over(with_window(WINDOW)).await;
    let f = &nodes.f;
    let carried = f.open_carried(Some("ada")).await;
    // It was written just now, so there is a head that would have to be asked for.
    let written = f.write(&carried, "b", "2").await;
    let over = nodes.cut();
    f.faults.fail(Which::Any, Fault::Refuse);
    assert_eq!(entries(&f.opens(&written).await.session), "a=1 b=2");
    assert_eq!(entries(&f.opens(&carried).await.session), "a=1");
    let late = f.try_to_write(&f.cache, &carried, "c", "3", roomy).await;
    late.expect_err("nobody writes over what cannot be read");
    sleep_until(over).await;
    f.bring(&written).await.unwrap_err();
    f.faults.heal();
    assert_eq!(entries(&f.opens(&carried).await.session), "a=1 b=2", "what was written is not lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_that_was_heard_before_the_stream_ended_holds_in_the_outage() {
    let nodes = Nodes::over(with_window(Duration::from_secs(60))).await;
    let (f, ticket) = (&nodes.f, &nodes.opened.ticket);
    let carried = f.open_carried(Some("ada")).await;
    f.opens(&carried).await;
    nodes.other.end(&carried.session, f.logout(), &f.application).await.unwrap();
    nodes.other.end(&nodes.opened.session, f.logout(), &f.application).await.unwrap();
    eventually(async || f.cache.tier.held(&ticket.handle).is_none()).await;
    nodes.cut();
    eventually(async || f.cache.is_deaf()).await;
    f.faults.fail(Which::Any, Fault::Refuse);
    f.find(ticket).await.unwrap_err();
    assert!(matches!(f.bring(&carried).await.unwrap(), Find::Ended(_)));
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
