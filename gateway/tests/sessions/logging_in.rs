//! Logging in through the gateway's own form.

use std::time::Duration;

use http::Method;
use session::{Ending, Late, Principal, Selector, Why};
use storage::faulty::{Fault as StorageFault, Gate as StorageGate, Which};

use crate::application::update;
use crate::house::{Engine, House, over_each_engine};
use crate::plan::{ADA, BOB, Plan, plan};
use crate::visitor::{LOGIN, LOGOUT, Visitor};

fn guarded() -> Plan {
    Plan { login: Some(&["/account"]), ..plan() }
}

/// A logout at the issuer, whose clock is so far ahead of ours.
async fn logged_out_by_the_issuer(house: &House, ahead: Duration) {
    let issued = house.now().plus(ahead);
    let late = Some(Late { issued, until: issued.plus(Duration::from_secs(300)) });
    let ada = Principal::named(&house.judge().realm.id, "ada");
    let ending = Ending::new(house.now(), Why::Logout, "the issuer");
    house.cache().end_where(Selector { late, ..Selector::person(ada) }, ending).await.unwrap();
}

over_each_engine! {
    async fn who_was_logged_out_while_logging_in_is_told_so_and_logs_in_anew(engine: Engine) {
        let house = House::over(engine, vec![guarded()]).await;
        let visitor = house.visitor();
        visitor.get("/").answered(update("basket=tea")).await;
        logged_out_by_the_issuer(&house, Duration::from_secs(30)).await;
        let reply = visitor.try_to_log_in(ADA).await;
        assert_eq!(reply.status, 401);
        assert!(reply.body.contains("You were logged out while you were logging in"), "{}", reply.body);
        assert!(reply.body.contains("value=\"ada\""), "the form is there to log in anew");
        assert_eq!(house.counted("logins", "logged_out_meanwhile"), 1);
        assert_eq!(visitor.get("/").await.session(), Some("basket=tea"), "what was collected stays");
        house.time_passes(Duration::from_secs(31));
        visitor.log_in(ADA).await;
        assert_eq!(visitor.get("/account").await.session(), Some("user=ada&basket=tea"));
    }

    async fn what_an_application_answers_to_somebody_who_was_logged_out_meanwhile_is_not_passed_on(engine: Engine) {
        let house = House::over(engine, vec![Plan { may_login: true, ..plan() }]).await;
        let visitor = house.visitor();
        logged_out_by_the_issuer(&house, Duration::from_secs(30)).await;
        let reply = visitor.get("/").answered(update("user=ada")).header("accept", "application/json").await;
        assert_eq!(reply.status, 401);
        assert!(reply.body.contains("\"logged_out\""), "{}", reply.body);
        assert!(!visitor.has_session_cookie());
        let reply = visitor.get("/").answered(update("user=bob")).await;
        assert_eq!(reply.status, 200, "nobody else is concerned");
    }

    async fn a_login_hands_over_who_it_is_under_a_new_ticket(engine: Engine) {
        let house = House::over(engine, vec![guarded()]).await;
        let visitor = house.visitor();
        visitor.get("/").answered(update("basket=tea")).await;
        let before = visitor.ticket();
        let reply = visitor.log_in(ADA).await;
        assert_eq!(reply.location(), Some("/"));
        assert_eq!(reply.set_cookies().iter().filter(|cookie| cookie.starts_with("session=")).count(), 1);
        let after = visitor.ticket();
        assert_ne!(before, after);
        assert_eq!(visitor.get("/account").await.session(), Some("user=ada&basket=tea"));
        // Whoever planted the old ticket has nothing.
        let planted = visitor.with_ticket(&before);
        assert_eq!(planted.get("/").await.session(), None);
        assert_eq!(planted.get("/account").navigating().await.status, 303);
        assert_eq!(house.stored().await, 1);
    }

    async fn another_user_gets_nothing_of_the_one_before(engine: Engine) {
        let house = House::over(engine, vec![guarded()]).await;
        let visitor = house.visitor();
        visitor.log_in(ADA).await;
        visitor.get("/").answered(update("secret=of+ada")).await;
        let of_ada = visitor.ticket();
        visitor.log_in(BOB).await;
        assert_eq!(visitor.get("/account").await.session(), Some("user=bob"));
        assert_eq!(visitor.with_ticket(&of_ada).get("/").await.session(), None);
        assert_eq!(house.stored().await, 1, "the session of Ada is ended");
    }

    async fn the_same_user_again_keeps_what_is_there_and_old_requests_go_on(engine: Engine) {
        let house = House::over(engine, vec![guarded()]).await;
        let visitor = house.visitor();
        visitor.log_in(ADA).await;
        visitor.get("/").answered(update("basket=tea")).await;
        let before = visitor.ticket();
        visitor.log_in(ADA).await;
        assert_eq!(visitor.get("/").await.session(), Some("user=ada&basket=tea"));
        // A request that was under way with the ticket before is answered, and told nothing: it might be a thief's.
        let late = visitor.with_ticket(&before);
        let reply = late.get("/").await;
        assert_eq!((reply.session(), reply.set_cookies().len()), (Some("user=ada&basket=tea"), 0));
    }

    async fn a_form_that_is_sent_twice_keeps_the_basket_either_way(engine: Engine) {
        let house = House::over(engine, vec![guarded()]).await;
        let visitor = house.visitor();
        visitor.get("/").answered(update("basket=tea")).await;
        let token = visitor.get(LOGIN).await.token();
        let fields = [("token", &*token), ("user", ADA.0), ("password", ADA.1)];
        let gate = StorageGate::default();
        house.storage().fail_once(Which::Update, StorageFault::HoldBefore(gate.clone()));
        let first = visitor.post(LOGIN, &fields).underway();
        gate.arrival().await;
        assert_eq!(visitor.post(LOGIN, &fields).await.status, 303);
        let of_second = visitor.with_ticket(&visitor.ticket());
        gate.open();
        assert_eq!(first.await.unwrap().status, 303);
        assert_ne!(visitor.ticket(), of_second.ticket());
        for browser in [visitor, of_second] {
            assert_eq!(browser.get("/").await.session(), Some("user=ada&basket=tea"));
        }
    }

    async fn after_a_login_among_several_live_cookies_only_the_new_one_is_alive(engine: Engine) {
        let house = House::over(engine, vec![guarded()]).await;
        let (visitor, planted) = (house.visitor(), house.visitor());
        visitor.get("/").answered(update("a=1")).await;
        planted.get("/").answered(update("a=2")).await;
        let both = format!("session={}; session={}", visitor.ticket(), planted.ticket());
        let page = visitor.get(LOGIN).cookies(&both).await;
        let line = format!("{both}; cloakroom-login={}", visitor.cookie("cloakroom-login").unwrap());
        let fields = [("token", &*page.token()), ("user", ADA.0), ("password", ADA.1)];
        assert_eq!(visitor.post(LOGIN, &fields).cookies(&line).await.status, 303);
        // The browser still has the cookie that somebody planted at another path.
        let both = format!("session={}; session={}", planted.ticket(), visitor.ticket());
        let reply = visitor.get("/account").cookies(&both).await;
        assert_eq!(reply.session(), Some("user=ada"));
    }
}

#[tokio::test]
async fn who_is_wrong_is_told_the_same_whatever_is_wrong() {
    let house = House::with(guarded()).await;
    let visitor = house.visitor();
    visitor.get("/").answered(update("a=1")).await;
    let ticket = visitor.ticket();
    let mut pages = Vec::new();
    for who in [(ADA.0, "wrong"), ("eve", ADA.1), (ADA.0, BOB.1)] {
        let reply = visitor.try_to_log_in(who).await;
        assert_eq!(reply.status, 401);
        assert!(reply.is_ours());
        assert!(reply.set_cookies().iter().all(|cookie| cookie.starts_with("cloakroom-login=")));
        let token = reply.token();
        let nonce =
            reply.body.split("nonce=\"").nth(1).map(|rest| rest.split('"').next().unwrap().to_owned());
        pages.push(reply.body.replace(&token, "").replace(&nonce.unwrap_or_default(), "").replace(who.0, ""));
    }
    assert!(pages.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(house.counted("logins", "wrong"), 3);
    assert_eq!(visitor.ticket(), ticket);
    assert_eq!(visitor.get("/").await.session(), Some("a=1"));
}

#[tokio::test]
async fn too_many_attempts_are_refused_for_a_while() {
    let house = House::with(guarded()).await;
    let visitor = house.visitor();
    let mut refused = None;
    for _ in 0..30 {
        let reply = visitor.try_to_log_in((ADA.0, "wrong")).await;
        if reply.status == 429 {
            refused = Some(reply);
            break;
        }
        assert_eq!(reply.status, 401);
    }
    let refused = refused.expect("nobody may guess for ever");
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    // The right password does not help meanwhile, or guessing would go on.
    assert_eq!(visitor.try_to_log_in(ADA).await.status, 429);
    assert!(!visitor.has_session_cookie());
    assert_eq!(house.stored().await, 0);
}

#[tokio::test]
async fn a_form_from_elsewhere_logs_nobody_in() {
    let house = House::with(guarded()).await;
    let (visitor, attacker) = (house.visitor(), house.visitor());
    let stolen = attacker.get(LOGIN).await.token();
    let own = visitor.get(LOGIN).await.token();
    let fields = |token| [("token", token), ("user", ADA.0), ("password", ADA.1)];
    for request in [
        visitor.post(LOGIN, &fields("")),
        visitor.post(LOGIN, &fields("garbage")),
        visitor.post(LOGIN, &fields(&stolen)),
        visitor.post(LOGIN, &fields(&own)).header("sec-fetch-site", "cross-site"),
        house.visitor().post(LOGIN, &fields(&own)),
    ] {
        let reply = request.await;
        assert_eq!(reply.status, 403);
        assert!(reply.is_ours());
    }
    assert!(!visitor.has_session_cookie());
    assert_eq!(house.stored().await, 0);
    assert_eq!(house.counted("logins", "token"), 5);
}

#[tokio::test]
async fn one_comes_back_to_where_one_was_and_never_elsewhere() {
    let house = House::with(guarded()).await;
    for (path, expected) in [("/account/x?y=1&z=a%20b", "/account/x?y=1&z=a%20b"), ("/account", "/account")] {
        let visitor = house.visitor();
        let sent = visitor.get(path).navigating().await;
        assert_eq!(sent.status, 303);
        let page = visitor.get(sent.location().unwrap()).navigating().await;
        let reply =
            visitor.post(LOGIN, &[("token", &page.token()), ("user", ADA.0), ("password", ADA.1)]).await;
        assert_eq!(reply.location(), Some(expected));
        assert_eq!(visitor.get(expected).navigating().await.status, 200);
    }
    for evil in [
        "https://evil.example/",
        "//evil.example",
        "/%5Cevil.example",
        "/\\evil.example",
        "/%0d%0aX:1",
        "javascript:1",
    ] {
        let visitor = house.visitor();
        let escaped = percent_encoding::utf8_percent_encode(evil, percent_encoding::NON_ALPHANUMERIC);
        let page = visitor.get(&format!("{LOGIN}?return={escaped}")).await;
        let fields = [
            ("token", &*page.token()),
            ("user", ADA.0),
            ("password", ADA.1),
            ("return", evil),
            ("return_to", evil),
        ];
        let reply = visitor.post(LOGIN, &fields).await;
        let location = reply.location().unwrap();
        assert!(
            location.starts_with('/') && !location.starts_with("//") && !location.contains('\\'),
            "{location}"
        );
    }
}

#[tokio::test]
async fn a_page_leads_to_the_login_and_a_script_is_told() {
    let house = House::with(guarded()).await;
    let visitor = house.visitor();
    for method in [Method::GET, Method::HEAD] {
        let reply = visitor.request(method, "/account").navigating().await;
        assert_eq!((reply.status, reply.is_ours()), (303, true));
        assert_eq!(reply.location(), Some(&*format!("{LOGIN}?return=/account")));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert!(reply.set_cookies().is_empty());
    }
    for request in [
        visitor.get("/account").fetching(),
        visitor.get("/account"),
        visitor.get("/account").header("accept", "text/html").header("x-requested-with", "XMLHttpRequest"),
        visitor.request(Method::PUT, "/account").header("accept", "text/html"),
    ] {
        let reply = request.await;
        assert_eq!((reply.status, reply.is_ours()), (401, true));
        let body: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        assert_eq!(body["error"], "login_required");
        assert_eq!(body["login"], LOGIN);
    }
    // A session of nobody is not enough, and stays.
    visitor.get("/").answered(update("a=1")).await;
    let reply = visitor.get("/account").navigating().await;
    assert_eq!(reply.status, 303);
    assert!(reply.set_cookies().is_empty());
    assert_eq!(visitor.get("/").await.session(), Some("a=1"));
    // No spelling of the path leads around the door.
    for path in
        ["/%61ccount", "//account", "/x/../account", "/account/", "/account;x", "/account%2Fx", "/./account"]
    {
        let reply = visitor.get(path).navigating().await;
        assert_eq!((reply.status, reply.is_ours()), (303, true), "{path}");
    }
}

#[tokio::test]
async fn our_pages_are_no_applications() {
    let house = House::with(guarded()).await;
    let visitor = house.visitor();
    for (method, path) in [(Method::PUT, LOGIN), (Method::DELETE, LOGIN), (Method::PATCH, LOGOUT)] {
        let reply = visitor.request(method.clone(), path).await;
        assert_eq!((reply.status, reply.is_ours()), (405, true), "{method} {path}");
        assert_eq!(reply.header("allow"), Some("GET, HEAD, POST"));
    }
    let head = visitor.request(Method::HEAD, LOGIN).await;
    assert_eq!((head.status, &*head.body), (200, ""));
    assert_eq!(head.header("cache-control"), Some("no-store"));
    let large = "x".repeat(20_000);
    let reply = visitor.post(LOGIN, &[("token", &large)]).await;
    assert_eq!((reply.status, reply.is_ours()), (413, true));
    let reply = visitor.request(Method::POST, LOGIN).await;
    assert_eq!((reply.status, reply.is_ours()), (415, true));
}

#[tokio::test]
async fn who_sends_too_many_cookies_is_told_what_to_do() {
    let house = House::with(guarded()).await;
    let visitor: Visitor = house.visitor();
    visitor.log_in(ADA).await;
    let ours = (0..5).map(|number| format!("session={number}")).collect::<Vec<_>>().join("; ");
    let page = visitor.get(LOGIN).cookies(&ours).await;
    let line = format!(
        "{ours}; session={}; cloakroom-login={}",
        visitor.ticket(),
        visitor.cookie("cloakroom-login").unwrap()
    );
    let token = page.token();
    for request in [
        visitor.post(LOGIN, &[("token", &token), ("user", ADA.0), ("password", ADA.1)]),
        visitor.post(LOGOUT, &[("token", &token)]).header("sec-fetch-site", "same-origin"),
    ] {
        // Neither would do what it says: who they are cannot be known among so many.
        let reply = request.cookies(&line).await;
        assert_eq!((reply.status, reply.is_ours()), (431, true));
        assert!(reply.set_cookies().is_empty());
    }
    assert_eq!(visitor.get("/account").await.session(), Some("user=ada"));
}
