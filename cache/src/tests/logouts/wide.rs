//! Ends of many who have no name in common, of what began before a moment, and of single sessions by their handles.

use session::{OnConflict, Patch, Revision, Selector, Timeouts, Whose};

use super::super::fixture::{IDLE, LIFETIME, MILLISECOND, START, application};
use super::{Fixture, MINUTE, all, issued, of_indexes, on_every_engine, person, realm};
use crate::{Patched, Tally};

on_every_engine!(
    a_realm_ends_without_the_others
    everybody_is_over_and_comes_back
    what_began_before_a_moment_is_over_and_what_began_later_is_not
    sessions_end_by_their_handles
    it_holds_after_a_restart
);

async fn a_realm_ends_without_the_others(f: Fixture) {
    let bank = application("bank", Timeouts { idle: IDLE, lifetime: LIFETIME });
    f.cache.reckon_with(&bank.realm);
    let of_shop = [f.both(Some(person(None))).await, f.both(None).await];
    let of_bank = [f.both_for(Some(person(None)), &bank).await, f.both_for(None, &bank).await];
    assert_eq!(f.log_out(realm("shop")).await.end.sessions, Tally::Unknown);
    for (shop, bank_one) in of_shop.iter().zip(&of_bank) {
        assert!(!f.live(shop).await);
        assert!(f.lives(bank_one, &bank).await);
    }
    let next = f.both(None).await;
    assert!(f.live(&next).await);
}

async fn everybody_is_over_and_comes_back(mut f: Fixture) {
    for _ in 0..2 {
        let sessions =
            [f.both(Some(person(Some("1")))).await, f.both(None).await, f.both(Some(person(None))).await];
        for both in &sessions {
            assert!(f.live(both).await);
        }
        f.log_out(Selector::all(Whose::Everybody)).await;
        for both in &sessions {
            assert!(!f.live(both).await);
        }
        let patched = f
            .cache
            .patch(
                &sessions[1].ticket.handle,
                &Patch::new(Revision(0)),
                OnConflict::Overwrite,
                &f.application,
            )
            .await
            .unwrap();
        assert!(matches!(patched, Patched::Ended(_)), "{patched:?}");
        // Also where nothing is known yet but what storage says.
        f.crash();
        f.cache.reckon_with(&f.application.realm);
    }
    assert!(f.live(&f.both(None).await).await);
}

async fn what_began_before_a_moment_is_over_and_what_began_later_is_not(mut f: Fixture) {
    let before = |whose: Selector, moment| Selector { begun_before: Some(moment), ..whose };
    for whose in [all(), of_indexes(&["1"]), issued(&["1"]), realm("shop"), Selector::all(Whose::Everybody)] {
        let early = f.both(Some(person(Some("1")))).await;
        f.advance(MINUTE);
        let moment = f.clock_now();
        let late = f.both(Some(person(Some("1")))).await;
        f.advance(MINUTE);
        f.log_out(before(whose.clone(), moment)).await;
        assert!(!f.live(&early).await, "{whose:?}");
        assert!(f.live(&late).await, "{whose:?}");
        // An earlier moment changes nothing, nor does the same once more; a restart does not either.
        f.log_out(before(whose.clone(), START)).await;
        assert!(f.log_out(before(whose.clone(), moment)).await.handles.is_empty());
        f.crash();
        f.cache.reckon_with(&f.application.realm);
        assert!(f.live(&late).await && !f.live(&early).await, "{whose:?}");
        // A moment to come is now.
        f.log_out(before(whose.clone(), f.clock_now().plus(MINUTE))).await;
        assert!(!f.live(&late).await, "{whose:?}");
    }
    let both = f.both(Some(person(Some("1")))).await;
    assert!(f.live(&both).await);
}

async fn sessions_end_by_their_handles(f: Fixture) {
    let (one, other) = (f.both(Some(person(None))).await, f.both(None).await);
    let kept = f.both(Some(person(None))).await;
    let handles = [&one, &other].map(|both| [both.ticket.handle, both.carried.session.handle]);
    let selector = Selector::all(Whose::Handles(handles.concat()));
    let ended = f.log_out(selector.clone()).await;
    assert_eq!(ended.end.sessions, Tally::Exactly(2), "nobody knows whether the others were live");
    assert!(ended.handles.contains(&one.ticket.handle) && ended.handles.contains(&other.ticket.handle));
    assert!(!f.live(&one).await && !f.live(&other).await && f.live(&kept).await);
    assert_eq!(f.log_out(selector).await.end.sessions, Tally::Exactly(0));
    // Only if they began before.
    let selector = Selector {
        begun_before: Some(f.clock_now()),
        ..Selector::all(Whose::Handles(vec![kept.ticket.handle]))
    };
    assert_eq!(f.log_out(selector.clone()).await.end.sessions, Tally::Exactly(0));
    assert!(f.live(&kept).await);
    f.advance(MILLISECOND);
    let selector = Selector { begun_before: Some(f.clock_now()), ..selector };
    f.log_out(selector).await;
    f.ending(&kept.ticket).await;
}

async fn it_holds_after_a_restart(mut f: Fixture) {
    let selectors =
        [all(), of_indexes(&["1"]), issued(&["1"]), realm("shop"), Selector::all(Whose::Everybody)];
    let by_time = [false, true].map(|is_by_time| selectors.clone().map(|selector| (selector, is_by_time)));
    for (selector, is_by_time) in by_time.into_iter().flatten() {
        let both = f.both(Some(person(Some("1")))).await;
        f.advance(MINUTE);
        let begun_before = is_by_time.then(|| f.clock_now());
        f.advance(MILLISECOND);
        f.log_out(Selector { begun_before, ..selector.clone() }).await;
        f.crash();
        f.cache.reckon_with(&f.application.realm);
        assert!(!f.live(&both).await, "{selector:?}");
    }
}
