//! Whole files: the defaults, what the program prints itself, and anything at all.

use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::super::{Carrier, Configuration, Engine, example, reference, schema};
use super::{SHOP, parse, right};

const HANDOFF: &str = include_str!("../../../../interop/tests/examples/gateway.toml");
const LOGIN: &str = include_str!("../../../../interop/tests/examples/login.toml");

#[test]
fn an_empty_file_has_all_the_defaults() {
    let configuration = right("");
    assert_eq!(configuration, Configuration::default());
    assert_eq!(configuration.listen.gateway.to_string(), "127.0.0.1:8080");
    assert_eq!(configuration.listen.server.to_string(), "127.0.0.1:8081");
    assert_eq!(configuration.storage.len(), 1);
    assert_eq!(
        (configuration.storage[0].id.as_str(), &configuration.storage[0].engine),
        ("local", &Engine::Embedded)
    );
    assert_eq!(configuration.cache.storage, "local");
    assert!(configuration.keys.is_empty() && configuration.applications.is_empty());
}

#[test]
fn the_example_with_a_hand_off_says_what_it_says() {
    let configuration = right(HANDOFF);
    let shop = &configuration.applications[0];
    assert_eq!(shop.hosts, ["shop.example.org", "127.0.0.1", "localhost"]);
    assert_eq!(
        (shop.carrier, shop.idle_timeout, shop.lifetime),
        (Carrier::Ticket, Duration::from_mins(30), Duration::from_hours(8))
    );
    assert_eq!((shop.cookie.name.as_str(), shop.cookie.secure), ("session", false));
    assert_eq!(
        (shop.handoff.request_header.as_str(), &shop.handoff.exclude),
        ("x-session", &vec!["/static".to_owned()])
    );
    assert_eq!(configuration.cache.index_entries, ["uid", "mail"]);
    assert_eq!(
        configuration.keys[0].file,
        Path::new("/etc/cloakroom/keys/2026-11.key"),
        "relative to the file"
    );
    assert_eq!(configuration.data_dir, Path::new("./cloakroom-data"), "relative to the working directory");
}

#[test]
fn the_example_with_a_login_says_what_it_says() {
    let configuration = right(LOGIN);
    let intranet = &configuration.applications[0];
    let login = intranet.login.as_ref().unwrap();
    assert_eq!(intranet.cookie.name, "__Host-session");
    assert_eq!(
        (login.file.as_path(), login.exempt.as_slice()),
        (
            Path::new("/etc/cloakroom/users.htpasswd"),
            ["/public".to_owned(), "/healthz".to_owned()].as_slice()
        )
    );
    assert_eq!(login.user_entry, "user");
}

#[test]
fn what_follows_another_key_follows_it() {
    let text =
        format!("[cache]\ntouch_interval = \"2m\"\n[gateway]\ntrusted_proxies = [\"10.0.0.0/8\"]\n{SHOP}");
    let shop = &right(&text).applications[0];
    assert_eq!((shop.realm.as_str(), shop.touch_interval), ("shop", Duration::from_mins(2)));
    assert_eq!(shop.trusted_proxies.len(), 1);
}

#[test]
fn the_effective_file_gives_the_same_configuration() {
    let memory = "[[storage]]\nid = \"m\"\nengine = \"memory\"\nmax_bytes = \"1GiB\"\n";
    let free = format!(
        "{memory}{SHOP}[application.handoff]\nlist_separator = \"; \"\nentry_headers = {{ \"X-User\" = \"user\", X_Mail = \"e \\\"mail\\\"\" }}"
    );
    let sql = "[[storage]]\nid = \"d\"\nengine = \"sql\"\nurl = \"postgres://c@db.example/s?sslmode=require\"\n\
               max_connections = 3\nconnect_timeout = \"500ms\"\n";
    for text in ["", sql, HANDOFF, LOGIN, &free, &format!("{SHOP}carrier = \"none\"")] {
        let loaded = parse(text).unwrap();
        let effective = loaded.effective();
        assert_eq!(right(&effective), loaded.configuration, "{effective}");
        assert_eq!(parse(&effective).unwrap().warnings.len(), loaded.warnings.len(), "{effective}");
    }
}

#[test]
fn the_example_that_is_printed_is_right_and_changes_nothing() {
    let printed = parse(&example()).unwrap();
    assert!(printed.warnings.is_empty());
    assert_eq!(printed.configuration, right(SHOP));
}

#[test]
fn everything_in_the_printed_example_can_be_switched_on() {
    let on: Vec<String> = example()
        .lines()
        // These belong to other engines and to `client_ca`, which the example does not have.
        .filter(|line| {
            let of_others = [
                "#max_bytes",
                "#client_certificate",
                "#max_connections",
                "#connect_timeout",
                "#poll_interval",
                "#service",
                "#prefix",
                "#sentinel_password_file",
                "#min_replicas",
                "#danger_accept_eviction",
            ];
            !of_others.iter().any(|name| line.starts_with(name))
        })
        // Who comes from anywhere needs a proof, and those are files.
        .map(|line| if line == "#from = []" { "from = [\"127.0.0.1\"]" } else { line })
        .map(|line| match line.strip_prefix('#') {
            Some(key) if !key.is_empty() && !key.starts_with(' ') => key.to_owned(),
            _ => line.to_owned(),
        })
        .collect();
    let on = on.join("\n");
    assert!(on.contains("\n[application.login]\n") && on.contains("\n[[keys]]\n"), "{on}");
    let configuration = right(&on);
    assert_eq!((configuration.keys.len(), configuration.applications.len()), (1, 1));
    assert!(configuration.applications[0].login.is_some());
    assert_eq!(configuration.gateway, Configuration::default().gateway);
    assert_eq!(configuration.cache, Configuration::default().cache);
}

#[test]
fn the_book_holds_the_reference_that_the_program_prints() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/reference/configuration.md");
    let kept = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(kept == reference(), "run `cargo run -- config reference > docs/src/reference/configuration.md`");
}

#[test]
fn the_schema_knows_each_key_with_its_default() {
    let schema = schema();
    let application = &schema["properties"]["application"]["items"];
    assert_eq!(application["required"], serde_json::json!(["id", "upstream"]));
    assert_eq!(application["properties"]["idle_timeout"]["default"], "30m");
    assert_eq!(application["properties"]["cookie"]["properties"]["secure"]["default"], true);
    assert_eq!(schema["properties"]["gateway"]["properties"]["max_headers"]["maximum"], 1000);
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn a_file_that_cannot_be_a_configuration_is_refused_at_once() {
    let large = format!("# {}", "x".repeat(2 << 20));
    assert_eq!(parse(&large).unwrap_err()[0].message, "the file is too large");
    let deep = format!("data_dir = {}{}", "[".repeat(10_000), "]".repeat(10_000));
    assert!(parse(&deep).is_err());
}

/// Lines as people write them, right and wrong.
fn lines() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        "[a-z_.\"ü]{1,12}",
        Just("id".to_owned()),
        Just("upstream".to_owned()),
        Just("storage".to_owned()),
        Just("path".to_owned()),
        Just("hosts".to_owned()),
        Just("idle_timeout".to_owned()),
        Just("secure".to_owned()),
        Just("entry_headers".to_owned()),
        Just("max_body_bytes".to_owned()),
    ];
    let value = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        "\"[ -~äß€😀]{0,12}\"",
        "'[ -&(-~äß€😀]{0,12}'",
        "\\[\"[a-z/.:%0-9]{0,8}\", [0-9]{1,3}\\]",
        "\\{ \"[ -!#-\\[\\]-~]{0,6}\" = \"[a-z]{0,3}\" \\}",
        Just("true".to_owned()),
        Just("\"\"\"\nä\n\"\"\"".to_owned()),
    ];
    let line = prop_oneof![
        (name, value).prop_map(|(name, value)| format!("{name} = {value}")),
        Just("[[application]]".to_owned()),
        Just("[application.cookie]".to_owned()),
        Just("[application.handoff]".to_owned()),
        Just("[[storage]]".to_owned()),
        Just("[cache]".to_owned()),
        Just("[gateway]".to_owned()),
    ];
    proptest::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

proptest! {
    /// Reading is total: any text gives a configuration or mistakes, each with a place inside the text and a cure.
    #[test]
    fn any_text_is_read(text in prop_oneof![any::<String>(), "[ -~\n\r\tä\u{0}]{0,200}", lines()]) {
        if let Err(problems) = parse(&text) {
            for problem in problems {
                prop_assert!(problem.line <= text.matches('\n').count() + 1);
                prop_assert!(problem.column <= text.chars().count() + 1);
                prop_assert!(!problem.message.is_empty() && !problem.cure.is_empty());
                let drawn = format!("{:?}", miette::Report::new(problem));
                prop_assert!(!drawn.contains("Failed to read contents"), "{drawn}");
            }
        }
    }

    /// Any text value of a key that takes texts survives being written and read again.
    #[test]
    fn any_text_that_is_accepted_is_written_as_it_was_read(name in any::<String>()) {
        let text = format!("[cache]\nindex_entries = [{}]", toml::Value::String(name.clone()));
        if let Ok(loaded) = parse(&text) {
            prop_assert_eq!(&loaded.configuration.cache.index_entries, &vec![name]);
            prop_assert_eq!(right(&loaded.effective()), loaded.configuration);
        }
    }
}
