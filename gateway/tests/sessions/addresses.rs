//! Sessions that are tied to the addresses that they are used from: over real sockets, by IPv4, by IPv6, and by IPv4 that
//! is written as IPv6.

use gateway::settings::{AddressSettings, OnAddressChange};
use session::{AddressRule, Addresses, Patch, Principal, Revision};
use storage::faulty::{Fault, Which};

use crate::application::{status, update};
use crate::house::{Engine, House, over_each_engine};
use crate::plan::{ADA, Plan, plan};
use crate::visitor::{LOGIN, LOGOUT, Reply};

const OWN: &str = "127.0.0.2";
const OTHER: &str = "127.0.0.3";

fn settings(on_change: OnAddressChange, unreliable: &[&str]) -> AddressSettings {
    let unreliable = unreliable.iter().map(|network| network.parse().unwrap());
    AddressSettings { rule: AddressRule::new(true, true, unreliable), on_change }
}

fn shop() -> Plan {
    Plan { addresses: settings(OnAddressChange::Refuse, &[]), login: Some(&["/account"]), ..plan() }
}

fn sealed() -> Plan {
    Plan { sealed: Some(false), ..shop() }
}

/// They are told what happened, nothing is taken from them, and the application never hears of it.
fn assert_refused(reply: &Reply) {
    assert_eq!(reply.status, 403, "{}", reply.body);
    assert!(reply.is_ours());
    assert!(reply.set_cookies().is_empty());
    assert_eq!(reply.header("cache-control"), Some("no-store"));
}

over_each_engine! {
    async fn a_stolen_ticket_opens_nothing_elsewhere_and_its_owner_stays(engine: Engine) {
        let house = House::over(engine, vec![shop()]).await;
        let visitor = house.visitor().from(OWN);
        visitor.log_in(ADA).await;
        let thief = visitor.with_ticket(&visitor.ticket()).from(OTHER);
        for path in ["/", "/account"] {
            let reply = thief.get(path).navigating().await;
            assert_refused(&reply);
            assert!(reply.body.contains("another network address"), "{}", reply.body);
            assert!(reply.body.contains("has not ended"), "{}", reply.body);
            let reply = thief.get(path).header("accept", "application/json").await;
            assert_refused(&reply);
            assert!(reply.body.contains("\"error\":\"other_address\""), "{}", reply.body);
        }
        // Nor does it log them out.
        assert_refused(&thief.get(LOGOUT).navigating().await);
        assert_refused(&thief.post(LOGOUT, &[]).header("sec-fetch-site", "same-origin").await);
        assert_eq!(visitor.get("/account").await.session(), Some("user=ada"));
        assert_eq!(house.counted("refused", "other_address"), 6);
        assert_eq!(house.counted("cookies_refused", "other_address"), 6);
    }

    async fn who_has_moved_may_come_back_or_begin_another_session(engine: Engine) {
        let house = House::over(engine, vec![shop()]).await;
        let visitor = house.visitor().from(OWN);
        visitor.log_in(ADA).await;
        let first = visitor.ticket();
        let moved = visitor.from(OTHER);
        assert_refused(&moved.get("/account").navigating().await);
        assert_eq!(visitor.get("/account").await.session(), Some("user=ada"));
        // The form is there for them, and what it gives is tied to where they are.
        moved.log_in(ADA).await;
        assert_ne!(visitor.ticket(), first);
        assert_eq!(moved.get("/account").await.session(), Some("user=ada"));
        assert_refused(&visitor.get("/account").await);
        assert_eq!(house.visitor().with_ticket(&first).from(OWN).get("/").await.session(), Some("user=ada"));
        assert_eq!(house.stored().await, 2);
    }

    async fn each_family_has_its_own_address(engine: Engine) {
        let house = House::over(engine, vec![shop()]).await;
        let visitor = house.visitor().from(OWN);
        visitor.get("/").answered(update("a=1")).await;
        // Another request changes the session while the other family is new.
        assert_eq!(visitor.from("::1").get("/").answered(update("b=2")).await.session(), Some("a=1"));
        assert_eq!(visitor.get("/").await.session(), Some("a=1&b=2"));
        assert_eq!(visitor.from("::1").get("/").await.session(), Some("a=1&b=2"));
        assert_refused(&visitor.from(OTHER).get("/").await);
    }

    async fn an_ipv4_address_that_is_written_as_ipv6_is_ipv4(engine: Engine) {
        let house = House::over(engine, vec![shop()]).await;
        let visitor = house.visitor().from(OWN);
        visitor.get("/").answered(update("a=1")).await;
        assert_eq!(visitor.mapped().get("/").await.session(), Some("a=1"));
        assert_refused(&visitor.from(OTHER).mapped().get("/").await);
        assert_eq!(visitor.from("::1").get("/").await.session(), Some("a=1"), "IPv6 is still free");
    }

    async fn with_end_the_session_ends_and_says_why(engine: Engine) {
        let plan = Plan { addresses: settings(OnAddressChange::End, &[]), ..shop() };
        let house = House::over(engine, vec![plan]).await;
        let visitor = house.visitor().from(OWN);
        visitor.log_in(ADA).await;
        let thief = visitor.with_ticket(&visitor.ticket()).from(OTHER);
        let reply = thief.get("/").navigating().await;
        assert_eq!((reply.status, reply.session()), (200, None), "as with any session that is over");
        assert!(reply.deletes_cookie());
        assert_eq!(visitor.get("/").await.session(), None);
        assert_eq!(visitor.get("/account").fetching().await.status, 401);
        assert_eq!(house.stored().await, 0);
        let why: Vec<_> = house.endings().await.iter().map(|ending| ending.why.as_str()).collect();
        assert_eq!(why, ["address"]);
    }

    async fn first_uses_at_once_leave_one_address(engine: Engine) {
        // Opened without an address, as before the option was turned on.
        let off = Plan { id: "old", path: "/old", ..plan() };
        let house = House::over(engine, vec![shop(), off]).await;
        let visitor = house.visitor().from(OWN);
        visitor.get("/old").answered(update("a=1")).await;
        let ticket = visitor.ticket();
        let uses: Vec<_> = (10..42)
            .map(|last| house.visitor().with_ticket(&ticket).from(&format!("127.0.0.{last}")).get("/").underway())
            .collect();
        let mut statuses = Vec::new();
        for one in uses {
            statuses.push(one.await.unwrap().status);
        }
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        assert!(statuses.iter().all(|status| matches!(status, 200 | 403)), "{statuses:?}");
        assert_eq!(visitor.get("/old").await.session(), Some("a=1"), "who does not look at addresses is not concerned");
    }

    async fn a_socket_is_refused_as_everything_else(engine: Engine) {
        let house = House::over(engine, vec![shop()]).await;
        let visitor = house.visitor().from(OWN);
        visitor.get("/").answered(update("a=1")).await;
        let answer = || status(101).header("Connection", "upgrade").header("Upgrade", "echo");
        let upgrade = |visitor: &crate::visitor::Visitor| {
            visitor.get("/").header("connection", "upgrade").header("upgrade", "echo").answered(answer())
        };
        assert_eq!(upgrade(&visitor).await.status, 101);
        assert_refused(&upgrade(&visitor.from(OTHER)).await);
    }

    async fn a_session_that_was_opened_for_somebody_is_first_used_by_them(engine: Engine) {
        let house = House::over(engine, vec![shop()]).await;
        let mut entries = Patch::new(Revision::default());
        entries.set("a", "1".into());
        let opening = cache::Opening {
            principal: Some(Principal::named("shop", "ada")),
            entries,
            addresses: Addresses::awaiting(OWN.parse().unwrap()),
            ..cache::Opening::default()
        };
        let opened = house.cache().open(opening, &house.judge()).await.unwrap().opened().unwrap();
        let visitor = house.visitor().with_ticket(&opened.ticket.expose()).from(OWN);
        for other in [OTHER, "::1"] {
            assert_refused(&visitor.from(other).get("/").await);
        }
        assert_eq!(visitor.get("/").await.session(), Some("user=ada&a=1"));
        // From then on it is like any other.
        assert_eq!(visitor.from("::1").get("/").await.session(), Some("user=ada&a=1"));
        assert_refused(&visitor.from(OTHER).get("/").await);
    }

    async fn an_outage_ties_nobody_and_logs_nobody_out(engine: Engine) {
        let off = Plan { id: "old", path: "/old", ..plan() };
        let house = House::over(engine, vec![shop(), off]).await;
        let visitor = house.visitor().from(OWN);
        visitor.get("/old").answered(update("a=1")).await;
        house.storage().fail(Which::Update, Fault::Refuse);
        let reply = visitor.get("/").navigating().await;
        assert_eq!(reply.status, 503, "nobody knows yet from where it is used first");
        assert!(reply.set_cookies().is_empty());
        house.storage().heal();
        assert_eq!(visitor.get("/").await.session(), Some("a=1"));
    }
}

#[tokio::test]
async fn one_network_must_hold_both_addresses() {
    let unreliable = ["127.0.0.0/30", "127.0.0.4/30"];
    let house =
        House::with(Plan { addresses: settings(OnAddressChange::Refuse, &unreliable), ..shop() }).await;
    let visitor = house.visitor().from("127.0.0.1");
    visitor.get("/").answered(update("a=1")).await;
    for (from, status) in [("127.0.0.2", 200), ("127.0.0.3", 200), ("127.0.0.4", 403), ("127.0.1.1", 403)] {
        assert_eq!(visitor.from(from).get("/").await.status, status, "{from}");
    }
}

#[tokio::test]
async fn a_sealed_session_is_sealed_anew_for_its_second_family() {
    let house = House::with(sealed()).await;
    let visitor = house.visitor().from(OWN);
    visitor.get("/").answered(update("a=1")).await;
    let first = visitor.ticket();
    assert!(visitor.get("/").await.set_cookies().is_empty(), "it was tied when it was opened");
    let reply = visitor.from("::1").get("/").await;
    assert_eq!((reply.session(), reply.set_cookies().len()), (Some("a=1"), 1));
    assert_ne!(visitor.ticket(), first);
    assert!(visitor.from("::1").get("/").await.set_cookies().is_empty());
    assert_eq!(visitor.get("/").await.session(), Some("a=1"));
    let thief = visitor.with_ticket(&visitor.ticket()).from(OTHER);
    assert_refused(&thief.get("/").await);
    assert_refused(&thief.with_ticket(&first).from(OTHER).get("/").await);
}

#[tokio::test]
async fn the_address_is_that_of_the_visitor_and_not_of_a_proxy() {
    let house = House::with(Plan { trusted: &["127.0.0.1/32"], ..shop() }).await;
    let proxy = house.visitor().from("127.0.0.1");
    let by = |address: &str| proxy.get("/").header("x-forwarded-for", address);
    by("192.0.2.1").answered(update("a=1")).await;
    assert_eq!(by("192.0.2.1").await.session(), Some("a=1"));
    assert_eq!(by("::ffff:192.0.2.1").await.session(), Some("a=1"));
    assert_eq!(by("[2001:db8::1]:443").await.session(), Some("a=1"));
    assert_refused(&by("192.0.2.2").await);
    assert_refused(&by("2001:db8::2").await);
    // What stands left of what the proxy saw is the client's own word.
    assert_refused(&by("192.0.2.1, 192.0.2.2").await);
    // And nobody else is believed.
    assert_refused(&proxy.from(OTHER).get("/").header("x-forwarded-for", "192.0.2.1").await);
}

#[tokio::test]
async fn a_planted_ticket_of_elsewhere_takes_the_place_of_no_other() {
    let house = House::with(shop()).await;
    let (visitor, other) = (house.visitor().from(OWN), house.visitor().from(OTHER));
    visitor.log_in(ADA).await;
    other.log_in(ADA).await;
    let both = format!("session={}; session={}", visitor.ticket(), other.ticket());
    for from in [OWN, OTHER] {
        let reply = visitor.from(from).get("/").cookies(&both).await;
        assert_eq!((reply.status, reply.session()), (200, None), "nobody knows which is meant");
        assert!(reply.set_cookies().is_empty());
    }
    assert_eq!(visitor.get("/").await.session(), Some("user=ada"));
}

#[tokio::test]
async fn who_is_elsewhere_is_not_led_to_the_login_and_can_go_there() {
    let house = House::with(shop()).await;
    let visitor = house.visitor().from(OWN);
    visitor.log_in(ADA).await;
    let moved = visitor.from(OTHER);
    assert_eq!(moved.get(LOGIN).navigating().await.status, 200);
    assert_eq!(moved.get("/account").navigating().await.status, 403);
}
