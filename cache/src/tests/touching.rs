//! Law 4: idle is cheap, and what memory knows of the last use is not lost.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use storage::Read;
use storage::faulty::{Fault, Which};

use super::fixture::{IDLE, MILLISECOND, SETTINGS, TOUCH_INTERVAL, eventually, found};
use super::{Engine, Fixture, on_every_engine};
use crate::Settings;

on_every_engine!(
    a_thousand_finds_in_an_interval_write_once
    nothing_is_written_before_the_interval_is_over
    a_crowd_after_a_restart_writes_once
    a_write_spares_the_touch
    the_last_use_survives_a_restart_after_a_flush
    a_flush_writes_what_a_failed_touch_did_not
    a_flush_does_not_trust_a_touch_that_is_under_way
    a_failed_touch_is_repeated_within_seconds
    a_tiny_first_tier_loses_no_use
    a_touch_never_brings_an_ended_session_back
    a_write_whose_notice_comes_before_its_answer_forgets_no_use
    a_first_tier_without_room_serves_from_storage
);

impl Fixture {
    fn touches(&self) -> usize {
        self.probe.touches.load(Ordering::SeqCst)
    }

    /// What storage says of the last use, from the start of the test.
    async fn last_use(&self, handle: &session::Handle) -> Duration {
        match self.cache.storage().read(&self.key(handle), None).await.unwrap() {
            Read::Found(record) => record.times.touched.since(super::fixture::START),
            other => panic!("the record is not there: {other:?}"),
        }
    }
}

async fn a_thousand_finds_in_an_interval_write_once(f: Fixture) {
    let opened = f.open().await;
    f.advance(TOUCH_INTERVAL);
    for number in 0..1_000 {
        f.found(&opened.ticket).await;
        if number == 0 {
            eventually(async || f.last_use(&opened.ticket.handle).await == TOUCH_INTERVAL).await;
        }
        if number % 20 == 19 {
            f.advance(MILLISECOND);
        }
    }
    assert_eq!(f.touches(), 1);
    f.advance(TOUCH_INTERVAL);
    f.found(&opened.ticket).await;
    eventually(async || f.touches() == 2).await;
}

async fn nothing_is_written_before_the_interval_is_over(f: Fixture) {
    let opened = f.open().await;
    f.advance(TOUCH_INTERVAL - MILLISECOND);
    f.found(&opened.ticket).await;
    f.quiet().await;
    assert_eq!(f.touches(), 0);
}

async fn a_crowd_after_a_restart_writes_once(mut f: Fixture) {
    if !f.has_first_tier() {
        return;
    }
    let opened = f.open().await;
    f.crash();
    f.advance(TOUCH_INTERVAL);
    let gate = storage::faulty::Gate::default();
    f.faults.fail(Which::Read, Fault::HoldAfter(gate.clone()));
    let crowd: Vec<_> = (0..64)
        .map(|_| {
            let (cache, application, ticket) =
                (Arc::clone(&f.cache), f.application.clone(), opened.ticket.clone());
            tokio::spawn(async move { found(cache.find(&ticket, &application).await).revision })
        })
        .collect();
    for _ in 0..64 {
        gate.arrival().await;
    }
    f.faults.heal();
    gate.open();
    for find in crowd {
        find.await.unwrap();
    }
    eventually(async || f.last_use(&opened.ticket.handle).await == TOUCH_INTERVAL).await;
    assert_eq!(f.touches(), 1);
}

async fn a_write_spares_the_touch(f: Fixture) {
    let opened = f.open().await;
    f.advance(TOUCH_INTERVAL);
    f.set(&opened.session, "b", "2").await;
    f.advance(TOUCH_INTERVAL - MILLISECOND);
    f.found(&opened.ticket).await;
    f.quiet().await;
    assert_eq!(f.touches(), 0);
    assert_eq!(f.last_use(&opened.ticket.handle).await, TOUCH_INTERVAL);
}

async fn the_last_use_survives_a_restart_after_a_flush(mut f: Fixture) {
    if !f.has_first_tier() {
        return;
    }
    let opened = f.open().await;
    f.advance(TOUCH_INTERVAL - MILLISECOND);
    f.found(&opened.ticket).await;
    f.cache.flush().await;
    assert_eq!(f.last_use(&opened.ticket.handle).await, TOUCH_INTERVAL - MILLISECOND);
    // What is written need not be written again.
    let touches = f.touches();
    f.cache.flush().await;
    assert_eq!(f.touches(), touches);
    f.crash();
    f.advance(IDLE + TOUCH_INTERVAL - MILLISECOND);
    f.found(&opened.ticket).await;
}

async fn a_flush_writes_what_a_failed_touch_did_not(mut f: Fixture) {
    if !f.has_first_tier() {
        return;
    }
    // With an interval below the time after which a failed touch is due again, too.
    for interval in [TOUCH_INTERVAL, Duration::from_millis(100), Duration::ZERO] {
        f.application.touch_interval = interval;
        let opened = f.open().await;
        f.advance(TOUCH_INTERVAL);
        f.faults.fail(Which::Touch, Fault::Refuse);
        f.found(&opened.ticket).await;
        eventually(async || f.cache.counters.touches_failed.get() == 1).await;
        f.faults.heal();
        f.cache.flush().await;
        let last_use = f.clock_now().since(super::fixture::START);
        assert_eq!(f.last_use(&opened.ticket.handle).await, last_use, "{interval:?}");
        f.crash();
    }
}

async fn a_flush_does_not_trust_a_touch_that_is_under_way(f: Fixture) {
    if !f.has_first_tier() {
        return;
    }
    let opened = f.open().await;
    f.advance(TOUCH_INTERVAL);
    let gate = f.hold_before(Which::Touch);
    f.found(&opened.ticket).await;
    gate.arrival().await;
    // The process stops now: the touch at the gate will never be done.
    f.cache.flush().await;
    assert_eq!(f.last_use(&opened.ticket.handle).await, TOUCH_INTERVAL);
}

async fn a_failed_touch_is_repeated_within_seconds(f: Fixture) {
    let opened = f.open().await;
    f.advance(TOUCH_INTERVAL);
    f.faults.fail_once(Which::Touch, Fault::Refuse);
    f.found(&opened.ticket).await;
    eventually(async || f.cache.counters.touches_failed.get() == 1).await;
    f.advance(Duration::from_secs(1));
    f.found(&opened.ticket).await;
    let last_use = TOUCH_INTERVAL + Duration::from_secs(1);
    eventually(async || f.last_use(&opened.ticket.handle).await == last_use).await;
}

async fn a_tiny_first_tier_loses_no_use(mut f: Fixture) {
    // Room for about a dozen sessions; fifty are in use.
    f.cache = f.cache_with(Settings { inproc_bytes: 10_000, ..SETTINGS });
    let mut opened = Vec::new();
    for _ in 0..50 {
        opened.push(f.open().await);
    }
    // Each is used once a half of its idle time, and never in the same order.
    for round in 0_usize..8 {
        f.advance(IDLE - TOUCH_INTERVAL / 2);
        for number in 0..opened.len() {
            f.found(&opened[(number * 7 + round * 13) % 50].ticket).await;
        }
        f.quiet().await;
        let (bytes, _) = f.cache.first_tier_size();
        assert!(bytes <= 10_000, "{bytes}");
    }
    // Nor is one kept alive by the others.
    f.advance(IDLE + TOUCH_INTERVAL);
    for opened in &opened {
        f.ending(&opened.ticket).await;
    }
}

async fn a_touch_never_brings_an_ended_session_back(f: Fixture) {
    let opened = f.open().await;
    f.advance(TOUCH_INTERVAL);
    let gate = f.hold_before(Which::Touch);
    f.found(&opened.ticket).await;
    gate.arrival().await;
    f.end(&opened.session).await.unwrap();
    gate.open();
    eventually(async || f.cache.counters.touched.get() == 1).await;
    f.ending(&opened.ticket).await;
}

async fn a_write_whose_notice_comes_before_its_answer_forgets_no_use(f: Fixture) {
    if !f.has_first_tier() {
        return;
    }
    let opened = f.open().await;
    let _house = f.keep_house(&f.cache).await;
    f.found(&opened.ticket).await;
    f.advance(IDLE - MILLISECOND);
    let gate = f.hold_after(Which::Update);
    let patch = tokio::spawn({
        let (cache, application, seen) =
            (Arc::clone(&f.cache), f.application.clone(), Arc::clone(&opened.session));
        let patch = super::fixture::setting(&seen, "b", "2");
        async move { cache.patch(&seen.handle, &patch, session::OnConflict::KeepFirst, &application).await }
    });
    gate.arrival().await;
    // The stream takes the old copy out, with what it knew.
    eventually(async || f.cache.tier.held(&opened.ticket.handle).is_none()).await;
    gate.open();
    super::fixture::merged(patch.await.unwrap());
    f.advance(IDLE - MILLISECOND);
    f.found(&opened.ticket).await;
}

async fn a_first_tier_without_room_serves_from_storage(mut f: Fixture) {
    f.cache = f.cache_with(Settings { inproc_bytes: 0, ..SETTINGS });
    let opened = f.open().await;
    let session = f.set(&opened.session, "b", "2").await;
    assert_eq!(*f.found(&opened.ticket).await, *session);
    assert_eq!(f.cache.first_tier_size(), (0, 0));
    f.end(&session).await.unwrap();
    f.ending(&opened.ticket).await;
}

#[tokio::test]
async fn a_touch_that_meets_a_tombstone_drops_the_copy() {
    // Without anybody who hears the change stream.
    let f = Fixture::with(Engine::Tiered, |capabilities| capabilities.is_shared = true).await;
    let (opened, other) = (f.open().await, f.another_cache());
    f.found(&opened.ticket).await;
    other.end(&opened.session, f.logout(), &f.application).await.unwrap();
    f.advance(TOUCH_INTERVAL);
    let _ = f.find(&opened.ticket).await;
    eventually(async || f.cache.first_tier_size().1 == 0).await;
    f.ending(&opened.ticket).await;
}

#[tokio::test]
async fn what_memory_knows_of_uses_during_an_outage_outlives_a_gap() {
    // Given a session in use through an outage longer than its idle time,
    let f = Fixture::over(Engine::Tiered).await;
    let opened = f.open().await;
    let _house = f.keep_house(&f.cache).await;
    f.found(&opened.ticket).await;
    f.faults.fail(Which::Any, Fault::Refuse);
    for _ in 0..3 {
        f.advance(SETTINGS.inproc_timeout - MILLISECOND);
        f.found(&opened.ticket).await;
    }
    // when storage is back and says that notices were lost,
    eventually(async || f.cache.counters.touches_failed.get() > 0).await;
    f.faults.heal();
    f.probe.gap();
    eventually(async || f.cache.tier.held(&opened.ticket.handle).is_none_or(|held| !held.is_current())).await;
    // then nobody who was there is told to have been idle.
    f.advance(IDLE - MILLISECOND);
    f.found(&opened.ticket).await;
}
