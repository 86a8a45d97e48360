//! Keys and sealed storage, through the program as it runs.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use interop::{Capture, Cloakroom};

use crate::given::{self, session_with, visit};

const CONFIGURATION: &str = r#"
data_dir = "{directory}/data"
[listen]
gateway = "{gateway}"
server = "{server}"
[[storage]]
id = "local"
engine = "embedded"
seal = true
[cache]
inproc_timeout = "1s"
[[keys]]
id = "2026-11"
file = "keys/2026-11.key"
[[application]]
id = "shop"
upstream = "{upstream}"
lifetime = "8h"
[application.cookie]
name = "session"
secure = false
"#;

fn start(upstream: &Capture, change: impl Fn(String) -> String) -> Cloakroom {
    Cloakroom::start(&change(CONFIGURATION.replace("{upstream}", &upstream.url()))).unwrap()
}

/// Changes the configuration of one that runs; it holds after a restart or a reload.
fn configure(cloakroom: &Cloakroom, change: impl Fn(String) -> String) {
    let file = cloakroom.directory().join("cloakroom.toml");
    std::fs::write(&file, change(std::fs::read_to_string(&file).unwrap())).unwrap();
}

fn reload(cloakroom: &Cloakroom) {
    let reloaded = cloakroom.execute(&["reload", "--config", "cloakroom.toml"]).unwrap();
    assert!(reloaded.status.success(), "{}", String::from_utf8_lossy(&reloaded.stderr));
}

fn key(cloakroom: &Cloakroom) -> PathBuf {
    cloakroom.directory().join(Cloakroom::KEY)
}

/// Everything below a folder, whatever the engine calls it.
fn all_bytes(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(all_bytes(&path));
        } else if path.is_file() {
            all.extend(std::fs::read(path).unwrap());
        }
    }
    all
}

fn lies_there(cloakroom: &Cloakroom, text: &str) -> bool {
    let all = all_bytes(&cloakroom.directory().join("data/storage"));
    assert!(all.len() > 1_000, "there is a database");
    all.windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn sealed_storage_holds_no_session_in_the_clear_and_survives_a_restart() {
    let upstream = given::application();
    let mut cloakroom = start(&upstream, |text| text);
    let cookie = session_with(&cloakroom, "basket=canary");
    assert!(!lies_there(&cloakroom, "canary"));
    cloakroom.restart().unwrap();
    assert_eq!(visit(&cloakroom, "/", &cookie).text(), "basket=canary", "{}", cloakroom.log());
    visit(&cloakroom, "/put/note=canary-two", &cookie);
    assert!(!lies_there(&cloakroom, "canary"));
    // The search itself finds what is there.
    let plain = start(&upstream, |text| text.replace("seal = true", "seal = false"));
    session_with(&plain, "basket=canary");
    assert!(lies_there(&plain, "canary"));
}

#[test]
fn a_missing_key_is_no_logout_and_its_return_needs_no_restart() {
    let upstream = given::application();
    let mut cloakroom = start(&upstream, |text| text);
    let cookie = session_with(&cloakroom, "basket=tea");
    let kept = std::fs::read(key(&cloakroom)).unwrap();
    let other = start(&upstream, |text| text);
    std::fs::copy(key(&other), key(&cloakroom)).unwrap();
    cloakroom.restart().unwrap();

    let refused = visit(&cloakroom, "/", &cookie);
    assert_eq!(refused.status, 503);
    assert!(refused.all("set-cookie").is_empty(), "the cookie is kept");
    assert!(cloakroom.log().contains("put the file of that key back"), "{}", cloakroom.log());

    std::fs::write(key(&cloakroom), kept).unwrap();
    reload(&cloakroom);
    assert_eq!(visit(&cloakroom, "/", &cookie).text(), "basket=tea", "{}", cloakroom.log());
}

#[test]
fn sessions_from_before_are_read_by_a_named_choice_only() {
    let upstream = given::application();
    let mut cloakroom = start(&upstream, |text| text.replace("seal = true", "seal = false"));
    let cookie = session_with(&cloakroom, "basket=tea");
    configure(&cloakroom, |text| text.replace("seal = false", "seal = true"));
    cloakroom.restart().unwrap();
    assert_eq!(visit(&cloakroom, "/", &cookie).status, 503, "anybody could have put it there");

    configure(&cloakroom, |text| text.replace("seal = true", "seal = true\ndanger_accept_plain = true"));
    cloakroom.restart().unwrap();
    assert!(cloakroom.log().contains("whoever can write to this storage can forge sessions"));
    assert_eq!(visit(&cloakroom, "/", &cookie).text(), "basket=tea", "{}", cloakroom.log());
    visit(&cloakroom, "/put/note=sealed-now", &cookie);

    configure(&cloakroom, |text| text.replace("danger_accept_plain = true", ""));
    cloakroom.restart().unwrap();
    assert_eq!(visit(&cloakroom, "/", &cookie).text(), "basket=tea&note=sealed-now", "{}", cloakroom.log());
}

/// From a key by hand to keys that follow one another, without a restart, while sessions lie sealed.
#[test]
fn a_rotation_begins_at_a_reload_and_every_session_still_opens() {
    let upstream = given::application();
    let mut cloakroom = start(&upstream, |text| text);
    let cookie = session_with(&cloakroom, "basket=tea");
    configure(&cloakroom, |text| {
        format!("{text}\n[key_rotation]\nfolder = \"ring\"\nevery = \"1h\"\nannounce = \"2s\"\n")
    });
    reload(&cloakroom);
    let sealing = |age_of: &str| {
        let metrics = interop::raw::get(cloakroom.server(), "/metrics", "").unwrap().text();
        metrics.contains(&format!("cloakroom_seal_keys{{state=\"{age_of}\"}} 2"))
    };
    // The named key goes on as it is, and the first of the folder becomes active beside it.
    let deadline = Instant::now() + Duration::from_secs(30);
    while !sealing("active") {
        assert!(Instant::now() < deadline, "{}", cloakroom.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    visit(&cloakroom, "/put/note=by-the-new-key", &cookie);
    cloakroom.restart().unwrap();
    assert_eq!(
        visit(&cloakroom, "/", &cookie).text(),
        "basket=tea&note=by-the-new-key",
        "{}",
        cloakroom.log()
    );
}
