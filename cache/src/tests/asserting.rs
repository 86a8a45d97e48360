//! Assertions that are kept beside sessions.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use session::{Ending, Handle, Principal, Selector, Why};
use storage::faulty::{Fault, Which};
use storage::{Scanned, Storage as _};

use super::fixture::{IDLE, opened};
use super::{Fixture, on_every_engine};
use crate::{Asserted, Cache, Kind, MAX_ASSERTION_ID, MAX_ASSERTIONS, NotKept, Opened, Opening};

on_every_engine!(
    assertions_are_kept_whole_and_outlive_a_restart
    an_end_takes_assertions_with_it
    no_assertion_is_shown_of_whom_a_counter_ended
    an_end_beats_an_assertion_that_is_being_read
    a_session_that_is_idle_shows_no_assertion
    if_an_assertion_cannot_be_stored_nothing_is_opened
    assertions_stay_as_long_as_their_session_and_touches_do_not_write_them
    what_cannot_be_kept_is_said_before_anything_is_written
);

const LARGE: usize = 200 << 10;

fn large(letter: u8) -> Bytes {
    vec![letter; LARGE].into()
}

impl Fixture {
    /// This node keeps assertions from now on.
    fn keep_assertions(&mut self) {
        let cache = Arc::into_inner(self.another_cache()).unwrap().keeping_assertions(true);
        cache.reckon_with(&self.application.realm);
        self.cache = Arc::new(cache);
    }

    /// A session of Ann with two assertions.
    async fn open_asserted(&mut self) -> Opened {
        self.keep_assertions();
        opened(self.cache.open(opening(&self.cache), &self.application).await)
    }

    async fn assertion(&self, handle: &Handle, id: &str) -> Asserted {
        self.cache.assertion(handle, id).await.unwrap()
    }

    /// How many records of a kind lie in storage.
    async fn count_of(&self, kind: Kind) -> usize {
        let (mut count, mut cursor) = (0, None::<Vec<u8>>);
        loop {
            let page = self.probe.scan(cursor.as_deref(), 100).await.unwrap();
            let is_one = |key, found: &Scanned| matches!(found, Scanned::Live(_)) && Kind::of(key) == kind;
            count += page.found.iter().filter(|(key, found)| is_one(key, found)).count();
            cursor = page.cursor;
            if cursor.is_none() {
                return count;
            }
        }
    }
}

fn opening(cache: &Cache) -> Opening {
    let given = vec![("_one".into(), large(b'1')), ("two.with.dots".into(), large(b'2'))];
    Opening {
        principal: Some(Principal::named("test", "ann")),
        assertions: cache.assertions(given).unwrap(),
        ..Opening::default()
    }
}

async fn assertions_are_kept_whole_and_outlive_a_restart(mut f: Fixture) {
    let session = f.open_asserted().await.session;
    assert_eq!(session.assertions.join(" "), "_one two.with.dots");
    for _ in 0..2 {
        assert_eq!(f.assertion(&session.handle, "_one").await, Asserted::Found(large(b'1')));
        assert_eq!(f.assertion(&session.handle, "two.with.dots").await, Asserted::Found(large(b'2')));
        assert_eq!(f.assertion(&session.handle, "three").await, Asserted::Unknown);
        let nobodys = Handle::from_bytes([9; 16]);
        assert_eq!(f.assertion(&nobodys, "_one").await, Asserted::NoSession);
        f.crash();
    }
}

async fn an_end_takes_assertions_with_it(mut f: Fixture) {
    let session = f.open_asserted().await.session;
    assert_eq!(f.count_of(Kind::Assertion).await, 2);
    f.end(&session).await.unwrap();
    assert_eq!(f.assertion(&session.handle, "_one").await, Asserted::NoSession);
    f.quiet().await;
    assert_eq!(f.count_of(Kind::Assertion).await, 0);
}

async fn no_assertion_is_shown_of_whom_a_counter_ended(mut f: Fixture) {
    let session = f.open_asserted().await.session;
    let ending = Ending::new(f.clock_now(), Why::Logout, "test");
    let all = Selector::person(Principal::named("test", "ann"));
    f.cache.end_where(all, ending).await.unwrap();
    assert_eq!(f.assertion(&session.handle, "_one").await, Asserted::NoSession);
}

async fn an_end_beats_an_assertion_that_is_being_read(mut f: Fixture) {
    let session = f.open_asserted().await.session;
    let gate = f.hold_after(Which::Read);
    let (cache, handle) = (Arc::clone(&f.cache), session.handle);
    let reading = tokio::spawn(async move { cache.assertion(&handle, "_one").await.unwrap() });
    gate.arrival().await;
    f.end(&session).await.unwrap();
    gate.open();
    assert_eq!(reading.await.unwrap(), Asserted::NoSession);
}

async fn a_session_that_is_idle_shows_no_assertion(mut f: Fixture) {
    let session = f.open_asserted().await.session;
    f.advance(IDLE * 2);
    assert_eq!(f.assertion(&session.handle, "_one").await, Asserted::NoSession);
}

async fn if_an_assertion_cannot_be_stored_nothing_is_opened(mut f: Fixture) {
    f.keep_assertions();
    for fault in [Fault::Refuse, Fault::LoseAnswer] {
        f.faults.fail_once(Which::Create, fault);
        // Of nobody: so the first that is created is an assertion.
        let opening = Opening { principal: None, ..opening(&f.cache) };
        f.cache.open(opening, &f.application).await.unwrap_err();
        f.quiet().await;
        assert_eq!((f.count_of(Kind::Session).await, f.count_of(Kind::Assertion).await), (0, 0));
    }
}

async fn assertions_stay_as_long_as_their_session_and_touches_do_not_write_them(mut f: Fixture) {
    let opened = f.open_asserted().await;
    let before = f.probe.touches.load(Ordering::SeqCst);
    let uses = 28;
    for _ in 0..uses {
        f.advance(Duration::from_mins(20));
        f.found(&opened.ticket).await;
        f.quiet().await;
    }
    // After more than nine hours, with both assertions and the entry of the index prolonged at each mark, four hours apart.
    assert_eq!(f.assertion(&opened.session.handle, "_one").await, Asserted::Found(large(b'1')));
    let further = f.probe.touches.load(Ordering::SeqCst) - before - uses;
    assert!((2..=9).contains(&further), "{further} touches beside those of the session");
}

async fn what_cannot_be_kept_is_said_before_anything_is_written(mut f: Fixture) {
    let of = |ids: &[&str]| ids.iter().map(|id| ((*id).into(), large(b'1'))).collect::<Vec<_>>();
    assert_eq!(f.cache.assertions(of(&["a"])).unwrap_err(), NotKept::SwitchedOff);
    f.cache.assertions(Vec::new()).unwrap();
    f.keep_assertions();
    assert_eq!(f.cache.assertions(of(&["a", "b", "a"])).unwrap_err(), NotKept::Twice);
    assert_eq!(f.cache.assertions(of(&[""])).unwrap_err(), NotKept::Id(0));
    let long = "x".repeat(MAX_ASSERTION_ID + 1);
    assert_eq!(f.cache.assertions(of(&[&long])).unwrap_err(), NotKept::Id(MAX_ASSERTION_ID + 1));
    let many = vec!["a"; MAX_ASSERTIONS + 1];
    assert_eq!(f.cache.assertions(of(&many)).unwrap_err(), NotKept::TooMany(MAX_ASSERTIONS + 1));
    let max = f.probe.capabilities().max_value;
    let too_large = vec![("a".into(), Bytes::from(vec![0; max + 1]))];
    assert_eq!(f.cache.assertions(too_large).unwrap_err(), NotKept::TooLarge { bytes: max + 1, max });
    let largest = f.cache.assertions(vec![("a".into(), Bytes::from(vec![7; max]))]).unwrap();
    let opening = Opening { assertions: largest, ..Opening::default() };
    let session = opened(f.cache.open(opening, &f.application).await).session;
    assert_eq!(f.assertion(&session.handle, "a").await, Asserted::Found(vec![7; max].into()));
}
