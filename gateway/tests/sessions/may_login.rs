//! Applications that log people in and out themselves.

use std::time::Duration;

use futures_util::future::join_all;
use gateway::handoff::Format;

use crate::application::{Gate, status, update};
use crate::house::{Engine, House, over_each_engine, until};
use crate::plan::{Plan, plan};
use crate::visitor::Reply;

fn registering() -> Plan {
    Plan { may_login: true, ..plan() }
}

over_each_engine! {
    async fn an_application_logs_in_under_a_new_ticket_and_out_for_good(engine: Engine) {
        let house = House::over(engine, vec![registering()]).await;
        let visitor = house.visitor();
        visitor.get("/").answered(update("basket=tea")).await;
        let planted = visitor.with_ticket(&visitor.ticket());
        let reply = visitor.get("/register").answered(update("user=ada&welcome=yes")).await;
        assert_eq!(reply.set_cookies().len(), 1);
        assert_ne!(visitor.ticket(), planted.ticket());
        assert_eq!(visitor.get("/").await.session(), Some("user=ada&basket=tea&welcome=yes"));
        assert_eq!(planted.get("/").await.session(), None);

        let ticket = visitor.ticket();
        let reply = visitor.get("/logout").answered(update("user=")).await;
        assert_eq!(reply.set_cookies().len(), 1);
        assert!(reply.deletes_cookie());
        assert_eq!(visitor.with_ticket(&ticket).get("/").await.session(), None);
        assert_eq!(house.stored().await, 0);
    }

    async fn when_and_how_somebody_logged_in_is_told_and_no_update_changes_it(engine: Engine) {
        let house = House::over(engine, vec![registering()]).await;
        let visitor = house.visitor();
        let told = |reply: &Reply| {
            let header = |name| reply.seen().header(name).map(str::to_owned);
            (header("x-auth-time"), header("x-auth-level"))
        };
        // Nor does what a visitor says of themselves.
        let reply = visitor.get("/").header("x-auth-level", "mfa").header("X_Auth_Time", "1").await;
        assert_eq!(told(&reply), (None, None));
        visitor.get("/register").answered(update("user=ada&auth_time=1&x-auth-level=mfa")).await;
        let at = (house.now().0 / 1000).to_string();
        house.time_passes(Duration::from_secs(90));
        for _ in 0..2 {
            let reply = visitor.get("/").header("x-auth-level", "mfa").await;
            assert_eq!(told(&reply), (Some(at.clone()), Some("application".to_owned())));
            visitor.get("/").answered(update("auth_time=2&auth_level=mfa")).await;
        }
        visitor.get("/logout").answered(update("user=")).await;
        assert_eq!(told(&visitor.get("/").await), (None, None));
    }

    async fn who_becomes_somebody_else_gets_nothing_of_the_one_before(engine: Engine) {
        let house = House::over(engine, vec![registering()]).await;
        let visitor = house.visitor();
        visitor.get("/").answered(update("user=ada&secret=1")).await;
        let of_ada = visitor.with_ticket(&visitor.ticket());
        visitor.get("/").answered(update("user=bob&own=2")).await;
        assert_eq!(visitor.get("/").await.session(), Some("user=bob&own=2"));
        assert_eq!(of_ada.get("/").await.session(), None);
        assert_eq!(house.stored().await, 1);
    }

    async fn who_leaves_before_they_are_logged_in_keeps_what_they_have(engine: Engine) {
        let house = House::over(engine, vec![registering()]).await;
        let visitor = house.visitor();
        visitor.get("/").answered(update("basket=tea")).await;
        let gate = Gate::closed();
        let held = visitor.get("/").answered(update("user=ada").held_at(&gate)).underway();
        gate.arrivals(1).await;
        held.abort();
        assert!(held.await.is_err());
        tokio::time::sleep(Duration::from_millis(50)).await;
        gate.open();
        until("the refusal", async || house.counted("updates", "left_before_login") == 1).await;
        assert_eq!(visitor.get("/").await.session(), Some("basket=tea"));
        // Who leaves while they are logged out is logged out.
        visitor.get("/").answered(update("user=ada")).await;
        let gate = Gate::closed();
        let held = visitor.get("/").answered(update("user=").held_at(&gate)).underway();
        gate.arrivals(1).await;
        held.abort();
        assert!(held.await.is_err());
        tokio::time::sleep(Duration::from_millis(50)).await;
        gate.open();
        until("the logout", async || house.stored().await == 0).await;
        assert_eq!(visitor.get("/").await.session(), None);
    }

    async fn a_login_that_was_under_way_brings_back_nothing_after_a_logout(engine: Engine) {
        let house = House::over(engine, vec![registering()]).await;
        for late in ["user=ada", "user=ada&a=1", "user=bob&a=1", "user=&a=1", "a=1"] {
            let visitor = house.visitor();
            visitor.get("/").answered(update("user=ada&basket=tea")).await;
            let gate = Gate::closed();
            let held = visitor.with_ticket(&visitor.ticket()).get("/").answered(update(late).held_at(&gate)).underway();
            gate.arrivals(1).await;
            assert!(visitor.get("/").answered(update("user=")).await.deletes_cookie());
            gate.open();
            let reply = held.await.unwrap();
            assert_eq!(reply.status, 200);
            assert!(reply.set_cookies().is_empty(), "{late} gave {:?}", reply.set_cookies());
            assert_eq!(house.stored().await, 0, "{late}");
        }
    }
}

#[tokio::test]
async fn parallel_logins_open_no_second_session() {
    for (before, after) in
        [("basket=tea", "user=ada&basket=tea"), ("user=ada&basket=tea", "user=ada&basket=tea")]
    {
        let house = House::with(registering()).await;
        let visitor = house.visitor();
        visitor.get("/").answered(update(before)).await;
        let gate = Gate::closed();
        let held: Vec<_> = (0..16)
            .map(|_| visitor.get("/").answered(update("user=ada").held_at(&gate)).underway())
            .collect();
        gate.arrivals(16).await;
        gate.open();
        for reply in join_all(held).await {
            assert!(reply.unwrap().set_cookies().len() <= 1);
        }
        assert_eq!(house.stored().await, 1, "from {before}");
        assert_eq!(visitor.get("/").await.session(), Some(after));
    }
}

#[tokio::test]
async fn the_same_person_gets_a_new_ticket_and_the_old_one_is_told_nothing() {
    let house = House::with(registering()).await;
    let visitor = house.visitor();
    visitor.get("/").answered(update("user=ada&a=1")).await;
    let other_tab = visitor.with_ticket(&visitor.ticket());
    // They changed their password.
    visitor.get("/").answered(update("user=ada&b=2")).await;
    assert_ne!(visitor.ticket(), other_tab.ticket());
    let reply = other_tab.get("/").await;
    assert_eq!(reply.session(), Some("user=ada&a=1&b=2"));
    assert!(reply.set_cookies().is_empty(), "whoever stole the old ticket is handed the new one");
}

#[tokio::test]
async fn a_logout_of_nobody_changes_nothing() {
    let house = House::with(registering()).await;
    let visitor = house.visitor();
    let reply = visitor.get("/").answered(update("user=")).await;
    assert!(reply.set_cookies().is_empty(), "who has no cookie gets none deleted");
    visitor.get("/").answered(update("basket=tea")).await;
    let reply = visitor.get("/").answered(update("user=&seen=1")).await;
    assert!(reply.set_cookies().is_empty());
    assert_eq!(visitor.get("/").await.session(), Some("basket=tea&seen=1"));
}

#[tokio::test]
async fn what_is_kept_beyond_a_logout_begins_a_session_of_nobody() {
    let house = House::with(registering()).await;
    let visitor = house.visitor();
    visitor.get("/").answered(update("user=ada&secret=1")).await;
    let before = visitor.with_ticket(&visitor.ticket());
    visitor.get("/").answered(update("user=&language=de")).await;
    assert_eq!(visitor.get("/").await.session(), Some("language=de"));
    assert_eq!(before.get("/").await.session(), None);
}

#[tokio::test]
async fn nobody_is_logged_in_without_a_name() {
    let house = House::with(Plan { format: Format::Json, ..registering() }).await;
    for nameless in [r#"{"user":""}"#, r#"{"user":["ada"]}"#, r#"{"user":{"name":"ada"}}"#] {
        let visitor = house.visitor();
        visitor.get("/").answered(update(nameless).update(r#"{"a":"1"}"#)).await;
        assert_eq!(visitor.get("/").await.session(), Some(r#"{"a":"1"}"#), "{nameless}");
    }
    assert_eq!(house.counted("updates", "malformed"), 3);
}

#[tokio::test]
async fn an_application_that_may_not_cannot_log_in() {
    let member = Plan { id: "member", hosts: &["member.example"], ..plan() };
    let house = House::over(Engine::Memory, vec![registering(), member]).await;
    let shop = house.visitor();
    let member = shop.at("member.example");
    let reply = member.get("/").answered(update("user=root")).await;
    assert!(reply.set_cookies().is_empty());
    shop.get("/").answered(update("user=ada")).await;
    for forbidden in ["user=root&a=1", "user=&b=2", "%75ser=root&c=3"] {
        let reply = member.get("/").answered(update(forbidden)).await;
        assert!(reply.set_cookies().is_empty());
    }
    assert_eq!(member.get("/").await.session(), Some("user=ada&a=1&b=2&c=3"));
    assert_eq!(house.counted("updates", "login_refused"), 4);
    // On paths that are not handed over nobody can.
    let house = House::with(Plan { exclude: &["/static"], ..registering() }).await;
    let reply = house.visitor().get("/static").answered(status(200).update("user=ada")).await;
    assert!(reply.set_cookies().is_empty());
}
