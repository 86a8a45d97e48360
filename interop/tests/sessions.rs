//! Sessions on the command line, over the API of the program that runs.

use std::process::Output;

use interop::Cloakroom;
use interop::raw;
use serde_json::Value;

const CONFIGURATION: &str = "\
data_dir = \"data\"
[listen]
gateway = \"{gateway}\"
server = \"{server}\"
server_socket = \"server.sock\"
[cache]
index_entries = [\"mail\"]
[[application]]
id = \"shop\"
upstream = \"http://127.0.0.1:9\"
[[client]]
id = \"watchers\"
bearer_file = \"watchers.token\"
may = [\"sessions\"]
[[client]]
id = \"operators\"
bearer_file = \"operators.token\"
may = [\"sessions\", \"admin_sessions\"]
";

const OPERATORS: &str = "the-token-of-the-operators-0123456789";
const WATCHERS: &str = "the-token-of-the-watchers-0123456789";

fn open(cloakroom: &Cloakroom, name: &str) -> String {
    let body = format!(
        "{{\"application\": \"shop\", \"principal\": {{\"issuer\": \"idp\", \"name\": \"{name}\"}}, \
         \"entries\": {{\"mail\": \"{name}@example.org\"}}}}"
    );
    let length = body.len();
    let text = format!(
        "POST /v1/sessions HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {OPERATORS}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let opened = raw::exchange(cloakroom.server(), text).unwrap();
    let told: Value = serde_json::from_str(&opened.text()).unwrap();
    told.get("handle").unwrap().as_str().unwrap().to_owned()
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// With the configuration of the server: over its socket, as the client that may most.
fn here(cloakroom: &Cloakroom, arguments: &[&str]) -> (i32, String, String) {
    let arguments = [&["sessions"], arguments, &["--config", "cloakroom.toml"]].concat();
    said(&cloakroom.execute(&arguments).unwrap())
}

#[test]
fn an_operator_lists_shows_and_ends_sessions_and_asks_why_one_is_over() {
    let files = [("operators.token", OPERATORS), ("watchers.token", WATCHERS)];
    let cloakroom = Cloakroom::start_with(CONFIGURATION, &files).unwrap();
    let (melisande, pelleas) = (open(&cloakroom, "melisande"), open(&cloakroom, "pelleas"));

    let (code, list, error) = here(&cloakroom, &["list"]);
    assert_eq!(code, 0, "{error}");
    let mut lines: Vec<&str> = list.lines().skip(1).collect();
    lines.sort_unstable_by_key(|line| line.contains("pelleas"));
    let [first, second] = lines.as_slice() else { panic!("{list}") };
    assert!(first.starts_with(&melisande) && first.ends_with("melisande (idp)"), "{list}");
    assert!(second.starts_with(&pelleas) && second.contains("  shop  "), "{list}");

    let (_, list, error) = here(&cloakroom, &["list", "--limit", "1"]);
    assert_eq!(list.lines().count(), 2, "{list}");
    assert!(error.contains("There may be more"), "{error}");
    let (_, list, _) =
        here(&cloakroom, &["list", "--entry", "mail=pelleas@example.org", "--seen-after", "1h", "--json"]);
    let listed: Value = serde_json::from_str(list.trim()).unwrap();
    assert_eq!(listed.get("handle").unwrap(), &Value::from(&*pelleas));
    assert!(here(&cloakroom, &["list", "--begun-before", "1h", "--json"]).1.is_empty());

    let (_, session, _) = here(&cloakroom, &["show", &melisande]);
    assert!(session.contains("whose            melisande (idp)"), "{session}");
    assert!(session.contains("\n  mail = melisande@example.org"), "{session}");
    let (_, all, _) = here(&cloakroom, &["export", "--issuer", "idp", "--person", "melisande"]);
    let exported: Value = serde_json::from_str(all.trim()).unwrap();
    assert_eq!(exported["entries"]["mail"], "melisande@example.org");

    // Over the network, as one who may only look.
    let url = format!("http://{}", cloakroom.server());
    let there = |arguments: &[&str]| {
        let server = ["--url", &*url, "--token-file", "watchers.token"];
        said(&cloakroom.execute(&[&["sessions"], arguments, &server].concat()).unwrap())
    };
    let (code, why, _) = there(&["why", &melisande]);
    assert_eq!((code, why.trim_end()), (0, &*format!("{melisande} is live.")));
    let (code, _, error) = there(&["end", &melisande]);
    assert_eq!(code, 1);
    assert!(error.contains("`watchers` has no such right in `may`"), "{error}");

    let (code, receipt, error) = here(&cloakroom, &["end", &melisande]);
    assert_eq!(code, 0, "{error}");
    assert!(receipt.starts_with("1 session was ended.\nConfirmed by "), "{receipt}");
    let (_, why, _) = here(&cloakroom, &["why", &melisande]);
    assert!(why.contains(": revoked, by operators, from 127.0.0.1"), "{why}");
    let (code, _, error) = here(&cloakroom, &["show", &melisande]);
    assert!(code == 1 && error.contains("this session is over"), "{error}");
    let (_, receipt, _) = here(&cloakroom, &["end", "--issuer", "idp", "--person", "pelleas", "--json"]);
    let receipt: Value = serde_json::from_str(&receipt).unwrap();
    assert_eq!(
        (receipt.get("sessions"), receipt.get("is_whole")),
        (Some(&Value::from(1)), Some(&Value::from(true)))
    );
    assert_eq!(here(&cloakroom, &["list"]).1.lines().count(), 1);
    let secrets = [OPERATORS, WATCHERS];
    assert!(secrets.iter().all(|secret| !cloakroom.log().contains(secret)));
}
