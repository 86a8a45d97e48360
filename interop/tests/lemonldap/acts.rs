//! What is written of what clients do: each act in the audit, by whom, from where and on which session, and no id, token, password or
//! attribute in anything that is written, however much is.

use std::fs;

use interop::Cloakroom;
use serde_json::{Value, json};

use super::asks::{Asks, missing, secret};
use super::{CONFIGURATION, KEY, WITH_LOGINS};
use crate::given;

const TOKEN: &str = "the-token-of-the-operators-0123456789";

/// `portal:open sesame`
const PORTAL: &str = "Authorization: Basic cG9ydGFsOm9wZW4gc2VzYW1l\r\n";

fn started() -> Cloakroom {
    let more = "[log]\nlevel = \"trace\"\n[audit]\nfile = \"audit.log\"\n\
        [[application]]\nid = \"shop\"\nupstream = \"http://127.0.0.1:9\"\n\
        [[client]]\nid = \"operators\"\nbearer_file = \"operators.token\"\nmay = [\"sessions\", \"admin_sessions\", \"secrets\", \"storage\"]\n";
    let users = given::htpasswd();
    let files = [
        ("llng.key", KEY),
        ("portal.password", "open sesame\n"),
        ("users.htpasswd", &*users),
        ("operators.token", TOKEN),
    ];
    Cloakroom::start_with(&format!("{CONFIGURATION}{WITH_LOGINS}{more}"), &files).unwrap()
}

/// What the audit has, in its order.
fn audit(cloakroom: &Cloakroom) -> Vec<Value> {
    let lines = fs::read_to_string(cloakroom.directory().join("audit.log")).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A call by SOAP that succeeds; what it is told.
fn soap<'a>(asks: Asks<'a>, method: &'static str, arguments: String) -> impl Fn() -> String + 'a {
    move || {
        let answer = asks.calls_with("/adminSessions", method, &arguments);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text()
    }
}

/// The same by REST, or by our own API.
fn rest<'a>(asks: Asks<'a>, line: String, body: Value) -> impl Fn() -> String + 'a {
    move || {
        let answer = asks.json(&line, &body);
        assert!(matches!(answer.status, 200 | 201), "{line}: {}", answer.text());
        answer.text()
    }
}

#[test]
fn every_act_over_every_protocol_is_in_the_audit_by_whom_from_where_and_on_whose_session() {
    let cloakroom = started();
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    let asks = |proof| Asks { server: cloakroom.server(), proof };
    let (handlers, portal, operators) = (asks(""), asks(PORTAL), asks(&bearer));
    // What is done, and what the audit says of it: by whom, what, and whether a session is named.
    let does = |who: &str, what: &str, names_session: bool, act: &dyn Fn() -> String| {
        let before = audit(&cloakroom).len();
        let told = act();
        let lines = audit(&cloakroom).split_off(before);
        let said = lines.iter().find(|line| line["message"].as_str().unwrap() == what);
        let said = said.unwrap_or_else(|| panic!("{what} is not in {lines:?}\nwhen told {told}"));
        assert_eq!((&said["client"], &said["from"]), (&json!(who), &json!("127.0.0.1")), "{said}");
        assert_eq!(said["handle"].is_string(), names_session, "{said}");
        (told, said["handle"].as_str().unwrap_or_default().to_owned())
    };
    let text = |told: &str, name: &str| {
        told.split_once(&format!("<{name} xsi:type=\"xsd:string\">"))
            .unwrap()
            .1
            .split_once('<')
            .unwrap()
            .0
            .to_owned()
    };
    let argument = |id: &str| format!("<a xsi:type=\"xsd:string\">{id}</a>");
    let (made, changed, ended, listed) = (
        "a session of LemonLDAP::NG was made",
        "a session of LemonLDAP::NG was changed",
        "a session of LemonLDAP::NG was ended",
        "sessions of LemonLDAP::NG were listed",
    );

    // SOAP: one session from its beginning to its end, by its handle.
    let (told, handle) =
        does("portal", made, true, &soap(portal, "newSession", "<a><uid>ada</uid></a>".into()));
    let id = text(&told, "_session_id");
    let found = operators.finds(&json!({}));
    assert_eq!((found.len(), &found[0]["handle"]), (1, &json!(handle)), "{found:?}");
    let change = format!("{}<a><mail>a@b</mail></a>", argument(&id));
    assert_eq!(does("portal", changed, true, &soap(portal, "setAttributes", change)).1, handle);
    let token = portal.token();
    does("portal", listed, false, &soap(portal, "get_key_from_all_sessions", argument(&token)));
    assert_eq!(does("portal", ended, true, &soap(portal, "deleteSession", argument(&id))).1, handle);
    let login = argument(given::USER) + &argument(given::PASSWORD);
    let (told, _) = does("operators", made, true, &soap(operators, "getCookies", login));
    let elsewhere = text(&told, "lemonldap");

    // REST.
    let id = "4b".repeat(32);
    let path = format!("/sessions/global/{id}");
    let body = json!({"uid": given::USER, "_whatToTrace": given::USER, "__secret": secret()});
    let (_, handle) = does("portal", made, true, &rest(portal, format!("PUT {path}"), body));
    assert_eq!(
        does("portal", changed, true, &rest(portal, format!("PUT {path}"), json!({"n": "1"}))).1,
        handle
    );
    assert_eq!(does("portal", changed, true, &rest(portal, format!("PUT {path}/n"), json!("2"))).1, handle);
    does("portal", made, true, &rest(portal, "POST /sessions/global".into(), json!({"uid": "grace"})));
    let list = json!({"data": "uid", "__secret": secret()});
    does("portal", listed, false, &rest(portal, "POST /sessions/global/?all=1".into(), list));
    let cookie = format!("Cookie: lemonldap={id}\r\n");
    let visitor = asks(&cookie);
    let others = "the other sessions of somebody in LemonLDAP::NG were ended";
    let (told, _) =
        does("handlers", others, false, &rest(visitor, "DELETE /sessions/my".into(), Value::Null));
    assert_eq!(told, r#"{"result":1}"#);
    assert_eq!(portal.json(&format!("GET /sessions/global/{elsewhere}"), &Value::Null).text(), missing());
    assert_eq!(
        does("handlers", ended, true, &rest(visitor, "DELETE /session/my".into(), Value::Null)).1,
        handle
    );
    let body = json!({"uid": "x", "__secret": secret()});
    let path = format!("/sessions/saml/{}", "5c".repeat(32));
    let (_, handle) = does("portal", made, true, &rest(portal, format!("PUT {path}"), body));
    assert_eq!(does("portal", ended, true, &rest(portal, format!("DELETE {path}"), Value::Null)).1, handle);

    // Our own API.
    let new = json!({"application": "shop", "entries": {"a": "b"}, "principal": {"issuer": "idp", "name": "melisande"}});
    let opened = "a session was opened by the API";
    let (told, handle) =
        does("operators", opened, true, &rest(operators, "POST /v1/sessions".into(), new.clone()));
    assert_eq!(serde_json::from_str::<Value>(&told).unwrap()["handle"], *handle);
    let path = format!("/v1/sessions/{handle}");
    let entries = json!({"entries": {"a": "c"}});
    for (line, body, what) in [
        (format!("PATCH {path}"), entries, "a session was changed by the API"),
        (format!("POST {path}/touch"), json!({}), "a session was touched by the API"),
        (format!("POST {path}/renew"), json!({}), "a ticket was renewed by the API"),
        (format!("DELETE {path}"), Value::Null, "a session was ended by the API"),
    ] {
        assert_eq!(does("operators", what, true, &rest(operators, line, body)).1, handle, "{what}");
    }
    let (_, handle) = does("operators", opened, true, &rest(operators, "POST /v1/sessions".into(), new));
    does(
        "operators",
        "sessions were searched by the API",
        false,
        &rest(operators, "POST /v1/find".into(), json!({})),
    );
    let end = json!({"handles": [handle]});
    does("operators", "sessions were ended by the API", false, &rest(operators, "POST /v1/end".into(), end));
    assert!(audit(&cloakroom).last().unwrap().to_string().contains(&handle), "the sessions are named");

    // Whoever is not let in is there too, once a second.
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let before = audit(&cloakroom).len();
    assert_eq!(handlers.json("POST /v1/end", &json!({})).status, 401);
    let denied = audit(&cloakroom).split_off(before);
    assert_eq!((denied.len(), &denied[0]["from"]), (1, &json!("127.0.0.1")), "{denied:?}");
    assert!(denied[0]["message"].as_str().unwrap().contains("not let into the API"), "{denied:?}");
}

#[test]
fn no_id_token_password_or_attribute_is_in_anything_that_is_written() {
    let mut cloakroom = started();
    let bearer = format!("Authorization: Bearer {TOKEN}\r\n");
    let asks = |proof| Asks { server: cloakroom.server(), proof };
    let (handlers, portal, operators) = (asks(""), asks(PORTAL), asks(&bearer));
    let mut secrets =
        vec![TOKEN.to_owned(), KEY.to_owned(), given::PASSWORD.to_owned(), "open sesame".to_owned()];
    let id = |digits: &str| digits.repeat(32);
    let ids = ["4b", "5c", "6d", "7e", "8f"].map(id);
    let [over_rest, unknown, dead, basic, saml] = &ids;
    secrets.extend(ids.iter().cloned());
    let attribute = "an-attribute-of-somebody";
    secrets.push(attribute.to_owned());

    let body = json!({"uid": given::USER, "_whatToTrace": given::USER, "mail": attribute, "_password": "tardis-and-more"});
    secrets.push("tardis-and-more".to_owned());
    for path in ["global", "persistent", "saml"].into_iter().zip([over_rest, dead, saml]) {
        let path = format!("/sessions/{}/{}", path.0, path.1);
        assert_eq!(portal.with_secret(&format!("PUT {path}"), body.clone()).status, 200);
    }
    portal.with_secret(&format!("PUT /sessions/global/{dead}"), body.clone());
    let told =
        portal.calls_with("/adminSessions", "newSession", &format!("<a><mail>{attribute}</mail></a>")).text();
    let made = told
        .split_once("<_session_id xsi:type=\"xsd:string\">")
        .unwrap()
        .1
        .split_once('<')
        .unwrap()
        .0
        .to_owned();
    let ticket =
        operators.json("POST /v1/sessions", &json!({"application": "shop", "entries": {"mail": attribute}}));
    let ticket: Value = serde_json::from_str(&ticket.text()).unwrap();
    let (handle, ticket) =
        (ticket["handle"].as_str().unwrap(), ticket["ticket"].as_str().unwrap().to_owned());
    secrets.push(ticket.split_once('.').unwrap().1.to_owned());
    secrets.push(made.clone());

    // Every end point of all protocols, with ids that are there, are not any more, never were, and are none.
    for asks in [handlers, portal, operators] {
        for id in
            [&made, over_rest, unknown, dead, saml, &format!("{unknown}-no-id"), &format!("../{unknown}")]
        {
            for end_point in
                ["/sessions", "/adminSessions", "/adminSessions/x", "/index.fcgi/sessions", "//sessions"]
            {
                for method in [
                    "getAttributes",
                    "setAttributes",
                    "deleteSession",
                    "isAuthorizedURI",
                    "getMenuApplications",
                    "noMethod",
                ] {
                    if method != "deleteSession" || id == dead {
                        asks.calls(end_point, method, &[id, "http://test1.example.com/"]);
                    }
                }
            }
            for line in ["GET", "PUT", "POST", "PATCH", "OPTIONS"] {
                for kind in ["global", "persistent", "saml", "cas", "oidc", "offline", "none"] {
                    asks.json(&format!("{line} /sessions/{kind}/{id}"), &json!({"mail": attribute}));
                }
                for rest in ["/mail", "/[uid,mail]", "?hash=1", "?kind=SAML", "/mail/x/..", "//", "?auth"] {
                    asks.json(&format!("{line} /sessions/global/{id}{rest}"), &json!({"mail": attribute}));
                }
            }
            let cookie = format!("{}Cookie: lemonldap={id}\r\n", asks.proof);
            let visitor = Asks { server: asks.server, proof: &cookie };
            for path in [
                "/session/my",
                "/session/my/global/mail",
                "/mysession/?whoami",
                "/mysession/?gettoken",
                "/sessions/my",
                "/myapplications",
            ] {
                visitor.json(&format!("GET {path}"), &Value::Null);
            }
            asks.json(&format!("GET /v1/sessions/{id}"), &Value::Null);
            asks.json("POST /v1/introspect", &json!({"token": id}));
            asks.json(&format!("DELETE /sessions/cas/{id}"), &Value::Null);
        }
        let form = format!("user={}&password={}&secret=x", given::USER, given::PASSWORD);
        asks.of(
            &format!("POST /sessions/global/{basic}?auth"),
            "Content-Type: application/x-www-form-urlencoded\r\n",
            &form,
        );
        asks.json("POST /v1/introspect", &json!({ "token": ticket }));
        asks.json("POST /v1/find", &json!({"entries": {"mail": attribute}}));
        asks.json(&format!("GET /v1/sessions/{ticket}"), &Value::Null);
        asks.with_secret(
            "POST /sessions/global/?all=1&search=mail,an-attribute-of-somebody",
            json!({"data": null}),
        );
    }
    let token = portal.token();
    portal.calls("/adminSessions", "get_key_from_all_sessions", &[&token]);
    portal.calls("/adminSessions", "get_key_from_all_sessions", &[&token]);
    secrets.push(token);
    operators.json(
        &format!("PATCH /v1/sessions/{handle}"),
        &json!({"entries": {"mail": "an-attribute-of-somebody-else"}}),
    );
    let cookies = handlers.calls("/sessions", "getCookies", &[given::USER, given::PASSWORD]).text();
    secrets.push(
        cookies
            .split_once("<lemonldap xsi:type=\"xsd:string\">")
            .unwrap()
            .1
            .split_once('<')
            .unwrap()
            .0
            .to_owned(),
    );
    let cookie = format!("Cookie: lemonldap={over_rest}\r\n");
    Asks { server: cloakroom.server(), proof: &cookie }.json("DELETE /sessions/my", &Value::Null);
    for id in [&made, over_rest, dead] {
        portal.json(&format!("DELETE /sessions/global/{id}"), &Value::Null);
        portal.json(&format!("GET /sessions/global/{id}"), &Value::Null);
    }

    cloakroom.restart().unwrap();
    let written = cloakroom.log() + &fs::read_to_string(cloakroom.directory().join("audit.log")).unwrap();
    for said in ["\"DEBUG\"", "a session of LemonLDAP::NG was ended", "not let into"] {
        assert!(written.contains(said), "it says nothing of {said}");
    }
    for secret in &secrets {
        let line = written.lines().find(|line| line.contains(secret.as_str()));
        assert!(line.is_none(), "{secret} is in: {}", line.unwrap_or_default());
    }
}
