//! The check of the index: what is broken by hand is mended, while others go on.

use std::sync::Arc;
use std::time::Duration;

use session::Handle;
use storage::Key;
use storage::faulty::Which;

use super::{Fixture, LONG_AFTER, on_every_engine, sorted};
use crate::IndexCheck;

on_every_engine!(
    what_is_in_order_is_left_alone
    what_is_missing_is_written_and_what_is_stale_is_removed
    what_may_be_early_is_left_alone
    an_entry_that_would_go_before_its_session_stays_longer
    who_left_everywhere_is_not_entered_again
    a_session_that_ends_while_its_entry_is_written_leaves_none
    a_session_that_cannot_be_read_is_left_alone
    a_check_tells_how_far_it_is
);

impl Fixture {
    async fn checked(&self) -> IndexCheck {
        self.cache.check_index(|_| {}).await.unwrap()
    }
}

async fn what_is_in_order_is_left_alone(f: Fixture) {
    for name in ["ada", "ada", "bob"] {
        f.open_for(name).await;
    }
    f.open().await;
    let before = f.index_writes();
    f.advance(LONG_AFTER);
    let checked = f.checked().await;
    assert_eq!(checked, IndexCheck { records: 7, sessions: 3, entries: 3, ..IndexCheck::default() });
    assert_eq!(f.index_writes(), before);
}

async fn what_is_missing_is_written_and_what_is_stale_is_removed(f: Fixture) {
    let [ada, also_ada, bob] = [f.open_for("ada").await, f.open_for("ada").await, f.open_for("bob").await]
        .map(|opened| opened.ticket.handle);
    let nobodys = f.open().await.ticket.handle;
    f.lose(&f.entry("ada", &ada)).await;
    f.lose(&f.entry("bob", &bob)).await;
    // Of a session that never was, of another one's, of nobody's, of one that is lost, and of no name.
    let lost = f.open_for("eve").await.ticket.handle;
    f.lose(&f.key(&lost)).await;
    f.put(&f.entry("eve", &Handle::from_bytes([7; 16])), b"").await;
    f.put(&f.entry("eve", &bob), b"").await;
    f.put(&f.entry("ada", &nobodys), b"").await;
    f.put(&Key::new(f.entry("ada", &ada).context(), b"junk").unwrap(), b"").await;
    f.advance(LONG_AFTER);
    let checked = f.checked().await;
    assert_eq!((checked.sessions, checked.written, checked.removed), (3, 2, 5), "{checked:?}");
    assert_eq!((checked.early, checked.prolonged, checked.unreadable), (0, 0, 0), "{checked:?}");
    assert_eq!(f.listed("ada").await, sorted([ada, also_ada]));
    assert_eq!(f.listed("bob").await, [bob]);
    let again = f.checked().await;
    assert_eq!((again.sessions, again.entries, again.written, again.removed), (3, 3, 0, 0), "{again:?}");
}

async fn what_may_be_early_is_left_alone(f: Fixture) {
    f.put(&f.entry("ada", &Handle::from_bytes([7; 16])), b"").await;
    let checked = f.checked().await;
    assert_eq!((checked.entries, checked.early, checked.removed), (1, 1, 0));
    f.advance(LONG_AFTER);
    let checked = f.checked().await;
    assert_eq!((checked.entries, checked.early, checked.removed), (1, 0, 1));
}

async fn an_entry_that_would_go_before_its_session_stays_longer(f: Fixture) {
    let handle = f.open_for("ada").await.ticket.handle;
    let right = f.entries("ada").await[0].1.expires;
    let entry = f.entry("ada", &handle);
    f.lose(&entry).await;
    f.put_until(&entry, b"", f.clock_now().plus(Duration::from_mins(1))).await;
    assert_eq!(f.checked().await.prolonged, 1);
    assert_eq!(f.entries("ada").await[0].1.expires, right);
    assert_eq!(f.checked().await.prolonged, 0);
}

async fn who_left_everywhere_is_not_entered_again(f: Fixture) {
    for _ in 0..3 {
        f.open_for("ada").await;
    }
    f.end_all_of("ada").await;
    let next = f.open_for("ada").await.ticket.handle;
    f.advance(LONG_AFTER);
    let checked = f.checked().await;
    assert_eq!((checked.sessions, checked.written, checked.removed), (1, 0, 3), "{checked:?}");
    assert_eq!(f.checked().await.written, 0);
    assert_eq!(f.listed("ada").await, [next]);
}

async fn a_session_that_ends_while_its_entry_is_written_leaves_none(f: Fixture) {
    let opened = f.open_for("ada").await;
    f.lose(&f.entry("ada", &opened.ticket.handle)).await;
    // The check has seen the session, and is about to write its entry.
    let gate = f.hold_before(Which::Create);
    let cache = Arc::clone(&f.cache);
    let checking = tokio::spawn(async move { cache.check_index(|_| {}).await.unwrap() });
    gate.arrival().await;
    f.end(&opened.session).await.unwrap();
    // The end has removed what there was of an entry, before the one that comes now.
    f.quiet_but(1).await;
    gate.open();
    assert_eq!(checking.await.unwrap().written, 0);
    f.quiet().await;
    assert!(f.entries("ada").await.is_empty());
}

async fn a_session_that_cannot_be_read_is_left_alone(f: Fixture) {
    let handle = Handle::from_bytes([7; 16]);
    f.put(&f.key(&handle), b"of a newer build").await;
    f.put(&f.entry("ada", &handle), b"").await;
    f.advance(LONG_AFTER);
    let checked = f.checked().await;
    assert_eq!((checked.unreadable, checked.entries, checked.removed), (1, 1, 0), "{checked:?}");
}

async fn a_check_tells_how_far_it_is(f: Fixture) {
    for _ in 0..4 {
        f.open_for("ada").await;
    }
    let mut told = Vec::new();
    let checked = f.cache.check_index(|so_far| told.push(*so_far)).await.unwrap();
    assert!(told.is_sorted_by_key(|so_far| so_far.records));
    assert_eq!(told.last(), Some(&checked));
}
