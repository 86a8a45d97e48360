//! Law 2: writers of one cookie meet in the head, and lose nothing.

use std::sync::Arc;
use std::time::Duration;

use session::{Carried, OnConflict};

use super::{Fixture, narrow, on_every_engine, roomy, text};
use crate::heads::WINDOW;
use crate::tests::fixture::{MILLISECOND, entries, found, setting};
use crate::{Find, Patched};

on_every_engine!(
    writers_at_once_on_one_cookie_lose_nothing
    writers_on_two_nodes_lose_nothing
    writers_of_one_key_are_told
    a_cookie_from_before_is_answered_with_what_was_written_since
    a_head_is_forgotten_after_its_time
    an_older_cookie_never_takes_what_a_newer_one_holds
    what_does_not_fit_is_refused_and_told
    what_was_refused_once_is_not_let_in_the_next_time
    nothing_changed_is_nothing_written
);

const WRITERS: usize = 64;

async fn all_write(f: &Fixture, carried: &Arc<Carried>, nodes: &[Arc<crate::Cache>]) {
    let writers: Vec<_> = (0..WRITERS)
        .map(|number| {
            let (cache, application, carried) =
                (Arc::clone(&nodes[number % nodes.len()]), f.application.clone(), Arc::clone(carried));
            tokio::spawn(async move {
                let patch = setting(&carried.session, &format!("key{number}"), "1");
                cache.patch_carried(&carried, &patch, OnConflict::KeepFirst, &application, roomy).await
            })
        })
        .collect();
    for writer in writers {
        let patched = writer.await.unwrap().unwrap();
        assert!(matches!(&patched, Patched::Merged(_, merge) if merge.conflicts.is_empty()), "{patched:?}");
    }
    for cache in nodes {
        let there = found(cache.find_carried(carried, &f.application).await);
        assert_eq!(there.entries.len(), WRITERS + 1);
    }
}

async fn writers_at_once_on_one_cookie_lose_nothing(f: Fixture) {
    let carried = f.open_carried(None).await;
    all_write(&f, &carried, &[Arc::clone(&f.cache)]).await;
    // All that the visitor needs is in the cookie that follows.
    let refreshed = f.opens(&carried).await.refreshed.unwrap();
    f.advance(WINDOW * 2);
    assert_eq!(f.opens(&refreshed).await.session.entries.len(), WRITERS + 1);
}

async fn writers_on_two_nodes_lose_nothing(f: Fixture) {
    let f = Fixture::with(f.engine, |capabilities| capabilities.is_shared = true).await;
    let nodes = [Arc::clone(&f.cache), f.another_cache()];
    let carried = f.open_carried(None).await;
    all_write(&f, &carried, &nodes).await;
    assert_eq!(f.lies_there("head").await, (1, 0));
    assert_eq!(f.lies_there("session").await, (0, 0));
}

async fn writers_of_one_key_are_told(f: Fixture) {
    let carried = f.open_carried(None).await;
    f.write(&carried, "a", "first").await;
    let patched = f.try_to_write(&f.cache, &carried, "a", "late", roomy).await.unwrap();
    let Patched::Merged(session, merge) = patched else { panic!("{patched:?}") };
    assert_eq!((merge.conflicts.len(), &*entries(&session)), (1, "a=first"));
    // Whoever comes with whichever cookie is told, until it is settled.
    let seen = f.opens(&carried).await;
    assert_eq!(seen.session.conflicts.len(), 1);
    let told = seen.session.conflicts.clone();
    let settled = f.cache.settle_carried(&carried, &told, &f.application).await.unwrap().unwrap();
    assert!(settled.conflicts.is_empty());
    assert!(f.opens(&carried).await.session.conflicts.is_empty());
}

async fn a_cookie_from_before_is_answered_with_what_was_written_since(f: Fixture) {
    let carried = f.open_carried(None).await;
    let next = f.write(&carried, "b", "2").await;
    let there = f.opens(&carried).await;
    assert_eq!(text(&there), "a=1 b=2");
    assert_eq!(there.refreshed.unwrap().session.revision, next.session.revision);
    assert!(f.opens(&next).await.refreshed.is_none());
}

async fn a_head_is_forgotten_after_its_time(f: Fixture) {
    let carried = f.open_carried(None).await;
    let next = f.write(&carried, "b", "2").await;
    f.advance(WINDOW - MILLISECOND);
    assert_eq!(text(&f.opens(&carried).await), "a=1 b=2");
    f.advance(MILLISECOND);
    // From now on the cookies are all there is: the older one holds what it held.
    assert_eq!(text(&f.opens(&carried).await), "a=1");
    assert_eq!(text(&f.opens(&next).await), "a=1 b=2");
}

async fn an_older_cookie_never_takes_what_a_newer_one_holds(f: Fixture) {
    let old = f.open_carried(None).await;
    let new = f.write(&f.write(&old, "b", "2").await, "c", "3").await;
    f.advance(WINDOW * 2);
    // Somebody writes with the old one, and makes a head of what that holds.
    f.write(&old, "a", "old").await;
    assert_eq!(text(&f.opens(&new).await), "a=1 b=2 c=3");
    let next = f.write(&new, "d", "4").await;
    assert_eq!(text(&f.opens(&next).await), "a=1 b=2 c=3 d=4");
}

async fn what_does_not_fit_is_refused_and_told(f: Fixture) {
    let mut carried = f.open_carried(None).await;
    for name in ["b", "c", "d"] {
        carried = f.write(&carried, name, "1").await;
    }
    let patched = f.try_to_write(&f.cache, &carried, "e", "1", narrow).await.unwrap();
    assert!(matches!(patched, Patched::Unfit), "{patched:?}");
    let there = f.opens(&carried).await;
    assert_eq!(text(&there), "a=1 b=1 c=1 d=1");
    assert_eq!(&*there.session.conflicts[0].name, "e");
    assert_eq!(f.lies_there("session").await, (0, 0));
}

async fn what_was_refused_once_is_not_let_in_the_next_time(f: Fixture) {
    let mut carried = f.open_carried(None).await;
    for name in ["b", "c", "d"] {
        carried = f.write(&carried, name, "1").await;
    }
    for name in ["e", "f", "g"] {
        let patched = f.try_to_write(&f.cache, &carried, name, "1", narrow).await.unwrap();
        assert!(matches!(patched, Patched::Unfit), "{name}: {patched:?}");
    }
    let there = f.opens(&carried).await;
    assert_eq!((there.session.conflicts.len(), there.session.entries.len()), (3, 4));
}

async fn nothing_changed_is_nothing_written(f: Fixture) {
    let carried = f.open_carried(None).await;
    let patched = f.try_to_write(&f.cache, &carried, "a", "1", roomy).await.unwrap();
    let Patched::Merged(session, merge) = patched else { panic!("{patched:?}") };
    assert!(!merge.changed);
    assert!(f.cache.carry(&carried, session, &f.application).is_none());
    f.advance(Duration::from_millis(1));
    assert!(matches!(f.bring(&carried).await.unwrap(), Find::Found(there) if there.refreshed.is_none()));
}
