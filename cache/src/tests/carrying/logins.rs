//! A login makes another session, which no cookie from before it opens.

use std::sync::Arc;

use session::Why;

use super::{Fixture, end, is_absent, is_over, logged_in, narrow, on_every_engine, roomy, spills, text};
use crate::heads::WINDOW;
use crate::tests::fixture::{found, setting};
use crate::{Absence, Cache, Credential, Patched, RenewCarried};

on_every_engine!(
    a_planted_cookie_opens_nothing_of_the_login
    a_login_takes_along_what_was_written_meanwhile
    a_writer_in_a_race_with_a_login_is_in_it_or_is_told
    two_logins_at_once_are_one_login
    another_person_is_told_of_who_it_belongs_to
    a_login_that_does_not_fit_changes_nothing
    a_login_that_does_not_fit_may_be_on_the_server
    the_end_of_a_login_is_no_end_of_the_next
);

async fn a_planted_cookie_opens_nothing_of_the_login(mut f: Fixture) {
    let planted = f.open_carried(None).await;
    let written = f.write(&planted, "basket", "tea").await;
    let mut mine = logged_in(f.log_in_carried(&f.cache, &written, "ada", roomy).await);
    assert_ne!(mine.session.handle, planted.session.handle);
    assert_ne!(mine.secret.expose(), planted.secret.expose());
    assert_eq!(text(&f.opens(&mine).await), "a=1 basket=tea");
    for _ in 0..3 {
        for cookie in [&planted, &written] {
            assert_eq!(is_absent(f.bring(cookie).await), Absence::Replaced);
            let patched = f.try_to_write(&f.cache, cookie, "x", "1", roomy).await.unwrap();
            assert!(matches!(&patched, Patched::Ended(ending) if ending.why == Why::Replaced), "{patched:?}");
            let renewed = f.log_in_carried(&f.cache, cookie, "eve", roomy).await.unwrap();
            assert!(matches!(renewed, RenewCarried::Replaced), "{renewed:?}");
        }
        f.advance(WINDOW * 20);
        f.cache.heads.purge(500).await;
        f.crash();
        mine = f.opens(&mine).await.refreshed.unwrap();
    }
    assert_eq!(text(&f.opens(&mine).await), "a=1 basket=tea");
}

async fn a_login_takes_along_what_was_written_meanwhile(f: Fixture) {
    let carried = f.open_carried(None).await;
    f.write(&carried, "b", "2").await;
    // The form was sent with the cookie from before.
    let mine = logged_in(f.log_in_carried(&f.cache, &carried, "ada", roomy).await);
    assert_eq!(text(&f.opens(&mine).await), "a=1 b=2");
}

async fn a_writer_in_a_race_with_a_login_is_in_it_or_is_told(f: Fixture) {
    for _ in 0..10 {
        let carried = f.open_carried(None).await;
        let writers: Vec<_> = (0..16)
            .map(|number| {
                let (cache, application, carried) =
                    (Arc::clone(&f.cache), f.application.clone(), Arc::clone(&carried));
                tokio::spawn(async move {
                    let patch = setting(&carried.session, &format!("key{number}"), "1");
                    let on_conflict = session::OnConflict::KeepFirst;
                    cache.patch_carried(&carried, &patch, on_conflict, &application, roomy).await
                })
            })
            .collect();
        let mine = logged_in(f.log_in_carried(&f.cache, &carried, "ada", roomy).await);
        let mut merged = 1;
        for writer in writers {
            match writer.await.unwrap().unwrap() {
                Patched::Merged(..) => merged += 1,
                Patched::Ended(ending) => assert_eq!(ending.why, Why::Replaced),
                other => panic!("{other:?}"),
            }
        }
        let there = f.opens(&mine).await.session.entries.len();
        // A writer may be refused after its change was taken along; none is confirmed and missing.
        assert!(there >= merged, "{merged} were confirmed, and {there} are there");
    }
}

async fn log_in_at_once(nodes: &[Arc<Cache>], f: &Fixture) {
    let carried = f.open_carried(None).await;
    let logins: Vec<_> = (0..8)
        .map(|number| {
            let (cache, application, carried) =
                (Arc::clone(&nodes[number % nodes.len()]), f.application.clone(), Arc::clone(&carried));
            let renewal = f.renewal(Some("ada"));
            tokio::spawn(async move { cache.renew_carried(&carried, &renewal, &application, roomy).await })
        })
        .collect();
    let mut winners = Vec::new();
    for login in logins {
        match login.await.unwrap().unwrap() {
            RenewCarried::Renewed(Credential::Carried(carried), _) => winners.push(carried),
            RenewCarried::Replaced => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(winners.len(), 1);
    f.opens(&winners[0]).await;
}

async fn two_logins_at_once_are_one_login(f: Fixture) {
    log_in_at_once(&[Arc::clone(&f.cache)], &f).await;
    let f = Fixture::with(f.engine, |capabilities| capabilities.is_shared = true).await;
    log_in_at_once(&[Arc::clone(&f.cache), f.another_cache()], &f).await;
}

async fn another_person_is_told_of_who_it_belongs_to(f: Fixture) {
    let of_ada = f.open_carried(Some("ada")).await;
    let renewed = f.log_in_carried(&f.cache, &of_ada, "bob", roomy).await.unwrap();
    assert!(matches!(renewed, RenewCarried::Superseded(_)), "{renewed:?}");
    f.opens(&of_ada).await;
}

async fn a_login_that_does_not_fit_changes_nothing(f: Fixture) {
    let mut carried = f.open_carried(None).await;
    for name in ["b", "c", "d", "e"] {
        carried = f.write(&carried, name, "1").await;
    }
    let renewed = f.log_in_carried(&f.cache, &carried, "ada", narrow).await.unwrap();
    assert!(matches!(renewed, RenewCarried::Unfit), "{renewed:?}");
    assert!(f.opens(&carried).await.session.principal.is_none());
}

async fn a_login_that_does_not_fit_may_be_on_the_server(f: Fixture) {
    let mut carried = f.open_carried(None).await;
    for name in ["b", "c", "d", "e"] {
        carried = f.write(&carried, name, "1").await;
    }
    let logins: Vec<_> = (0..8)
        .map(|_| {
            let (cache, application, carried) =
                (Arc::clone(&f.cache), f.application.clone(), Arc::clone(&carried));
            let renewal = f.renewal(Some("ada"));
            tokio::spawn(async move { cache.renew_carried(&carried, &renewal, &application, spills).await })
        })
        .collect();
    let mut tickets = Vec::new();
    for login in logins {
        match login.await.unwrap().unwrap() {
            RenewCarried::Renewed(Credential::Ticket(ticket), _) => tickets.push(ticket),
            RenewCarried::Replaced => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(tickets.len(), 1);
    assert_eq!(found(f.find(&tickets[0]).await).entries.len(), 5);
    assert_eq!(f.lies_there("session").await.0, 1, "what was written in vain is dead");
    assert_eq!(is_absent(f.bring(&carried).await), Absence::Replaced);
}

async fn the_end_of_a_login_is_no_end_of_the_next(f: Fixture) {
    let carried = f.open_carried(None).await;
    let first = logged_in(f.log_in_carried(&f.cache, &carried, "ada", roomy).await);
    let second = logged_in(f.log_in_carried(&f.cache, &first, "ada", roomy).await);
    end(&f, &f.cache, &carried.session).await.unwrap();
    end(&f, &f.cache, &first.session).await.unwrap();
    f.opens(&second).await;
    end(&f, &f.cache, &second.session).await.unwrap();
    is_over(f.bring(&second).await);
}
