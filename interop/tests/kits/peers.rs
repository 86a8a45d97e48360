//! The same kits against Apache: what they find there is what its users live with.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::thread;

use interop::{Answer, Apache, Capture, available};

use super::{Found, Keeper, MARK, TAKES, run, visit};

/// mod_session presents a session to a proxied application only with help; this is how people do it.
const HAND_OFF: &str = "\
    Session On\n\
    SessionEnv On\n\
    SessionHeader X-Replace-Session\n\
    RequestHeader unset X-Session\n\
    RequestHeader set X-Session \"%{HTTP_SESSION}e\" env=HTTP_SESSION\n";
/// Room for all who come at once.
const WORKERS: &str = "ThreadLimit 64\nThreadsPerChild 64\nMaxRequestWorkers 256\n";

/// Apache with sessions, before an application that answers `GET /all/KEY=VALUE` after a while with the whole session as it is then,
/// `/leave` by emptying it, and shows what it was presented for anything else.
struct Sessions {
    name: &'static str,
    apache: Apache,
    _application: Capture,
}

fn application() -> Capture {
    Capture::answering(|request| {
        let target = request.line().split(' ').nth(1).unwrap_or_default().to_owned();
        let presented = request.header("x-session").unwrap_or_default();
        let presented = presented.replace("(null)", "");
        let update = match target.strip_prefix("/all/") {
            Some(pair) if presented.is_empty() => pair.to_owned(),
            Some(pair) => format!("{presented}&{pair}"),
            None if target == "/leave" => String::new(),
            None => return Answer::ok(&presented),
        };
        thread::sleep(TAKES);
        Answer::with(&format!("X-Replace-Session: {update}\r\n"), "put")
    })
    .unwrap()
}

impl Keeper for Sessions {
    fn name(&self) -> &str {
        self.name
    }

    fn open(&self) -> String {
        let answer = visit(self.apache.address(), &format!("/all/{MARK}"), "");
        answer.cookie("session").expect("a new session comes with a cookie").to_owned()
    }

    fn put(&self, _door: usize, key: &str, held: &str) -> (bool, Option<String>) {
        let answer = visit(self.apache.address(), &format!("/all/{key}=1"), held);
        (answer.status == 200, answer.cookie("session").map(str::to_owned))
    }

    /// Its application ends a session by leaving nothing in it.
    fn leave(&self, _door: usize, held: &str) -> bool {
        visit(self.apache.address(), "/leave", held).status == 200
    }

    fn shown(&self, _door: usize, held: &str) -> Vec<String> {
        visit(self.apache.address(), "/", held).text().split('&').map(str::to_owned).collect()
    }
}

/// Runs the kits against Apache with these modules; nothing, if it is not installed.
fn measure(name: &'static str, modules: &[&str], sessions: &str) -> Option<Found> {
    let application = application();
    let modules = [&["proxy", "proxy_http", "headers", "session"], modules].concat();
    let configuration = format!("{WORKERS}{sessions}{HAND_OFF}ProxyPass / {}/\n", application.url());
    let apache = available(Apache::start(&modules, &configuration)).unwrap()?;
    Some(run(&Sessions { name, apache, _application: application }, 20))
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
