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

    async fn a_logout_everywhere_in_an_outage_is_not_claimed_and_done_after_it(engine: Engine) {
        let house = House::over(engine, vec![guarded()]).await;
        let (desk, phone) = (house.visitor(), house.visitor());
        desk.log_in(ADA).await;
        phone.log_in(ADA).await;
        let bob = house.visitor();
        bob.log_in(BOB).await;
        house.storage().fail(Which::Any, Fault::Refuse);
        let reply = desk.post(LOGOUT, &[("everywhere", "1")]).header("sec-fetch-site", "same-origin").await;
        assert_eq!(reply.status, 503);
        assert!(reply.body.contains("refuses all of yours from now on, and goes on trying."), "{}", reply.body);
        assert!(reply.set_cookies().is_empty());
        for visitor in [&desk, &phone] {
            assert_eq!(visitor.get("/account").fetching().await.status, 503);
        }
        assert_eq!(bob.get("/account").await.session(), Some("user=bob"));
        house.storage().heal();
        crate::house::until("the ends", async || house.cache().ends_waiting() == 0).await;
        for visitor in [&desk, &phone] {
            assert_eq!(visitor.get("/account").fetching().await.status, 401);
        }
        assert_eq!(bob.get("/account").await.session(), Some("user=bob"));
    }

    async fn who_left_while_nobody_could_look_at_their_session_has_left(engine: Engine) {
        for everywhere in ["0", "1"] {
            let house = House::over(engine, vec![guarded()]).await;
            let [desk, phone, bob] = [ADA, ADA, BOB].map(|who| (house.visitor(), who));
            for (visitor, who) in [&desk, &phone, &bob] {
                visitor.log_in(*who).await;
            }
            let [desk, phone, bob] = [desk.0, phone.0, bob.0];
            // Longer than a copy is served.
            house.time_passes(Duration::from_secs(16 * 60));
            house.storage().fail(Which::Any, Fault::Refuse);
            // Without a form that was meant, nobody leaves.
            let foreign = desk.post(LOGOUT, &[]).header("sec-fetch-site", "cross-site").await;
            assert_eq!((foreign.status, house.cache().ends_waiting()), (403, 0));
            let leave = desk.post(LOGOUT, &[("everywhere", everywhere)]).header("sec-fetch-site", "same-origin");
            let reply = leave.await;
            assert_eq!(reply.status, 503);
            assert!(reply.body.contains("from now on, and goes on trying."), "{}", reply.body);
            assert!(reply.set_cookies().is_empty(), "the cookie stays");
            assert_eq!(house.cache().ends_waiting(), 1);
            house.storage().heal();
            crate::house::until("the end", async || house.cache().ends_waiting() == 0).await;
            assert_eq!(desk.get("/account").fetching().await.status, 401);
            let status = phone.get("/account").fetching().await.status;
            assert_eq!(status, if everywhere == "1" { 401 } else { 200 });
            assert_eq!(bob.get("/account").await.session(), Some("user=bob"));
        }
    }

    async fn a_ticket_that_was_made_up_ends_nothing_and_few_are_remembered(engine: Engine) {
        let house = House::over(engine, vec![guarded()]).await;
        let visitor = house.visitor();
        visitor.log_in(ADA).await;
        let ticket = visitor.ticket();
        let (handle, _) = ticket.split_once('.').unwrap();
        house.time_passes(Duration::from_secs(16 * 60));
        house.storage().fail(Which::Any, Fault::Refuse);
        let mut bodies = Vec::new();
        for number in 0..70 {
            let made_up = visitor.with_ticket(&format!("{handle}.{number:0>42}A"));
            let reply = made_up.post(LOGOUT, &[]).header("sec-fetch-site", "same-origin").await;
            assert_eq!(reply.status, 503);
            bodies.push(reply.body);
        }
        assert_eq!(house.cache().ends_waiting(), 64, "of one address");
        assert!(bodies[0].contains("goes on trying") && bodies[69].contains("no room"), "{}", bodies[69]);
        house.storage().heal();
        crate::house::until("the looks", async || house.cache().ends_waiting() == 0).await;
        assert_eq!(visitor.get("/account").await.session(), Some("user=ada"));
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
