//! A new secret for the same session.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use session::{Ticket, Why};
use storage::faulty::{Fault, Which};

use super::fixture::{
    IDLE, MILLISECOND, RENEW_INTERVAL, RENEW_WINDOW, TOUCH_INTERVAL, entries, eventually, found, renewed,
    setting,
};
use super::{Engine, Fixture, on_every_engine};
use crate::{Absence, Find, Purpose, Renew};

on_every_engine!(
    a_renewal_keeps_the_handle_and_changes_the_secret
    the_old_ticket_is_told_its_successor_for_however_long_that_was_not_used
    the_old_ticket_is_good_for_a_window_from_the_first_use_of_its_successor
    an_old_ticket_after_the_window_ends_the_session_as_stolen
    a_ticket_from_two_renewals_back_ends_the_session_too
    a_guess_ends_nothing
    an_old_ticket_that_nobody_presents_accuses_nobody
    a_lost_note_of_the_first_use_makes_the_alarm_later_and_not_false
    what_polls_is_no_first_use_and_is_accused_all_the_same
    a_ticket_is_not_renewed_while_the_one_before_is_good
    a_ticket_is_renewed_by_age_and_not_before
    of_many_who_find_it_due_one_renews_it_and_the_others_are_told
    a_renewal_costs_two_writes_and_spares_a_touch
    an_end_by_theft_that_storage_does_not_confirm_is_refused_meanwhile
    a_new_owner_makes_the_old_secret_worthless_at_once
    a_fill_under_way_does_not_save_a_planted_ticket
    a_login_of_the_same_person_drops_whoever_stole_the_ticket
    a_login_begins_the_lifetime_anew
    the_login_of_another_person_is_refused
    of_many_renewals_at_once_one_wins
    a_renewal_carries_a_patch
    a_renewal_of_what_is_not_there_is_gone
    a_renewal_that_was_given_up_leaves_no_old_copy
    a_refused_renewal_changes_nothing
);

impl Fixture {
    /// Somebody comes with this ticket, and that is written.
    async fn used(&self, ticket: &Ticket) {
        self.found(ticket).await;
        self.cache.confirm_noted_tickets().await;
    }

    /// What a visitor with this ticket is told where tickets are renewed by age.
    async fn by_age(&self, ticket: &Ticket) -> Option<Ticket> {
        self.cache.renew_by_age(ticket, &self.application).await.unwrap()
    }
}

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

async fn the_old_ticket_is_told_its_successor_for_however_long_that_was_not_used(mut f: Fixture) {
    let opened = f.open().await;
    let (_, ticket) = renewed(f.renew(&opened.ticket, None).await);
    // The answer was lost, and the tab sleeps until just before the session would be idle.
    for _ in 0..3 {
        f.advance(IDLE - MILLISECOND);
        let told = successor(&f, &opened.ticket).await.unwrap();
        assert_eq!(told.expose(), ticket.expose());
        f.quiet().await;
        f.crash();
    }
    f.found(&ticket).await;
}

async fn the_old_ticket_is_good_for_a_window_from_the_first_use_of_its_successor(mut f: Fixture) {
    let opened = f.open().await;
    let (_, ticket) = renewed(f.renew(&opened.ticket, None).await);
    f.advance(RENEW_WINDOW * 3);
    f.used(&ticket).await;
    f.advance(RENEW_WINDOW - MILLISECOND);
    for _ in 0..2 {
        let told = successor(&f, &opened.ticket).await.unwrap();
        assert_eq!(told.expose(), ticket.expose());
        f.crash();
    }
}

async fn an_old_ticket_after_the_window_ends_the_session_as_stolen(mut f: Fixture) {
    let opened = f.open_for("ada").await;
    let (_, ticket) = renewed(f.renew(&opened.ticket, None).await);
    f.used(&ticket).await;
    f.advance(RENEW_WINDOW);
    assert_eq!(f.ending(&opened.ticket).await.why, Why::Theft);
    // For both: nobody knows which of them is the visitor.
    for _ in 0..2 {
        for ticket in [&opened.ticket, &ticket] {
            assert_eq!(f.ending(ticket).await.why, Why::Theft);
        }
        f.crash();
    }
}

async fn a_ticket_from_two_renewals_back_ends_the_session_too(mut f: Fixture) {
    let opened = f.open().await;
    let mut tickets = vec![opened.ticket];
    for _ in 0..3 {
        let (_, next) = renewed(f.renew(tickets.last().unwrap(), None).await);
        f.used(&next).await;
        f.advance(RENEW_WINDOW * 2);
        tickets.push(next);
    }
    f.crash();
    assert_eq!(f.ending(&tickets[0]).await.why, Why::Theft);
    assert_eq!(f.ending(&tickets[3]).await.why, Why::Theft);
}

async fn a_guess_ends_nothing(f: Fixture) {
    let opened = f.open().await;
    let (_, ticket) = renewed(f.renew(&opened.ticket, None).await);
    f.used(&ticket).await;
    f.advance(RENEW_WINDOW);
    for _ in 0..3 {
        let guess = Ticket { handle: ticket.handle, secret: session::Secret::random().unwrap() };
        assert_eq!(f.absence(&guess).await, Absence::WrongSecret);
    }
    f.found(&ticket).await;
}

async fn an_old_ticket_that_nobody_presents_accuses_nobody(f: Fixture) {
    let opened = f.open().await;
    let (_, ticket) = renewed(f.renew(&opened.ticket, None).await);
    // To look whether a ticket may be handed out is no use of it either.
    f.cache.find_for(Purpose::LOOK, &ticket, &f.application).await.unwrap();
    f.cache.confirm_noted_tickets().await;
    f.advance(RENEW_WINDOW);
    successor(&f, &opened.ticket).await.unwrap();
    f.used(&ticket).await;
    f.advance(RENEW_WINDOW);
    for purpose in [Purpose::LOOK, Purpose::USE.beside_another()] {
        let find = f.cache.find_for(purpose, &opened.ticket, &f.application).await.unwrap();
        assert!(matches!(find, Find::Absent(Absence::WrongSecret)), "{find:?}");
    }
    f.found(&ticket).await;
}

async fn a_lost_note_of_the_first_use_makes_the_alarm_later_and_not_false(mut f: Fixture) {
    let opened = f.open().await;
    let (_, ticket) = renewed(f.renew(&opened.ticket, None).await);
    f.faults.fail_once(Which::Update, Fault::Refuse);
    f.used(&ticket).await;
    f.found(&ticket).await;
    // This process dies before it writes the second note.
    f.crash();
    f.advance(RENEW_WINDOW * 2);
    successor(&f, &opened.ticket).await.unwrap();
    f.used(&ticket).await;
    f.advance(RENEW_WINDOW);
    assert_eq!(f.ending(&opened.ticket).await.why, Why::Theft);
}

async fn what_polls_is_no_first_use_and_is_accused_all_the_same(f: Fixture) {
    let opened = f.open().await;
    let (_, ticket) = renewed(f.renew(&opened.ticket, None).await);
    f.cache.find_for(Purpose::POLL, &ticket, &f.application).await.unwrap();
    f.cache.confirm_noted_tickets().await;
    f.advance(RENEW_WINDOW);
    successor(&f, &opened.ticket).await.unwrap();
    f.used(&ticket).await;
    f.advance(RENEW_WINDOW);
    let find = f.cache.find_for(Purpose::POLL, &opened.ticket, &f.application).await.unwrap();
    assert!(matches!(&find, Find::Ended(ending) if ending.why == Why::Theft), "{find:?}");
}

async fn a_ticket_is_not_renewed_while_the_one_before_is_good(f: Fixture) {
    let opened = f.open().await;
    let (_, second) = renewed(f.renew(&opened.ticket, None).await);
    assert!(matches!(f.renew(&opened.ticket, None).await.unwrap(), Renew::Superseded(_)));
    assert!(matches!(f.renew(&second, None).await.unwrap(), Renew::Superseded(_)));
    f.used(&second).await;
    f.advance(RENEW_WINDOW * 2 - MILLISECOND);
    assert!(matches!(f.renew(&second, None).await.unwrap(), Renew::Superseded(_)));
    f.advance(MILLISECOND);
    renewed(f.renew(&second, None).await);
}

async fn a_ticket_is_renewed_by_age_and_not_before(mut f: Fixture) {
    let opened = f.open().await;
    f.advance(RENEW_INTERVAL - MILLISECOND);
    assert!(f.by_age(&opened.ticket).await.is_none());
    f.advance(MILLISECOND);
    let session = f.found(&opened.ticket).await;
    assert!(f.cache.is_renewal_due(&session, &f.application));
    let second = f.by_age(&opened.ticket).await.unwrap();
    // Who comes late with the old one is told the same.
    assert_eq!(f.by_age(&opened.ticket).await.unwrap().expose(), second.expose());
    assert!(f.by_age(&second).await.is_none());
    f.used(&second).await;
    f.advance(RENEW_INTERVAL);
    f.crash();
    assert!(f.by_age(&second).await.is_some());
    f.application.renew_interval = Duration::ZERO;
    assert!(!f.cache.is_renewal_due(&opened.session, &f.application), "zero is never");
}

async fn of_many_who_find_it_due_one_renews_it_and_the_others_are_told(f: Fixture) {
    let opened = f.open().await;
    f.advance(RENEW_INTERVAL);
    let other = f.another_cache();
    let tasks: Vec<_> = (0..32)
        .map(|number| {
            let cache = Arc::clone(if number % 2 == 0 { &f.cache } else { &other });
            let (application, ticket) = (f.application.clone(), opened.ticket.clone());
            tokio::spawn(async move { cache.renew_by_age(&ticket, &application).await.unwrap() })
        })
        .collect();
    let mut told = Vec::new();
    for task in tasks {
        told.extend(task.await.unwrap().map(|ticket| ticket.expose()));
    }
    let next = successor(&f, &opened.ticket).await.unwrap().expose();
    assert!(!told.is_empty() && told.iter().all(|ticket| *ticket == next));
    assert_eq!(f.cache.counters.renewed.get() + other.counters.renewed.get(), 1);
}

async fn a_renewal_costs_two_writes_and_spares_a_touch(f: Fixture) {
    let opened = f.open().await;
    f.advance(RENEW_INTERVAL);
    f.found(&opened.ticket).await;
    f.quiet().await;
    let count = || f.probe.updates.load(Ordering::SeqCst) + f.probe.touches.load(Ordering::SeqCst);
    let before = count();
    let next = f.by_age(&opened.ticket).await.unwrap();
    for _ in 0..100 {
        f.used(&next).await;
    }
    f.advance(TOUCH_INTERVAL - MILLISECOND);
    f.used(&next).await;
    f.quiet().await;
    assert_eq!(count() - before, 2);
}

async fn an_end_by_theft_that_storage_does_not_confirm_is_refused_meanwhile(f: Fixture) {
    let opened = f.open().await;
    let (_, ticket) = renewed(f.renew(&opened.ticket, None).await);
    f.used(&ticket).await;
    f.advance(RENEW_WINDOW);
    f.faults.fail(Which::Bury, Fault::Refuse);
    f.find(&opened.ticket).await.unwrap_err();
    f.find(&ticket).await.unwrap_err();
    f.faults.heal();
    let _house = f.keep_house(&f.cache).await;
    eventually(async || f.cache.outbox.all().is_empty()).await;
    assert_eq!(f.ending(&ticket).await.why, Why::Theft);
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
