//! Several nodes over shared storage, and two processes over one that is not.

use std::sync::Arc;

use session::{Selector, Whose};
use storage::faulty::Which;

use super::{Fixture, end, is_absent, is_over, logged_in, on_every_engine, opens, roomy, spills, text};
use crate::tests::fixture::{eventually, setting};
use crate::{Find, Patched};

on_every_engine!(
    what_another_node_wrote_is_found_here
    an_end_on_another_node_is_heard
    a_gap_makes_revocations_be_read_again
    a_login_on_another_node_makes_cookies_worthless_here
    an_end_in_the_other_process_holds_here_at_once
    an_end_of_all_in_the_other_process_holds_here_at_once
    an_end_in_the_other_process_of_what_moves_here_wins
    an_end_by_handle_holds_for_cookies_while_another_node_is_about_to_end_it
);

async fn what_another_node_wrote_is_found_here(f: Fixture) {
    let f = Fixture::with(f.engine, |capabilities| capabilities.is_shared = true).await;
    let other = f.another_cache();
    let _houses = (f.keep_house(&f.cache).await, f.keep_house(&other).await);
    // After a start everybody is asked for: the heads from before are not known.
    f.advance(crate::heads::WINDOW * 3);
    let carried = f.open_carried(None).await;
    f.try_to_write(&other, &carried, "b", "2", roomy).await.unwrap();
    eventually(async || text(&f.opens(&carried).await) == "a=1 b=2").await;
    // A writer here asks, whether or not it has heard of it.
    let next = f.write(&carried, "c", "3").await;
    assert_eq!(text(&f.opens(&next).await), "a=1 b=2 c=3");
}

async fn an_end_on_another_node_is_heard(f: Fixture) {
    let f = Fixture::with(f.engine, |capabilities| capabilities.is_shared = true).await;
    let other = f.another_cache();
    let _houses = (f.keep_house(&f.cache).await, f.keep_house(&other).await);
    f.advance(crate::heads::WINDOW * 3);
    let carried = f.open_carried(None).await;
    f.opens(&carried).await;
    end(&f, &other, &carried.session).await.unwrap();
    eventually(async || matches!(f.bring(&carried).await.unwrap(), Find::Ended(_))).await;
    // No writer needs to have heard of it.
    let late = f.try_to_write(&f.another_cache(), &carried, "b", "late", roomy).await.unwrap();
    assert!(matches!(late, Patched::Ended(_)), "{late:?}");
}

async fn a_gap_makes_revocations_be_read_again(f: Fixture) {
    let f = Fixture::with(f.engine, |capabilities| capabilities.is_shared = true).await;
    let carried = f.open_carried(None).await;
    f.opens(&carried).await;
    let other = f.another_cache();
    end(&f, &other, &carried.session).await.unwrap();
    let _house = f.keep_house(&f.cache).await;
    f.probe.gap();
    eventually(async || matches!(f.bring(&carried).await.unwrap(), Find::Ended(_))).await;
}

async fn a_login_on_another_node_makes_cookies_worthless_here(f: Fixture) {
    let f = Fixture::with(f.engine, |capabilities| capabilities.is_shared = true).await;
    let other = f.another_cache();
    let _houses = (f.keep_house(&f.cache).await, f.keep_house(&other).await);
    let carried = f.open_carried(None).await;
    let mine = logged_in(f.log_in_carried(&other, &carried, "ada", roomy).await);
    eventually(async || matches!(f.bring(&carried).await.unwrap(), Find::Absent(_))).await;
    is_absent(f.bring(&carried).await);
    f.opens(&mine).await;
}

async fn an_end_in_the_other_process_holds_here_at_once(f: Fixture) {
    let (first, second) = (f.open_carried(None).await, f.open_carried(None).await);
    f.opens(&first).await;
    f.cache.begin_sharing();
    let next = f.another_cache();
    next.begin_sharing();
    opens(next.find_carried(&first, &f.application).await);
    end(&f, &next, &first.session).await.unwrap();
    is_over(f.bring(&first).await);
    end(&f, &f.cache, &second.session).await.unwrap();
    is_over(next.find_carried(&second, &f.application).await);
    next.end_sharing();
    for carried in [&first, &second] {
        is_over(next.find_carried(carried, &f.application).await);
    }
}

async fn an_end_of_all_in_the_other_process_holds_here_at_once(f: Fixture) {
    let carried = f.open_carried(Some("ada")).await;
    f.opens(&carried).await;
    f.cache.begin_sharing();
    let next = f.another_cache();
    next.begin_sharing();
    opens(next.find_carried(&carried, &f.application).await);
    f.end_all_of("ada").await;
    is_over(next.find_carried(&carried, &f.application).await);
}

async fn an_end_in_the_other_process_of_what_moves_here_wins(f: Fixture) {
    for which in [Fixture::hold_before, Fixture::hold_after] {
        let mut carried = f.open_carried(None).await;
        for name in ["b", "c", "d"] {
            carried = f.write(&carried, name, "1").await;
        }
        f.cache.begin_sharing();
        let next = f.another_cache();
        next.begin_sharing();
        let gate = which(&f, Which::Create);
        let mover = tokio::spawn({
            let (cache, application, carried) =
                (Arc::clone(&f.cache), f.application.clone(), Arc::clone(&carried));
            async move {
                let patch = setting(&carried.session, "e", "1");
                let on_conflict = session::OnConflict::KeepFirst;
                cache.patch_carried(&carried, &patch, on_conflict, &application, spills).await
            }
        });
        gate.arrival().await;
        end(&f, &next, &carried.session).await.unwrap();
        gate.open();
        if let Patched::Moved(_, ticket, _) = mover.await.unwrap().unwrap() {
            assert!(!f.is_found(&ticket).await, "the ticket of a session that was ended works");
        }
        for cache in [&f.cache, &next] {
            let answer = cache.find_carried(&carried, &f.application).await.unwrap();
            assert!(!matches!(answer, Find::Found(_)), "{answer:?}");
        }
    }
}

/// Found by the simulation: the other node had buried the record that there might be, and not written yet that cookies are
/// worthless. Whoever met that tombstone took it for all that there is to do.
async fn an_end_by_handle_holds_for_cookies_while_another_node_is_about_to_end_it(f: Fixture) {
    let f = Fixture::with(f.engine, |capabilities| capabilities.is_shared = true).await;
    let carried = f.open_carried(None).await;
    let carried = f.write(&carried, "b", "2").await;
    let other = f.another_cache();
    let gate = f.hold_before(Which::Create);
    let leaving = tokio::spawn({
        let (application, session, ending) =
            (f.application.clone(), Arc::clone(&carried.session), f.logout());
        async move { other.end(&session, ending, &application).await }
    });
    gate.arrival().await;
    let selector = Selector::all(Whose::Handles(vec![carried.session.handle]));
    f.cache.end_where(selector, f.logout()).await.unwrap();
    // Also for a node that cannot ask.
    assert!(f.cache.revocations.gone(&carried.session.handle).is_some());
    is_over(f.bring(&carried).await);
    gate.open();
    leaving.await.unwrap().unwrap();
}
