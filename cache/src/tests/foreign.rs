//! Sessions that another system names.

use std::time::Duration;

use session::{Millis, Patch, Principal, Revision, Ticket, Why};

use super::fixture::{Fixture, LIFETIME, MILLISECOND, entries};
use super::on_every_engine;
use crate::{Absence, Ended, OpenForeign, Opening, Rewriting, Rewritten};

on_every_engine!(
    an_id_names_one_session
    what_was_ended_does_not_come_back_under_its_id
    an_id_that_is_meant_to_come_back_does_and_late_writers_of_its_first_life_change_nothing
    a_session_counts_its_time_from_where_it_is_told
    who_it_belongs_to_can_be_said_later_and_a_logout_by_name_ends_it
    many_writers_lose_nothing
    of_writers_without_pause_nobody_is_sent_away
);

fn ticket() -> Ticket {
    Ticket::of_foreign("test", "0123456789abcdef")
}

fn ada() -> Principal {
    Principal::named("llng", "ada")
}

fn setting(pairs: &[(&str, &str)]) -> Patch {
    let mut patch = Patch::new(Revision::default());
    pairs.iter().for_each(|(name, value)| patch.set(name, (*value).into()));
    patch
}

impl Fixture {
    async fn open_at(&self, begun: Millis) -> OpenForeign {
        let opening = Opening { entries: setting(&[("a", "1")]), ..Opening::default() };
        self.cache.open_foreign(&ticket(), begun, &opening, &self.application).await.unwrap()
    }

    async fn open_foreign(&self) -> OpenForeign {
        self.open_at(self.clock_now()).await
    }

    async fn rewrite(&self, owner: Option<&Principal>, pairs: &[(&str, &str)]) -> Rewritten {
        let rewriting = Rewriting { patch: setting(pairs), begun: None };
        self.cache.rewrite(&ticket(), owner, &self.application, |_| rewriting.clone()).await.unwrap()
    }
}

async fn an_id_names_one_session(f: Fixture) {
    assert!(matches!(f.rewrite(None, &[("b", "2")]).await, Rewritten::Absent));
    assert!(matches!(f.open_foreign().await, OpenForeign::Opened(_)));
    assert!(matches!(f.open_foreign().await, OpenForeign::Exists));
    assert!(matches!(f.rewrite(None, &[("b", "2")]).await, Rewritten::Written(_)));
    assert_eq!(entries(&*f.found(&ticket()).await), "a=1 b=2");
    // An id whose handle is the same by chance proves nothing.
    let stranger = Ticket { handle: ticket().handle, ..Ticket::random().unwrap() };
    let rewriting = Rewriting { patch: setting(&[("a", "9")]), begun: None };
    let rewritten = f.cache.rewrite(&stranger, None, &f.application, |_| rewriting.clone()).await.unwrap();
    assert!(matches!(rewritten, Rewritten::Absent));
    assert_eq!(entries(&*f.found(&ticket()).await), "a=1 b=2");
}

async fn what_was_ended_does_not_come_back_under_its_id(mut f: Fixture) {
    let OpenForeign::Opened(session) = f.open_foreign().await else { panic!("it was not opened") };
    f.end(&session).await.unwrap();
    for _ in 0..2 {
        assert!(matches!(f.open_foreign().await, OpenForeign::Ended(ending) if ending.why == Why::Logout));
        assert!(matches!(f.rewrite(None, &[("b", "2")]).await, Rewritten::Ended(_)));
        assert_eq!(f.ending(&ticket()).await.why, Why::Logout);
        f.crash();
    }
}

async fn an_id_that_is_meant_to_come_back_does_and_late_writers_of_its_first_life_change_nothing(f: Fixture) {
    f.open_foreign().await;
    let ending = f.logout();
    assert_eq!(f.cache.end_life(&ticket(), ending.clone()).await.unwrap(), Ended::Now);
    assert_eq!(f.cache.end_life(&ticket(), ending).await.unwrap(), Ended::Before);
    assert_eq!(f.absence(&ticket()).await, Absence::Unknown);
    assert!(matches!(f.rewrite(None, &[("late", "1")]).await, Rewritten::Absent));
    assert!(matches!(f.open_foreign().await, OpenForeign::Opened(_)));
    assert_eq!(entries(&*f.found(&ticket()).await), "a=1");
}

async fn a_session_counts_its_time_from_where_it_is_told(f: Fixture) {
    // As whoever wants it to last a minute says it.
    let minute = Duration::from_secs(60);
    f.open_at(f.clock_now().plus(minute).minus(LIFETIME)).await;
    f.advance(minute - MILLISECOND);
    f.found(&ticket()).await;
    let begun = f.clock_now().plus(minute).minus(LIFETIME);
    let rewriting = Rewriting { patch: setting(&[]), begun: Some(begun) };
    let rewritten = f.cache.rewrite(&ticket(), None, &f.application, |_| rewriting.clone()).await.unwrap();
    assert!(matches!(rewritten, Rewritten::Written(session) if session.begun == begun));
    f.advance(minute - MILLISECOND);
    f.found(&ticket()).await;
    f.advance(MILLISECOND);
    assert_eq!(f.ending(&ticket()).await.why, Why::Lifetime);
}

async fn who_it_belongs_to_can_be_said_later_and_a_logout_by_name_ends_it(f: Fixture) {
    f.open_foreign().await;
    assert!(matches!(f.rewrite(Some(&ada()), &[("b", "2")]).await, Rewritten::Written(_)));
    assert!(matches!(f.rewrite(Some(&ada()), &[("b", "3")]).await, Rewritten::Written(_)));
    let listing = f.cache.list(&ada(), None, 10).await.unwrap();
    assert_eq!(listing.sessions.len(), 1);
    f.cache
        .end_where(
            session::Selector {
                whose: session::Whose::Person { principal: ada(), indexes: Vec::new() },
                begun_before: None,
                late: None,
            },
            f.logout(),
        )
        .await
        .unwrap();
    assert_eq!(f.ending(&ticket()).await.why, Why::Logout);
    assert!(matches!(f.rewrite(Some(&ada()), &[("late", "1")]).await, Rewritten::Ended(_)));
}

async fn many_writers_lose_nothing(f: Fixture) {
    f.open_foreign().await;
    let nodes = [std::sync::Arc::clone(&f.cache), f.another_cache()];
    let writers = (0..32).map(|number| {
        let (node, application) = (std::sync::Arc::clone(&nodes[number % 2]), f.application.clone());
        tokio::spawn(async move {
            let name = format!("k{number}");
            let rewriting = Rewriting { patch: setting(&[(&name, "1")]), begun: None };
            let owner = (number % 3 == 0).then(ada);
            node.rewrite(&ticket(), owner.as_ref(), &application, |_| rewriting.clone()).await.unwrap()
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        assert!(matches!(writer.await.unwrap(), Rewritten::Written(_)));
    }
    let session = f.another_cache().find(&ticket(), &f.application).await.unwrap();
    let crate::Find::Found(found) = session else { panic!("{session:?}") };
    assert_eq!(found.session.entries.len(), 33);
    assert_eq!(found.session.principal, Some(ada()));
}

/// Each writes again as soon as its write is done: of those who lose, nobody may lose until the end.
async fn of_writers_without_pause_nobody_is_sent_away(f: Fixture) {
    f.open_foreign().await;
    let writers = (0..8).map(|writer| {
        let (node, application) = (std::sync::Arc::clone(&f.cache), f.application.clone());
        tokio::spawn(async move {
            for number in 0..100 {
                let rewriting =
                    Rewriting { patch: setting(&[("x", &format!("{writer} {number}"))]), begun: None };
                let done = node.rewrite(&ticket(), None, &application, |_| rewriting.clone()).await;
                assert!(matches!(done.unwrap(), Rewritten::Written(_)));
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
}
