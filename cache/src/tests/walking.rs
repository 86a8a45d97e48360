//! Going through all sessions: each that is live is come by, no other one is, and one that cannot be read hides nobody.

use std::collections::BTreeSet;

use session::{Ending, Handle, Principal, Selector, Session, Value, Why};
use storage::faulty::{Fault, Which};

use super::fixture::IDLE;
use super::indexing::listed;
use super::{Fixture, on_every_engine};
use crate::Search;

on_every_engine!(
    all_that_are_live_are_come_by_and_nobody_else
    of_each_session_there_is_what_was_wanted_and_no_more
    whoever_has_seen_enough_says_so
    what_cannot_be_read_hides_nobody_else
    an_outage_is_not_the_end_of_the_list
);

impl Fixture {
    async fn walked(&self) -> BTreeSet<Handle> {
        let mut handles = BTreeSet::new();
        let each = |session: Session, _| handles.insert(session.handle);
        self.cache.walk(|_| false, each).await.unwrap();
        handles
    }
}

async fn all_that_are_live_are_come_by_and_nobody_else(f: Fixture) {
    let (mut live, mut bobs) = (BTreeSet::new(), BTreeSet::new());
    for number in 0..40 {
        let opened = f.open_for(if number % 4 == 0 { "bob" } else { "ada" }).await;
        let handles = if number % 4 == 0 { &mut bobs } else { &mut live };
        handles.insert(opened.ticket.handle);
    }
    let ended = f.open_for("ada").await;
    f.end(&ended.session).await.unwrap();
    assert_eq!(f.walked().await, &live | &bobs);
    let ending = Ending::new(f.clock_now(), Why::Revoked, "test");
    f.cache.end_where(Selector::person(Principal::named("test", "bob")), ending).await.unwrap();
    assert_eq!(f.walked().await, live);
    f.advance(IDLE * 2);
    assert_eq!(f.walked().await, BTreeSet::new());
}

async fn of_each_session_there_is_what_was_wanted_and_no_more(f: Fixture) {
    f.open_with(&[("a", "1"), ("b", "2"), ("c", "3")], None).await;
    let mut found = Vec::new();
    let each = |session: Session, _| {
        let texts = session.entries.iter().map(|(name, value)| (name.to_owned(), value.clone()));
        found.extend(texts);
        true
    };
    f.cache.walk(|name| matches!(name, "c" | "a" | "none"), each).await.unwrap();
    assert_eq!(found, [("a".to_owned(), Value::from("1")), ("c".to_owned(), Value::from("3"))]);
}

async fn whoever_has_seen_enough_says_so(f: Fixture) {
    for _ in 0..10 {
        f.open().await;
    }
    let mut seen = 0;
    let each = |_, _| {
        seen += 1;
        seen < 3
    };
    f.cache.walk(|_| true, each).await.unwrap();
    assert_eq!(seen, 3);
}

async fn what_cannot_be_read_hides_nobody_else(f: Fixture) {
    let (before, after) = (f.open_for("ada").await, f.open_for("ada").await);
    let handles = BTreeSet::from([before.ticket.handle, after.ticket.handle]);
    for byte in [0, 0x7f, 0xff] {
        let handle = Handle::from_bytes([byte; 16]);
        f.put(&f.key(&handle), b"of a newer build").await;
        f.put(&f.entry("ada", &handle), b"").await;
    }
    assert_eq!(f.walked().await, handles);
    assert_eq!(listed(&f.cache, "ada").await.into_iter().collect::<BTreeSet<_>>(), handles);
    for search in
        [Search::default(), Search { principal: before.session.principal.clone(), ..Search::default() }]
    {
        let hits = f.cache.search(&search, None, 100).await.unwrap();
        let found: BTreeSet<Handle> = hits.sessions.iter().map(|shown| shown.session.handle).collect();
        assert_eq!((found, hits.next), (handles.clone(), None));
    }
}

async fn an_outage_is_not_the_end_of_the_list(f: Fixture) {
    f.open().await;
    f.faults.fail(Which::Any, Fault::Refuse);
    assert!(f.cache.walk(|_| true, |_, _| true).await.is_err());
    f.faults.heal();
    assert_eq!(f.walked().await.len(), 1);
}
