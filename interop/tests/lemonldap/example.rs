//! The example for LemonLDAP::NG does what it says, client by client and key by key. Only its storage is another one here.

use std::process::Command;

use interop::{Authority, Cloakroom, available, find};
use serde_json::{Value, json};

use super::KEY;
use super::asks::{Asks, missing, now};

/// `portal:open sesame`
const PORTAL: &str = "Authorization: Basic cG9ydGFsOm9wZW4gc2VzYW1l\r\n";
const OPERATORS: &str = "Authorization: Bearer the-token-of-the-operators-0123456789\r\n";

/// The example, with this machine's ports in the place of its own, and storage that is built in.
fn example(listen: &str) -> String {
    let text = include_str!("../examples/llng.toml");
    let (file, rest) = text.split_once("engine = \"files\"\n").expect("the example keeps files");
    let rest = rest.split_once("[cache]").expect("the example has a cache behind its storage").1;
    let text = format!("data_dir = \"data\"\n{file}engine = \"embedded\"\n[cache]{rest}");
    let server = "[listen]\nserver = \"127.0.0.1:8081\"\n";
    assert!(text.contains(server), "{text}");
    text.replace(server, &format!("[listen]\ngateway = \"{{gateway}}\"\nserver = \"{{server}}\"\n{listen}"))
}

const FILES: [(&str, &str); 3] = [
    ("llng.key", KEY),
    ("portal.password", "open sesame\n"),
    ("operators.token", "the-token-of-the-operators-0123456789\n"),
];

fn id(digits: &str) -> String {
    digits.repeat(32)
}

fn path(id: &str) -> String {
    format!("/sessions/global/{id}")
}

#[test]
fn the_example_is_what_it_says() {
    let cloakroom = Cloakroom::start_with(&example(""), &FILES).unwrap();
    let asks = |proof| Asks { server: cloakroom.server(), proof };
    let (handlers, portal, operators) = (asks(""), asks(PORTAL), asks(OPERATORS));
    let one = id("4b");
    let body = json!({
        "uid": "dwho", "cn": "Who", "mail": "d@w", "phone": "5", "groups": "users", "_whatToTrace": "dwho",
        "_password": "tardis", "_2fDevices": "[]", "_lastSeen": 1,
    });

    // `handlers` read only, and are known by their network.
    assert_eq!(handlers.with_secret(&format!("PUT {}", path(&one)), body.clone()).status, 401);
    // `portal` writes, and its password is asked for by the name that its class knows.
    let asked = handlers.json(&format!("PUT {}", path(&one)), &json!({}));
    assert!(
        asked.all("www-authenticate").iter().any(|scheme| scheme.starts_with("Basic realm=\"cloakroom\"")),
        "{asked:?}"
    );
    let made = portal.with_secret(&format!("PUT {}", path(&one)), body);
    assert_eq!((made.status, &*made.text()), (200, r#"{"result":1}"#), "{}", cloakroom.log());
    assert_eq!(
        portal.json(&format!("PUT {}", path(&id("5c"))), &json!({"uid": "x"})).text(),
        missing(),
        "`key_file`"
    );

    // `exported_attributes`: what they name beside the defaults. `hidden_attributes`: nobody without `secrets`.
    let shown = |asks: Asks<'_>, end_point: &str| {
        let told = asks.calls(end_point, "getAttributes", &[&one]).text();
        ["uid", "mail", "groups", "_utime", "phone", "_password", "_2fDevices"]
            .into_iter()
            .filter(|name| told.contains(&format!("<{name} ")))
            .collect::<Vec<_>>()
    };
    assert_eq!(shown(handlers, "/sessions"), ["uid", "mail", "groups", "_utime"]);
    assert_eq!(handlers.calls("/adminSessions", "getAttributes", &[&one]).status, 401);
    assert_eq!(shown(portal, "/adminSessions"), ["uid", "mail", "groups", "_utime", "phone"]);
    let all = ["uid", "mail", "groups", "_utime", "phone", "_password", "_2fDevices"];
    assert_eq!(shown(operators, "/sessions"), all, "`attributes = \"*\"`, and `secrets`");
    assert_eq!(handlers.reads(&path(&one))["_password"], "**********");
    assert_eq!(operators.reads(&path(&one))["_password"], "tardis");

    // `timeout_activity = "0s"`: a last use long ago ends nothing. `timeout = "20h"` does.
    for (seconds, status) in [(20 * 3600 - 600, 200), (20 * 3600 + 600, 400)] {
        let begun = json!({"uid": "dwho", "_utime": now() - seconds});
        let other = id(&format!("{:02x}", seconds % 251));
        portal.with_secret(&format!("PUT {}", path(&other)), begun);
        assert_eq!(portal.json(&format!("GET {}", path(&other)), &Value::Null).status, status, "{seconds}");
    }

    // `soap`, `rest`, and the `portal` may list; `handlers` may not.
    let list = |asks: Asks<'_>| {
        asks.with_secret("POST /sessions/global/?all=1&search=_whatToTrace,dwho", json!({"data": "uid"}))
    };
    assert_eq!(
        serde_json::from_str::<Value>(&list(portal).text()).unwrap(),
        json!({ &one: {"uid": "dwho"} })
    );
    assert_eq!(list(handlers).status, 401);
    let listed =
        portal.calls("/adminSessions", "get_key_from_all_sessions", &[&portal.token(), "uid"]).text();
    assert!(listed.contains(&one), "{listed}");

    // `kinds` of the operators: SSO and Persistent.
    let saml = format!("/sessions/saml/{}", id("6d"));
    let persistent = format!("/sessions/persistent/{}", "f1".repeat(16));
    for (path, seen) in [(&saml, 400), (&persistent, 200)] {
        assert_eq!(portal.with_secret(&format!("PUT {path}"), json!({"uid": "dwho"})).status, 200);
        assert_eq!(portal.json(&format!("GET {path}"), &Value::Null).status, 200);
        assert_eq!(operators.json(&format!("GET {path}"), &Value::Null).status, seen, "{path}");
    }
    // `realms = ["*"]`: theirs are those of all realms.
    let realms: Vec<_> = operators.finds(&json!({})).iter().map(|found| found["realm"].clone()).collect();
    assert!(realms.contains(&json!("llng")) && realms.contains(&json!("llng.persistent")), "{realms:?}");

    // `cookie_name`, and an end that holds.
    let cookie = format!("{}Cookie: lemonldap={one}\r\n", handlers.proof);
    let visitor = asks(&cookie);
    assert_eq!(visitor.reads("/session/my")["uid"], "dwho");
    let ended = visitor.json("DELETE /session/my", &Value::Null);
    assert!(ended.all("set-cookie").iter().any(|set| set.starts_with("lemonldap=0;")), "{ended:?}");
    assert_eq!(portal.with_secret(&format!("PUT {}", path(&one)), json!({"uid": "dwho"})).text(), missing());
}

#[test]
fn the_example_knows_its_operators_by_a_certificate_as_well() {
    let Some(curl) = available(find("curl", "curl")).unwrap() else { return };
    let authority = Authority::new().unwrap();
    let server = authority.server(&["localhost"]).unwrap();
    let operators = authority.client_alone("operators").unwrap();
    let others = [authority.client_alone("operator").unwrap(), authority.client("operators").unwrap()];
    let listen = format!(
        "server_socket = \"{}\"\n[listen.server_tls]\ncertificates = [{{ certificate = \"server.pem\", key = \"server.key\" }}]\n\
         client_ca = \"authority.pem\"\nclient_certificate = \"optional\"\n",
        Cloakroom::SOCKET
    );
    let certificate = authority.certificate();
    let mut files = FILES.to_vec();
    files.extend([
        ("authority.pem", &*certificate),
        ("server.pem", &server.certificate),
        ("server.key", &server.key),
        ("operators.pem", &operators.certificate),
        ("operators.key", &operators.key),
        ("operator.pem", &others[0].certificate),
        ("operator.key", &others[0].key),
        ("example.pem", &others[1].certificate),
        ("example.key", &others[1].key),
    ]);
    let cloakroom = Cloakroom::start_with(&example(&listen), &files).unwrap();
    let port = cloakroom.server().port();
    let ends_nobody = |who: Option<&str>| {
        let mut command = Command::new(&curl);
        command.current_dir(cloakroom.directory()).args([
            "-sS",
            "--max-time",
            "20",
            "--cacert",
            "authority.pem",
        ]);
        command.args([
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "--resolve",
            &format!("localhost:{port}:127.0.0.1"),
        ]);
        if let Some(who) = who {
            command.args(["--cert", &format!("{who}.pem"), "--key", &format!("{who}.key")]);
        }
        command.args(["-X", "DELETE", &format!("https://localhost:{port}/v1/sessions/{}", "0".repeat(32))]);
        let output = command.output().unwrap();
        (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (told, why) = ends_nobody(Some("operators"));
    assert_eq!(told, "404", "they are let in, and there is no such session: {why}\n{}", cloakroom.log());
    for other in [None, Some("operator"), Some("example")] {
        let (told, why) = ends_nobody(other);
        assert_eq!(told, "401", "{other:?}: {why}\n{}", cloakroom.log());
    }
}
