//! A logout that comes before the session that it is for.

use session::{Authentication, Millis, Why};

use super::super::carrying::{logged_in, roomy};
use super::super::fixture::{self, LIFETIME, MILLISECOND, START, eventually};
use super::{Fixture, MINUTE, all, of_indexes, on_every_engine, person, waiting};
use crate::{Renew, RenewCarried};

on_every_engine!(
    a_late_session_is_refused_until_its_time
    a_late_session_of_an_index_is_refused_and_others_are_not
    who_proves_it_after_the_logout_is_let_in
    a_late_login_changes_nothing_of_a_session
    logouts_that_wait_do_not_forget_each_other
);

async fn a_late_session_is_refused_until_its_time(mut f: Fixture) {
    f.log_out(waiting(all(), &f, MINUTE)).await;
    let until = f.clock_now().plus(MINUTE);
    for _ in 0..2 {
        // With an index and without, and whenever they say that they have logged in, if not later.
        for index in [None, Some("1")] {
            for proved in [None, Some(START), Some(Millis(0))] {
                let refused = f.late(index, proved).await.unwrap();
                assert_eq!((refused.until, refused.ending.why), (until, Why::Logout));
            }
        }
        f.crash();
    }
    // Who is refused is in no list.
    eventually(async || f.cache.entries_of(&person(None)).await.unwrap().records.is_empty()).await;
    f.advance(MINUTE - MILLISECOND);
    assert!(f.late(None, None).await.is_some());
    f.advance(MILLISECOND);
    assert_eq!(f.late(None, None).await, None);
}

async fn a_late_session_of_an_index_is_refused_and_others_are_not(f: Fixture) {
    f.log_out(waiting(of_indexes(&["id.1", "2"]), &f, MINUTE)).await;
    for index in ["id.1", "2"] {
        assert!(f.late(Some(index), None).await.is_some(), "{index}");
    }
    for index in [Some("id"), Some("1"), None] {
        assert_eq!(f.late(index, None).await, None, "{index:?}");
    }
}

async fn who_proves_it_after_the_logout_is_let_in(f: Fixture) {
    f.log_out(waiting(all(), &f, MINUTE)).await;
    f.advance(MILLISECOND);
    let proved = f.clock_now();
    assert!(f.late(None, Some(START)).await.is_some());
    assert_eq!(f.late(None, Some(proved)).await, None);
    // A logout without a time waits for nobody, and does not let in whom another one keeps out.
    f.log_out(all()).await;
    assert!(f.late(None, Some(START)).await.is_some());
    assert_eq!(f.late(None, Some(proved)).await, None);
}

async fn a_late_login_changes_nothing_of_a_session(f: Fixture) {
    let both = f.both(None).await;
    f.log_out(waiting(all(), &f, MINUTE)).await;
    let mut renewal = f.renewal(None);
    renewal.login = Some((person(None), Authentication { at: START, level: "".into() }));
    let renewed = f.cache.renew(&both.ticket.handle, &both.ticket.secret, &renewal, &f.application).await;
    assert!(matches!(renewed.unwrap(), Renew::LoggedOut(_)));
    let renewed = f.cache.renew_carried(&both.carried, &renewal, &f.application, roomy).await;
    assert!(matches!(renewed.unwrap(), RenewCarried::LoggedOut(_)));
    // Their tickets open what they opened before.
    assert!(f.live(&both).await);
    assert!(f.found(&both.ticket).await.principal.is_none());
    // And who proves it anew is let in with them.
    f.advance(MILLISECOND);
    renewal.login = Some((person(None), Authentication { at: f.clock_now(), level: "".into() }));
    let answer = f.cache.renew(&both.ticket.handle, &both.ticket.secret, &renewal, &f.application).await;
    let (session, ticket) = fixture::renewed(answer);
    assert!(session.principal.is_some() && f.is_found(&ticket).await);
    logged_in(f.cache.renew_carried(&both.carried, &renewal, &f.application, roomy).await);
}

async fn logouts_that_wait_do_not_forget_each_other(f: Fixture) {
    f.log_out(waiting(all(), &f, MINUTE * 10)).await;
    f.advance(MINUTE);
    let between = f.clock_now();
    f.advance(MINUTE);
    f.log_out(waiting(all(), &f, MINUTE)).await;
    f.log_out(all()).await;
    assert!(f.late(None, Some(between)).await.is_some(), "the second keeps it out");
    f.advance(MINUTE);
    assert_eq!(f.late(None, Some(between)).await, None);
    assert!(f.late(None, Some(START)).await.is_some(), "and the first one that");
    // For longer than the sessions could have lived, if it says so.
    f.log_out(waiting(all(), &f, LIFETIME * 4)).await;
    f.advance(LIFETIME * 4 - MILLISECOND);
    f.cache.revocations.purge(f.clock_now());
    f.probe.reap_all(f.clock_now()).await;
    assert!(f.late(None, None).await.is_some());
}
