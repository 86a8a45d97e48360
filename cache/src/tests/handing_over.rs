//! Two processes over one storage for a while, without a change stream between them: the one that goes and the one that
//! takes its place.

use std::sync::Arc;

use session::OnConflict;
use storage::{Read, Storage as _};

use super::fixture::{IDLE, TOUCH_INTERVAL, entries, found, merged, setting};
use super::{Fixture, on_every_engine};
use crate::{Cache, Find, Patched};

on_every_engine!(
    a_logout_in_the_next_process_holds_at_once_in_the_one_before
    a_logout_in_the_process_that_goes_holds_at_once_in_the_next
    an_update_in_flight_does_not_survive_a_logout_in_the_next_process
    what_the_one_before_wrote_last_is_not_hidden_by_a_copy
    nobody_is_idle_whom_the_other_process_saw
);

/// The process that takes the place of the fixture's.
fn next(f: &Fixture) -> Arc<Cache> {
    f.cache.begin_sharing();
    let next = f.another_cache();
    next.begin_sharing();
    next
}

async fn a_logout_in_the_next_process_holds_at_once_in_the_one_before(f: Fixture) {
    let opened = f.open().await;
    f.found(&opened.ticket).await;
    let next = next(&f);
    found(next.find(&opened.ticket, &f.application).await);
    next.end(&opened.session, f.logout(), &f.application).await.unwrap();
    f.ending(&opened.ticket).await;
}

async fn a_logout_in_the_process_that_goes_holds_at_once_in_the_next(f: Fixture) {
    let opened = f.open().await;
    let next = next(&f);
    found(next.find(&opened.ticket, &f.application).await);
    f.cache.end(&opened.session, f.logout(), &f.application).await.unwrap();
    let answer = next.find(&opened.ticket, &f.application).await.unwrap();
    assert!(matches!(answer, Find::Ended(_)), "{answer:?}");
    // And still when the other one is gone, and copies are believed again.
    next.end_sharing();
    let answer = next.find(&opened.ticket, &f.application).await.unwrap();
    assert!(matches!(answer, Find::Ended(_)), "{answer:?}");
}

async fn an_update_in_flight_does_not_survive_a_logout_in_the_next_process(f: Fixture) {
    let opened = f.open().await;
    let seen = f.found(&opened.ticket).await;
    let next = next(&f);
    next.end(&opened.session, f.logout(), &f.application).await.unwrap();
    let patch = setting(&seen, "a", "late");
    let patched = f.cache.patch(&opened.ticket.handle, &patch, OnConflict::Overwrite, &f.application).await;
    assert!(matches!(patched, Ok(Patched::Ended(_))), "{patched:?}");
    f.ending(&opened.ticket).await;
    let key = f.cache.key(&opened.ticket.handle).unwrap();
    assert!(matches!(f.probe.read(&key, None).await.unwrap(), Read::Buried(_)));
}

async fn what_the_one_before_wrote_last_is_not_hidden_by_a_copy(f: Fixture) {
    let opened = f.open().await;
    let next = next(&f);
    found(next.find(&opened.ticket, &f.application).await);
    let patch = setting(&opened.session, "a", "2");
    merged(f.cache.patch(&opened.ticket.handle, &patch, OnConflict::KeepFirst, &f.application).await);
    next.end_sharing();
    assert_eq!(entries(&found(next.find(&opened.ticket, &f.application).await)), "a=2");
}

async fn nobody_is_idle_whom_the_other_process_saw(f: Fixture) {
    let next = next(&f);
    let opened = f.open().await;
    // The next one knows of one use, and believes that it is the only one.
    found(next.find(&opened.ticket, &f.application).await);
    f.advance(IDLE - TOUCH_INTERVAL);
    f.found(&opened.ticket).await;
    f.quiet().await;
    f.advance(TOUCH_INTERVAL * 2);
    found(next.find(&opened.ticket, &f.application).await);
}
