//! Law 2: writers of different keys keep their changes, and who is stale learns it.

use std::time::Duration;

use futures_util::future::join_all;
use gateway::handoff::Format;
use session::OnConflict;

use crate::application::{Gate, update};
use crate::house::{Engine, House, over_each_engine, until};
use crate::plan::{Plan, plan};
use crate::visitor::Visitor;

const WRITERS: u32 = 64;

async fn shop(engine: Engine, on_conflict: OnConflict) -> (House, Visitor) {
    let house = House::over(engine, vec![Plan { on_conflict, ..plan() }]).await;
    let visitor = house.visitor();
    visitor.get("/").answered(update("key=before")).await;
    (house, visitor)
}

/// Has so many requests see the same session before the first of them is answered.
async fn at_once(visitor: &Visitor, text: impl Fn(u32) -> String) {
    let gate = Gate::closed();
    let held: Vec<_> = (0..WRITERS)
        .map(|number| visitor.get("/").answered(update(&text(number)).held_at(&gate)).underway())
        .collect();
    gate.arrivals(WRITERS).await;
    gate.open();
    for reply in join_all(held).await {
        let reply = reply.unwrap();
        assert_eq!((reply.status, reply.session()), (200, Some("key=before")));
        assert!(reply.set_cookies().is_empty());
    }
}

over_each_engine! {
    async fn writers_of_different_keys_all_keep_their_change(engine: Engine) {
        for on_conflict in [OnConflict::KeepFirst, OnConflict::Overwrite, OnConflict::Refuse] {
            let (house, visitor) = shop(engine, on_conflict).await;
            at_once(&visitor, |number| format!("key{number}={number}")).await;
            let reply = visitor.get("/").await;
            let mut pairs: Vec<&str> = reply.session().unwrap().split('&').collect();
            pairs.sort_unstable();
            let mut expected: Vec<String> = (0..WRITERS).map(|number| format!("key{number}={number}")).collect();
            expected.push("key=before".to_owned());
            expected.sort_unstable();
            assert_eq!(pairs, expected, "{on_conflict:?}");
            assert_eq!(reply.seen().header("x-session-conflict"), None);
            assert_eq!(house.counted("updates", "done"), u64::from(WRITERS));
        }
    }

    async fn of_writers_of_one_key_the_first_is_kept_and_the_others_learn_it(engine: Engine) {
        let (house, visitor) = shop(engine, OnConflict::KeepFirst).await;
        at_once(&visitor, |number| format!("key=by{number}&own{number}=1")).await;
        let reply = visitor.get("/").await;
        assert_eq!(reply.seen().header("x-session-conflict"), Some("key"));
        let session = reply.session().unwrap().to_owned();
        let first = session.split('&').next().unwrap();
        assert!(first.starts_with("key=by"), "{session}");
        // What they wrote beside it is there.
        assert!((0..WRITERS).all(|number| session.contains(&format!("own{number}=1"))), "{session}");
        assert_eq!(house.counted("updates", "conflict"), u64::from(WRITERS) - 1);
        // Told once. Who has seen it may change it.
        let reply = visitor.get("/").answered(update("key=after")).await;
        assert_eq!(reply.seen().header("x-session-conflict"), None);
        assert!(reply.session().unwrap().starts_with(first));
        assert!(visitor.get("/").await.session().unwrap().starts_with("key=after&"));
    }

    async fn of_writers_of_one_key_the_last_is_kept_where_it_overwrites(engine: Engine) {
        let (_house, visitor) = shop(engine, OnConflict::Overwrite).await;
        at_once(&visitor, |number| format!("key=by{number}&own{number}=1")).await;
        let reply = visitor.get("/").await;
        assert_eq!(reply.seen().header("x-session-conflict"), Some("key"));
        let session = reply.session().unwrap();
        assert!(session.starts_with("key=by"), "{session}");
        assert!((0..WRITERS).all(|number| session.contains(&format!("own{number}=1"))), "{session}");
    }

    async fn of_writers_of_one_key_all_but_the_first_are_refused_whole(engine: Engine) {
        let (_house, visitor) = shop(engine, OnConflict::Refuse).await;
        at_once(&visitor, |number| format!("key=by{number}&own{number}=1")).await;
        let reply = visitor.get("/").await;
        assert_eq!(reply.seen().header("x-session-conflict"), Some("key"));
        let session = reply.session().unwrap();
        let winner = session.strip_prefix("key=by").unwrap().split('&').next().unwrap();
        assert_eq!(session, format!("key=by{winner}&own{winner}=1"));
    }

    async fn a_removal_and_a_change_of_one_key_are_a_conflict(engine: Engine) {
        let (_house, visitor) = shop(engine, OnConflict::KeepFirst).await;
        visitor.get("/").answered(update("other=1")).await;
        let gate = Gate::closed();
        let held = visitor.get("/").answered(update("key=late").held_at(&gate)).underway();
        gate.arrivals(1).await;
        visitor.get("/").answered(update("key=")).await;
        gate.open();
        held.await.unwrap();
        let reply = visitor.get("/").await;
        assert_eq!(reply.session(), Some("other=1"));
        assert_eq!(reply.seen().header("x-session-conflict"), Some("key"));
    }

    async fn who_leaves_before_the_answer_loses_nothing(engine: Engine) {
        let (house, visitor) = shop(engine, OnConflict::KeepFirst).await;
        let gate = Gate::closed();
        let held = visitor.get("/").answered(update("paid=yes").held_at(&gate)).underway();
        gate.arrivals(1).await;
        held.abort();
        assert!(held.await.is_err());
        // The gateway notices that its client is gone before the application answers.
        tokio::time::sleep(Duration::from_millis(50)).await;
        gate.open();
        until("the update", async || house.counted("updates", "done") == 1).await;
        assert_eq!(visitor.get("/").await.session(), Some("key=before&paid=yes"));
    }
}

#[tokio::test]
async fn equal_values_are_no_conflict() {
    let (_house, visitor) = shop(Engine::Memory, OnConflict::KeepFirst).await;
    at_once(&visitor, |_| "key=same".to_owned()).await;
    let reply = visitor.get("/").await;
    assert_eq!(reply.session(), Some("key=same"));
    assert_eq!(reply.seen().header("x-session-conflict"), None);
}

#[tokio::test]
async fn conflicts_are_named_as_the_session_is_written() {
    for (format, first, second, named) in [
        (Format::Form, "my+key=1&k%c3%a9=1", "my+key=2&k%c3%a9=2", "my+key,k%c3%a9"),
        (Format::Json, r#"{"my key":1,"b":1}"#, r#"{"my key":2,"b":2}"#, r#"["my key","b"]"#),
    ] {
        let visitor = House::with(Plan { format, ..plan() }).await.visitor();
        visitor.get("/").answered(update(if format == Format::Form { "a=1" } else { r#"{"a":1}"# })).await;
        let gate = Gate::closed();
        let held = visitor.get("/").answered(update(second).held_at(&gate)).underway();
        gate.arrivals(1).await;
        visitor.get("/").answered(update(first)).await;
        gate.open();
        held.await.unwrap();
        assert_eq!(visitor.get("/").await.seen().header("x-session-conflict"), Some(named));
    }
}

#[tokio::test]
async fn a_conflict_that_nobody_saw_is_told_again() {
    let (house, visitor) = shop(Engine::Memory, OnConflict::KeepFirst).await;
    let gate = Gate::closed();
    let held = visitor.get("/").answered(update("key=late").held_at(&gate)).underway();
    gate.arrivals(1).await;
    visitor.get("/").answered(update("key=first")).await;
    gate.open();
    held.await.unwrap();
    // A GET would be asked again on another connection.
    let failing = crate::application::failing(crate::application::Fault::HangsUp);
    let failed = visitor.post("/", &[]).answered(failing).await;
    assert_eq!(failed.status, 502);
    assert_eq!(failed.seen().header("x-session-conflict"), Some("key"));
    assert_eq!(visitor.get("/").await.seen().header("x-session-conflict"), Some("key"));
    assert_eq!(visitor.get("/").await.seen().header("x-session-conflict"), None);
    assert_eq!(house.counted("updates", "conflict"), 1);
}
