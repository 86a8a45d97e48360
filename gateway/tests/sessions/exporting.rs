//! The assertions of a session: the application is told where they are, and fetches them there. Nobody else does.

use std::time::Duration;

use cache::{Open, Opening};
use gateway::settings::{Export, ExportHeaders};
use http::{HeaderName, Method};
use session::Principal;
use storage::faulty::{Fault, Which};

use crate::house::{Engine, House, over_each_engine};
use crate::plan::{Plan, plan};

const LOCATION: &str = "/.cloakroom/assertion";

fn exporting() -> Plan {
    let export = Export {
        location: LOCATION.into(),
        acl: ["127.0.0.1/32", "192.0.2.0/24"].map(|network| network.parse().unwrap()).into(),
        headers: ExportHeaders::of(&HeaderName::from_static("shib-assertion")),
    };
    Plan { export: Some(export), trusted: &["127.0.0.9/32"], ..plan() }
}

/// A session with two assertions: its ticket, and its handle.
async fn opened(house: &House) -> (String, String) {
    let given = [("_one", "<one/>"), ("t/w&o é", "<two/>")].map(|(id, content)| (id.into(), content.into()));
    let assertions = house.cache().assertions(given.to_vec()).unwrap();
    let principal = Some(Principal::named("idp", "ann"));
    let opening = Opening { principal, assertions, ..Opening::default() };
    match house.cache().open(opening, &house.judge()).await.unwrap() {
        Open::Opened(opened) => (opened.ticket.expose().to_string(), opened.session.handle.to_string()),
        other => panic!("{other:?}"),
    }
}

over_each_engine! {
    async fn an_application_fetches_what_it_is_told_of(engine: Engine) {
        let house = House::over(engine, vec![exporting()]).await;
        let (ticket, handle) = opened(&house).await;
        let visitor = house.visitor().with_ticket(&ticket);
        let reply = visitor.get("/").await;
        let seen = reply.seen();
        assert_eq!(seen.header("shib-assertion-count"), Some("2"));
        let first = seen.header("shib-assertion-01").unwrap();
        // No host that a visitor could have made up, and nothing that opens a session.
        assert_eq!(first, format!("{LOCATION}?key={handle}&ID=%5Fone"));
        assert!(!first.contains(ticket.split('.').next_back().unwrap()));
        let application = house.visitor();
        let fetched = application.get(first).await;
        assert_eq!((fetched.status, &*fetched.body), (200, "<one/>"));
        assert_eq!(fetched.header("content-type"), Some("application/samlassertion+xml"));
        assert_eq!(fetched.header("cache-control"), Some("no-store"));
        assert!(fetched.is_ours(), "no application sees such a request");
        let second = seen.header("shib-assertion-02").unwrap();
        assert_eq!(application.get(second).await.body, "<two/>");
    }

    async fn who_is_not_in_the_list_gets_nothing_whatever_they_know(engine: Engine) {
        let house = House::over(engine, vec![exporting()]).await;
        let (_, handle) = opened(&house).await;
        let at = format!("{LOCATION}?key={handle}&ID=_one");
        assert_eq!(house.visitor().from("127.0.0.3").get(&at).await.status, 403);
        // A proxy that nobody told us of, on this machine, brings somebody.
        for header in ["x-forwarded-for", "forwarded"] {
            let reply = house.visitor().get(&at).header(header, "192.0.2.7").await;
            assert_eq!(reply.status, 403, "{header}");
        }
        // One that is trusted says who it is.
        let proxy = house.visitor().from("127.0.0.9");
        for (client, status) in [("192.0.2.7", 200), ("198.51.100.7", 403), ("127.0.0.1, 198.51.100.7", 403)] {
            let reply = proxy.get(&at).header("x-forwarded-for", client).await;
            assert_eq!(reply.status, status, "{client}: {}", reply.body);
        }
        assert_eq!(house.counted("refused", "not_allowed"), 5);
    }

    async fn only_of_a_live_session_and_only_what_it_has(engine: Engine) {
        let house = House::over(engine, vec![exporting()]).await;
        let (ticket, handle) = opened(&house).await;
        let at = |key: &str, id: &str| format!("{LOCATION}?key={key}&ID={id}");
        let application = house.visitor();
        let status = async |path: String| application.get(&path).await.status;
        assert_eq!(status(at(&handle, "_three")).await, 404);
        assert_eq!(status(at(&"0".repeat(32), "_one")).await, 404);
        assert_eq!(status(at(&ticket, "_one")).await, 404, "a ticket is no key");
        assert_eq!(status(LOCATION.to_owned()).await, 400);
        assert_eq!(status(at(&handle, "")).await, 400);
        let one = at(&handle, "_one");
        assert_eq!(application.request(Method::POST, &one).await.status, 405);
        // It is no use of the session.
        house.time_passes(Duration::from_secs(29 * 60));
        assert_eq!(status(one.clone()).await, 200);
        house.storage().fail(Which::Read, Fault::Refuse);
        let reply = application.get(&one).await;
        assert_eq!(reply.status, 503);
        assert!(!reply.body.contains("<one/>"));
        house.storage().heal();
        house.time_passes(Duration::from_secs(3 * 60));
        assert_eq!(status(one).await, 404);
        let (ticket, handle) = opened(&house).await;
        let reply = house.visitor().with_ticket(&ticket).get("/").answered(crate::application::update("user=")).await;
        assert_eq!(reply.status, 200);
        let session = house.cache().show(&handle.parse().unwrap()).await.unwrap().unwrap().session;
        let ending = session::Ending::new(house.now(), session::Why::Logout, "test");
        house.cache().end(&session, ending, &house.judge()).await.unwrap();
        assert_eq!(status(at(&handle, "_one")).await, 404);
    }

    async fn a_session_of_another_realm_is_none(engine: Engine) {
        let blog = Plan { id: "blog", realm: "blog", path: "/blog", ..plan() };
        let export = exporting().export.map(|export| Export { location: "/blog/assertion".into(), ..export });
        let house = House::over(engine, vec![exporting(), Plan { export, ..blog }]).await;
        let (_, handle) = opened(&house).await;
        let application = house.visitor();
        assert_eq!(application.get(&format!("/blog/assertion?key={handle}&ID=_one")).await.status, 404);
        assert_eq!(application.get(&format!("{LOCATION}?key={handle}&ID=_one")).await.status, 200);
    }

    async fn no_visitor_passes_for_somebody_with_assertions(engine: Engine) {
        let house = House::over(engine, vec![exporting()]).await;
        for name in ["Shib-Assertion-Count", "shib-assertion-01", "SHIB_ASSERTION_16"] {
            let reply = house.visitor().get("/").header(name, "https://evil.example/").await;
            assert!(reply.seen().spellings(name).is_empty(), "{name}");
        }
        // Where visitors name one of its hosts, that is where the application is told to go.
        let house = House::over(engine, vec![Plan { hosts: &["shop.example"], ..exporting() }]).await;
        let (ticket, handle) = opened(&house).await;
        let reply = house.visitor().at("shop.example").with_ticket(&ticket).get("/").await;
        let told = format!("http://shop.example{LOCATION}?key={handle}&ID=%5Fone");
        assert_eq!(reply.seen().header("shib-assertion-01"), Some(&*told));
    }
}
