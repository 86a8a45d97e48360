//! Lists that keep what they read: they show what lists show that read everything, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::future::{Either, select};
use session::{
    Ending, Epoch, Handle, OnConflict, Principal, Revision, Selector, Session, Ticket, Timeouts, Why,
};
use storage::Burial;
use storage::faulty::{Fault, Which};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::chance::Chance;
use super::fixture::{Engine, IDLE, RENEW_WINDOW, application, eventually, merged, renewed, setting};
use super::{Fixture, on_every_engine};
use crate::revocations::gone_key;
use crate::{Cache, Opened, Opening, Renew, Survey, Surveyed};

on_every_engine!(
    a_list_after_a_list_reads_nothing_again
    a_list_after_a_list_shows_what_changed
    what_is_over_by_time_is_over_unless_it_was_used_since
    an_end_while_somebody_reads_is_known_to_the_next_list
    who_wants_other_entries_has_them
    what_does_not_fit_is_not_kept
    an_outage_is_no_empty_list
    who_is_ended_while_storage_has_no_answer_is_not_listed
    other_time_outs_hold_at_once
    what_is_heard_of_one_session_is_judged_by_the_next_list
    whatever_happens_both_lists_are_alike
    two_lists_that_read_a_session_again_at_once_do_not_bring_it_back
    two_lists_that_read_a_session_again_at_once_do_not_lose_it
    whoever_has_no_record_any_more_is_not_listed
    an_end_whose_asker_went_away_is_known_to_the_next_list
    an_end_whose_answer_was_lost_is_known_to_the_next_list
    an_opening_whose_asker_went_away_is_known_to_the_next_list
    a_list_that_breaks_off_takes_nothing_from_others
    made_up_tickets_do_not_outdate_what_is_kept
);

/// What these lists keep of a session.
struct Line {
    handle: Handle,
    revision: Revision,
    a: Option<String>,
}

impl Surveyed for Line {
    fn of(session: Session) -> Option<Self> {
        let a = session.entries.get("a").and_then(|value| value.as_text()).map(str::to_owned);
        Some(Self { handle: session.handle, revision: session.revision, a })
    }

    fn bytes(&self) -> usize {
        100
    }
}

type Listed = BTreeMap<Handle, (Revision, Option<String>)>;

async fn list_of(cache: &Cache, survey: &Arc<Survey<Line>>, names: Option<&[&str]>) -> Listed {
    let mut listed = Listed::new();
    let each = |line: &Line| {
        let before = listed.insert(line.handle, (line.revision, line.a.clone()));
        assert_eq!(before, None, "a session is listed twice");
        true
    };
    cache.survey(survey, names, each).await.unwrap();
    listed
}

/// By what was kept.
async fn list(f: &Fixture, survey: &Arc<Survey<Line>>) -> Listed {
    list_of(&f.cache, survey, Some(&["a"])).await
}

fn begin_list(f: &Fixture, survey: &Arc<Survey<Line>>) -> JoinHandle<Listed> {
    let (cache, survey) = (Arc::clone(&f.cache), Arc::clone(survey));
    tokio::spawn(async move { list_of(&cache, &survey, Some(&["a"])).await })
}

/// By all that there is.
async fn truth(f: &Fixture) -> Listed {
    list_of(&f.cache, &Arc::default(), None).await
}

impl Fixture {
    fn asked(&self) -> usize {
        self.probe.asked.load(Ordering::SeqCst)
    }

    fn read(&self) -> usize {
        self.probe.reads.load(Ordering::SeqCst)
    }
}

async fn a_list_after_a_list_reads_nothing_again(f: Fixture) {
    let survey = Arc::default();
    for _ in 0..20 {
        f.open_for("ada").await;
    }
    let first = list(&f, &survey).await;
    assert_eq!(first.len(), 20);
    let asked = (f.asked(), f.read());
    assert_eq!(list(&f, &survey).await, first);
    assert_eq!((f.asked(), f.read()), asked, "storage was asked again");
    let opened = f.open().await;
    let read = f.read();
    assert!(list(&f, &survey).await.contains_key(&opened.ticket.handle));
    assert_eq!(f.read(), read + 1, "what changed is read, and nothing else");
    list(&f, &survey).await;
    assert_eq!(f.read(), read + 1);
}

async fn a_list_after_a_list_shows_what_changed(f: Fixture) {
    let survey = Arc::default();
    let (kept, changed, ended) = (f.open_for("ada").await, f.open_for("ada").await, f.open_for("ada").await);
    let bobs = f.open_for("bob").await;
    assert_eq!(list(&f, &survey).await.len(), 4);
    f.set(&changed.session, "a", "2").await;
    f.end(&ended.session).await.unwrap();
    let opened = f.open().await;
    let listed = list(&f, &survey).await;
    let handles = [&kept, &changed, &bobs, &opened].map(|opened| opened.ticket.handle);
    assert!(handles.iter().all(|handle| listed.contains_key(handle)) && listed.len() == handles.len());
    assert_eq!(listed[&changed.ticket.handle].1.as_deref(), Some("2"));
    let ending = Ending::new(f.clock_now(), Why::Revoked, "test");
    f.cache.end_where(Selector::person(Principal::named("test", "bob")), ending).await.unwrap();
    assert!(!list(&f, &survey).await.contains_key(&bobs.ticket.handle), "all of Bob's were ended");
    f.cache.tier.doubt_all();
    assert_eq!(list(&f, &survey).await, truth(&f).await);
}

async fn what_is_over_by_time_is_over_unless_it_was_used_since(f: Fixture) {
    let survey = Arc::default();
    let (used, idle) = (f.open().await, f.open().await);
    list(&f, &survey).await;
    f.advance(IDLE - Duration::from_secs(1));
    f.found(&used.ticket).await;
    // Somebody looks now and then whether the survey is used.
    f.quiet_but(1).await;
    f.advance(IDLE / 2);
    let listed = list(&f, &survey).await;
    assert!(listed.contains_key(&used.ticket.handle), "it was used since");
    assert!(!listed.contains_key(&idle.ticket.handle));
    assert_eq!(listed, truth(&f).await);
}

async fn an_end_while_somebody_reads_is_known_to_the_next_list(f: Fixture) {
    let survey = Arc::default();
    let (ended, kept) = (f.open().await, f.open().await);
    let gate = f.hold_after(Which::Other);
    let first = begin_list(&f, &survey);
    gate.arrival().await;
    f.end(&ended.session).await.unwrap();
    gate.open();
    first.await.unwrap();
    assert_eq!(list(&f, &survey).await.into_keys().collect::<Vec<_>>(), [kept.ticket.handle]);
}

async fn who_wants_other_entries_has_them(f: Fixture) {
    let survey = Arc::default();
    let opened = f.open().await;
    let handle = opened.ticket.handle;
    let has_a = async |names: &[&str]| list_of(&f.cache, &survey, Some(names)).await[&handle].1.is_some();
    assert!(!has_a(&["b"]).await);
    assert!(has_a(&["a"]).await, "it was not kept, so it is read");
    let read = f.asked();
    assert!(has_a(&["b"]).await && has_a(&["b", "a"]).await && has_a(&[]).await, "both are kept now");
    assert_eq!(f.asked(), read);
}

async fn what_does_not_fit_is_not_kept(f: Fixture) {
    let survey = Arc::new(Survey::of(5_000));
    for _ in 0..5 {
        f.open().await;
    }
    list(&f, &survey).await;
    let asked = f.asked();
    assert_eq!(list(&f, &survey).await.len(), 5);
    assert_eq!(f.asked(), asked, "so many fit");
    for _ in 0..30 {
        f.open().await;
    }
    for _ in 0..3 {
        let asked = f.asked();
        assert_eq!(list(&f, &survey).await.len(), 35);
        assert!(f.asked() > asked, "nothing is kept of so many");
    }
    assert!(!survey.keeps_any());
}

async fn an_outage_is_no_empty_list(f: Fixture) {
    let survey = Arc::default();
    let opened = f.open().await;
    list(&f, &survey).await;
    f.set(&opened.session, "a", "2").await;
    f.faults.fail(Which::Any, Fault::Refuse);
    assert!(f.cache.survey(&survey, Some(&["a"]), |_: &Line| true).await.is_err());
    f.faults.heal();
    assert_eq!(list(&f, &survey).await, truth(&f).await);
    assert_eq!(list(&f, &survey).await[&opened.ticket.handle].1.as_deref(), Some("2"));
}

async fn who_is_ended_while_storage_has_no_answer_is_not_listed(f: Fixture) {
    let survey = Arc::default();
    let (kept, ended, bobs) = (f.open().await, f.open().await, f.open_for("bob").await);
    list(&f, &survey).await;
    let handles = |listed: Listed| listed.into_keys().collect::<BTreeSet<_>>();
    f.faults.fail(Which::Bury, Fault::Refuse);
    f.end(&ended.session).await.unwrap_err();
    let others = BTreeSet::from([kept.ticket.handle, bobs.ticket.handle]);
    assert_eq!(handles(list(&f, &survey).await), others);
    f.faults.fail(Which::Create, Fault::Refuse);
    let ending = Ending::new(f.clock_now(), Why::Revoked, "test");
    let everything = Selector::person(Principal::named("test", "bob"));
    f.cache.end_where(everything, ending).await.unwrap_err();
    assert_eq!(handles(list(&f, &survey).await), BTreeSet::from([kept.ticket.handle]));
    f.faults.heal();
    f.cache.end_what_waits().await;
    assert_eq!(handles(list(&f, &survey).await), BTreeSet::from([kept.ticket.handle]));
}

async fn other_time_outs_hold_at_once(f: Fixture) {
    let survey = Arc::default();
    f.open().await;
    f.advance(IDLE / 2);
    assert_eq!(list(&f, &survey).await.len(), 1);
    let timeouts = Timeouts { idle: IDLE / 8, lifetime: IDLE / 4 };
    f.cache.reckon_with(&application("shop", timeouts).realm);
    assert_eq!(list(&f, &survey).await, Listed::new());
}

async fn what_is_heard_of_one_session_is_judged_by_the_next_list(f: Fixture) {
    let survey = Arc::default();
    let opened = f.open().await;
    f.open().await;
    list(&f, &survey).await;
    let read = f.read();
    let key = gone_key(&opened.ticket.handle, Why::Logout).unwrap();
    f.cache.hear_revocation(&key, Epoch::default());
    assert_eq!(list(&f, &survey).await, truth(&f).await);
    assert_eq!(f.read(), read + 1, "that one is looked at again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_other_nodes_change_is_shown_once_it_is_heard() {
    let f = Fixture::with(Engine::Tiered, |capabilities| capabilities.is_shared = true).await;
    let (survey, other) = (Arc::default(), f.another_cache());
    let _house = f.keep_house(&f.cache).await;
    let (changed, ended, bobs) = (f.open().await, f.open().await, f.open_for("bob").await);
    eventually(async || !list(&f, &survey).await.is_empty() && survey.keeps_any()).await;
    let patch = setting(&changed.session, "a", "2");
    merged(other.patch(&changed.ticket.handle, &patch, OnConflict::KeepFirst, &f.application).await);
    eventually(async || list(&f, &survey).await[&changed.ticket.handle].1.as_deref() == Some("2")).await;
    other.end(&ended.session, f.logout(), &f.application).await.unwrap();
    eventually(async || !list(&f, &survey).await.contains_key(&ended.ticket.handle)).await;
    let ending = Ending::new(f.clock_now(), Why::Revoked, "test");
    other.end_where(Selector::person(Principal::named("test", "bob")), ending).await.unwrap();
    eventually(async || !list(&f, &survey).await.contains_key(&bobs.ticket.handle)).await;
    // Of a change that was lost nobody knows: all is read again.
    list(&f, &survey).await;
    assert!(survey.keeps_any());
    f.probe.gap();
    eventually(async || {
        let asked = f.asked();
        !list(&f, &survey).await.is_empty() && f.asked() > asked
    })
    .await;
    // While nothing is heard, storage is asked each time.
    f.probe.cut(true);
    eventually(async || f.cache.is_deaf()).await;
    other.end(&changed.session, f.logout(), &f.application).await.unwrap();
    assert!(!list(&f, &survey).await.contains_key(&changed.ticket.handle));
}

#[tokio::test(start_paused = true)]
async fn what_nobody_asks_for_is_not_kept_for_long() {
    let (f, survey) = (Fixture::over(Engine::Memory).await, Arc::default());
    f.open().await;
    for _ in 0..4 {
        list(&f, &survey).await;
        sleep(Duration::from_mins(4)).await;
        assert!(survey.keeps_any(), "somebody uses it");
    }
    sleep(Duration::from_mins(10)).await;
    assert!(!survey.keeps_any());
    assert_eq!(list(&f, &survey).await.len(), 1);
}

async fn two_lists_that_read_a_session_again_at_once_do_not_bring_it_back(f: Fixture) {
    let survey = Arc::default();
    let opened = f.open().await;
    list(&f, &survey).await;
    f.set(&opened.session, "a", "2").await;
    let gate = f.hold_after(Which::Read);
    let slow = begin_list(&f, &survey);
    gate.arrival().await;
    f.end(&opened.session).await.unwrap();
    let other = begin_list(&f, &survey);
    sleep(Duration::from_millis(20)).await;
    gate.open();
    slow.await.unwrap();
    assert_eq!(other.await.unwrap(), Listed::new());
    assert_eq!(list(&f, &survey).await, Listed::new(), "it was ended long ago");
}

async fn two_lists_that_read_a_session_again_at_once_do_not_lose_it(f: Fixture) {
    let survey = Arc::default();
    list(&f, &survey).await;
    // An id that can be guessed, and comes back.
    let ticket = Ticket::of_foreign("shop", "ada");
    let opening = Opening::default();
    f.cache.open_foreign(&ticket, f.clock_now(), &opening, &f.application).await.unwrap();
    f.cache.end_life(&ticket, f.logout()).await.unwrap();
    let gate = f.hold_after(Which::Read);
    let slow = begin_list(&f, &survey);
    gate.arrival().await;
    f.cache.open_foreign(&ticket, f.clock_now(), &opening, &f.application).await.unwrap();
    let other = begin_list(&f, &survey);
    sleep(Duration::from_millis(20)).await;
    gate.open();
    slow.await.unwrap();
    let truth = truth(&f).await;
    assert_eq!(truth.len(), 1);
    assert_eq!(other.await.unwrap(), truth);
    assert_eq!(list(&f, &survey).await, truth);
}

async fn whoever_has_no_record_any_more_is_not_listed(f: Fixture) {
    let survey = Arc::default();
    f.open().await;
    // By other time-outs it could live for longer, and nobody has written that.
    let timeouts = Timeouts { idle: IDLE * 100, lifetime: IDLE * 200 };
    f.cache.reckon_with(&application("shop", timeouts).realm);
    for step in 0..60 {
        assert_eq!(list(&f, &survey).await, truth(&f).await, "step {step}");
        f.advance(IDLE / 2);
    }
    assert_eq!(list(&f, &survey).await, Listed::new());
}

async fn an_end_whose_asker_went_away_is_known_to_the_next_list(f: Fixture) {
    let survey = Arc::default();
    let opened = f.open().await;
    let (_, second) = renewed(f.renew(&opened.ticket, None).await);
    f.found(&second).await;
    f.cache.confirm_noted_tickets().await;
    f.advance(RENEW_WINDOW);
    list(&f, &survey).await;
    // A stolen ticket ends the session, and the thief does not wait for that.
    let gate = f.hold_after(Which::Bury);
    {
        let thief = pin!(f.find(&opened.ticket));
        let left = pin!(gate.arrival());
        assert!(matches!(select(thief, left).await, Either::Right(_)));
    }
    assert_eq!(list(&f, &survey).await, truth(&f).await);
}

async fn an_end_whose_answer_was_lost_is_known_to_the_next_list(f: Fixture) {
    let survey = Arc::default();
    let opened = f.open().await;
    list(&f, &survey).await;
    f.faults.fail_once(Which::Bury, Fault::LoseAnswer);
    let burial = Burial { until: None, ending: f.logout(), expected: None };
    f.cache.bury(&opened.ticket.handle, burial).await.unwrap_err();
    assert_eq!(list(&f, &survey).await, truth(&f).await);
}

async fn an_opening_whose_asker_went_away_is_known_to_the_next_list(f: Fixture) {
    let survey = Arc::default();
    list(&f, &survey).await;
    let gate = f.hold_after(Which::Create);
    {
        let (open, left) = (pin!(f.open()), pin!(gate.arrival()));
        assert!(matches!(select(open, left).await, Either::Right(_)));
    }
    let truth = truth(&f).await;
    assert_eq!(truth.len(), 1);
    assert_eq!(list(&f, &survey).await, truth);
}

async fn a_list_that_breaks_off_takes_nothing_from_others(f: Fixture) {
    let survey = Arc::default();
    let opened = f.open().await;
    list(&f, &survey).await;
    f.cache.survey(&survey, Some(&["b"]), |_: &Line| false).await.unwrap();
    let asked = f.asked();
    list(&f, &survey).await;
    assert_eq!(f.asked(), asked, "it is kept");
    // Nor one that is given up while it reads again what changed.
    f.set(&opened.session, "a", "2").await;
    let gate = f.hold_after(Which::Read);
    let given_up = begin_list(&f, &survey);
    gate.arrival().await;
    given_up.abort();
    assert!(given_up.await.is_err());
    gate.open();
    assert_eq!(list(&f, &survey).await, truth(&f).await);
}

async fn made_up_tickets_do_not_outdate_what_is_kept(f: Fixture) {
    let survey = Arc::default();
    f.open().await;
    list(&f, &survey).await;
    for number in 0..100 {
        let handle = Handle::from_bytes([7, number, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        f.absence(&Ticket { handle, ..Ticket::random().unwrap() }).await;
    }
    list(&f, &survey).await;
    let asked = f.asked();
    list(&f, &survey).await;
    assert_eq!(f.asked(), asked);
    assert!(survey.keeps_any());
}

/// Everything that this cache can do to sessions, by chance.
async fn something(f: &Fixture, opened: &mut Vec<Opened>, chance: &mut Chance) {
    if opened.is_empty() || chance.below(4) == 0 {
        let name = ["ada", "bob", "eve"][chance.below(3) as usize];
        opened.push(f.open_for(name).await);
        return;
    }
    let index = chance.below(opened.len() as u64) as usize;
    let (ticket, session) = (opened[index].ticket.clone(), Arc::clone(&opened[index].session));
    let ending = Ending::new(f.clock_now(), Why::Revoked, "test");
    match chance.below(12) {
        0..4 => {
            let patch = setting(&session, "a", &chance.below(9).to_string());
            f.cache.patch(&ticket.handle, &patch, OnConflict::Overwrite, &f.application).await.unwrap();
        }
        4..6 => drop(f.end(&session).await.unwrap()),
        6 => {
            let whose = Principal::named("test", ["ada", "bob", "eve"][chance.below(3) as usize]);
            f.cache.end_where(Selector::person(whose), ending).await.unwrap();
        }
        7 => {
            if let Ok(Renew::Renewed(session, ticket, _)) = f.renew(&ticket, Some("ada")).await {
                opened.push(Opened { session, ticket });
            }
        }
        8 => drop(f.find(&ticket).await.unwrap()),
        9 => f.advance(IDLE / 3),
        10 => f.cache.reckon_with(&f.application.realm),
        _ => f.cache.tier.doubt_all(),
    }
}

async fn whatever_happens_both_lists_are_alike(f: Fixture) {
    for seed in 0..6 {
        let (mut chance, mut opened, survey) = (Chance(seed), Vec::new(), Arc::default());
        for step in 0..60 {
            something(&f, &mut opened, &mut chance).await;
            assert_eq!(list(&f, &survey).await, truth(&f).await, "seed {seed}, step {step}");
        }
    }
}
