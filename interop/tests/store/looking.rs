//! What is in a storage, and whether it is well.

use interop::{Postgres, available};
use serde_json::Value;

use super::{ENTRY, PERSON, Site, printed};
use crate::given::{self, session_with};

#[test]
fn a_storage_of_the_running_program_is_counted_and_verified() {
    let Some(postgres) = available(Postgres::start()).unwrap() else { return };
    let upstream = given::application();
    let old = format!("engine = \"sql\"\nurl = \"{}\"\nseal = true", postgres.url("postgres"));
    let site = Site::start(&upstream, &old, "engine = \"memory\"", "");
    let visitors = site.visitors();
    let stats: Value = serde_json::from_str(&site.stored(&["stats", "--json"])).unwrap();
    let live = |kind: &str| stats["kinds"][kind]["live"].as_u64().unwrap();
    assert!(live("session") >= 1 && live("counter") == 2 && live("revoked") >= 1, "{stats}");
    assert!(stats["kinds"]["session"]["ended"].as_u64().unwrap() >= 1, "{stats}");
    assert!(stats["kinds"]["session"]["median_bytes"].as_u64().unwrap() > 50, "{stats}");
    let used: u64 =
        stats["sessions"].as_array().unwrap().iter().map(|age| age["last_used"].as_u64().unwrap()).sum();
    assert_eq!(used, live("session"), "{stats}");
    let shown = site.stored(&["stats"]);
    assert!(shown.contains("sessions, not over"), "{shown}");
    let checked = site.stored(&["check"]);
    for says in ["shared by nodes, values of up to", "probe written in", "(2026-11)", "All of them are well."]
    {
        assert!(checked.contains(says), "{says}: {checked}");
    }
    // Whoever changes a value, or puts one record in the place of another, is found out, and nothing else.
    let [handle, _] = [&visitors.stays[0], &visitors.left[0]]
        .map(|cookie| cookie.split(['=', '.']).nth(1).unwrap().to_owned());
    let spoil = format!(
        "UPDATE cloakroom_record SET value = overlay(value placing '\\x00' from length(value)) \
         WHERE encode(name, 'escape') = '{handle}' AND context LIKE 'session.%'"
    );
    postgres.sql("postgres", &spoil).unwrap();
    let times = "UPDATE cloakroom_record SET expires = 9000000000000, touched = 9000000000001 WHERE context = 'epoch'";
    postgres.sql("postgres", times).unwrap();
    let wrong = site.store(&["check"]);
    assert_eq!(wrong.status.code(), Some(1));
    let words = printed(&wrong);
    for says in ["WRONG 1 a seal that does not open", &handle, "it expires before it was last used"] {
        assert!(words.contains(says), "{says}: {words}");
    }
    assert!(!words.contains(ENTRY) && !words.contains(PERSON), "{words}");
    // A dump says what it had to leave out.
    let dump = site.store(&["dump", "--to", "dump.jsonl"]);
    assert_eq!(dump.status.code(), Some(1));
    assert!(printed(&dump).contains("1 records could not be opened"), "{}", printed(&dump));
}

#[test]
fn who_cannot_be_opened_says_what_to_do() {
    let upstream = given::application();
    let mut site = Site::start(&upstream, "engine = \"embedded\"", "engine = \"memory\"", "");
    session_with(&site.cloakroom, "basket=tea");
    for (arguments, says) in [
        (["stats", "--storage", "old"], "is in use by process"),
        (["stats", "--storage", "old"], "name it here as `engine = \"remote\"`"),
        (["dump", "--storage", "new"], "is the memory of the program that runs"),
        (["check", "--storage", "other"], "there is no storage `other`"),
        (["check", "--storage", "other"], "name one that has a `[[storage]]`: `old`, `new`"),
    ] {
        let output = site.store(&arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(printed(&output).contains(says), "{says}: {}", printed(&output));
    }
    site.stop();
    let stats = site.stored(&["stats"]);
    assert!(stats.contains("session 1"), "{stats}");
}
