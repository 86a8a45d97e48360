//! Tickets that are renewed as time goes by: nobody is refused for it, and who has an old one is noticed.

use std::time::Duration;

use futures_util::future::join_all;
use gateway::path::Prefix;
use gateway::rules::Rule;

use crate::application::{Gate, status, update};
use crate::house::{Engine, House, over_each_engine};
use crate::plan::{ADA, Plan, plan};
use crate::visitor::Visitor;

const INTERVAL: Duration = Duration::from_secs(900);
/// The `renew_window` of the house.
const WINDOW: Duration = Duration::from_secs(60);

fn renewing() -> Plan {
    Plan { renew_interval: INTERVAL, ..plan() }
}

/// A visitor whose ticket is due.
async fn due(house: &House) -> Visitor {
    let visitor = house.visitor();
    visitor.get("/").answered(update("basket=tea")).await;
    house.time_passes(INTERVAL);
    visitor
}

over_each_engine! {
    async fn a_ticket_that_is_due_is_renewed_with_the_answer(engine: Engine) {
        let house = House::over(engine, vec![renewing()]).await;
        let visitor = due(&house).await;
        let old = visitor.ticket();
        let reply = visitor.get("/").await;
        assert_eq!(reply.set_cookies().len(), 1);
        assert_eq!(reply.header("cache-control"), Some("private, no-cache"));
        assert_ne!(visitor.ticket(), old);
        // The handle stays, and so does what is in it.
        assert_eq!(visitor.ticket().split('.').next(), old.split('.').next());
        let reply = visitor.get("/").await;
        assert_eq!((reply.session(), reply.set_cookies().len()), (Some("basket=tea"), 0));
    }

    async fn ten_tabs_at_once_are_served_and_end_up_with_one_ticket(engine: Engine) {
        let house = House::over(engine, vec![renewing()]).await;
        let visitor = due(&house).await;
        let old = visitor.ticket();
        let gate = Gate::closed();
        let tabs: Vec<_> =
            (0..10).map(|_| visitor.get("/").answered(status(200).held_at(&gate)).underway()).collect();
        gate.arrivals(10).await;
        gate.open();
        let mut told = Vec::new();
        for tab in tabs {
            let reply = tab.await.unwrap();
            assert_eq!((reply.status, reply.session()), (200, Some("basket=tea")));
            told.extend(reply.set_cookies().iter().map(|cookie| (*cookie).to_owned()));
        }
        assert!(!told.is_empty() && told.iter().all(|cookie| *cookie == told[0]), "{} cookies", told.len());
        // Who was not told yet is told with the next request.
        let late = visitor.with_ticket(&old);
        late.get("/").await;
        assert_eq!(late.ticket(), visitor.ticket());
    }

    async fn an_answer_that_was_lost_costs_nobody_their_session(engine: Engine) {
        let house = House::over(engine, vec![renewing()]).await;
        let visitor = due(&house).await;
        let asleep = visitor.with_ticket(&visitor.ticket());
        visitor.get("/").await;
        // Nobody has used the new ticket; the tab wakes up much later.
        house.time_passes(Duration::from_mins(29));
        let reply = asleep.get("/").await;
        assert_eq!((reply.session(), reply.set_cookies().len()), (Some("basket=tea"), 1));
        assert_eq!(asleep.ticket(), visitor.ticket());
    }

    async fn an_old_ticket_after_the_window_ends_the_session_and_tells_the_visitor(engine: Engine) {
        let house = House::over(engine, vec![renewing()]).await;
        let visitor = due(&house).await;
        let thief = visitor.with_ticket(&visitor.ticket());
        visitor.get("/").await;
        visitor.get("/").await;
        house.first_uses_are_written().await;
        house.time_passes(WINDOW);
        let reply = thief.get("/").navigating().await;
        assert!(reply.is_ours() && reply.deletes_cookie());
        let reply = visitor.get("/").navigating().await;
        assert_eq!(reply.status, 403);
        assert!(reply.is_ours() && reply.deletes_cookie() && reply.body.contains("somebody may have copied it"));
        assert_eq!(house.counted("refused", "stolen_ticket"), 2);
        // Told once: the page can be loaded, and nobody is there.
        let reply = visitor.get("/").navigating().await;
        assert_eq!((reply.status, reply.session()), (200, None));
        assert_eq!(house.stored().await, 0);
    }

    async fn what_a_page_fetches_in_the_background_finds_nobody_and_leaves_the_telling_to_the_page(engine: Engine) {
        let house = House::over(engine, vec![renewing()]).await;
        let visitor = due(&house).await;
        let thief = visitor.with_ticket(&visitor.ticket());
        visitor.get("/").await;
        visitor.get("/").await;
        house.first_uses_are_written().await;
        house.time_passes(WINDOW);
        assert_eq!(thief.get("/").fetching().await.session(), None);
        let reply = visitor.get("/").fetching().await;
        assert_eq!((reply.session(), reply.set_cookies().len()), (None, 0));
        assert_eq!(visitor.get("/").navigating().await.status, 403);
    }

    async fn an_old_cookie_beside_the_good_one_accuses_nobody(engine: Engine) {
        let house = House::over(engine, vec![renewing()]).await;
        let visitor = due(&house).await;
        let old = visitor.ticket();
        visitor.get("/").await;
        visitor.get("/").await;
        house.first_uses_are_written().await;
        house.time_passes(WINDOW);
        for cookies in [
            format!("session={old}; session={}", visitor.ticket()),
            format!("session={}; session={old}", visitor.ticket()),
        ] {
            assert_eq!(visitor.get("/").cookies(cookies).await.session(), Some("basket=tea"));
        }
        // Two old ones, or an old one and a guess, are no browser's.
        let guess = format!("{}.{}", old.split('.').next().unwrap(), "A".repeat(43));
        visitor.get("/").cookies(format!("session={old}; session={guess}")).await;
        assert_eq!(visitor.get("/").await.session(), None);
    }

    async fn an_answer_that_comes_after_a_login_does_not_bring_the_ticket_of_before_back(engine: Engine) {
        let house = House::over(engine, vec![Plan { login: Some(&["/account"]), ..renewing() }]).await;
        let visitor = house.visitor();
        visitor.log_in(ADA).await;
        house.time_passes(INTERVAL);
        // Given a request with a ticket that is due, whose answer takes its time,
        let gate = Gate::closed();
        let held = visitor.get("/").answered(status(200).held_at(&gate)).underway();
        gate.arrivals(1).await;
        // when somebody logs in again in another tab,
        visitor.log_in(ADA).await;
        let ticket = visitor.ticket();
        gate.open();
        // then the late answer sets nothing.
        assert_eq!(held.await.unwrap().set_cookies().len(), 0);
        assert_eq!(visitor.ticket(), ticket);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_browsers_of_ten_tabs_are_renewed_again_and_again_and_never_refused() {
    let house = House::with(renewing()).await;
    for _ in 0..3 {
        let browsers = join_all((0..10).map(|_| async { house.visitor() })).await;
        for visitor in &browsers {
            visitor.get("/").answered(update("basket=tea")).await;
        }
        for _ in 0..4 {
            house.time_passes(INTERVAL);
            let tabs = browsers.iter().flat_map(|visitor| (0..10).map(move |_| visitor.get("/").underway()));
            for tab in tabs.collect::<Vec<_>>() {
                assert_eq!(tab.await.unwrap().session(), Some("basket=tea"));
            }
            house.first_uses_are_written().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_fetched_ahead_or_polls_renews_nothing() {
    let polls = Rule {
        paths: vec![Prefix::parse("/news").unwrap()],
        counts_as_activity: Some(false),
        ..Rule::default()
    };
    let house = House::with(Plan { rules: vec![polls], ..renewing() }).await;
    let visitor = due(&house).await;
    assert_eq!(visitor.get("/").header("sec-purpose", "prefetch").await.set_cookies().len(), 0);
    assert_eq!(visitor.get("/news").await.set_cookies().len(), 0);
    assert_eq!(visitor.get("/").await.set_cookies().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storage_that_cannot_renew_a_ticket_is_nobodys_trouble() {
    let house = House::over(Engine::Embedded, vec![renewing()]).await;
    let visitor = due(&house).await;
    house.storage().fail(storage::faulty::Which::Update, storage::faulty::Fault::Refuse);
    let reply = visitor.get("/").await;
    assert_eq!((reply.session(), reply.set_cookies().len()), (Some("basket=tea"), 0));
    house.storage().heal();
    assert_eq!(visitor.get("/").await.set_cookies().len(), 1);
}

over_each_engine! {
    async fn what_polls_in_the_background_keeps_no_session_and_is_answered_while_it_lives(engine: Engine) {
        let polls = Rule {
            paths: vec![Prefix::parse("/news").unwrap()],
            counts_as_activity: Some(false),
            ..Rule::default()
        };
        let house = House::over(engine, vec![Plan { rules: vec![polls], ..plan() }]).await;
        let visitor = house.visitor();
        visitor.get("/").answered(update("basket=tea")).await;
        // A page that asks every minute, and nobody in front of it.
        for _ in 0..29 {
            house.time_passes(Duration::from_mins(1));
            assert_eq!(visitor.get("/news").await.session(), Some("basket=tea"));
        }
        house.time_passes(Duration::from_mins(2));
        assert_eq!(visitor.get("/news").await.session(), None);
        // Somebody who is there keeps it.
        let visitor = house.visitor();
        visitor.get("/").answered(update("basket=tea")).await;
        for _ in 0..4 {
            house.time_passes(Duration::from_mins(20));
            visitor.get("/news").await;
            assert_eq!(visitor.get("/").await.session(), Some("basket=tea"));
        }
    }
}
