//! The program as people run it: what it prints, where, and with which exit code.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

const SHOP: &str = "[[application]]\nid = \"shop\"\nupstream = \"http://127.0.0.1:9000\"\n";

/// A folder with configurations in it, and the program beside.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn with(self, file: &str, content: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.path().join(file), content).unwrap();
        self
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloakroom"));
        command.current_dir(self.path()).args(arguments);
        command.env_remove("CLOAKROOM_CONFIG").env_remove("RUST_LOG").env("NO_COLOR", "1");
        command
    }
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn check_sums_up_what_would_run() {
    let place = Place::new().with("cloakroom.toml", SHOP);
    let checked = place.run(&["check", "--config", "cloakroom.toml"]);
    assert_eq!(checked.status.code(), Some(0), "{}", err(&checked));
    let said = out(&checked);
    assert!(said.starts_with("cloakroom.toml is right. It would run:\n"), "{said}");
    assert!(
        said.contains(
            "shop          / on any host -> http://127.0.0.1:9000, ticket in the cookie `__Host-session`"
        ),
        "{said}"
    );
    assert_eq!(err(&checked), "");
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1, "nothing is written");
}

#[test]
fn check_explains_what_becomes_of_a_request() {
    let text = format!(
        "{SHOP}may_login = true\n[[application.rule]]\npaths = [\"/reports\"]\nresponse_timeout = \"5m\"\n"
    );
    let place = Place::new().with("c.toml", text);
    let explain = |arguments: &[&str]| {
        let line = [&["check", "--config", "c.toml"], arguments].concat();
        place.run(&line)
    };
    let explained = explain(&["--explain", "https://a.example/x/..//reports/1?q"]);
    assert_eq!(explained.status.code(), Some(0), "{}", err(&explained));
    let said = out(&explained);
    for line in [
        "GET https://a.example/x/..//reports/1?q\n",
        "  path              /reports/1\n",
        "  goes              to application `shop`\n",
        "  response_timeout  5m, by rule.response_timeout (c.toml:7)\n",
        "* rule.response_timeout /reports (c.toml:7): the longest path that matches\n",
        "  upstream          http://127.0.0.1:9000, by application.upstream (c.toml:3)\n",
    ] {
        assert!(said.contains(line), "{line}\n{said}");
    }
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1, "nothing is written");

    let refused = out(&explain(&["--explain", "http://a.example/reports%2F1", "--method", "POST"]));
    assert!(refused.starts_with("POST http://a.example/reports%2F1\n"), "{refused}");
    assert!(
        refused.contains("refused with 400: the path can be read as one for which other rules hold"),
        "{refused}"
    );

    let json: serde_json::Value =
        serde_json::from_str(&out(&explain(&["--json", "--explain", "http://a.example/reports"]))).unwrap();
    assert_eq!((json["outcome"].as_str(), json["application"].as_str()), (Some("application"), Some("shop")));
    let questions = json["questions"].as_array().unwrap();
    let timeout = questions.iter().find(|question| question["question"] == "response_timeout").unwrap();
    assert_eq!((timeout["answer"].as_str(), timeout["place"].as_str()), (Some("5m"), Some("c.toml:7")));

    let no_url = explain(&["--explain", "/reports"]);
    assert_eq!(no_url.status.code(), Some(1));
    assert!(err(&no_url).contains("`/reports` is no URL with a host"), "{}", err(&no_url));
    assert!(err(&no_url).contains("--explain https://shop.example.org/reports"), "{}", err(&no_url));
    assert_eq!(explain(&["--json"]).status.code(), Some(2), "there is nothing to explain");
    let wrong = Place::new().with("c.toml", "[lsten]\n");
    assert_eq!(wrong.run(&["check", "--config", "c.toml", "--explain", "http://h/"]).status.code(), Some(1));
}

#[test]
fn check_shows_every_mistake_with_its_line_underlined() {
    let text = format!("[cache]\ninproc_timeout = \"30\"\n[lsten]\n{SHOP}");
    let place = Place::new().with("cloakroom.toml", text);
    let checked = place.run(&["check", "--config", "cloakroom.toml"]);
    assert_eq!(checked.status.code(), Some(1));
    assert_eq!(out(&checked), "");
    let said = err(&checked);
    assert!(said.contains("cloakroom.toml:2:19: `inproc_timeout = \"30\"` has no unit"), "{said}");
    let drawn: Vec<&str> = said.lines().filter(|line| line.contains("inproc_timeout = \"30\"")).collect();
    assert_eq!(drawn.len(), 2, "once in the message, once as the line: {said}");
    assert!(said.contains("say \"30s\", \"30m\" or \"30h\""), "{said}");
    assert!(said.contains("cloakroom.toml:3:2: `lsten` is not a key of the top of the file"), "{said}");
    assert!(said.ends_with("cloakroom.toml has 2 mistakes\n"), "{said}");
}

#[test]
fn check_shows_warnings_and_is_content() {
    let text = format!("{SHOP}[application.cookie]\nname = \"sid\"\nsecure = false\n");
    let checked = Place::new().with("c.toml", text).run(&["check", "--config", "c.toml"]);
    assert_eq!(checked.status.code(), Some(0));
    assert!(err(&checked).contains("c.toml:6:10: `secure = false` for any host"), "{}", err(&checked));
    assert!(out(&checked).starts_with("c.toml is right, with a warning."));
}

#[test]
fn check_misses_the_files_that_are_named() {
    let text = "[[keys]]\nid = \"a\"\nfile = \"keys/a.key\"\n";
    let place = Place::new().with("c.toml", text);
    let said = err(&place.run(&["check", "--config", "c.toml"]));
    assert!(said.contains("c.toml:3:9: `file`: cannot read"), "{said}");
    assert!(said.contains("`cloakroom keys new keys/a.key` makes one"), "{said}");

    std::fs::create_dir(place.path().join("keys")).unwrap();
    let place = place.with("keys/a.key", "bm90IDMyIGJ5dGVz");
    let checked = place.run(&["check", "--config", "c.toml"]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(err(&checked).contains("a.key holds no key"), "{}", err(&checked));
    assert!(!err(&checked).contains("bm90IDMy"), "what the file holds is not shown");
}

#[test]
fn a_file_that_is_missing_or_no_text_is_told_with_a_cure() {
    let place = Place::new().with("latin.toml", b"[log]\nlevel = \"\xfc\"\n");
    let missing = place.run(&["check", "--config", "nowhere.toml"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(err(&missing).contains("cannot read the configuration nowhere.toml"), "{}", err(&missing));
    assert!(err(&missing).contains("cloakroom config example"), "{}", err(&missing));
    let latin = place.run(&["check", "--config", "latin.toml"]);
    assert_eq!(latin.status.code(), Some(1));
    assert!(err(&latin).contains("latin.toml:2:10: the file is not in UTF-8"), "{}", err(&latin));
    assert!(err(&latin).contains("level = \"\u{fffd}\""), "{}", err(&latin));
}

#[test]
fn files_are_found_beside_the_configuration_from_anywhere() {
    let place = Place::new();
    std::fs::create_dir(place.path().join("etc")).unwrap();
    assert!(place.run(&["keys", "new", "etc/keys/a.key"]).status.success());
    let place = place.with("etc/c.toml", "[[keys]]\nid = \"a\"\nfile = \"keys/a.key\"\n");
    let checked = place.run(&["check", "--config", "etc/c.toml"]);
    assert_eq!(checked.status.code(), Some(0), "{}", err(&checked));
}

#[test]
fn a_new_key_is_for_its_owner_only_and_never_overwrites() {
    let place = Place::new();
    let made = place.run(&["keys", "new", "keys/2026-11.key"]);
    assert_eq!(made.status.code(), Some(0), "{}", err(&made));
    let file = place.path().join("keys/2026-11.key");
    let key = std::fs::read_to_string(&file).unwrap();
    assert_eq!(key.len(), 45, "32 bytes in base64, and a line end");
    assert!(!out(&made).contains(key.trim()), "the key itself is not shown");
    assert!(out(&made).contains("[[keys]]\nid = \"2026-11\"\nfile = \"keys/2026-11.key\""), "{}", out(&made));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    }

    let again = place.run(&["keys", "new", "keys/2026-11.key"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(err(&again).contains("exists, and a key is never overwritten"), "{}", err(&again));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), key);
}

#[test]
fn keys_are_listed_without_showing_them() {
    let place = Place::new();
    place.run(&["keys", "new", "a.key"]);
    place.run(&["keys", "new", "--id", "b", "other.key"]);
    let text = "[[keys]]\nid = \"a\"\nfile = \"a.key\"\n[[keys]]\nid = \"b\"\nfile = \"other.key\"\nstate = \"retiring\"\n";
    let place = place.with("c.toml", text);
    let listed = place.run(&["keys", "list", "--config", "c.toml"]);
    assert_eq!(listed.status.code(), Some(0), "{}", err(&listed));
    let lines: Vec<Vec<String>> =
        out(&listed).lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect();
    assert_eq!(lines[0], ["id", "state", "since", "until", "fingerprint", "file"]);
    assert_eq!((lines[1][0].as_str(), lines[1][1].as_str(), lines[1][4].len()), ("a", "active", 8));
    assert_eq!((lines[2][0].as_str(), lines[2][1].as_str()), ("b", "retiring"));
    assert_ne!(lines[1][4], lines[2][4], "two keys, two fingerprints");
    for file in ["a.key", "other.key"] {
        let key = std::fs::read_to_string(place.path().join(file)).unwrap();
        assert!(!out(&listed).contains(key.trim()));
    }
}

#[test]
fn a_rotation_by_hand_is_announced_told_and_listed() {
    let text = format!("{SHOP}[key_rotation]\nfolder = \"ring\"\n");
    let place = Place::new().with("c.toml", text);
    let rotate = |more: &[&str]| place.run(&[&["keys", "rotate", "--config", "c.toml"], more].concat());
    let first = rotate(&[]);
    assert_eq!(first.status.code(), Some(0), "{}", err(&first));
    assert!(out(&first).contains("ring-000002.key is announced: it seals from "), "{}", out(&first));
    let second = rotate(&[]);
    assert!(out(&second).starts_with("A rotation is under way: "), "{}", out(&second));
    assert_eq!(std::fs::read_dir(place.path().join("ring")).unwrap().count(), 2);

    let at_once = rotate(&["--danger-now"]);
    assert!(out(&at_once).contains("ring-000003.key seals from now on"), "{}", out(&at_once));
    assert!(err(&at_once).contains("Warning: it was not announced"), "{}", err(&at_once));
    assert!(err(&at_once).contains("take its file out of"), "{}", err(&at_once));

    let listed = place.run(&["keys", "list", "--config", "c.toml"]);
    let listed = out(&listed);
    let states: Vec<(&str, &str)> = listed
        .lines()
        .skip(1)
        .map(|line| {
            let mut words = line.split_whitespace();
            (words.next().unwrap(), words.next().unwrap())
        })
        .collect();
    assert_eq!(
        states,
        [("ring-000001", "retiring"), ("ring-000003", "active"), ("ring-000002", "announced")],
        "{listed}"
    );
    for entry in std::fs::read_dir(place.path().join("ring")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(!listed.contains(text.lines().nth(3).unwrap()));
    }
    let checked = place.run(&["check", "--config", "c.toml"]);
    assert!(out(&checked).contains("a new one every 30d in"), "{}{}", out(&checked), err(&checked));

    let without = Place::new().with("c.toml", SHOP);
    let refused = without.run(&["keys", "rotate", "--config", "c.toml"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(err(&refused).contains("has no `[key_rotation]`"), "{}", err(&refused));
}

#[test]
fn hands_that_rotate_at_once_begin_one_rotation() {
    let place = Place::new().with("c.toml", format!("{SHOP}[key_rotation]\nfolder = \"ring\"\n"));
    let hands: Vec<_> = (0..6)
        .map(|_| {
            let mut command = place.command(&["keys", "rotate", "--config", "c.toml"]);
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let said: Vec<String> = hands.into_iter().map(|hand| out(&hand.wait_with_output().unwrap())).collect();
    assert_eq!(said.iter().filter(|said| said.contains("is announced")).count(), 1, "{said:?}");
    assert_eq!(std::fs::read_dir(place.path().join("ring")).unwrap().count(), 2);
}

#[test]
fn what_config_prints_is_taken_by_check() {
    let place = Place::new();
    let example = out(&place.run(&["config", "example"]));
    let place = place.with("cloakroom.toml", example);
    let checked = place.run(&["check", "--config", "cloakroom.toml"]);
    assert_eq!(checked.status.code(), Some(0), "{}", err(&checked));
    let effective = out(&place.run(&["config", "effective", "--config", "cloakroom.toml"]));
    let place = place.with("effective.toml", &effective);
    assert_eq!(place.run(&["check", "--config", "effective.toml"]).status.code(), Some(0));
    assert_eq!(out(&place.run(&["config", "effective", "--config", "effective.toml"])), effective);
    let schema: serde_json::Value = serde_json::from_str(&out(&place.run(&["config", "schema"]))).unwrap();
    assert_eq!(schema["type"], "object");
}

#[test]
fn the_environment_may_name_the_configuration() {
    let place = Place::new().with("c.toml", SHOP);
    let checked = place.command(&["check"]).env("CLOAKROOM_CONFIG", "c.toml").output().unwrap();
    assert_eq!(checked.status.code(), Some(0), "{}", err(&checked));
    let without = place.run(&["check"]);
    assert_eq!(without.status.code(), Some(2), "the command line is wrong");
    assert!(err(&without).contains("--config <FILE>"), "{}", err(&without));
}

#[test]
fn run_starts_nothing_from_a_wrong_file() {
    let place = Place::new().with("c.toml", "[lsten]\n");
    for arguments in [&["run", "--config", "c.toml"][..], &["--config", "c.toml"]] {
        let started = place.run(arguments);
        assert_eq!(started.status.code(), Some(1));
        assert!(err(&started).contains("c.toml:1:2: `lsten`"), "{}", err(&started));
    }
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 1, "nothing is written");
}

#[test]
fn help_shows_how_to_begin() {
    let place = Place::new();
    let help = out(&place.run(&["--help"]));
    for line in
        ["Examples:", "cloakroom config example > cloakroom.toml", "cloakroom check --config cloakroom.toml"]
    {
        assert!(help.contains(line), "{help}");
    }
    assert_eq!(out(&place.run(&["--version"])), format!("cloakroom {}\n", env!("CARGO_PKG_VERSION")));
}

#[cfg(not(feature = "otel"))]
#[test]
fn a_build_without_traces_says_how_to_get_one() {
    let place = Place::new().with("cloakroom.toml", format!("{SHOP}[traces]\none_in = 100\n"));
    let checked = place.run(&["check", "--config", "cloakroom.toml"]);
    assert_eq!(checked.status.code(), Some(1));
    let said = err(&checked);
    assert!(said.contains("cloakroom.toml:4:2: `traces` is not in this build of Cloakroom"), "{said}");
    assert!(said.contains("build it with `cargo build --release --features otel`, or remove it"), "{said}");
}
