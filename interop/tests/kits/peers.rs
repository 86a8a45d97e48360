//! The same kits against Apache: what they find there is what its users live with.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use interop::{Apache, available};

use super::{Found, Kept, application, visit};

/// mod_session presents a session to a proxied application only with help; this is how people do it.
const HAND_OFF: &str = "\
    Session On\n\
    SessionEnv On\n\
    SessionHeader X-Replace-Session\n\
    RequestHeader unset X-Session\n\
    RequestHeader set X-Session \"%{HTTP_SESSION}e\" env=HTTP_SESSION\n";
/// Room for all who come at once.
const WORKERS: &str = "ThreadLimit 64\nThreadsPerChild 64\nMaxRequestWorkers 256\n";

/// Its application ends a session by leaving nothing in it.
fn empty(address: SocketAddr, cookie: &str) -> bool {
    visit(address, "/leave", cookie).status == 200
}

/// Runs the kits against Apache with these modules; nothing, if it is not installed.
fn measure(name: &'static str, modules: &[&str], sessions: &str) -> Option<Found> {
    let upstream = application();
    let modules = [&["proxy", "proxy_http", "headers", "session"], modules].concat();
    let configuration = format!("{WORKERS}{sessions}{HAND_OFF}ProxyPass / {}/\n", upstream.url());
    let apache = available(Apache::start(&modules, &configuration)).unwrap()?;
    let kept = Kept { name, addresses: vec![apache.address()], says_all: true, leave: empty };
    Some(kept.run(20))
}

#[test]
fn mod_session_cookie_ends_nothing_and_keeps_one_of_64_changes() {
    let sessions = "SessionCookieName session path=/\n";
    let Some(found) = measure("Apache 2.4, mod_session_cookie", &["session_cookie"], sessions) else {
        return;
    };
    assert_eq!(found.undone, found.acknowledged, "{found:?}");
    assert_eq!(found.lost, super::WRITERS - 1, "{found:?}");
}

#[test]
fn mod_session_dbd_loses_changes() {
    let driver = Path::new("/usr/lib/x86_64-linux-gnu/apr-util-1/apr_dbd_sqlite3.so");
    if !driver.is_file() {
        eprintln!("skipped: libaprutil1-dbd-sqlite3 is not installed");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sessions.sqlite3");
    let table = "pragma journal_mode = wal; \
                 create table session (key text primary key, value text, expiry integer);";
    let Ok(made) = Command::new("sqlite3").arg("-bail").arg(&file).arg(table).output() else {
        eprintln!("skipped: sqlite3 is not installed");
        return;
    };
    assert!(made.status.success(), "{made:?}");
    // Its workers are somebody else when it is started by root.
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o777)).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    // The statements of its manual, with names for SQLite.
    let sessions = format!(
        "DBDriver sqlite3\nDBDParams \"{}\"\nDBDMin 4\nDBDKeep 16\nDBDMax 25\n\
         DBDPrepareSQL \"select value from session where key = %s and (expiry = 0 or expiry > %lld)\" selectsession\n\
         DBDPrepareSQL \"insert into session (value, expiry, key) values (%s, %lld, %s)\" insertsession\n\
         DBDPrepareSQL \"update session set value = %s, expiry = %lld, key = %s where key = %s\" updatesession\n\
         DBDPrepareSQL \"delete from session where key = %s\" deletesession\n\
         SessionDBDCookieName session path=/\n",
        file.display()
    );
    let name = "Apache 2.4, mod_session_dbd, SQLite";
    let Some(found) = measure(name, &["session_dbd", "dbd"], &sessions) else { return };
    assert!(found.lost > 0, "{found:?}");
}
