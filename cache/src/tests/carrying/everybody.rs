//! Ending all sessions of somebody, carried and on the server alike.

use std::sync::Arc;
use std::time::Duration;

use session::Why;
use storage::faulty::{Fault, Which};

use super::{Fixture, end_all_of, is_over, logged_in, on_every_engine, opens, roomy, text};
use crate::tests::fixture::{LIFETIME, TOUCH_INTERVAL, ended, eventually, found};
use crate::{Find, Patched, Renew, RenewCarried};

on_every_engine!(
    all_of_somebody_are_over_at_the_next_find_and_nobody_elses
    all_of_somebody_are_over_on_another_node
    all_of_somebody_are_over_after_a_restart
    what_is_opened_afterwards_lives
    nobody_brings_back_what_was_ended_with_all
    an_outage_ends_nobody_and_claims_nothing
    the_counter_expires_and_revives_nobody
    many_who_end_all_at_once_all_succeed
);

async fn all_of_somebody_are_over_at_the_next_find_and_nobody_elses(f: Fixture) {
    let (ticket, carried) = (f.open_for("ada").await, f.open_carried(Some("ada")).await);
    let (others, nobodys) = (f.open_carried(Some("bob")).await, f.open_carried(None).await);
    let of_bob = f.open_for("bob").await;
    f.found(&ticket.ticket).await;
    f.opens(&carried).await;
    f.end_all_of("ada").await;
    assert_eq!(f.ending(&ticket.ticket).await.why, Why::Revoked);
    assert_eq!(is_over(f.bring(&carried).await).why, Why::Revoked);
    f.opens(&others).await;
    f.opens(&nobodys).await;
    f.found(&of_bob.ticket).await;
}

async fn all_of_somebody_are_over_on_another_node(f: Fixture) {
    let f = Fixture::with(f.engine, |capabilities| capabilities.is_shared = true).await;
    let other = f.another_cache();
    let _houses = (f.keep_house(&f.cache).await, f.keep_house(&other).await);
    let (ticket, carried) = (f.open_for("ada").await, f.open_carried(Some("ada")).await);
    found(other.find(&ticket.ticket, &f.application).await);
    opens(other.find_carried(&carried, &f.application).await);
    f.end_all_of("ada").await;
    eventually(async || {
        matches!(other.find_carried(&carried, &f.application).await.unwrap(), Find::Ended(_))
    })
    .await;
    ended(other.find(&ticket.ticket, &f.application).await);
}

async fn all_of_somebody_are_over_after_a_restart(mut f: Fixture) {
    let (ticket, carried) = (f.open_for("ada").await, f.open_carried(Some("ada")).await);
    f.end_all_of("ada").await;
    f.crash();
    f.ending(&ticket.ticket).await;
    is_over(f.bring(&carried).await);
}

async fn what_is_opened_afterwards_lives(mut f: Fixture) {
    for _ in 0..3 {
        f.end_all_of("ada").await;
        let (ticket, carried) = (f.open_for("ada").await, f.open_carried(Some("ada")).await);
        let nobodys = f.open_carried(None).await;
        let by_login = logged_in(f.log_in_carried(&f.cache, &nobodys, "ada", roomy).await);
        for _ in 0..2 {
            f.found(&ticket.ticket).await;
            f.opens(&carried).await;
            assert_eq!(text(&f.opens(&by_login).await), "a=1");
            f.crash();
        }
    }
}

/// An application's answer to a request from before says that the same person has logged in.
async fn nobody_brings_back_what_was_ended_with_all(f: Fixture) {
    let (ticket, carried) = (f.open_for("ada").await, f.open_carried(Some("ada")).await);
    f.found(&ticket.ticket).await;
    f.opens(&carried).await;
    f.end_all_of("ada").await;
    let renewed = f.renew(&ticket.ticket, Some("ada")).await.unwrap();
    assert!(matches!(renewed, Renew::Gone), "{renewed:?}");
    let renewed = f.log_in_carried(&f.cache, &carried, "ada", roomy).await.unwrap();
    assert!(matches!(renewed, RenewCarried::Gone), "{renewed:?}");
    let patch = crate::tests::fixture::setting(&ticket.session, "b", "late");
    let patched = f.patch(&ticket.ticket.handle, &patch).await.unwrap();
    assert!(matches!(patched, Patched::Ended(_)), "{patched:?}");
    let patched = f.try_to_write(&f.cache, &carried, "b", "late", roomy).await.unwrap();
    assert!(matches!(patched, Patched::Ended(_)), "{patched:?}");
    f.ending(&ticket.ticket).await;
    is_over(f.bring(&carried).await);
}

async fn an_outage_ends_nobody_and_claims_nothing(f: Fixture) {
    let carried = f.open_carried(Some("ada")).await;
    f.opens(&carried).await;
    f.faults.fail(Which::Any, Fault::Refuse);
    end_all_of(&f.cache, "ada").await.unwrap_err();
    for _ in 0..2 {
        // Nobody is let in, and nobody is told that it is over.
        f.bring(&carried).await.unwrap_err();
        f.try_to_write(&f.cache, &carried, "b", "late", roomy).await.unwrap_err();
        f.faults.heal();
    }
    f.end_all_of("ada").await;
    is_over(f.bring(&carried).await);
    assert_eq!(f.cache.ends_waiting(), 0, "it is done, and not done again");
}

async fn the_counter_expires_and_revives_nobody(mut f: Fixture) {
    let (ticket, carried) = (f.open_for("ada").await, f.open_carried(Some("ada")).await);
    f.end_all_of("ada").await;
    let refreshed = {
        f.advance(TOUCH_INTERVAL);
        f.open_carried(Some("ada")).await
    };
    f.opens(&refreshed).await;
    f.advance(LIFETIME + Duration::from_secs(8 * 3_600));
    f.cache.revocations.purge(f.clock_now());
    f.probe.reap_all(f.clock_now()).await;
    assert_eq!(f.lies_there("epoch").await, (0, 0), "nobody has to be kept out any more");
    for _ in 0..2 {
        assert!(!f.is_found(&ticket.ticket).await);
        assert!(!matches!(f.bring(&carried).await.unwrap(), Find::Found(_)));
        f.crash();
    }
    // The next counter is higher than any before: who remembers one of them is behind.
    let living = f.open_carried(Some("ada")).await;
    f.end_all_of("ada").await;
    is_over(f.bring(&living).await);
    let after = f.open_carried(Some("ada")).await;
    f.opens(&after).await;
}

async fn many_who_end_all_at_once_all_succeed(f: Fixture) {
    let carried = f.open_carried(Some("ada")).await;
    let ends: Vec<_> = (0..16)
        .map(|_| {
            let cache = Arc::clone(&f.cache);
            tokio::spawn(async move { end_all_of(&cache, "ada").await })
        })
        .collect();
    for end in ends {
        end.await.unwrap().unwrap();
    }
    is_over(f.bring(&carried).await);
    let after = f.open_carried(Some("ada")).await;
    f.opens(&after).await;
}
