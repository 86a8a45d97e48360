//! Receipts: whoever confirmed refuses the session, and whoever did not is named.

use std::time::Duration;

use session::{Principal, Selector, Why};
use storage::faulty::{Fault, Which};

use super::Fixture;
use super::carrying::end_all_of;
use super::fixture::{ended, eventually};
use super::presence::{Node, names, shared};
use crate::{Acknowledged, Count, Ended, Find, Opened, Receipt, Tally};

const SECOND: Duration = Duration::from_secs(1);

/// Nodes that know each other; `b` hears nothing in contexts that begin so.
async fn three(f: &Fixture, lost: Option<&'static str>) -> [Node; 3] {
    let nodes =
        [f.node("a").await, f.node_with("b", super::fixture::SETTINGS, lost).await, f.node("c").await];
    eventually(async || nodes.iter().all(|node| node.nodes().len() == 3)).await;
    nodes
}

/// Ends the session at the first of them.
async fn end(f: &Fixture, node: &Node, opened: &Opened) -> Acknowledged {
    let ended = node.end(&opened.session, f.logout(), &f.application).await.unwrap();
    Acknowledged::of(&opened.session, Why::Logout, ended)
}

/// Who confirmed, and who was silent.
fn said(receipt: &Receipt) -> [String; 2] {
    [names(&receipt.confirmed), names(&receipt.silent)]
}

async fn find(f: &Fixture, node: &Node, opened: &Opened) -> Find {
    node.find(&opened.ticket, &f.application).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn everybody_confirms_and_says_so_no_sooner_than_it_is_true() {
    let f = shared().await;
    // The notice of the end itself is lost on the way to one of them.
    let nodes = three(&f, Some("session.")).await;
    let opened = f.open_for("ada").await;
    for node in &nodes {
        assert!(matches!(find(&f, node, &opened).await, Find::Found(_)));
    }
    let end = end(&f, &nodes[0], &opened).await;
    tokio::time::sleep(SECOND).await;
    assert!(matches!(find(&f, &nodes[1], &opened).await, Find::Found(_)), "it has heard nothing");
    let receipt = nodes[0].receipt(end).await;
    for node in &nodes {
        ended(Ok(find(&f, node, &opened).await));
    }
    assert_eq!(said(&receipt), ["a b c", ""]);
    assert!(receipt.is_whole() && receipt.took < SECOND / 2, "{receipt:?}");
    assert_eq!(receipt.sessions, Tally::Exactly(1));
    assert_eq!(receipt.to_string(), "sessions: 1; confirmed by a, b, c".to_owned());
}

#[tokio::test(start_paused = true)]
async fn all_of_a_person_are_refused_where_it_is_confirmed() {
    let f = shared().await;
    let nodes = three(&f, Some("epoch")).await;
    let (opened, carried) = (f.open_for("ada").await, f.open_carried(Some("ada")).await);
    for node in &nodes {
        assert!(matches!(find(&f, node, &opened).await, Find::Found(_)));
        assert!(matches!(node.find_carried(&carried, &f.application).await.unwrap(), Find::Found(_)));
    }
    let ada = Principal::named("test", "ada");
    let selector = || Selector::person(ada.clone());
    let ended_all = nodes[2].end_where(selector(), f.logout()).await.unwrap();
    assert_eq!(ended_all.handles, [opened.ticket.handle]);
    let receipt = nodes[2].receipt(ended_all.end).await;
    assert_eq!(receipt.sessions, Tally::OnServer(Count { sessions: 1, or_more: false }));
    assert!(receipt.to_string().starts_with("sessions: 1 on the server; "), "{receipt}");
    let again = nodes[2].end_where(selector(), f.logout()).await.unwrap();
    assert_eq!(again.end.sessions, Tally::OnServer(Count { sessions: 0, or_more: false }));
    nodes[2].faults.fail(Which::Other, Fault::Delay(SECOND * 30));
    let uncounted = nodes[2].end_where(selector(), f.logout()).await.unwrap();
    assert_eq!(uncounted.end.sessions, Tally::Unknown, "nobody is held up by counting");
    nodes[2].faults.heal();
    for node in &nodes {
        ended(Ok(find(&f, node, &opened).await));
        ended(node.find_carried(&carried, &f.application).await);
    }
    assert_eq!(said(&receipt), ["c a b", ""]);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_carried_session_is_confirmed() {
    let f = shared().await;
    let nodes = three(&f, Some("gone.")).await;
    let carried = f.open_carried(None).await;
    for node in &nodes {
        assert!(matches!(node.find_carried(&carried, &f.application).await.unwrap(), Find::Found(_)));
    }
    let was = nodes[0].end(&carried.session, f.logout(), &f.application).await.unwrap();
    let receipt = nodes[0].receipt(Acknowledged::of(&carried.session, Why::Logout, was)).await;
    for node in &nodes {
        ended(node.find_carried(&carried, &f.application).await);
    }
    assert_eq!((said(&receipt), receipt.sessions), (["a b c".into(), String::new()], Tally::Exactly(1)));
    let again = nodes[0].receipt(Acknowledged::of(&carried.session, Why::Logout, Ended::Before)).await;
    assert_eq!(again.sessions, Tally::Exactly(0));
}

#[tokio::test(start_paused = true)]
async fn who_hears_nothing_or_is_dead_is_named_and_waited_for_a_second() {
    let f = shared().await;
    let [a, b, c] = three(&f, None).await;
    let opened = f.open().await;
    b.probe.cut(true);
    eventually(async || b.is_deaf()).await;
    c.die();
    let receipt = a.receipt(end(&f, &a, &opened).await).await;
    assert_eq!(said(&receipt), ["a", "b c"]);
    assert!(!receipt.is_whole() && receipt.doubt.is_none());
    assert!(receipt.took >= SECOND && receipt.took < SECOND * 2, "{:?}", receipt.took);
    assert_eq!(receipt.to_string(), "sessions: 1; confirmed by a; silent: b, c");
    f.pass(SECOND * 21).await;
    b.probe.cut(false);
    eventually(async || !b.is_deaf()).await;
    let opened = f.open().await;
    let receipt = a.receipt(end(&f, &a, &opened).await).await;
    assert_eq!(said(&receipt), ["a b", ""], "who is gone is not waited for any more");
}

#[tokio::test(start_paused = true)]
async fn answers_are_found_by_one_that_does_not_hear_them() {
    let f = shared().await;
    let nodes = three(&f, None).await;
    let opened = f.open().await;
    nodes[0].probe.cut(true);
    eventually(async || nodes[0].is_deaf()).await;
    let receipt = nodes[0].receipt(end(&f, &nodes[0], &opened).await).await;
    assert_eq!(said(&receipt), ["a b c", ""]);
}

#[tokio::test(start_paused = true)]
async fn without_storage_nothing_is_claimed_of_others() {
    let f = shared().await;
    let nodes = three(&f, None).await;
    let opened = f.open().await;
    let end = end(&f, &nodes[0], &opened).await;
    nodes[0].faults.fail(Which::Any, Fault::Refuse);
    let receipt = nodes[0].receipt(end.clone()).await;
    assert_eq!(said(&receipt), ["a", "b c"]);
    assert!(receipt.doubt.is_some() && !receipt.is_whole());
    assert!(receipt.to_string().contains("there may be other nodes"), "{receipt}");
    // The roll was called and the answer to that was lost.
    nodes[0].faults.fail(Which::Create, Fault::LoseAnswer);
    let receipt = nodes[0].receipt(end.clone()).await;
    assert_eq!(said(&receipt)[1], "b c", "who was asked is not known");
    // It is slow: whoever asks is not kept waiting.
    nodes[0].faults.fail(Which::Any, Fault::Delay(SECOND * 30));
    let receipt = nodes[0].receipt(end).await;
    assert!(receipt.took < SECOND * 2 && receipt.doubt.is_some(), "{receipt:?}");
}

#[tokio::test(start_paused = true)]
async fn who_cannot_answer_is_silent() {
    let f = shared().await;
    let [a, b, c] = three(&f, None).await;
    let opened = f.open().await;
    b.faults.fail(Which::Create, Fault::Refuse);
    let receipt = a.receipt(end(&f, &a, &opened).await).await;
    assert_eq!(said(&receipt), ["a c", "b"]);
    drop(c);
}

#[tokio::test(start_paused = true)]
async fn one_that_nobody_shares_with_confirms_alone_and_one_without_a_name_for_nobody() {
    let f = Fixture::over(super::fixture::Engine::Tiered).await;
    let alone = f.node("alone").await;
    let opened = f.open().await;
    let receipt = alone.receipt(end(&f, &alone, &opened).await).await;
    assert_eq!((said(&receipt), receipt.is_whole()), (["alone".into(), String::new()], true));

    let f = shared().await;
    let opened = f.open().await;
    let was = f.end(&opened.session).await.unwrap();
    let receipt = f.cache.receipt(Acknowledged::of(&opened.session, Why::Logout, was)).await;
    assert!(receipt.confirmed.is_empty() && !receipt.is_whole(), "{receipt:?}");
}

#[tokio::test(start_paused = true)]
async fn an_end_of_which_nobody_wants_a_receipt_calls_no_roll() {
    let f = shared().await;
    let nodes = three(&f, None).await;
    let opened = f.open_for("ada").await;
    end(&f, &nodes[0], &opened).await;
    end_all_of(&nodes[0], "ada").await.unwrap();
    f.pass(SECOND * 2).await;
    for context in ["roll.call", "roll.answer"] {
        let page = storage::Storage::list(&*f.probe, context, None, 10).await.unwrap();
        assert!(page.records.is_empty(), "{context}");
    }
    let receipt = nodes[0].receipt(end(&f, &nodes[0], &f.open().await).await).await;
    assert!(receipt.is_whole());
    f.pass(SECOND * 12).await;
    f.probe.reap_all(f.clock_now()).await;
    for context in ["roll.call", "roll.answer"] {
        let page = storage::Storage::list(&*f.probe, context, None, 10).await.unwrap();
        assert!(page.records.is_empty(), "{context} is kept");
    }
}
