//! What a client may, over each protocol: what its limits let through, and what they keep back.

use serde_json::{Value as Json, json};

use super::house::{House, client};
use super::rest::{ID, OTHER, done, global, missing};
use super::soap::{ADMIN, HOUR, NO_SESSION, NOT_DONE, NOW, message, of_tests, payload, string};
use super::*;

const LIMITED: &str = "the-token-of-one-who-has-limits-0123456789abcdef";
const PERSISTENT: &str = "f1b7c8ab1d9a1b2c3d4e5f60718293a4";

/// A house with a portal, and one client that has limits beside its token.
async fn with(limited: impl FnOnce(Client) -> Client) -> House {
    let house = House::open(NOW, |_, server| {
        let all = || vec![Right::Sessions, Right::AdminSessions];
        server.clients = vec![client("portal", ADMIN, all()), limited(client("limited", LIMITED, all()))];
        server.llng = Some(LemonLdap { timeout: HOUR, ..of_tests() });
    })
    .await;
    let of_dwho =
        json!({"uid": "dwho", "mail": "d@w", "phone": "5", "_password": "tardis", "_whatToTrace": "dwho"});
    assert_eq!(house.put(&global(ID), of_dwho).await, done());
    house
}

fn only(names: &[&str]) -> Names {
    Names::Only(names.iter().map(|name| (*name).into()).collect())
}

impl House {
    /// What the client with limits is answered by REST.
    async fn limited(&self, line: &str, mut body: Json) -> (u16, String) {
        if let Some(members) = body.as_object_mut() {
            members.insert("__secret".into(), self.secret().into());
        }
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, _, told) = self.rest_of(LIMITED, line, &body).await;
        (status, told)
    }

    async fn limited_json(&self, line: &str, body: Json) -> Json {
        let (status, told) = self.limited(line, body).await;
        assert_eq!(status, 200, "{told}");
        serde_json::from_str(&told).unwrap()
    }

    /// And by SOAP.
    async fn limited_soap(&self, path: &str, method: &str, arguments: &str) -> String {
        payload(method, self.call(LIMITED, path, method, arguments).await)
    }
}

#[tokio::test]
async fn whoever_comes_from_elsewhere_is_nobody_over_any_protocol() {
    for (network, status) in [("127.0.0.0/8", 200), ("10.1.0.0/16", 403)] {
        let house = with(|client| Client { from: Box::new([network.parse().unwrap()]), ..client }).await;
        assert_eq!(house.limited(&format!("GET {}", global(ID)), Json::Null).await.0, status, "{network}");
        assert_eq!(house.limited("POST /v1/find", json!(null)).await.0 == 403, status == 403, "{network}");
        for path in ["/sessions", "/adminSessions"] {
            let (told, ..) = house.call(LIMITED, path, "getAttributes", &string(ID)).await;
            assert_eq!(told, status, "{network} {path}");
        }
    }
}

#[tokio::test]
async fn a_network_alone_is_enough_where_nothing_else_is_asked() {
    for (network, status) in [("127.0.0.1/32", 200), ("127.0.0.2/32", 401)] {
        let house = with(|client| Client {
            from: Box::new([network.parse().unwrap()]),
            token: None,
            may: vec![Right::Sessions],
            ..client
        })
        .await;
        assert_eq!(house.answer(&format!("GET {}", global(ID)), "", "").await.0, status, "{network}");
        let (soap, ..) = house
            .answer(
                "POST /sessions",
                "SOAPAction: \"\"\r\nContent-Type: text/xml\r\n",
                &message("getAttributes", &string(ID)),
            )
            .await;
        assert_eq!(soap, status, "{network}");
        let json = "Content-Type: application/json\r\n";
        assert_eq!(house.answer("POST /v1/find", json, "{}").await.0, status, "{network}");
        // It reads, and no more: for that it would be asked for a proof.
        assert_eq!(house.answer(&format!("PUT {}", global(ID)), json, "{}").await.0, 401, "{network}");
    }
}

#[tokio::test]
async fn a_password_proves_a_client_and_no_other_does() {
    let house =
        with(|client| Client { token: None, basic: Some(Client::basic("portal", "open sesame")), ..client })
            .await;
    // `portal:open sesame` and `portal:open barley`.
    for (proof, status) in [("cG9ydGFsOm9wZW4gc2VzYW1l", 200), ("cG9ydGFsOm9wZW4gYmFybGV5", 401)] {
        let proof = format!("Authorization: Basic {proof}\r\nContent-Type: application/json\r\n");
        assert_eq!(house.answer(&format!("GET {}", global(ID)), &proof, "").await.0, status);
        assert_eq!(house.answer("POST /v1/find", &proof, "{}").await.0, status);
        assert_eq!(house.answer("GET /portal.wsdl", &proof, "").await.0, status);
    }
}

#[tokio::test]
async fn what_was_read_for_the_list_of_one_client_shows_another_no_more_than_it_may_see() {
    let house = with(|client| Client {
        may: vec![Right::AdminSessions, Right::Secrets],
        attributes: Attributes::Only(["phone".into(), "_password".into()].into()),
        ..client
    })
    .await;
    let saml = json!({"phone": "6", "_password": "key", "_session_kind": "SAML"});
    assert_eq!(house.put(&format!("/sessions/saml/{OTHER}"), saml).await.0, 200);
    let (line, names) = ("POST /sessions/global/?all=1", json!(["uid", "phone", "_password"]));
    let secret = json!({"data": names.clone(), "__secret": house.secret()});
    // By turns, so that each has what was read for the other.
    for _ in 0..2 {
        let mine = house.limited_json(line, json!({"data": names.clone()})).await;
        let saml = json!({"uid": null, "phone": "6", "_password": "key"});
        assert_eq!(mine, json!({ID: {"uid": null, "phone": "5", "_password": "tardis"}, OTHER: saml}));
        let (_, body) = house.rest(line, &secret).await;
        let theirs: Json = serde_json::from_str(&body).unwrap();
        let masked = json!({"uid": null, "phone": "6", "_password": "**********"});
        let of_dwho = json!({"uid": "dwho", "phone": "5", "_password": "**********"});
        assert_eq!(theirs, json!({ID: of_dwho, OTHER: masked.clone()}));
        let (_, body) = house.rest("POST /sessions/saml/?all=1", &secret).await;
        let saml: Json = serde_json::from_str(&body).unwrap();
        assert_eq!(saml, json!({OTHER: masked}));
    }
}

#[tokio::test]
async fn sessions_of_other_kinds_do_not_exist() {
    let house = with(|client| Client { kinds: only(&["SSO"]), ..client }).await;
    let saml = format!("/sessions/saml/{OTHER}");
    let persistent = format!("/sessions/persistent/{PERSISTENT}");
    for path in [&saml, &persistent] {
        assert_eq!(house.put(path, json!({"uid": "hidden"})).await, done());
        for line in ["GET", "PUT", "DELETE"] {
            assert_eq!(
                house.limited(&format!("{line} {path}"), json!({"uid": "x"})).await,
                missing(),
                "{line} {path}"
            );
        }
        assert_eq!(house.whole(path).await["uid"], "hidden");
    }
    let new = format!("/sessions/saml/{}", "ab".repeat(32));
    assert_eq!(house.limited(&format!("PUT {new}"), json!({"uid": "x"})).await, missing());
    assert_eq!(house.limited("POST /sessions/cas", json!({"uid": "x"})).await, missing());
    assert_eq!(house.limited_soap("/sessions", "getAttributes", &string(OTHER)).await, NO_SESSION);
    let all = house.limited_json("POST /sessions/global/?all=1", json!({"data": "uid"})).await;
    assert_eq!(all, json!({ID: {"uid": "dwho"}}));
    // Of its own kind everything is there.
    assert_eq!(house.limited_json(&format!("GET {}", global(ID)), Json::Null).await["uid"], "dwho");
    assert!(house.limited_soap("/sessions", "getAttributes", &string(ID)).await.contains("dwho"));
    assert_eq!(
        house.limited(&format!("PUT {}", global(&"cd".repeat(32))), json!({"uid": "x"})).await,
        done()
    );
}

#[tokio::test]
async fn sessions_of_other_realms_do_not_exist() {
    let house = with(|client| Client { realms: only(&["llng"]), ..client }).await;
    let persistent = format!("/sessions/persistent/{PERSISTENT}");
    assert_eq!(house.put(&persistent, json!({"uid": "hidden"})).await, done());
    assert_eq!(house.limited(&format!("GET {persistent}"), Json::Null).await, missing());
    assert_eq!(house.limited(&format!("PUT {persistent}"), json!({"uid": "x"})).await, missing());
    assert_eq!(house.limited_json(&format!("GET {}", global(ID)), Json::Null).await["uid"], "dwho");
    // As over our own API.
    let found = async |token: &str| -> Json {
        let (_, _, told) = house.rest_of(token, "POST /v1/find", "{}").await;
        serde_json::from_str::<Json>(&told).unwrap()["sessions"].clone()
    };
    assert_eq!(found(ADMIN).await.as_array().unwrap().len(), 2);
    let theirs = found(LIMITED).await;
    assert_eq!((theirs.as_array().unwrap().len(), &theirs[0]["realm"]), (1, &json!("llng")));

    let house = with(|client| Client { realms: only(&["llng.persistent"]), ..client }).await;
    for line in ["GET", "PUT", "DELETE"] {
        assert_eq!(
            house.limited(&format!("{line} {}", global(ID)), json!({"uid": "x"})).await,
            missing(),
            "{line}"
        );
    }
    let arguments = string(ID) + "<a><uid>x</uid></a>";
    assert_eq!(house.limited_soap("/adminSessions", "setAttributes", &arguments).await, NOT_DONE);
    assert_eq!(house.limited_soap("/adminSessions", "deleteSession", &string(ID)).await, NOT_DONE);
    assert_eq!(house.limited_soap("/adminSessions", "newSession", "").await, NOT_DONE);
    assert_eq!(house.limited(&format!("PUT {persistent}"), json!({"uid": "x"})).await, done());
    assert_eq!(house.whole(&global(ID)).await["uid"], "dwho");
}

#[tokio::test]
async fn a_client_sees_the_attributes_that_are_for_it() {
    // Exported are `uid` and `cn`; hidden is `_password`, whatever is listed.
    let names = || -> Box<[Box<str>]> { Box::new(["phone".into(), "_password".into()]) };
    let every = ["uid", "mail", "phone"];
    for (attributes, readers, administrators, rest, own) in [
        (Attributes::Usual, &["uid"][..], &every[..], &every[..], &every[..]),
        (Attributes::All, &every, &every, &every, &every),
        (Attributes::Only(names()), &["phone"], &["phone"], &["phone"], &["phone"]),
        (Attributes::Further(names()), &["uid", "phone"], &every, &every, &every),
    ] {
        let house = with(|client| Client { attributes: attributes.clone(), ..client }).await;
        for (path, seen) in [("/sessions", readers), ("/adminSessions", administrators)] {
            let told = house.limited_soap(path, "getAttributes", &string(ID)).await;
            let shown: Vec<_> =
                every.into_iter().filter(|name| told.contains(&format!("<{name} "))).collect();
            assert_eq!(shown, seen, "{attributes:?} {path}");
            assert!(!told.contains("tardis") && told.contains("_session_id"), "{attributes:?} {path}");
        }
        let keys = |told: &Json| -> Vec<&str> {
            every.into_iter().filter(|name| told.get(*name).is_some()).collect()
        };
        let whole = house.limited_json(&format!("GET {}", global(ID)), Json::Null).await;
        assert_eq!(keys(&whole), rest, "{attributes:?}");
        let all = house.limited_json("POST /sessions/global/?all=1", json!({"data": null})).await;
        assert_eq!(keys(&all[ID]), rest, "{attributes:?}");
        assert!(!all.to_string().contains("tardis"), "{attributes:?}");
        for name in every {
            let (status, told) = house.limited(&format!("GET {}/{name}", global(ID)), Json::Null).await;
            assert_eq!((status, !told.is_empty()), (200, rest.contains(&name)), "{attributes:?} {name}");
            let line = format!(
                "POST /sessions/global/?all=1&search={name},{}",
                whole[name].as_str().unwrap_or("d@w")
            );
            let found = house.limited_json(&line, json!({"data": "uid"})).await;
            assert_eq!(
                found.get(ID).is_some(),
                rest.contains(&name),
                "{attributes:?} {name}: what it cannot see it cannot search"
            );
        }
        let (_, _, found) = house.rest_of(LIMITED, "POST /v1/find", "{}").await;
        let found: Json = serde_json::from_str(&found).unwrap();
        assert_eq!(keys(&found["sessions"][0]["entries"]), own, "{attributes:?}");
    }
}

#[tokio::test]
async fn what_is_hidden_leaves_over_no_protocol_without_the_right_to_secrets() {
    for (may, is_shown) in [(vec![], false), (vec![Right::Secrets], true)] {
        let house = with(|client| Client { may: [client.may, may].concat(), ..client }).await;
        assert_eq!(house.put(&global(ID), json!({"mail": "new"})).await, done());
        let told = house.limited_soap("/adminSessions", "getAttributes", &string(ID)).await;
        assert_eq!(told.contains("tardis"), is_shown);
        let told = house.limited(&format!("GET {}", global(ID)), Json::Null).await.1;
        assert_eq!(told.contains("tardis"), is_shown);
        let (_, _, found) = house.rest_of(LIMITED, "POST /v1/find", "{}").await;
        assert_eq!(found.contains("tardis"), is_shown);
        assert!(found.contains("dwho"), "{found}");
        assert_eq!(found.contains("\"_session_id\""), is_shown, "what opens the session is a secret as well");
        assert!(!found.contains("_session_before"), "what stands there for ourselves is for nobody");
        let found: Json = serde_json::from_str(&found).unwrap();
        let handle = format!("/v1/sessions/{}", found["sessions"][0]["handle"].as_str().unwrap());
        assert_eq!(house.limited(&format!("GET {handle}"), Json::Null).await.1.contains("tardis"), is_shown);
        // Nor can it be found out by asking.
        let by_guess = r#"{"entries": {"_password": "tardis"}}"#;
        let (_, _, guessed) = house.rest_of(LIMITED, "POST /v1/find", by_guess).await;
        assert_eq!(guessed.contains("dwho"), is_shown, "{guessed}");
        let line = "POST /sessions/global/?all=1&search=_password,tardis";
        let searched = house.limited_json(line, json!({"data": "uid"})).await;
        assert_eq!(searched.get(ID).is_some(), is_shown);
    }
}

#[tokio::test]
async fn a_client_sets_the_attributes_that_are_for_it() {
    let names = || -> Box<[Box<str>]> { Box::new(["phone".into()]) };
    for (attributes, may) in [
        (Attributes::Usual, true),
        (Attributes::All, true),
        (Attributes::Further(names()), true),
        (Attributes::Only(names()), false),
    ] {
        let house = with(|client| Client { attributes: attributes.clone(), ..client }).await;
        let (one, other) = (format!("PUT {}", global(ID)), format!("PUT {}", global(OTHER)));
        assert_eq!(
            house.limited(&one, json!({"phone": "6", "_session_id": ID})).await,
            done(),
            "{attributes:?}"
        );
        for (line, body) in [
            (one.clone(), json!({"uid": "x", "phone": "7"})),
            (format!("{one}/uid"), json!("x")),
            (other, json!({"uid": "x"})),
            ("POST /sessions/global".to_owned(), json!({"uid": "x"})),
        ] {
            let (status, told) = house.limited(&line, body).await;
            assert_eq!(status, if may { 200 } else { 403 }, "{attributes:?} {line}: {told}");
            assert_eq!(told.contains("`uid`"), !may, "{told}");
        }
        for (method, arguments) in [
            ("setAttributes", string(ID) + "<a><uid>y</uid></a>"),
            ("newSession", "<a><uid>y</uid></a>".to_owned()),
        ] {
            let (status, _, told) = house.call(LIMITED, "/adminSessions", method, &arguments).await;
            assert_eq!(status, if may { 200 } else { 500 }, "{attributes:?} {method}: {told}");
        }
        let whole = house.whole(&global(ID)).await;
        let expected = if may { ("y", "7") } else { ("dwho", "6") };
        assert_eq!(
            (&whole["uid"], &whole["phone"]),
            (&json!(expected.0), &json!(expected.1)),
            "{attributes:?}"
        );
    }
}
