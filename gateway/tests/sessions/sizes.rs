//! What is too large has a clear answer, and loses nothing that was there.

use crate::application::{status, update};
use crate::house::{Engine, House};
use crate::plan::{ADA, Plan, plan};

fn keys(count: usize, from: usize) -> String {
    (from..from + count).map(|number| format!("k{number}=1")).collect::<Vec<_>>().join("&")
}

#[tokio::test]
async fn a_session_that_is_too_large_to_present_is_told_and_stays() {
    // What one application of a realm may keep, another cannot read.
    let plans = vec![
        Plan { id: "archive", path: "/archive", may_login: true, ..plan() },
        Plan { id: "shop", login: Some(&["/account"]), max_header_bytes: 2000, ..plan() },
    ];
    let house = House::over(Engine::Memory, plans).await;
    let visitor = house.visitor();
    visitor.log_in(ADA).await;
    visitor.get("/archive").answered(update(&format!("large={}", "x".repeat(1990)))).await;
    let reply = visitor.get("/").header("accept", "application/json").await;
    assert_eq!((reply.status, reply.is_ours()), (500, true));
    assert!(reply.set_cookies().is_empty());
    assert!(reply.body.contains("keeps more in your session than can be handed to it"), "{}", reply.body);
    assert_eq!(house.counted("refused", "session_too_large_to_present"), 1);
    assert_eq!(house.stored().await, 1);
    // One can leave all the same.
    assert_eq!(visitor.log_out().await.status, 303);
    assert_eq!(visitor.get("/").await.session(), None);
}

#[tokio::test]
async fn an_update_that_would_lock_its_visitor_out_is_refused_and_told() {
    let house = House::with(Plan { login: Some(&["/account"]), max_header_bytes: 2000, ..plan() }).await;
    let visitor = house.visitor();
    visitor.log_in(ADA).await;
    visitor.get("/").answered(update("a=1")).await;
    // It fits by itself, and no more beside who is logged in.
    visitor.get("/").answered(update(&format!("large={}", "x".repeat(1990)))).await;
    let reply = visitor.get("/").await;
    assert_eq!((reply.status, reply.session()), (200, Some("user=ada&a=1")));
    assert_eq!(reply.seen().header("x-session-conflict"), Some("large"));
    assert_eq!(house.counted("updates", "unfit"), 1);
}

#[tokio::test]
async fn a_basket_leaves_room_for_the_name_of_who_logs_in() {
    let house = House::with(Plan { login: Some(&["/account"]), max_header_bytes: 2000, ..plan() }).await;
    let visitor = house.visitor();
    visitor.get("/").answered(update("basket=tea")).await;
    visitor.get("/").answered(update(&format!("large={}", "x".repeat(1970)))).await;
    visitor.log_in(ADA).await;
    assert_eq!(visitor.get("/").await.session(), Some("user=ada&basket=tea"));
}

#[tokio::test]
async fn an_entry_too_large_for_its_own_header_is_told() {
    let plan = Plan { entry_headers: &[("x-note", "note")], max_header_bytes: 1000, ..plan() };
    let visitor = House::with(plan).await.visitor();
    // Escaped, it is longer there.
    visitor.get("/").answered(update("b=1")).await;
    visitor.get("/").answered(update(&format!("note={}", "+".repeat(980)))).await;
    assert_eq!(visitor.get("/").await.status, 200);
    visitor.get("/").answered(update(&format!("note={}&b=2", "%c3%a9".repeat(170)))).await;
    let reply = visitor.get("/").await;
    assert_eq!((reply.status, reply.seen().header("x-session-conflict")), (200, Some("note,b")));
    assert!(reply.session().is_some_and(|session| session.starts_with("b=1&note=")));
    assert_eq!(visitor.get("/").await.seen().header("x-session-conflict"), None);
}

#[tokio::test]
async fn an_update_of_60_kilobytes_is_kept_and_presented() {
    let visitor = House::with(Plan { max_header_bytes: 128 << 10, ..plan() }).await.visitor();
    let text = format!("large={}", "x".repeat(60_000));
    let reply = visitor.get("/").answered(update(&text)).await;
    assert_eq!((reply.status, reply.set_cookies().len()), (200, 1));
    assert!(reply.set_cookies()[0].len() < 200, "the cookie holds a ticket only");
    assert_eq!(visitor.get("/").await.session(), Some(&*text));
    visitor.get("/").answered(update("large=&small=1")).await;
    assert_eq!(visitor.get("/").await.session(), Some("small=1"));
}

#[tokio::test]
async fn two_thousand_keys_are_more_than_a_session_holds() {
    let house = House::with(Plan { max_header_bytes: 64 << 10, ..plan() }).await;
    let visitor = house.visitor();
    visitor.get("/").answered(update("first=1")).await;
    // In one header: nothing of it is read.
    visitor.get("/").answered(update(&keys(2000, 0))).await;
    assert_eq!(visitor.get("/").await.session(), Some("first=1"));
    assert_eq!(house.counted("updates", "malformed"), 1);
    // In two headers of one answer, which have one budget: nothing of the second.
    visitor.get("/").answered(update(&keys(1000, 0)).update(&keys(1000, 1000))).await;
    assert_eq!(visitor.get("/").await.session(), Some(&*format!("first=1&{}", keys(1000, 0))));
    assert_eq!(house.counted("updates", "malformed"), 2);
    // In two answers: as many as there is room for.
    visitor.get("/").answered(update(&keys(1000, 1000))).await;
    let reply = visitor.get("/").await;
    assert_eq!(reply.session(), Some(&*format!("first=1&{}", keys(1023, 0))));
    assert_eq!(house.counted("updates", "too_many_entries"), 1);
    // For who begins with them as well.
    let other = house.visitor();
    other.get("/").answered(update(&keys(1000, 0))).await;
    other.get("/").answered(update(&keys(1000, 1000))).await;
    assert_eq!(other.get("/").await.session(), Some(&*keys(1024, 0)));
    assert_eq!(house.counted("updates", "too_many_entries"), 2);
}

#[tokio::test]
async fn an_update_beyond_every_bound_changes_nothing() {
    let house = House::with(plan()).await;
    let visitor = house.visitor();
    visitor.get("/").answered(update("a=1")).await;
    let reply = visitor.get("/").answered(update(&format!("a={}", "x".repeat(300_000)))).await;
    assert_eq!((reply.status, reply.header("x-replace-session")), (200, None));
    assert_eq!(house.counted("updates", "malformed"), 1);
    let many = (0..500).fold(status(200), |answer, number| answer.update(&format!("k{number}=1")));
    assert_eq!(visitor.get("/").answered(many).await.status, 502);
    let reply = visitor.get("/").answered(update(&format!("a={}", "x".repeat(3_000_000)))).await;
    assert_eq!(reply.status, 502);
    assert_eq!(visitor.get("/").await.session(), Some("a=1"));
}

#[tokio::test]
async fn a_request_whose_cookies_are_too_large_is_refused_and_nothing_is_lost() {
    let house = House::with(plan()).await;
    let visitor = house.visitor();
    visitor.get("/").answered(update("a=1")).await;
    let line = format!("session={}; other={}", visitor.ticket(), "x".repeat(300_000));
    let reply = visitor.get("/").cookies(line).await;
    assert_eq!((reply.status, reply.is_ours()), (431, true));
    assert!(reply.set_cookies().is_empty());
    assert_eq!(visitor.get("/").await.session(), Some("a=1"));
}
