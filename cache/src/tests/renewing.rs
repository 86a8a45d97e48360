//! A new secret for the same session.

use std::sync::Arc;
use std::time::Duration;

use session::Ticket;
use storage::faulty::{Fault, Which};

use super::fixture::{MILLISECOND, RENEW_WINDOW, entries, eventually, found, renewed, setting};
use super::{Engine, Fixture, on_every_engine};
use crate::{Absence, Find, Renew};

on_every_engine!(
    a_renewal_keeps_the_handle_and_changes_the_secret
    the_old_secret_is_answered_with_its_successor_within_the_window
    a_new_owner_makes_the_old_secret_worthless_at_once
    a_fill_under_way_does_not_save_a_planted_ticket
    a_login_of_the_same_person_drops_whoever_stole_the_ticket
    a_login_begins_the_lifetime_anew
    the_login_of_another_person_is_refused
    of_many_renewals_at_once_one_wins
    a_renewal_carries_a_patch
    the_secret_before_the_last_is_worthless
    a_renewal_of_what_is_not_there_is_gone
    a_renewal_that_was_given_up_leaves_no_old_copy
    a_refused_renewal_changes_nothing
);

/// The successor that this ticket is told of.
async fn successor(f: &Fixture, ticket: &Ticket) -> Option<Ticket> {
    match f.find(ticket).await.unwrap() {
        Find::Found(found) => found.successor,
        other => panic!("a live session was not found: {other:?}"),
    }
}

async fn a_renewal_keeps_the_handle_and_changes_the_secret(mut f: Fixture) {
    let opened = f.open().await;
    let (session, ticket) = renewed(f.renew(&opened.ticket, None).await);
    assert_eq!(ticket.handle, opened.ticket.handle);
    assert_ne!(ticket.secret.hash(), opened.ticket.secret.hash());
    assert!(session.revision > opened.session.revision);
    for _ in 0..2 {
        assert_eq!(*f.found(&ticket).await, *session);
        assert!(successor(&f, &ticket).await.is_none());
        f.crash();
    }
}

async fn the_old_secret_is_answered_with_its_successor_within_the_window(mut f: Fixture) {
    let opened = f.open().await;
    let (_, ticket) = renewed(f.renew(&opened.ticket, None).await);
    f.advance(RENEW_WINDOW - MILLISECOND);
    for _ in 0..2 {
        let told = successor(&f, &opened.ticket).await.unwrap();
        assert_eq!(told.expose(), ticket.expose());
        f.crash();
    }
    f.found(&ticket).await;
    f.advance(MILLISECOND);
    for _ in 0..2 {
        assert_eq!(f.absence(&opened.ticket).await, Absence::WrongSecret);
        f.found(&ticket).await;
        f.crash();
    }
}

/// Session fixation: OWASP ASVS 7.2.4, CWE-384.
async fn a_new_owner_makes_the_old_secret_worthless_at_once(mut f: Fixture) {
    let planted = f.open().await;
    let (session, ticket) = renewed(f.renew(&planted.ticket, Some("ada")).await);
    assert_eq!(&*session.principal.as_ref().unwrap().name, "ada");
    assert!(session.previous.is_none());
    for _ in 0..2 {
        assert_eq!(f.absence(&planted.ticket).await, Absence::WrongSecret);
        assert_eq!(&*f.found(&ticket).await.principal.as_ref().unwrap().name, "ada");
        f.crash();
    }
}

async fn a_fill_under_way_does_not_save_a_planted_ticket(mut f: Fixture) {
    let planted = f.open().await;
    f.crash();
    // Given a find with the planted ticket that has the record of before the login in its hand,
    let gate = f.hold_after(Which::Read);
    let find = tokio::spawn({
        let (cache, application, ticket) =
            (Arc::clone(&f.cache), f.application.clone(), planted.ticket.clone());
        async move { cache.find(&ticket, &application).await }
    });
    gate.arrival().await;
    // when the login is done and only then the find goes on,
    let (_, ticket) = renewed(f.renew(&planted.ticket, Some("ada")).await);
    gate.open();
    // then whatever it says, it is not ada's session that it gives away, and it leaves no copy for others.
    if let Find::Found(found) = find.await.unwrap().unwrap() {
        assert!(found.session.principal.is_none() && found.successor.is_none());
    }
    assert_eq!(f.absence(&planted.ticket).await, Absence::WrongSecret);
    f.found(&ticket).await;
}

async fn a_login_of_the_same_person_drops_whoever_stole_the_ticket(mut f: Fixture) {
    let opened = f.open_for("ada").await;
    let (_, ticket) = renewed(f.renew(&opened.ticket, Some("ada")).await);
    for _ in 0..2 {
        // What is under way is answered, and told nothing.
        assert!(successor(&f, &opened.ticket).await.is_none());
        f.crash();
    }
    f.clock.advance(f.cache.settings.renew_window);
    assert_eq!(f.absence(&opened.ticket).await, Absence::WrongSecret);
    f.found(&ticket).await;
}

async fn a_login_begins_the_lifetime_anew(f: Fixture) {
    let opened = f.open().await;
    f.clock.advance(Duration::from_secs(60));
    let (session, _) = renewed(f.renew(&opened.ticket, Some("ada")).await);
    assert_eq!(session.begun, opened.session.begun.plus(Duration::from_secs(60)));
}

async fn the_login_of_another_person_is_refused(mut f: Fixture) {
    let opened = f.open_for("ada").await;
    for _ in 0..2 {
        let renewal = f.renew(&opened.ticket, Some("eve")).await.unwrap();
        assert!(matches!(renewal, Renew::Superseded(_)), "{renewal:?}");
        assert_eq!(*f.found(&opened.ticket).await, *opened.session);
        f.crash();
    }
}

async fn of_many_renewals_at_once_one_wins(mut f: Fixture) {
    let opened = f.open().await;
    let renewals: Vec<_> = (0..16)
        .map(|_| {
            let (cache, application, ticket, renewal) =
                (Arc::clone(&f.cache), f.application.clone(), opened.ticket.clone(), f.renewal(None));
            tokio::spawn(async move {
                cache.renew(&ticket.handle, &ticket.secret, &renewal, &application).await.unwrap()
            })
        })
        .collect();
    let mut winners = Vec::new();
    for renewal in renewals {
        match renewal.await.unwrap() {
            Renew::Renewed(_, ticket, _) => winners.push(ticket),
            Renew::Superseded(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(winners.len(), 1);
    for _ in 0..2 {
        f.found(&winners[0]).await;
        assert_eq!(successor(&f, &opened.ticket).await.unwrap().expose(), winners[0].expose());
        f.crash();
    }
}

async fn a_renewal_carries_a_patch(f: Fixture) {
    let opened = f.open().await;
    let mut renewal = f.renewal(Some("ada"));
    renewal.patch = setting(&opened.session, "b", "2");
    let ticket = &opened.ticket;
    let answer = f.cache.renew(&ticket.handle, &ticket.secret, &renewal, &f.application).await;
    let (session, next) = renewed(answer);
    assert_eq!(entries(&session), "a=1 b=2");
    assert_eq!(*f.found(&next).await, *session);
    // Whoever saw the session before is a stale writer of that key now.
    let late = f.set(&opened.session, "b", "late").await;
    assert_eq!(entries(&late), "a=1 b=2");
}

async fn the_secret_before_the_last_is_worthless(f: Fixture) {
    let opened = f.open().await;
    let (_, second) = renewed(f.renew(&opened.ticket, None).await);
    let (_, third) = renewed(f.renew(&second, None).await);
    assert_eq!(f.absence(&opened.ticket).await, Absence::WrongSecret);
    assert_eq!(successor(&f, &second).await.unwrap().expose(), third.expose());
    assert!(matches!(f.renew(&second, None).await.unwrap(), Renew::Superseded(_)));
}

async fn a_renewal_of_what_is_not_there_is_gone(f: Fixture) {
    assert!(matches!(f.renew(&Ticket::random().unwrap(), None).await.unwrap(), Renew::Gone));
    let opened = f.open().await;
    f.end(&opened.session).await.unwrap();
    assert!(matches!(f.renew(&opened.ticket, None).await.unwrap(), Renew::Gone));
    f.ending(&opened.ticket).await;
}

async fn a_renewal_that_was_given_up_leaves_no_old_copy(f: Fixture) {
    let planted = f.open().await;
    let gate = f.hold_after(Which::Update);
    {
        let renewing = f.renew(&planted.ticket, Some("ada"));
        tokio::select! {
            _ = renewing => panic!("the gate is closed"),
            () = gate.arrival() => {}
        }
    }
    // Storage has the login; the copy of before it must not be served to whoever planted the ticket.
    assert_eq!(f.absence(&planted.ticket).await, Absence::WrongSecret);
}

async fn a_refused_renewal_changes_nothing(f: Fixture) {
    let opened = f.open().await;
    f.faults.fail_once(Which::Update, Fault::Refuse);
    f.renew(&opened.ticket, None).await.unwrap_err();
    assert_eq!(*f.found(&opened.ticket).await, *opened.session);
    renewed(f.renew(&opened.ticket, None).await);
}

#[tokio::test]
async fn a_renewal_elsewhere_is_visible_here() {
    let f = Fixture::with(Engine::Tiered, |capabilities| capabilities.is_shared = true).await;
    let (planted, other) = (f.open().await, f.another_cache());
    let _house = f.keep_house(&f.cache).await;
    f.found(&planted.ticket).await;
    let ticket = &planted.ticket;
    let renewal = f.renewal(Some("ada"));
    let (_, next) = renewed(other.renew(&ticket.handle, &ticket.secret, &renewal, &f.application).await);
    eventually(async || matches!(f.find(ticket).await.unwrap(), Find::Absent(Absence::WrongSecret))).await;
    found(f.cache.find(&next, &f.application).await);
}
