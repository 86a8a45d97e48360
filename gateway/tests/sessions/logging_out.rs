//! Logging out through the gateway.

use std::time::Duration;

use http::Method;
use storage::faulty::{Fault, Which};

use crate::application::update;
use crate::house::{Engine, House, over_each_engine};
use crate::plan::{ADA, BOB, Plan, plan};
use crate::visitor::LOGOUT;

fn guarded() -> Plan {
    Plan { login: Some(&["/account"]), ..plan() }
}

over_each_engine! {
    async fn a_logout_ends_the_session_for_everybody_who_has_the_ticket(engine: Engine) {
        let house = House::over(engine, vec![guarded()]).await;
        let visitor = house.visitor();
        visitor.log_in(ADA).await;
        let stolen = visitor.with_ticket(&visitor.ticket());
        assert_eq!(stolen.get("/account").await.session(), Some("user=ada"));
        let reply = visitor.log_out().await;
        assert_eq!((reply.status, reply.location()), (303, Some(LOGOUT)));
        assert!(reply.deletes_cookie());
        // A browser may have fetched pages of theirs ahead, and need not ask for them again.
        assert_eq!(reply.header("clear-site-data"), Some("\"prefetchCache\", \"prerenderCache\""));
        assert!(!visitor.has_session_cookie());
        assert_eq!(stolen.get("/account").fetching().await.status, 401);
        assert_eq!(stolen.get("/").await.session(), None);
        assert_eq!(house.stored().await, 0);
        let page = visitor.get(LOGOUT).navigating().await;
        assert!(page.body.contains("logged out"), "{}", page.body);
    }

    async fn a_logout_with_two_live_cookies_ends_both(engine: Engine) {
        let house = House::over(engine, vec![guarded()]).await;
        let (ada, bob) = (house.visitor(), house.visitor());
        ada.log_in(ADA).await;
        bob.log_in(BOB).await;
        let both = format!("session={}; session={}", ada.ticket(), bob.ticket());
        let page = ada.get(LOGOUT).cookies(&both).navigating().await;
        let line = format!("{both}; cloakroom-login={}", ada.cookie("cloakroom-login").unwrap());
        let reply = ada.post(LOGOUT, &[("token", &page.token())]).cookies(&line).await;
        assert_eq!(reply.status, 303);
        assert!(reply.deletes_cookie());
        for ticket in both.split("; ") {
            assert_eq!(ada.get("/").cookies(ticket).await.session(), None);
        }
        assert_eq!(house.stored().await, 0);
    }

    async fn a_logout_where_the_session_is_over_ends_it_where_it_is_not(engine: Engine) {
        let minute = Duration::from_secs(60);
        let bank = Plan { id: "bank", hosts: &["bank.example"], idle: 5 * minute, ..guarded() };
        let house = House::over(engine, vec![guarded(), bank]).await;
        let shop = house.visitor();
        shop.log_in(ADA).await;
        let ticket = shop.ticket();
        house.time_passes(6 * minute);
        let bank = shop.at("bank.example");
        assert_eq!(bank.get("/account").navigating().await.status, 303);
        let reply = bank.post(LOGOUT, &[]).header("sec-fetch-site", "same-origin").await;
        assert_eq!(reply.status, 303);
        assert!(reply.deletes_cookie());
        assert_eq!(shop.with_ticket(&ticket).get("/").await.session(), None, "who leaves has left everywhere");
        assert_eq!(house.stored().await, 0);
    }
}

over_each_engine! {
    async fn a_logout_everywhere_ends_all_sessions_of_the_person_however_they_travel(engine: Engine) {
        let plans = vec![
            Plan { id: "shop", hosts: &["shop.example"], ..guarded() },
            Plan { id: "bank", hosts: &["bank.example"], sealed: Some(false), ..guarded() },
        ];
        let house = House::over(engine, plans).await;
        let [desk, phone, bob] = [ADA, ADA, BOB].map(|_| house.visitor().at("shop.example"));
        let [tablet, carried] = [0, 1].map(|_| house.visitor().at("bank.example"));
        for (visitor, who) in [(&desk, ADA), (&phone, ADA), (&tablet, ADA), (&bob, BOB), (&carried, BOB)] {
            visitor.log_in(who).await;
            assert_eq!(visitor.get("/account").fetching().await.status, 200);
        }
        let token = desk.get(LOGOUT).navigating().await;
        assert!(token.body.contains("name=\"everywhere\""));
        let reply = desk.post(LOGOUT, &[("token", &token.token()), ("everywhere", "1")]).await;
        assert_eq!(reply.status, 303);
        assert!(reply.deletes_cookie());
        for visitor in [&desk, &phone, &tablet] {
            assert_eq!(visitor.get("/account").fetching().await.status, 401);
        }
        for visitor in [&bob, &carried] {
            assert_eq!(visitor.get("/account").await.session(), Some("user=bob"));
        }
        // And begins anew.
        phone.log_in(ADA).await;
        assert_eq!(phone.get("/account").await.session(), Some("user=ada"));
    }

    async fn a_logout_everywhere_in_an_outage_is_not_claimed_and_can_be_repeated(engine: Engine) {
        let house = House::over(engine, vec![guarded()]).await;
        let (desk, phone) = (house.visitor(), house.visitor());
        desk.log_in(ADA).await;
        phone.log_in(ADA).await;
        desk.get("/account").await;
        house.storage().fail(Which::Create, Fault::Refuse);
        let leave = || desk.post(LOGOUT, &[("everywhere", "1")]).header("sec-fetch-site", "same-origin");
        let reply = leave().await;
        assert_eq!(reply.status, 503);
        assert!(reply.body.contains("not logged out"), "{}", reply.body);
        assert!(reply.set_cookies().is_empty());
        house.storage().heal();
        assert_eq!(desk.get("/account").await.session(), Some("user=ada"));
        assert_eq!(leave().await.status, 303);
        assert_eq!(phone.get("/account").fetching().await.status, 401);
    }
}

#[tokio::test]
async fn only_a_post_that_was_meant_logs_out() {
    let house = House::with(guarded()).await;
    let visitor = house.visitor();
    visitor.log_in(ADA).await;
    let foreign = house.visitor().get(LOGOUT).await;
    assert_eq!(foreign.status, 200);
    for request in [
        visitor.get(LOGOUT).navigating(),
        visitor.request(Method::HEAD, LOGOUT),
        visitor.get(&format!("{LOGOUT}?token=x")),
        visitor.post(LOGOUT, &[]),
        visitor.post(LOGOUT, &[("token", "garbage")]),
        visitor.post(LOGOUT, &[]).header("sec-fetch-site", "cross-site"),
        visitor.post(LOGOUT, &[]).header("origin", "https://evil.example"),
        visitor.request(Method::POST, LOGOUT).header("content-type", "text/plain"),
        visitor.request(Method::DELETE, LOGOUT).header("sec-fetch-site", "same-origin"),
    ] {
        let reply = request.await;
        assert!(!reply.deletes_cookie() && reply.is_ours());
        assert_eq!(visitor.get("/account").await.session(), Some("user=ada"));
    }
    // A button of the application's own.
    let reply = visitor.post(LOGOUT, &[]).header("sec-fetch-site", "same-origin").await;
    assert!(reply.deletes_cookie());
    assert_eq!(visitor.get("/account").fetching().await.status, 401);
}

#[tokio::test]
async fn after_a_logout_one_begins_anew() {
    let house = House::with(guarded()).await;
    let visitor = house.visitor();
    visitor.log_in(ADA).await;
    visitor.get("/").answered(update("basket=tea")).await;
    visitor.log_out().await;
    visitor.log_in(ADA).await;
    assert_eq!(visitor.get("/").await.session(), Some("user=ada"));
}
