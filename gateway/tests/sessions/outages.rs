//! Law 3: an outage is not a logout. And applications that fail take nothing along.

use std::time::Duration;

use session::Why;
use storage::Scanned;
use storage::faulty::{Fault as StorageFault, Gate as StorageGate, Which};

use crate::application::{Fault, failing, status, update};
use crate::house::{Engine, House, over_each_engine, until};
use crate::plan::{ADA, BOB, Plan, plan};
use crate::visitor::{LOGIN, LOGOUT, Reply, Visitor};

fn guarded() -> Plan {
    Plan { login: Some(&["/account"]), ..plan() }
}

/// Lets a session be known to storage only, as after a restart.
fn forget_copies(house: &House) {
    // Longer than a copy is served, shorter than a session is idle.
    house.time_passes(Duration::from_secs(16 * 60));
}

fn assert_unavailable(reply: &Reply) {
    assert_eq!(reply.status, 503, "{}", reply.body);
    let after: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&after));
    assert!(reply.set_cookies().is_empty(), "{:?}", reply.set_cookies());
    assert_eq!(reply.header("cache-control"), Some("no-store"));
}

over_each_engine! {
    async fn nobody_is_logged_out_while_storage_refuses(engine: Engine) {
        let house = House::over(engine, vec![guarded()]).await;
        let visitors: Vec<Visitor> = (0..8).map(|_| house.visitor()).collect();
        for visitor in &visitors {
            visitor.log_in(ADA).await;
            visitor.get("/").answered(update("basket=tea")).await;
        }
        let tickets: Vec<String> = visitors.iter().map(Visitor::ticket).collect();
        forget_copies(&house);
        house.storage().fail(Which::Any, StorageFault::Refuse);
        for visitor in &visitors {
            for path in ["/", "/account", LOGIN, LOGOUT] {
                let reply = visitor.get(path).navigating().await;
                assert_unavailable(&reply);
                assert!(reply.is_ours(), "no application is asked without the session");
            }
            // What needs no session is answered.
            assert_eq!(house.visitor().get("/").await.status, 200);
        }
        house.storage().heal();
        for (visitor, ticket) in visitors.iter().zip(&tickets) {
            assert_eq!(&visitor.ticket(), ticket);
            assert_eq!(visitor.get("/account").await.session(), Some("user=ada&basket=tea"));
        }
        assert_eq!(house.counted("refused", "storage_unavailable"), 32);
    }

    async fn an_update_in_an_outage_is_refused_and_the_session_is_as_before(engine: Engine) {
        let house = House::over(engine, vec![guarded()]).await;
        let (known, stranger) = (house.visitor(), house.visitor());
        known.get("/").answered(update("a=1")).await;
        house.storage().fail(Which::Any, StorageFault::Refuse);
        for visitor in [&known, &stranger] {
            let reply = visitor.get("/").answered(update("a=2")).await;
            assert_unavailable(&reply);
            assert!(reply.body.contains("could not be saved"), "{}", reply.body);
        }
        // This process still has the session, and reading it needs nobody.
        assert_eq!(known.get("/").await.session(), Some("a=1"));
        house.storage().heal();
        assert_eq!(known.get("/").await.session(), Some("a=1"));
        assert_eq!(stranger.get("/").await.session(), None);
        assert_eq!(house.stored().await, 1);
    }

    async fn a_logout_in_an_outage_is_not_claimed_and_holds_all_the_same(engine: Engine) {
        let house = House::over(engine, vec![guarded()]).await;
        let (leaving, staying) = (house.visitor(), house.visitor());
        leaving.log_in(ADA).await;
        staying.log_in(BOB).await;
        let ticket = leaving.ticket();
        house.storage().fail(Which::Any, StorageFault::Refuse);
        let reply = leaving.post(LOGOUT, &[]).header("sec-fetch-site", "same-origin").await;
        assert_unavailable(&reply);
        assert!(reply.body.contains("not logged out for certain"), "{}", reply.body);
        assert_eq!(leaving.ticket(), ticket, "the cookie stays");
        assert_unavailable(&leaving.get("/account").fetching().await);
        assert_eq!(staying.get("/account").await.session(), Some("user=bob"));

        house.storage().heal();
        until("the end", async || leaving.with_ticket(&ticket).get("/account").fetching().await.status == 401).await;
        assert!(leaving.get("/").await.deletes_cookie());
        assert_eq!(staying.get("/account").await.session(), Some("user=bob"));
        assert_eq!(house.stored().await, 1);
        let why: Vec<Why> = house.records().await.iter().filter_map(|record| match record {
            Scanned::Buried(tombstone) => Some(tombstone.ending.why),
            Scanned::Live(_) => None,
        }).collect();
        assert_eq!(why, [Why::Logout]);
        assert_eq!(house.counted("logins", "logout_waits"), 1);
    }

    async fn a_logout_in_an_outage_holds_for_each_of_several_sessions(engine: Engine) {
        let house = House::over(engine, vec![guarded()]).await;
        let (ada, bob) = (house.visitor(), house.visitor());
        ada.log_in(ADA).await;
        bob.log_in(BOB).await;
        let both = format!("session={}; session={}", ada.ticket(), bob.ticket());
        house.storage().fail(Which::Bury, StorageFault::Refuse);
        let logout = ada.post(LOGOUT, &[]).header("sec-fetch-site", "same-origin").cookies(&both);
        assert_unavailable(&logout.await);
        for visitor in [&ada, &bob] {
            assert_unavailable(&visitor.get("/account").fetching().await);
        }
        house.storage().heal();
        until("both ends", async || house.stored().await == 0).await;
        for visitor in [&ada, &bob] {
            assert_eq!(visitor.get("/account").fetching().await.status, 401);
        }
    }

    async fn a_logout_by_the_application_in_an_outage_holds_too(engine: Engine) {
        let house = House::over(engine, vec![Plan { may_login: true, ..plan() }]).await;
        let visitor = house.visitor();
        visitor.get("/").answered(update("user=ada")).await;
        house.storage().fail(Which::Bury, StorageFault::Refuse);
        assert_unavailable(&visitor.get("/").answered(update("user=")).await);
        assert_unavailable(&visitor.get("/").await);
        house.storage().heal();
        until("the end", async || visitor.get("/").await.status == 200).await;
        assert_eq!(visitor.get("/").await.session(), None);
        assert_eq!(house.stored().await, 0);
    }

    async fn lost_answers_lose_no_session_and_pretend_no_end(engine: Engine) {
        let house = House::over(engine, vec![guarded()]).await;
        let visitor = house.visitor();
        visitor.log_in(ADA).await;
        house.storage().fail_once(Which::Update, StorageFault::LoseAnswer);
        assert_unavailable(&visitor.get("/").answered(update("a=1")).await);
        // It was done. Nobody could know, and nobody is harmed.
        assert_eq!(visitor.get("/").answered(update("b=2")).await.status, 200);
        let reply = visitor.get("/").await;
        assert!(reply.session().unwrap().ends_with("b=2"), "{:?}", reply.session());
        house.storage().fail_once(Which::Bury, StorageFault::LoseAnswer);
        assert_unavailable(&visitor.post(LOGOUT, &[]).header("sec-fetch-site", "same-origin").await);
        until("the end", async || visitor.get("/account").fetching().await.status == 401).await;
        assert_eq!(house.stored().await, 0);
        // A login whose answer is lost: nobody is told that they are logged in.
        house.storage().fail_once(Which::Create, StorageFault::LoseAnswer);
        let reply = visitor.try_to_log_in(ADA).await;
        assert_unavailable(&reply);
        assert!(reply.body.contains("not logged in"), "{}", reply.body);
    }
}

#[tokio::test]
async fn storage_that_is_too_slow_is_unavailable() {
    let house = House::within(Engine::Memory, Duration::from_millis(200), vec![guarded()]).await;
    let visitor = house.visitor();
    visitor.log_in(ADA).await;
    forget_copies(&house);
    let gate = StorageGate::default();
    house.storage().fail(Which::Any, StorageFault::HoldBefore(gate.clone()));
    let reply = visitor.get("/account").navigating().await;
    assert_unavailable(&reply);
    assert!(reply.is_ours());
    house.storage().heal();
    gate.open();
    assert_eq!(visitor.get("/account").await.session(), Some("user=ada"));
}

#[tokio::test]
async fn an_outage_is_told_in_the_form_that_is_asked_for() {
    let house = House::with(guarded()).await;
    let visitor = house.visitor();
    visitor.log_in(ADA).await;
    forget_copies(&house);
    house.storage().fail(Which::Any, StorageFault::Refuse);
    for (accept, kind, says) in [
        ("text/html,*/*;q=0.8", "text/html; charset=utf-8", "<h1>"),
        ("application/json", "application/json", r#""error":"unavailable","status":503"#),
        ("*/*", "text/plain; charset=utf-8", "503 Not just now"),
    ] {
        let reply = visitor.get("/").header("accept", accept).await;
        assert_unavailable(&reply);
        assert_eq!(reply.header("content-type"), Some(kind));
        assert!(reply.body.contains(says), "{}", reply.body);
    }
    let head = visitor.request(http::Method::HEAD, "/").await;
    assert_unavailable(&head);
    assert!(head.body.is_empty());
}

#[tokio::test]
async fn applications_that_fail_leave_the_session_as_it_was() {
    let house = House::with(Plan { response_timeout: Duration::from_millis(300), ..guarded() }).await;
    let visitor = house.visitor();
    visitor.log_in(ADA).await;
    visitor.get("/").answered(update("a=1")).await;
    for (fault, code, reason) in [
        (Fault::HangsUp, 502, "broken_answer"),
        (Fault::TalksNonsense, 502, "broken_answer"),
        (Fault::Sleeps, 504, "too_slow"),
    ] {
        let before = house.counted("upstream_failed", reason);
        // A GET would be asked again on another connection.
        let reply = visitor.post("/", &[]).answered(failing(fault)).await;
        assert_eq!(reply.status, code, "{fault:?}");
        assert!(reply.set_cookies().is_empty());
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(house.counted("upstream_failed", reason), before + 1);
        assert_eq!(visitor.get("/").await.session(), Some("user=ada&a=1"));
    }
    // A change of protocol that nobody asked for, with an update that nobody will see.
    let reply =
        visitor.get("/").answered(status(101).header("Connection", "upgrade").header("Upgrade", "x")).await;
    assert_eq!(reply.status, 502);
    assert_eq!(visitor.get("/").await.session(), Some("user=ada&a=1"));
}

#[tokio::test]
async fn an_application_that_is_down_logs_nobody_out() {
    let down = Plan { id: "down", path: "/down", is_down: true, ..plan() };
    let house = House::over(Engine::Memory, vec![plan(), down]).await;
    let visitor = house.visitor();
    visitor.get("/").answered(update("a=1")).await;
    let reply = visitor.get("/down").navigating().await;
    assert_eq!(reply.status, 502);
    assert!(reply.set_cookies().is_empty());
    assert!(reply.body.contains("does not answer"), "{}", reply.body);
    assert_eq!(visitor.get("/").await.session(), Some("a=1"));
}
