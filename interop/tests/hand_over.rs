//! One process takes the place of another while visitors are there.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use interop::raw::{self, Connection};
use interop::{Answer, Capture, Cloakroom};

use crate::given::{self, session_with, visit};

/// How many clients there are at once.
const CLIENTS: usize = 8;
/// How long a process may take to end.
const SOON: Duration = Duration::from_secs(30);

/// A gateway before `upstream`.
fn configuration(upstream: &Capture) -> String {
    format!(
        "data_dir = \"data\"\n[listen]\ngateway = \"{{gateway}}\"\nserver = \"{{server}}\"\n[gateway]\ndrain_timeout = \"20s\"\n\
         [[application]]\nid = \"shop\"\nupstream = \"{}\"\n[application.cookie]\nname = \"session\"\nsecure = false\n",
        upstream.url()
    )
}

fn get(gateway: SocketAddr, path: &str, cookie: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {gateway}\r\nCookie: {cookie}\r\n\r\n")
}

/// A visitor who never pauses, with a session that must be there at each request and have what was put into it. Every
/// second one opens a new connection for each request.
fn visit_on_and_on(gateway: SocketAddr, number: usize, over: &AtomicBool, asked: &AtomicUsize) {
    let opened = raw::get(gateway, "/put/count=0", "").unwrap();
    let cookie = opened.cookie("session").unwrap().to_owned();
    let mut connection = Connection::open(gateway).unwrap();
    for count in 1.. {
        for path in [format!("/put/count={count}"), "/".to_owned()] {
            connection.send(get(gateway, &path, &cookie)).unwrap();
            let response =
                connection.response().unwrap_or_else(|error| panic!("client {number}, {path}: {error}"));
            assert_eq!(response.status, 200, "client {number}, {path}");
            if path == "/" {
                assert_eq!(response.text(), format!("count={count}"), "nothing is lost");
            }
            asked.fetch_add(1, Ordering::Relaxed);
            if number % 2 == 1 || response.header("connection") == Some("close") {
                connection = Connection::open(gateway).unwrap();
            }
        }
        if over.load(Ordering::Relaxed) {
            return;
        }
    }
}

/// Does something while visitors come. None of their requests fails; says how many there were.
pub(crate) fn under_load(gateway: SocketAddr, during: impl FnOnce()) -> usize {
    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            let (over, asked) = (&over, &asked);
            scope.spawn(move || visit_on_and_on(gateway, number, over, asked));
        }
        // Also when it panics, or nobody would ever stop.
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(during));
        over.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    asked.into_inner()
}

#[test]
fn no_request_fails_and_no_session_is_lost_while_one_process_after_another_takes_over() {
    let shop = given::application();
    let mut cloakroom = Cloakroom::start(&configuration(&shop)).unwrap();
    let gateway = cloakroom.gateway();
    let asked = under_load(gateway, || {
        for _ in 0..4 {
            let mut before = cloakroom.take_over().unwrap();
            let status = before.wait(SOON).unwrap();
            assert_eq!(status.code(), Some(0), "{}", cloakroom.log());
            thread::sleep(Duration::from_millis(200));
        }
    });
    assert!(asked > 200, "there was no load: {asked}");
    let reloaded = cloakroom.execute(&["reload", "--config", "cloakroom.toml"]).unwrap();
    assert_eq!(reloaded.status.code(), Some(0), "the last one can be spoken to");
}

#[test]
fn no_request_fails_over_restarts_while_the_service_manager_holds_the_sockets() {
    let shop = given::application();
    let mut cloakroom = Cloakroom::start_with_held_sockets(&configuration(&shop)).unwrap();
    let gateway = cloakroom.gateway();
    let asked = under_load(gateway, || {
        for _ in 0..3 {
            cloakroom.restart().unwrap();
            thread::sleep(Duration::from_millis(300));
        }
    });
    assert!(asked > 100, "there was no load: {asked}");
}

/// A slow application: `/slow/KEY=VALUE` is answered with an update after a while.
fn slow(pause: Duration) -> Capture {
    Capture::answering(move |request| {
        let target = request.line().split(' ').nth(1).unwrap_or_default().to_owned();
        let presented = request.header("x-session").unwrap_or_default();
        let length = presented.len();
        if let Some(update) = target.strip_prefix("/put/") {
            return Answer::with(&format!("X-Replace-Session: {update}\r\n"), "put");
        }
        match target.strip_prefix("/slow/") {
            Some(update) => Answer::Later(
                pause,
                format!("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nX-Replace-Session: {update}\r\n\r\nput")
                    .into(),
            ),
            None if target == "/end" => Answer::with("X-Replace-Session: a=&b=&late=\r\n", ""),
            None if target == "/tunnel" => Answer::Echo(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n".to_vec(),
            ),
            None => Answer::Bytes(
                format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{presented}").into(),
            ),
        }
    })
    .unwrap()
}

#[test]
fn a_logout_at_the_next_process_beats_what_is_in_flight_at_the_one_before() {
    let shop = slow(Duration::from_secs(3));
    let mut cloakroom = Cloakroom::start(&configuration(&shop)).unwrap();
    let gateway = cloakroom.gateway();
    let cookies: Vec<String> = (0..4).map(|_| session_with(&cloakroom, "a=1")).collect();
    // Each is in the first tier of the process before, and one request of each is under way there.
    let mut in_flight: Vec<Connection> = cookies
        .iter()
        .map(|cookie| {
            assert_eq!(visit(&cloakroom, "/", cookie).text(), "a=1");
            let mut connection = Connection::open(gateway).unwrap();
            connection.send(get(gateway, "/slow/late=1", cookie)).unwrap();
            connection
        })
        .collect();
    // And each has a connection to the process before that is open for one more request.
    let mut kept: Vec<Connection> = cookies
        .iter()
        .map(|cookie| {
            let mut connection = Connection::open(gateway).unwrap();
            connection.send(get(gateway, "/", cookie)).unwrap();
            assert_eq!(connection.response().unwrap().text(), "a=1");
            connection
        })
        .collect();
    thread::sleep(Duration::from_millis(300));

    let mut before = cloakroom.take_over().unwrap();
    for (cookie, kept) in cookies.iter().zip(&mut kept) {
        // An application that empties a session ends it.
        assert_eq!(visit(&cloakroom, "/end", cookie).status, 200);
        kept.send(get(gateway, "/", cookie)).unwrap();
        let response = kept.response().unwrap();
        assert_eq!(
            (response.status, response.text().as_str()),
            (200, ""),
            "the one before knows that it is over"
        );
        assert_eq!(response.header("connection"), Some("close"), "it was the one before");
    }
    for connection in &mut in_flight {
        let response = connection.response().unwrap();
        assert_eq!(response.status, 200);
        assert_eq!(response.cookie("session"), None, "nobody is given a ticket by it");
    }
    for cookie in &cookies {
        assert_eq!(visit(&cloakroom, "/", cookie).text(), "");
    }
    before.wait(SOON).unwrap();
    for cookie in &cookies {
        assert_eq!(visit(&cloakroom, "/", cookie).text(), "", "nothing brings it back");
    }
}

#[test]
fn what_is_under_way_ends_in_peace_and_its_update_is_kept() {
    let shop = slow(Duration::from_secs(2));
    let mut cloakroom = Cloakroom::start(&configuration(&shop)).unwrap();
    let gateway = cloakroom.gateway();
    let cookie = session_with(&cloakroom, "a=1");
    let mut slow = Connection::open(gateway).unwrap();
    slow.send(get(gateway, "/slow/b=slow", &cookie)).unwrap();
    let mut tunnel = Connection::open(gateway).unwrap();
    tunnel
        .send(format!(
            "GET /tunnel HTTP/1.1\r\nHost: {gateway}\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n"
        ))
        .unwrap();
    assert_eq!(tunnel.response().unwrap().status, 101);
    thread::sleep(Duration::from_millis(300));

    let mut before = cloakroom.take_over().unwrap();
    assert_eq!(visit(&cloakroom, "/put/c=next", &cookie).status, 200);
    assert_eq!(slow.response().unwrap().status, 200);
    let session = visit(&cloakroom, "/", &cookie).text();
    assert_eq!(session, "a=1&c=next&b=slow", "both processes wrote, and both changes are there");
    tunnel.send("still here").unwrap();
    tunnel.read_until(|bytes| bytes == b"still here").unwrap();
    drop(tunnel);
    before.wait(SOON).unwrap();
    assert_eq!(visit(&cloakroom, "/", &cookie).text(), session);
}

#[test]
fn a_process_that_does_not_get_ready_takes_nothing_over() {
    let shop = given::application();
    let cloakroom = Cloakroom::start(&configuration(&shop)).unwrap();
    let cookie = session_with(&cloakroom, "a=1");
    let good = configuration(&shop);
    let asked = under_load(cloakroom.gateway(), || {
        for broken in ["[lsten]\n".to_owned(), good.replace("{server}", "192.0.2.1:1")] {
            cloakroom.configure(&broken).unwrap();
            let failed = cloakroom.execute(&["run", "--config", "cloakroom.toml", "--take-over"]).unwrap();
            assert_eq!(failed.status.code(), Some(1), "{}", String::from_utf8_lossy(&failed.stderr));
        }
    });
    assert!(asked > 20, "there was no load: {asked}");
    assert!(cloakroom.log().contains("the next process did not take over; this one goes on"));
    assert_eq!(visit(&cloakroom, "/", &cookie).text(), "a=1");
}

#[test]
fn with_nobody_to_take_over_from_it_just_starts() {
    let shop = given::application();
    let mut cloakroom = Cloakroom::start(&configuration(&shop)).unwrap();
    let cookie = session_with(&cloakroom, "a=1");
    cloakroom.kill().unwrap();
    cloakroom.start_to_take_over().unwrap();
    assert_eq!(visit(&cloakroom, "/", &cookie).text(), "a=1");
}

#[test]
fn no_connection_that_was_made_fails_while_processes_that_share_a_port_come_and_go() {
    let capture = given::application();
    let shared = |gateway: &str| {
        format!(
            "data_dir = \"data\"\n[listen]\ngateway = \"{gateway}\"\nserver = \"{{server}}\"\nreuse_port = true\n\
             [[storage]]\nid = \"m\"\nengine = \"memory\"\n[cache]\nstorage = \"m\"\n\
             [[application]]\nid = \"shop\"\nupstream = \"{}\"\ncarrier = \"none\"\n",
            capture.url()
        )
    };
    let mut now = Cloakroom::start(&shared("{gateway}")).unwrap();
    let gateway = now.gateway();
    let (over, asked, reset) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    // The system may reset one that is just being made with the port that is closed.
                    let Ok(mut connection) = Connection::open(gateway) else {
                        reset.fetch_add(1, Ordering::Relaxed);
                        continue;
                    };
                    connection.send(get(gateway, "/", "")).unwrap();
                    let response = connection.response().unwrap_or_else(|error| panic!("{error}"));
                    assert_eq!(response.status, 200);
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..4 {
            let next = Cloakroom::start(&shared(&gateway.to_string())).unwrap();
            let mut before = std::mem::replace(&mut now, next);
            before.terminate().unwrap();
            assert!(before.wait(SOON).unwrap().success());
        }
        over.store(true, Ordering::Relaxed);
    });
    let (asked, reset) = (asked.into_inner(), reset.into_inner());
    assert!(asked > 100 && reset < asked / 50, "{asked} requests, {reset} connections that were not made");
}
