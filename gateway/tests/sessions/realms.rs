//! Which applications share sessions, and which application a request is for.

use std::time::Duration;

use crate::application::update;
use crate::house::{Engine, House, over_each_engine};
use crate::plan::{Plan, plan};

const MINUTE: Duration = Duration::from_secs(60);

fn neighbours() -> Vec<Plan> {
    vec![
        Plan { id: "shop", hosts: &["shop.example"], ..plan() },
        Plan { id: "bank", hosts: &["bank.example"], idle: 5 * MINUTE, ..plan() },
        Plan { id: "wiki", hosts: &["wiki.example"], realm: "wiki", ..plan() },
    ]
}

over_each_engine! {
    async fn applications_of_one_realm_share_a_session_and_others_do_not(engine: Engine) {
        let house = House::over(engine, neighbours()).await;
        let shop = house.visitor().at("shop.example");
        let (bank, wiki) = (shop.at("bank.example"), shop.at("wiki.example"));
        shop.get("/").answered(update("a=1")).await;
        let reply = bank.get("/").answered(update("b=2")).await;
        assert_eq!((reply.session(), &*reply.seen().by), (Some("a=1"), "bank"));
        let reply = wiki.get("/").await;
        assert_eq!((reply.session(), &*reply.seen().by), (None, "wiki"));
        assert!(reply.set_cookies().is_empty(), "the ticket is good elsewhere");
        assert_eq!(house.counted("cookies_refused", "other_realm"), 1);
        assert_eq!(shop.get("/").await.session(), Some("a=1&b=2"));
    }

    async fn over_for_one_is_absent_there_and_alive_in_the_other(engine: Engine) {
        let house = House::over(engine, neighbours()).await;
        let shop = house.visitor().at("shop.example");
        let bank = shop.at("bank.example");
        shop.get("/").answered(update("a=1")).await;
        house.time_passes(5 * MINUTE - Duration::from_millis(1));
        assert_eq!(bank.get("/").await.session(), Some("a=1"));
        house.time_passes(5 * MINUTE);
        let reply = bank.get("/").navigating().await;
        assert_eq!(reply.session(), None);
        assert!(reply.set_cookies().is_empty(), "the session is alive in the shop");
        assert_eq!(house.counted("cookies_refused", "over_here"), 1);
        assert_eq!(shop.get("/").await.session(), Some("a=1"));
        house.time_passes(30 * MINUTE);
        let reply = bank.get("/").navigating().await;
        assert!(reply.deletes_cookie(), "it is over for all");
        assert_eq!(house.stored().await, 0);
    }
}

#[tokio::test]
async fn beside_a_dead_cookie_one_that_lives_elsewhere_is_not_deleted() {
    let house = House::over(Engine::Memory, neighbours()).await;
    let shop = house.visitor().at("shop.example");
    shop.get("/").answered(update("a=1")).await;
    let dead = shop.ticket();
    shop.get("/").answered(update("a=")).await;
    shop.get("/").answered(update("a=2")).await;
    let line = format!("session={dead}; session={}", shop.ticket());
    house.time_passes(6 * MINUTE);
    // A browser would delete whichever of them it has at our path.
    let reply = shop.at("bank.example").get("/").navigating().cookies(&line).await;
    assert!(reply.set_cookies().is_empty());
    assert_eq!(shop.get("/").cookies(&line).await.session(), Some("a=2"));
}

#[tokio::test]
async fn the_longest_path_answers_whatever_its_spelling() {
    let of = |id, path| Plan { id, path, realm: id, ..plan() };
    let house = House::over(
        Engine::Memory,
        vec![
            of("root", "/"),
            of("app", "/app"),
            of("admin", "/app/admin"),
            Plan { hosts: &["named.example"], ..of("named", "/app") },
        ],
    )
    .await;
    let visitor = house.visitor();
    for (path, id) in [
        ("/", "root"),
        ("/app", "app"),
        ("/app/", "app"),
        ("/app/x?y=/app/admin", "app"),
        ("/application", "root"),
        ("/app.x", "root"),
        ("/App", "root"),
        ("/app/admin", "admin"),
        ("/app/admin/x", "admin"),
        ("/app/administration", "app"),
        ("/%61pp", "app"),
        ("/%61%70%70/%61dmin", "admin"),
        ("//app", "app"),
        ("//app///admin", "admin"),
        ("/x/../app", "app"),
        ("/./app/./admin/.", "admin"),
        ("/app/admin/..", "app"),
        ("/app/admin/../../app", "app"),
        ("/app/%2e%2e/x", "root"),
        ("/../../app", "app"),
    ] {
        let reply = visitor.get(path).await;
        assert_eq!(reply.seen().by, id, "{path}");
        assert!(!reply.seen().target.contains(".."), "{path} became {}", reply.seen().target);
    }
    for (host, path, id) in [
        ("named.example", "/app", "named"),
        ("NAMED.example:8080", "/app/x", "named"),
        ("named.example", "/app/admin", "named"),
        ("named.example", "/", "root"),
        ("other.example", "/app", "app"),
    ] {
        assert_eq!(visitor.at(host).get(path).await.seen().by, id, "{host} {path}");
    }
}

#[tokio::test]
async fn where_no_application_answers_nothing_is_touched() {
    let house = House::with(Plan { hosts: &["shop.example"], path: "/shop", ..plan() }).await;
    let visitor = house.visitor().at("shop.example");
    visitor.get("/shop").answered(update("a=1")).await;
    for (host, path) in [("shop.example", "/shopping"), ("shop.example", "/"), ("evil.example", "/shop")] {
        let reply = visitor.at(host).get(path).await;
        assert_eq!(reply.status, 404);
        assert!(reply.is_ours() && reply.set_cookies().is_empty());
    }
    assert_eq!(visitor.get("/shop").await.session(), Some("a=1"));
}
