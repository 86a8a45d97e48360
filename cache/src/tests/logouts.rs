//! Logout by name: all sessions of somebody, those of some session indexes, of a realm, of everybody, and those that come late.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use session::{
    Authentication, Carried, Ending, Late, Millis, Patch, Principal, Revision, Selector, Ticket, Timeouts,
    Whose, Why,
};
use storage::faulty::{Fault, Which};
use storage::{Applied, Unavailable};

use super::carrying::{carried, is_over, logged_in, roomy};
use super::fixture::{
    IDLE, LIFETIME, MILLISECOND, SETTINGS, START, application, ended, eventually, found, opened,
};
use super::{Engine, Fixture, on_every_engine};
use crate::{
    Application, Cache, Count, EndedWhere, Find, LoggedOut, Open, OpenCarried, Opened, Opening, Patched,
    Renew, RenewCarried, Tally,
};

on_every_engine!(
    a_logout_for_an_index_ends_those_of_the_index_and_nobody_elses
    any_text_is_an_index
    what_saml_leaves_out_is_what_it_spells_out
    unknown_and_repeated_logouts_succeed
    it_is_told_how_many_were_ended_and_which
    a_logout_ends_a_session_that_is_being_opened
    a_late_session_is_refused_until_its_time
    a_late_session_of_an_index_is_refused_and_others_are_not
    who_proves_it_after_the_logout_is_let_in
    a_late_login_changes_nothing_of_a_session
    logouts_that_wait_do_not_forget_each_other
    a_realm_ends_without_the_others
    everybody_is_over_and_comes_back
    what_began_before_a_moment_is_over_and_what_began_later_is_not
    sessions_end_by_their_handles
    an_end_that_fails_says_whether_it_may_hold
    it_costs_the_same_for_many_as_for_few
    it_holds_after_a_restart
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

async fn a_logout_ends_a_session_that_is_being_opened(f: Fixture) {
    for selector in [all(), of_indexes(&["1"]), Selector::all(Whose::Everybody), realm("shop")] {
        // Given a login that knows its counters, and has not written its session yet,
        let gate = f.hold_before(Which::Create);
        let login = tokio::spawn({
            let (cache, application) = (Arc::clone(&f.cache), f.application.clone());
            // Without an entry the session is the first that it writes.
            async move {
                let opening = opening(Some(person(Some("1"))), None);
                cache.open(opening, &application).await
            }
        });
        gate.arrival().await;
        // when all of them end,
        let waiting = f.another_cache();
        waiting.reckon_with(&f.application.realm);
        f.cache.end_where(selector.clone(), f.logout()).await.unwrap();
        gate.open();
        // then it is over as soon as it is there.
        match login.await.unwrap().unwrap() {
            Open::Opened(opened) => assert!(!f.is_found(&opened.ticket).await, "{selector:?}"),
            Open::LoggedOut(logged_out) => panic!("nobody waits for it: {logged_out:?}"),
        }
    }
}

fn realm(realm: &str) -> Selector {
    Selector::all(Whose::Realm(realm.into()))
}

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
    assert_eq!(f.entries_of_ada().await, 0, "who is refused is in no list");
    f.advance(MINUTE - MILLISECOND);
    assert!(f.late(None, None).await.is_some());
    f.advance(MILLISECOND);
    assert_eq!(f.late(None, None).await, None);
}

impl Fixture {
    async fn entries_of_ada(&self) -> usize {
        eventually(async || self.cache.entries_of(&person(None)).await.unwrap().records.is_empty()).await;
        self.cache.entries_of(&person(None)).await.unwrap().records.len()
    }
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
    let renewed = f.cache.renew(&both.ticket.handle, &both.ticket.secret, &renewal, &f.application).await;
    let (session, ticket) = super::fixture::renewed(renewed);
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

async fn a_realm_ends_without_the_others(f: Fixture) {
    let bank = application("bank", Timeouts { idle: IDLE, lifetime: LIFETIME });
    f.cache.reckon_with(&bank.realm);
    let of_shop = [f.both(Some(person(None))).await, f.both(None).await];
    let of_bank = [f.both_for(Some(person(None)), &bank).await, f.both_for(None, &bank).await];
    assert_eq!(f.log_out(realm("shop")).await.end.sessions, Tally::Unknown);
    for (shop, bank_one) in of_shop.iter().zip(&of_bank) {
        assert!(!f.live(shop).await);
        assert!(f.lives(bank_one, &bank).await);
    }
    let next = f.both(None).await;
    assert!(f.live(&next).await);
}

async fn everybody_is_over_and_comes_back(mut f: Fixture) {
    for _ in 0..2 {
        let sessions =
            [f.both(Some(person(Some("1")))).await, f.both(None).await, f.both(Some(person(None))).await];
        for both in &sessions {
            assert!(f.live(both).await);
        }
        f.log_out(Selector::all(Whose::Everybody)).await;
        for both in &sessions {
            assert!(!f.live(both).await);
        }
        let patched = f
            .cache
            .patch(
                &sessions[1].ticket.handle,
                &Patch::new(Revision(0)),
                session::OnConflict::Overwrite,
                &f.application,
            )
            .await
            .unwrap();
        assert!(matches!(patched, Patched::Ended(_)), "{patched:?}");
        // Also where nothing is known yet but what storage says.
        f.crash();
        f.cache.reckon_with(&f.application.realm);
    }
    assert!(f.live(&f.both(None).await).await);
}

async fn what_began_before_a_moment_is_over_and_what_began_later_is_not(mut f: Fixture) {
    let before = |whose: Selector, moment| Selector { begun_before: Some(moment), ..whose };
    for whose in [all(), of_indexes(&["1"]), realm("shop"), Selector::all(Whose::Everybody)] {
        let early = f.both(Some(person(Some("1")))).await;
        f.advance(MINUTE);
        let moment = f.clock_now();
        let late = f.both(Some(person(Some("1")))).await;
        f.advance(MINUTE);
        f.log_out(before(whose.clone(), moment)).await;
        assert!(!f.live(&early).await, "{whose:?}");
        assert!(f.live(&late).await, "{whose:?}");
        // An earlier moment changes nothing, nor does the same once more; a restart does not either.
        f.log_out(before(whose.clone(), START)).await;
        assert!(f.log_out(before(whose.clone(), moment)).await.handles.is_empty());
        f.crash();
        f.cache.reckon_with(&f.application.realm);
        assert!(f.live(&late).await && !f.live(&early).await, "{whose:?}");
        // A moment to come is now.
        f.log_out(before(whose.clone(), f.clock_now().plus(MINUTE))).await;
        assert!(!f.live(&late).await, "{whose:?}");
    }
    let both = f.both(Some(person(Some("1")))).await;
    assert!(f.live(&both).await);
}

async fn sessions_end_by_their_handles(f: Fixture) {
    let (one, other) = (f.both(Some(person(None))).await, f.both(None).await);
    let kept = f.both(Some(person(None))).await;
    let handles = [&one, &other].map(|both| [both.ticket.handle, both.carried.session.handle]);
    let selector = Selector::all(Whose::Handles(handles.concat()));
    let ended = f.log_out(selector.clone()).await;
    assert_eq!(ended.end.sessions, Tally::Exactly(2), "nobody knows whether the others were live");
    assert!(ended.handles.contains(&one.ticket.handle) && ended.handles.contains(&other.ticket.handle));
    assert!(!f.live(&one).await && !f.live(&other).await && f.live(&kept).await);
    assert_eq!(f.log_out(selector).await.end.sessions, Tally::Exactly(0));
    // Only if they began before.
    let selector = Selector {
        begun_before: Some(f.clock_now()),
        ..Selector::all(Whose::Handles(vec![kept.ticket.handle]))
    };
    assert_eq!(f.log_out(selector.clone()).await.end.sessions, Tally::Exactly(0));
    assert!(f.live(&kept).await);
    f.advance(MILLISECOND);
    let selector = Selector { begun_before: Some(f.clock_now()), ..selector };
    f.log_out(selector).await;
    f.ending(&kept.ticket).await;
}

async fn an_end_that_fails_says_whether_it_may_hold(f: Fixture) {
    let both = f.both(Some(person(Some("1")))).await;
    assert!(f.live(&both).await);
    f.faults.fail(Which::Any, Fault::Refuse);
    let failed = f.try_to_log_out(all()).await.unwrap_err();
    assert_eq!(failed.applied, Applied::No);
    f.faults.heal();
    assert!(f.live(&both).await, "nothing was ended, and nothing claimed");
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
    // Two reads of counters, the entry and the session.
    assert_eq!(cost_of_last, 4);
    let writes = f.probe.updates.load(Ordering::SeqCst);
    let before = asked();
    let ended = f.log_out(all()).await;
    assert!(matches!(ended.end.sessions, Tally::OnServer(Count { or_more: true, .. })));
    // One list, one read and one write; and what is named is looked at.
    assert!(asked() - before <= 3 + crate::MAX_LISTED, "{}", asked() - before);
    assert_eq!(f.probe.updates.load(Ordering::SeqCst), writes);
    f.ending(&first.ticket).await;
    f.ending(&last.ticket).await;
}

async fn it_holds_after_a_restart(mut f: Fixture) {
    let selectors = [all(), of_indexes(&["1"]), realm("shop"), Selector::all(Whose::Everybody)];
    let by_time = [false, true].map(|is_by_time| selectors.clone().map(|selector| (selector, is_by_time)));
    for (selector, is_by_time) in by_time.into_iter().flatten() {
        let both = f.both(Some(person(Some("1")))).await;
        f.advance(MINUTE);
        let begun_before = is_by_time.then(|| f.clock_now());
        f.advance(MILLISECOND);
        f.log_out(Selector { begun_before, ..selector.clone() }).await;
        f.crash();
        f.cache.reckon_with(&f.application.realm);
        assert!(!f.live(&both).await, "{selector:?}");
    }
}

/// What one node ends the other hears, of every kind; and what it does not hear it asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_nodes_refuse_what_was_ended_heard_or_not() {
    for is_cut in [false, true] {
        let f = super::presence::shared().await;
        let (here, there) = (f.node("here").await, f.node("there").await);
        eventually(async || here.nodes().len() == 2 && there.nodes().len() == 2).await;
        there.probe.cut(is_cut);
        eventually(async || there.is_deaf() == is_cut).await;
        for selector in [
            of_indexes(&["1"]),
            all(),
            realm("shop"),
            Selector { begun_before: Some(f.clock_now()), ..Selector::all(Whose::Everybody) },
            Selector::all(Whose::Everybody),
        ] {
            let both = f.both(Some(person(Some("1")))).await;
            let nobodys = f.both(None).await;
            for both in [&both, &nobodys] {
                found(there.find(&both.ticket, &f.application).await);
                super::carrying::opens(there.find_carried(&both.carried, &f.application).await);
            }
            f.advance(MILLISECOND);
            let selector = match selector.begun_before {
                Some(_) => Selector { begun_before: Some(f.clock_now()), ..selector },
                None => selector,
            };
            f.advance(MILLISECOND);
            let ended_all = here.end_where(selector.clone(), f.logout()).await.unwrap();
            if !is_cut {
                let receipt = here.receipt(ended_all.end).await;
                assert!(receipt.is_whole(), "{selector:?} {receipt}");
            }
            ended(there.find(&both.ticket, &f.application).await);
            is_over(there.find_carried(&both.carried, &f.application).await);
            let is_wide = matches!(selector.whose, Whose::Realm(_) | Whose::Everybody);
            let answer = there.find(&nobodys.ticket, &f.application).await.unwrap();
            assert_eq!(matches!(answer, Find::Ended(_)), is_wide, "{selector:?}");
        }
    }
}

/// A login at a node that has not heard of the end yet.
#[tokio::test]
async fn who_was_not_known_to_be_ended_is_over_when_it_is_heard() {
    let f = Fixture::over(Engine::Tiered).await;
    let other = f.another_cache();
    let opening = || opening(Some(person(None)), None);
    let first: Opened = opened(other.open(opening(), &f.application).await);
    found(other.find(&first.ticket, &f.application).await);
    f.log_out(Selector::all(Whose::Everybody)).await;
    // It has heard nothing: what it opens remembers the earlier counter.
    let late = opened(other.open(opening(), &f.application).await);
    let fresh = opened(f.cache.open(opening(), &f.application).await);
    ended(f.find(&late.ticket).await);
    found(f.find(&fresh.ticket).await);
}

#[test]
fn an_end_says_from_where() {
    let ending =
        Ending { from: Some("192.0.2.7".parse().unwrap()), ..Ending::new(START, Why::Logout, "ops") };
    assert_eq!(Ending::of_actor(ending.at, ending.why, &ending.actor()), ending);
}
