//! Sessions that are tied to the addresses that they are used from.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use session::{AddressRule, Addresses, Carried, Origin, Session, Ticket};
use storage::faulty::Which;

use super::carrying::{opens, roomy, text};
use super::fixture::{found, merged, opened, setting};
use super::{Fixture, on_every_engine};
use crate::{Cache, Credential, Find, Found, Opening, Tie};

on_every_engine!(
    a_session_is_tied_by_one_write_and_stays_so
    each_family_is_tied_and_nothing_else_is_lost
    of_many_first_uses_at_once_one_address_is_kept
    a_node_with_an_old_copy_ties_nothing_anew
    an_end_beats_a_first_use_under_way
    what_a_visitor_carries_is_carried_anew_once_it_is_tied
    a_session_that_is_awaited_is_used_by_nobody_else_first
);

fn at(address: &str) -> IpAddr {
    address.parse().unwrap()
}

fn rule() -> AddressRule {
    AddressRule::new(true, true, [])
}

impl Fixture {
    async fn use_from(&self, cache: &Cache, ticket: &Ticket, address: &str) -> Tie {
        let found = Found {
            session: found(cache.find(ticket, &self.application).await),
            successor: None,
            refreshed: None,
        };
        let credential = Credential::Ticket(ticket.clone());
        cache.tie(&credential, found, at(address), &rule(), &self.application, roomy).await.unwrap()
    }

    async fn bring_from(&self, carried: &Arc<Carried>, address: &str) -> Tie {
        let found = self.opens(carried).await;
        let credential = Credential::Carried(Arc::clone(carried));
        self.cache.tie(&credential, found, at(address), &rule(), &self.application, roomy).await.unwrap()
    }
}

fn tied(tie: Tie) -> Found {
    match tie {
        Tie::Tied(found) => found,
        other => panic!("a session was not tied: {other:?}"),
    }
}

fn origin(session: &Session, address: &str) -> Origin {
    rule().judge(&session.addresses, at(address))
}

async fn a_session_is_tied_by_one_write_and_stays_so(mut f: Fixture) {
    let opened = f.open().await;
    let before = f.probe.updates.load(Ordering::SeqCst);
    for _ in 0..3 {
        tied(f.use_from(&f.cache, &opened.ticket, "192.0.2.1").await);
    }
    assert_eq!(f.probe.updates.load(Ordering::SeqCst) - before, 1);
    f.crash();
    let session = f.found(&opened.ticket).await;
    assert_eq!(origin(&session, "192.0.2.1"), Origin::Known);
    assert_eq!(origin(&session, "192.0.2.2"), Origin::Other);
    assert!(matches!(f.use_from(&f.cache, &opened.ticket, "192.0.2.2").await, Tie::Elsewhere));
    f.found(&opened.ticket).await;
}

async fn each_family_is_tied_and_nothing_else_is_lost(f: Fixture) {
    let opened = f.open().await;
    let seen = f.found(&opened.ticket).await;
    tied(f.use_from(&f.cache, &opened.ticket, "192.0.2.1").await);
    // By somebody who has seen the session before it was tied.
    merged(f.patch(&seen.handle, &setting(&seen, "b", "2")).await);
    let session = tied(f.use_from(&f.cache, &opened.ticket, "2001:db8::1").await).session;
    assert_eq!(super::fixture::entries(&session), "a=1 b=2");
    for address in ["192.0.2.1", "2001:db8::1"] {
        assert_eq!(origin(&session, address), Origin::Known);
    }
}

async fn of_many_first_uses_at_once_one_address_is_kept(f: Fixture) {
    let opened = f.open().await;
    let f = Arc::new(f);
    let uses: Vec<_> = (0..16)
        .map(|last| {
            let (f, ticket) = (Arc::clone(&f), opened.ticket.clone());
            tokio::spawn(async move {
                let tie = f.use_from(&f.cache, &ticket, &format!("192.0.2.{last}")).await;
                matches!(tie, Tie::Tied(_)).then_some(last)
            })
        })
        .collect();
    let mut kept = Vec::new();
    for one in uses {
        kept.extend(one.await.unwrap());
    }
    assert_eq!(kept.len(), 1);
    let session = f.found(&opened.ticket).await;
    assert_eq!(origin(&session, &format!("192.0.2.{}", kept[0])), Origin::Known);
}

async fn a_node_with_an_old_copy_ties_nothing_anew(f: Fixture) {
    if !f.has_first_tier() {
        return;
    }
    let other = f.another_cache();
    let opened = f.open().await;
    found(other.find(&opened.ticket, &f.application).await);
    tied(f.use_from(&f.cache, &opened.ticket, "192.0.2.1").await);
    // It has not heard of that.
    assert!(matches!(f.use_from(&other, &opened.ticket, "192.0.2.2").await, Tie::Elsewhere));
}

async fn an_end_beats_a_first_use_under_way(f: Fixture) {
    let opened = f.open().await;
    let gate = f.hold_before(Which::Update);
    let f = Arc::new(f);
    let tying = {
        let (f, ticket) = (Arc::clone(&f), opened.ticket.clone());
        tokio::spawn(async move { f.use_from(&f.cache, &ticket, "192.0.2.1").await })
    };
    gate.arrival().await;
    f.end(&opened.session).await.unwrap();
    gate.open();
    assert!(matches!(tying.await.unwrap(), Tie::Gone(Find::Ended(_))));
    assert!(!f.is_found(&opened.ticket).await);
}

async fn what_a_visitor_carries_is_carried_anew_once_it_is_tied(f: Fixture) {
    let carried = f.open_carried(None).await;
    let first = tied(f.bring_from(&carried, "192.0.2.1").await).refreshed.unwrap();
    // The old cookie, at the same moment, from another place.
    assert!(matches!(f.bring_from(&carried, "192.0.2.2").await, Tie::Elsewhere));
    // From the same place it is carried anew as well.
    assert!(tied(f.bring_from(&carried, "192.0.2.1").await).refreshed.is_some());
    let second = tied(f.bring_from(&first, "2001:db8::1").await).refreshed.unwrap();
    let session = opens(f.bring(&second).await);
    assert_eq!(text(&session), "a=1");
    for address in ["192.0.2.1", "2001:db8::1"] {
        assert_eq!(origin(&session.session, address), Origin::Known);
    }
    assert!(tied(f.bring_from(&second, "192.0.2.1").await).refreshed.is_none(), "nothing is new");
}

async fn a_session_that_is_awaited_is_used_by_nobody_else_first(f: Fixture) {
    let opening = Opening { addresses: Addresses::awaiting(at("192.0.2.1")), ..Opening::default() };
    let opened = opened(f.cache.open(opening, &f.application).await);
    assert!(matches!(f.use_from(&f.cache, &opened.ticket, "192.0.2.2").await, Tie::Elsewhere));
    assert!(matches!(f.use_from(&f.cache, &opened.ticket, "2001:db8::1").await, Tie::Elsewhere));
    tied(f.use_from(&f.cache, &opened.ticket, "192.0.2.1").await);
    tied(f.use_from(&f.cache, &opened.ticket, "2001:db8::1").await);
}
