//! Entries against readers who take them for stale: no live session is missing in the end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use session::Timeouts;
use storage::faulty::{Fault, Gate, Which};
use tokio::task::JoinHandle;

use super::{Fixture, LONG_AFTER, listed, on_every_engine, person};
use crate::tests::fixture::{application, eventually, opened, renewed};
use crate::{Opening, Renew};

on_every_engine!(
    an_entry_is_there_before_its_session_and_a_reader_leaves_it
    an_opening_that_takes_too_long_enters_its_session_again
    a_reader_does_not_remove_what_a_login_has_just_entered
    openers_enders_readers_and_a_check_agree_in_the_end
);

impl Fixture {
    /// The next operation of this kind passes, and the one after it waits at the gate before anything is done.
    fn hold_second(&self, which: Which) -> Gate {
        self.faults.fail_once(which, Fault::Delay(Duration::ZERO));
        self.hold_before(which)
    }

    fn opening(&self, name: &str) -> JoinHandle<session::Handle> {
        let (cache, application) = (Arc::clone(&self.cache), self.application.clone());
        let entries = self.renewal(None).patch;
        let opening = Opening { principal: Some(person(name)), entries, ..Opening::default() };
        tokio::spawn(async move { opened(cache.open(opening, &application).await).ticket.handle })
    }
}

async fn an_entry_is_there_before_its_session_and_a_reader_leaves_it(f: Fixture) {
    let gate = f.hold_second(Which::Create);
    let opening = f.opening("ada");
    gate.arrival().await;
    assert_eq!(f.entries("ada").await.len(), 1);
    assert!(f.listed("ada").await.is_empty());
    f.cache.check_index(|_| {}).await.unwrap();
    assert_eq!(f.entries("ada").await.len(), 1);
    gate.open();
    let handle = opening.await.unwrap();
    assert_eq!(f.listed("ada").await, [handle]);
}

async fn an_opening_that_takes_too_long_enters_its_session_again(f: Fixture) {
    let gate = f.hold_second(Which::Create);
    let opening = f.opening("ada");
    gate.arrival().await;
    f.advance(LONG_AFTER);
    assert!(f.listed("ada").await.is_empty());
    eventually(async || f.entries("ada").await.is_empty()).await;
    gate.open();
    let handle = opening.await.unwrap();
    assert_eq!(f.listed("ada").await, [handle]);
}

async fn a_reader_does_not_remove_what_a_login_has_just_entered(f: Fixture) {
    let opened = f.open().await;
    // A login that came to nothing has left an entry.
    f.put(&f.entry("ada", &opened.ticket.handle), b"").await;
    f.advance(LONG_AFTER);
    // A reader has seen that entry, and that the session is nobody's, and is about to remove it.
    let gate = f.hold_before(Which::Bury);
    assert!(f.listed("ada").await.is_empty());
    gate.arrival().await;
    let (_, ticket) = renewed(f.renew(&opened.ticket, Some("ada")).await);
    gate.open();
    f.quiet().await;
    assert_eq!(f.listed("ada").await, [ticket.handle]);
}

async fn openers_enders_readers_and_a_check_agree_in_the_end(mut f: Fixture) {
    const ROUNDS: usize = 60;
    // Time flies, and is no reason for an end.
    f.application = application("endless", Timeouts { idle: Duration::ZERO, lifetime: Duration::ZERO });
    let f = Arc::new(f);
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<JoinHandle<()>> = [true, false]
        .into_iter()
        .map(|lists| {
            let (f, stop) = (Arc::clone(&f), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    if lists {
                        listed(&f.cache, "ada").await;
                    } else {
                        f.cache.check_index(|_| {}).await.unwrap();
                    }
                    // Every entry is old at once, also that of a session that is just coming.
                    f.advance(LONG_AFTER / 40);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let writers: Vec<JoinHandle<Vec<session::Handle>>> = (0..4)
        .map(|number| {
            let f = Arc::clone(&f);
            tokio::spawn(async move { one_after_another(&f, number, ROUNDS).await })
        })
        .collect();
    let mut live = BTreeSet::new();
    for writer in writers {
        live.extend(writer.await.unwrap());
    }
    stop.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
    f.quiet().await;
    let live: Vec<_> = live.into_iter().collect();
    assert!(!live.is_empty());
    assert_eq!(f.listed("ada").await, live);
    let checked = f.cache.check_index(|_| {}).await.unwrap();
    assert_eq!((checked.written, checked.sessions), (0, live.len() as u64), "{checked:?}");
}

/// Opens sessions, logs in to some that were nobody's, and ends two of three; those that live on.
async fn one_after_another(f: &Fixture, number: usize, rounds: usize) -> Vec<session::Handle> {
    let mut live = Vec::new();
    for round in 0..rounds {
        let session = if (round + number).is_multiple_of(2) {
            f.open_for("ada").await.session
        } else {
            let opened = f.open().await;
            match f.renew(&opened.ticket, Some("ada")).await.unwrap() {
                Renew::Renewed(session, ..) => session,
                other => panic!("{other:?}"),
            }
        };
        if round % 3 == 0 {
            live.push(session.handle);
        } else {
            f.end(&session).await.unwrap();
        }
    }
    live
}
