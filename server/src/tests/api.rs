//! The API, through real sockets: what it does, to whom, and what it says when it cannot.

mod changing;
mod described;
mod finding;
mod once;
mod watching;

use std::future::ready;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use cache::{
    Application, Asserted, Find, MAX_ASSERTIONS, Newcomers, Openings, Realm, SessionLimit, WhenFull,
    Whereabouts,
};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};
use session::{AddressRule, Handle, Origin, Ticket, Timeouts};

use super::house::client;
use super::*;

const ADMIN: &str = "the-token-of-an-admin-0123456789abcdef";
const READER: &str = "the-token-of-a-reader-0123456789abcdef";
const SHOP: &str = "the-token-of-the-shop-0123456789abcdef";
const PARTIAL: &str = "the-token-of-one-who-sees-a-part-0123456789";
const STRANGER: &str = "the-token-of-one-of-another-realm-0123456789";

/// A house with a shop in it.
struct House {
    house: super::house::House,
    shop: Application,
    newcomers: Arc<Crowd>,
}

impl Deref for House {
    type Target = super::house::House;

    fn deref(&self) -> &Self::Target {
        &self.house
    }
}

/// Lets in nobody from a crowded address, and remembers whom it let in.
#[derive(Debug, Default)]
struct Crowd {
    noted: Mutex<Vec<(IpAddr, Handle)>>,
    asked: AtomicUsize,
    is_closed: AtomicBool,
}

const CROWDED: &str = "192.0.2.99";

impl Newcomers for Crowd {
    fn admit<'a>(&'a self, from: IpAddr, _: &'a Cache) -> BoxFuture<'a, Result<(), Duration>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let is_crowded = from.to_string() == CROWDED || self.is_closed.load(Ordering::Relaxed);
        ready(if is_crowded { Err(Duration::from_millis(4_200)) } else { Ok(()) }).boxed()
    }

    fn note(&self, from: IpAddr, handle: Handle) {
        self.noted.lock().push((from, handle));
    }
}

impl Crowd {
    /// From now on every address is crowded.
    fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    fn open(&self) {
        self.is_closed.store(false, Ordering::Relaxed);
    }

    /// How often it was asked whether somebody may come.
    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

impl House {
    async fn new() -> Self {
        Self::with(true).await
    }

    async fn with(keeps_assertions: bool) -> Self {
        Self::limited(keeps_assertions, None, WhenFull::Refuse).await
    }

    /// Where a person may have so many sessions.
    async fn limited(keeps_assertions: bool, most: Option<usize>, when_full: WhenFull) -> Self {
        let hour = Duration::from_hours(1);
        let timeouts = Timeouts { idle: hour, lifetime: hour * 10 };
        let realm = Realm {
            id: "shop".into(),
            timeouts: vec![timeouts],
            touch_interval: Duration::from_mins(1),
            lateness: Duration::from_mins(1),
            allowance: hour,
        };
        let shop = Application {
            realm: Arc::new(realm),
            timeouts,
            touch_interval: Duration::from_mins(1),
            renew_interval: Duration::ZERO,
        };
        let newcomers = Arc::new(Crowd::default());
        let limit = most.and_then(NonZeroUsize::new);
        let limit = limit.map(|most| SessionLimit { most, when_full });
        let addresses = Whereabouts { rule: AddressRule::new(true, true, []), ends_elsewhere: false };
        let known =
            Openings { judge: shop.clone(), limit, newcomers: Arc::clone(&newcomers) as _, addresses };
        let names = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
        let partial = Client {
            realms: Names::Only(names(&["shop"])),
            attributes: Attributes::Only(names(&["mail"])),
            ..client("partial", PARTIAL, vec![Right::Sessions, Right::AdminSessions, Right::Secrets])
        };
        let stranger = Client {
            realms: Names::Only(names(&["wiki"])),
            ..client("stranger", STRANGER, vec![Right::Sessions, Right::AdminSessions, Right::Secrets])
        };
        let clients = vec![
            client("admin", ADMIN, vec![Right::Sessions, Right::AdminSessions]),
            client("reader", READER, vec![Right::Sessions]),
            client("shop", SHOP, vec![Right::Secrets]),
            partial,
            stranger,
        ];
        let furnish = |cache: &Arc<Cache>, server: &mut Server| {
            cache.reckon_with(&shop.realm);
            server.applications = Applications::new(move |id| match id {
                "shop" => Some(known.clone()),
                // The same sessions, which end when they are used from elsewhere.
                "bank" => {
                    let addresses = Whereabouts { ends_elsewhere: true, ..known.addresses.clone() };
                    Some(Openings { addresses, ..known.clone() })
                }
                _ => None,
            });
            server.clients = clients;
        };
        let clock = Arc::new(ManualClock::at(Millis(1_700_000_000_000)));
        let memory = Memory::new("local", Arc::clone(&clock) as _, 64 << 20);
        let storage = Arc::new(Faulty::new(Arc::new(memory)));
        let keep = |cache: Cache| cache.keeping_assertions(keeps_assertions);
        let house = super::house::House::over(storage, clock, keep, furnish).await;
        Self { house, shop, newcomers }
    }

    /// The status, the head and the body of an answer.
    async fn says(&self, line: &str, headers: &str, body: &str) -> (u16, String, Json) {
        let (status, head, body) = self.answer(line, headers, body).await;
        (status, head, serde_json::from_str(&body).unwrap_or_default())
    }

    async fn as_admin(&self, line: &str, body: &Json) -> (u16, String, Json) {
        let headers = format!("Authorization: Bearer {ADMIN}\r\nContent-Type: application/json\r\n");
        self.says(line, &headers, &body.to_string()).await
    }

    /// Opens a session; its handle, and its ticket.
    async fn opened(&self, new: &Json) -> (Handle, Ticket) {
        let (status, _, told) = self.as_admin("POST /v1/sessions", new).await;
        assert_eq!(status, 201, "{told}");
        let text = |name: &str| told.get(name).unwrap().as_str().unwrap().to_owned();
        (text("handle").parse().unwrap(), text("ticket").parse().unwrap())
    }

    async fn is_found(&self, ticket: &Ticket) -> bool {
        matches!(self.cache.find(ticket, &self.shop).await.unwrap(), Find::Found(_))
    }
}

fn of_ann() -> Json {
    json!({
        "application": "shop",
        "principal": {"issuer": "idp", "name": "ann", "session_index": "i.1"},
        "authentication": {"at": 1_700_000_000_000_u64, "level": "mfa"},
        "entries": {"mail": "ann@example.org", "groups": ["a", {"b": "c"}], "raw": {"$base64": "/wAB"}, "age": 7},
        "address": "192.0.2.1",
        "assertions": [
            {"id": "_one", "content": "1".repeat(200 << 10)},
            {"id": "two.with/dots", "content": "2".repeat(200 << 10)},
        ],
    })
}

#[track_caller]
fn is_problem((status, head, body): &(u16, String, Json), expected: u16) {
    assert_eq!(*status, expected, "{body}");
    assert!(head.contains("content-type: application/problem+json"), "{head}");
    assert_eq!(body.get("status").unwrap(), expected);
    assert!(!body.get("detail").unwrap().as_str().unwrap().is_empty());
    assert!(head.contains("cache-control: no-store"), "{head}");
}

#[tokio::test]
async fn a_session_is_opened_for_somebody_with_what_proved_it() {
    let house = House::new().await;
    let (handle, ticket) = house.opened(&of_ann()).await;
    let Find::Found(found) = house.cache.find(&ticket, &house.shop).await.unwrap() else {
        panic!("the ticket opens nothing")
    };
    let rule = AddressRule::new(false, true, []);
    let origin = |address: &str| rule.judge(&found.session.addresses, address.parse().unwrap());
    assert_eq!((origin("192.0.2.1"), origin("192.0.2.2")), (Origin::New, Origin::Other));
    for (id, letter) in [("_one", b'1'), ("two.with/dots", b'2')] {
        let kept = house.cache.assertion(&handle, id).await.unwrap();
        assert_eq!(kept, Asserted::Found(vec![letter; 200 << 10].into()));
    }
    let (status, head, seen) = house.as_admin(&format!("GET /v1/sessions/{handle}"), &json!(null)).await;
    assert_eq!(status, 200);
    assert!(head.contains("cache-control: no-store"), "{head}");
    let expected = json!({
        "handle": handle.to_string(), "realm": "shop",
        "principal": {"issuer": "idp", "name": "ann", "session_index": "i.1"},
        "authentication": {"at": 1_700_000_000_000_u64, "level": "mfa"},
        "begun": 1_700_000_000_000_u64, "last_seen": 1_700_000_000_000_u64, "revision": 2,
        "entries": {"mail": "ann@example.org", "groups": ["a", {"b": "c"}], "raw": {"$base64": "/wAB"}, "age": "7"},
        "assertions": ["_one", "two.with/dots"],
    });
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn one_session_too_many_of_a_person_is_refused_and_says_so() {
    let house = House::limited(true, Some(2), WhenFull::Refuse).await;
    for _ in 0..2 {
        house.opened(&of_ann()).await;
    }
    let answer = house.as_admin("POST /v1/sessions", &of_ann()).await;
    is_problem(&answer, 409);
    assert_eq!(answer.2.get("type").unwrap(), "/problems/sessions-per-person");
    assert!(answer.2.get("detail").unwrap().as_str().unwrap().contains("sessions_per_person"));
    assert_eq!(house.newcomers.noted.lock().len(), 2, "nothing was opened");
    house.opened(&json!({"application": "shop", "principal": {"issuer": "idp", "name": "bob"}})).await;
    house.opened(&json!({"application": "shop"})).await;
}

#[tokio::test]
async fn the_oldest_session_of_a_person_gives_way_to_one_more() {
    let house = House::limited(true, Some(1), WhenFull::EndOldest).await;
    let (first, ticket) = house.opened(&of_ann()).await;
    house.clock.advance(Duration::from_secs(1));
    let (_, later) = house.opened(&of_ann()).await;
    assert!(!house.is_found(&ticket).await && house.is_found(&later).await);
    let (_, _, why) = house.as_admin(&format!("GET /v1/sessions/{first}/why"), &json!(null)).await;
    let ending = why.get("ending").unwrap();
    assert_eq!((ending.get("why").unwrap(), ending.get("by").unwrap()), (&json!("limit"), &json!("admin")));
}

#[tokio::test]
async fn sessions_for_somebody_at_an_address_count_with_those_that_are_opened_from_there() {
    let house = House::new().await;
    let (handle, _) = house.opened(&of_ann()).await;
    assert_eq!(*house.newcomers.noted.lock(), [("192.0.2.1".parse().unwrap(), handle)]);
    let crowded = json!({"application": "shop", "address": CROWDED});
    let answer = house.as_admin("POST /v1/sessions", &crowded).await;
    is_problem(&answer, 429);
    assert_eq!(answer.2.get("type").unwrap(), "/problems/sessions-per-address");
    assert!(answer.1.contains("retry-after: 5\r\n"), "{}", answer.1);
    house.opened(&json!({"application": "shop"})).await;
    assert_eq!(house.newcomers.noted.lock().len(), 1, "of nowhere nobody counts");
}

#[tokio::test]
async fn of_a_session_that_nobody_used_it_is_said_since_when_it_is_over() {
    let house = House::new().await;
    let (handle, ticket) = house.opened(&of_ann()).await;
    house.clock.advance(Duration::from_mins(100));
    for is_asked_for in [false, true] {
        if is_asked_for {
            assert!(!house.is_found(&ticket).await);
        }
        let (status, _, why) = house.as_admin(&format!("GET /v1/sessions/{handle}/why"), &json!(null)).await;
        assert_eq!(status, 200);
        // What storage says of the last use may be a minute old: nobody is idle early.
        let at = why.get("ending").and_then(|ending| ending.get("at")).and_then(Json::as_u64);
        assert!(at.is_some_and(|at| (3_600_000..=3_660_000).contains(&(at - 1_700_000_000_000))), "{why}");
        let expected = json!({
            "handle": handle.to_string(), "life": "idle",
            "ending": {"at": at, "why": "idle", "by": "the time-out"},
        });
        assert_eq!(why, expected);
    }
}

#[tokio::test]
async fn who_may_only_look_changes_nothing_and_nobody_else_sees_anything() {
    let house = House::new().await;
    let (handle, ticket) = house.opened(&of_ann()).await;
    let one = format!("/v1/sessions/{handle}");
    let json = "Content-Type: application/json\r\n";
    let reader = format!("Authorization: Bearer {READER}\r\n{json}");
    let wrong = format!("Authorization: Bearer {ADMIN}x\r\n{json}");
    let new = of_ann().to_string();
    for (line, body) in [
        ("POST /v1/sessions".to_owned(), &*new),
        (format!("DELETE {one}"), ""),
        ("POST /v1/end".to_owned(), "{\"everybody\":true}"),
    ] {
        is_problem(&house.says(&line, &reader, body).await, 403);
    }
    for line in [format!("GET {one}"), format!("GET {one}/why")] {
        assert_eq!(house.says(&line, &reader, "").await.0, 200);
    }
    for line in [format!("GET {one}"), format!("GET {one}/why"), format!("DELETE {one}")] {
        for headers in ["", &*wrong] {
            let answer = house.says(&line, headers, "").await;
            is_problem(&answer, 401);
            assert!(answer.1.contains("www-authenticate: Bearer"), "{}", answer.1);
        }
    }
    assert!(house.is_found(&ticket).await);
}

#[tokio::test]
async fn a_session_that_was_ended_is_over_and_says_by_whom() {
    let house = House::new().await;
    let (handle, ticket) = house.opened(&of_ann()).await;
    let one = format!("/v1/sessions/{handle}");
    let (_, _, live) = house.as_admin(&format!("GET {one}/why"), &json!(null)).await;
    assert_eq!(live, json!({"handle": handle.to_string(), "life": "live"}));
    for expected in [1, 0] {
        let (status, _, told) = house.as_admin(&format!("DELETE {one}"), &json!(null)).await;
        assert_eq!((status, told.get("sessions").unwrap()), (200, &json!(expected)));
        assert_eq!(told.get("is_whole").unwrap(), true, "{told}");
    }
    assert!(!house.is_found(&ticket).await);
    assert_eq!(house.cache.assertion(&handle, "_one").await.unwrap(), Asserted::NoSession);
    is_problem(&house.as_admin(&format!("GET {one}"), &json!(null)).await, 410);
    let (_, _, over) = house.as_admin(&format!("GET {one}/why"), &json!(null)).await;
    let ending = json!({"at": 1_700_000_000_000_u64, "why": "revoked", "by": "admin", "from": "127.0.0.1"});
    assert_eq!(over, json!({"handle": handle.to_string(), "life": "ended", "ending": ending}));
}

#[tokio::test]
async fn all_of_a_person_end_and_those_of_an_index_alone() {
    let house = House::new().await;
    let mut tickets = Vec::new();
    for (name, index) in [("ann", "i.1"), ("ann", "i.2"), ("ann", "i.3"), ("bob", "i.1")] {
        let principal = json!({"issuer": "idp", "name": name, "session_index": index});
        tickets.push(house.opened(&json!({"application": "shop", "principal": principal})).await);
    }
    let ann = json!({"issuer": "idp", "name": "ann"});
    let (status, _, told) =
        house.as_admin("POST /v1/end", &json!({"person": ann, "indexes": ["i.2"], "why": "logout"})).await;
    assert_eq!((status, told.get("sessions").unwrap()), (200, &json!(1)));
    assert_eq!(told.get("handles").unwrap(), &json!([tickets[1].0.to_string()]));
    let (_, _, told) = house.as_admin("POST /v1/end", &json!({"person": ann})).await;
    assert_eq!(told.get("sessions").unwrap(), &json!(2));
    let mut found = Vec::new();
    for (_, ticket) in &tickets {
        found.push(house.is_found(ticket).await);
    }
    assert_eq!(found, [false, false, false, true]);
}

#[tokio::test]
async fn an_outage_is_never_an_absence() {
    let house = House::new().await;
    let (handle, ticket) = house.opened(&of_ann()).await;
    house.storage.fail(Which::Any, Fault::Refuse);
    let one = format!("/v1/sessions/{handle}");
    let nothing = json!(null);
    for (line, body) in [
        ("POST /v1/sessions".to_owned(), &of_ann()),
        (format!("GET {one}"), &nothing),
        (format!("GET {one}/why"), &nothing),
        (format!("DELETE {one}"), &nothing),
        ("POST /v1/end".to_owned(), &json!({"realm": "shop"})),
    ] {
        let answer = house.as_admin(&line, body).await;
        is_problem(&answer, 503);
        assert!(answer.1.contains("retry-after: "), "{line}: {}", answer.1);
    }
    house.storage.heal();
    // What nobody could confirm is not said to be over, nor let in, until it is.
    assert!(!matches!(house.cache.find(&ticket, &house.shop).await, Ok(Find::Found(_))));
}

#[tokio::test]
async fn what_cannot_be_done_is_said_and_nothing_is_opened() {
    let house = House::new().await;
    let with = |name: &str, value: Json| {
        let mut new = of_ann();
        new.as_object_mut().unwrap().insert(name.to_owned(), value);
        new
    };
    let assertion = json!({"id": "a", "content": ""});
    let person = json!({"issuer": "idp", "name": "ann"});
    for (line, body, status) in [
        ("POST /v1/sessions", json!([]), 400),
        ("POST /v1/sessions", with("secret", json!("x")), 400),
        ("POST /v1/sessions", with("application", json!("none")), 422),
        ("POST /v1/sessions", with("address", json!("nowhere")), 400),
        ("POST /v1/sessions", with("entries", json!({"a": null})), 422),
        ("POST /v1/sessions", with("entries", json!({"a": {"$base64": "?"}})), 422),
        ("POST /v1/sessions", with("assertions", json!([assertion, assertion])), 422),
        ("POST /v1/sessions", with("assertions", json!(vec![assertion; MAX_ASSERTIONS + 1])), 422),
        ("POST /v1/end", json!({}), 422),
        ("POST /v1/end", json!({"everybody": false}), 422),
        ("POST /v1/end", json!({"person": person, "indexes": []}), 422),
        ("POST /v1/end", json!({"person": person, "realm": "shop"}), 422),
        ("POST /v1/end", json!({"handles": ["x"]}), 422),
        ("GET /v1/sessions/x", json!(null), 404),
        ("GET /v1/sessions/00000000000000000000000000000000", json!(null), 404),
        ("GET /v1/none", json!(null), 404),
        ("PUT /v1/end", json!(null), 405),
    ] {
        let answer = house.as_admin(line, &body).await;
        is_problem(&answer, status);
    }
    let headers = format!("Authorization: Bearer {ADMIN}\r\n");
    is_problem(&house.says("POST /v1/sessions", &headers, &of_ann().to_string()).await, 415);
    assert_eq!(house.cache.count(&session::Principal::named("idp", "ann"), 10).await.unwrap().sessions, 0);
}

#[tokio::test]
async fn an_application_fetches_the_assertions_of_a_live_session_and_nobody_else_does() {
    let house = House::new().await;
    let (handle, _) = house.opened(&of_ann()).await;
    let shop = format!("Authorization: Bearer {SHOP}\r\n");
    let at = |query: &str| format!("GET /v1/sessions/{handle}/assertion{query}");
    for (query, letter) in [("?id=_one", "1"), ("?id=two.with%2Fdots", "2")] {
        let answer = house.exchange(&at(query), &shop, "").await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(head.contains("content-type: application/samlassertion+xml"), "{head}");
        assert!(head.contains("cache-control: no-store"), "{head}");
        assert!(body == letter.repeat(200 << 10), "{query}");
    }
    for (query, status) in [("?id=three", 404), ("", 400), ("?id=", 404)] {
        is_problem(&house.says(&at(query), &shop, "").await, status);
    }
    for token in [ADMIN, READER] {
        let other = format!("Authorization: Bearer {token}\r\n");
        is_problem(&house.says(&at("?id=_one"), &other, "").await, 403);
    }
    is_problem(&house.says(&at("?id=_one"), "", "").await, 401);
    house.storage.fail(Which::Any, Fault::Refuse);
    is_problem(&house.says(&at("?id=_one"), &shop, "").await, 503);
    house.storage.heal();
    house.as_admin(&format!("DELETE /v1/sessions/{handle}"), &json!(null)).await;
    is_problem(&house.says(&at("?id=_one"), &shop, "").await, 404);
}

#[tokio::test]
async fn assertions_that_nobody_keeps_are_refused_and_not_dropped() {
    let house = House::with(false).await;
    is_problem(&house.as_admin("POST /v1/sessions", &of_ann()).await, 422);
}

#[tokio::test]
async fn a_client_sees_and_ends_what_is_of_its_realms_and_attributes_alone() {
    let house = House::new().await;
    let (handle, ticket) = house.opened(&of_ann()).await;
    let one = format!("/v1/sessions/{handle}");
    let with = |token: &str| format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n");
    let (partial, stranger) = (with(PARTIAL), with(STRANGER));
    let (status, _, seen) = house.says(&format!("GET {one}"), &partial, "").await;
    assert_eq!((status, seen.get("entries").unwrap()), (200, &json!({"mail": "ann@example.org"})));
    is_problem(&house.says("POST /v1/sessions", &partial, &of_ann().to_string()).await, 403);
    for line in [
        format!("GET {one}"),
        format!("GET {one}/why"),
        format!("GET {one}/assertion?id=_one"),
        format!("DELETE {one}"),
    ] {
        is_problem(&house.says(&line, &stranger, "").await, 404);
    }
    let person = json!({"issuer": "idp", "name": "ann"});
    for (headers, body, status) in [
        (&stranger, json!({"handles": [handle.to_string()]}), 404),
        (&stranger, json!({"realm": "shop"}), 403),
        (&stranger, json!({"everybody": true}), 403),
        (&partial, json!({"person": person}), 403),
        (&partial, json!({"realm": "wiki"}), 403),
    ] {
        is_problem(&house.says("POST /v1/end", headers, &body.to_string()).await, status);
    }
    is_problem(&house.says("POST /v1/sessions", &stranger, &of_ann().to_string()).await, 403);
    assert!(house.is_found(&ticket).await);
    assert_eq!(house.says(&format!("DELETE {one}"), &partial, "").await.0, 200);
    assert!(!house.is_found(&ticket).await);
}
