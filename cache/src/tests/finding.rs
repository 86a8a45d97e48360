//! Opening and finding: what a ticket is worth.

use std::sync::Arc;

use session::{Handle, Millis, Principal, Secret, Session, Ticket, Timeouts};
use storage::faulty::Which;
use storage::{NewRecord, Times, WriteId};

use super::fixture::{IDLE, LIFETIME, absent, application, entries, found};
use super::{Fixture, on_every_engine};
use crate::Absence;

on_every_engine!(
    a_ticket_opens_its_session_with_all_that_it_began_with
    a_session_is_there_for_another_cache_over_the_same_storage
    a_wrong_secret_opens_nothing_and_harms_nothing
    a_session_of_another_realm_is_absent
    a_handle_that_nobody_knows_is_absent
    a_flood_of_bad_tickets_leaves_no_memory
    a_late_create_does_not_bring_an_ended_handle_back
    many_cold_finds_at_once_all_find_it
);

async fn a_ticket_opens_its_session_with_all_that_it_began_with(f: Fixture) {
    let person = Principal::named("test", "ada");
    let opened = f.open_with(&[("b", "2"), ("a", "1")], Some(person.clone())).await;
    let session = f.found(&opened.ticket).await;
    assert_eq!(entries(&session), "b=2 a=1");
    assert_eq!(session.principal, Some(person));
    assert_eq!(*session, *opened.session);
    // The cookie holds the text of it.
    let read: Ticket = opened.ticket.expose().parse().unwrap();
    assert_eq!(*f.found(&read).await, *opened.session);
}

async fn a_session_is_there_for_another_cache_over_the_same_storage(mut f: Fixture) {
    let opened = f.open().await;
    f.crash();
    assert_eq!(*f.found(&opened.ticket).await, *opened.session);
}

async fn a_wrong_secret_opens_nothing_and_harms_nothing(mut f: Fixture) {
    let opened = f.open().await;
    let forged = Ticket { handle: opened.ticket.handle, secret: Secret::random().unwrap() };
    assert_eq!(f.absence(&forged).await, Absence::WrongSecret);
    f.found(&opened.ticket).await;
    f.crash();
    assert_eq!(f.absence(&forged).await, Absence::WrongSecret);
    f.found(&opened.ticket).await;
}

async fn a_session_of_another_realm_is_absent(mut f: Fixture) {
    let opened = f.open().await;
    let elsewhere = application("bank", Timeouts { idle: IDLE, lifetime: LIFETIME });
    for _ in 0..2 {
        assert_eq!(absent(f.cache.find(&opened.ticket, &elsewhere).await), Absence::OtherRealm);
        f.found(&opened.ticket).await;
        f.crash();
    }
}

async fn a_handle_that_nobody_knows_is_absent(f: Fixture) {
    assert_eq!(f.absence(&Ticket::random().unwrap()).await, Absence::Unknown);
}

async fn a_flood_of_bad_tickets_leaves_no_memory(mut f: Fixture) {
    let opened = f.open().await;
    f.crash();
    for _ in 0..2_500 {
        f.absence(&Ticket::random().unwrap()).await;
        let forged = Ticket { handle: opened.ticket.handle, secret: Secret::random().unwrap() };
        f.absence(&forged).await;
    }
    assert_eq!(f.cache.first_tier_size(), (0, 0));
    assert_eq!(f.cache.tier.registrations(), 0);
    assert!(f.cache.outbox.all().is_empty());
    f.found(&opened.ticket).await;
}

async fn a_late_create_does_not_bring_an_ended_handle_back(f: Fixture) {
    // Given a create that is still on its way when its session is ended by its handle.
    let ticket = Ticket::random().unwrap();
    let session = Session::new(ticket.handle, ticket.secret.hash(), "shop", f.clock_now());
    let gate = f.hold_before(Which::Create);
    let create = tokio::spawn({
        let (probe, key) = (Arc::clone(f.cache.storage()), f.key(&ticket.handle));
        let value = session::record::encode(&session).into();
        let times = Times { touched: f.clock_now(), expires: Millis::NEVER };
        let new = NewRecord::new(value, times, WriteId::random().unwrap());
        async move { probe.create(&key, new).await }
    });
    gate.arrival().await;
    f.end(&session).await.unwrap();
    gate.open();
    assert!(matches!(create.await.unwrap().unwrap(), storage::Create::Buried(_)));
    f.ending(&ticket).await;
}

async fn many_cold_finds_at_once_all_find_it(mut f: Fixture) {
    let opened = f.open().await;
    f.crash();
    let tasks: Vec<_> = (0..64)
        .map(|_| {
            let (cache, application, ticket) =
                (Arc::clone(&f.cache), f.application.clone(), opened.ticket.clone());
            tokio::spawn(async move { found(cache.find(&ticket, &application).await).revision })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), opened.session.revision);
    }
    assert_eq!(f.cache.tier.registrations(), 0);
    let (_, copies) = f.cache.first_tier_size();
    assert_eq!(copies, usize::from(f.has_first_tier()));
}

#[test]
fn the_contexts_of_sessions_are_256() {
    // A handle is found under its first byte, and read back from its key.
    let clock = Arc::new(session::ManualClock::at(Millis(0)));
    let storage = Arc::new(storage::Memory::new("m", Arc::clone(&clock) as _, 1 << 20));
    let registry = &mut prometheus_client::registry::Registry::default();
    let cache = crate::Cache::new(storage, clock, super::fixture::SETTINGS, registry);
    let contexts: std::collections::HashSet<String> = (0..=255)
        .map(|first| {
            let mut bytes = [7; 16];
            bytes[0] = first;
            let handle = Handle::from_bytes(bytes);
            let key = cache.key(&handle).unwrap();
            assert_eq!(crate::cache::handle_of(&key), Some(handle));
            key.context().to_owned()
        })
        .collect();
    assert_eq!(contexts.len(), 256);
}
