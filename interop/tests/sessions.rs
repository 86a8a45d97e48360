//! Sessions on the command line, over the API of the program that runs.

use std::process::{Output, Stdio};

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

fn started() -> Cloakroom {
    let files = [("operators.token", OPERATORS), ("watchers.token", WATCHERS)];
    Cloakroom::start_with(CONFIGURATION, &files).unwrap()
}

/// What a command says to people, and what to scripts.
fn both(cloakroom: &Cloakroom, arguments: &[&str]) -> (String, Value) {
    let (code, table, error) = here(cloakroom, arguments);
    assert_eq!((code, &*error), (0, ""), "{arguments:?}");
    assert!(serde_json::from_str::<Value>(&table).is_err(), "{table}");
    let (code, json, error) = here(cloakroom, &[arguments, &["--json"]].concat());
    assert_eq!((code, &*error), (0, ""), "{arguments:?}");
    (table, serde_json::from_str(&json).unwrap())
}

#[test]
fn each_command_has_a_form_for_people_and_one_for_scripts() {
    let cloakroom = started();
    let handle = open(&cloakroom, "melisande");
    let (table, json) = both(&cloakroom, &["list"]);
    assert!(table.starts_with("handle ") && table.lines().count() == 2, "{table}");
    assert_eq!((&json["handle"], &json["principal"]["name"]), (&handle.clone().into(), &"melisande".into()));
    let (table, json) = both(&cloakroom, &["show", &handle]);
    assert!(table.contains("\nentries\n  mail = melisande@example.org"), "{table}");
    assert_eq!(json["entries"]["mail"], "melisande@example.org");
    let (table, json) = both(&cloakroom, &["why", &handle]);
    assert_eq!((&*table, &json["life"]), (&*format!("{handle} is live.\n"), &"live".into()));
    // Only the first finds one.
    let (table, json) = both(&cloakroom, &["end", &handle]);
    assert!(table.starts_with("1 session was ended.\n"), "{table}");
    assert_eq!((&json["sessions"], &json["is_whole"]), (&0.into(), &true.into()));
    let (table, json) = both(&cloakroom, &["why", &handle]);
    assert!(table.starts_with(&format!("{handle} was ended at ")), "{table}");
    assert_eq!((&json["ending"]["why"], &json["ending"]["by"]), (&"revoked".into(), &"operators".into()));
    // It is JSON whether that is said or not.
    open(&cloakroom, "pelleas");
    let exports = [&["export"][..], &["export", "--json"]].map(|arguments| here(&cloakroom, arguments));
    assert_eq!(exports[0], exports[1]);
    assert_eq!(
        serde_json::from_str::<Value>(&exports[0].1).unwrap()["entries"]["mail"],
        "pelleas@example.org"
    );
}

#[test]
fn whoever_errs_is_told_what_would_be_right_and_no_secret_is_repeated() {
    let cloakroom = started();
    let ticket = format!("{}.{}", "0".repeat(32), "A".repeat(43));
    let unknown = "0".repeat(32);
    for (arguments, status, told) in [
        (&["show", "xyz"][..], 1, "a handle has 32 hexadecimal digits"),
        (&["why", &ticket], 1, "this is a ticket, which is a secret"),
        (&["end", &ticket], 1, "this is a ticket, which is a secret"),
        (&["show", &unknown], 1, "no live session on the server has this handle"),
        (&["end"], 2, "<HANDLE|--person <NAME>|--realm <REALM>>"),
        (&["end", &unknown, "--realm", "shop"], 2, "cannot be used with"),
        (&["end", "--person", "ann"], 2, "--issuer <ISSUER>"),
        (&["list", "--limt", "3"], 2, "a similar argument exists: '--limit'"),
        (&["list", "--limit", "many"], 2, "--limit <NUMBER>"),
        (&["list", "--entry", "mail"], 2, "say NAME=TEXT"),
        (&["list", "--seen-after", "yesterday"], 2, "or how long ago"),
        (&["list", "--application", "none"], 1, "no application has this id"),
        (&["list", "--kind", "sso"], 1, "no kind of session is called so"),
        (&["list", "--kind", "SSO", "--realm", "shop"], 2, "cannot be used with"),
        (&["export", "--address", "nowhere"], 2, "--address <ADDRESS>"),
    ] {
        let (code, said, error) = here(&cloakroom, arguments);
        assert_eq!((code, &*said), (status, ""), "{arguments:?} {error}");
        // A narrow page breaks lines.
        let flat = error.split_whitespace().filter(|word| *word != "\u{2502}").collect::<Vec<_>>().join(" ");
        assert!(flat.contains(told), "{arguments:?} {error}");
        assert!(!error.contains(&ticket), "{error}");
    }
}

#[test]
fn a_server_that_is_not_there_or_knows_nobody_is_told_and_nothing_else() {
    let mut cloakroom = started();
    let url = format!("http://{}", cloakroom.server());
    let there = |cloakroom: &Cloakroom, arguments: &[&str]| {
        said(&cloakroom.execute(&[&["sessions"], arguments, &["--url", &url]].concat()).unwrap())
    };
    let handle = "0".repeat(32);
    let all = [&["list"][..], &["export"], &["show", &handle], &["why", &handle], &["end", &handle]];
    for arguments in all {
        let (code, said, error) = there(&cloakroom, arguments);
        assert_eq!((code, &*said), (1, ""), "{error}");
        assert!(error.contains("401 Unauthorized") && error.contains("--token-file"), "{error}");
    }
    cloakroom.kill().unwrap();
    for arguments in all {
        for json in [&[][..], &["--json"]] {
            let (code, said, error) = there(&cloakroom, &[arguments, json].concat());
            assert_eq!((code, &*said), (1, ""), "{error}");
            assert!(
                error.contains("takes no connection") && error.contains("is Cloakroom running"),
                "{error}"
            );
        }
    }
}

#[test]
fn whoever_reads_only_the_first_lines_is_not_told_of_an_error() {
    let cloakroom = started();
    open(&cloakroom, "melisande");
    for arguments in [&["list"][..], &["list", "--json"], &["export"]] {
        let arguments = [&["sessions"], arguments, &["--config", "cloakroom.toml"]].concat();
        let mut command = cloakroom.command(&arguments).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let (code, _, error) = said(&child.wait_with_output().unwrap());
        assert_eq!((code, &*error), (0, ""), "{arguments:?}");
    }
}

#[test]
fn an_operator_lists_shows_and_ends_sessions_and_asks_why_one_is_over() {
    let cloakroom = started();
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
