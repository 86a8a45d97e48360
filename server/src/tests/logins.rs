//! Logins and logouts of people in LemonLDAP::NG: a handler of the type AuthBasic that logs somebody in (spec/llng.md 1.3 and 3.1,
//! captures/llng/restraw 88 and 89), and somebody who logs out everywhere else (3.2 and 6.5).

use serde_json::{Value as Json, json};

use super::house::House;
use super::rest::{ID, OTHER, done, global, missing};
use super::soap::{ADMIN, READER, of_tests, payload, string, text_of};
use super::*;

const THIRD: &str = "3b3ff1c462bdda41ec812678198f2ce4365b321cc0efa21ea1f919b402e93ef1";

impl House {
    /// Logs somebody in as a handler does that may only read.
    async fn authenticate(&self, id: &str, user: &str, password: &str) -> (u16, String, String) {
        let secret: String = url::form_urlencoded::byte_serialize(self.secret().as_bytes()).collect();
        self.authenticate_by(id, &format!("secret={secret}&user={user}&password={password}")).await
    }

    async fn authenticate_by(&self, id: &str, form: &str) -> (u16, String, String) {
        let headers = format!(
            "Authorization: Bearer {READER}\r\nAccept: application/json\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        );
        self.answer(&format!("POST /sessions/global/{id}?auth"), &headers, form).await
    }

    /// Asks as the browser of somebody does, which has the cookie of a session.
    async fn with_cookie(&self, line: &str, id: &str) -> (u16, String) {
        let headers = format!(
            "Authorization: Bearer {READER}\r\nAccept: application/json\r\nCookie: lemonldap={id}\r\n"
        );
        let (status, _, body) = self.answer(line, &headers, "").await;
        (status, body)
    }
}

fn error(status: u16, text: &str) -> (u16, String) {
    (status, json!({ "error": text }).to_string())
}

fn told((status, _, body): (u16, String, String)) -> (u16, String) {
    (status, body)
}

#[tokio::test]
async fn a_handler_logs_somebody_in_with_the_id_that_it_has_made() {
    let house = House::new().await;
    let (status, head, body) = house.authenticate(ID, "dwho", "dwho").await;
    assert_eq!(status, 200, "{body}");
    let cookie =
        format!("set-cookie: lemonldap={ID}; domain=.example.com; path=/; HttpOnly=1; SameSite=Lax; secure");
    assert!(head.contains(&cookie), "{head}");
    let session: Json = serde_json::from_str(&body).unwrap();
    for (name, value) in
        [("_session_id", ID), ("_session_kind", "SSO"), ("uid", "dwho"), ("_whatToTrace", "dwho")]
    {
        assert_eq!(session[name], value, "{body}");
    }
    assert_eq!(house.whole(&global(ID)).await["_user"], "dwho");
    // Of requests that come together each logs in, with the same id.
    let (status, _, again) = house.authenticate(ID, "dwho", "dwho").await;
    assert_eq!((status, serde_json::from_str::<Json>(&again).unwrap()["uid"].clone()), (200, json!("dwho")));
}

#[tokio::test]
async fn whoever_has_no_right_to_it_is_not_logged_in() {
    let house = House::new().await;
    assert_eq!(told(house.authenticate_by(ID, "user=dwho&password=dwho").await), error(403, "Bad secret"));
    let stale = "secret=odb%2BEBPKA%2Bs0%2BklRs9FYyS6otH0FYWEGqaQ0W6saZv2%2F94EpXOW7DIO3jtG5Mo5ZHAXWTanURYuIywT2r%2BgJOg%3D%3D";
    let form = format!("{stale}&user=dwho&password=dwho");
    assert_eq!(told(house.authenticate_by(ID, &form).await), error(403, "Bad secret"));
    for (user, password) in [("dwho", "wrong"), ("nobody", "dwho"), ("dwho", ""), ("", "")] {
        assert_eq!(told(house.authenticate(ID, user, password).await), error(401, "Unauthorized"), "{user}");
    }
    assert_eq!(house.authenticate(ID, "many", "x").await.0, 429, "nobody says whether it was right");
    assert_eq!(house.read(&global(ID)).await, missing());
    let saml = format!("POST /sessions/saml/{ID}?auth");
    assert_eq!(house.rest(&saml, &Json::Null).await, missing(), "only people log in");
    // An id that is somebody else's session, or was a session, is nobody's login.
    house.put(&global(OTHER), json!({"_whatToTrace": "rtyler"})).await;
    assert_eq!(told(house.authenticate(OTHER, "dwho", "dwho").await), error(401, "Unauthorized"));
    assert_eq!(house.authenticate(ID, "dwho", "dwho").await.0, 200);
    house.rest(&format!("DELETE {}", global(ID)), &Json::Null).await;
    assert_eq!(told(house.authenticate(ID, "dwho", "dwho").await), error(401, "Unauthorized"));
    assert_eq!(house.read(&global(ID)).await, missing());
}

#[tokio::test]
async fn without_logins_only_a_portal_can_log_somebody_in() {
    let house = House::with(LemonLdap { logins: None, ..of_tests() }).await;
    assert_eq!(house.authenticate(ID, "dwho", "dwho").await.0, 404);
    let house = House::with(LemonLdap { cipher: None, ..of_tests() }).await;
    assert_eq!(told(house.authenticate(ID, "dwho", "dwho").await), error(403, "Bad secret"));
}

#[tokio::test]
async fn where_sessions_lie_under_hashes_a_login_gives_the_cookie_and_not_the_hash() {
    let house = House::with(LemonLdap { hashed: true, ..of_tests() }).await;
    let (status, head, _) = house.authenticate(ID, "dwho", "dwho").await;
    assert!(status == 200 && head.contains(&format!("lemonldap={ID};")), "{head}");
    assert_eq!(house.with_cookie("GET /mysession/?whoami", ID).await.1, r#"{"result":"dwho"}"#);
    let logged_in =
        house.call(ADMIN, "/adminSessions", "getCookies", &(string("dwho") + &string("dwho"))).await;
    let id = text_of(&payload("getCookies", logged_in), "lemonldap").to_owned();
    assert_eq!(house.with_cookie("GET /mysession/?whoami", &id).await.1, r#"{"result":"dwho"}"#);
    assert_eq!(house.read(&global(&id)).await, missing(), "it is called by its hash");
}

#[tokio::test]
async fn somebody_logs_out_everywhere_else_and_those_sessions_stay_dead() {
    let house = House::new().await;
    let of_dwho = json!({"_whatToTrace": "dwho", "uid": "dwho"});
    for id in [ID, OTHER, THIRD] {
        assert_eq!(house.put(&global(id), of_dwho.clone()).await, done());
    }
    let others = ["aa", "bb", "cc"].map(|digits| digits.repeat(32));
    let [of_another, offline, persistent] = &others;
    house.put(&global(of_another), json!({"_whatToTrace": "rtyler"})).await;
    house.put(&format!("/sessions/offline/{offline}"), of_dwho.clone()).await;
    house.put(&format!("/sessions/persistent/{persistent}"), of_dwho.clone()).await;
    let read = house.whole(&global(OTHER)).await;

    assert_eq!(house.with_cookie("DELETE /sessions/my", ID).await, (200, r#"{"result":2}"#.to_owned()));
    for dead in [OTHER, THIRD] {
        for _ in 0..2 {
            assert_eq!(house.read(&global(dead)).await, missing());
            // A handler that has it still, and a login with the id of the old one.
            assert_eq!(house.put(&global(dead), read.clone()).await, missing());
            assert_eq!(house.authenticate(dead, "dwho", "dwho").await.0, 401);
        }
    }
    assert_eq!(house.whole(&global(ID)).await["uid"], "dwho", "their own stays");
    assert_eq!(house.whole(&global(of_another)).await["_whatToTrace"], "rtyler");
    house.whole(&format!("/sessions/offline/{offline}")).await;
    house.whole(&format!("/sessions/persistent/{persistent}")).await;
    // There is none left, and a new one may come.
    assert_eq!(house.with_cookie("DELETE /sessions/my", ID).await, (200, r#"{"result":0}"#.to_owned()));
    assert_eq!(house.put(&global(&"dd".repeat(32)), of_dwho).await, done());
    assert_eq!(house.with_cookie("DELETE /sessions/my", ID).await, (200, r#"{"result":1}"#.to_owned()));
}

#[tokio::test]
async fn only_whoever_is_logged_in_logs_out_elsewhere() {
    let house = House::new().await;
    house.put(&global(ID), json!({"_whatToTrace": "dwho"})).await;
    house.put(&global(OTHER), json!({"_whatToTrace": "dwho"})).await;
    for nobody in [THIRD, "0", "not-an-id"] {
        assert_eq!(house.with_cookie("DELETE /sessions/my", nobody).await.0, 401, "{nobody}");
    }
    let (status, told) = house.with_cookie("GET /sessions/my", ID).await;
    assert_eq!((status, told), error(400, "Unknown (or unconfigured) session type"));
    house.storage.fail(Which::Bury, Fault::Refuse);
    assert_eq!(house.with_cookie("DELETE /sessions/my", ID).await.0, 503, "what is not confirmed is no end");
    house.storage.heal();
    house.whole(&global(ID)).await;
}
