//! Files that are cut, changed, made elsewhere or broken off.

use std::fs::{self, File};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use interop::{Condition, FaultProxy, Postgres, Redis, available};

use super::{ENTRY, Site, printed};
use crate::given::{self, session_with};

const EMBEDDED: &str = "engine = \"embedded\"";

/// A dump of some sessions in an embedded storage, beside an empty one.
fn dumped(sessions: usize) -> (Site, String) {
    let upstream = given::application();
    let mut site = Site::start(&upstream, EMBEDDED, EMBEDDED, "");
    for number in 0..sessions {
        session_with(&site.cloakroom, &format!("basket={ENTRY}{number}"));
    }
    site.stop();
    site.stored(&["dump", "--to", "dump.jsonl"]);
    let text = fs::read_to_string(site.file("dump.jsonl")).unwrap();
    (site, text)
}

/// Loads that text, which must be refused, and gives the words.
fn refused(site: &Site, text: &str) -> String {
    fs::write(site.file("other.jsonl"), text).unwrap();
    let output = site.store(&["load", "--storage", "new", "--from", "other.jsonl"]);
    assert_eq!(output.status.code(), Some(1), "{}", printed(&output));
    printed(&output)
}

fn line_with<'t>(text: &'t str, what: &str) -> &'t str {
    text.lines().find(|line| line.starts_with(&format!("{{\"{what}\""))).unwrap()
}

#[test]
fn a_dump_that_is_not_whole_or_not_ours_changes_nothing() {
    let (site, text) = dumped(3);
    let lines: Vec<&str> = text.lines().collect();
    let record = line_with(&text, "record");
    let without = text.replacen(&format!("{record}\n"), "", 1);
    let later = text.replacen("\"expires\":1", "\"expires\":2", 1);
    assert_ne!(later, text);
    let newer = text.replacen("\"version\":1,", "\"version\":2,", 1);
    assert_ne!(newer, text);
    for (changed, says) in [
        (lines[..lines.len() - 1].join("\n") + "\n", "it is not whole"),
        (text.chars().take(text.len() - 10).collect(), "it is not whole"),
        (without, "was changed"),
        (text.replacen(record, &record.replace("AA", "BB").replace("QU", "BB"), 1) + "\n", "was changed"),
        (later, "was changed"),
        (format!("{text}{record}\n"), "something follows its end"),
        (newer, "a dump of version 2, and this Cloakroom reads up to 1"),
        ("{\"some\": \"json\"}\n".to_owned(), "is no dump of Cloakroom"),
        ("x".repeat(100), "is no dump of Cloakroom"),
        (String::new(), "is no dump of Cloakroom"),
    ] {
        let words = refused(&site, &changed);
        assert!(words.contains(says), "{says}: {words}");
    }
    // A line of which only the end knows is refused by itself, when it comes from a pipe.
    let arguments = ["store", "load", "--config", "cloakroom.toml", "--storage", "new"];
    let later = text.replacen("\"expires\":1", "\"expires\":2", 1);
    fs::write(site.file("other.jsonl"), later).unwrap();
    let mut piped = site.cloakroom.command(&arguments).unwrap();
    let output = piped.stdin(File::open(site.file("other.jsonl")).unwrap()).output().unwrap();
    assert!(!output.status.success());
    assert!(printed(&output).contains("it was changed, or belongs to another dump"), "{}", printed(&output));
    // Other keys.
    let key = site.file("keys/2026-11.key");
    let ours = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    let made = site.cloakroom.execute(&["keys", "new", "keys/2026-11.key"]).unwrap();
    assert!(made.status.success());
    let words = refused(&site, &text);
    assert!(words.contains("which this installation does not have"), "{words}");
    assert!(words.contains("use a configuration with the same keys"), "{words}");
    fs::write(&key, ours).unwrap();
    // Nothing of all this came to the new storage.
    let stats = site.stored(&["stats", "--storage", "new"]);
    assert!(stats.contains("nothing"), "{stats}");
    let loaded = site.stored(&["load", "--storage", "new", "--from", "dump.jsonl"]);
    assert!(loaded.contains("3 created"), "{loaded}");
}

#[test]
fn a_dump_goes_through_a_pipe() {
    let (site, _) = dumped(2);
    let mut dump = site.cloakroom.command(&["store", "dump", "--config", "cloakroom.toml"]).unwrap();
    let mut dump = dump.stdout(Stdio::piped()).spawn().unwrap();
    let arguments = ["store", "load", "--config", "cloakroom.toml", "--storage", "new", "--from", "-"];
    let mut load = site.cloakroom.command(&arguments).unwrap();
    let output = load.stdin(dump.stdout.take().unwrap()).output().unwrap();
    assert!(dump.wait().unwrap().success());
    assert!(printed(&output).contains("2 created"), "{}", printed(&output));
}

#[test]
fn a_file_that_exists_is_not_written_over() {
    let (site, text) = dumped(1);
    let output = site.store(&["dump", "--to", "dump.jsonl"]);
    assert!(printed(&output).contains("exists, and is not written over"), "{}", printed(&output));
    assert_eq!(fs::read_to_string(site.file("dump.jsonl")).unwrap(), text);
    let whole = site.stored(&["dump", "--to", "dump.jsonl", "--resume"]);
    assert!(whole.contains("is whole: 1 records"), "{whole}");
}

/// Enough to be killed in the middle of, from a database that takes its time.
#[test]
fn what_was_killed_in_the_middle_goes_on_and_nothing_is_missing() {
    const RECORDS: usize = 2000;
    let Some(postgres) = available(Postgres::start()).unwrap() else { return };
    let Some(redis) = available(Redis::start()).unwrap() else { return };
    let [slow_postgres, slow_redis] =
        [postgres.address(), redis.address()].map(|address| FaultProxy::start(address).unwrap());
    let url = postgres.url("postgres");
    let url = url.replace(&postgres.address().to_string(), &slow_postgres.address().to_string());
    let upstream = given::application();
    let old = format!("engine = \"sql\"\nurl = \"{url}\"");
    let new = format!("engine = \"redis\"\nurl = \"redis://{}\"", slow_redis.address());
    let mut site = Site::start(&upstream, &old, &new, "");
    session_with(&site.cloakroom, "basket=tea");
    site.stop();
    let more = format!(
        "INSERT INTO cloakroom_record (context, name, version, touched, expires, write_id, value) \
         SELECT context, convert_to('copy ' || number, 'UTF8'), version, touched, expires, write_id, value \
         FROM cloakroom_record, generate_series(1, {RECORDS}) AS number WHERE context LIKE 'session.%'"
    );
    postgres.sql("postgres", &more).unwrap();
    let dump = ["store", "dump", "--config", "cloakroom.toml", "--to", "dump.jsonl"];
    slow_postgres.set(Condition::Slow(Duration::from_millis(100)));
    killed(&site, &dump, || {
        fs::read_to_string(site.file("dump.jsonl")).is_ok_and(|text| text.contains("{\"checkpoint\""))
    });
    let part = fs::read_to_string(site.file("dump.jsonl")).unwrap();
    assert!(!part.contains("{\"end\""), "it was killed too late");
    // As if the last line had been half written.
    let mut file = fs::OpenOptions::new().append(true).open(site.file("dump.jsonl")).unwrap();
    file.write_all(b"{\"record\":{\"context\":\"sess").unwrap();
    let cut = site.store(&["load", "--storage", "new", "--from", "dump.jsonl"]);
    assert!(printed(&cut).contains("it is not whole"), "{}", printed(&cut));
    slow_postgres.set(Condition::Passing);
    let whole = site.stored(&["dump", "--to", "dump.jsonl", "--resume"]);
    assert!(whole.contains(&format!("{} records", RECORDS + 1)), "{whole}");
    let first = part.lines().nth(1).unwrap();
    assert!(fs::read_to_string(site.file("dump.jsonl")).unwrap().contains(first), "it began anew");

    let load = ["store", "load", "--config", "cloakroom.toml", "--storage", "new", "--from", "dump.jsonl"];
    slow_redis.set(Condition::Slow(Duration::from_millis(20)));
    let mark = site.file("dump.jsonl.new.progress");
    killed(&site, &load, || mark.exists());
    assert!(mark.exists(), "it was killed too late");
    slow_redis.set(Condition::Passing);
    let loaded = site.stored(&["load", "--storage", "new", "--from", "dump.jsonl", "--resume"]);
    // Counted over both lives; what was written when it was killed is there already.
    let count = |what: &str| -> usize {
        let words: Vec<&str> = loaded.split_whitespace().collect();
        let at = words.windows(what.split(' ').count()).position(|window| window.join(" ") == what);
        at.and_then(|at| words[at - 1].parse().ok()).unwrap_or(0)
    };
    assert_eq!(count("created") + count("were there already"), RECORDS + 1, "{loaded}");
    assert!(!mark.exists());
    let again = site.stored(&["load", "--storage", "new", "--from", "dump.jsonl"]);
    assert!(again.contains(&format!("{} were there already", RECORDS + 1)), "{again}");
}

/// Starts the program and kills it as soon as it is that far.
fn killed(site: &Site, arguments: &[&str], is_so_far: impl Fn() -> bool) {
    let mut command = site.cloakroom.command(arguments).unwrap();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while !is_so_far() {
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        assert!(began.elapsed() < Duration::from_secs(30), "it does not get so far");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn on_a_terminal_it_is_told_how_far_it_is() {
    let (site, _) = dumped(3);
    let load = ["store", "load", "--config", "cloakroom.toml", "--storage", "new", "--from", "dump.jsonl"];
    // `script` is a terminal to whom it runs.
    let program = site.cloakroom.command(&load).unwrap();
    let words = [program.get_program()].into_iter().chain(program.get_args());
    let line: Vec<_> = words.map(|word| word.to_str().unwrap()).collect();
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--return", "--command", &line.join(" "), "/dev/null"]);
    terminal.current_dir(site.cloakroom.directory()).env("TERM", "xterm").stdin(Stdio::null());
    let output = terminal.output().unwrap();
    assert!(output.status.success(), "{}", printed(&output));
    let shown = printed(&output);
    assert!(shown.contains("load [") && shown.contains("] 0 %"), "{shown}");
    // Who reads what it prints elsewhere is told the outcome, and no bar.
    let output = site.store(&load[1..2].iter().chain(&load[4..]).copied().collect::<Vec<_>>());
    assert!(!printed(&output).contains("load ["), "{}", printed(&output));
}
