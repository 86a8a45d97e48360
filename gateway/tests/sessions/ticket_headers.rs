//! Tickets, and sealed sessions, that come and go in a header, by way of proxies that are trusted.

use gateway::settings::TicketHeaders;
use http::HeaderName;

use crate::application::{status, update};
use crate::house::{Engine, House, over_each_engine};
use crate::plan::{ADA, Plan, plan};
use crate::visitor::{LOGIN, LOGOUT, Reply, Visitor};

const PROXY: &str = "127.0.0.1";
const ANYBODY: &str = "127.0.0.2";
const HEADER: &str = "x-session-key";

fn headers() -> TicketHeaders {
    TicketHeaders {
        inbound: Some(HeaderName::from_static(HEADER)),
        inbound_from_anyone: false,
        outbound: Some(HeaderName::from_static(HEADER)),
    }
}

fn shop() -> Plan {
    Plan { ticket_headers: headers(), trusted: &["127.0.0.1/32"], login: Some(&["/account"]), ..plan() }
}

fn sealed() -> Plan {
    Plan { sealed: Some(false), ..shop() }
}

/// Somebody without cookies, who comes through the proxy.
fn proxied(house: &House) -> Visitor {
    house.visitor().from(PROXY)
}

fn given(reply: &Reply) -> String {
    reply.header(HEADER).expect("a ticket was answered in the header").to_owned()
}

/// A new session, and what was answered for it.
async fn opened(house: &House, entries: &str) -> String {
    let visitor = proxied(house);
    let ticket = given(&visitor.get("/").answered(update(entries)).await);
    assert_eq!(ticket, visitor.ticket(), "the cookie says the same");
    ticket
}

over_each_engine! {
    async fn a_proxy_takes_and_brings_tickets_in_a_header(engine: Engine) {
        let house = House::over(engine, vec![shop()]).await;
        let ticket = opened(&house, "a=1").await;
        let reply = proxied(&house).get("/").header(HEADER, &ticket).await;
        assert_eq!(reply.session(), Some("a=1"));
        assert!(reply.seen().spellings(HEADER).is_empty(), "the application does not see it");
        assert_eq!(reply.header(HEADER), None, "it is as it was");
        assert_eq!(house.stripped(), 0, "it passes for nothing that it is not");
    // An update of an application is of the session that was shown.
        proxied(&house).get("/").header(HEADER, &ticket).answered(update("b=2")).await;
        assert_eq!(proxied(&house).get("/").header(HEADER, &ticket).await.session(), Some("a=1&b=2"));
        assert_eq!(house.stored().await, 1);
    }

    async fn a_login_answers_the_new_ticket_and_the_end_answers_none(engine: Engine) {
        let house = House::over(engine, vec![shop()]).await;
        let before = opened(&house, "a=1").await;
        let visitor = proxied(&house);
        let page = visitor.get(LOGIN).header(HEADER, &before).navigating().await;
        let fields = [("token", &*page.token()), ("user", ADA.0), ("password", ADA.1)];
        let reply = visitor.post(LOGIN, &fields).header(HEADER, &before).await;
        assert_eq!(reply.status, 303, "{}", reply.body);
        let after = given(&reply);
        assert_ne!(after, before);
        let seen = proxied(&house).get("/account").header(HEADER, &after).await;
        assert_eq!(seen.session(), Some("user=ada&a=1"));
        assert_eq!(proxied(&house).get("/").header(HEADER, &before).await.session(), None);
        let reply = proxied(&house).post(LOGOUT, &[]).header(HEADER, &after).header("sec-fetch-site", "same-origin").await;
        assert_eq!((reply.status, reply.header(HEADER)), (303, None));
        let reply = proxied(&house).get("/").header(HEADER, &after).navigating().await;
        assert_eq!((reply.status, reply.session(), reply.header(HEADER)), (200, None, None));
        assert!(reply.set_cookies().is_empty(), "what the browser holds is not known");
        assert_eq!(house.stored().await, 0);
    }

    async fn the_header_wins_over_the_cookie_be_it_worth_nothing(engine: Engine) {
        let house = House::over(engine, vec![shop()]).await;
        let (first, second) = (opened(&house, "a=1").await, opened(&house, "b=2").await);
        let visitor = house.visitor().with_ticket(&first).from(PROXY);
        assert_eq!(visitor.get("/").await.session(), Some("a=1"));
        assert_eq!(visitor.get("/").header(HEADER, "").await.session(), Some("a=1"), "what is empty is not there");
        assert_eq!(visitor.get("/").header(HEADER, &second).await.session(), Some("b=2"));
        let unknown = first.replace(|byte: char| byte.is_ascii_digit(), "7");
        for nothing in ["nonsense", &unknown, &format!("{first}, {second}"), &format!("session={first}")] {
            let reply = visitor.get("/").header(HEADER, nothing).navigating().await;
            assert_eq!((reply.status, reply.session()), (200, None), "{nothing}");
            assert!(reply.set_cookies().is_empty() && visitor.has_session_cookie(), "{nothing}");
        }
        assert_eq!(visitor.get("/").await.session(), Some("a=1"));
    }
}

#[tokio::test]
async fn who_is_not_trusted_is_not_heard_and_gets_no_header() {
    let house = House::with(shop()).await;
    let ticket = opened(&house, "a=1").await;
    let anybody = house.visitor().from(ANYBODY);
    let reply = anybody.get("/").header(HEADER, &ticket).await;
    assert_eq!(reply.session(), None);
    assert!(reply.seen().spellings(HEADER).is_empty());
    assert_eq!(house.stripped(), 1);
    // Nor by saying that a proxy sends them.
    let reply = anybody.get("/").header(HEADER, &ticket).header("x-forwarded-for", PROXY).await;
    assert_eq!(reply.session(), None);
    let reply = anybody.get("/").answered(update("b=2")).await;
    assert_eq!((reply.set_cookies().len(), reply.header(HEADER)), (1, None));
}

#[tokio::test]
async fn whatever_it_is_called_it_reaches_no_application_and_only_its_name_is_heard() {
    let neighbour = Plan { id: "plain", path: "/plain", is_plain: true, ..plan() };
    let other = Plan { id: "bank", path: "/bank", realm: "bank", ..plan() };
    let house = House::over(Engine::Memory, vec![shop(), neighbour, other]).await;
    let ticket = opened(&house, "a=1").await;
    for name in ["X_Session_Key", "x-session_key", "X.Session.Key", "x~session-key", "X_SESSION-KEY"] {
        for from in [PROXY, ANYBODY] {
            let reply = house.visitor().from(from).get("/").header(name, &ticket).await;
            assert_eq!(reply.session(), None, "{name}");
            assert!(reply.seen().spellings(HEADER).is_empty(), "{name}");
        }
        // Beside the one that counts it changes nothing.
        let reply = proxied(&house).get("/").header(HEADER, &ticket).header(name, "nonsense").await;
        assert_eq!(reply.session(), Some("a=1"));
        assert!(reply.seen().spellings(HEADER).is_empty(), "{name}");
    }
    for path in ["/plain", "/bank"] {
        for name in [HEADER, "X_Session_Key"] {
            let reply = proxied(&house).get(path).header(name, &ticket).await;
            assert!(reply.seen().spellings(HEADER).is_empty(), "{path} {name}");
        }
    }
    // Of several nobody knows which is meant.
    for pair in [[&*ticket, &*ticket], [&ticket, "nonsense"], ["", &ticket]] {
        let request = proxied(&house).get("/").header(HEADER, pair[0]).header(HEADER, pair[1]);
        let reply = request.await;
        assert_eq!((reply.status, reply.session()), (200, None), "{pair:?}");
        assert!(reply.seen().spellings(HEADER).is_empty());
    }
}

#[tokio::test]
async fn an_application_cannot_answer_in_it() {
    let neighbour = Plan { id: "plain", path: "/plain", is_plain: true, ..plan() };
    let house = House::over(Engine::Memory, vec![shop(), neighbour]).await;
    let ticket = opened(&house, "a=1").await;
    for (path, name) in [("/", "X-Session-Key"), ("/", "X_Session_Key"), ("/plain", "x-session-key")] {
        for from in [PROXY, ANYBODY] {
            let answer = status(200).header(name, "planted");
            let reply = house.visitor().from(from).get(path).header(HEADER, &ticket).answered(answer).await;
            assert!(!reply.headers.values().any(|value| value == "planted"), "{path} {name}");
        }
    }
    let reply = proxied(&house).get("/").answered(update("b=2").header("X-Session-Key", "planted")).await;
    assert_ne!(given(&reply), "planted");
}

#[tokio::test]
async fn by_the_dangerous_option_anybody_is_heard_and_still_only_proxies_are_answered() {
    let ticket_headers = TicketHeaders { inbound_from_anyone: true, ..headers() };
    let house = House::with(Plan { ticket_headers, ..shop() }).await;
    let ticket = opened(&house, "a=1").await;
    let anybody = house.visitor().from(ANYBODY);
    let reply = anybody.get("/").header(HEADER, &ticket).await;
    assert_eq!(reply.session(), Some("a=1"));
    assert!(reply.seen().spellings(HEADER).is_empty());
    assert_eq!(anybody.get("/").answered(update("b=2")).await.header(HEADER), None);
}

#[tokio::test]
async fn sealed_sessions_travel_so_as_well() {
    let house = House::with(sealed()).await;
    let first = opened(&house, "a=1").await;
    let reply = proxied(&house).get("/").header(HEADER, &first).answered(update("b=2")).await;
    let second = given(&reply);
    assert_ne!(first, second);
    assert_eq!(proxied(&house).get("/").header(HEADER, &second).await.session(), Some("a=1&b=2"));
    assert_eq!(house.visitor().from(ANYBODY).get("/").header(HEADER, &second).await.session(), None);
    // One that is due to be sealed anew is answered so.
    house.time_passes(std::time::Duration::from_secs(120));
    given(&proxied(&house).get("/").header(HEADER, &second).await);
}

#[tokio::test]
async fn a_socket_takes_it_too() {
    let house = House::with(shop()).await;
    let ticket = opened(&house, "a=1").await;
    let answer =
        status(101).header("Connection", "upgrade").header("Upgrade", "echo").header(HEADER, "planted");
    let request = proxied(&house).get("/").header("connection", "upgrade").header("upgrade", "echo");
    let reply = request.header(HEADER, &ticket).answered(answer).await;
    assert_eq!((reply.status, reply.session(), reply.header(HEADER)), (101, Some("a=1"), None));
    assert!(reply.seen().spellings(HEADER).is_empty());
}
