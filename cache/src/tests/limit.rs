//! How many sessions a person may have: kept also where many log in at the same moment, on several nodes.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use session::{Ending, Principal, Why};
use storage::faulty::{Fault, Which};

use super::fixture::{Fixture, IDLE, TOUCH_INTERVAL};
use super::on_every_engine;
use crate::{Cache, Find, Life, Opened, Opening, SessionLimit, WhenFull};

const SECOND: Duration = Duration::from_secs(1);

on_every_engine!(
    the_oldest_gives_way_and_says_why
    there_is_no_room_for_one_more_and_nothing_is_ended
    what_is_over_makes_room
    a_session_that_goes_is_not_in_the_way
    of_many_at_once_as_many_stay_as_may
    the_last_who_looks_sees_all_the_others
    another_realm_and_another_person_are_not_counted
    who_has_logged_in_once_more_is_the_youngest
    a_limit_that_is_new_holds_with_the_next_login
    without_storage_nobody_is_said_to_have_room
);

fn limit(most: usize, when_full: WhenFull) -> SessionLimit {
    SessionLimit { most: NonZeroUsize::new(most).unwrap(), when_full }
}

fn ada() -> Principal {
    Principal::named("test", "ada")
}

impl Fixture {
    fn by_limit(&self) -> Ending {
        let from = Some("192.0.2.7".parse().unwrap());
        Ending { from, ..Ending::new(self.clock_now(), Why::Limit, "shop") }
    }

    async fn hold(&self, cache: &Arc<Cache>, limit: SessionLimit) -> Vec<session::Handle> {
        cache.hold_to(&ada(), &limit, &self.application.realm, self.by_limit()).await.unwrap()
    }

    async fn has_room(&self, but: &[session::Handle], limit: SessionLimit) -> bool {
        self.cache.has_room(&ada(), but, &limit, &self.application.realm).await.unwrap()
    }

    /// So many sessions of Ada's, a second apart.
    async fn several(&self, count: usize) -> Vec<Opened> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(self.open_for("ada").await);
            self.advance(SECOND);
        }
        all
    }

    async fn live_of(&self, all: &[Opened]) -> Vec<usize> {
        let mut live = Vec::new();
        for (index, opened) in all.iter().enumerate() {
            if self.is_found(&opened.ticket).await {
                live.push(index);
            }
        }
        live
    }
}

async fn the_oldest_gives_way_and_says_why(f: Fixture) {
    let all = f.several(4).await;
    let limit = limit(3, WhenFull::EndOldest);
    assert!(f.has_room(&[], limit).await, "there always is");
    let ending = f.by_limit();
    assert_eq!(f.hold(&f.cache, limit).await, [all[0].ticket.handle]);
    assert_eq!(f.live_of(&all).await, [1, 2, 3]);
    assert_eq!(f.ending(&all[0].ticket).await, ending);
    assert_eq!(f.cache.why(&all[0].ticket.handle).await.unwrap(), Life::Ended(ending));
    assert!(f.hold(&f.cache, limit).await.is_empty(), "that is enough");
}

async fn there_is_no_room_for_one_more_and_nothing_is_ended(f: Fixture) {
    let all = f.several(2).await;
    assert!(f.has_room(&[], limit(3, WhenFull::Refuse)).await);
    assert!(!f.has_room(&[], limit(2, WhenFull::Refuse)).await);
    assert!(!f.has_room(&[], limit(1, WhenFull::Refuse)).await);
    assert!(f.hold(&f.cache, limit(2, WhenFull::Refuse)).await.is_empty());
    assert_eq!(f.live_of(&all).await, [0, 1]);
}

async fn what_is_over_makes_room(f: Fixture) {
    let all = f.several(2).await;
    let limit = limit(2, WhenFull::Refuse);
    f.end(&all[0].session).await.unwrap();
    assert!(f.has_room(&[], limit).await, "one has logged out");
    f.several(1).await;
    assert!(!f.has_room(&[], limit).await);
    f.advance(IDLE + TOUCH_INTERVAL);
    assert!(f.has_room(&[], limit).await, "nobody has used them for long");
}

async fn a_session_that_goes_is_not_in_the_way(f: Fixture) {
    let all = f.several(2).await;
    let limit = limit(2, WhenFull::Refuse);
    assert!(f.has_room(&[all[1].ticket.handle], limit).await);
    assert!(!f.has_room(&[session::Handle::random().unwrap()], limit).await);
}

/// Each looks before and after, as the gateway does, and none waits for another.
async fn of_many_at_once_as_many_stay_as_may(mut f: Fixture) {
    const MOST: usize = 3;
    for when_full in [WhenFull::Refuse, WhenFull::EndOldest] {
        let limit = limit(MOST, when_full);
        let nodes = [Arc::clone(&f.cache), f.another_cache()];
        for node in &nodes {
            node.reckon_with(&f.application.realm);
        }
        let logins = (0..12).map(|index| {
            let (node, application) = (Arc::clone(&nodes[index % 2]), f.application.clone());
            let ending = f.by_limit();
            tokio::spawn(async move {
                if !node.has_room(&ada(), &[], &limit, &application.realm).await.unwrap() {
                    return None;
                }
                let opening = Opening { principal: Some(ada()), ..Opening::default() };
                let opened = node.open(opening, &application).await.unwrap().opened().unwrap();
                node.hold_to(&ada(), &limit, &application.realm, ending).await.unwrap();
                Some(opened)
            })
        });
        let logins: Vec<_> = logins.collect();
        let mut all = Vec::new();
        for login in logins {
            all.extend(login.await.unwrap());
        }
        // Nobody tells these nodes of what the other did; one more sees what storage has.
        f.crash();
        assert_eq!(f.live_of(&all).await.len(), MOST, "{when_full:?}");
        for opened in &all {
            let life = f.cache.why(&opened.ticket.handle).await.unwrap();
            assert!(
                matches!(&life, Life::Live)
                    || matches!(&life, Life::Ended(ending) if ending.why == Why::Limit)
            );
            f.end(&opened.session).await.unwrap();
        }
        f.advance(SECOND);
    }
}

/// One who began first and comes last sees those who looked before it was there.
async fn the_last_who_looks_sees_all_the_others(f: Fixture) {
    let limit = limit(1, WhenFull::Refuse);
    let gate = f.hold_before(Which::Create);
    let (cache, application) = (Arc::clone(&f.cache), f.application.clone());
    let late = tokio::spawn(async move {
        let opening = Opening { principal: Some(ada()), ..Opening::default() };
        cache.open(opening, &application).await.unwrap().opened().unwrap()
    });
    gate.arrival().await;
    f.advance(SECOND);
    let quick = f.open_for("ada").await;
    assert!(f.hold(&f.cache, limit).await.is_empty(), "it is alone");
    gate.open();
    let late = late.await.unwrap();
    assert_eq!(f.hold(&f.cache, limit).await, [quick.ticket.handle], "it began later");
    assert_eq!(f.live_of(&[late, quick]).await, [0]);
}

async fn another_realm_and_another_person_are_not_counted(f: Fixture) {
    let elsewhere = super::fixture::application("wiki", f.application.timeouts);
    f.cache.reckon_with(&elsewhere.realm);
    let opening = Opening { principal: Some(ada()), ..Opening::default() };
    let of_wiki = f.cache.open(opening, &elsewhere).await.unwrap().opened().unwrap();
    let of_bob = f.open_for("bob").await;
    let of_nobody = f.open().await;
    let own = f.several(1).await;
    let limit = limit(1, WhenFull::EndOldest);
    assert!(f.hold(&f.cache, limit).await.is_empty());
    let next = f.open_for("ada").await;
    assert_eq!(f.hold(&f.cache, limit).await, [own[0].ticket.handle]);
    assert!(matches!(f.cache.find(&of_wiki.ticket, &elsewhere).await.unwrap(), Find::Found(_)));
    for ticket in [&of_bob.ticket, &of_nobody.ticket, &next.ticket] {
        assert!(f.is_found(ticket).await);
    }
}

async fn who_has_logged_in_once_more_is_the_youngest(f: Fixture) {
    let all = f.several(2).await;
    assert_eq!(f.hold(&f.cache, limit(1, WhenFull::EndOldest)).await, [all[0].ticket.handle]);
    // The one that stays is the youngest by its login, not by when it was opened.
    f.advance(SECOND);
    let third = f.open_for("ada").await;
    f.advance(SECOND);
    let (_, ticket) = super::fixture::renewed(f.renew(&all[1].ticket, Some("ada")).await);
    assert_eq!(f.hold(&f.cache, limit(1, WhenFull::EndOldest)).await, [third.ticket.handle]);
    assert!(f.is_found(&ticket).await);
}

async fn a_limit_that_is_new_holds_with_the_next_login(f: Fixture) {
    let all = f.several(40).await;
    assert!(!f.has_room(&[], limit(5, WhenFull::Refuse)).await);
    assert_eq!(f.hold(&f.cache, limit(5, WhenFull::EndOldest)).await.len(), 35);
    assert_eq!(f.live_of(&all).await, [35, 36, 37, 38, 39]);
}

async fn without_storage_nobody_is_said_to_have_room(f: Fixture) {
    let all = f.several(2).await;
    f.faults.fail(Which::Other, Fault::Refuse);
    let (limit, realm) = (limit(1, WhenFull::Refuse), &f.application.realm);
    f.cache.has_room(&ada(), &[], &limit, realm).await.unwrap_err();
    f.cache.hold_to(&ada(), &limit, realm, f.by_limit()).await.unwrap_err();
    f.faults.heal();
    assert_eq!(f.live_of(&all).await, [0, 1], "nobody is logged out by an outage");
    assert_eq!(f.hold(&f.cache, limit).await, [all[1].ticket.handle]);
}
