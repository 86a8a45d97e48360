//! From one engine to another: nobody is logged out, and nobody comes back.

use interop::{Capture, Cloakroom, MariaDb, Postgres, Redis, available};

use super::{ENTRY, PERSON, Site, TOKEN};
use crate::given;

const EMBEDDED: &str = "engine = \"embedded\"";

fn sql(url: &str) -> String {
    format!("engine = \"sql\"\nurl = \"{url}\"")
}

/// Moves everything from one storage to the other, twice, and looks at everybody before and after.
fn moves(mut site: Site) -> Site {
    let visitors = site.visitors();
    site.stop();
    let dumped = site.stored(&["dump", "--storage", "old", "--to", "dump.jsonl"]);
    assert!(dumped.contains("of `old` are in the dump"), "{dumped}");
    shows_nothing(&site, &visitors.stays);
    let loaded = site.stored(&["load", "--storage", "new", "--from", "dump.jsonl"]);
    assert!(loaded.contains("created"), "{loaded}");
    let again = site.stored(&["load", "--storage", "new", "--from", "dump.jsonl"]);
    assert!(again.contains("were there already") && !again.contains("created"), "{again}");
    let checked = site.stored(&["check", "--storage", "new"]);
    assert!(checked.contains("All of them are well."), "{checked}");
    site.change();
    site.sees(&visitors);
    site.ends_everywhere(&visitors);
    // What was ended here since is not brought back by the same dump.
    site.stop();
    site.stored(&["load", "--storage", "new", "--from", "dump.jsonl"]);
    site.cloakroom.restart().unwrap();
    for which in [0, 1] {
        assert_eq!(site.get(which, "/account", &visitors.stays[which]).status, 401);
    }
    site
}

/// No secret, no entry, no name of a person; and only its owner can read it.
fn shows_nothing(site: &Site, cookies: &[String]) {
    use std::os::unix::fs::PermissionsExt as _;
    let file = site.file("dump.jsonl");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.lines().count() > 3, "{text}");
    let ticket = cookies[0].split('=').nth(1).unwrap();
    let (handle, secret) = ticket.split_once('.').unwrap();
    assert!(text.contains(handle), "the handle is public, and names the record");
    for hidden in [secret, ENTRY, PERSON, TOKEN] {
        assert!(!text.contains(hidden), "{hidden} is in the dump");
    }
}

#[test]
fn from_embedded_to_redis() {
    let Some(redis) = available(Redis::start()).unwrap() else { return };
    let upstream = given::application();
    let new = format!("engine = \"redis\"\nurl = \"{}\"", redis.url());
    moves(Site::start(&upstream, EMBEDDED, &new, ""));
}

#[test]
fn from_redis_to_postgres_sealed_there() {
    let Some(redis) = available(Redis::start()).unwrap() else { return };
    let Some(postgres) = available(Postgres::start()).unwrap() else { return };
    let upstream = given::application();
    let old = format!("engine = \"redis\"\nurl = \"{}\"", redis.url());
    let new = sql(&postgres.url("postgres")) + "\nseal = true";
    moves(Site::start(&upstream, &old, &new, ""));
}

#[test]
fn from_postgres_to_mariadb() {
    let Some(postgres) = available(Postgres::start()).unwrap() else { return };
    let Some(mariadb) = available(MariaDb::start()).unwrap() else { return };
    mariadb.sql("mysql", "CREATE DATABASE sessions").unwrap();
    let upstream = given::application();
    let old = sql(&postgres.url("postgres")) + "\nseal = true";
    moves(Site::start(&upstream, &old, &sql(&mariadb.url("sessions")), ""));
}

#[test]
fn from_mariadb_to_another_cloakroom() {
    let Some(mariadb) = available(MariaDb::start()).unwrap() else { return };
    mariadb.sql("mysql", "CREATE DATABASE sessions").unwrap();
    let upstream = given::application();
    let keeper = keeper(&upstream);
    let new = format!(
        "engine = \"remote\"\nurl = \"http://{}\"\nservice = \"local\"\nbearer_file = \"storage.token\"",
        keeper.server()
    );
    moves(Site::start(&upstream, &sql(&mariadb.url("sessions")), &new, ""));
}

/// One that keeps sessions of others, in its own database.
fn keeper(upstream: &Capture) -> Cloakroom {
    let client = "[[client]]\nid = \"tools\"\nbearer_file = \"storage.token\"\nmay = [\"storage\"]\n";
    let text = given::example(include_str!("../examples/gateway.toml"), &upstream.url()) + client;
    Cloakroom::start_with(&text, &[("storage.token", TOKEN)]).unwrap()
}
