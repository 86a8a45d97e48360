//! The REST interface of LemonLDAP::NG, through real sockets: requests as its client writes them (captures/llng/rest and restraw),
//! and what must hold beside the real one (spec/llng.md 12).

mod kinds;

use dialects::llng::Cipher;
use serde_json::{Value as Json, json};
use storage::Storage as _;
use storage::faulty::{Fault, Which};

use super::house::House;
use super::soap::{ADMIN, HOUR, KEY, NOW, OPERATOR, OTHER_KINDS, READER, of_tests};
use super::*;

pub(super) const ID: &str = "4b3ff1c462bdda41ec812678198f2ce4365b321cc0efa21ea1f919b402e93ef1";
pub(super) const OTHER: &str = "c7341721ed966f3860a3d3ad592105bab9b7056228f2fa5160920511ad4699a2";
/// The MD5 of a login.
const PERSISTENT: &str = "f1b7c8ab1d9a1b2c3d4e5f60718293a4";
const SECOND: Duration = Duration::from_secs(1);

impl House {
    pub(super) async fn rest_of(&self, token: &str, line: &str, body: &str) -> (u16, String, String) {
        let headers = format!(
            "Authorization: Bearer {token}\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
        );
        self.answer(line, &headers, body).await
    }

    pub(super) async fn rest(&self, line: &str, body: &Json) -> (u16, String) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, _, body) = self.rest_of(ADMIN, line, &body).await;
        (status, body)
    }

    pub(super) async fn read(&self, path: &str) -> (u16, String) {
        self.rest(&format!("GET {path}"), &Json::Null).await
    }

    /// The session, which must be there.
    pub(super) async fn whole(&self, path: &str) -> Json {
        let (status, body) = self.read(path).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Writes with the proof that the key is known.
    pub(super) async fn put(&self, path: &str, mut body: Json) -> (u16, String) {
        body["__secret"] = self.secret().into();
        self.rest(&format!("PUT {path}"), &body).await
    }

    pub(super) fn secret(&self) -> String {
        let now = (self.clock.now().0 / 1000).to_string();
        Cipher::new(KEY).unwrap().encrypt(now.as_bytes()).unwrap()
    }
}

pub(super) fn global(id: &str) -> String {
    format!("/sessions/global/{id}")
}

pub(super) fn done() -> (u16, String) {
    (200, r#"{"result":1}"#.to_owned())
}

pub(super) fn missing() -> (u16, String) {
    (400, r#"{"error":"Session Id does not exist"}"#.to_owned())
}

#[tokio::test]
async fn whoever_knows_the_key_makes_a_session_by_writing_it() {
    let house = House::new().await;
    let body = json!({"uid": "dwho", "n": 7, "groups": ["a", "b"], "hGroups": {"users": {"name": "users"}}});
    let put = format!("PUT {}", global(ID));
    assert_eq!(house.rest(&put, &body).await, missing());
    let stale = json!({"uid": "dwho", "__secret": Cipher::new(KEY).unwrap().encrypt(b"1795321000").unwrap()});
    assert_eq!(house.rest(&put, &stale).await, missing());
    assert_eq!(house.put(&global(ID), body).await, done());

    let whole = house.whole(&global(ID)).await;
    assert_eq!(whole["uid"], "dwho");
    assert_eq!(whole["n"], "7");
    assert_eq!(whole["groups"], json!(["a", "b"]));
    assert_eq!(whole["hGroups"], json!({"users": {"name": "users"}}));
    assert_eq!((&whole["_session_id"], &whole["_session_kind"]), (&json!(ID), &json!("SSO")));
    assert_eq!(whole["_utime"], (NOW / 1000).to_string());
    assert!(whole.get("__secret").is_none());

    for (key, told) in
        [("uid", "dwho"), ("none", ""), ("groups", r#"["a","b"]"#), ("uid/further/words", "dwho")]
    {
        assert_eq!(house.read(&format!("{}/{key}", global(ID))).await, (200, told.to_owned()), "{key}");
    }
    for keys in ["[uid,none]", "%5Buid%2Cnone%5D"] {
        let told = house.whole(&format!("{}/{keys}", global(ID))).await;
        assert_eq!(told, json!({"uid": "dwho", "none": null}));
    }
}

#[tokio::test]
async fn what_is_written_is_merged_and_null_removes() {
    let house = House::new().await;
    house.put(&global(ID), json!({"a": "1", "b": "2"})).await;
    let update = json!({"a": null, "c": "3", "_session_id": OTHER, "_session_kind": "SAML"});
    assert_eq!(house.rest(&format!("PUT {}", global(ID)), &update).await, done());
    let whole = house.whole(&global(ID)).await;
    assert_eq!((whole.get("a"), &whole["b"], &whole["c"]), (None, &json!("2"), &json!("3")));
    assert_eq!((&whole["_session_id"], &whole["_session_kind"]), (&json!(ID), &json!("SSO")));
    assert_eq!(house.rest(&format!("PUT {}/d", global(ID)), &json!("four")).await, done());
    assert_eq!(house.read(&format!("{}/d", global(ID))).await.1, "four");
}

#[tokio::test]
async fn the_dead_stay_dead_whoever_writes_them() {
    let house = House::new().await;
    house.put(&global(ID), json!({"a": "1"})).await;
    let read = house.whole(&global(ID)).await;
    let (status, head, body) = house.rest_of(ADMIN, &format!("DELETE {}", global(ID)), "").await;
    assert_eq!((status, &*body), (200, r#"{"result":"1"}"#));
    assert!(head.to_lowercase().contains("set-cookie: lemonldap=0"), "{head}");
    for _ in 0..2 {
        assert_eq!(house.read(&global(ID)).await, missing());
        // A handler that has it in its cache still.
        assert_eq!(house.put(&global(ID), read.clone()).await, missing());
        assert_eq!(house.rest(&format!("DELETE {}", global(ID)), &Json::Null).await, missing());
        house.clock.advance(HOUR);
    }
}

#[tokio::test]
async fn hidden_attributes_are_masked_and_a_mask_overwrites_nothing() {
    let house = House::new().await;
    house.put(&global(ID), json!({"_password": "tardis", "uid": "dwho"})).await;
    let mut read = house.whole(&global(ID)).await;
    assert_eq!(read["_password"], "**********");
    assert_eq!(house.read(&format!("{}/_password", global(ID))).await.1, "**********");
    read["uid"] = "master".into();
    assert_eq!(house.put(&global(ID), read).await, done());
    let (_, _, told) = house.rest_of(OPERATOR, &format!("GET {}", global(ID)), "").await;
    let told: Json = serde_json::from_str(&told).unwrap();
    assert_eq!((&told["_password"], &told["uid"]), (&json!("tardis"), &json!("master")));
}

#[tokio::test]
async fn one_kind_is_not_another() {
    let house = House::new().await;
    let persistent = format!("/sessions/persistent/{PERSISTENT}");
    assert_eq!(house.put(&persistent, json!({"_session_uid": "dwho"})).await, done());
    assert_eq!(house.whole(&persistent).await["_session_kind"], "Persistent");
    assert_eq!(house.read(&global(PERSISTENT)).await, missing());
    let saml = format!("/sessions/saml/{ID}");
    house.put(&saml, json!({"a": "1"})).await;
    assert_eq!(house.whole(&saml).await["_session_kind"], "SAML");
    for other in ["cas", "oidc", "offline", "persistent"] {
        assert_eq!(house.read(&format!("/sessions/{other}/{ID}")).await, missing(), "{other}");
    }
    // Where a portal has no storage of its own for a kind it looks in the global one, and names the kind.
    assert_eq!(house.whole(&format!("{}?kind=SAML", global(ID))).await["a"], "1");
    assert_eq!(house.whole(&format!("{}?kind=", global(ID))).await["a"], "1");
    assert_eq!(house.read(&format!("{}?kind=OIDC", global(ID))).await, missing());
    assert_eq!(house.put(&global(OTHER), json!({"_session_kind": "TOKEN"})).await, done());
    assert_eq!(house.whole(&global(OTHER)).await["_session_kind"], "TOKEN");
    let (status, told) = house.read("/sessions/cookies/0123").await;
    assert_eq!((status, &*told), (400, r#"{"error":"Unknown (or unconfigured) session type"}"#));
}

#[tokio::test]
async fn a_persistent_session_comes_back_after_its_end_and_outlives_all_time_outs() {
    let house = House::new().await;
    let path = format!("/sessions/persistent/{PERSISTENT}");
    for life in ["1", "2"] {
        assert_eq!(house.put(&path, json!({"life": life})).await, done());
        house.clock.advance(HOUR * 24 * 100);
        assert_eq!(house.whole(&path).await["life"], life);
        let (status, body) = house.rest(&format!("DELETE {path}"), &Json::Null).await;
        assert_eq!((status, &*body), (200, r#"{"result":"1"}"#));
        assert_eq!(house.read(&path).await, missing());
    }
}

#[tokio::test]
async fn a_session_is_over_by_its_utime_and_by_its_last_use() {
    let house = House::with(LemonLdap { timeout_activity: HOUR, ..of_tests() }).await;
    // What is to last a minute began earlier.
    let utime = NOW / 1000 + 60 - 20 * 3600;
    house.put(&global(ID), json!({"_utime": utime, "_session_kind": "TOKEN"})).await;
    house.put(&global(OTHER), json!({"_lastSeen": NOW / 1000})).await;
    house.clock.advance(60 * SECOND);
    house.whole(&global(ID)).await;
    house.clock.advance(SECOND);
    assert_eq!(house.read(&global(ID)).await, missing());
    house.clock.advance(HOUR - 61 * SECOND);
    house.whole(&global(OTHER)).await;
    house.clock.advance(SECOND);
    assert_eq!(
        house.read(&global(OTHER)).await,
        missing(),
        "reading it was no use: handlers say when it was used"
    );
    assert_eq!(house.put(&global(OTHER), json!({"_lastSeen": NOW / 1000 + 3601})).await, missing());
}

#[tokio::test]
async fn clients_that_write_sessions_whole_lose_none_of_each_others_changes() {
    let house = Arc::new(House::new().await);
    let names: Vec<String> = (0..60).map(|number| format!("k{number}")).collect();
    let old: serde_json::Map<_, _> = names.iter().map(|name| (name.clone(), json!("old"))).collect();
    house.put(&global(ID), old.into()).await;
    let writers = names.clone().into_iter().enumerate().map(|(number, name)| {
        let house = Arc::clone(&house);
        tokio::spawn(async move {
            // Some of them with one name, from one machine, and some with another.
            let token = if number % 2 == 0 { ADMIN } else { OPERATOR };
            let (_, _, read) = house.rest_of(token, &format!("GET {}", global(ID)), "").await;
            let mut whole: Json = serde_json::from_str(&read).unwrap();
            whole[&name] = "new".into();
            whole["__secret"] = house.secret().into();
            let (status, _, body) =
                house.rest_of(token, &format!("PUT {}", global(ID)), &whole.to_string()).await;
            assert_eq!((status, body), done());
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let whole = house.whole(&global(ID)).await;
    let lost: Vec<_> = names.iter().filter(|name| whole[name.as_str()] != "new").collect();
    assert!(lost.is_empty(), "{lost:?}");
}

#[tokio::test]
async fn a_client_that_keeps_what_it_read_can_change_its_mind() {
    let house = House::new().await;
    house.put(&global(ID), json!({"flag": "off", "other": "1"})).await;
    // It reads once, and writes from its cache.
    let mut kept = house.whole(&global(ID)).await;
    for flag in ["on", "off", "on", "off"] {
        kept["flag"] = flag.into();
        house.put(&global(ID), kept.clone()).await;
        assert_eq!(house.whole(&global(ID)).await["flag"], flag);
    }
    // Somebody else changes what it does not touch, and what it has seen is not undone.
    let line = format!("PUT {}", global(ID));
    house.rest_of(OPERATOR, &line, r#"{"other":"2"}"#).await;
    house.put(&global(ID), kept).await;
    assert_eq!(house.whole(&global(ID)).await["other"], "2");
}

#[tokio::test]
async fn what_a_client_that_sees_all_leaves_out_is_removed() {
    let house = House::new().await;
    house.put(&global(ID), json!({"_password": "tardis", "a": "1", "b": "2"})).await;
    let line = format!("GET {}", global(ID));
    let (_, _, read) = house.rest_of(OPERATOR, &line, "").await;
    house.rest(&format!("PUT {}", global(ID)), &json!({"later": "3"})).await;
    let mut whole: Json = serde_json::from_str(&read).unwrap();
    whole.as_object_mut().unwrap().remove("a");
    house.rest_of(OPERATOR, &format!("PUT {}", global(ID)), &whole.to_string()).await;
    let whole = house.whole(&global(ID)).await;
    assert_eq!((whole.get("a"), &whole["b"], &whole["later"]), (None, &json!("2"), &json!("3")));
    assert_eq!(whole["_password"], "**********");
}

#[tokio::test]
async fn lists_and_searches_take_the_key() {
    let house = House::new().await;
    house.put(&global(ID), json!({"_whatToTrace": "dwho", "uid": "dwho", "mail": "a,b"})).await;
    house.put(&global(OTHER), json!({"_whatToTrace": "rtyler", "uid": "rtyler"})).await;
    let refused = (400, r#"{"error":"Bad key, refuse to send all sessions"}"#.to_owned());
    let line = "POST /sessions/global/?all=1";
    assert_eq!(house.rest(line, &json!({"data": null, "__secret": "no"})).await, refused);
    let list = async |line: &str, data: Json| -> Json {
        let (status, body) = house.rest(line, &json!({"data": data, "__secret": house.secret()})).await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    };
    let all = list(line, Json::Null).await;
    assert_eq!(all.as_object().unwrap().len(), 2);
    assert_eq!((&all[ID]["uid"], &all[OTHER]["uid"]), (&json!("dwho"), &json!("rtyler")));
    assert_eq!(list(line, json!("uid")).await, json!({ID: {"uid": "dwho"}, OTHER: {"uid": "rtyler"}}));
    for search in ["_whatToTrace,dwho", "uid,dwho", "mail,a,b"] {
        let line = format!("{line}&search={search}");
        assert_eq!(list(&line, Json::Null).await, json!({ID: all[ID]}), "{search}");
        assert_eq!(
            list(&line, json!(["uid", "no"])).await,
            json!({ID: {"uid": "dwho", "no": null}}),
            "{search}"
        );
    }
    house.rest(&format!("DELETE {}", global(ID)), &Json::Null).await;
    assert_eq!(list(&format!("{line}&search=_whatToTrace,dwho"), Json::Null).await, json!({}));
    assert_eq!(list(line, json!("uid")).await, json!({OTHER: {"uid": "rtyler"}}));
}

#[tokio::test]
async fn a_list_after_a_list_shows_what_was_done_in_between() {
    let house = House::new().await;
    house.put(&global(ID), json!({"uid": "dwho"})).await;
    let list = async || -> Json {
        let body = json!({"data": "uid", "__secret": house.secret()});
        serde_json::from_str(&house.rest("POST /sessions/global/?all=1", &body).await.1).unwrap()
    };
    assert_eq!(list().await, json!({ID: {"uid": "dwho"}}));
    for number in 0..5 {
        let other = house.put(&global(OTHER), json!({"uid": number.to_string()})).await;
        assert_eq!(other.0, 200);
        assert_eq!(list().await, json!({ID: {"uid": "dwho"}, OTHER: {"uid": number.to_string()}}));
    }
    house.rest(&format!("DELETE {}", global(ID)), &Json::Null).await;
    assert_eq!(list().await, json!({OTHER: {"uid": "4"}}));
    house.clock.advance(HOUR * 20 + SECOND * 2);
    assert_eq!(list().await, json!({}));
}

#[tokio::test]
async fn a_search_that_finds_many_has_all_of_each_as_one_that_finds_few() {
    let house = House::new().await;
    let count = 1_002;
    for number in 0..count {
        let shape = if number == 0 { "round" } else { "square" };
        house
            .put(&global(&format!("{number:064x}")), json!({"shape": shape, "uid": number.to_string()}))
            .await;
    }
    for (search, found) in [("shape,round", 1), ("shape,square", count - 1), ("uid,1000", 1), ("_auth,no", 0)]
    {
        let body = json!({"data": null, "__secret": house.secret()});
        let (_, body) = house.rest(&format!("POST /sessions/global/?all=1&search={search}"), &body).await;
        let told: Json = serde_json::from_str(&body).unwrap();
        let told = told.as_object().unwrap();
        assert_eq!(told.len(), found, "{search}");
        for (id, session) in told {
            let number = usize::from_str_radix(id, 16).unwrap();
            assert_eq!((&session["uid"], &session["_session_id"]), (&json!(number.to_string()), &json!(id)));
        }
    }
}

#[tokio::test]
async fn an_indexed_attribute_finds_who_has_it_and_asks_for_nobody_else() {
    let house = House::indexed().await;
    for (id, address) in [(ID, "192.0.2.1"), (OTHER, "192.0.2.2")] {
        house.put(&global(id), json!({"ipAddr": address, "uid": "SSO"})).await;
    }
    let body = json!({"data": ["ipAddr"], "__secret": house.secret()});
    let found = async |search: &str| {
        let line = format!("POST /sessions/global/?all=1&search={search}");
        let (status, body) = house.rest(&line, &body).await;
        (status, serde_json::from_str::<Json>(&body).unwrap_or_default())
    };
    assert_eq!(found("ipAddr,192.0.2.2").await, (200, json!({OTHER: {"ipAddr": "192.0.2.2"}})));
    house.put(&global(OTHER), json!({"ipAddr": "192.0.2.1"})).await;
    assert_eq!(found("ipAddr,192.0.2.2").await, (200, json!({})), "the entry of the old value is no session");
    assert_eq!(found("ipAddr,192.0.2.1").await.1.as_object().unwrap().len(), 2);
    house.rest(&format!("DELETE {}", global(OTHER)), &Json::Null).await;
    assert_eq!(found("ipAddr,192.0.2.1").await.1, json!({ID: {"ipAddr": "192.0.2.1"}}));
    // Nothing but the index was asked: who is not in it is not found by it, and by another attribute is.
    let all = house.storage.scan(None, 1000).await.unwrap();
    for (key, _) in all.found.iter().filter(|(key, _)| key.context().starts_with("index.~")) {
        let ending = session::Ending::new(house.clock.now(), session::Why::Emptied, "");
        house.storage.bury(key, storage::Burial { until: None, ending, expected: None }).await.unwrap();
    }
    assert_eq!(found("ipAddr,192.0.2.1").await, (200, json!({})));
    assert_eq!(found("uid,SSO").await.1, json!({ID: {"ipAddr": "192.0.2.1"}}));
    for (search, count) in [(format!("_session_id,{ID}"), 1), (format!("_session_id,{OTHER}"), 0)] {
        assert_eq!(found(&search).await.1.as_object().unwrap().len(), count, "{search}");
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_hides_no_other_session() {
    let house = House::indexed().await;
    house.put(&global(ID), json!({"uid": "dwho", "ipAddr": "192.0.2.1"})).await;
    let handle = "00112233445566778899aabbccddeeff";
    let key = storage::Key::new("session.00", handle.as_bytes()).unwrap();
    let times = storage::Times { touched: house.clock.now(), expires: Millis::NEVER };
    let write = storage::WriteId::random().unwrap();
    let new = storage::NewRecord::new(b"of a newer build".to_vec().into(), times, write);
    house.storage.create(&key, new).await.unwrap();
    let body = json!({"data": "uid", "__secret": house.secret()});
    for query in ["all=1", "all=1&search=uid,dwho", "all=1&search=ipAddr,192.0.2.1"] {
        let (status, told) = house.rest(&format!("POST /sessions/global/?{query}"), &body).await;
        assert_eq!((status, told), (200, json!({ID: {"uid": "dwho"}}).to_string()), "{query}");
    }
}

#[tokio::test]
async fn a_program_makes_a_session_and_is_told_its_id() {
    let house = House::new().await;
    let (status, body) =
        house.rest("POST /sessions/global", &json!({"uid": "dwho", "no": null, "_utime": 1})).await;
    assert_eq!(status, 200);
    let told: Json = serde_json::from_str(&body).unwrap();
    assert_eq!((&told["result"], &told["session"]["uid"]), (&json!(1), &json!("dwho")));
    let id = told["session"]["_session_id"].as_str().unwrap();
    assert!(id.len() == 64 && told["session"].get("no").is_none());
    assert_eq!(house.whole(&global(id)).await["_utime"], (NOW / 1000).to_string());
}

#[tokio::test]
async fn what_is_no_request_is_told_so_and_changes_nothing() {
    let house = House::new().await;
    house.put(&global(ID), json!({"a": "1"})).await;
    let nested = format!("{{\"a\":{}1{}}}", "[".repeat(1000), "]".repeat(1000));
    for body in ["[1]", "{", "", "\"text\"", "null", &*nested] {
        let (status, _, told) = house.rest_of(ADMIN, &format!("PUT {}", global(ID)), body).await;
        assert_eq!(status, 400, "{body}: {told}");
        assert!(told.starts_with("{\"error\":"), "{told}");
    }
    for (line, expected) in [
        ("PUT /sessions/global", "ID is required"),
        ("DELETE /sessions/global/", "ID is required"),
        ("GET /sessions/global/not-hexadecimal", "Session Id does not exist"),
        ("PATCH /sessions/global/00", "this cannot be done with a session"),
    ] {
        let (status, told) = house.rest(line, &Json::Null).await;
        assert_eq!((status, told), (400, json!({"error": expected}).to_string()), "{line}");
    }
    let (status, head, told) = house
        .answer(&format!("GET {}", global(OTHER)), &format!("Authorization: Bearer {ADMIN}\r\n"), "")
        .await;
    assert_eq!(status, 400);
    assert!(head.contains("text/html") && !told.contains(OTHER), "{told}");
    assert_eq!(house.whole(&global(ID)).await["a"], "1");
}

#[tokio::test]
async fn nothing_is_open_to_who_may_not_and_readers_only_read() {
    let house = House::new().await;
    house.put(&global(ID), json!({"a": "1"})).await;
    for line in ["GET", "PUT", "DELETE", "POST", "OPTIONS"] {
        let (status, _, told) = house.answer(&format!("{line} {}", global(ID)), "", "").await;
        assert_eq!(status, 401, "{line}");
        assert!(!told.contains(ID));
    }
    let (status, ..) = house.rest_of(READER, &format!("GET {}", global(ID)), "").await;
    assert_eq!(status, 200);
    for line in [
        format!("PUT {}", global(ID)),
        format!("DELETE {}", global(ID)),
        "POST /sessions/global/?all=1".into(),
    ] {
        let (status, ..) = house.rest_of(READER, &line, "{}").await;
        assert_eq!(status, 403, "{line}");
    }
    let (status, _, _) = house.rest_of(OTHER_KINDS, &format!("GET {}", global(ID)), "").await;
    assert_eq!(status, 400, "it does not exist for whom its kind does not");
}

#[tokio::test]
async fn one_prefix_is_taken_away_and_bypasses_go_nowhere() {
    let house = House::new().await;
    house.put(&global(ID), json!({"a": "1"})).await;
    for prefix in ["/index.fcgi", "/index.psgi"] {
        assert_eq!(house.whole(&format!("{prefix}{}", global(ID))).await["a"], "1");
    }
    for path in [
        format!("//sessions/global/{ID}"),
        format!("/index.fcgi/index.fcgi/sessions/global/{ID}"),
        format!("/sessions//global/{ID}"),
        format!("/sessions%2Fglobal/{ID}"),
        format!("/x/../sessions/global/{ID}"),
        format!("/./sessions/global/{ID}"),
    ] {
        let (status, told) = house.read(&path).await;
        assert!(status == 404 || status == 400, "{path}: {status} {told}");
        assert!(!told.contains("\"a\""), "{path}");
    }
}

#[tokio::test]
async fn whoever_has_the_cookie_is_told_of_their_session() {
    let house = House::new().await;
    house
        .put(&global(ID), json!({"uid": "dwho", "secret": "x", "_password": "p", "_whatToTrace": "dwho", "groups": "timelords; users"}))
        .await;
    let ask = async |line: &str, cookie: &str| {
        let headers = format!(
            "Authorization: Bearer {READER}\r\nAccept: application/json\r\nCookie: a=b; {cookie}\r\n"
        );
        let (status, _, body) = house.answer(line, &headers, "").await;
        (status, body)
    };
    let cookie = format!("lemonldap={ID}");
    let (status, told) = ask("GET /session/my", &cookie).await;
    assert_eq!(
        (status, serde_json::from_str::<Json>(&told).unwrap()),
        (200, json!({"uid": "dwho", "cn": null, "_session_id": ID}))
    );
    assert_eq!(ask("GET /session/my/global/secret", &cookie).await, (200, "x".to_owned()));
    assert_eq!(ask("GET /session/my/global/_password", &cookie).await, (200, "**********".to_owned()));
    assert_eq!(ask("GET /mysession/?whoami", &cookie).await, (200, r#"{"result":"dwho"}"#.to_owned()));
    for (address, told) in [("http://test1.example.com/admin/x", "1"), ("http://test2.example.com/", "0")] {
        use base64::Engine as _;
        let address = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(address);
        let answer = ask(&format!("GET /mysession/?authorizationfor={address}"), &cookie).await;
        assert_eq!(answer, (200, format!(r#"{{"result":"{told}"}}"#)));
    }
    assert_eq!(ask("GET /mysession/?authorizationfor=%21%21", &cookie).await.0, 400);
    assert_eq!(ask("GET /mysession/?gettoken", &cookie).await.0, 404, "that is asked of a portal");
    for nobody in ["", &*format!("lemonldap={OTHER}"), "lemonldap=0"] {
        assert_eq!(ask("GET /session/my", nobody).await, (401, r#"{"error":"9","result":0}"#.to_owned()));
    }
    assert_eq!(ask("DELETE /session/my", &cookie).await, (200, r#"{"result":"1"}"#.to_owned()));
    assert_eq!(ask("GET /mysession/?whoami", &cookie).await.0, 401);
}

#[tokio::test]
async fn hashed_sessions_are_found_by_the_cookie_and_listed_by_their_hash() {
    let house = House::with(LemonLdap { hashed: true, ..of_tests() }).await;
    let hash = ID.parse::<dialects::llng::Id>().unwrap().hashed();
    assert_eq!(house.put(&format!("{}?hash=1", global(ID)), json!({"uid": "dwho"})).await, done());
    assert_eq!(house.whole(&format!("{}?hash=1", global(ID))).await["_session_id"], hash.as_str());
    assert_eq!(house.whole(&global(hash.as_str())).await["uid"], "dwho");
    assert_eq!(house.read(&global(ID)).await, missing());
    let body = json!({"data": "uid", "__secret": house.secret()});
    let (_, told) = house.rest("POST /sessions/global/?all=1", &body).await;
    assert_eq!(told, json!({hash.as_str(): {"uid": "dwho"}}).to_string());
}

#[tokio::test]
async fn an_outage_is_503_and_ends_nothing() {
    let house = House::new().await;
    house.put(&global(ID), json!({"a": "1"})).await;
    house.storage.fail(Which::Any, Fault::Refuse);
    for (line, path) in [("GET", global(OTHER)), ("PUT", global(ID))] {
        let (status, told) = house.rest(&format!("{line} {path}"), &json!({"b": "2"})).await;
        assert_eq!(status, 503, "{line}: {told}");
        assert!(told.contains("try again"), "{told}");
    }
    house.storage.heal();
    assert_eq!(house.whole(&global(ID)).await["a"], "1");
    // An end that nobody can confirm is none yet, and the session is not served meanwhile.
    house.storage.fail(Which::Bury, Fault::Refuse);
    assert_eq!(house.rest(&format!("DELETE {}", global(ID)), &Json::Null).await.0, 503);
    assert_ne!(house.read(&global(ID)).await.0, 200);
}
