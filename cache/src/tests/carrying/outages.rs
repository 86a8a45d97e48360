//! Law 3: an outage is no logout, and no end that was not kept is told.

use session::Why;
use storage::faulty::{Fault, Which};

use super::{Fixture, end, is_over, on_every_engine, roomy, text};
use crate::RenewCarried;
use crate::tests::fixture::{TOUCH_INTERVAL, eventually};

on_every_engine!(
    an_end_that_was_not_confirmed_is_told_to_nobody_until_it_is
    an_end_that_was_not_confirmed_is_done_without_anybody_asking
    an_end_that_was_given_up_half_way_is_finished_before_anybody_is_told
    writers_and_readers_go_on_in_an_outage
    a_login_in_an_outage_leaves_the_session_as_it_was
    what_was_revoked_is_read_again_after_a_doubt
);

async fn an_end_that_was_not_confirmed_is_told_to_nobody_until_it_is(mut f: Fixture) {
    let carried = f.open_carried(Some("ada")).await;
    f.opens(&carried).await;
    f.faults.fail(Which::Create, Fault::Refuse);
    end(&f, &f.cache, &carried.session).await.unwrap_err();
    for _ in 0..3 {
        // Nobody may be told that it is over: a crash would bring it back. Nor is it served.
        f.bring(&carried).await.unwrap_err();
        f.try_to_write(&f.cache, &carried, "b", "late", roomy).await.unwrap_err();
        f.log_in_carried(&f.cache, &carried, "ada", roomy).await.unwrap_err();
        f.advance(TOUCH_INTERVAL / 10);
    }
    f.faults.heal();
    // Storage never heard of it.
    f.crash();
    assert_eq!(text(&f.opens(&carried).await), "a=1");
}

async fn an_end_that_was_not_confirmed_is_done_without_anybody_asking(f: Fixture) {
    let _house = f.keep_house(&f.cache).await;
    for fault in [Fault::Refuse, Fault::LoseAnswer] {
        let (leaving, staying) = (f.open_carried(None).await, f.open_carried(None).await);
        f.faults.fail(Which::Create, fault);
        end(&f, &f.cache, &leaving.session).await.unwrap_err();
        f.bring(&leaving).await.unwrap_err();
        f.opens(&staying).await;
        f.faults.heal();
        eventually(async || f.cache.outbox.all().is_empty()).await;
        assert_eq!(is_over(f.bring(&leaving).await).why, Why::Logout);
        // A new process sees it as well.
        let answer = f.another_cache().find_carried(&leaving, &f.application).await;
        assert_eq!(is_over(answer).why, Why::Logout);
    }
}

/// On shared storage the tombstone of the head is there at once, and stands for some minutes only.
async fn an_end_that_was_given_up_half_way_is_finished_before_anybody_is_told(f: Fixture) {
    for is_shared in [false, true] {
        let f = Fixture::with(f.engine, |capabilities| capabilities.is_shared = is_shared).await;
        let carried = f.open_carried(None).await;
        f.opens(&carried).await;
        let gate = f.hold_before(Which::Create);
        let ending = tokio::spawn({
            let (cache, application, session) =
                (f.cache.clone(), f.application.clone(), carried.session.clone());
            let ending = f.logout();
            async move { cache.end_carried(&session, &application.realm, ending).await }
        });
        gate.arrival().await;
        ending.abort();
        assert!(ending.await.unwrap_err().is_cancelled());
        let mut cache = f.cache.clone();
        if is_shared {
            cache = f.another_cache();
        }
        assert_eq!(f.lies_there("gone").await, (0, 0));
        is_over(cache.find_carried(&carried, &f.application).await);
        assert_eq!(f.lies_there("gone").await, (1, 0));
    }
}

async fn writers_and_readers_go_on_in_an_outage(f: Fixture) {
    // Where heads are in memory nobody needs storage.
    let carried = f.open_carried(Some("ada")).await;
    f.opens(&carried).await;
    f.faults.fail(Which::Any, Fault::Refuse);
    let next = f.write(&carried, "b", "2").await;
    assert_eq!(text(&f.opens(&next).await), "a=1 b=2");
    assert_eq!(text(&f.opens(&carried).await), "a=1 b=2");
}

async fn a_login_in_an_outage_leaves_the_session_as_it_was(f: Fixture) {
    let carried = f.open_carried(None).await;
    f.opens(&carried).await;
    f.faults.fail(Which::Any, Fault::Refuse);
    f.log_in_carried(&f.cache, &carried, "ada", roomy).await.unwrap_err();
    f.faults.heal();
    assert_eq!(text(&f.opens(&carried).await), "a=1");
    let renewed = f.log_in_carried(&f.cache, &carried, "ada", roomy).await.unwrap();
    assert!(matches!(renewed, RenewCarried::Renewed(..)), "{renewed:?}");
}

async fn what_was_revoked_is_read_again_after_a_doubt(f: Fixture) {
    let carried = f.open_carried(None).await;
    f.opens(&carried).await;
    // Given somebody who reads all, and has come to the last of the 257 lists,
    f.cache.revocations.doubt();
    for _ in 0..256 {
        f.faults.fail_once(Which::Other, Fault::Delay(std::time::Duration::ZERO));
    }
    let gate = f.hold_after(Which::Other);
    let bringing = tokio::spawn({
        let (cache, application, carried) = (f.cache.clone(), f.application.clone(), carried.clone());
        async move { cache.find_carried(&carried, &application).await }
    });
    gate.arrival().await;
    // when another node ends the session unheard, and a doubt says that something was missed,
    end(&f, &f.another_cache(), &carried.session).await.unwrap();
    f.cache.revocations.doubt();
    gate.open();
    // then all is read once more before anybody is answered.
    is_over(bringing.await.unwrap());
    assert!(f.cache.revocations.is_known());
}
