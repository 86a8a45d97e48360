//! Logout by name: all sessions of somebody, or those of some session indexes.

mod late;
mod nodes;
mod wide;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use session::{Authentication, Carried, Late, Millis, Patch, Principal, Revision, Selector, Ticket, Whose};
use storage::faulty::{Fault, Which};
use storage::{Applied, Unavailable};

use super::carrying::carried;
use super::fixture::{LIFETIME, SETTINGS, START, eventually, opened};
use super::{Fixture, on_every_engine};
use crate::scope::Scope;
use crate::{
    Application, Cache, Count, EndedWhere, Find, LoggedOut, MAX_LISTED, Open, OpenCarried, Opening, Settings,
    Tally,
};

on_every_engine!(
    a_logout_for_an_index_ends_those_of_the_index_and_nobody_elses
    any_text_is_an_index
    an_issuer_that_gives_each_index_once_needs_no_name
    what_saml_leaves_out_is_what_it_spells_out
    unknown_and_repeated_logouts_succeed
    it_is_told_how_many_were_ended_and_which
    who_comes_back_at_once_is_not_counted
    a_logout_ends_a_session_that_is_being_opened
    an_end_that_fails_says_whether_it_may_hold
    it_costs_the_same_for_many_as_for_few
);

fn person(index: Option<&str>) -> Principal {
    Principal { session_index: index.map(Into::into), ..Principal::named("idp", "ada") }
}

fn of_indexes(indexes: &[&str]) -> Selector {
    let indexes = indexes.iter().map(|index| (*index).into()).collect();
    Selector::all(Whose::Person { principal: person(None), indexes })
}

fn all() -> Selector {
    Selector::person(person(None))
}

/// By session indexes alone, whoever they are of.
fn issued(indexes: &[&str]) -> Selector {
    let indexes = indexes.iter().map(|index| (*index).into()).collect();
    Selector::all(Whose::Issued { issuer: "idp".into(), indexes })
}

fn opening(principal: Option<Principal>, proved: Option<Millis>) -> Opening {
    let mut entries = Patch::new(Revision(0));
    entries.set("a", "1".into());
    let authentication = proved.map(|at| Authentication { at, level: "".into() });
    Opening { principal, authentication, entries, ..Opening::default() }
}

/// A session on the server and one that its visitor carries.
struct Both {
    ticket: Ticket,
    carried: Arc<Carried>,
}

impl Fixture {
    async fn both(&self, principal: Option<Principal>) -> Both {
        self.both_for(principal, &self.application).await
    }

    async fn both_for(&self, principal: Option<Principal>, application: &Application) -> Both {
        let opening = opening(principal, None);
        let carried = carried(self.cache.open_carried(&opening, application).await);
        let opened = opened(self.cache.open(opening, application).await);
        Both { ticket: opened.ticket, carried }
    }

    async fn lives(&self, both: &Both, application: &Application) -> bool {
        let on_server = self.cache.find(&both.ticket, application).await.unwrap();
        let carried = self.cache.find_carried(&both.carried, application).await.unwrap();
        match (on_server, carried) {
            (Find::Found(_), Find::Found(_)) => true,
            (Find::Ended(_), Find::Ended(_)) => false,
            other => panic!("one is over and the other is not: {other:?}"),
        }
    }

    async fn live(&self, both: &Both) -> bool {
        self.lives(both, &self.application).await
    }

    async fn log_out(&self, selector: Selector) -> EndedWhere {
        self.try_to_log_out(selector).await.unwrap()
    }

    async fn try_to_log_out(&self, selector: Selector) -> Result<EndedWhere, Unavailable> {
        self.cache.end_where(selector, self.logout()).await
    }

    /// What a login gets that was proved then.
    async fn late(&self, index: Option<&str>, proved: Option<Millis>) -> Option<LoggedOut> {
        let opening = opening(Some(person(index)), proved);
        let carried = self.cache.open_carried(&opening, &self.application).await.unwrap();
        let opened = self.cache.open(opening, &self.application).await.unwrap();
        match (opened, carried) {
            (Open::Opened(_), OpenCarried::Opened(_)) => None,
            (Open::LoggedOut(one), OpenCarried::LoggedOut(other)) => {
                assert_eq!(one, other);
                Some(one)
            }
            other => panic!("one is let in and the other is not: {other:?}"),
        }
    }
}

/// Waits for late logins that were proved until now, for so long.
fn waiting(selector: Selector, f: &Fixture, wait: Duration) -> Selector {
    let issued = f.clock_now();
    Selector { late: Some(Late { issued, until: issued.plus(wait) }), ..selector }
}

const MINUTE: Duration = Duration::from_mins(1);

fn realm(realm: &str) -> Selector {
    Selector::all(Whose::Realm(realm.into()))
}

async fn a_logout_for_an_index_ends_those_of_the_index_and_nobody_elses(f: Fixture) {
    let (one, other) = (f.both(Some(person(Some("1")))).await, f.both(Some(person(Some("2")))).await);
    let without = f.both(Some(person(None))).await;
    let elses = Principal { session_index: Some("1".into()), ..Principal::named("idp", "bob") };
    let elses = f.both(Some(elses)).await;
    f.log_out(of_indexes(&["1", "3"])).await;
    assert!(!f.live(&one).await);
    assert!(f.live(&other).await && f.live(&without).await && f.live(&elses).await);
    // The next with this index is another session.
    let next = f.both(Some(person(Some("1")))).await;
    assert!(f.live(&next).await && !f.live(&one).await);
    // Without an index it is for all of them.
    f.log_out(all()).await;
    for both in [&one, &other, &without, &next] {
        assert!(!f.live(both).await);
    }
    assert!(f.live(&elses).await);
}

async fn any_text_is_an_index(f: Fixture) {
    let long = "x".repeat(10_000);
    for index in ["id123.456", "id123", "", ".", "a/b\\c \n\u{0}ä", &long] {
        let (one, other) = (f.both(Some(person(Some(index)))).await, f.both(Some(person(Some("456")))).await);
        let ended = f.log_out(of_indexes(&[index])).await;
        assert_eq!(ended.handles, [one.ticket.handle], "{index:?}");
        assert!(!f.live(&one).await && f.live(&other).await, "{index:?}");
        f.log_out(all()).await;
    }
}

async fn an_issuer_that_gives_each_index_once_needs_no_name(f: Fixture) {
    let one = f.both(Some(person(Some("a.1")))).await;
    let other = f.both(Some(person(Some("a.2")))).await;
    let elsewhere = Principal { issuer: "another".into(), ..person(Some("a.1")) };
    let elsewhere = f.both(Some(elsewhere)).await;
    let ended = f.log_out(issued(&["a.1", "a.1", "a.3"])).await;
    assert_eq!(ended.end.sessions, Tally::Unknown);
    assert!(!f.live(&one).await);
    assert!(f.live(&other).await && f.live(&elsewhere).await);
    // It waits for those that come late as well.
    f.log_out(waiting(issued(&["a.9"]), &f, MINUTE)).await;
    assert!(f.late(Some("a.9"), None).await.is_some());
    assert!(f.late(Some("a.1"), None).await.is_none() && f.late(None, None).await.is_none());
    // None is nobody.
    f.log_out(issued(&[])).await;
    assert!(f.live(&other).await);
}

async fn what_saml_leaves_out_is_what_it_spells_out(mut f: Fixture) {
    f.cache = Arc::new(
        Cache::new(
            Arc::clone(&f.probe) as _,
            Arc::clone(&f.clock) as _,
            SETTINGS,
            &mut prometheus_client::registry::Registry::default(),
        )
        .known_as("https://sp.example"),
    );
    f.cache.reckon_with(&f.application.realm);
    let spelt_out = Principal {
        format: "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified".into(),
        name_qualifier: "idp".into(),
        sp_name_qualifier: "https://sp.example".into(),
        ..person(None)
    };
    for (comes, leaves) in [(person(None), spelt_out.clone()), (spelt_out.clone(), person(None))] {
        let both = f.both(Some(comes.clone())).await;
        assert_eq!(f.cache.count(&leaves, 9).await.unwrap(), Count { sessions: 1, or_more: false });
        let ended = f.log_out(Selector::person(leaves)).await;
        assert_eq!(ended.handles, [both.ticket.handle]);
        assert!(!f.live(&both).await);
    }
    // Another's name for somebody is nobody of ours.
    let both = f.both(Some(person(None))).await;
    let elsewhere = Principal { sp_name_qualifier: "https://another.example".into(), ..spelt_out };
    f.log_out(Selector::person(elsewhere)).await;
    assert!(f.live(&both).await);
}

async fn unknown_and_repeated_logouts_succeed(f: Fixture) {
    let handle = session::Handle::random().unwrap();
    for _ in 0..2 {
        for selector in [all(), of_indexes(&["1"]), Selector::all(Whose::Handles(vec![handle]))] {
            let ended = f.log_out(selector).await;
            assert!(ended.handles.is_empty());
            assert!(matches!(
                ended.end.sessions,
                Tally::Exactly(0) | Tally::OnServer(Count { sessions: 0, or_more: false })
            ));
        }
    }
    let both = f.both(Some(person(Some("1")))).await;
    assert!(f.live(&both).await, "nobody is logged out who comes afterwards");
    f.log_out(of_indexes(&["1"])).await;
    assert!(f.log_out(of_indexes(&["1", "1"])).await.handles.is_empty());
    assert!(!f.live(&both).await);
}

async fn it_is_told_how_many_were_ended_and_which(f: Fixture) {
    let mut sessions = Vec::new();
    for index in ["1", "1", "2", "3"] {
        sessions.push(opened(f.cache.open(opening(Some(person(Some(index))), None), &f.application).await));
    }
    let handles = |of: &[usize]| {
        let mut handles: Vec<_> = of.iter().map(|at| sessions[*at].ticket.handle).collect();
        handles.sort();
        handles
    };
    let exactly = |sessions| Tally::OnServer(Count { sessions, or_more: false });
    f.end(&sessions[3].session).await.unwrap();
    let ended = f.log_out(of_indexes(&["1"])).await;
    assert_eq!((ended.handles, ended.end.sessions), (handles(&[0, 1]), exactly(2)));
    let ended = f.log_out(all()).await;
    assert_eq!((ended.handles, ended.end.sessions), (handles(&[2]), exactly(1)), "the others were over");
    // Whether it can be told or not, it holds.
    let opened = opened(f.cache.open(opening(Some(person(None)), None), &f.application).await);
    f.faults.fail(Which::Other, Fault::Refuse);
    let ended = f.log_out(all()).await;
    f.faults.heal();
    assert_eq!((ended.handles.len(), ended.end.sessions), (0, Tally::Unknown));
    f.ending(&opened.ticket).await;
}

async fn who_comes_back_at_once_is_not_counted(f: Fixture) {
    let index = Scope::index_of(&person(Some("1"))).unwrap();
    for (selector, scope) in [(all(), Scope::person(&person(None))), (of_indexes(&["1"]), index)] {
        let before = f.both(Some(person(Some("1")))).await;
        // Given an end that holds, while the list of what it is for is still under way,
        let (gate, epoch) = (f.hold_before(Which::Other), f.cache.revocations.epoch(&scope));
        let (cache, ending) = (Arc::clone(&f.cache), f.logout());
        let end = tokio::spawn(async move { cache.end_where(selector, ending).await.unwrap() });
        gate.arrival().await;
        eventually(async || f.cache.revocations.epoch(&scope) > epoch).await;
        // when the person logs in again,
        let after = f.both(Some(person(Some("1")))).await;
        gate.open();
        // then that is another session.
        assert!(!end.await.unwrap().handles.contains(&after.ticket.handle));
        assert!(f.live(&after).await && !f.live(&before).await);
        f.log_out(all()).await;
    }
}

async fn a_logout_ends_a_session_that_is_being_opened(mut f: Fixture) {
    // Without an entry the session is the first that a login writes.
    f.cache = f.cache_with(Settings { maintain_index: false, ..SETTINGS });
    for selector in [all(), of_indexes(&["1"]), Selector::all(Whose::Everybody), realm("shop")] {
        // Given a login that knows its counters, and has not written its session yet,
        let gate = f.hold_before(Which::Create);
        let login = tokio::spawn({
            let (cache, application) = (Arc::clone(&f.cache), f.application.clone());
            async move { cache.open(opening(Some(person(Some("1"))), None), &application).await }
        });
        gate.arrival().await;
        // when all of them end,
        f.log_out(selector.clone()).await;
        gate.open();
        // then it is over as soon as it is there.
        let opened = opened(login.await.unwrap());
        assert!(!f.is_found(&opened.ticket).await, "{selector:?}");
    }
}

async fn an_end_that_fails_says_whether_it_may_hold(f: Fixture) {
    let both = f.both(Some(person(Some("1")))).await;
    assert!(f.live(&both).await);
    f.faults.fail(Which::Any, Fault::Refuse);
    let failed = f.try_to_log_out(all()).await.unwrap_err();
    assert_eq!(failed.applied, Applied::No);
    f.faults.heal();
    assert_eq!(f.cache.ends_waiting(), 1, "nothing is claimed, and it is not forgotten");
    f.log_out(all()).await;
    assert_eq!(f.cache.ends_waiting(), 0);
    assert!(!f.live(&both).await);
    let both = f.both(Some(person(Some("1")))).await;
    // Of two one is written, and the other is not.
    f.faults.fail_once(Which::Create, Fault::Refuse);
    let failed = f.try_to_log_out(of_indexes(&["1", "2"])).await.unwrap_err();
    assert_eq!(failed.applied, Applied::Unknown);
    f.log_out(of_indexes(&["1", "2"])).await;
    assert!(!f.live(&both).await);
    f.faults.fail_once(Which::Update, Fault::LoseAnswer);
    assert_eq!(f.try_to_log_out(of_indexes(&["1"])).await.unwrap_err().applied, Applied::Unknown);
}

async fn it_costs_the_same_for_many_as_for_few(f: Fixture) {
    let asked = || f.probe.asked.load(Ordering::SeqCst);
    let open = async || {
        let before = asked();
        let opening = opening(Some(person(Some("1"))), None);
        let opened = opened(f.cache.open(opening, &f.application).await);
        f.quiet().await;
        (opened, asked() - before)
    };
    let (first, _) = open().await;
    f.found(&first.ticket).await;
    let (_, cost_of_second) = open().await;
    // Entries are what grows with the sessions of somebody; more of them than one answer names.
    for _ in 0..1_500 {
        let handle = session::Handle::random().unwrap();
        f.cache.enter(&person(None), &handle, &f.application.realm, START.plus(LIFETIME)).await.unwrap();
    }
    let (last, cost_of_last) = open().await;
    assert_eq!(cost_of_last, cost_of_second);
    // Three counters, for there is an index, the entry and the session.
    assert_eq!(cost_of_last, 5);
    let writes = f.probe.updates.load(Ordering::SeqCst);
    let before = asked();
    let ended = f.log_out(all()).await;
    assert!(matches!(ended.end.sessions, Tally::OnServer(Count { or_more: true, .. })));
    // One list, one read and one write; and what is named is looked at.
    assert!(asked() - before <= 3 + MAX_LISTED, "{}", asked() - before);
    assert_eq!(f.probe.updates.load(Ordering::SeqCst), writes);
    f.ending(&first.ticket).await;
    f.ending(&last.ticket).await;
}
