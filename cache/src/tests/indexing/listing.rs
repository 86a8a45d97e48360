//! Who is listed, who is counted, and what that costs.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus_client::registry::Registry;
use session::{Handle, Why};
use storage::faulty::{Fault, Which};
use storage::{Blame, Storage as _};

use super::{Engine, Fixture, LONG_AFTER, on_every_engine, pages, person, sorted};
use crate::tests::carrying::end_all_of;
use crate::tests::fixture::{IDLE, SETTINGS, TOUCH_INTERVAL, eventually, renewed};
use crate::{Cache, Count, Opening, Renew, Settings};

on_every_engine!(
    who_has_sessions_is_told_of_those_that_live
    a_login_lists_the_session_that_was_nobodys
    a_session_of_nobody_costs_the_index_nothing
    a_list_says_since_when_and_until_when_somebody_was_there
    the_thousandth_session_of_somebody_asks_no_more_of_storage_than_the_first
    pages_follow_one_another_and_miss_nobody
    what_a_count_costs_is_bounded_and_says_so
    what_is_idle_is_not_listed
    a_stale_entry_is_not_listed_and_goes_once_it_cannot_be_early
    an_entry_whose_name_is_none_is_no_session_and_goes
    somebody_elses_session_is_not_listed_whatever_the_index_says
    who_left_everywhere_has_no_sessions_until_the_next_login
    a_session_that_its_visitor_carries_is_not_listed_until_it_moves
    an_opening_that_the_index_does_not_take_opens_nothing
    a_login_that_the_index_does_not_take_leaves_the_session_as_it_was
    an_outage_lists_nobody_and_claims_nothing
    who_is_left_out_of_the_index_is_not_in_it_and_ends_all_the_same
    without_an_index_nothing_is_written_and_a_list_says_why
);

async fn who_has_sessions_is_told_of_those_that_live(f: Fixture) {
    let [first, second, third] = [f.open_for("ada").await, f.open_for("ada").await, f.open_for("ada").await];
    let of_bob = f.open_for("bob").await;
    f.open().await;
    let handles = [&first, &second, &third].map(|opened| opened.ticket.handle);
    assert_eq!(f.listed("ada").await, sorted(handles));
    f.end(&second.session).await.unwrap();
    assert_eq!(f.listed("ada").await, sorted([handles[0], handles[2]]));
    assert_eq!(f.listed("bob").await, [of_bob.ticket.handle]);
    assert!(f.listed("eve").await.is_empty());
    f.quiet().await;
    assert_eq!(f.entries("ada").await.len(), 2, "the entry goes with its session");
}

async fn a_login_lists_the_session_that_was_nobodys(f: Fixture) {
    let opened = f.open().await;
    assert!(f.listed("ada").await.is_empty());
    let (_, ticket) = renewed(f.renew(&opened.ticket, Some("ada")).await);
    assert_eq!(f.listed("ada").await, [ticket.handle]);
    // The same person logs in again, long after.
    f.advance(IDLE / 2);
    let before = f.entries("ada").await;
    renewed(f.renew(&ticket, Some("ada")).await);
    f.quiet().await;
    assert_eq!(f.listed("ada").await, [ticket.handle]);
    assert!(f.entries("ada").await[0].1.expires >= before[0].1.expires);
}

async fn a_session_of_nobody_costs_the_index_nothing(f: Fixture) {
    let opened = f.open().await;
    f.advance(TOUCH_INTERVAL);
    f.found(&opened.ticket).await;
    let session = f.set(&opened.session, "b", "2").await;
    f.advance(IDLE - TOUCH_INTERVAL);
    f.set(&session, "b", "3").await;
    f.end(&session).await.unwrap();
    f.quiet().await;
    assert_eq!(f.index_writes(), 0);
}

async fn a_list_says_since_when_and_until_when_somebody_was_there(f: Fixture) {
    let begun = f.clock_now();
    let opened = f.open_for("ada").await;
    f.advance(TOUCH_INTERVAL * 2);
    f.found(&opened.ticket).await;
    f.quiet().await;
    let listed = pages(&f.cache, "ada", 10).await.unwrap();
    let [listed] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!((listed.handle, &*listed.realm), (opened.ticket.handle, "shop"));
    assert_eq!((listed.begun, listed.last_seen), (begun, f.clock_now()));
    if f.has_first_tier() {
        // Not written yet, but known.
        f.advance(TOUCH_INTERVAL / 2);
        f.found(&opened.ticket).await;
        assert_eq!(pages(&f.cache, "ada", 10).await.unwrap()[0].last_seen, f.clock_now());
    }
}

async fn the_thousandth_session_of_somebody_asks_no_more_of_storage_than_the_first(f: Fixture) {
    // Fewer where each is synced.
    let sessions = if f.engine == Engine::Embedded { 100 } else { 1_000 };
    // What was ended is read once.
    f.open_for("bob").await;
    for number in 0..sessions {
        let before = f.probe.asked.load(Ordering::SeqCst);
        f.open_for("ada").await;
        // The counter is read, the entry and the session are written.
        assert_eq!(f.probe.asked.load(Ordering::SeqCst) - before, 3, "session {number}");
    }
    assert_eq!(f.counted("ada", 10).await, Count { sessions: 10, or_more: true });
}

async fn pages_follow_one_another_and_miss_nobody(f: Fixture) {
    let mut handles = Vec::new();
    for _ in 0..23 {
        handles.push(f.open_for("ada").await.ticket.handle);
    }
    handles.sort();
    for limit in [1, 7, 23, 1_000_000] {
        let listed = pages(&f.cache, "ada", limit).await.unwrap();
        assert_eq!(listed.iter().map(|listed| listed.handle).collect::<Vec<_>>(), handles, "{limit}");
    }
    assert_eq!(f.cache.list(&person("ada"), None, 0).await.unwrap().sessions.len(), 1);
}

async fn what_a_count_costs_is_bounded_and_says_so(f: Fixture) {
    for _ in 0..12 {
        f.open_for("ada").await;
    }
    let before = f.probe.reads.load(Ordering::SeqCst);
    assert_eq!(f.counted("ada", 5).await, Count { sessions: 5, or_more: true });
    // Each that was looked at, and the counter of the principal.
    assert_eq!(f.probe.reads.load(Ordering::SeqCst) - before, 6);
    assert_eq!(f.counted("ada", 12).await, Count { sessions: 12, or_more: false });
    assert_eq!(f.counted("bob", 12).await, Count { sessions: 0, or_more: false });
}

async fn what_is_idle_is_not_listed(f: Fixture) {
    let [idle, used] = [f.open_for("ada").await, f.open_for("ada").await];
    f.advance(IDLE - TOUCH_INTERVAL);
    f.found(&used.ticket).await;
    f.quiet().await;
    assert_eq!(f.listed("ada").await, sorted([idle.ticket.handle, used.ticket.handle]));
    // Nobody is called idle early, for another node may know more.
    f.advance(TOUCH_INTERVAL * 2);
    assert_eq!(f.listed("ada").await, [used.ticket.handle]);
}

async fn a_stale_entry_is_not_listed_and_goes_once_it_cannot_be_early(f: Fixture) {
    let [lost, kept] = [f.open_for("ada").await, f.open_for("ada").await].map(|opened| opened.ticket.handle);
    f.lose(&f.key(&lost)).await;
    assert_eq!(f.listed("ada").await, [kept]);
    f.quiet().await;
    assert_eq!(f.entries("ada").await.len(), 2, "it could be early");
    f.advance(LONG_AFTER);
    assert_eq!(f.listed("ada").await, [kept]);
    f.quiet().await;
    assert_eq!(f.entries("ada").await.iter().map(|(handle, _)| *handle).collect::<Vec<_>>(), [kept]);
}

async fn an_entry_whose_name_is_none_is_no_session_and_goes(f: Fixture) {
    let context = f.entry("ada", &Handle::from_bytes([0; 16])).context().to_owned();
    let junk = storage::Key::new(&context, b"\xff\x00").unwrap();
    f.put(&junk, b"junk").await;
    f.advance(LONG_AFTER);
    assert!(f.listed("ada").await.is_empty());
    f.quiet().await;
    assert!(f.probe.list(&context, None, 10).await.unwrap().records.is_empty());
}

async fn somebody_elses_session_is_not_listed_whatever_the_index_says(f: Fixture) {
    let of_bob = f.open_for("bob").await.ticket.handle;
    let nobodys = f.open().await.ticket.handle;
    for handle in [of_bob, nobodys] {
        f.put(&f.entry("ada", &handle), b"").await;
    }
    f.advance(LONG_AFTER);
    assert!(f.listed("ada").await.is_empty());
    f.quiet().await;
    assert!(f.entries("ada").await.is_empty());
    assert_eq!(f.listed("bob").await, [of_bob]);
}

async fn who_left_everywhere_has_no_sessions_until_the_next_login(f: Fixture) {
    for _ in 0..5 {
        f.open_for("ada").await;
    }
    assert_eq!(f.counted("ada", 100).await, Count { sessions: 5, or_more: false });
    let before = f.index_writes();
    f.end_all_of("ada").await;
    assert_eq!(f.index_writes(), before, "an end of all is one counter, and no work for each");
    assert_eq!(f.counted("ada", 100).await, Count { sessions: 0, or_more: false });
    let next = f.open_for("ada").await.ticket.handle;
    assert_eq!(f.listed("ada").await, [next]);
    f.advance(LONG_AFTER);
    assert_eq!(f.listed("ada").await, [next]);
    f.quiet().await;
    assert_eq!(f.entries("ada").await.len(), 1, "readers clear what is over");
}

async fn a_session_that_its_visitor_carries_is_not_listed_until_it_moves(f: Fixture) {
    let mut carried = f.open_carried(Some("ada")).await;
    assert_eq!(f.index_writes(), 0);
    for name in ["b", "c", "d"] {
        carried = f.write(&carried, name, "1").await;
    }
    assert!(f.listed("ada").await.is_empty());
    let spills = crate::tests::carrying::spills;
    f.try_to_write(&f.cache, &carried, "e", "1", spills).await.unwrap();
    assert_eq!(f.listed("ada").await, [carried.session.handle]);
}

async fn an_opening_that_the_index_does_not_take_opens_nothing(f: Fixture) {
    f.faults.fail_once(Which::Create, Fault::Refuse);
    let principal = Some(person("ada"));
    let opening = Opening { principal, entries: f.renewal(None).patch, ..Opening::default() };
    assert!(f.cache.open(opening, &f.application).await.is_err());
    assert_eq!(f.lies_there("session").await, (0, 0));
    assert_eq!(f.lies_there("index").await, (0, 0));
}

async fn a_login_that_the_index_does_not_take_leaves_the_session_as_it_was(f: Fixture) {
    let opened = f.open().await;
    f.faults.fail_once(Which::Create, Fault::Refuse);
    assert!(f.renew(&opened.ticket, Some("ada")).await.is_err());
    assert!(f.found(&opened.ticket).await.principal.is_none());
    assert!(f.listed("ada").await.is_empty());
    assert!(matches!(f.renew(&opened.ticket, Some("ada")).await.unwrap(), Renew::Renewed(..)));
}

async fn an_outage_lists_nobody_and_claims_nothing(f: Fixture) {
    let opened = f.open_for("ada").await;
    for which in [Which::Other, Which::Read] {
        f.faults.fail(which, Fault::Refuse);
        assert!(f.cache.list(&person("ada"), None, 10).await.is_err());
        assert!(f.cache.count(&person("ada"), 10).await.is_err());
        assert!(f.cache.check_index(|_| {}).await.is_err());
    }
    f.faults.heal();
    f.advance(LONG_AFTER);
    // An end that cannot take the entry out is an end all the same.
    f.faults.fail(Which::Any, Fault::Refuse);
    assert!(f.end(&opened.session).await.is_err());
    f.faults.heal();
    f.cache.flush().await;
    assert!(f.listed("ada").await.is_empty());
    eventually(async || f.entries("ada").await.is_empty()).await;
}

async fn who_is_left_out_of_the_index_is_not_in_it_and_ends_all_the_same(mut f: Fixture) {
    let storage = Arc::clone(&f.probe) as _;
    let cache = Cache::new(storage, Arc::clone(&f.clock) as _, SETTINGS, &mut Registry::default());
    cache.reckon_with(&f.application.realm);
    f.cache = Arc::new(cache.without_index_of(["monitor".into()]));
    let (monitor, ada) = (f.open_for("monitor").await, f.open_for("ada").await);
    // In exactly this spelling.
    let other = f.open_for("Monitor").await;
    assert!(f.entries("monitor").await.is_empty());
    assert_eq!((f.entries("ada").await.len(), f.entries("Monitor").await.len()), (1, 1));
    let unavailable = f.cache.list(&person("monitor"), None, 10).await.unwrap_err();
    assert_eq!(unavailable.blame, Blame::Caller);
    assert!(unavailable.to_string().contains("exclude_reverse_index"), "{unavailable}");
    // A check does not enter it.
    f.cache.check_index(|_| {}).await.unwrap();
    assert!(f.entries("monitor").await.is_empty());
    end_all_of(&f.cache, "monitor").await.unwrap();
    assert_eq!(f.ending(&monitor.ticket).await.why, Why::Revoked);
    f.found(&ada.ticket).await;
    f.found(&other.ticket).await;
}

async fn without_an_index_nothing_is_written_and_a_list_says_why(mut f: Fixture) {
    f.cache = f.cache_with(Settings { maintain_index: false, ..SETTINGS });
    let opened = f.open_for("ada").await;
    for _ in 0..5 {
        f.advance(Duration::from_mins(29));
        f.found(&opened.ticket).await;
        f.quiet().await;
    }
    for unavailable in [
        f.cache.list(&person("ada"), None, 10).await.unwrap_err(),
        f.cache.check_index(|_| {}).await.unwrap_err(),
    ] {
        assert_eq!(unavailable.blame, Blame::Caller);
        assert!(unavailable.to_string().contains("maintain_reverse_index"), "{unavailable}");
    }
    f.end(&opened.session).await.unwrap();
    f.quiet().await;
    assert_eq!(f.index_writes(), 0);
}
