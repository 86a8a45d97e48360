//! When a session begins and ends, and what the visitor's cookie does meanwhile.

use std::time::Duration;

use gateway::cookies::{CookieSettings, SameSite};

use crate::application::{status, update};
use crate::house::House;
use crate::plan::{Plan, plan};

#[tokio::test]
async fn who_has_nothing_gets_nothing() {
    let house = House::with(plan()).await;
    let visitor = house.visitor();
    for answer in [
        status(200),
        status(404),
        status(302).header("Location", "/elsewhere"),
        status(500),
        // There is nothing to remove.
        update("a="),
        update(""),
        update("expiry=1900000000000000"),
    ] {
        let reply = visitor.get("/").answered(answer).await;
        assert_eq!(reply.session(), None);
        assert!(reply.set_cookies().is_empty(), "{:?}", reply.set_cookies());
    }
    assert_eq!(house.stored().await, 0);
}

#[tokio::test]
async fn an_update_opens_a_session_and_sets_one_cookie() {
    let house = House::with(plan()).await;
    let visitor = house.visitor();
    let reply = visitor.get("/").answered(update("basket=3&note=two+words")).await;
    let ticket = visitor.ticket();
    assert_eq!(reply.set_cookies(), [format!("session={ticket}; Path=/; HttpOnly; SameSite=Lax")]);
    assert_eq!(house.stored().await, 1);

    let reply = visitor.get("/").await;
    assert_eq!(reply.session(), Some("basket=3&note=two+words"));
    assert!(reply.set_cookies().is_empty(), "nothing has changed");
    let reply = visitor.get("/").answered(update("basket=4")).await;
    assert!(reply.set_cookies().is_empty(), "the ticket is the same");
    assert_eq!(visitor.get("/").await.session(), Some("basket=4&note=two+words"));
    assert_eq!(house.stored().await, 1);
}

#[tokio::test]
async fn the_cookie_has_the_attributes_of_its_application() {
    let host = CookieSettings::default();
    for (cookie, expected) in [
        (host.clone(), "__Host-session=TICKET; Path=/; Secure; HttpOnly; SameSite=Lax"),
        (
            CookieSettings { partitioned: true, same_site: SameSite::None, ..host.clone() },
            "__Host-session=TICKET; Path=/; Secure; HttpOnly; SameSite=None; Partitioned",
        ),
        (
            CookieSettings {
                max_age: Some(Duration::from_secs(3600)),
                same_site: SameSite::Strict,
                ..host.clone()
            },
            "__Host-session=TICKET; Max-Age=3600; Path=/; Secure; HttpOnly; SameSite=Strict",
        ),
        (
            CookieSettings {
                name: "sid".into(),
                path: "/shop".into(),
                domain: Some("shop.example".into()),
                secure: false,
                http_only: false,
                ..host
            },
            "sid=TICKET; Path=/shop; Domain=shop.example; SameSite=Lax",
        ),
    ] {
        let name = cookie.name.clone();
        let visitor = House::with(Plan { cookie, ..plan() }).await.visitor();
        let reply = visitor.get("/").answered(update("a=1")).await;
        let ticket = visitor.cookie(&name).unwrap();
        assert_eq!(reply.set_cookies(), [expected.replace("TICKET", &ticket)]);
        assert_eq!(visitor.get("/").await.session(), Some("a=1"));
        // Deleted as it was set, or browsers would not match it.
        let reply = visitor.get("/").answered(update("a=")).await;
        let (_, attributes) = expected.split_once("; ").unwrap();
        let attributes = attributes.strip_prefix("Max-Age=3600; ").unwrap_or(attributes);
        let deleted = format!("{name}=; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; {attributes}");
        // And as it would have been set if `partitioned` were the other way round.
        let twin = match deleted.strip_suffix("; Partitioned") {
            _ if !attributes.contains("Secure") => None,
            Some(unpartitioned) => Some(unpartitioned.to_owned()),
            None => Some(format!("{deleted}; Partitioned")),
        };
        assert_eq!(reply.set_cookies(), [deleted].into_iter().chain(twin).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_session_that_is_emptied_ends_and_its_cookie_goes() {
    let house = House::with(plan()).await;
    let visitor = house.visitor();
    visitor.get("/").answered(update("a=1&b=2")).await;
    let ticket = visitor.ticket();
    visitor.get("/").answered(update("a=")).await;
    assert_eq!(visitor.get("/").await.session(), Some("b=2"));
    let reply = visitor.get("/").answered(update("b=")).await;
    assert!(reply.deletes_cookie());
    assert_eq!(reply.set_cookies().len(), 1);
    assert_eq!(house.stored().await, 0);
    assert_eq!(visitor.with_ticket(&ticket).get("/").await.session(), None);
}

#[tokio::test]
async fn the_application_can_bring_the_end_nearer_and_not_move_it_away() {
    let house = House::with(plan()).await;
    let visitor = house.visitor();
    visitor.get("/").answered(update("a=1")).await;
    let at = |seconds: u64| (house.now().0 + seconds * 1000) * 1000;
    for spelling in ["expiry", "EXPIRY", "Expiry"] {
        visitor.get("/").answered(update(&format!("{spelling}={}", at(60)))).await;
        assert_eq!(visitor.get("/").await.session(), Some("a=1"), "{spelling} is no entry");
    }
    visitor.get("/").answered(update(&format!("expiry={}", at(6000)))).await;
    visitor.get("/").answered(update("expiry=0&expiry=abc")).await;
    house.time_passes(Duration::from_millis(59_999));
    assert_eq!(visitor.get("/").await.session(), Some("a=1"));
    house.time_passes(Duration::from_millis(1));
    let reply = visitor.get("/").await;
    assert_eq!(reply.session(), None);
    assert!(reply.deletes_cookie());
    assert_eq!(house.stored().await, 0);
}

#[tokio::test]
async fn a_session_that_is_over_from_the_beginning_gives_no_cookie() {
    let house = House::with(plan()).await;
    for past in ["a=1&expiry=1", "expiry=1700000000000000&a=1", "a=1&expiry=-5"] {
        let visitor = house.visitor();
        let reply = visitor.get("/").answered(update(past)).await;
        assert!(reply.set_cookies().is_empty(), "{past}");
    }
    assert_eq!(house.stored().await, 0);
}

#[tokio::test]
async fn a_session_is_over_after_its_idle_time_and_its_lifetime() {
    let house = House::with(plan()).await;
    let (idle, busy) = (house.visitor(), house.visitor());
    idle.get("/").answered(update("a=1")).await;
    busy.get("/").answered(update("a=1")).await;
    let minute = Duration::from_secs(60);
    for _ in 0..16 {
        house.time_passes(29 * minute);
        assert_eq!(busy.get("/").await.session(), Some("a=1"));
    }
    let reply = idle.get("/").await;
    assert_eq!(reply.session(), None);
    // 7 h 44 min have passed.
    house.time_passes(16 * minute - Duration::from_millis(1));
    assert_eq!(busy.get("/").await.session(), Some("a=1"));
    house.time_passes(Duration::from_millis(1));
    assert_eq!(busy.get("/").await.session(), None);
}
