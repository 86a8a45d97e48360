//! Law 3: an outage is not a logout.

use std::time::Duration;

use session::{OnConflict, Ticket, Why};
use storage::faulty::{Fault, Gate, Which};
use storage::{Applied, NewValue, Update, WriteId};

use super::fixture::{MILLISECOND, SETTINGS, entries, eventually, found, setting};
use super::{Fixture, on_every_engine};
use crate::outbox::due::Target;

on_every_engine!(
    an_outage_logs_nobody_out_and_ends_nothing
    an_end_that_was_not_confirmed_is_refused_until_it_is_done_without_anybody_asking
    an_end_whose_answer_was_lost_is_done
    an_end_that_was_not_confirmed_is_no_end_after_a_crash
    many_ends_that_wait_are_all_done_and_leave_no_memory
    an_end_that_cannot_be_done_does_not_hold_up_the_others
    a_damaged_record_is_unavailable_and_not_absent
    a_record_of_a_newer_build_is_unavailable_and_not_absent
    an_opening_that_was_refused_leaves_nothing
    a_copy_is_served_for_its_time_and_no_longer
    what_was_used_in_an_outage_is_written_after_it_without_anybody_asking
);

/// The ways in which storage keeps its answer to itself.
fn faults() -> [Fault; 3] {
    // The gate is never opened: storage is slower than anybody waits.
    [Fault::Refuse, Fault::LoseAnswer, Fault::HoldBefore(Gate::default())]
}

async fn an_outage_logs_nobody_out_and_ends_nothing(mut f: Fixture) {
    f.cache = f.impatient_cache(Duration::from_millis(300));
    for fault in faults() {
        let (cold, warm) = (f.open().await, f.open().await);
        f.cache.tier.end(&cold.ticket.handle);
        f.found(&warm.ticket).await;
        f.cache.tier.end(&cold.ticket.handle);
        f.faults.fail(Which::Any, fault.clone());
        for _ in 0..3 {
            // The first tier answers; whoever must ask storage is told that it cannot say, strangers included.
            if f.has_first_tier() {
                assert_eq!(*f.found(&warm.ticket).await, *warm.session);
            } else {
                f.find(&warm.ticket).await.unwrap_err();
            }
            f.find(&cold.ticket).await.unwrap_err();
            f.find(&Ticket::random().unwrap()).await.unwrap_err();
            f.advance(MILLISECOND);
        }
        f.patch(&cold.ticket.handle, &setting(&cold.session, "a", "2")).await.unwrap_err();
        f.renew(&cold.ticket, None).await.unwrap_err();
        f.faults.heal();
        f.found(&cold.ticket).await;
        f.found(&warm.ticket).await;
        assert!(f.cache.outbox.all().is_empty(), "{fault:?}");
    }
}

async fn an_end_that_was_not_confirmed_is_refused_until_it_is_done_without_anybody_asking(mut f: Fixture) {
    f.cache = f.impatient_cache(Duration::from_millis(300));
    let _house = f.keep_house(&f.cache).await;
    for fault in faults() {
        let (leaving, staying) = (f.open().await, f.open().await);
        f.found(&leaving.ticket).await;
        f.faults.fail(Which::Bury, fault.clone());
        f.end(&leaving.session).await.unwrap_err();
        for _ in 0..3 {
            let error = f.find(&leaving.ticket).await.unwrap_err();
            assert!(error.retry_after.is_some(), "{fault:?}");
        }
        f.patch(&leaving.ticket.handle, &setting(&leaving.session, "a", "2")).await.unwrap_err();
        f.renew(&leaving.ticket, None).await.unwrap_err();
        f.found(&staying.ticket).await;
        f.faults.heal();
        eventually(async || f.cache.outbox.all().is_empty()).await;
        assert_eq!(f.ending(&leaving.ticket).await.why, Why::Logout);
        // Another node sees it as well.
        let other = f.another_cache();
        assert_eq!(super::fixture::ended(other.find(&leaving.ticket, &f.application).await).why, Why::Logout);
        f.found(&staying.ticket).await;
    }
}

async fn an_end_whose_answer_was_lost_is_done(mut f: Fixture) {
    let opened = f.open().await;
    f.faults.fail_once(Which::Bury, Fault::LoseAnswer);
    assert_eq!(f.end(&opened.session).await.unwrap_err().applied, Applied::Unknown);
    // This node still waits for a confirmation; who reads storage sees it.
    f.find(&opened.ticket).await.unwrap_err();
    f.crash();
    f.ending(&opened.ticket).await;
}

async fn an_end_that_was_not_confirmed_is_no_end_after_a_crash(mut f: Fixture) {
    let opened = f.open().await;
    f.faults.fail_once(Which::Bury, Fault::Refuse);
    f.end(&opened.session).await.unwrap_err();
    f.crash();
    // Nobody was told that it is over.
    assert_eq!(*f.found(&opened.ticket).await, *opened.session);
}

async fn many_ends_that_wait_are_all_done_and_leave_no_memory(f: Fixture) {
    let _house = f.keep_house(&f.cache).await;
    let mut opened = Vec::new();
    for _ in 0..100 {
        opened.push(f.open().await);
    }
    f.faults.fail(Which::Bury, Fault::Refuse);
    for _ in 0..3 {
        for opened in &opened {
            f.end(&opened.session).await.unwrap_err();
        }
    }
    assert_eq!(f.cache.outbox.all().len(), opened.len());
    f.faults.heal();
    eventually(async || f.cache.outbox.all().is_empty()).await;
    for opened in &opened {
        f.ending(&opened.ticket).await;
    }
}

async fn an_end_that_cannot_be_done_does_not_hold_up_the_others(f: Fixture) {
    let mut opened = Vec::new();
    for _ in 0..20 {
        opened.push(f.open().await);
    }
    f.faults.fail(Which::Bury, Fault::Refuse);
    for opened in &opened {
        f.end(&opened.session).await.unwrap_err();
    }
    f.faults.heal();
    // Given one whose record storage cannot get at, whichever comes first,
    let stuck = f.cache.outbox.all()[0].0;
    let Target::Session(handle) = stuck else { panic!("{stuck:?}") };
    f.probe.refuse(f.key(&handle));
    let _house = f.keep_house(&f.cache).await;
    // then the others are ended.
    eventually(async || f.cache.outbox.all().len() == 1).await;
    assert_eq!(f.cache.outbox.all()[0].0, stuck);
}

/// Puts other bytes in the place of a session's record.
async fn overwrite(f: &Fixture, ticket: &Ticket, change: impl FnOnce(&mut Vec<u8>)) {
    let key = f.key(&ticket.handle);
    let storage::Read::Found(record) = f.cache.storage().read(&key, None).await.unwrap() else {
        panic!("the record is not there")
    };
    let mut value = record.value.to_vec();
    change(&mut value);
    let write = WriteId::random().unwrap();
    let new = NewValue { expected: record.version, value: value.into(), times: None, write, is_end: false };
    assert!(matches!(f.cache.storage().update(&key, new).await.unwrap(), Update::Updated(_)));
}

async fn cannot_be_said(f: &mut Fixture, ticket: &Ticket, says: &str) {
    f.crash();
    for _ in 0..2 {
        let error = f.find(ticket).await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        // To try again soon helps nobody.
        assert!(error.retry_after.is_none());
        let mut patch = session::Patch::new(session::Revision(1));
        patch.set("a", "2".into());
        f.patch(&ticket.handle, &patch).await.unwrap_err();
    }
    assert_eq!((f.cache.tier.registrations(), f.cache.first_tier_size().1), (0, 0));
}

async fn a_damaged_record_is_unavailable_and_not_absent(mut f: Fixture) {
    let opened = f.open().await;
    overwrite(&f, &opened.ticket, |value| value.truncate(value.len() / 2)).await;
    cannot_be_said(&mut f, &opened.ticket, "the record is no session").await;
    // It can still be ended.
    f.end(&opened.session).await.unwrap();
    f.ending(&opened.ticket).await;
}

async fn a_record_of_a_newer_build_is_unavailable_and_not_absent(mut f: Fixture) {
    let opened = f.open().await;
    overwrite(&f, &opened.ticket, |value| value.extend([99, 1, 7])).await;
    cannot_be_said(&mut f, &opened.ticket, "upgrade this node").await;
}

async fn an_opening_that_was_refused_leaves_nothing(f: Fixture) {
    for fault in [Fault::Refuse, Fault::LoseAnswer] {
        f.faults.fail_once(Which::Create, fault);
        let entries = session::Patch::new(session::Revision(0));
        let opening = crate::Opening { entries, ..crate::Opening::default() };
        f.cache.open(opening, &f.application).await.unwrap_err();
        assert_eq!((f.cache.tier.registrations(), f.cache.first_tier_size().1), (0, 0));
    }
}

async fn a_copy_is_served_for_its_time_and_no_longer(f: Fixture) {
    if !f.has_first_tier() {
        return;
    }
    let opened = f.open().await;
    f.faults.fail(Which::Any, Fault::Refuse);
    f.advance(SETTINGS.inproc_timeout - MILLISECOND);
    f.found(&opened.ticket).await;
    f.advance(SETTINGS.inproc_timeout);
    f.find(&opened.ticket).await.unwrap_err();
    f.faults.heal();
    f.found(&opened.ticket).await;
}

async fn what_was_used_in_an_outage_is_written_after_it_without_anybody_asking(mut f: Fixture) {
    if !f.has_first_tier() {
        return;
    }
    let opened = f.open().await;
    let house = f.keep_house(&f.cache).await;
    f.found(&opened.ticket).await;
    // Given a session in use through an outage longer than its record would stay,
    f.faults.fail(Which::Any, Fault::Refuse);
    for _ in 0..6 {
        f.advance(SETTINGS.inproc_timeout - MILLISECOND);
        f.found(&opened.ticket).await;
    }
    eventually(async || f.cache.counters.touches_failed.get() == 6).await;
    // when storage is back,
    f.faults.heal();
    let last_use = f.clock_now();
    let key = f.key(&opened.ticket.handle);
    eventually(async || match f.cache.storage().read(&key, None).await.unwrap() {
        storage::Read::Found(record) => record.times.touched == last_use,
        other => panic!("the record is not there: {other:?}"),
    })
    .await;
    // then even a crash does not make its visitor idle.
    drop(house);
    f.crash();
    f.advance(super::fixture::IDLE - MILLISECOND);
    f.found(&opened.ticket).await;
}

#[tokio::test]
async fn an_update_that_timed_out_and_came_late_after_all_is_not_lost() {
    let f = Fixture::over(super::Engine::Tiered).await;
    let (cache, opened) = (f.impatient_cache(Duration::from_millis(50)), f.open().await);
    f.faults.fail_once(Which::Update, Fault::Delay(Duration::from_millis(200)));
    let patch = setting(&opened.session, "a", "2");
    let error =
        cache.patch(&opened.ticket.handle, &patch, OnConflict::KeepFirst, &f.application).await.unwrap_err();
    assert_eq!(error.applied, Applied::Unknown);
    // Whatever became of it, the next writer builds on what is there.
    let patch = setting(&opened.session, "b", "3");
    let answer = cache.patch(&opened.ticket.handle, &patch, OnConflict::KeepFirst, &f.application).await;
    let (session, _) = super::fixture::merged(answer);
    assert_eq!(*found(cache.find(&opened.ticket, &f.application).await), *session);
    assert!(entries(&session).ends_with("b=3"));
}
