//! Law 1, step by step: an end against whatever is under way when it comes.

use std::sync::Arc;

use session::{OnConflict, Ticket, Timeouts, Why};
use storage::faulty::{Fault, Gate, Which};
use tokio::task::JoinHandle;

use super::fixture::{
    IDLE, LIFETIME, MILLISECOND, SETTINGS, START, TOUCH_INTERVAL, application, ended, eventually, found,
    opened, setting,
};
use super::{Engine, Fixture, on_every_engine};
use crate::{Cache, Ended, Find, Opening, Patched, Renew};

on_every_engine!(
    what_was_ended_is_ended_for_everybody_and_after_a_restart
    an_end_is_ended_once
    an_end_beats_a_fill_that_has_the_record_in_hand
    an_end_beats_a_fill_that_is_about_to_read
    an_end_beats_a_patch_under_way
    a_patch_that_came_first_is_ended_with_the_session
    an_end_beats_a_renewal_under_way
    an_end_goes_on_when_its_visitor_is_gone
    who_is_told_by_a_patch_that_it_is_over_does_not_find_it_again
    who_is_told_by_a_find_that_it_is_over_leaves_no_copy
    an_end_stands_when_the_clock_is_set
    an_end_of_a_session_that_is_over_anyway_brings_nothing_back
);

impl Fixture {
    fn finding(&self, ticket: &Ticket) -> JoinHandle<Find> {
        let (cache, application, ticket) =
            (Arc::clone(&self.cache), self.application.clone(), ticket.clone());
        tokio::spawn(async move { cache.find(&ticket, &application).await.unwrap() })
    }

    /// It is over: on this node, on another, and after a restart.
    async fn is_over(&mut self, ticket: &Ticket) {
        for _ in 0..2 {
            for _ in 0..2 {
                assert_eq!(self.ending(ticket).await.why, Why::Logout);
            }
            assert_eq!(self.cache.first_tier_size().1, 0);
            self.crash();
        }
    }
}

async fn what_was_ended_is_ended_for_everybody_and_after_a_restart(mut f: Fixture) {
    let opened = f.open().await;
    assert_eq!(f.end(&opened.session).await.unwrap(), Ended::Now);
    let ending = f.ending(&opened.ticket).await;
    assert_eq!((ending.at, ending.why, &*ending.by), (f.clock_now(), Why::Logout, "test"));
    f.is_over(&opened.ticket).await;
}

async fn an_end_is_ended_once(f: Fixture) {
    let opened = f.open().await;
    let ends: Vec<_> = (0..16)
        .map(|_| {
            let (cache, application, session, ending) =
                (Arc::clone(&f.cache), f.application.clone(), Arc::clone(&opened.session), f.logout());
            tokio::spawn(async move { cache.end(&session, ending, &application).await.unwrap() })
        })
        .collect();
    let mut now = 0;
    for end in ends {
        now += usize::from(end.await.unwrap() == Ended::Now);
    }
    assert_eq!(now, 1);
}

async fn an_end_beats_a_fill_that_has_the_record_in_hand(mut f: Fixture) {
    let opened = f.open().await;
    f.crash();
    let gate = f.hold_after(Which::Read);
    let find = f.finding(&opened.ticket);
    gate.arrival().await;
    f.end(&opened.session).await.unwrap();
    gate.open();
    let find = find.await.unwrap();
    assert!(matches!(find, Find::Ended(_)), "{find:?}");
    f.is_over(&opened.ticket).await;
}

async fn an_end_beats_a_fill_that_is_about_to_read(mut f: Fixture) {
    let opened = f.open().await;
    f.crash();
    let gate = f.hold_before(Which::Read);
    let find = f.finding(&opened.ticket);
    gate.arrival().await;
    f.end(&opened.session).await.unwrap();
    gate.open();
    assert!(matches!(find.await.unwrap(), Find::Ended(_)));
    f.is_over(&opened.ticket).await;
}

/// A patch that waits at a gate of its update.
async fn patching(f: &Fixture, opened: &crate::Opened, gate: &Gate) -> JoinHandle<Patched> {
    let (cache, application, seen) =
        (Arc::clone(&f.cache), f.application.clone(), Arc::clone(&opened.session));
    let patch = tokio::spawn(async move {
        cache
            .patch(&seen.handle, &setting(&seen, "a", "2"), OnConflict::KeepFirst, &application)
            .await
            .unwrap()
    });
    gate.arrival().await;
    patch
}

async fn an_end_beats_a_patch_under_way(mut f: Fixture) {
    let opened = f.open().await;
    let gate = f.hold_before(Which::Update);
    let patch = patching(&f, &opened, &gate).await;
    f.end(&opened.session).await.unwrap();
    gate.open();
    let patched = patch.await.unwrap();
    assert!(matches!(&patched, Patched::Ended(ending) if ending.why == Why::Logout), "{patched:?}");
    f.is_over(&opened.ticket).await;
}

async fn a_patch_that_came_first_is_ended_with_the_session(mut f: Fixture) {
    let opened = f.open().await;
    let gate = f.hold_after(Which::Update);
    let patch = patching(&f, &opened, &gate).await;
    f.end(&opened.session).await.unwrap();
    gate.open();
    // Storage had the patch before the end, so it may say so; but its copy is not put in.
    assert!(matches!(patch.await.unwrap(), Patched::Merged(..)));
    f.is_over(&opened.ticket).await;
}

async fn an_end_beats_a_renewal_under_way(mut f: Fixture) {
    for is_before in [true, false] {
        let opened = f.open().await;
        let gate = if is_before { f.hold_before(Which::Update) } else { f.hold_after(Which::Update) };
        let renewal = tokio::spawn({
            let (cache, application, ticket, renewal) =
                (Arc::clone(&f.cache), f.application.clone(), opened.ticket.clone(), f.renewal(Some("ada")));
            async move { cache.renew(&ticket.handle, &ticket.secret, &renewal, &application).await.unwrap() }
        });
        gate.arrival().await;
        f.end(&opened.session).await.unwrap();
        gate.open();
        match renewal.await.unwrap() {
            Renew::Renewed(_, ticket, _) => {
                assert!(!is_before);
                f.is_over(&ticket).await;
            }
            other => assert!(is_before && matches!(other, Renew::Gone), "{other:?}"),
        }
        f.is_over(&opened.ticket).await;
    }
}

async fn an_end_goes_on_when_its_visitor_is_gone(mut f: Fixture) {
    let opened = f.open().await;
    let gate = f.hold_before(Which::Bury);
    {
        let ending = f.end(&opened.session);
        tokio::select! {
            _ = ending => panic!("the gate is closed"),
            () = gate.arrival() => {}
        }
    }
    gate.open();
    eventually(async || !f.is_found(&opened.ticket).await).await;
    f.is_over(&opened.ticket).await;
}

async fn who_is_told_by_a_patch_that_it_is_over_does_not_find_it_again(mut f: Fixture) {
    let opened = f.open().await;
    f.found(&opened.ticket).await;
    // Given an end that storage has, and whose answer is still on its way,
    let gate = f.hold_after(Which::Bury);
    let end = tokio::spawn({
        let (cache, application, session, ending) =
            (Arc::clone(&f.cache), f.application.clone(), Arc::clone(&opened.session), f.logout());
        async move { cache.end(&session, ending, &application).await.unwrap() }
    });
    gate.arrival().await;
    // when a patch is told that the session is over,
    let patched = f.patch(&opened.ticket.handle, &setting(&opened.session, "a", "2")).await.unwrap();
    assert!(matches!(patched, Patched::Ended(_)), "{patched:?}");
    // then nobody finds it any more.
    f.ending(&opened.ticket).await;
    gate.open();
    end.await.unwrap();
    f.is_over(&opened.ticket).await;
}

async fn who_is_told_by_a_find_that_it_is_over_leaves_no_copy(mut f: Fixture) {
    let opened = f.open().await;
    f.found(&opened.ticket).await;
    // Another node ended it, and nobody told this one.
    f.another_cache().end(&opened.session, f.logout(), &f.application).await.unwrap();
    // Somebody with a wrong secret is the first who asks storage.
    let forged = Ticket { secret: session::Secret::random().unwrap(), ..opened.ticket.clone() };
    assert!(matches!(f.find(&forged).await.unwrap(), Find::Ended(_)));
    f.is_over(&opened.ticket).await;
}

async fn an_end_stands_when_the_clock_is_set(mut f: Fixture) {
    let opened = f.open().await;
    let now = f.clock_now();
    f.end(&opened.session).await.unwrap();
    for minutes in [-1_000_000_i64, -1, 1, 29, 0, 60, 0] {
        f.clock.set(session::Millis(now.0.saturating_add_signed(minutes * 60_000)));
        f.is_over(&opened.ticket).await;
    }
    // Long after its ticket has lost all worth there is no tombstone either, and still no session.
    for days in [2, 400, 1_000, 0] {
        f.clock.set(now.plus(std::time::Duration::from_secs(days * 86_400)));
        f.cache.storage().reap(f.clock_now(), 1_000).await.unwrap();
        for _ in 0..2 {
            assert!(!f.is_found(&opened.ticket).await, "{days}");
            f.crash();
        }
    }
}

async fn an_end_of_a_session_that_is_over_anyway_brings_nothing_back(mut f: Fixture) {
    let opened = f.open().await;
    f.advance(IDLE + TOUCH_INTERVAL);
    f.ending(&opened.ticket).await;
    assert_eq!(f.end(&opened.session).await.unwrap(), Ended::Before);
    // The first reason counts.
    assert_eq!(f.ending(&opened.ticket).await.why, Why::Idle);
    // Far behind all bounds: the tombstone would have to stand until a moment in the past.
    f.advance(std::time::Duration::from_secs(30 * 86_400));
    assert_eq!(f.end(&opened.session).await.unwrap(), Ended::Before);
    for _ in 0..2 {
        assert!(!f.is_found(&opened.ticket).await);
        f.clock.set(START);
        assert!(!f.is_found(&opened.ticket).await);
        f.crash();
    }
}

#[tokio::test]
async fn an_end_that_fails_leaves_no_way_around_the_refusal() {
    let f = Fixture::over(Engine::Tiered).await;
    let opened = f.open().await;
    // Given a fill that has the record in hand when an end fails,
    let other = f.another_cache();
    found(other.find(&opened.ticket, &f.application).await);
    f.cache.tier.end(&opened.ticket.handle);
    let gate = f.hold_after(Which::Read);
    let find = tokio::spawn({
        let (cache, application, ticket) =
            (Arc::clone(&f.cache), f.application.clone(), opened.ticket.clone());
        async move { cache.find(&ticket, &application).await }
    });
    gate.arrival().await;
    f.faults.fail_once(Which::Bury, Fault::Refuse);
    f.end(&opened.session).await.unwrap_err();
    gate.open();
    // then it is refused as all the others are.
    find.await.unwrap().unwrap_err();
    f.find(&opened.ticket).await.unwrap_err();
    f.patch(&opened.ticket.handle, &setting(&opened.session, "a", "2")).await.unwrap_err();
    f.renew(&opened.ticket, None).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_and_last_uses_outlive_the_process_with_the_embedded_engine() {
    let folder = tempfile::TempDir::new().unwrap();
    let clock = Arc::new(session::ManualClock::at(START));
    let application = application("shop", Timeouts { idle: IDLE, lifetime: LIFETIME });
    let cache = reopened(&folder, &clock).await;
    let entries = session::Patch::new(session::Revision(0));
    let opening = Opening { entries, ..Opening::default() };
    let ended_one = opened(cache.open(opening.clone(), &application).await);
    let used_one = opened(cache.open(opening, &application).await);
    let logout = session::Ending::new(START, Why::Logout, "test");
    cache.end(&ended_one.session, logout.clone(), &application).await.unwrap();
    clock.advance(TOUCH_INTERVAL - MILLISECOND);
    found(cache.find(&used_one.ticket, &application).await);
    cache.flush().await;
    drop(cache);
    let cache = reopened(&folder, &clock).await;
    assert_eq!(ended(cache.find(&ended_one.ticket, &application).await), logout);
    clock.advance(IDLE + TOUCH_INTERVAL - MILLISECOND);
    found(cache.find(&used_one.ticket, &application).await);
}

/// A cache over the folder, as a new process has it; the old one may still be closing its files.
async fn reopened(folder: &tempfile::TempDir, clock: &Arc<session::ManualClock>) -> Arc<Cache> {
    let mut storage = None;
    eventually(async || {
        storage = engines::embedded::open("test", folder.path(), Arc::clone(clock) as _).await.ok();
        storage.is_some()
    })
    .await;
    let registry = &mut prometheus_client::registry::Registry::default();
    Arc::new(Cache::new(storage.unwrap(), Arc::clone(clock) as _, SETTINGS, registry))
}
