//! Why a session is over: whoever ended it is named, and nothing is said that storage does not know.

use session::{Ending, Principal, Selector, Whose, Why};
use storage::faulty::{Fault, Which};

use super::fixture::{IDLE, LIFETIME, MILLISECOND, TOUCH_INTERVAL};
use super::{Fixture, on_every_engine};
use crate::Life;

on_every_engine!(
    whoever_ended_it_is_named
    whoever_ended_many_is_named_before_and_after_one_of_them_is_asked_for
    one_that_its_visitor_carried_has_its_reason
    time_is_a_reason_of_its_own
    without_storage_nothing_is_said
);

impl Fixture {
    async fn why(&self, handle: &session::Handle) -> Life {
        self.cache.why(handle).await.unwrap()
    }

    fn by_operator(&self) -> Ending {
        let from = Some("2001:db8::7".parse().unwrap());
        Ending { from, ..Ending::new(self.clock_now(), Why::Revoked, "operator ada") }
    }
}

async fn whoever_ended_it_is_named(mut f: Fixture) {
    let opened = f.open().await;
    assert_eq!(f.why(&opened.ticket.handle).await, Life::Live);
    let ending = f.by_operator();
    f.cache.end(&opened.session, ending.clone(), &f.application).await.unwrap();
    f.advance(MILLISECOND);
    f.end(&opened.session).await.unwrap();
    for _ in 0..2 {
        assert_eq!(f.why(&opened.ticket.handle).await, Life::Ended(ending.clone()), "the first counts");
        f.crash();
    }
    assert_eq!(f.why(&session::Handle::random().unwrap()).await, Life::Unknown);
}

async fn whoever_ended_many_is_named_before_and_after_one_of_them_is_asked_for(mut f: Fixture) {
    let ada = Principal::named("test", "ada");
    for whose in
        [Whose::Person { principal: ada, indexes: Vec::new() }, Whose::Realm("shop".into()), Whose::Everybody]
    {
        for is_by_time in [false, true] {
            let opened = f.open_for("ada").await;
            f.advance(MILLISECOND);
            let begun_before = is_by_time.then(|| f.clock_now());
            f.advance(MILLISECOND);
            let ending = f.by_operator();
            let selector = Selector { begun_before, ..Selector::all(whose.clone()) };
            f.cache.end_where(selector, ending.clone()).await.unwrap();
            f.crash();
            assert_eq!(f.why(&opened.ticket.handle).await, Life::Ended(ending.clone()));
            assert_eq!(f.ending(&opened.ticket).await, ending);
            assert_eq!(f.why(&opened.ticket.handle).await, Life::Ended(ending));
        }
    }
}

async fn one_that_its_visitor_carried_has_its_reason(f: Fixture) {
    let carried = f.open_carried(Some("ada")).await;
    let handle = carried.session.handle;
    assert_eq!(f.why(&handle).await, Life::Unknown, "only its visitor has it");
    let ending = f.by_operator();
    f.cache.end(&carried.session, ending.clone(), &f.application).await.unwrap();
    assert_eq!(f.why(&handle).await, Life::Ended(ending));
    let (idle, since) = (f.open_carried(None).await, f.clock_now());
    f.advance(IDLE + TOUCH_INTERVAL * 5);
    super::carrying::is_over(f.bring(&idle).await);
    let Life::Idle(ending) = f.why(&idle.session.handle).await else { panic!("it was not used") };
    assert_eq!((ending.at, &*ending.by), (since.plus(IDLE + TOUCH_INTERVAL), "the time-out"));
}

async fn time_is_a_reason_of_its_own(f: Fixture) {
    let (asked, unasked, since) = (f.open().await, f.open().await, f.clock_now());
    f.advance(IDLE + TOUCH_INTERVAL * 5);
    f.ending(&asked.ticket).await;
    for opened in [&asked, &unasked] {
        let Life::Idle(ending) = f.why(&opened.ticket.handle).await else { panic!("nobody used it") };
        // When it was over, not when somebody came to look.
        assert!(
            ending.at >= since.plus(IDLE) && ending.at <= since.plus(IDLE + TOUCH_INTERVAL),
            "{ending:?}"
        );
        assert_eq!((&*ending.by, ending.from), ("the time-out", None));
    }
    let (used, begun) = (f.open().await, f.clock_now());
    let mut left = LIFETIME;
    while !left.is_zero() {
        let step = left.min(IDLE / 2);
        f.advance(step);
        left -= step;
        if !left.is_zero() {
            f.found(&used.ticket).await;
            f.quiet().await;
        }
    }
    f.advance(MILLISECOND * 5);
    let ending = Ending::new(begun.plus(LIFETIME), Why::Lifetime, "the time-out");
    assert_eq!(f.why(&used.ticket.handle).await, Life::Lifetime(ending.clone()));
    assert_eq!(f.ending(&used.ticket).await, ending);
    assert_eq!(f.why(&used.ticket.handle).await, Life::Lifetime(ending));
}

async fn without_storage_nothing_is_said(f: Fixture) {
    let opened = f.open().await;
    f.found(&opened.ticket).await;
    f.faults.fail(Which::Any, Fault::Refuse);
    f.cache.why(&opened.ticket.handle).await.unwrap_err();
    f.end(&opened.session).await.unwrap_err();
    f.faults.heal();
    // It is to end, and nobody knows yet whether it has.
    f.cache.why(&opened.ticket.handle).await.unwrap_err();
}
