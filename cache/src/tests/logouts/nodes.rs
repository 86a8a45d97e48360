//! Logouts and several nodes: what one ends the others refuse.

use session::{Selector, Whose};

use super::super::carrying::{is_over, opens};
use super::super::fixture::{MILLISECOND, ended, eventually, found, opened};
use super::super::presence::shared;
use super::super::{Engine, Fixture};
use super::{all, issued, of_indexes, opening, person, realm};
use crate::{Find, Opened};

/// What one node ends the other hears, of every kind; and what it does not hear it asks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_nodes_refuse_what_was_ended_heard_or_not() {
    for is_cut in [false, true] {
        let f = shared().await;
        let (here, there) = (f.node("here").await, f.node("there").await);
        eventually(async || here.nodes().len() == 2 && there.nodes().len() == 2).await;
        there.probe.cut(is_cut);
        eventually(async || there.is_deaf() == is_cut).await;
        for selector in [
            of_indexes(&["1"]),
            issued(&["1"]),
            all(),
            realm("shop"),
            Selector { begun_before: Some(f.clock_now()), ..Selector::all(Whose::Everybody) },
            Selector::all(Whose::Everybody),
        ] {
            let both = f.both(Some(person(Some("1")))).await;
            let nobodys = f.both(None).await;
            for both in [&both, &nobodys] {
                found(there.find(&both.ticket, &f.application).await);
                opens(there.find_carried(&both.carried, &f.application).await);
            }
            f.advance(MILLISECOND);
            let selector = match selector.begun_before {
                Some(_) => Selector { begun_before: Some(f.clock_now()), ..selector },
                None => selector,
            };
            f.advance(MILLISECOND);
            let ended_all = here.end_where(selector.clone(), f.logout()).await.unwrap();
            if !is_cut {
                let receipt = here.receipt(ended_all.end).await;
                assert!(receipt.is_whole(), "{selector:?} {receipt}");
            }
            ended(there.find(&both.ticket, &f.application).await);
            is_over(there.find_carried(&both.carried, &f.application).await);
            let is_wide = matches!(selector.whose, Whose::Realm(_) | Whose::Everybody);
            let answer = there.find(&nobodys.ticket, &f.application).await.unwrap();
            assert_eq!(matches!(answer, Find::Ended(_)), is_wide, "{selector:?}");
        }
    }
}

/// A login at a node that has not heard of the end yet.
#[tokio::test]
async fn who_was_not_known_to_be_ended_is_over_when_it_is_heard() {
    let f = Fixture::over(Engine::Tiered).await;
    let other = f.another_cache();
    let opening = || opening(Some(person(None)), None);
    let first: Opened = opened(other.open(opening(), &f.application).await);
    found(other.find(&first.ticket, &f.application).await);
    f.log_out(Selector::all(Whose::Everybody)).await;
    // It has heard nothing: what it opens remembers the earlier counter.
    let late = opened(other.open(opening(), &f.application).await);
    let fresh = opened(f.cache.open(opening(), &f.application).await);
    ended(f.find(&late.ticket).await);
    found(f.find(&fresh.ticket).await);
}
