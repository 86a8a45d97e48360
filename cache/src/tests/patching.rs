//! Law 2: no update is lost.

use std::sync::Arc;

use session::{Millis, OnConflict, Patch, Principal, Revision, Ticket, Why};
use storage::faulty::{Fault, Which};

use super::fixture::{MILLISECOND, entries, eventually, merged, removing, setting};
use super::{Engine, Fixture, on_every_engine};
use crate::{Absence, Patched};

on_every_engine!(
    writers_of_different_keys_both_keep_their_change
    a_stale_writer_of_the_same_key_is_told
    equal_values_are_no_conflict_and_no_write
    what_was_refused_or_overwritten_is_as_the_option_says
    conflicts_stay_until_they_are_told
    a_patch_that_does_not_fit_changes_nothing_and_is_told
    an_emptied_session_is_over
    an_emptied_session_of_a_person_is_not_over
    a_session_is_not_over_as_empty_if_somebody_wrote_meanwhile
    a_session_with_a_conflict_to_tell_is_not_over_as_empty
    what_is_too_large_is_refused_and_the_session_stays
    a_patch_of_an_ended_session_is_ended
    a_patch_of_an_unknown_session_is_absent
    a_patch_brings_the_end_nearer_and_never_away
    sixty_four_writers_of_distinct_keys_are_all_kept
    of_64_writers_of_one_key_one_is_first_and_63_are_told
    an_update_whose_answer_was_lost_is_seen_by_the_next_find
    a_stale_writer_is_told_of_an_update_whose_answer_was_lost
    a_patch_that_was_given_up_half_way_is_seen_by_the_next_find
    an_emptying_whose_answer_was_lost_leaves_no_copy
);

async fn writers_of_different_keys_both_keep_their_change(mut f: Fixture) {
    let opened = f.open().await;
    f.set(&opened.session, "b", "2").await;
    let (session, merge) = merged(f.patch(&opened.ticket.handle, &setting(&opened.session, "c", "3")).await);
    assert!(merge.changed && merge.conflicts.is_empty());
    assert_eq!(entries(&session), "a=1 b=2 c=3");
    assert_eq!(*f.found(&opened.ticket).await, *session);
    f.crash();
    assert_eq!(*f.found(&opened.ticket).await, *session);
}

async fn a_stale_writer_of_the_same_key_is_told(f: Fixture) {
    let opened = f.open().await;
    f.set(&opened.session, "a", "first").await;
    let (session, merge) =
        merged(f.patch(&opened.ticket.handle, &setting(&opened.session, "a", "late")).await);
    assert_eq!(merge.conflicts, [Box::from("a")]);
    assert_eq!(entries(&session), "a=first");
}

async fn equal_values_are_no_conflict_and_no_write(f: Fixture) {
    let opened = f.open().await;
    let session = f.set(&opened.session, "a", "2").await;
    let (same, merge) = merged(f.patch(&opened.ticket.handle, &setting(&opened.session, "a", "2")).await);
    assert!(merge.conflicts.is_empty() && !merge.changed);
    assert_eq!(same.revision, session.revision);
}

async fn what_was_refused_or_overwritten_is_as_the_option_says(f: Fixture) {
    for (on_conflict, expected) in [
        (OnConflict::KeepFirst, "a=first b=late"),
        (OnConflict::Overwrite, "a=late b=late"),
        (OnConflict::Refuse, "a=first"),
    ] {
        let opened = f.open().await;
        f.set(&opened.session, "a", "first").await;
        let mut late = setting(&opened.session, "a", "late");
        late.set("b", "late".into());
        let patched = f.cache.patch(&opened.ticket.handle, &late, on_conflict, &f.application).await;
        let (session, merge) = merged(patched);
        assert_eq!(merge.conflicts, [Box::from("a")], "{on_conflict:?}");
        assert_eq!(entries(&session), expected, "{on_conflict:?}");
    }
}

async fn conflicts_stay_until_they_are_told(mut f: Fixture) {
    let opened = f.open().await;
    f.set(&opened.session, "a", "first").await;
    f.set(&opened.session, "a", "late").await;
    f.crash();
    let told = f.found(&opened.ticket).await;
    assert_eq!(conflicts(&told), ["a"]);
    // Another conflict comes between the telling and its note.
    f.set(&opened.session, "b", "first").await;
    f.set(&opened.session, "b", "late").await;
    f.cache.settle(&told.handle, &told.conflicts, &f.application).await.unwrap();
    let settled = f.found(&opened.ticket).await;
    assert_eq!(conflicts(&settled), ["b"]);
    assert!(settled.revision > told.revision);
    f.cache.settle(&settled.handle, &settled.conflicts, &f.application).await.unwrap();
    f.crash();
    assert!(f.found(&opened.ticket).await.conflicts.is_empty());
    // Nothing to settle is nothing to write.
    let before = f.probe.updates.load(std::sync::atomic::Ordering::SeqCst);
    f.cache.settle(&told.handle, &told.conflicts, &f.application).await.unwrap();
    assert_eq!(f.probe.updates.load(std::sync::atomic::Ordering::SeqCst), before);
}

fn conflicts(session: &session::Session) -> Vec<&str> {
    session.conflicts.iter().map(|conflict| &*conflict.name).collect()
}

async fn a_patch_that_does_not_fit_changes_nothing_and_is_told(mut f: Fixture) {
    let opened = f.open().await;
    let handle = &opened.ticket.handle;
    let mut patch = setting(&opened.session, "b", "2");
    patch.set("c", "3".into());
    let few = |session: &session::Session| session.entries.len() < 3;
    let patched = f.cache.patch_if(handle, &patch, OnConflict::KeepFirst, &f.application, few).await.unwrap();
    assert!(matches!(patched, Patched::Unfit), "{patched:?}");
    f.crash();
    let found = f.found(&opened.ticket).await;
    assert_eq!((entries(&found), conflicts(&found)), ("a=1".to_owned(), vec!["b", "c"]));
}

async fn an_emptied_session_is_over(f: Fixture) {
    let opened = f.open().await;
    let patched = f.patch(&opened.ticket.handle, &removing(&opened.session, "a")).await.unwrap();
    assert!(matches!(patched, Patched::Emptied), "{patched:?}");
    assert_eq!(f.ending(&opened.ticket).await.why, Why::Emptied);
}

async fn an_emptied_session_of_a_person_is_not_over(f: Fixture) {
    let opened = f.open_for("ada").await;
    let (session, _) = merged(f.patch(&opened.ticket.handle, &removing(&opened.session, "a")).await);
    assert!(session.entries.is_empty());
    f.found(&opened.ticket).await;
}

async fn a_session_is_not_over_as_empty_if_somebody_wrote_meanwhile(f: Fixture) {
    let opened = f.open().await;
    // Given an application that empties the session it saw,
    let gate = f.hold_before(Which::Bury);
    let emptying = tokio::spawn({
        let (cache, application, seen) =
            (Arc::clone(&f.cache), f.application.clone(), Arc::clone(&opened.session));
        async move { cache.patch(&seen.handle, &removing(&seen, "a"), OnConflict::KeepFirst, &application).await }
    });
    gate.arrival().await;
    // when another puts something in before storage has it,
    f.set(&opened.session, "b", "2").await;
    gate.open();
    // then both changes are there.
    let (session, _) = merged(emptying.await.unwrap());
    assert_eq!(entries(&session), "b=2");
    assert_eq!(entries(&*f.found(&opened.ticket).await), "b=2");
}

async fn a_session_with_a_conflict_to_tell_is_not_over_as_empty(f: Fixture) {
    let opened = f.open_with(&[("a", "1"), ("b", "1")], None).await;
    f.patch(&opened.ticket.handle, &removing(&opened.session, "b")).await.unwrap();
    // The late writer removes all that is left, and loses its own change of `b`: it must learn of that (law 2).
    let mut late = removing(&opened.session, "a");
    late.set("b", "2".into());
    let (session, merge) = merged(f.patch(&opened.ticket.handle, &late).await);
    assert_eq!(merge.conflicts, [Box::from("b")]);
    assert_eq!(conflicts(&session), ["b"]);
    assert_eq!(conflicts(&*f.found(&opened.ticket).await), ["b"]);
}

async fn what_is_too_large_is_refused_and_the_session_stays(f: Fixture) {
    let mut f = Fixture::with(f.engine, |capabilities| capabilities.max_value = 2_000).await;
    let opened = f.open().await;
    let patched = f.patch(&opened.ticket.handle, &setting(&opened.session, "b", &"x".repeat(3_000))).await;
    let Patched::TooLarge(too_large) = patched.unwrap() else { panic!("a huge session was taken") };
    assert!(too_large.to_string().ends_with("and its storage takes 2000"), "{too_large}");
    assert_eq!(entries(&*f.found(&opened.ticket).await), "a=1");
    f.crash();
    assert_eq!(entries(&*f.found(&opened.ticket).await), "a=1");
}

async fn a_patch_of_an_ended_session_is_ended(f: Fixture) {
    let opened = f.open().await;
    f.end(&opened.session).await.unwrap();
    let patched = f.patch(&opened.ticket.handle, &setting(&opened.session, "a", "2")).await.unwrap();
    assert!(matches!(&patched, Patched::Ended(ending) if ending.why == Why::Logout), "{patched:?}");
    f.ending(&opened.ticket).await;
}

async fn a_patch_of_an_unknown_session_is_absent(f: Fixture) {
    let ticket = Ticket::random().unwrap();
    let mut patch = Patch::new(Revision(1));
    patch.set("a", "1".into());
    assert!(matches!(f.patch(&ticket.handle, &patch).await.unwrap(), Patched::Absent));
    // And it made none.
    assert_eq!(f.absence(&ticket).await, Absence::Unknown);
}

async fn a_patch_brings_the_end_nearer_and_never_away(f: Fixture) {
    let opened = f.open().await;
    let now = f.clock_now();
    let mut patch = Patch::new(opened.session.revision);
    patch.ends = Some(now.plus(10 * MILLISECOND));
    merged(f.patch(&opened.ticket.handle, &patch).await);
    patch.ends = Some(Millis::NEVER);
    merged(f.patch(&opened.ticket.handle, &patch).await);
    f.advance(9 * MILLISECOND);
    f.found(&opened.ticket).await;
    f.advance(MILLISECOND);
    assert_eq!(f.ending(&opened.ticket).await.why, Why::Lifetime);
}

async fn sixty_four_writers_of_distinct_keys_are_all_kept(mut f: Fixture) {
    let opened = f.open().await;
    let writers: Vec<_> = (0..64)
        .map(|number| {
            let (cache, application, seen) =
                (Arc::clone(&f.cache), f.application.clone(), Arc::clone(&opened.session));
            tokio::spawn(async move {
                let patch = setting(&seen, &format!("k{number}"), "x");
                merged(cache.patch(&seen.handle, &patch, OnConflict::KeepFirst, &application).await).1
            })
        })
        .collect();
    for writer in writers {
        assert!(writer.await.unwrap().conflicts.is_empty());
    }
    for _ in 0..2 {
        let session = f.found(&opened.ticket).await;
        assert_eq!(session.entries.len(), 65);
        assert_eq!(session.revision, Revision(66));
        f.crash();
    }
}

async fn of_64_writers_of_one_key_one_is_first_and_63_are_told(mut f: Fixture) {
    let opened = f.open().await;
    let writers: Vec<_> = (0..64)
        .map(|number| {
            let (cache, application, seen) =
                (Arc::clone(&f.cache), f.application.clone(), Arc::clone(&opened.session));
            tokio::spawn(async move {
                let patch = setting(&seen, "a", &format!("w{number}"));
                let answer = cache.patch(&seen.handle, &patch, OnConflict::KeepFirst, &application).await;
                (number, merged(answer).1)
            })
        })
        .collect();
    let mut winners = Vec::new();
    for writer in writers {
        let (number, merge) = writer.await.unwrap();
        if merge.conflicts.is_empty() {
            winners.push(number);
        } else {
            assert_eq!(merge.conflicts, [Box::from("a")]);
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    f.crash();
    let session = f.found(&opened.ticket).await;
    assert_eq!(entries(&session), format!("a=w{}", winners[0]));
    assert_eq!(conflicts(&session), ["a"]);
}

async fn an_update_whose_answer_was_lost_is_seen_by_the_next_find(f: Fixture) {
    let opened = f.open().await;
    f.faults.fail_once(Which::Update, Fault::LoseAnswer);
    let patched = f.patch(&opened.ticket.handle, &setting(&opened.session, "a", "2")).await;
    match patched {
        // Recognised, or told that nobody knows; and what is there is what is found.
        Ok(patched) => assert_eq!(entries(&merged(Ok(patched)).0), "a=2"),
        Err(error) => assert_eq!(error.applied, storage::Applied::Unknown),
    }
    assert_eq!(entries(&*f.found(&opened.ticket).await), "a=2");
}

async fn a_stale_writer_is_told_of_an_update_whose_answer_was_lost(f: Fixture) {
    let opened = f.open().await;
    f.faults.fail_once(Which::Update, Fault::LoseAnswer);
    let patch = setting(&opened.session, "a", "2");
    // Recognised or not, it is there.
    let _ = f.patch(&opened.ticket.handle, &patch).await;
    // What was there before the lost answer is no measure for who wants to keep it.
    let (session, merge) = merged(f.patch(&opened.ticket.handle, &setting(&opened.session, "a", "1")).await);
    assert_eq!(merge.conflicts, [Box::from("a")]);
    assert_eq!(entries(&session), "a=2");
}

async fn a_patch_that_was_given_up_half_way_is_seen_by_the_next_find(f: Fixture) {
    let opened = f.open().await;
    let gate = f.hold_after(Which::Update);
    let patch = setting(&opened.session, "a", "2");
    {
        let patching = f.patch(&opened.ticket.handle, &patch);
        tokio::select! {
            _ = patching => panic!("the gate is closed"),
            () = gate.arrival() => {}
        }
        // The visitor is gone, and the request with them.
    }
    assert_eq!(f.cache.tier.registrations(), 0);
    assert_eq!(entries(&*f.found(&opened.ticket).await), "a=2");
}

async fn an_emptying_whose_answer_was_lost_leaves_no_copy(f: Fixture) {
    let opened = f.open().await;
    f.faults.fail_once(Which::Bury, Fault::LoseAnswer);
    f.patch(&opened.ticket.handle, &removing(&opened.session, "a")).await.unwrap_err();
    assert_eq!(f.ending(&opened.ticket).await.why, Why::Emptied);
}

#[tokio::test]
async fn a_patch_that_changes_nothing_is_measured_against_storage_if_others_write_there() {
    let f = Fixture::with(Engine::Tiered, |capabilities| capabilities.is_shared = true).await;
    let (opened, other) =
        (f.open_with(&[("a", "1")], Some(Principal::named("test", "ada"))).await, f.another_cache());
    let patch = setting(&opened.session, "a", "2");
    merged(other.patch(&opened.ticket.handle, &patch, OnConflict::KeepFirst, &f.application).await);
    // This node's copy still says `a=1`, and its writer wants just that.
    let (session, merge) = merged(f.patch(&opened.ticket.handle, &setting(&opened.session, "a", "1")).await);
    assert_eq!(merge.conflicts, [Box::from("a")]);
    assert_eq!(entries(&session), "a=2");
    // And what was ended elsewhere is not patched here, whatever the patch changes.
    other.end(&session, f.logout(), &f.application).await.unwrap();
    let patched = f.patch(&opened.ticket.handle, &setting(&session, "a", "2")).await.unwrap();
    assert!(matches!(patched, Patched::Ended(_)), "{patched:?}");
    f.ending(&opened.ticket).await;
    eventually(async || f.cache.tier.registrations() == 0).await;
}
