//! Which cookies give a session, and what the others do: nothing.

use std::time::Duration;

use gateway::cookies::{CookieSettings, SameSite};

use crate::application::{status, update};
use crate::house::{Engine, House};
use crate::plan::{Plan, plan};
use crate::visitor::Visitor;

/// Some tickets, each of a live session that says so.
async fn sessions(house: &House, count: usize) -> Vec<String> {
    let mut tickets = Vec::new();
    for number in 1..=count {
        let visitor = house.visitor();
        visitor.get("/").answered(update(&format!("number={number}"))).await;
        tickets.push(visitor.ticket());
    }
    tickets
}

async fn ended(house: &House) -> String {
    let visitor = house.visitor();
    visitor.get("/").answered(update("a=1")).await;
    let ticket = visitor.ticket();
    visitor.get("/").answered(update("a=")).await;
    ticket
}

fn line(values: &[&str]) -> String {
    values.iter().map(|value| format!("session={value}")).collect::<Vec<_>>().join("; ")
}

#[tokio::test]
async fn one_live_session_among_dead_ones_wins() {
    let house = House::with(plan()).await;
    let live = sessions(&house, 1).await.remove(0);
    let dead = ended(&house).await;
    let visitor = house.visitor();
    for values in [
        vec![&*live],
        vec![&live, &live],
        vec![&dead, &live],
        vec![&live, &dead],
        vec!["garbage", "", &live, &dead],
        vec![&dead, "\"quoted\"", "x.y", &live],
    ] {
        let reply = visitor.get("/").cookies(line(&values)).await;
        assert_eq!(reply.session(), Some("number=1"), "{values:?}");
        assert!(reply.set_cookies().is_empty(), "which of them is at our path is not known");
    }
    assert_eq!(house.stored().await, 1);
}

#[tokio::test]
async fn two_live_sessions_are_nobody_and_both_stay() {
    let house = House::with(plan()).await;
    let tickets = sessions(&house, 2).await;
    let dead = ended(&house).await;
    let visitor = house.visitor();
    for values in [
        vec![&*tickets[0], &*tickets[1]],
        vec![&tickets[1], &tickets[0], &tickets[1]],
        // A browser would delete whichever it has at our path: that may be a live one.
        vec![&tickets[0], &dead, &tickets[1]],
    ] {
        let reply = visitor.get("/").navigating().cookies(line(&values)).await;
        assert_eq!(reply.session(), None);
        assert!(reply.set_cookies().is_empty(), "{values:?}");
    }
    assert_eq!(house.counted("cookies_refused", "several_sessions"), 3);
    // An update would give a third cookie in the place of one of them.
    let reply = visitor.get("/").cookies(line(&[&tickets[0], &tickets[1]])).answered(update("a=1")).await;
    assert!(reply.set_cookies().is_empty());
    assert_eq!(house.stored().await, 2);
    for (number, ticket) in (1..).zip(&tickets) {
        let session = format!("number={number}");
        assert_eq!(visitor.with_ticket(ticket).get("/").await.session(), Some(&*session));
    }
}

#[tokio::test]
async fn more_than_four_are_nobody() {
    let house = House::with(plan()).await;
    let live = sessions(&house, 1).await.remove(0);
    let visitor = house.visitor();
    let reply = visitor.get("/").cookies(line(&["1", "2", "3", &live])).await;
    assert_eq!(reply.session(), Some("number=1"));
    let reply = visitor.get("/").cookies(line(&[&live, "1", "2", "3", "4"])).answered(update("a=1")).await;
    assert_eq!(reply.session(), None);
    assert!(reply.set_cookies().is_empty());
    assert_eq!(house.counted("cookies_refused", "too_many"), 1);
    assert_eq!(house.stored().await, 1);
    assert_eq!(visitor.with_ticket(&live).get("/").await.session(), Some("number=1"));
}

#[tokio::test]
async fn ten_thousand_cookies_are_only_many() {
    let house = House::with(plan()).await;
    let live = sessions(&house, 1).await.remove(0);
    let visitor = house.visitor();
    let foreign = vec!["a=1"; 10_000].join("; ");
    let reply = visitor.get("/").cookies(format!("{foreign}; session={live}")).await;
    assert_eq!(reply.session(), Some("number=1"));
    assert_eq!(reply.seen().header("cookie"), Some(&*foreign));

    let ours: Vec<String> = (0..10_000).map(|number| format!("session={number}")).collect();
    let reply = visitor.get("/").cookies(format!("session={live}; {}", ours.join(";"))).await;
    assert_eq!(reply.session(), None);
    assert_eq!(reply.seen().header("cookie"), None);
    assert!(reply.set_cookies().is_empty());
    assert_eq!(visitor.with_ticket(&live).get("/").await.session(), Some("number=1"));
}

#[tokio::test]
async fn bad_cookies_are_counted_and_change_nothing() {
    let house = House::with(plan()).await;
    let tickets = sessions(&house, 2).await;
    let live = &tickets[0];
    let (handle, secret) = live.split_once('.').unwrap();
    let (_, other) = tickets[1].split_once('.').unwrap();
    let unknown = "0".repeat(32);
    let bad: [(&str, Vec<Vec<u8>>); 3] = [
        (
            "malformed",
            vec![
                vec![],
                b"x".to_vec(),
                handle.into(),
                format!("{handle}.").into(),
                format!(".{secret}").into(),
                // Truncated, longer, oversized.
                live.get(..live.len() - 1).unwrap().into(),
                format!("{live}A").into(),
                "a".repeat(100_000).into(),
                format!("\"{live}\"").into(),
                [live.as_bytes(), b"\xff"].concat(),
                [b"\xc3\xa9".as_slice(), live.as_bytes()].concat(),
                live.replace('.', "%2e").into(),
            ],
        ),
        ("wrong_secret", vec![format!("{handle}.{other}").into()]),
        ("unknown", vec![format!("{unknown}.{secret}").into()]),
    ];
    let visitor = house.visitor();
    for (reason, values) in bad {
        for value in values {
            let before = house.counted("cookies_refused", reason);
            let line = [b"session=".as_slice(), &value].concat();
            let reply = visitor.get("/").navigating().cookies(line).await;
            let shown = String::from_utf8_lossy(&value).chars().take(60).collect::<String>();
            assert_eq!(reply.session(), None, "{shown}");
            assert!(reply.set_cookies().is_empty(), "{shown}");
            assert_eq!(house.counted("cookies_refused", reason), before + 1, "{shown} is {reason}");
        }
    }
    assert_eq!(house.stored().await, 2);
    assert_eq!(visitor.with_ticket(live).get("/").await.session(), Some("number=1"));
}

#[tokio::test]
async fn the_cookie_of_a_dead_session_goes_where_a_login_cannot_be_overtaken() {
    let house = House::with(Plan { login: Some(&["/account"]), ..plan() }).await;
    let dead = ended(&house).await;
    let with_dead = || house.visitor().with_ticket(&dead);
    for path in ["/", "/account"] {
        let plain = with_dead();
        assert!(plain.get(path).await.deletes_cookie(), "{path}");
        assert!(!plain.has_session_cookie());
        assert!(with_dead().get(path).navigating().await.deletes_cookie(), "{path}");
        let fetching = with_dead().get(path).fetching().await;
        assert!(fetching.set_cookies().is_empty(), "{path}");
        let image = with_dead().get(path).header("sec-fetch-mode", "no-cors").await;
        assert!(image.set_cookies().is_empty(), "{path}");
        for purpose in ["prefetch", "prefetch;prerender"] {
            let ahead = with_dead().get(path).navigating().header("sec-purpose", purpose).await;
            assert!(ahead.set_cookies().is_empty(), "{path}");
        }
    }
    assert_eq!(house.counted("cookies_refused", "ended"), 12);
}

#[tokio::test]
async fn an_expired_session_is_ended_and_its_cookie_goes() {
    let house = House::with(plan()).await;
    let visitor: Visitor = house.visitor();
    visitor.get("/").answered(update("a=1")).await;
    house.time_passes(Duration::from_secs(30 * 60));
    let reply = visitor.get("/").await;
    assert_eq!(reply.session(), None);
    assert!(reply.deletes_cookie());
    assert_eq!(house.stored().await, 0);
    assert_eq!(house.counted("cookies_refused", "ended"), 1);
}

#[tokio::test]
async fn a_dead_cookie_gives_way_to_a_new_session() {
    let house = House::with(plan()).await;
    let visitor = house.visitor().with_ticket(&ended(&house).await);
    let reply = visitor.get("/").answered(update("a=2")).await;
    assert_eq!(reply.session(), None);
    assert_eq!(reply.set_cookies().len(), 1);
    assert_eq!(visitor.get("/").await.session(), Some("a=2"));
}

#[tokio::test]
async fn a_browser_that_drops_none_is_known_by_the_fallback() {
    let cookie =
        CookieSettings { same_site: SameSite::None, same_site_fallback: true, ..CookieSettings::default() };
    let neighbour = Plan { id: "plain", path: "/plain", is_plain: true, ..plan() };
    let house = House::over(Engine::Memory, vec![Plan { cookie, ..plan() }, neighbour]).await;
    let visitor = house.visitor();
    let reply = visitor.get("/").answered(update("a=1")).await;
    let ticket = visitor.cookie("__Host-session").unwrap();
    assert_eq!(
        reply.set_cookies(),
        [
            format!("__Host-session={ticket}; Path=/; Secure; HttpOnly; SameSite=None"),
            format!("__Host-session-fallback={ticket}; Path=/; Secure; HttpOnly"),
        ]
    );
    let fallback = format!("__Host-session-fallback={ticket}");
    assert_eq!(house.visitor().get("/").cookies(&fallback).await.session(), Some("a=1"));
    // The one that is meant wins, and what hides behind it is not looked at.
    let both = format!("__Host-session=nonsense; {fallback}");
    assert_eq!(house.visitor().get("/").cookies(&both).await.session(), None);
    // Neither an application nor a neighbour sees it or sets it.
    for path in ["/", "/plain"] {
        let answer = status(200).header("Set-Cookie", "__Host-session-fallback=planted; Path=/; Secure");
        let reply = house.visitor().get(path).cookies(&fallback).answered(answer).await;
        assert_eq!(reply.seen().header("cookie"), None, "{path}");
        assert!(reply.set_cookies().is_empty(), "{path}");
    }
    let reply = house.visitor().get("/").cookies(&fallback).answered(update("a=")).await;
    let deleted = reply.set_cookies().iter().filter(|line| line.contains("Max-Age=0")).count();
    assert_eq!(deleted, 3, "it, its partitioned twin, and the fallback");
    assert_eq!(house.visitor().get("/").cookies(&fallback).await.session(), None);
}
