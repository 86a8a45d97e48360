//! Finding: without storage, and by the clock.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use session::{Carried, Millis, Timeouts, Why};
use storage::faulty::{Fault, Which};

use super::{Fixture, is_absent, is_over, on_every_engine, opens, text};
use crate::Absence;
use crate::tests::fixture::{IDLE, LIFETIME, MILLISECOND, START, TOUCH_INTERVAL, application, applications};

on_every_engine!(
    nothing_is_written_for_who_opens_and_comes_back
    an_outage_is_not_noticed_by_who_only_reads
    a_cookie_is_sealed_anew_once_an_interval
    idle_is_over_at_its_millisecond_and_the_interval_more
    the_lifetime_is_over_at_its_millisecond_however_often_it_is_sealed
    who_is_over_stays_over_when_the_clock_is_set_back
    a_clock_that_goes_back_harms_nobody
    a_cookie_that_never_reached_its_visitor_makes_nobody_idle
    what_is_over_for_one_application_is_absent_there_only
    another_realm_sees_nothing
    longer_timeouts_bring_no_ended_session_back
    a_cookie_without_bounds_is_refused_after_the_longest_time_of_a_cookie
);

async fn nothing_is_written_for_who_opens_and_comes_back(f: Fixture) {
    let carried = f.open_carried(Some("ada")).await;
    f.opens(&carried).await;
    let reads = f.probe.reads.load(Ordering::SeqCst);
    for _ in 0..100 {
        assert_eq!(text(&f.opens(&carried).await), "a=1");
        f.advance(TOUCH_INTERVAL / 100);
    }
    assert_eq!(f.probe.reads.load(Ordering::SeqCst), reads);
    for what in ["session", "head", "gone", "epoch"] {
        assert_eq!(f.lies_there(what).await, (0, 0), "{what}");
    }
}

async fn an_outage_is_not_noticed_by_who_only_reads(f: Fixture) {
    let carried = f.open_carried(Some("ada")).await;
    f.opens(&carried).await;
    f.faults.fail(Which::Any, Fault::Refuse);
    f.advance(TOUCH_INTERVAL);
    let refreshed = f.opens(&carried).await.refreshed.unwrap();
    assert_eq!(text(&f.opens(&refreshed).await), "a=1");
}

async fn a_cookie_is_sealed_anew_once_an_interval(f: Fixture) {
    let carried = f.open_carried(None).await;
    f.advance(TOUCH_INTERVAL - MILLISECOND);
    assert!(f.opens(&carried).await.refreshed.is_none());
    f.advance(MILLISECOND);
    let refreshed = f.opens(&carried).await.refreshed.unwrap();
    assert_eq!(refreshed.touched, f.clock_now());
    assert_eq!(refreshed.secret.expose(), carried.secret.expose());
    assert!(f.opens(&refreshed).await.refreshed.is_none());
}

async fn idle_is_over_at_its_millisecond_and_the_interval_more(f: Fixture) {
    let carried = f.open_carried(None).await;
    // The last use may have left no trace in the cookie.
    f.advance(IDLE + TOUCH_INTERVAL - MILLISECOND);
    let refreshed = f.opens(&carried).await.refreshed.unwrap();
    f.advance(IDLE + TOUCH_INTERVAL);
    assert_eq!(is_over(f.bring(&refreshed).await).why, Why::Idle);
}

async fn the_lifetime_is_over_at_its_millisecond_however_often_it_is_sealed(f: Fixture) {
    let mut carried = f.open_carried(None).await;
    while f.clock_now().since(START) + IDLE < LIFETIME {
        f.advance(IDLE);
        carried = f.opens(&carried).await.refreshed.unwrap();
    }
    f.clock.set(Millis(START.plus(LIFETIME).0 - 1));
    carried = f.opens(&carried).await.refreshed.unwrap();
    f.advance(MILLISECOND);
    assert_eq!(is_over(f.bring(&carried).await).why, Why::Lifetime);
}

async fn who_is_over_stays_over_when_the_clock_is_set_back(mut f: Fixture) {
    for time in [IDLE + TOUCH_INTERVAL, LIFETIME] {
        f.clock.set(START);
        let carried = f.open_carried(None).await;
        f.advance(time);
        is_over(f.bring(&carried).await);
        f.clock.set(START);
        is_over(f.bring(&carried).await);
        f.crash();
        is_over(f.bring(&carried).await);
    }
}

async fn a_clock_that_goes_back_harms_nobody(f: Fixture) {
    let carried = f.open_carried(None).await;
    f.clock.set(Millis(START.0 - 86_400_000));
    let found = f.opens(&carried).await;
    assert!(found.refreshed.is_none());
    let next = f.write(&carried, "b", "2").await;
    f.clock.set(START);
    assert_eq!(text(&f.opens(&next).await), "a=1 b=2");
}

async fn a_cookie_that_never_reached_its_visitor_makes_nobody_idle(f: Fixture) {
    let carried = f.open_carried(None).await;
    f.advance(IDLE);
    // The answer with this one is lost on its way.
    f.opens(&carried).await.refreshed.unwrap();
    f.advance(IDLE);
    let refreshed = f.opens(&carried).await.refreshed.unwrap();
    assert_eq!(text(&f.opens(&refreshed).await), "a=1");
}

async fn what_is_over_for_one_application_is_absent_there_only(f: Fixture) {
    let long = Timeouts { idle: Duration::ZERO, lifetime: LIFETIME };
    let [hasty, patient] = applications("shop", [Timeouts { idle: IDLE, lifetime: Duration::ZERO }, long]);
    let carried = f.open_carried(None).await;
    f.advance(IDLE + TOUCH_INTERVAL);
    assert_eq!(is_absent(f.cache.find_carried(&carried, &hasty).await), Absence::OverHere);
    opens(f.cache.find_carried(&carried, &patient).await);
}

async fn another_realm_sees_nothing(f: Fixture) {
    let carried = f.open_carried(None).await;
    let other = application("blog", Timeouts { idle: IDLE, lifetime: LIFETIME });
    assert_eq!(is_absent(f.cache.find_carried(&carried, &other).await), Absence::OtherRealm);
}

/// What an end leaves in storage is removed when no cookie could come back; somebody who raises `lifetime` later on must
/// not make cookies good that were over before.
async fn longer_timeouts_bring_no_ended_session_back(mut f: Fixture) {
    let ended = f.open_carried(None).await;
    let living = f.open_carried(None).await;
    super::end(&f, &f.cache, &ended.session).await.unwrap();
    let longer = Timeouts { idle: Duration::ZERO, lifetime: LIFETIME * 100 };
    f.application = application("shop", longer);
    f.cache.reckon_with(&f.application.realm);
    f.advance(IDLE + TOUCH_INTERVAL);
    let refreshed = f.opens(&living).await.refreshed.unwrap();
    for _ in 0..30 {
        f.advance(LIFETIME / 10);
        f.cache.revocations.purge(f.clock_now());
        f.probe.reap_all(f.clock_now()).await;
        assert!(!matches!(f.bring(&ended).await.unwrap(), crate::Find::Found(_)));
    }
    f.crash();
    assert!(!matches!(f.bring(&ended).await.unwrap(), crate::Find::Found(_)));
    // Who was alive then lives as long as is said now.
    f.opens(&refreshed).await;
}

async fn a_cookie_without_bounds_is_refused_after_the_longest_time_of_a_cookie(mut f: Fixture) {
    f.application = application("shop", Timeouts { idle: Duration::ZERO, lifetime: Duration::ZERO });
    let carried: Arc<Carried> = f.open_carried(None).await;
    f.advance(Duration::from_secs(400 * 86_400) - MILLISECOND);
    f.opens(&carried).await;
    f.advance(MILLISECOND);
    assert_eq!(is_absent(f.bring(&carried).await), Absence::Unknown);
}
