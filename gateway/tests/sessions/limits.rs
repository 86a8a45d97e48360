//! How many sessions a person may have, and what becomes of one more.

use std::num::{NonZeroU32, NonZeroUsize};
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
    Plan {
        limits: SessionLimits { per_person, ..SessionLimits::default() },
        login: Some(&["/account"]),
        ..plan()
    }
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

    async fn who_is_asked_can_end_the_oldest_without_the_password_or_leave_it(engine: Engine) {
        let house = House::over(engine, vec![limited(2, OnFull::Ask)]).await;
        let (first, second) = (logged_in(&house).await, logged_in(&house).await);
        house.time_passes(Duration::from_secs(120));
        let third = house.visitor();
        third.get("/").answered(update("basket=tea")).await;
        let offer = third.try_to_log_in(ADA).await;
        assert_eq!(offer.status, 409);
        assert!(offer.body.contains("2 minutes ago") && offer.body.contains("End the oldest"), "{}", offer.body);
        assert!(!offer.body.contains("name=\"password\""));
        // Until they say so, everything is as it was.
        assert_eq!(third.get("/").await.session(), Some("basket=tea"));
        assert_eq!(first.get("/account").await.status, 200);
        let token = offer.field("end_oldest");
        // Nobody else can say it for them.
        assert_eq!(house.visitor().post(LOGIN, &[("end_oldest", &token)]).await.status, 403);
        let reply = third.post(LOGIN, &[("end_oldest", &token)]).await;
        assert_eq!(reply.status, 303, "{}", reply.body);
        assert_eq!(third.get("/account").await.session(), Some("user=ada&basket=tea"));
        assert_eq!(first.get("/account").await.status, 401);
        assert_eq!(second.get("/account").await.status, 200);
    }

    async fn consent_is_of_a_moment_and_no_way_past_a_logout(engine: Engine) {
        let house = House::over(engine, vec![limited(1, OnFull::Ask)]).await;
        logged_in(&house).await;
        let late = house.visitor();
        let token = late.try_to_log_in(ADA).await.field("end_oldest");
        house.time_passes(Duration::from_secs(301));
        assert_eq!(late.post(LOGIN, &[("end_oldest", &token)]).await.status, 403, "it is too old");
        let token = late.try_to_log_in(ADA).await.field("end_oldest");
        house.time_passes(Duration::from_secs(1));
        // An operator ends all of Ada's, those included that come late.
        let now = house.now();
        let late_until = session::Late { issued: now, until: now.plus(Duration::from_secs(600)) };
        let ada = session::Principal::named("shop", "ada");
        let selector = session::Selector { late: Some(late_until), ..session::Selector::person(ada) };
        let ending = session::Ending::new(now, Why::Revoked, "operator");
        house.cache().end_where(selector, ending).await.unwrap();
        assert_ne!(late.post(LOGIN, &[("end_oldest", &token)]).await.status, 303);
        assert_eq!(late.get("/account").await.status, 401);
    }

    async fn from_one_address_only_so_many_sessions_are_opened(engine: Engine) {
        let limits = SessionLimits { per_address: NonZeroUsize::new(2), ..SessionLimits::default() };
        let house = House::over(engine, vec![Plan { limits, login: Some(&["/account"]), ..plan() }]).await;
        let open = async |from: &str| {
            let visitor = house.visitor().from(from);
            let reply = visitor.get("/").header("accept", "application/json").answered(update("a=1")).await;
            (visitor, reply)
        };
        let (first, _) = open("127.0.0.2").await;
        let (second, _) = open("127.0.0.2").await;
        for _ in 0..2 {
            let (third, reply) = open("127.0.0.2").await;
            assert_eq!((reply.status, third.has_session_cookie()), (429, false));
            assert!(reply.headers.contains_key("retry-after") && reply.body.contains("too_many_sessions"), "{}", reply.body);
        }
        assert_eq!(house.visitor().from("127.0.0.2").try_to_log_in(ADA).await.status, 429);
        // Those that there are go on, so do others, and who wants none.
        for visitor in [&first, &second] {
            assert_eq!(visitor.get("/").answered(update("b=2")).await.status, 200);
        }
        assert_eq!(open("127.0.0.3").await.1.status, 200);
        assert_eq!(house.visitor().from("127.0.0.2").get("/").await.status, 200);
        // Becoming somebody opens none, and one that is over makes room.
        first.log_in(ADA).await;
        first.log_out().await;
        house.time_passes(Duration::from_secs(6));
        assert_eq!(open("127.0.0.2").await.1.status, 200);
        assert_eq!(open("127.0.0.2").await.1.status, 429);
        assert_eq!(house.counted("refused", "crowded"), 4);
    }

    async fn from_one_address_sessions_are_opened_only_so_often(engine: Engine) {
        let limits = SessionLimits { new_per_minute: NonZeroU32::new(3), ..SessionLimits::default() };
        let house = House::over(engine, vec![Plan { limits, ..plan() }]).await;
        let mut statuses = Vec::new();
        for _ in 0..5 {
            let reply = house.visitor().from("127.0.0.2").get("/").answered(update("a=1")).await;
            statuses.push(reply.status);
        }
        assert_eq!(statuses, [200, 200, 200, 429, 429]);
        assert_eq!(house.visitor().from("127.0.0.3").get("/").answered(update("a=1")).await.status, 200);
        assert_eq!(house.stored().await, 4);
    }

    async fn many_logins_at_once_leave_as_many_as_there_may_be(engine: Engine) {
        for when_full in [OnFull::Refuse, OnFull::EndOldest, OnFull::Ask] {
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
