//! Idle, lifetime and ends of their own: never early, and late by no more than was promised.

use std::sync::Arc;
use std::time::Duration;

use session::{Millis, Ticket, Timeouts, Why};
use storage::faulty::{Fault, Which};

use super::chance::Chance;
use super::fixture::{
    IDLE, LIFETIME, MILLISECOND, SETTINGS, START, TOUCH_INTERVAL, absent, application, applications, ended,
    eventually, found, opened, setting,
};
use super::{Engine, Fixture, on_every_engine};
use crate::{AFTERLIFE, Absence, Application, Cache, Find, Opened, Opening, Purpose, Realm, Settings};

on_every_engine!(
    idle_is_over_at_its_time
    idle_is_never_early_after_a_crash
    idle_is_at_most_a_touch_interval_late_after_a_crash
    a_write_is_a_use
    lifetime_is_over_at_its_millisecond_however_much_it_is_used
    both_timeouts_zero_is_never
    idle_alone_and_lifetime_alone
    over_for_one_application_is_absent_there_and_alive_in_the_other
    over_for_all_applications_is_ended
    an_end_of_its_own_holds_for_all_applications
    without_inproc_time_every_find_asks_storage_and_idle_is_still_right
    a_session_that_is_over_cannot_be_found_when_the_clock_is_set_back
    the_last_moment_of_time_overflows_nothing
    a_shorter_lifetime_after_a_restart_ends_for_good
    a_find_that_came_first_saves_a_session_from_one_that_came_late
    it_can_be_told_how_a_session_ended_for_as_long_as_the_allowance
    copies_that_nobody_uses_leave_memory_and_no_use_is_forgotten
);

async fn idle_is_over_at_its_time(f: Fixture) {
    let opened = f.open().await;
    f.advance(IDLE - MILLISECOND);
    f.found(&opened.ticket).await;
    f.quiet().await;
    f.advance(IDLE - MILLISECOND);
    f.found(&opened.ticket).await;
    f.quiet().await;
    // To the millisecond where this process knows of every use; from storage, a touch interval later.
    f.advance(if f.has_first_tier() { IDLE } else { IDLE + TOUCH_INTERVAL });
    assert_eq!(f.ending(&opened.ticket).await.why, Why::Idle);
}

async fn idle_is_never_early_after_a_crash(mut f: Fixture) {
    let opened = f.open().await;
    // The worst case: the last use is a millisecond too early to be written.
    f.advance(TOUCH_INTERVAL - MILLISECOND);
    f.found(&opened.ticket).await;
    f.crash();
    f.advance(IDLE - MILLISECOND);
    f.found(&opened.ticket).await;
}

async fn idle_is_at_most_a_touch_interval_late_after_a_crash(mut f: Fixture) {
    let opened = f.open().await;
    f.crash();
    f.advance(IDLE + TOUCH_INTERVAL - MILLISECOND);
    let other = f.open().await;
    f.found(&opened.ticket).await;
    f.crash();
    f.advance(IDLE + TOUCH_INTERVAL);
    assert_eq!(f.ending(&other.ticket).await.why, Why::Idle);
}

async fn a_write_is_a_use(mut f: Fixture) {
    let opened = f.open().await;
    f.advance(IDLE - MILLISECOND);
    f.set(&opened.session, "b", "2").await;
    f.crash();
    f.advance(IDLE - MILLISECOND);
    f.found(&opened.ticket).await;
}

async fn lifetime_is_over_at_its_millisecond_however_much_it_is_used(mut f: Fixture) {
    let opened = f.open().await;
    while f.clock_now().since(START) + IDLE < LIFETIME {
        f.advance(IDLE - MILLISECOND);
        f.found(&opened.ticket).await;
        f.quiet().await;
    }
    f.clock.set(Millis(START.plus(LIFETIME).0 - 1));
    f.found(&opened.ticket).await;
    f.crash();
    f.found(&opened.ticket).await;
    f.advance(MILLISECOND);
    assert_eq!(f.ending(&opened.ticket).await.why, Why::Lifetime);
}

async fn open_in(cache: &Cache, application: &Application) -> Opened {
    let mut entries = session::Patch::new(session::Revision(0));
    entries.set("a", "1".into());
    opened(cache.open(Opening { entries, ..Opening::default() }, application).await)
}

async fn both_timeouts_zero_is_never(mut f: Fixture) {
    let eternal = application("eternal", Timeouts { idle: Duration::ZERO, lifetime: Duration::ZERO });
    let opened = open_in(&f.cache, &eternal).await;
    f.advance(Duration::from_secs(50 * 365 * 86_400));
    for _ in 0..2 {
        found(f.cache.find(&opened.ticket, &eternal).await);
        f.crash();
    }
    // It can be ended all the same, and its tombstone stands for as long as a browser keeps a cookie.
    f.cache.end(&opened.session, f.logout(), &eternal).await.unwrap();
    f.advance(Duration::from_secs(400 * 86_400 - 1));
    ended(f.cache.find(&opened.ticket, &eternal).await);
    f.advance(Duration::from_secs(1));
    assert_eq!(absent(f.cache.find(&opened.ticket, &eternal).await), Absence::Unknown);
}

async fn idle_alone_and_lifetime_alone(f: Fixture) {
    let idle = application("idle", Timeouts { idle: IDLE, lifetime: Duration::ZERO });
    let lifetime = application("lifetime", Timeouts { idle: Duration::ZERO, lifetime: LIFETIME });
    let (one, other) = (open_in(&f.cache, &idle).await, open_in(&f.cache, &lifetime).await);
    f.clock.set(Millis(START.plus(LIFETIME).0 - 1));
    assert_eq!(
        f.cache.find(&one.ticket, &idle).await.map(|find| is_over_as(&find)).unwrap(),
        Some(Why::Idle)
    );
    found(f.cache.find(&other.ticket, &lifetime).await);
    f.advance(MILLISECOND);
    assert_eq!(ended(f.cache.find(&other.ticket, &lifetime).await).why, Why::Lifetime);
}

/// Why it is over; its record may have gone by then, which is no other reason than that one.
fn is_over_as(find: &crate::Find) -> Option<Why> {
    match find {
        crate::Find::Ended(ending) => Some(ending.why),
        crate::Find::Absent(Absence::Unknown) => Some(Why::Idle),
        _ => None,
    }
}

async fn over_for_one_application_is_absent_there_and_alive_in_the_other(mut f: Fixture) {
    let [hasty, patient] = applications(
        "shared",
        [
            Timeouts { idle: Duration::from_secs(100), lifetime: Duration::ZERO },
            Timeouts { idle: Duration::from_secs(1_000), lifetime: Duration::ZERO },
        ],
    );
    let opened = open_in(&f.cache, &hasty).await;
    f.advance(Duration::from_secs(100) + TOUCH_INTERVAL);
    for _ in 0..2 {
        assert_eq!(absent(f.cache.find(&opened.ticket, &hasty).await), Absence::OverHere);
        f.crash();
    }
    // Being asked in vain was no use.
    f.advance(Duration::from_secs(1_000 - 100) - TOUCH_INTERVAL - MILLISECOND);
    assert_eq!(absent(f.cache.find(&opened.ticket, &hasty).await), Absence::OverHere);
    found(f.cache.find(&opened.ticket, &patient).await);
}

async fn over_for_all_applications_is_ended(f: Fixture) {
    let [hasty, patient] = applications(
        "shared",
        [
            Timeouts { idle: Duration::from_secs(100), lifetime: Duration::ZERO },
            Timeouts { idle: Duration::from_secs(1_000), lifetime: Duration::ZERO },
        ],
    );
    let opened = open_in(&f.cache, &hasty).await;
    f.advance(Duration::from_secs(1_000) + TOUCH_INTERVAL);
    // Whoever asks, the hasty one included, ends it for all.
    assert_eq!(ended(f.cache.find(&opened.ticket, &hasty).await).why, Why::Idle);
    f.clock.set(START);
    assert_eq!(ended(f.cache.find(&opened.ticket, &patient).await).why, Why::Idle);
}

async fn an_end_of_its_own_holds_for_all_applications(f: Fixture) {
    let [one, other] = applications(
        "shared",
        [
            Timeouts { idle: Duration::ZERO, lifetime: Duration::ZERO },
            Timeouts { idle: Duration::ZERO, lifetime: Duration::ZERO },
        ],
    );
    let opened = open_in(&f.cache, &one).await;
    let mut patch = setting(&opened.session, "b", "2");
    patch.ends = Some(START.plus(MILLISECOND));
    f.cache.patch(&opened.ticket.handle, &patch, session::OnConflict::KeepFirst, &one).await.unwrap();
    found(f.cache.find(&opened.ticket, &other).await);
    f.advance(MILLISECOND);
    assert_eq!(ended(f.cache.find(&opened.ticket, &other).await).why, Why::Lifetime);
    f.clock.set(START);
    ended(f.cache.find(&opened.ticket, &one).await);
}

async fn without_inproc_time_every_find_asks_storage_and_idle_is_still_right(mut f: Fixture) {
    f.cache = f.cache_with(Settings { inproc_timeout: Duration::ZERO, ..SETTINGS });
    let opened = f.open().await;
    for _ in 0..5 {
        let before = f.probe.reads.load(std::sync::atomic::Ordering::SeqCst);
        f.found(&opened.ticket).await;
        assert_eq!(f.probe.reads.load(std::sync::atomic::Ordering::SeqCst), before + 1);
        f.quiet().await;
        f.advance(IDLE - MILLISECOND);
    }
    f.advance(MILLISECOND + if f.has_first_tier() { Duration::ZERO } else { TOUCH_INTERVAL });
    assert_eq!(f.ending(&opened.ticket).await.why, Why::Idle);
}

async fn a_session_that_is_over_cannot_be_found_when_the_clock_is_set_back(mut f: Fixture) {
    let opened = f.open().await;
    f.advance(IDLE + TOUCH_INTERVAL);
    f.ending(&opened.ticket).await;
    f.clock.set(START);
    for _ in 0..2 {
        f.ending(&opened.ticket).await;
        f.crash();
    }
    f.advance(LIFETIME);
    assert!(!f.is_found(&opened.ticket).await);
}

async fn the_last_moment_of_time_overflows_nothing(f: Fixture) {
    f.clock.set(Millis(Millis::NEVER.0 - 2));
    let eternal = application("eternal", Timeouts { idle: Duration::ZERO, lifetime: Duration::ZERO });
    let opened = open_in(&f.cache, &eternal).await;
    f.advance(MILLISECOND);
    found(f.cache.find(&opened.ticket, &eternal).await);
    let longest = application("longest", Timeouts { idle: Duration::MAX, lifetime: Duration::MAX });
    let opened = open_in(&f.cache, &longest).await;
    found(f.cache.find(&opened.ticket, &longest).await);
    f.cache.end(&opened.session, f.logout(), &longest).await.unwrap();
    ended(f.cache.find(&opened.ticket, &longest).await);
    f.clock.set(START);
    ended(f.cache.find(&opened.ticket, &longest).await);
}

async fn a_shorter_lifetime_after_a_restart_ends_for_good(mut f: Fixture) {
    let long = application("shop", Timeouts { idle: Duration::ZERO, lifetime: 100 * LIFETIME });
    let short = application("shop", Timeouts { idle: Duration::ZERO, lifetime: LIFETIME });
    let opened = open_in(&f.cache, &long).await;
    f.advance(50 * LIFETIME);
    found(f.cache.find(&opened.ticket, &long).await);
    f.quiet().await;
    f.crash();
    ended(f.cache.find(&opened.ticket, &short).await);
    // Its tombstone would have stood until long ago; it is not there all the same.
    f.crash();
    for application in [&short, &long] {
        let find = f.cache.find(&opened.ticket, application).await.unwrap();
        assert!(!matches!(find, crate::Find::Found(_)), "{find:?}");
    }
}

async fn a_find_that_came_first_saves_a_session_from_one_that_came_late(mut f: Fixture) {
    if !f.has_first_tier() {
        return;
    }
    let opened = f.open().await;
    f.crash();
    let find = |cache: &std::sync::Arc<Cache>| {
        let (cache, application, ticket) =
            (std::sync::Arc::clone(cache), f.application.clone(), opened.ticket.clone());
        tokio::spawn(async move { cache.find(&ticket, &application).await })
    };
    // Given a request that came in time and one that came a millisecond too late, both waiting for a slow storage,
    f.clock.set(Millis(START.plus(IDLE + TOUCH_INTERVAL).0 - 1));
    let in_time = f.hold_after(Which::Read);
    let first = find(&f.cache);
    in_time.arrival().await;
    f.advance(MILLISECOND);
    let too_late = f.hold_after(Which::Read);
    let second = find(&f.cache);
    too_late.arrival().await;
    // when the first is answered before the second,
    in_time.open();
    found(first.await.unwrap());
    too_late.open();
    // then the second sees that somebody used it just now.
    found(second.await.unwrap());
}

#[tokio::test]
async fn a_failed_end_by_time_is_no_end_and_is_repeated() {
    let f = Fixture::over(Engine::Tiered).await;
    let opened = f.open().await;
    f.advance(IDLE);
    f.faults.fail(Which::Bury, Fault::Refuse);
    f.find(&opened.ticket).await.unwrap_err();
    f.find(&opened.ticket).await.unwrap_err();
    f.faults.heal();
    let _house = f.keep_house(&f.cache).await;
    eventually(async || f.cache.outbox.all().is_empty()).await;
    assert_eq!(f.ending(&opened.ticket).await.why, Why::Idle);
}

async fn it_can_be_told_how_a_session_ended_for_as_long_as_the_allowance(mut f: Fixture) {
    let timeouts = Timeouts { idle: IDLE, lifetime: LIFETIME };
    for (allowance, stays) in [(Duration::ZERO, AFTERLIFE), (AFTERLIFE * 3, AFTERLIFE * 3)] {
        let realm = Realm {
            id: "shop".into(),
            timeouts: vec![timeouts],
            touch_interval: TOUCH_INTERVAL,
            lateness: TOUCH_INTERVAL,
            allowance,
        };
        f.application = Application { realm: Arc::new(realm), ..f.application.clone() };
        let [early, late] = [f.open().await, f.open().await];
        let [ended_early, ended_late] = [f.open().await, f.open().await];
        for ended in [&ended_early, &ended_late] {
            f.end(&ended.session).await.unwrap();
        }
        f.crash();
        f.advance(IDLE + TOUCH_INTERVAL + stays - MILLISECOND);
        assert_eq!(f.ending(&early.ticket).await.why, Why::Idle);
        assert_eq!(f.ending(&ended_early.ticket).await.why, Why::Logout);
        f.advance(MILLISECOND);
        assert_eq!(f.absence(&late.ticket).await, Absence::Unknown);
        assert_eq!(f.absence(&ended_late.ticket).await, Absence::Unknown);
    }
}

async fn copies_that_nobody_uses_leave_memory_and_no_use_is_forgotten(mut f: Fixture) {
    f.cache = f.cache_with(Settings { cleanup_interval: Duration::from_millis(20), ..SETTINGS });
    let [unused, used, late] = [f.open().await, f.open().await, f.open().await];
    // What it knows of this use nobody else does.
    f.advance(TOUCH_INTERVAL);
    f.faults.fail(Which::Touch, Fault::Refuse);
    f.found(&late.ticket).await;
    f.quiet().await;
    f.advance(SETTINGS.inproc_timeout - TOUCH_INTERVAL);
    f.found(&used.ticket).await;
    f.quiet().await;
    f.advance(MILLISECOND);
    let _house = f.keep_house(&f.cache).await;
    let held = |ticket: &Ticket| f.cache.tier.held(&ticket.handle).is_some();
    if f.has_first_tier() {
        eventually(async || !held(&unused.ticket)).await;
        assert!(held(&used.ticket), "it was used a moment ago");
        assert!(held(&late.ticket), "its last use is not written yet");
    }
    f.faults.heal();
    f.advance(IDLE - SETTINGS.inproc_timeout);
    f.found(&late.ticket).await;
}

/// The same application, of whose sessions storage says that they were last used so much earlier than they may have been.
fn later(application: &Application, lateness: Duration) -> Application {
    let Realm { id, timeouts, touch_interval, allowance, .. } = &*application.realm;
    let (id, timeouts) = (id.clone(), timeouts.clone());
    let realm = Realm { id, timeouts, touch_interval: *touch_interval, lateness, allowance: *allowance };
    Application { realm: Arc::new(realm), ..application.clone() }
}

/// What the houses of these nodes do until then: what waits is written within half a minute.
async fn keep_house_until(f: &Fixture, nodes: &[std::sync::Arc<Cache>], moment: Millis) {
    let second = Duration::from_secs(1);
    for _ in 0..32 {
        if f.clock_now().plus(second) > moment {
            break;
        }
        f.advance(second);
        for node in nodes {
            node.write_what_waited(f.clock_now()).await;
        }
    }
    f.clock.set(moment.max(f.clock_now()));
}

/// Uses, polls, restarts, one node or two, and moments around each bound: by chance, from a seed.
#[tokio::test]
async fn nobody_is_idle_early_nor_later_than_was_said() {
    for seed in 0..300 {
        let mut chance = Chance(seed);
        let is_shared = chance.below(2) == 0;
        let mut f = Fixture::with(Engine::Tiered, |capabilities| capabilities.is_shared = is_shared).await;
        let count = if is_shared { 2 } else { 1 };
        let gather_touches = Duration::from_secs(30) * chance.below(2) as u32;
        let lateness = TOUCH_INTERVAL * if gather_touches.is_zero() { 1 } else { 2 };
        f.application = later(&f.application, lateness);
        let node = || f.cache_with(Settings { gather_touches, ..SETTINGS });
        let mut nodes: Vec<_> = (0..count).map(|_| node()).collect();
        let opened = open_in(&nodes[0], &f.application).await;
        let (mut used, mut is_exact) = (f.clock_now(), !is_shared);
        for _ in 0..30 {
            let after = match chance.below(4) {
                0 => Duration::from_millis(chance.below(TOUCH_INTERVAL.as_millis() as u64 * 2)),
                1 => Duration::from_millis(chance.below(IDLE.as_millis() as u64)),
                2 => IDLE - MILLISECOND + Duration::from_millis(chance.below(2)),
                _ => IDLE + lateness - MILLISECOND + Duration::from_millis(chance.below(2)),
            };
            keep_house_until(&f, &nodes, used.plus(after)).await;
            let at = chance.below(count as u64) as usize;
            if chance.below(6) == 0 {
                nodes[at] = node();
                is_exact = false;
            }
            let purpose = if chance.below(3) == 0 { Purpose::POLL } else { Purpose::USE };
            let (now, ticket) = (f.clock_now(), &opened.ticket);
            let idle = now.since(used);
            let is_old = now.since(opened.session.begun) >= LIFETIME;
            let find = nodes[at].find_for(purpose, ticket, &f.application).await.unwrap();
            let bound = IDLE + if is_exact { Duration::ZERO } else { lateness };
            let said = format!("seed {seed}, {idle:?} after the last use: {find:?}");
            match find {
                Find::Found(_) => {
                    assert!(idle < bound && !is_old, "late: {said}");
                    if purpose == Purpose::USE {
                        used = now;
                    }
                }
                Find::Ended(_) | Find::Absent(Absence::Unknown) => {
                    assert!(idle >= IDLE || is_old, "early: {said}");
                    break;
                }
                Find::Absent(_) => panic!("{said}"),
            }
            // What was left to be done beside it is done: there is one thread.
            for _ in 0..8 {
                tokio::task::yield_now().await;
            }
        }
    }
}
