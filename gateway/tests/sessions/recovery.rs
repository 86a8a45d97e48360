//! The recovery cookie: when visitors get one, what it brings back, and what it does not.

use std::time::Duration;

use crate::application::{Gate, status, update};
use crate::house::{Engine, House, over_each_engine};
use crate::plan::{ADA, Plan, plan};
use crate::visitor::Visitor;

const MINUTE: Duration = Duration::from_secs(60);
const RECOVERY: &str = "session-recovery";

fn library() -> Plan {
    Plan { recovery: &["eppn", "groups"], may_login: true, login: Some(&["/account"]), ..plan() }
}

async fn house(engine: Engine) -> House {
    House::over(engine, vec![library()]).await
}

/// Somebody who is logged in, with what comes back and what does not.
async fn ada(house: &House) -> Visitor {
    let visitor = house.visitor();
    visitor.log_in(ADA).await;
    visitor.get("/").answered(update("eppn=ada&groups=staff&basket=7")).await;
    visitor
}

/// Whoever has copied the cookies of somebody.
fn thief(house: &House, visitor: &Visitor) -> Visitor {
    let thief = house.visitor();
    for name in ["session", RECOVERY] {
        thief.put_cookie(name, &visitor.cookie(name).unwrap());
    }
    thief
}

over_each_engine! {
    async fn a_session_comes_back_with_what_was_chosen(engine: Engine) {
        let house = house(engine).await;
        let visitor = house.visitor();
        let reply = visitor.log_in(ADA).await;
        assert_eq!(reply.set_cookies().len(), 1, "there is nothing to bring back yet");
        let reply = visitor.get("/").answered(update("eppn=ada&groups=staff&basket=7")).await;
        let [cookie] = reply.set_cookies()[..] else { panic!("{:?}", reply.set_cookies()) };
        assert!(cookie.starts_with("session-recovery=") && cookie.contains("HttpOnly") && !cookie.contains("ada"));
        let reply = visitor.get("/").await;
        assert_eq!(reply.seen().header("cookie"), None, "the application does not see it");
        assert!(reply.set_cookies().is_empty(), "it is as it should be");
        house.forget_sessions().await;
        assert_eq!(visitor.get("/").await.session(), Some("user=ada&eppn=ada&groups=staff"));
        assert_eq!(visitor.get("/account").await.status, 200);
        visitor.get("/").answered(update("basket=8")).await;
        assert_eq!(visitor.get("/").await.session(), Some("user=ada&eppn=ada&groups=staff&basket=8"));
    }

    async fn a_ticket_alone_brings_nothing_back_and_neither_does_the_other(engine: Engine) {
        let house = house(engine).await;
        let visitor = ada(&house).await;
        let other = ada(&house).await;
        house.forget_sessions().await;
        assert_eq!(visitor.with_ticket(&visitor.ticket()).get("/").await.session(), None);
        let mixed = visitor.with_ticket(&visitor.ticket());
        mixed.put_cookie(RECOVERY, &other.cookie(RECOVERY).unwrap());
        assert_eq!(mixed.get("/").await.session(), None);
        mixed.put_cookie(RECOVERY, &format!("{}AAAA", visitor.cookie(RECOVERY).unwrap()));
        assert_eq!(mixed.get("/").await.session(), None, "what was altered is nothing");
        assert!(visitor.get("/").await.session().is_some());
    }

    async fn it_is_sealed_anew_when_it_differs_and_once_an_interval(engine: Engine) {
        let house = house(engine).await;
        let visitor = ada(&house).await;
        let first = visitor.cookie(RECOVERY).unwrap();
        assert!(visitor.get("/").answered(update("basket=8")).await.set_cookies().is_empty());
        visitor.get("/").answered(update("groups=students")).await;
        let second = visitor.cookie(RECOVERY).unwrap();
        assert_ne!(first, second);
        house.time_passes(MINUTE - Duration::from_millis(1));
        assert!(visitor.get("/").await.set_cookies().is_empty());
        house.time_passes(Duration::from_millis(1));
        assert_eq!(visitor.get("/").await.set_cookies().len(), 1);
        assert!(visitor.get("/").await.set_cookies().is_empty());
        // Where there is none of them any more, nothing would come back.
        visitor.get("/").answered(update("eppn=&groups=")).await;
        assert_eq!(visitor.cookie(RECOVERY), None);
        assert!(visitor.get("/").await.set_cookies().is_empty());
    }

    async fn a_logout_deletes_both_and_copies_of_them_are_worth_nothing(engine: Engine) {
        let house = house(engine).await;
        let visitor = ada(&house).await;
        let thief = thief(&house, &visitor);
        let reply = visitor.log_out().await;
        assert_eq!((reply.status, visitor.cookie("session"), visitor.cookie(RECOVERY)), (303, None, None));
        assert_eq!(thief.get("/").await.session(), None);
        house.forget_sessions().await;
        thief.put_cookie("session", &thief.cookie("session").unwrap_or_default());
        assert_eq!(thief.get("/").await.session(), None);
    }

    async fn copies_that_were_not_tried_before_are_worth_nothing_either(engine: Engine) {
        let house = house(engine).await;
        let visitor = ada(&house).await;
        let thief = thief(&house, &visitor);
        visitor.log_out().await;
        house.forget_sessions().await;
        assert_eq!(thief.get("/").navigating().await.session(), None);
        assert!(!thief.has_session_cookie(), "it was ended, so they go");
        assert_eq!(thief.cookie(RECOVERY), None);
    }

    async fn what_was_sealed_before_a_login_brings_nothing_back(engine: Engine) {
        let house = house(engine).await;
        let visitor = house.visitor();
        visitor.get("/").answered(update("eppn=guest")).await;
        let planted = thief(&house, &visitor);
        visitor.log_in(ADA).await;
        house.forget_sessions().await;
        assert_eq!(planted.get("/").await.session(), None);
        assert_eq!(visitor.get("/").await.session(), Some("user=ada&eppn=guest"));
    }

    async fn whoever_was_away_too_long_is_idle_all_the_same(engine: Engine) {
        let house = house(engine).await;
        let (early, late) = (ada(&house).await, ada(&house).await);
        house.forget_sessions().await;
        house.time_passes(30 * MINUTE);
        // Between two seals it may have been used without a trace.
        assert!(early.get("/").await.session().is_some());
        house.time_passes(MINUTE);
        assert_eq!(late.get("/").await.session(), None);
    }

    async fn an_update_of_a_session_that_was_lost_meanwhile_is_kept(engine: Engine) {
        let house = house(engine).await;
        let visitor = ada(&house).await;
        let gate = Gate::closed();
        let held = visitor.get("/").answered(update("groups=students").held_at(&gate)).underway();
        gate.arrivals(1).await;
        house.forget_sessions().await;
        gate.open();
        assert_eq!(held.await.unwrap().status, 200);
        assert_eq!(visitor.get("/").await.session(), Some("user=ada&eppn=ada&groups=students"));
    }

    async fn what_is_too_large_gets_no_cookie_and_goes_on(engine: Engine) {
        let house = house(engine).await;
        let visitor = ada(&house).await;
        visitor.get("/").answered(update(&format!("groups={}", "x".repeat(4_000)))).await;
        assert_eq!(visitor.cookie(RECOVERY), None, "and the one before is out of date");
        assert_eq!(house.counted("updates", "recovery_too_large"), 1);
        assert!(visitor.get("/").await.session().unwrap().contains("xxxx"));
        assert_eq!(house.counted("updates", "recovery_too_large"), 1, "it is said once");
        visitor.get("/").answered(update("groups=few")).await;
        assert!(visitor.cookie(RECOVERY).is_some());
    }

    async fn an_application_neither_sets_nor_sees_one(engine: Engine) {
        let house = house(engine).await;
        let visitor = ada(&house).await;
        let forged = status(200).header("Set-Cookie", "session-recovery=forged; Path=/");
        assert!(visitor.get("/").answered(forged).await.set_cookies().is_empty());
        visitor.put_cookie("other", "1");
        assert_eq!(visitor.get("/").await.seen().header("cookie"), Some("other=1"));
    }
}
