//! How many sessions a person may have, and what becomes of one more.

use std::num::NonZeroUsize;
use std::time::Duration;

use gateway::settings::{OnFull, PersonLimit, SessionLimits};
use session::Why;
use storage::faulty::{Fault, Which};

use crate::application::update;
use crate::house::{Engine, House, over_each_engine};
use crate::plan::{ADA, BOB, Plan, plan};
use crate::visitor::{LOGIN, Visitor};

fn limited(most: usize, when_full: OnFull) -> Plan {
    let per_person = NonZeroUsize::new(most).map(|most| PersonLimit { most, when_full });
    Plan { limits: SessionLimits { per_person }, login: Some(&["/account"]), ..plan() }
}

async fn logged_in(house: &House) -> Visitor {
    let visitor = house.visitor();
    visitor.log_in(ADA).await;
    house.time_passes(Duration::from_secs(1));
    visitor
}

over_each_engine! {
    async fn one_login_too_many_is_refused_and_nothing_is_opened(engine: Engine) {
        let house = House::over(engine, vec![limited(2, OnFull::Refuse)]).await;
        let (first, second) = (logged_in(&house).await, logged_in(&house).await);
        let third = house.visitor();
        third.get("/").answered(update("basket=tea")).await;
        let ticket = third.ticket();
        let reply = third.try_to_log_in(ADA).await;
        assert_eq!(reply.status, 409);
        assert!(reply.body.contains("logged in elsewhere as often as you may be"), "{}", reply.body);
        assert!(reply.body.contains("value=\"ada\""), "the form is there to try again");
        assert_eq!(third.ticket(), ticket);
        assert_eq!(third.get("/").await.session(), Some("basket=tea"), "what was collected stays");
        assert_eq!((house.stored().await, house.counted("logins", "limit")), (3, 1));
        for visitor in [&first, &second] {
            assert_eq!(visitor.get("/account").await.session(), Some("user=ada"));
        }
        // Somebody else is not concerned, nor who is theirs already.
        house.visitor().log_in(BOB).await;
        first.log_in(ADA).await;
        first.log_out().await;
        third.log_in(ADA).await;
        assert_eq!(third.get("/account").await.session(), Some("user=ada&basket=tea"));
    }

    async fn the_oldest_gives_way_and_its_visitor_is_told_why(engine: Engine) {
        let house = House::over(engine, vec![limited(2, OnFull::EndOldest)]).await;
        let (first, second) = (logged_in(&house).await, logged_in(&house).await);
        let third = house.visitor().from("127.0.0.3");
        third.log_in(ADA).await;
        assert_eq!(third.get("/account").await.status, 200);
        assert_eq!(second.get("/account").await.status, 200);
        let endings = house.endings().await;
        let [ending] = &*endings else { panic!("{endings:?}") };
        assert_eq!((ending.why, &*ending.by), (Why::Limit, "shop"));
        assert_eq!(ending.from, Some("127.0.0.3".parse().unwrap()));
        let reply = first.get("/account").header("accept", "application/json").await;
        assert_eq!(reply.status, 401);
        assert!(reply.body.contains("\"ended\":\"limit\""), "{}", reply.body);
    }

    async fn a_browser_is_told_on_the_login_page_how_its_session_ended(engine: Engine) {
        let house = House::over(engine, vec![limited(1, OnFull::EndOldest)]).await;
        let first = logged_in(&house).await;
        let second = logged_in(&house).await;
        let reply = first.get("/account").navigating().await;
        assert_eq!(reply.location(), Some("/.cloakroom/login?return=/account&ended=limit"));
        assert!(!first.has_session_cookie(), "the cookie has no use any more");
        let page = first.get(reply.location().unwrap()).navigating().await;
        assert!(page.body.contains("you have logged in elsewhere"), "{}", page.body);
        house.time_passes(Duration::from_secs(31 * 60));
        let reply = second.get("/account").navigating().await;
        assert_eq!(reply.location(), Some("/.cloakroom/login?return=/account&ended=idle"));
        assert!(second.get(reply.location().unwrap()).navigating().await.body.contains("not used for a while"));
        // Who had none is told nothing, and nobody can be made to read anything else.
        let page = house.visitor().get(&format!("{LOGIN}?ended=%3Cb%3Ehello")).navigating().await;
        assert!(!page.body.contains("hello") && !page.body.contains("Your session is over"), "{}", page.body);
    }

    async fn an_application_that_logs_people_in_is_held_to_it(engine: Engine) {
        let plan = Plan { may_login: true, ..limited(1, OnFull::Refuse) };
        let house = House::over(engine, vec![plan]).await;
        logged_in(&house).await;
        let visitor = house.visitor();
        visitor.get("/").answered(update("basket=tea")).await;
        visitor.get("/").answered(update("user=ada")).await;
        assert_eq!(visitor.get("/").await.session(), Some("basket=tea"));
        assert_eq!(house.counted("updates", "limit"), 1);
    }

    async fn many_logins_at_once_leave_as_many_as_there_may_be(engine: Engine) {
        for when_full in [OnFull::Refuse, OnFull::EndOldest] {
            let house = House::over(engine, vec![limited(2, when_full)]).await;
            let visitors: Vec<Visitor> = (0..6).map(|_| house.visitor()).collect();
            let logins: Vec<_> = visitors
                .iter()
                .cloned()
                .map(|visitor| tokio::spawn(async move { visitor.try_to_log_in(ADA).await.status }))
                .collect();
            for login in logins {
                let status = login.await.unwrap();
                assert!(matches!(status, 303 | 409), "{status}");
            }
            let mut live = 0;
            for visitor in &visitors {
                live += usize::from(visitor.get("/account").await.status == 200);
            }
            assert_eq!(live, 2, "{when_full:?}");
        }
    }

    async fn an_outage_lets_nobody_in_past_the_limit_and_logs_nobody_out(engine: Engine) {
        let house = House::over(engine, vec![limited(1, OnFull::Refuse)]).await;
        let first = logged_in(&house).await;
        house.storage().fail(Which::Other, Fault::Refuse);
        assert_eq!(house.visitor().try_to_log_in(ADA).await.status, 503);
        assert_eq!(first.get("/account").await.status, 200);
        house.storage().heal();
        assert_eq!(house.visitor().try_to_log_in(ADA).await.status, 409);
    }
}
