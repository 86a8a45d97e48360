//! Law 1: once somebody has logged out, nothing brings the session back.

use std::time::Duration;

use futures_util::future::join_all;
use storage::Scanned;
use storage::faulty::{Fault as StorageFault, Gate as StorageGate, Which};

use crate::application::{Gate, update};
use crate::house::{Engine, House, over_each_engine};
use crate::plan::{ADA, Plan, plan};
use crate::visitor::{LOGIN, LOGOUT, Request, Visitor};

const WRITERS: u32 = 64;
const ROUNDS: u64 = 16;

async fn shop(engine: Engine) -> House {
    House::over(engine, vec![Plan { login: Some(&["/account"]), may_login: true, ..plan() }]).await
}

fn log_out(visitor: &Visitor) -> Request {
    visitor.post(LOGOUT, &[]).header("sec-fetch-site", "same-origin")
}

/// Nobody finds the session any more, and storage holds nothing but what ended ones leave.
async fn assert_gone(house: &House, visitor: &Visitor) {
    for _ in 0..3 {
        let reply = visitor.get("/").answered(update("")).fetching().await;
        assert_eq!((reply.status, reply.session()), (200, None));
        assert_eq!(visitor.get("/account").fetching().await.status, 401);
    }
    let records = house.records().await;
    assert!(records.iter().all(|record| matches!(record, Scanned::Buried(_))), "something came back");
}

over_each_engine! {
    async fn what_was_under_way_changes_nothing_after_a_logout(engine: Engine) {
        let house = shop(engine).await;
        for late in ["a=2", "a=", "new=1", "expiry=1900000000000000", "user=ada", "user=eve&x=1", "user=&x=1"] {
            let visitor = house.visitor();
            visitor.log_in(ADA).await;
            visitor.get("/").answered(update("a=1")).await;
            let before = visitor.with_ticket(&visitor.ticket());
            let gate = Gate::closed();
            let held = before.get("/").answered(update(late).held_at(&gate)).underway();
            gate.arrivals(1).await;
            assert_eq!(log_out(&visitor).await.status, 303);
            gate.open();
            let reply = held.await.unwrap();
            assert_eq!((reply.status, reply.session()), (200, Some("user=ada&a=1")));
            assert!(reply.set_cookies().is_empty(), "{late} gave {:?}", reply.set_cookies());
            assert_gone(&house, &before).await;
        }
        assert!(house.counted("updates", "too_late") >= 6);
    }

    async fn a_renewed_ticket_is_not_handed_out_after_a_logout(engine: Engine) {
        let house = shop(engine).await;
        let visitor = house.visitor();
        visitor.log_in(ADA).await;
        let before = visitor.with_ticket(&visitor.ticket());
        // The same person again: the ticket before is good for a while, and answered with its successor.
        visitor.log_in(ADA).await;
        let gate = Gate::closed();
        let held = [update("a=1"), update("")].map(|answer| {
            let before = before.with_ticket(&before.ticket());
            before.get("/").answered(answer.held_at(&gate)).underway()
        });
        gate.arrivals(2).await;
        assert_eq!(log_out(&visitor).await.status, 303);
        gate.open();
        for held in held {
            let reply = held.await.unwrap();
            assert_eq!(reply.session(), Some("user=ada"));
            assert!(reply.set_cookies().is_empty(), "{:?}", reply.set_cookies());
        }
        assert_gone(&house, &before).await;
    }

    async fn a_write_that_storage_holds_back_changes_nothing_after_a_logout(engine: Engine) {
        let house = shop(engine).await;
        for (text, fault) in [
            ("a=2", StorageFault::HoldBefore as fn(StorageGate) -> StorageFault),
            ("a=2", StorageFault::HoldAfter),
            ("user=ada", StorageFault::HoldBefore),
            ("user=ada", StorageFault::HoldAfter),
        ] {
            let visitor = house.visitor();
            visitor.get("/").answered(update("user=ada")).await;
            let before = visitor.with_ticket(&visitor.ticket());
            let gate = StorageGate::default();
            house.storage().fail_once(Which::Update, fault(gate.clone()));
            let held = before.get("/").answered(update(text)).underway();
            gate.arrival().await;
            assert_eq!(log_out(&visitor).await.status, 303);
            gate.open();
            let reply = held.await.unwrap();
            assert_eq!((reply.status, reply.session()), (200, Some("user=ada")));
            assert!(reply.set_cookies().is_empty(), "{text} gave {:?}", reply.set_cookies());
            assert_gone(&house, &before).await;
        }
    }

    async fn a_login_that_storage_holds_back_is_told_nothing_of_after_a_logout(engine: Engine) {
        let house = shop(engine).await;
        let visitor = house.visitor();
        visitor.log_in(ADA).await;
        let before = visitor.with_ticket(&visitor.ticket());
        let token = visitor.get(LOGIN).await.token();
        let gate = StorageGate::default();
        house.storage().fail_once(Which::Update, StorageFault::HoldAfter(gate.clone()));
        let fields = [("token", &*token), ("user", ADA.0), ("password", ADA.1)];
        let held = visitor.post(LOGIN, &fields).underway();
        gate.arrival().await;
        assert_eq!(log_out(&before).await.status, 303);
        gate.open();
        let reply = held.await.unwrap();
        assert!(reply.set_cookies().is_empty(), "{:?}", reply.set_cookies());
        assert_gone(&house, &before).await;
    }

    async fn many_writers_held_by_the_application_bring_nothing_back(engine: Engine) {
        let house = shop(engine).await;
        let visitor = house.visitor();
        visitor.log_in(ADA).await;
        let before = visitor.with_ticket(&visitor.ticket());
        let gate = Gate::closed();
        let held: Vec<_> = (0..WRITERS)
            .map(|number| {
                let answer = update(&format!("key{number}={number}")).held_at(&gate);
                before.get("/").answered(answer).underway()
            })
            .collect();
        gate.arrivals(WRITERS).await;
        assert_eq!(log_out(&visitor).await.status, 303);
        gate.open();
        for held in held {
            let reply = held.await.unwrap();
            assert_eq!((reply.status, reply.set_cookies().len()), (200, 0));
        }
        assert_gone(&house, &before).await;
        assert_eq!(house.counted("updates", "too_late"), u64::from(WRITERS));
    }

    async fn many_writers_in_a_race_with_a_logout_bring_nothing_back(engine: Engine) {
        let house = shop(engine).await;
        for round in 0..ROUNDS {
            let visitor = house.visitor();
            visitor.get("/").answered(update("user=ada")).await;
            let before = visitor.with_ticket(&visitor.ticket());
            let gate = Gate::closed();
            let writers: Vec<_> = (0..WRITERS)
                .map(|number| {
                    let text = match number % 8 {
                        0 => "user=ada".to_owned(),
                        _ => format!("key{number}={number}"),
                    };
                    let writer = before.with_ticket(&before.ticket());
                    writer.get("/").answered(update(&text).held_at(&gate)).underway()
                })
                .collect();
            gate.arrivals(WRITERS).await;
            gate.open();
            // In each round it comes a little later among them.
            tokio::time::sleep(Duration::from_micros(500 * round)).await;
            assert_eq!(log_out(&visitor).await.status, 303);
            for reply in join_all(writers).await {
                let reply = reply.unwrap();
                assert_eq!((reply.status, reply.session()), (200, Some("user=ada")));
                // Renewals from before the logout have handed out tickets, all of them dead by now.
                for cookie in reply.set_cookies() {
                    let holder = before.with_ticket(cookie.split([';', '=']).nth(1).unwrap());
                    assert_eq!(holder.get("/").fetching().await.session(), None, "round {round}");
                }
            }
            assert_gone(&house, &before).await;
        }
    }
}

#[tokio::test]
async fn an_end_by_the_last_removed_key_is_an_end() {
    let house = House::with(plan()).await;
    let visitor = house.visitor();
    visitor.get("/").answered(update("a=1")).await;
    let before = visitor.with_ticket(&visitor.ticket());
    let gate = Gate::closed();
    let held = before.get("/").answered(update("b=2").held_at(&gate)).underway();
    gate.arrivals(1).await;
    assert!(visitor.get("/").answered(update("a=")).await.deletes_cookie());
    gate.open();
    assert!(held.await.unwrap().set_cookies().is_empty());
    assert_eq!(before.get("/").await.session(), None);
    assert_eq!(house.stored().await, 0);
}
