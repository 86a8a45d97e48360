//! Sessions that are searched for: what is found is live and has what was asked for, and the index of values tells the truth.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use session::{Handle, OnConflict, Patch, Principal, Revision, Value};
use storage::Storage as _;
use storage::faulty::{Fault, Which};

use super::fixture::{IDLE, SETTINGS, eventually};
use super::indexing::LONG_AFTER;
use super::{Fixture, on_every_engine};
use crate::index::value_context;
use crate::{Amended, Between, Cache, Hits, Opened, Opening, Search};

on_every_engine!(
    who_holds_a_value_is_found_by_it_with_an_index_and_without
    a_search_by_person_time_and_realm_finds_those_alone
    pages_follow_one_another_and_miss_nobody
    what_is_over_is_not_found
    a_value_that_was_taken_away_is_not_found_and_its_entry_goes
    a_value_that_comes_back_is_found
    an_entry_stays_as_long_as_its_session
    a_session_without_indexed_values_costs_the_index_nothing
    a_value_that_does_not_change_costs_the_index_nothing
    an_index_that_was_not_kept_is_written_by_a_check
    an_outage_finds_nobody_and_claims_nothing
);

impl Fixture {
    /// The same, where sessions are found quickly by `mail` and `groups`.
    fn indexed(mut self) -> Self {
        self.cache = Arc::new(self.without_indexes().with_index_of_entries(["mail".into(), "groups".into()]));
        self
    }

    fn without_indexes(&self) -> Cache {
        let (storage, clock) = (Arc::clone(&self.probe) as _, Arc::clone(&self.clock) as _);
        let cache = Cache::new(storage, clock, SETTINGS, &mut Registry::default());
        cache.reckon_with(&self.application.realm);
        cache
    }

    async fn open_holding(&self, name: &str, entries: &[(&str, Value)]) -> Opened {
        let mut patch = Patch::new(Revision::default());
        entries.iter().for_each(|(name, value)| patch.set(name, value.clone()));
        let principal = (!name.is_empty()).then(|| Principal::named("test", name));
        let opening = Opening { principal, entries: patch, ..Opening::default() };
        self.cache.open(opening, &self.application).await.unwrap().opened().unwrap()
    }

    async fn searched(&self, search: &Search) -> BTreeSet<Handle> {
        let Hits { sessions, next, .. } = self.cache.search(search, None, 1_000).await.unwrap();
        assert_eq!(next, None);
        sessions.into_iter().map(|shown| shown.session.handle).collect()
    }

    async fn give(&self, opened: &Opened, name: &str, value: &str) {
        let amended = self.cache.amend(&opened.ticket.handle, None, |session| {
            let mut patch = Patch::new(session.revision);
            patch.set(name, value.into());
            patch
        });
        assert!(matches!(amended.await.unwrap(), Amended::Done(_)));
    }

    /// How many entries a value has in storage.
    async fn values_of(&self, name: &str, value: &str) -> usize {
        self.probe.list(&value_context(name, value), None, 100).await.unwrap().records.len()
    }
}

fn holding(name: &str, value: &str) -> Search {
    Search { entries: vec![(name.into(), value.into())], ..Search::default() }
}

fn handles<const N: usize>(opened: [&Opened; N]) -> BTreeSet<Handle> {
    opened.map(|opened| opened.ticket.handle).into()
}

async fn who_holds_a_value_is_found_by_it_with_an_index_and_without(f: Fixture) {
    let f = f.indexed();
    let list = |texts: &[&str]| Value::List(texts.iter().map(|text| (*text).into()).collect());
    let ada = f
        .open_holding(
            "ada",
            &[("mail", "ada@x".into()), ("groups", list(&["staff", "math"])), ("age", "36".into())],
        )
        .await;
    let bob = f
        .open_holding("bob", &[("mail", "bob@x".into()), ("groups", list(&["staff"])), ("age", "36".into())])
        .await;
    let nobody = f.open_holding("", &[("mail", "ada@x".into())]).await;
    for (search, expected, is_indexed) in [
        (holding("mail", "ada@x"), handles([&ada, &nobody]), true),
        (holding("groups", "staff"), handles([&ada, &bob]), true),
        (holding("groups", "math"), handles([&ada]), true),
        (holding("age", "36"), handles([&ada, &bob]), false),
        (holding("mail", "ad"), handles([]), true),
        (holding("age", "3"), handles([]), false),
    ] {
        assert_eq!(f.searched(&search).await, expected, "{search:?}");
        assert_eq!(f.cache.search(&search, None, 10).await.unwrap().is_indexed, is_indexed, "{search:?}");
    }
    let both = Search {
        entries: vec![("age".into(), "36".into()), ("groups".into(), "math".into())],
        ..Search::default()
    };
    assert_eq!(f.searched(&both).await, handles([&ada]));
}

async fn a_search_by_person_time_and_realm_finds_those_alone(f: Fixture) {
    let early = f.open_holding("ada", &[]).await;
    let start = f.clock_now();
    f.advance(Duration::from_secs(1));
    let late = f.open_holding("ada", &[]).await;
    let bob = f.open_holding("bob", &[]).await;
    let ada = Search { principal: Some(Principal::named("test", "ada")), ..Search::default() };
    assert_eq!(f.searched(&ada).await, handles([&early, &late]));
    assert!(f.cache.search(&ada, None, 10).await.unwrap().is_indexed);
    let before = Between { before: Some(f.clock_now()), ..Between::default() };
    let after = Between { after: Some(f.clock_now()), ..Between::default() };
    assert_eq!(f.searched(&Search { begun: before, ..ada.clone() }).await, handles([&early]));
    assert_eq!(f.searched(&Search { begun: after, ..Search::default() }).await, handles([&late, &bob]));
    assert_eq!(f.searched(&Search { seen: before, ..Search::default() }).await, handles([&early]));
    let whole = Between { after: Some(start), before: Some(f.clock_now()) };
    assert_eq!(f.searched(&Search { begun: whole, ..Search::default() }).await, handles([&early]));
    let realm = |id: &str| Search { realm: Some(id.into()), ..Search::default() };
    assert_eq!(f.searched(&realm(&f.application.realm.id)).await, handles([&early, &late, &bob]));
    assert_eq!(f.searched(&realm("another")).await, handles([]));
    let address = Search { address: Some("192.0.2.1".parse().unwrap()), ..Search::default() };
    assert_eq!(f.searched(&address).await, handles([]));
}

async fn pages_follow_one_another_and_miss_nobody(f: Fixture) {
    let f = f.indexed();
    let mut all = BTreeSet::new();
    for n in 0..23 {
        let name = if n % 2 == 0 { "even" } else { "odd" };
        let opened = f.open_holding("ada", &[("mail", "ada@x".into()), ("kind", name.into())]).await;
        all.insert(opened.ticket.handle);
    }
    let person = Search { principal: Some(Principal::named("test", "ada")), ..Search::default() };
    for search in [Search::default(), person, holding("mail", "ada@x")] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let hits = f.cache.search(&search, after, 5).await.unwrap();
            assert!(hits.sessions.len() <= 5);
            seen.extend(hits.sessions.iter().map(|shown| shown.session.handle));
            after = hits.next;
            if after.is_none() {
                break;
            }
        }
        assert!(seen.is_sorted() && seen.len() == all.len());
        assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), all, "{search:?}");
    }
    assert_eq!(f.searched(&holding("kind", "even")).await.len(), 12);
}

async fn what_is_over_is_not_found(f: Fixture) {
    let f = f.indexed();
    let ended = f.open_holding("ada", &[("mail", "ada@x".into())]).await;
    let idle = f.open_holding("bob", &[("mail", "ada@x".into())]).await;
    f.end(&ended.session).await.unwrap();
    assert_eq!(f.searched(&holding("mail", "ada@x")).await, handles([&idle]));
    assert_eq!(f.searched(&Search::default()).await, handles([&idle]));
    f.quiet().await;
    assert_eq!(f.values_of("mail", "ada@x").await, 1, "the entry goes with its session");
    f.advance(IDLE * 2);
    assert_eq!(f.searched(&holding("mail", "ada@x")).await, handles([]));
    assert_eq!(f.searched(&Search::default()).await, handles([]));
}

async fn a_value_that_was_taken_away_is_not_found_and_its_entry_goes(f: Fixture) {
    let f = f.indexed();
    let ada = f.open_holding("ada", &[("mail", "old@x".into())]).await;
    f.give(&ada, "mail", "new@x").await;
    assert_eq!(f.searched(&holding("mail", "old@x")).await, handles([]));
    assert_eq!(f.searched(&holding("mail", "new@x")).await, handles([&ada]));
    // It might be about to be given back.
    f.quiet().await;
    assert_eq!(f.values_of("mail", "old@x").await, 1);
    f.advance(LONG_AFTER);
    assert_eq!(f.searched(&holding("mail", "old@x")).await, handles([]));
    eventually(async || f.values_of("mail", "old@x").await == 0).await;
    assert_eq!(f.searched(&holding("mail", "new@x")).await, handles([&ada]));
}

async fn a_value_that_comes_back_is_found(f: Fixture) {
    let f = f.indexed();
    let ada = f.open_holding("ada", &[("mail", "a@x".into())]).await;
    for value in ["b@x", "a@x", "b@x", "a@x"] {
        f.advance(LONG_AFTER / 2);
        f.give(&ada, "mail", value).await;
        assert_eq!(f.searched(&holding("mail", value)).await, handles([&ada]));
        let other = if value == "a@x" { "b@x" } else { "a@x" };
        assert_eq!(f.searched(&holding("mail", other)).await, handles([]));
        f.quiet().await;
    }
    // The application takes the value away by a patch of its own, too.
    let mut patch = Patch::new(Revision(99));
    patch.remove("mail");
    f.cache.patch(&ada.ticket.handle, &patch, OnConflict::Overwrite, &f.application).await.unwrap();
    assert_eq!(f.searched(&holding("mail", "a@x")).await, handles([]));
}

async fn an_entry_stays_as_long_as_its_session(f: Fixture) {
    let f = f.indexed();
    let nobody = f.open_holding("", &[("mail", "a@x".into())]).await;
    for _ in 0..24 {
        f.advance(IDLE / 2);
        if f.cache.keep(&nobody.ticket.handle).await.unwrap().is_none() {
            break;
        }
        assert_eq!(f.searched(&holding("mail", "a@x")).await, handles([&nobody]));
    }
    f.quiet().await;
}

async fn a_session_without_indexed_values_costs_the_index_nothing(f: Fixture) {
    let f = f.indexed();
    let nobody = f.open_holding("", &[("other", "a@x".into())]).await;
    f.give(&nobody, "other", "b@x").await;
    f.quiet().await;
    assert_eq!(f.index_writes(), 0);
}

async fn a_value_that_does_not_change_costs_the_index_nothing(f: Fixture) {
    let f = f.indexed();
    let ada = f.open_holding("", &[("mail", "a@x".into()), ("groups", "users".into())]).await;
    f.quiet().await;
    let before = f.index_writes();
    assert_eq!(before, 2, "an entry for each value");
    for number in 0..5 {
        f.give(&ada, "other", &number.to_string()).await;
        f.give(&ada, "mail", "a@x").await;
    }
    f.quiet().await;
    assert_eq!(f.index_writes(), before);
    f.give(&ada, "mail", "b@x").await;
    f.quiet().await;
    assert_eq!(f.index_writes(), before + 1);
    assert_eq!(f.searched(&holding("groups", "users")).await, handles([&ada]));
}

async fn an_index_that_was_not_kept_is_written_by_a_check(f: Fixture) {
    let ada = f.open_holding("ada", &[("mail", "a@x".into())]).await;
    let nobody = f.open_holding("", &[("mail", "a@x".into())]).await;
    let f = f.indexed();
    assert_eq!(f.searched(&holding("mail", "a@x")).await, handles([]));
    let check = f.cache.check_index(|_| {}).await.unwrap();
    assert_eq!((check.sessions, check.written), (2, 2));
    assert_eq!(f.searched(&holding("mail", "a@x")).await, handles([&ada, &nobody]));
    assert_eq!(f.cache.check_index(|_| {}).await.unwrap().written, 0);
}

async fn an_outage_finds_nobody_and_claims_nothing(f: Fixture) {
    let f = f.indexed();
    let ada = f.open_holding("ada", &[("mail", "a@x".into())]).await;
    f.faults.fail(Which::Any, Fault::Refuse);
    for search in [holding("mail", "a@x"), holding("other", "x")] {
        assert!(f.cache.search(&search, None, 10).await.is_err());
    }
    f.faults.heal();
    assert_eq!(f.searched(&holding("mail", "a@x")).await, handles([&ada]));
}
