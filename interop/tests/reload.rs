//! Reading the configuration again while visitors are there.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use interop::raw::Connection;
use interop::{Answer, Capture, Cloakroom};

use crate::form::Form;
use crate::given::{self, PASSWORD, USER, htpasswd, session_with, visit};

const RELOAD: [&str; 3] = ["reload", "--config", "cloakroom.toml"];

/// A gateway before `upstream`, with `more` at the end of the application.
fn configuration(upstream: &str, more: &str) -> String {
    format!(
        "data_dir = \"data\"\n[listen]\ngateway = \"{{gateway}}\"\nserver = \"{{server}}\"\n[[application]]\nid = \"shop\"\n\
         upstream = \"{upstream}\"\n{more}\n"
    )
}

/// Cookies without TLS, and a login form for those in `file`.
fn with_login(file: &str) -> String {
    format!(
        "[application.cookie]\nname = \"session\"\nsecure = false\n[application.login]\nfile = \"{file}\"\nrequire = [\"/account\"]"
    )
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn reload(cloakroom: &Cloakroom) -> String {
    let reloaded = cloakroom.execute(&RELOAD).unwrap();
    assert_eq!(reloaded.status.code(), Some(0), "{}\n{}", err(&reloaded), cloakroom.log());
    out(&reloaded)
}

/// The process refuses, says why to whoever asked, and goes on.
fn refused(cloakroom: &Cloakroom) -> String {
    let refused = cloakroom.execute(&RELOAD).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{}", out(&refused));
    err(&refused)
}

fn logged(cloakroom: &Cloakroom, words: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !cloakroom.log().contains(words) {
        assert!(Instant::now() < deadline, "{words:?} is not in the log:\n{}", cloakroom.log());
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn visitors_notice_nothing_of_a_reload_but_what_it_changes() {
    let shop = given::application();
    let other = Capture::answering(|request| match request.header("upgrade") {
        Some(_) => Answer::Echo(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n".to_vec(),
        ),
        None => Answer::ok(&format!("other {}", request.header("x-session").unwrap_or_default())),
    })
    .unwrap();
    let first = configuration(&other.url(), &with_login("users"));
    let second =
        configuration(&shop.url(), &format!("response_timeout = \"7s\"\n{}", with_login("more-users")));
    let files = [("users", htpasswd()), ("more-users", htpasswd().replace(USER, "grace"))];
    let files = files.each_ref().map(|(name, text)| (*name, text.as_str()));
    let cloakroom = Cloakroom::start_with(&first, &files).unwrap();
    let gateway = cloakroom.gateway();
    let mut tunnel = Connection::open(gateway).unwrap();
    tunnel
        .send(format!("GET / HTTP/1.1\r\nHost: {gateway}\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n"))
        .unwrap();
    assert_eq!(tunnel.response().unwrap().status, 101);
    cloakroom.configure(&second).unwrap();
    assert!(reload(&cloakroom).contains("`application.upstream`"));
    let cookie = session_with(&cloakroom, "basket=apples");

    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut connection = Connection::open(gateway).unwrap();
                while !over.load(Ordering::Relaxed) {
                    connection
                        .send(format!("GET / HTTP/1.1\r\nHost: {gateway}\r\nCookie: {cookie}\r\n\r\n"))
                        .unwrap();
                    let response = connection.response().unwrap();
                    assert_eq!(response.status, 200);
                    assert!(response.text().ends_with("basket=apples"), "{}", response.text());
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 0..10 {
            cloakroom.configure(if round % 2 == 0 { &first } else { &second }).unwrap();
            let said = reload(&cloakroom);
            assert!(
                said.contains(
                    "`application.upstream`, `application.response_timeout`, `application.login.file`"
                ),
                "{said}"
            );
        }
        over.store(true, Ordering::Relaxed);
    });
    assert!(asked.load(Ordering::Relaxed) > 100, "there was no load");
    tunnel.send("still here").unwrap();
    tunnel.read_until(|bytes| bytes == b"still here").unwrap();

    let is_let_in = |user: &str| {
        let form = Form::of(&visit(&cloakroom, "/.cloakroom/login", ""));
        form.fill("user", user).fill("password", PASSWORD).send(gateway, "").status == 303
    };
    assert_eq!((is_let_in("grace"), is_let_in(USER)), (true, false), "who may log in is in the new file");
}

#[test]
fn a_broken_configuration_is_refused_with_its_mistakes_and_what_ran_goes_on() {
    let shop = given::application();
    let mut cloakroom = Cloakroom::start(&configuration(&shop.url(), "")).unwrap();
    cloakroom.configure(&configuration("ftp://nowhere", "idle_timeout = \"5\"")).unwrap();
    let said = refused(&cloakroom);
    assert!(said.contains("cloakroom.toml:7:13: `upstream = \"ftp://nowhere\"`"), "{said}");
    assert!(said.contains("cloakroom.toml has 2 mistakes"), "{said}");
    assert!(!cloakroom.log().contains("not reloaded"), "the process was not even asked");

    cloakroom.hang_up().unwrap();
    logged(&cloakroom, "the configuration was not reloaded: what ran before goes on");
    let log = cloakroom.log();
    assert!(log.contains("`idle_timeout = \\\"5\\\"` has no unit; say"), "{log}");
    assert_eq!(visit(&cloakroom, "/", "").status, 200);

    cloakroom.configure(&configuration(&shop.url(), "idle_timeout = \"5m\"")).unwrap();
    cloakroom.hang_up().unwrap();
    logged(&cloakroom, "reloaded: `application.idle_timeout` changed");
}

#[test]
fn what_only_the_running_process_can_find_wrong_reaches_whoever_asked() {
    let shop = given::application();
    let users = htpasswd();
    let good = configuration(&shop.url(), &with_login("users"));
    let cloakroom = Cloakroom::start_with(&good, &[("users", &users)]).unwrap();

    fs::write(cloakroom.directory().join("users"), "ada\n").unwrap();
    let said = refused(&cloakroom);
    assert!(said.contains("line 1: there is no colon"), "{said}");
    logged(&cloakroom, "line 1: there is no colon");
    fs::write(cloakroom.directory().join("users"), &users).unwrap();

    cloakroom.configure(&good.replace("{server}", "127.0.0.1:1")).unwrap();
    let said = refused(&cloakroom);
    assert!(said.contains("`listen.server` cannot change while Cloakroom runs"), "{said}");
    assert!(said.contains("put the old value back, or restart Cloakroom"), "{said}");

    cloakroom.configure(&good).unwrap();
    assert_eq!(reload(&cloakroom), "reloaded: nothing in the configuration has changed\n");
    fs::copy(cloakroom.directory().join("cloakroom.toml"), cloakroom.directory().join("other.toml")).unwrap();
    let other = cloakroom.execute(&["reload", "--config", "other.toml"]).unwrap();
    assert_eq!(other.status.code(), Some(1));
    assert!(err(&other).contains("was started with"), "{}", err(&other));
}

#[test]
fn only_its_owner_can_speak_to_it_and_nobody_is_told_so_when_nobody_is_there() {
    let shop = given::application();
    let mut cloakroom = Cloakroom::start(&configuration(&shop.url(), "")).unwrap();
    let socket = cloakroom.directory().join("data/control.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);

    let second = cloakroom.execute(&["run", "--config", "cloakroom.toml"]).unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(err(&second).contains("another Cloakroom runs with the data folder data"), "{}", err(&second));
    assert!(socket.exists(), "the first one is still there");
    reload(&cloakroom);

    cloakroom.terminate().unwrap();
    cloakroom.wait(Duration::from_secs(10)).unwrap();
    assert!(!socket.exists());
    assert!(refused(&cloakroom).contains("no Cloakroom runs with the data folder data"));
    cloakroom.restart().unwrap();
    cloakroom.kill().unwrap();
    assert!(socket.exists(), "a crash leaves it behind");
    assert!(refused(&cloakroom).contains("no Cloakroom runs"));
    cloakroom.restart().unwrap();
    reload(&cloakroom);
}

#[test]
fn a_storm_of_signals_leaves_it_as_it_was() {
    let shop = given::application();
    let mut cloakroom = Cloakroom::start(&configuration(&shop.url(), "")).unwrap();
    for _ in 0..200 {
        cloakroom.hang_up().unwrap();
    }
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| reload(&cloakroom));
        }
    });
    assert_eq!(visit(&cloakroom, "/", "").status, 200);
}
