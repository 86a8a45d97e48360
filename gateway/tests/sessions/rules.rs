//! Rules for single paths, each kind through a whole gateway.

use std::time::Duration;

use gateway::path::Prefix;
use gateway::rules::{Demand, HeaderChanges, Require, Rule, Who};
use http::{HeaderName, HeaderValue, Method};

use crate::application::{Fault, failing, status, update};
use crate::house::House;
use crate::plan::{ADA, BOB, Plan, plan};

fn on(paths: &[&str]) -> Rule {
    Rule { paths: paths.iter().map(|path| Prefix::parse(path).unwrap()).collect(), ..Rule::default() }
}

fn pair(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
    (HeaderName::from_static(name), HeaderValue::from_static(value))
}

fn of(users: &[&str], entries: &[(&str, &str)], who: Who) -> Require {
    Require::Somebody(Demand {
        who,
        users: users.iter().map(|user| (*user).into()).collect(),
        entries: entries.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
    })
}

async fn house(rules: Vec<Rule>) -> House {
    House::with(Plan { login: Some(&["/account"]), rules, ..plan() }).await
}

#[tokio::test]
async fn a_rule_hands_the_session_over_or_does_not() {
    let rules = vec![
        Rule { handoff: Some(false), ..on(&["/static"]) },
        Rule { handoff: Some(true), ..on(&["/static/live"]) },
    ];
    let house = House::with(Plan { rules, ..plan() }).await;
    let visitor = house.visitor();
    visitor.get("/").answered(update("a=1")).await;
    for (path, session) in [
        ("/", Some("a=1")),
        ("/static", None),
        ("/st%61tic/x", None),
        ("/x/..//static/x", None),
        ("/static/live/x", Some("a=1")),
        ("/statics", Some("a=1")),
    ] {
        let reply = visitor.get(path).answered(status(200)).await;
        assert_eq!(reply.session(), session, "{path}");
        assert_eq!(reply.seen().header("cookie"), None, "{path}");
    }
    visitor.get("/static").answered(update("a=2")).await;
    assert_eq!(visitor.get("/").await.session(), Some("a=1"));
}

#[tokio::test]
async fn a_rule_demands_certain_people_and_lets_nobody_else_in() {
    let admin = Rule { require: Some(of(&["ada"], &[], Who::User)), ..on(&["/account/admin"]) };
    let open = Rule { require: Some(Require::Nobody), ..on(&["/account/help"]) };
    let house = house(vec![admin, open]).await;
    let (ada, bob, nobody) = (house.visitor(), house.visitor(), house.visitor());
    ada.log_in(ADA).await;
    bob.log_in(BOB).await;
    for (path, of_ada, of_bob, of_nobody) in [
        ("/account", 200, 200, 401),
        ("/account/admin/x", 200, 403, 401),
        ("/account/%61dmin", 200, 403, 401),
        // To one application this is a page of its own, to another it is below the one demand, or below both.
        ("/account%2Fadmin", 400, 400, 400),
        ("/account/./admin", 200, 403, 401),
        ("/account/help", 200, 200, 200),
        ("/", 200, 200, 200),
    ] {
        for (visitor, expected) in [(&ada, of_ada), (&bob, of_bob), (&nobody, of_nobody)] {
            assert_eq!(visitor.get(path).await.status, expected, "{path}");
        }
    }
    let page = nobody.get("/account/admin").navigating().await;
    assert_eq!((page.status, page.header("location").is_some()), (303, true));
    assert_eq!(bob.get("/account/admin").navigating().await.status, 403, "to log in again would not help");
    assert_eq!(house.counted("refused", "not_allowed"), 4);
    bob.get("/").answered(update("a=1")).await;
    assert_eq!(bob.get("/").await.session(), Some("user=bob&a=1"), "and bob keeps his session");
}

#[tokio::test]
async fn a_rule_demands_a_session_and_what_it_holds() {
    let rules = vec![
        Rule { require: Some(of(&[], &[], Who::Session)), handoff: Some(false), ..on(&["/files"]) },
        Rule { require: Some(of(&[], &[("role", "editor")], Who::Session)), ..on(&["/edit"]) },
    ];
    let house = House::with(Plan { rules, ..plan() }).await;
    let visitor = house.visitor();
    assert_eq!(visitor.get("/files").await.status, 403);
    visitor.get("/").answered(update("role=reader")).await;
    let reply = visitor.get("/files").answered(status(200).header("Cache-Control", "public")).await;
    assert_eq!((reply.status, reply.session()), (200, None));
    assert_eq!(reply.header("cache-control"), Some("private"));
    assert_eq!(visitor.get("/edit").await.status, 403);
    visitor.get("/").answered(update("role=reader&role=editor")).await;
    assert_eq!(visitor.get("/edit").await.status, 200);
    assert_eq!(house.counted("refused", "nobody_there"), 1);
}

#[tokio::test]
async fn a_rule_is_about_some_methods() {
    let rule =
        Rule { require: Some(of(&[], &[], Who::User)), methods: vec![Method::POST], ..on(&["/comments"]) };
    let house = house(vec![rule]).await;
    let visitor = house.visitor();
    for (method, expected) in
        [(Method::GET, 200), (Method::HEAD, 200), (Method::POST, 401), (Method::PUT, 200)]
    {
        assert_eq!(visitor.request(method.clone(), "/comments/1").await.status, expected, "{method}");
    }
}

#[tokio::test]
async fn a_rule_has_an_upstream_of_its_own_and_the_session_goes_there_too() {
    let elsewhere = House::with(Plan { id: "reports", ..plan() }).await;
    let there = elsewhere.upstream(0);
    let house =
        House::with(Plan { rules: vec![Rule { upstream: Some(there), ..on(&["/reports"]) }], ..plan() })
            .await;
    let visitor = house.visitor();
    visitor.get("/").answered(update("a=1")).await;
    // Scripts are numbered: the other application answers by its second one what this house asks second.
    elsewhere.scripts().add(status(200));
    let script = elsewhere.scripts().add(update("b=2"));
    assert_eq!(visitor.get("/reports/2026?q").await.status, 200);
    let seen = elsewhere.scripts().seen(&script).unwrap();
    assert_eq!((seen.by.as_str(), seen.target.as_str()), ("reports", "/reports/2026?q"));
    assert_eq!(seen.header("x-session"), Some("a=1"));
    assert_eq!(visitor.get("/").await.session(), Some("a=1&b=2"));
    assert_eq!(visitor.get("/reports%2F2026").await.status, 400, "which of them would get it?");
}

#[tokio::test]
async fn a_rule_has_time_outs_and_sizes_of_its_own() {
    let rules = vec![
        Rule { response_timeout: Some(Duration::from_millis(100)), ..on(&["/quick"]) },
        Rule { max_body_bytes: Some(Some(10)), ..on(&["/small"]) },
        Rule { max_body_bytes: Some(None), ..on(&["/small/large"]) },
    ];
    let house = House::with(Plan { rules, ..plan() }).await;
    let visitor = house.visitor();
    assert_eq!(visitor.get("/quick").answered(failing(Fault::Sleeps)).await.status, 504);
    let large = [("name", "more than ten bytes")];
    assert_eq!(visitor.post("/small", &large).await.status, 413);
    assert_eq!(visitor.post("/small", &[("a", "1")]).await.status, 200);
    assert_eq!(visitor.post("/small/large", &large).await.status, 200);
    assert_eq!(visitor.post("/", &large).await.status, 200);
}

#[tokio::test]
async fn a_rule_changes_headers_of_requests_and_of_answers() {
    let changes =
        |set: Vec<_>, add: Vec<_>, remove: Vec<HeaderName>| HeaderChanges::new(set, add, remove).unwrap();
    let rules = vec![
        Rule {
            request_headers: changes(
                vec![pair("x-tier", "plain")],
                vec![],
                vec![HeaderName::from_static("x-debug")],
            ),
            response_headers: changes(vec![pair("x-frame-options", "DENY")], vec![], vec![]),
            ..on(&["/"])
        },
        Rule {
            request_headers: changes(vec![pair("x-tier", "gold")], vec![], vec![]),
            response_headers: changes(
                vec![pair("cache-control", "public, max-age=60")],
                vec![pair("link", "</b>")],
                vec![HeaderName::from_static("x-frame-options")],
            ),
            ..on(&["/gold"])
        },
    ];
    let house = House::with(Plan { rules, ..plan() }).await;
    let visitor = house.visitor();
    visitor.get("/").answered(update("a=1")).await;
    for (path, tier, framing) in
        [("/", "plain", Some("DENY")), ("/gold/x", "gold", None), ("/g%6fld", "gold", None)]
    {
        let answer = status(200).header("X-Frame-Options", "ALLOW").header("Link", "</a>");
        let request =
            visitor.get(path).header("x-tier", "mine").header("x_tier", "mine").header("X_Debug", "1");
        let reply = request.answered(answer).await;
        assert_eq!(reply.seen().header("x-tier"), Some(tier), "{path}");
        assert_eq!(reply.seen().spellings("x-tier").len(), 1, "{path}");
        assert!(reply.seen().spellings("x-debug").is_empty(), "{path}");
        assert_eq!(reply.header("x-frame-options"), framing, "{path}");
    }
    // No rule makes an answer to a session public.
    let reply = visitor.get("/gold").answered(status(200)).await;
    assert_eq!(reply.header("cache-control"), Some("private, max-age=60"));
    assert_eq!(reply.session(), Some("a=1"));
}

#[tokio::test]
async fn what_a_rule_sets_on_one_path_no_client_says_on_another() {
    let set =
        HeaderChanges::new(vec![pair("x-tier", "gold"), pair("accept", "a/b")], vec![], vec![]).unwrap();
    let house =
        House::with(Plan { rules: vec![Rule { request_headers: set, ..on(&["/gold"]) }], ..plan() }).await;
    let request = house.visitor().get("/").header("X_Tier", "gold").header("x-tier", "gold");
    let reply = request.header("accept", "text/html").answered(status(200)).await;
    assert!(reply.seen().spellings("x-tier").is_empty());
    assert_eq!(reply.seen().header("accept"), Some("text/html"), "that is the client's own");
    let reply = house.visitor().get("/gold").header("accept", "text/html").answered(status(200)).await;
    assert_eq!((reply.seen().header("x-tier"), reply.seen().header("accept")), (Some("gold"), Some("a/b")));
}

#[tokio::test]
async fn our_own_pages_are_beyond_every_rule() {
    let everything = Rule {
        require: Some(of(&["nobody-of-this-name"], &[], Who::User)),
        handoff: Some(false),
        ..on(&["/"])
    };
    let house = house(vec![everything]).await;
    let visitor = house.visitor();
    visitor.log_in(ADA).await;
    assert_eq!(visitor.get("/").await.status, 403);
    visitor.log_out().await;
    assert_eq!(visitor.get("/").await.status, 401);
}
