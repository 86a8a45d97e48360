//! Tokens that are good once, at whichever node.

use std::time::Duration;

use session::SecretHash;
use storage::faulty::{Fault, Which};

use super::fixture::MILLISECOND;
use super::{Fixture, on_every_engine};
use crate::token::CONTEXT;

on_every_engine!(
    a_token_is_good_once_at_any_node
    of_many_who_show_one_token_at_once_one_is_let_in
    a_token_is_good_until_its_time
    what_was_never_issued_is_no_token_and_leaves_nothing_behind
    whoever_cannot_ask_lets_nobody_in
);

const LIFETIME: Duration = Duration::from_secs(5);

fn token(text: &str) -> SecretHash {
    SecretHash::of(text.as_bytes())
}

async fn a_token_is_good_once_at_any_node(f: Fixture) {
    let other = f.another_cache();
    f.cache.issue_token(&token("one"), LIFETIME).await.unwrap();
    f.cache.issue_token(&token("two"), LIFETIME).await.unwrap();
    assert!(other.take_token(&token("one"), "portal").await.unwrap());
    for node in [&f.cache, &other] {
        assert!(!node.take_token(&token("one"), "portal").await.unwrap());
    }
    assert!(f.cache.take_token(&token("two"), "portal").await.unwrap());
}

async fn of_many_who_show_one_token_at_once_one_is_let_in(f: Fixture) {
    let nodes = [f.another_cache(), f.another_cache()];
    f.cache.issue_token(&token("one"), LIFETIME).await.unwrap();
    let shows = (0..32).zip(nodes.iter().cycle()).map(|(_, node)| {
        let node = node.clone();
        tokio::spawn(async move { node.take_token(&token("one"), "portal").await.unwrap() })
    });
    let shows: Vec<_> = shows.collect();
    let mut let_in = 0;
    for show in shows {
        let_in += usize::from(show.await.unwrap());
    }
    assert_eq!(let_in, 1);
}

async fn a_token_is_good_until_its_time(f: Fixture) {
    f.cache.issue_token(&token("one"), LIFETIME).await.unwrap();
    f.cache.issue_token(&token("two"), LIFETIME).await.unwrap();
    f.clock.advance(LIFETIME - MILLISECOND);
    assert!(f.cache.take_token(&token("one"), "portal").await.unwrap());
    f.clock.advance(MILLISECOND);
    for late in ["one", "two"] {
        assert!(!f.cache.take_token(&token(late), "portal").await.unwrap(), "{late}");
    }
}

async fn what_was_never_issued_is_no_token_and_leaves_nothing_behind(f: Fixture) {
    assert!(!f.cache.take_token(&token("guessed"), "portal").await.unwrap());
    f.cache.issue_token(&token("guessed"), LIFETIME).await.unwrap();
    assert!(f.cache.take_token(&token("guessed"), "portal").await.unwrap());
    let page = storage::Storage::list(&*f.probe, CONTEXT, None, 10).await.unwrap();
    assert!(page.records.is_empty(), "{page:?}");
}

async fn whoever_cannot_ask_lets_nobody_in(f: Fixture) {
    f.cache.issue_token(&token("one"), LIFETIME).await.unwrap();
    for which in [Which::Read, Which::Bury] {
        f.faults.fail(which, Fault::Refuse);
        f.cache.take_token(&token("one"), "portal").await.unwrap_err();
        f.faults.heal();
    }
    assert!(f.cache.take_token(&token("one"), "portal").await.unwrap());
}
