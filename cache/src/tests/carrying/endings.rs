//! Law 1: an end holds for every cookie of the session, however old or new.

use std::sync::Arc;
use std::time::Duration;

use session::{OnConflict, Patch, Why};
use storage::Storage as _;
use storage::faulty::Which;

use super::{Fixture, end, is_over, on_every_engine, roomy};
use crate::heads::WINDOW;
use crate::tests::fixture::{LIFETIME, TOUCH_INTERVAL};
use crate::{Ended, Patched, RenewCarried};

on_every_engine!(
    an_end_holds_for_every_cookie_that_there_ever_was
    an_end_twice_is_one
    an_end_beats_an_update_in_flight
    an_end_beats_a_cookie_that_is_being_sealed_anew
    an_end_beats_a_login_in_flight
    an_emptied_session_is_over_for_its_older_cookies
    an_end_is_forgotten_when_no_cookie_could_come_back_and_not_before
    purging_costs_what_expired
);

async fn an_end_holds_for_every_cookie_that_there_ever_was(mut f: Fixture) {
    let mut cookies = vec![f.open_carried(Some("ada")).await];
    for number in 0..5 {
        let last = cookies.last().unwrap();
        f.advance(if number % 2 == 0 { TOUCH_INTERVAL } else { WINDOW * 2 });
        let next = f.opens(last).await.refreshed.unwrap();
        let written = f.write(&next, &format!("key{number}"), "1").await;
        cookies.extend([next, written]);
    }
    assert_eq!(end(&f, &f.cache, &cookies[3].session).await.unwrap(), Ended::Now);
    for _ in 0..3 {
        for cookie in &cookies {
            assert_eq!(is_over(f.bring(cookie).await).why, Why::Logout);
            let patched = f.try_to_write(&f.cache, cookie, "b", "late", roomy).await.unwrap();
            assert!(matches!(patched, Patched::Ended(_)), "{patched:?}");
            let renewed = f.log_in_carried(&f.cache, cookie, "ada", roomy).await.unwrap();
            assert!(matches!(renewed, RenewCarried::Gone), "{renewed:?}");
        }
        // After the heads are forgotten, and in a new process.
        f.advance(WINDOW * 20);
        f.cache.heads.purge(500).await;
        f.crash();
    }
}

async fn an_end_twice_is_one(f: Fixture) {
    let carried = f.open_carried(None).await;
    assert_eq!(end(&f, &f.cache, &carried.session).await.unwrap(), Ended::Now);
    assert_eq!(end(&f, &f.cache, &carried.session).await.unwrap(), Ended::Before);
    assert_eq!(f.lies_there("gone").await, (1, 0));
}

async fn an_end_beats_an_update_in_flight(f: Fixture) {
    // Heads in this process's memory cannot be held, so the end is: it is in storage, and not yet acknowledged.
    let carried = f.open_carried(None).await;
    let gate = f.hold_after(Which::Create);
    let ending = tokio::spawn({
        let (cache, application, session) =
            (Arc::clone(&f.cache), f.application.clone(), Arc::clone(&carried.session));
        let ending = f.logout();
        async move { cache.end(&session, ending, &application).await }
    });
    gate.arrival().await;
    let late = f.try_to_write(&f.cache, &carried, "b", "late", roomy).await.unwrap();
    gate.open();
    ending.await.unwrap().unwrap();
    assert!(matches!(late, Patched::Ended(_)), "{late:?}");
    is_over(f.bring(&carried).await);
}

async fn an_end_beats_a_cookie_that_is_being_sealed_anew(f: Fixture) {
    let carried = f.open_carried(None).await;
    f.advance(TOUCH_INTERVAL);
    let refreshed = f.opens(&carried).await.refreshed.unwrap();
    let written = f.write(&refreshed, "b", "2").await;
    end(&f, &f.cache, &carried.session).await.unwrap();
    for cookie in [&refreshed, &written] {
        is_over(f.bring(cookie).await);
    }
}

async fn an_end_beats_a_login_in_flight(f: Fixture) {
    for _ in 0..20 {
        let carried = f.open_carried(None).await;
        let login = tokio::spawn({
            let (cache, application, carried) =
                (Arc::clone(&f.cache), f.application.clone(), Arc::clone(&carried));
            let renewal = f.renewal(Some("ada"));
            async move { cache.renew_carried(&carried, &renewal, &application, roomy).await }
        });
        let ended = end(&f, &f.cache, &carried.session).await.unwrap();
        match login.await.unwrap().unwrap() {
            // It came first; the end was of what it had replaced.
            RenewCarried::Renewed(..) => assert_eq!(ended, Ended::Before),
            // The one who meets the buried head first makes the end certain; the other is told that it was so before.
            // Whichever it is, the session is over for good.
            RenewCarried::Gone => assert_eq!(is_over(f.bring(&carried).await).why, Why::Logout),
            other => panic!("{other:?}"),
        }
    }
}

async fn an_emptied_session_is_over_for_its_older_cookies(mut f: Fixture) {
    let carried = f.open_carried(None).await;
    let mut patch = Patch::new(carried.session.revision);
    patch.remove("a");
    let patched =
        f.cache.patch_carried(&carried, &patch, OnConflict::KeepFirst, &f.application, roomy).await.unwrap();
    assert!(matches!(patched, Patched::Emptied), "{patched:?}");
    is_over(f.bring(&carried).await);
    f.crash();
    assert_eq!(is_over(f.bring(&carried).await).why, Why::Emptied);
}

async fn an_end_is_forgotten_when_no_cookie_could_come_back_and_not_before(f: Fixture) {
    let carried = f.open_carried(None).await;
    end(&f, &f.cache, &carried.session).await.unwrap();
    let good = carried.good_until.since(f.clock_now());
    f.advance(good - Duration::from_millis(1));
    f.cache.revocations.purge(f.clock_now());
    f.probe.reap_all(f.clock_now()).await;
    is_over(f.bring(&carried).await);
    f.advance(LIFETIME * 2);
    f.cache.revocations.purge(f.clock_now());
    f.probe.reap_all(f.clock_now()).await;
    assert!(f.cache.revocations.gone(&carried.session.handle).is_none());
    assert_eq!(f.lies_there("gone").await, (0, 0));
}

async fn purging_costs_what_expired(f: Fixture) {
    for _ in 0..50 {
        let carried = f.open_carried(None).await;
        end(&f, &f.cache, &carried.session).await.unwrap();
    }
    let good = f.open_carried(None).await.good_until;
    f.advance(Duration::from_secs(1_000));
    let later = f.open_carried(None).await;
    end(&f, &f.cache, &later.session).await.unwrap();
    f.clock.set(good);
    // The one that is not due is not looked at.
    assert_eq!(f.probe.reap(good, 51).await.unwrap(), 50);
    assert_eq!(f.lies_there("gone").await.0, 1);
    f.cache.revocations.purge(good);
    is_over(f.bring(&later).await);
}
