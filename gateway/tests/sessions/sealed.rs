//! The carrier `sealed`: what the other modules promise, for sessions that their visitors carry.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use seal::{Key, KeyRing, KeyState, Keys};
use storage::faulty::{Fault as StorageFault, Gate as StorageGate, Which};

use crate::application::{Gate, status, update};
use crate::house::{Engine, House, over_each_engine};
use crate::plan::{ADA, BOB, Plan, plan};
use crate::visitor::{LOGIN, LOGOUT, Visitor};

const MINUTE: Duration = Duration::from_secs(60);
const WRITERS: u32 = 64;

fn shop() -> Plan {
    Plan { sealed: Some(false), login: Some(&["/account"]), may_login: true, ..plan() }
}

fn spilling() -> Plan {
    Plan { sealed: Some(true), ..shop() }
}

async fn house(engine: Engine) -> House {
    House::over(engine, vec![shop()]).await
}

/// A value that fills a cookie nearly.
fn large() -> String {
    format!("large={}", "x".repeat(2_600))
}

fn is_sealed(visitor: &Visitor) -> bool {
    visitor.ticket().len() > 120
}

over_each_engine! {
    async fn a_session_is_opened_changed_and_read_without_storage(engine: Engine) {
        let house = house(engine).await;
        let visitor = house.visitor();
        let reply = visitor.get("/").answered(update("a=1")).await;
        assert_eq!(reply.set_cookies().len(), 1);
        assert!(reply.set_cookies()[0].contains("HttpOnly"));
        assert!(is_sealed(&visitor) && !visitor.ticket().contains("a=1"));
        visitor.get("/").answered(update("b=2")).await;
        visitor.get("/").answered(update("a=&c=3")).await;
        assert_eq!(visitor.get("/").await.session(), Some("b=2&c=3"));
        assert!(visitor.get("/").await.set_cookies().is_empty(), "it is as it was");
        assert!(house.records().await.is_empty());
    }

    async fn writers_at_once_all_keep_their_change(engine: Engine) {
        let house = house(engine).await;
        let visitor = house.visitor();
        visitor.get("/").answered(update("key=before")).await;
        let gate = Gate::closed();
        let held: Vec<_> = (0..WRITERS)
            .map(|number| {
                visitor.get("/").answered(update(&format!("k{number}={number}")).held_at(&gate)).underway()
            })
            .collect();
        gate.arrivals(WRITERS).await;
        gate.open();
        for reply in join_all(held).await {
            let reply = reply.unwrap();
            assert_eq!((reply.status, reply.session(), reply.set_cookies().len()), (200, Some("key=before"), 1));
        }
        // Whichever of the cookies the browser kept.
        let reply = visitor.get("/").await;
        assert_eq!(reply.session().unwrap().split('&').count(), WRITERS as usize + 1);
        // From then on nobody remembers anything but the cookie.
        house.time_passes(5 * MINUTE);
        assert_eq!(visitor.get("/").await.session().unwrap().split('&').count(), WRITERS as usize + 1);
    }

    async fn a_conflict_is_told_once_and_settled(engine: Engine) {
        let house = house(engine).await;
        let visitor = house.visitor();
        visitor.get("/").answered(update("key=before")).await;
        let gate = Gate::closed();
        let held = visitor.get("/").answered(update("key=late").held_at(&gate)).underway();
        gate.arrivals(1).await;
        visitor.get("/").answered(update("key=first")).await;
        gate.open();
        held.await.unwrap();
        let reply = visitor.get("/").await;
        assert_eq!(reply.session(), Some("key=first"));
        assert_eq!(reply.seen().header("x-session-conflict"), Some("key"));
        assert_eq!(visitor.get("/").await.seen().header("x-session-conflict"), None);
        assert_eq!(house.counted("updates", "conflict"), 1);
    }

    async fn after_a_logout_no_cookie_opens_anything(engine: Engine) {
        let house = house(engine).await;
        let visitor = house.visitor();
        let mut cookies = Vec::new();
        visitor.get("/").answered(update("a=1")).await;
        visitor.log_in(ADA).await;
        for number in 0..3 {
            cookies.push(visitor.ticket());
            visitor.get("/").answered(update(&format!("k{number}=1"))).await;
            house.time_passes(2 * MINUTE);
            cookies.push(visitor.ticket());
        }
        let reply = visitor.log_out().await;
        assert!(reply.deletes_cookie());
        for cookie in &cookies {
            let thief = visitor.with_ticket(cookie);
            assert_eq!(thief.get("/").answered(update("x=1")).fetching().await.session(), None);
            assert_eq!(thief.get("/account").fetching().await.status, 401);
        }
        // A browser that goes to a page is rid of it.
        assert!(visitor.with_ticket(&cookies[3]).get("/").navigating().await.deletes_cookie());
    }

    async fn what_was_under_way_changes_nothing_after_a_logout(engine: Engine) {
        let house = house(engine).await;
        for late in ["a=2", "a=", "new=1", "user=ada", "user=eve&x=1", "user=&x=1"] {
            let visitor = house.visitor();
            visitor.log_in(ADA).await;
            visitor.get("/").answered(update("a=1")).await;
            let before = visitor.with_ticket(&visitor.ticket());
            let gate = Gate::closed();
            let held = before.get("/").answered(update(late).held_at(&gate)).underway();
            gate.arrivals(1).await;
            assert_eq!(visitor.log_out().await.status, 303);
            gate.open();
            let reply = held.await.unwrap();
            assert_eq!((reply.status, reply.session()), (200, Some("user=ada&a=1")));
            assert!(reply.set_cookies().is_empty(), "{late} gave {:?}", reply.set_cookies());
            assert_eq!(before.get("/").fetching().await.session(), None);
        }
    }

    async fn a_race_of_many_with_a_logout_brings_nothing_back(engine: Engine) {
        let house = house(engine).await;
        for round in 0..6 {
            let visitor = house.visitor();
            visitor.get("/").answered(update("user=ada")).await;
            let before = visitor.with_ticket(&visitor.ticket());
            let gate = Gate::closed();
            let writers: Vec<_> = (0..24)
                .map(|number| {
                    let writer = before.with_ticket(&before.ticket());
                    writer.get("/").answered(update(&format!("k{number}=1")).held_at(&gate)).underway()
                })
                .collect();
            gate.arrivals(24).await;
            gate.open();
            tokio::time::sleep(Duration::from_micros(500 * round)).await;
            let logout = visitor.post(LOGOUT, &[]).header("sec-fetch-site", "same-origin").await;
            assert_eq!(logout.status, 303);
            for reply in join_all(writers).await {
                for cookie in reply.unwrap().set_cookies() {
                    let holder = before.with_ticket(cookie.split([';', '=']).nth(1).unwrap());
                    assert_eq!(holder.get("/").fetching().await.session(), None, "round {round}");
                }
            }
        }
    }

    async fn a_login_takes_the_basket_along_and_leaves_the_planted_cookie_nothing(engine: Engine) {
        let house = house(engine).await;
        let visitor = house.visitor();
        visitor.get("/").answered(update("basket=tea")).await;
        let planted = visitor.with_ticket(&visitor.ticket());
        visitor.log_in(ADA).await;
        assert_eq!(visitor.get("/account").await.session(), Some("user=ada&basket=tea"));
        for _ in 0..2 {
            assert_eq!(planted.get("/").fetching().await.session(), None);
            assert_eq!(planted.get("/account").navigating().await.status, 303);
            house.time_passes(10 * MINUTE);
        }
        // Another person begins with nothing of hers.
        visitor.log_in(BOB).await;
        assert_eq!(visitor.get("/account").await.session(), Some("user=bob"));
    }

    async fn a_form_that_is_sent_twice_keeps_the_basket_either_way(engine: Engine) {
        let house = house(engine).await;
        let visitor = house.visitor();
        visitor.get("/").answered(update("basket=tea")).await;
        let token = visitor.get(LOGIN).await.token();
        let fields = [("token", &*token), ("user", ADA.0), ("password", ADA.1)];
        // A ticket is renewed by an update; a session that is carried is held where storage is asked about its person.
        let gate = StorageGate::default();
        house.storage().fail_once(Which::Read, StorageFault::HoldBefore(gate.clone()));
        let first = visitor.post(LOGIN, &fields).underway();
        gate.arrival().await;
        assert_eq!(visitor.post(LOGIN, &fields).await.status, 303);
        let of_second = visitor.with_ticket(&visitor.ticket());
        gate.open();
        assert_eq!(first.await.unwrap().status, 303);
        for browser in [visitor, of_second] {
            assert_eq!(browser.get("/").await.session(), Some("user=ada&basket=tea"));
        }
    }

    async fn what_is_too_large_is_refused_and_told(engine: Engine) {
        let house = house(engine).await;
        let visitor = house.visitor();
        visitor.log_in(ADA).await;
        visitor.get("/").answered(update(&large())).await;
        let cookie = visitor.ticket();
        assert!(cookie.len() > 3_500 && cookie.len() <= 4_096 - "session".len());
        for name in ["more", "again"] {
            // Two requests that saw the same: the second finds a session with a note that something was refused.
            let gate = Gate::closed();
            let text = format!("{name}={}", "y".repeat(2_000));
            let held = [0, 1].map(|_| visitor.get("/").answered(update(&text).held_at(&gate)).underway());
            gate.arrivals(2).await;
            gate.open();
            join_all(held).await;
            let reply = visitor.get("/account").await;
            assert_eq!(reply.seen().header("x-session-conflict"), Some(name));
            assert_eq!(reply.session(), Some(&*format!("user=ada&{}", large())));
        }
        house.time_passes(5 * MINUTE);
        assert_eq!(visitor.get("/account").await.session(), Some(&*format!("user=ada&{}", large())));
        assert_eq!(house.counted("updates", "unfit"), 4);
        assert!(house.records().await.is_empty());
        // What makes it smaller is let in.
        visitor.get("/").answered(update("large=")).await;
        assert_eq!(visitor.get("/").await.session(), Some("user=ada"));
    }

    async fn what_is_too_large_moves_to_the_server_where_it_may(engine: Engine) {
        let house = House::over(engine, vec![spilling()]).await;
        let visitor = house.visitor();
        visitor.log_in(ADA).await;
        visitor.get("/").answered(update(&large())).await;
        let before = visitor.with_ticket(&visitor.ticket());
        let more = format!("more={}", "y".repeat(2_000));
        let gate = Gate::closed();
        // Of two who write at once one moves it; both are given the ticket.
        let held = [more.clone(), "small=1".to_owned()].map(|text| {
            let writer = before.with_ticket(&before.ticket());
            let held = writer.get("/").answered(update(&text).held_at(&gate)).underway();
            (writer, held)
        });
        gate.arrivals(2).await;
        gate.open();
        for (_, held) in held {
            assert_eq!(held.await.unwrap().status, 200);
        }
        visitor.get("/").answered(update("last=1")).await;
        assert!(!is_sealed(&visitor));
        let session = visitor.get("/account").await.session().unwrap().to_owned();
        for part in ["user=ada", "small=1", "last=1", &*more, &*large()] {
            assert!(session.contains(part), "{part} is missing");
        }
        assert_eq!(house.stored().await, 1);
        assert_eq!(house.counted("updates", "moved"), 1);
        // The cookie from before leads there for a while.
        let late = before.with_ticket(&before.ticket());
        assert!(late.get("/").await.session().is_some());
        assert_eq!(late.ticket(), visitor.ticket());
        house.time_passes(MINUTE);
        assert_eq!(before.get("/").fetching().await.session(), None);
        assert_eq!(visitor.log_out().await.status, 303);
        assert_eq!(late.get("/").fetching().await.session(), None);
        assert_eq!(house.stored().await, 0);
    }

    async fn an_outage_leaves_readers_alone_and_claims_no_logout(engine: Engine) {
        let house = house(engine).await;
        let (leaving, staying) = (house.visitor(), house.visitor());
        leaving.log_in(ADA).await;
        staying.log_in(BOB).await;
        house.storage().fail(Which::Any, StorageFault::Refuse);
        house.time_passes(20 * MINUTE);
        assert_eq!(staying.get("/account").await.session(), Some("user=bob"));
        // Nor do writers need storage, where they all are in this process.
        assert_eq!(staying.get("/").answered(update("a=1")).await.status, 200);
        let reply = leaving.post(LOGOUT, &[]).header("sec-fetch-site", "same-origin").await;
        assert_eq!(reply.status, 503);
        assert!(reply.set_cookies().is_empty(), "the cookie stays");
        for _ in 0..3 {
            let reply = leaving.get("/account").navigating().await;
            assert_eq!((reply.status, reply.set_cookies().len()), (503, 0));
        }
        assert_eq!(house.visitor().try_to_log_in(ADA).await.status, 503);
        house.storage().heal();
        crate::house::until("the end", async || house.cache().ends_waiting() == 0).await;
        assert_eq!(leaving.get("/account").fetching().await.status, 401);
        assert_eq!(staying.get("/account").await.session(), Some("user=bob&a=1"));
    }

    async fn applications_of_one_realm_share_it_and_others_do_not(engine: Engine) {
        let plans = vec![
            Plan { id: "shop", hosts: &["shop.example"], ..shop() },
            Plan { id: "bank", hosts: &["bank.example"], idle: 5 * MINUTE, ..shop() },
            Plan { id: "wiki", hosts: &["wiki.example"], realm: "wiki", ..shop() },
        ];
        let house = House::over(engine, plans).await;
        let shop = house.visitor().at("shop.example");
        let (bank, wiki) = (shop.at("bank.example"), shop.at("wiki.example"));
        shop.get("/").answered(update("a=1")).await;
        let reply = bank.get("/").answered(update("b=2")).await;
        assert_eq!((reply.session(), &*reply.seen().by), (Some("a=1"), "bank"));
        // It is bound to its realm: there it does not even open.
        let reply = wiki.get("/").navigating().await;
        assert_eq!((reply.session(), reply.set_cookies().len()), (None, 0));
        assert_eq!(house.counted("cookies_refused", "malformed"), 1);
        house.time_passes(7 * MINUTE);
        let reply = bank.get("/").navigating().await;
        assert_eq!((reply.session(), reply.set_cookies().len()), (None, 0));
        assert_eq!(shop.get("/").await.session(), Some("a=1&b=2"));
    }
}

#[tokio::test]
async fn a_ticket_from_before_goes_on_and_is_sealed_with_the_next_login() {
    // The same site before the change of the carrier, and after it.
    let plans = vec![
        Plan { id: "before", hosts: &["before.example"], sealed: None, ..shop() },
        Plan { id: "after", hosts: &["after.example"], ..shop() },
    ];
    let house = House::over(Engine::Memory, plans).await;
    let before = house.visitor().at("before.example");
    before.log_in(ADA).await;
    before.get("/").answered(update("basket=tea")).await;
    let after = before.at("after.example");
    assert_eq!(after.get("/account").await.session(), Some("user=ada&basket=tea"));
    after.get("/").answered(update("more=1")).await;
    assert_eq!(after.get("/account").await.session(), Some("user=ada&basket=tea&more=1"));
    assert!(!is_sealed(&after));
    after.log_out().await;
    assert_eq!(house.stored().await, 0);
    // And back: a sealed cookie is nothing where tickets are carried.
    after.get("/").answered(update("a=1")).await;
    assert!(is_sealed(&after));
    let reply = before.get("/").navigating().await;
    assert_eq!((reply.session(), reply.set_cookies().len()), (None, 0));
}

#[tokio::test]
async fn of_several_cookies_only_those_of_one_session_are_believed() {
    let house = house(Engine::Memory).await;
    let (visitor, planted) = (house.visitor(), house.visitor());
    visitor.get("/").answered(update("a=1")).await;
    let older = visitor.ticket();
    visitor.get("/").answered(update("b=2")).await;
    planted.get("/").answered(update("a=planted")).await;
    house.time_passes(5 * MINUTE);
    for line in [
        format!("session={older}; session={}", visitor.ticket()),
        format!("session={}; session={older}", visitor.ticket()),
    ] {
        assert_eq!(visitor.get("/").cookies(line).await.session(), Some("a=1&b=2"));
    }
    let both = format!("session={}; session={}", planted.ticket(), visitor.ticket());
    assert_eq!(visitor.get("/").cookies(&both).await.session(), None);
    // A login ends them all.
    let page = visitor.get(LOGIN).cookies(&both).await;
    let line = format!("{both}; cloakroom-login={}", visitor.cookie("cloakroom-login").unwrap());
    let fields = [("token", &*page.token()), ("user", ADA.0), ("password", ADA.1)];
    assert_eq!(visitor.post(LOGIN, &fields).cookies(&line).await.status, 303);
    let both = format!("session={}; session={}", planted.ticket(), visitor.ticket());
    assert_eq!(visitor.get("/account").cookies(&both).await.session(), Some("user=ada"));
}

#[tokio::test]
async fn a_changed_byte_or_another_name_opens_nothing() {
    let plans = vec![
        Plan { id: "shop", hosts: &["shop.example"], ..shop() },
        Plan {
            id: "till",
            hosts: &["till.example"],
            cookie: gateway::cookies::CookieSettings { name: "till".into(), ..plan().cookie },
            ..shop()
        },
    ];
    let house = House::over(Engine::Memory, plans).await;
    let visitor = house.visitor().at("shop.example");
    visitor.get("/").answered(update("a=1")).await;
    let cookie = visitor.ticket();
    for at in [0, 7, 30, cookie.len() / 2, cookie.len() - 1] {
        let mut bytes = cookie.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let forged = visitor.with_ticket(std::str::from_utf8(&bytes).unwrap());
        assert_eq!(forged.get("/").fetching().await.session(), None, "byte {at}");
    }
    let till = visitor.at("till.example");
    let renamed = till.get("/").cookies(format!("till={cookie}")).await;
    assert_eq!(renamed.session(), None);
    let reply = till.get("/").cookies(format!("session={cookie}")).await;
    assert_eq!((reply.session(), &*reply.seen().by), (None, "till"));
}

/// A ring of keys by their number, with the first one active.
fn ring(numbers: &[u8]) -> KeyRing {
    let key = |number: u8, state| {
        Key::new(format!("key-{number}").parse().unwrap(), state, zeroize::Zeroizing::new([number; 32]))
    };
    let state = |at| if at == 0 { KeyState::Active } else { KeyState::Retiring };
    KeyRing::new(numbers.iter().enumerate().map(|(at, number)| key(*number, state(at))).collect()).unwrap()
}

#[tokio::test]
async fn keys_are_changed_and_nobody_notices_until_theirs_is_gone() {
    let keys = Arc::new(Keys::new(ring(&[1])));
    let house = House::with(Plan { keys: Arc::clone(&keys), ..shop() }).await;
    let (regular, rare) = (house.visitor(), house.visitor());
    for visitor in [&regular, &rare] {
        visitor.log_in(ADA).await;
        visitor.get("/").answered(update("a=1")).await;
    }
    keys.replace(ring(&[2, 1]));
    // It opens as it is, and is sealed by the new key when that is due.
    assert!(regular.get("/").await.set_cookies().is_empty());
    house.time_passes(MINUTE);
    assert_eq!(regular.get("/").await.set_cookies().len(), 1);
    keys.replace(ring(&[2]));
    assert_eq!(regular.get("/account").await.session(), Some("user=ada&a=1"));
    // Whose key is gone is nobody; but another node may have it, so the cookie stays.
    for reply in [rare.get("/").fetching().await, rare.get("/").navigating().await] {
        assert_eq!((reply.session(), reply.set_cookies().len()), (None, 0));
    }
    assert_eq!(rare.get("/account").fetching().await.status, 401);
    keys.replace(ring(&[2, 1]));
    assert_eq!(rare.get("/account").await.session(), Some("user=ada&a=1"));
}

#[tokio::test]
async fn who_is_away_too_long_is_out_and_who_comes_back_in_time_is_not() {
    let house = house(Engine::Memory).await;
    let visitor = house.visitor();
    visitor.log_in(ADA).await;
    for _ in 0..4 {
        house.time_passes(29 * MINUTE);
        let reply = visitor.get("/account").await;
        assert_eq!((reply.session(), reply.set_cookies().len()), (Some("user=ada"), 1));
    }
    let left = visitor.with_ticket(&visitor.ticket());
    house.time_passes(31 * MINUTE);
    assert!(left.get("/").answered(status(200)).navigating().await.deletes_cookie());
}
