//! A session that became too large moves to the server: once, with all that it holds, and for good.

use std::sync::Arc;
use std::time::Duration;

use session::{Carried, OnConflict, Ticket};
use storage::faulty::{Gate, Which};

use super::{Fixture, end, is_absent, narrow, on_every_engine, opens, spills, text};
use crate::heads::WINDOW;
use crate::tests::fixture::{RENEW_WINDOW, entries, eventually, found, setting};
use crate::{Cache, Ended, Find, Patched};

on_every_engine!(
    who_moves_has_a_ticket_and_older_cookies_lead_there_for_a_while
    sixteen_who_move_at_once_have_one_session_that_lost_nothing
    sixteen_who_move_on_two_nodes_have_one_session_that_lost_nothing
    writers_in_a_race_with_a_move_lose_nothing
    a_move_that_was_given_up_half_way_is_finished_by_the_next
    a_move_that_a_crash_cut_short_harms_nobody
    a_logout_during_a_move_wins
    a_logout_after_a_move_wins
    whoever_is_told_of_a_logout_by_a_cookie_does_not_find_it_by_its_ticket
    without_leave_nothing_moves
);

/// A session at its limit.
async fn full(f: &Fixture) -> Arc<Carried> {
    let mut carried = f.open_carried(None).await;
    for name in ["b", "c", "d"] {
        carried = f.write(&carried, name, "1").await;
    }
    carried
}

async fn moves(f: &Fixture, carried: &Arc<Carried>, name: &str) -> Ticket {
    match f.try_to_write(&f.cache, carried, name, "1", spills).await.unwrap() {
        Patched::Moved(_, ticket, _) => ticket,
        other => panic!("it did not move: {other:?}"),
    }
}

/// The ticket that is given to who comes with the cookie.
async fn leads_to(f: &Fixture, carried: &Arc<Carried>) -> Ticket {
    f.opens(carried).await.successor.expect("a ticket")
}

async fn who_moves_has_a_ticket_and_older_cookies_lead_there_for_a_while(mut f: Fixture) {
    let oldest = f.open_carried(None).await;
    let carried = {
        let mut carried = Arc::clone(&oldest);
        for name in ["b", "c", "d"] {
            carried = f.write(&carried, name, "1").await;
        }
        carried
    };
    let ticket = moves(&f, &carried, "e").await;
    assert_eq!(entries(&*f.found(&ticket).await), "a=1 b=1 c=1 d=1 e=1");
    for cookie in [&oldest, &carried] {
        let there = f.opens(cookie).await;
        assert!(text(&there).starts_with("a=1 b=1 c=1 d=1 e=1"));
        assert_eq!(there.successor.unwrap().expose(), ticket.expose());
        // Who writes with it writes there.
        let patch = setting(&there.session, "late", "1");
        let patched = f
            .cache
            .patch_carried(cookie, &patch, OnConflict::KeepFirst, &f.application, spills)
            .await
            .unwrap();
        assert!(matches!(&patched, Patched::Merged(session, _) if !session.is_carried()), "{patched:?}");
    }
    f.crash();
    assert_eq!(leads_to(&f, &carried).await.expose(), ticket.expose());
    f.advance(RENEW_WINDOW);
    for _ in 0..2 {
        for cookie in [&oldest, &carried] {
            is_absent(f.bring(cookie).await);
        }
        f.crash();
        f.advance(WINDOW * 10);
    }
    assert_eq!(entries(&*f.found(&ticket).await), "a=1 b=1 c=1 d=1 e=1 late=1");
}

async fn all_move(f: &Fixture, nodes: &[Arc<Cache>]) {
    let carried = full(f).await;
    let movers: Vec<_> = (0..16)
        .map(|number| {
            let (cache, application, carried) =
                (Arc::clone(&nodes[number % nodes.len()]), f.application.clone(), Arc::clone(&carried));
            tokio::spawn(async move {
                let patch = setting(&carried.session, &format!("key{number}"), "1");
                cache.patch_carried(&carried, &patch, OnConflict::KeepFirst, &application, spills).await
            })
        })
        .collect();
    let mut tickets = Vec::new();
    for mover in movers {
        match mover.await.unwrap().unwrap() {
            Patched::Moved(_, ticket, _) => tickets.push(ticket),
            Patched::Merged(session, _) => assert!(!session.is_carried()),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(tickets.len(), 1);
    for cache in nodes {
        // The other node may have a copy still, until it hears of the last write.
        eventually(async || {
            let there = opens(cache.find_carried(&carried, &f.application).await);
            there.session.entries.len() == 4 + 16
        })
        .await;
        let successor = opens(cache.find_carried(&carried, &f.application).await).successor.unwrap();
        assert_eq!(successor.expose(), tickets[0].expose());
        assert_eq!(found(cache.find(&successor, &f.application).await).entries.len(), 4 + 16);
    }
}

async fn sixteen_who_move_at_once_have_one_session_that_lost_nothing(f: Fixture) {
    for _ in 0..4 {
        all_move(&f, &[Arc::clone(&f.cache)]).await;
    }
}

async fn sixteen_who_move_on_two_nodes_have_one_session_that_lost_nothing(f: Fixture) {
    let f = Fixture::with(f.engine, |capabilities| capabilities.is_shared = true).await;
    let other = f.another_cache();
    let _houses = (f.keep_house(&f.cache).await, f.keep_house(&other).await);
    for _ in 0..4 {
        all_move(&f, &[Arc::clone(&f.cache), Arc::clone(&other)]).await;
    }
}

async fn writers_in_a_race_with_a_move_lose_nothing(f: Fixture) {
    for _ in 0..5 {
        let carried = full(&f).await;
        let writers: Vec<_> = (0..16)
            .map(|number| {
                let (cache, application, carried) =
                    (Arc::clone(&f.cache), f.application.clone(), Arc::clone(&carried));
                tokio::spawn(async move {
                    // Some change what is there, which fits; some add to it, which does not.
                    let name = if number % 4 == 0 { format!("key{number}") } else { "a".to_owned() };
                    let value = if number % 4 == 0 { "1".to_owned() } else { "2".to_owned() };
                    let patch = setting(&carried.session, &name, &value);
                    cache.patch_carried(&carried, &patch, OnConflict::KeepFirst, &application, spills).await
                })
            })
            .collect();
        for writer in writers {
            let patched = writer.await.unwrap().unwrap();
            assert!(matches!(patched, Patched::Merged(..) | Patched::Moved(..)), "{patched:?}");
        }
        let ticket = leads_to(&f, &carried).await;
        let there = f.found(&ticket).await;
        assert_eq!(there.entries.len(), 4 + 4);
        assert_eq!(there.entries.get("a").unwrap().as_text().unwrap(), "2");
    }
}

/// Gives up a move at the given operation of storage, which is done or not.
async fn give_up(f: &Fixture, carried: &Arc<Carried>, skip: usize, hold: fn(&Fixture, Which) -> Gate) {
    use storage::faulty::Fault;
    for _ in 0..skip {
        f.faults.fail_once(Which::Create, Fault::Delay(Duration::ZERO));
    }
    let gate = hold(f, Which::Create);
    let mover = tokio::spawn({
        let (cache, application, carried) =
            (Arc::clone(&f.cache), f.application.clone(), Arc::clone(carried));
        async move {
            let patch = setting(&carried.session, "e", "1");
            cache.patch_carried(&carried, &patch, OnConflict::KeepFirst, &application, spills).await
        }
    });
    gate.arrival().await;
    mover.abort();
    assert!(mover.await.unwrap_err().is_cancelled());
    gate.open();
    f.faults.heal();
}

async fn a_move_that_was_given_up_half_way_is_finished_by_the_next(f: Fixture) {
    // At the record, and at the note that older cookies are worthless.
    for skip in [0, 1] {
        for hold in [Fixture::hold_before, Fixture::hold_after] {
            let carried = full(&f).await;
            give_up(&f, &carried, skip, hold).await;
            let ticket = leads_to(&f, &carried).await;
            assert_eq!(f.found(&ticket).await.entries.len(), 5);
            let patched = f.try_to_write(&f.cache, &carried, "f", "1", spills).await.unwrap();
            assert!(matches!(patched, Patched::Merged(..)), "{patched:?}");
            f.advance(WINDOW * 2);
            is_absent(f.bring(&carried).await);
            assert_eq!(f.found(&ticket).await.entries.len(), 6);
        }
    }
}

async fn a_move_that_a_crash_cut_short_harms_nobody(mut f: Fixture) {
    for skip in [0, 1] {
        for hold in [Fixture::hold_before, Fixture::hold_after] {
            let carried = full(&f).await;
            give_up(&f, &carried, skip, hold).await;
            f.crash();
            // The head was in memory. Either the cookie is still the session, or it leads to the server.
            let ticket = match f.opens(&carried).await {
                there if there.session.is_carried() => moves(&f, &carried, "e").await,
                there => there.successor.unwrap(),
            };
            assert_eq!(f.found(&ticket).await.entries.len(), 5);
            f.advance(RENEW_WINDOW);
            is_absent(f.bring(&carried).await);
            f.found(&ticket).await;
        }
    }
}

async fn a_logout_during_a_move_wins(f: Fixture) {
    for skip in [0, 1] {
        for hold in [Fixture::hold_before, Fixture::hold_after] {
            let carried = full(&f).await;
            for _ in 0..skip {
                f.faults.fail_once(Which::Create, storage::faulty::Fault::Delay(Duration::ZERO));
            }
            let gate = hold(&f, Which::Create);
            let mover = tokio::spawn({
                let (cache, application, carried) =
                    (Arc::clone(&f.cache), f.application.clone(), Arc::clone(&carried));
                async move {
                    let patch = setting(&carried.session, "e", "1");
                    cache.patch_carried(&carried, &patch, OnConflict::KeepFirst, &application, spills).await
                }
            });
            gate.arrival().await;
            end(&f, &f.cache, &carried.session).await.unwrap();
            gate.open();
            if let Patched::Moved(_, ticket, _) = mover.await.unwrap().unwrap() {
                assert!(!f.is_found(&ticket).await, "the ticket of a session that was ended works");
            }
            assert!(!matches!(f.bring(&carried).await.unwrap(), Find::Found(_)));
            let (live, _) = f.lies_there("session").await;
            assert_eq!(live, 0);
        }
    }
}

async fn a_logout_after_a_move_wins(mut f: Fixture) {
    // Somebody who has seen it while it was carried, and somebody who comes with the ticket.
    for by_ticket in [false, true] {
        let carried = full(&f).await;
        let ticket = moves(&f, &carried, "e").await;
        let session = if by_ticket { f.found(&ticket).await } else { Arc::clone(&carried.session) };
        assert_eq!(end(&f, &f.cache, &session).await.unwrap(), Ended::Now);
        for _ in 0..2 {
            assert!(!f.is_found(&ticket).await);
            assert!(!matches!(f.bring(&carried).await.unwrap(), Find::Found(_)));
            f.crash();
            f.advance(WINDOW * 20);
        }
    }
}

async fn without_leave_nothing_moves(f: Fixture) {
    let carried = full(&f).await;
    let patched = f.try_to_write(&f.cache, &carried, "e", "1", narrow).await.unwrap();
    assert!(matches!(patched, Patched::Unfit), "{patched:?}");
    eventually(async || f.lies_there("session").await == (0, 0)).await;
}

/// Found by the simulation, in one of a quarter of a million worlds: the note of the end was there before the record had gone.
async fn whoever_is_told_of_a_logout_by_a_cookie_does_not_find_it_by_its_ticket(f: Fixture) {
    let carried = full(&f).await;
    let ticket = moves(&f, &carried, "e").await;
    f.found(&ticket).await;
    let gate = f.hold_before(Which::Bury);
    let leaving = tokio::spawn({
        let (cache, application, session) =
            (Arc::clone(&f.cache), f.application.clone(), Arc::clone(&carried.session));
        let ending = f.logout();
        async move { cache.end(&session, ending, &application).await }
    });
    gate.arrival().await;
    // As long as nobody was told of it, it may be there: but not for one and not for the other.
    let is_live = matches!(f.bring(&carried).await.unwrap(), Find::Found(_));
    assert_eq!(f.is_found(&ticket).await, is_live);
    gate.open();
    leaving.await.unwrap().unwrap();
    assert!(!f.is_found(&ticket).await && matches!(f.bring(&carried).await.unwrap(), Find::Ended(_)));
}
