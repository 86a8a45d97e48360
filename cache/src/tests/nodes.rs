//! Several caches over one storage: what one does becomes visible to the others.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use session::OnConflict;
use storage::faulty::Which;

use super::fixture::{entries, eventually, found, merged, setting};
use super::{Fixture, on_every_engine};
use crate::{Application, Cache, Find, Opened};

on_every_engine!(
    a_patch_elsewhere_becomes_visible_here
    an_end_elsewhere_becomes_visible_here
    a_fill_under_way_is_not_older_than_a_notice
    a_gap_makes_everything_be_asked_for_again
    a_gap_spares_nobody_who_is_being_read
    writers_on_two_nodes_lose_nothing
    a_stream_that_could_not_be_opened_is_opened_later
    no_copy_is_believed_while_nothing_is_heard_of_others
    the_house_removes_what_expired
);

async fn entries_at(cache: &Cache, opened: &Opened, application: &Application) -> String {
    entries(&found(cache.find(&opened.ticket, application).await))
}

async fn a_patch_elsewhere_becomes_visible_here(f: Fixture) {
    let (opened, other) = (f.open().await, f.another_cache());
    let _house = f.keep_house(&f.cache).await;
    f.found(&opened.ticket).await;
    let patch = setting(&opened.session, "a", "2");
    merged(other.patch(&opened.ticket.handle, &patch, OnConflict::KeepFirst, &f.application).await);
    eventually(async || entries_at(&f.cache, &opened, &f.application).await == "a=2").await;
    assert_eq!(entries_at(&other, &opened, &f.application).await, "a=2");
}

async fn an_end_elsewhere_becomes_visible_here(f: Fixture) {
    let (opened, other) = (f.open().await, f.another_cache());
    let _house = f.keep_house(&f.cache).await;
    f.found(&opened.ticket).await;
    other.end(&opened.session, f.logout(), &f.application).await.unwrap();
    eventually(async || !f.is_found(&opened.ticket).await).await;
    f.ending(&opened.ticket).await;
}

async fn a_fill_under_way_is_not_older_than_a_notice(mut f: Fixture) {
    if !f.has_first_tier() {
        return;
    }
    let other = f.another_cache();
    for is_end in [true, false] {
        let opened = f.open().await;
        f.crash();
        let _house = f.keep_house(&f.cache).await;
        // Given a fill here that has the record in hand,
        let gate = f.hold_after(Which::Read);
        let find = tokio::spawn({
            let (cache, application, ticket) =
                (Arc::clone(&f.cache), f.application.clone(), opened.ticket.clone());
            async move { cache.find(&ticket, &application).await }
        });
        gate.arrival().await;
        // when another node changes the session, and this one hears of that and of a later change,
        if is_end {
            other.end(&opened.session, f.logout(), &f.application).await.unwrap();
        } else {
            let patch = setting(&opened.session, "a", "2");
            merged(other.patch(&opened.ticket.handle, &patch, OnConflict::KeepFirst, &f.application).await);
        }
        hears_what_was_said(&f, &other).await;
        gate.open();
        // then the copy in hand is not what it answers with, nor what it keeps.
        match find.await.unwrap().unwrap() {
            Find::Found(found) => assert_eq!((is_end, &*entries(&found.session)), (false, "a=2")),
            other => assert!(is_end && matches!(other, Find::Ended(_)), "{other:?}"),
        }
    }
}

/// Waits until this node heard a notice that comes after all that were given so far.
async fn hears_what_was_said(f: &Fixture, other: &Arc<Cache>) {
    let marker = f.open().await;
    f.found(&marker.ticket).await;
    let patch = setting(&marker.session, "a", "said");
    merged(other.patch(&marker.ticket.handle, &patch, OnConflict::KeepFirst, &f.application).await);
    eventually(async || entries_at(&f.cache, &marker, &f.application).await == "a=said").await;
}

async fn a_gap_makes_everything_be_asked_for_again(f: Fixture) {
    let (opened, other) = (f.open().await, f.another_cache());
    f.found(&opened.ticket).await;
    let patch = setting(&opened.session, "a", "2");
    merged(other.patch(&opened.ticket.handle, &patch, OnConflict::KeepFirst, &f.application).await);
    // The stream begins after the change: what came before it is not known.
    let _house = f.keep_house(&f.cache).await;
    eventually(async || entries_at(&f.cache, &opened, &f.application).await == "a=2").await;
    let before = f.probe.reads.load(std::sync::atomic::Ordering::SeqCst);
    f.probe.gap();
    eventually(async || {
        f.found(&opened.ticket).await;
        f.probe.reads.load(std::sync::atomic::Ordering::SeqCst) > before
    })
    .await;
}

async fn a_gap_spares_nobody_who_is_being_read(mut f: Fixture) {
    let (opened, other) = (f.open().await, f.another_cache());
    f.crash();
    let gate = f.hold_after(Which::Read);
    let find = tokio::spawn({
        let (cache, application, ticket) =
            (Arc::clone(&f.cache), f.application.clone(), opened.ticket.clone());
        async move { entries(&found(cache.find(&ticket, &application).await)) }
    });
    gate.arrival().await;
    let patch = setting(&opened.session, "a", "2");
    merged(other.patch(&opened.ticket.handle, &patch, OnConflict::KeepFirst, &f.application).await);
    f.cache.tier.doubt_all();
    gate.open();
    assert_eq!(find.await.unwrap(), "a=2");
}

async fn writers_on_two_nodes_lose_nothing(f: Fixture) {
    let (opened, other) = (f.open().await, f.another_cache());
    let (_house, _other) = (f.keep_house(&f.cache).await, f.keep_house(&other).await);
    let writers: Vec<_> = (0..64)
        .map(|number| {
            let cache = Arc::clone(if number % 2 == 0 { &f.cache } else { &other });
            let (application, seen) = (f.application.clone(), Arc::clone(&opened.session));
            tokio::spawn(async move {
                let patch = setting(&seen, &format!("k{number}"), "x");
                merged(cache.patch(&seen.handle, &patch, OnConflict::KeepFirst, &application).await)
            })
        })
        .collect();
    for writer in writers {
        assert!(writer.await.unwrap().1.conflicts.is_empty());
    }
    for cache in [&f.cache, &other] {
        eventually(async || found(cache.find(&opened.ticket, &f.application).await).entries.len() == 65)
            .await;
    }
}

async fn no_copy_is_believed_while_nothing_is_heard_of_others(f: Fixture) {
    if !f.has_first_tier() {
        return;
    }
    // Given nodes that share their storage, one of which cannot follow the changes,
    let f = Fixture::with(f.engine, |capabilities| capabilities.is_shared = true).await;
    f.probe.cut(true);
    let house = tokio::spawn(Arc::clone(&f.cache).keep_house());
    let opened = f.open().await;
    let is_asked = async || {
        let before = f.probe.reads.load(Ordering::SeqCst);
        f.found(&opened.ticket).await;
        f.probe.reads.load(Ordering::SeqCst) > before
    };
    // then it asks for each request,
    eventually(async || is_asked().await).await;
    assert!(is_asked().await && is_asked().await);
    // and an end elsewhere holds there at once.
    let another = f.open().await;
    f.found(&another.ticket).await;
    f.another_cache().end(&another.session, f.logout(), &f.application).await.unwrap();
    f.ending(&another.ticket).await;
    // When it hears again, it serves its copies.
    f.probe.cut(false);
    eventually(async || !is_asked().await).await;
    house.abort();
}

async fn a_stream_that_could_not_be_opened_is_opened_later(f: Fixture) {
    let (opened, other) = (f.open().await, f.another_cache());
    f.probe.cut(true);
    let house = tokio::spawn(Arc::clone(&f.cache).keep_house());
    tokio::task::yield_now().await;
    f.found(&opened.ticket).await;
    let patch = setting(&opened.session, "a", "2");
    merged(other.patch(&opened.ticket.handle, &patch, OnConflict::KeepFirst, &f.application).await);
    f.probe.cut(false);
    eventually(async || entries_at(&f.cache, &opened, &f.application).await == "a=2").await;
    house.abort();
}

async fn the_house_removes_what_expired(f: Fixture) {
    let opened = f.open().await;
    f.end(&opened.session).await.unwrap();
    f.advance(Duration::from_secs(30 * 86_400));
    let _house = f.keep_house(&f.cache).await;
    eventually(async || f.cache.counters.reaped.get() == 1).await;
}
