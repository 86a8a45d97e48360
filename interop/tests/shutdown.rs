//! How it ends, and what is still there afterwards.

use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use interop::raw::{self, Connection};
use interop::{Answer, Capture};

use crate::given::{self, visit};

#[test]
fn a_request_in_flight_is_answered_before_the_end() {
    let late = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate".to_vec();
    let upstream =
        Capture::answering(move |_| Answer::Later(Duration::from_millis(1500), late.clone())).unwrap();
    let mut cloakroom = given::gateway(&upstream);
    let gateway = cloakroom.gateway();
    let mut connection = Connection::open(gateway).unwrap();
    connection.send(format!("GET /slow HTTP/1.1\r\nHost: {gateway}\r\n\r\n")).unwrap();
    // Long enough for the request to be on its way, and shorter than the answer takes.
    thread::sleep(Duration::from_millis(500));

    cloakroom.terminate().unwrap();

    let deadline = Instant::now() + Duration::from_millis(900);
    while TcpStream::connect(gateway).is_ok() {
        assert!(Instant::now() < deadline, "new visitors are still let in");
        thread::sleep(Duration::from_millis(10));
    }
    let response = connection.response().unwrap();
    assert_eq!((response.status, response.text().as_str()), (200, "late"));
    let status = cloakroom.wait(Duration::from_secs(10)).unwrap();
    assert_eq!(status.code(), Some(0), "{}", cloakroom.log());
}

#[test]
fn an_idle_connection_does_not_hold_up_the_end() {
    let upstream = Capture::start().unwrap();
    let mut cloakroom = given::gateway(&upstream);
    let gateway = cloakroom.gateway();
    let mut idle = Connection::open(gateway).unwrap();
    idle.send(format!("GET / HTTP/1.1\r\nHost: {gateway}\r\n\r\n")).unwrap();
    assert_eq!(idle.response().unwrap().status, 200);
    let _silent = TcpStream::connect(gateway).unwrap();

    cloakroom.terminate().unwrap();

    let status = cloakroom.wait(Duration::from_secs(5)).unwrap();
    assert_eq!(status.code(), Some(0), "{}", cloakroom.log());
}

#[test]
fn every_session_that_was_answered_outlives_a_crash() {
    let upstream = given::application();
    let mut cloakroom = given::gateway(&upstream);
    let gateway = cloakroom.gateway();
    let crashed = AtomicBool::new(false);
    let mut answered: Vec<(String, String)> = Vec::new();

    thread::scope(|scope| {
        let visitors: Vec<_> = (0..4)
            .map(|visitor| {
                let crashed = &crashed;
                scope.spawn(move || {
                    let mut answered = Vec::new();
                    for number in 0.. {
                        let entry = format!("who={visitor}.{number}");
                        // What got no answer may be there or not.
                        match raw::get(gateway, &format!("/put/{entry}"), "") {
                            Ok(response) => {
                                answered.push((response.cookie("session").unwrap().to_owned(), entry))
                            }
                            Err(_) if crashed.load(Ordering::SeqCst) => break,
                            Err(error) => panic!("{error}"),
                        }
                    }
                    answered
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(700));
        crashed.store(true, Ordering::SeqCst);
        cloakroom.kill().unwrap();
        for visitor in visitors {
            answered.extend(visitor.join().unwrap());
        }
    });
    assert!(answered.len() > 20, "only {} sessions were opened", answered.len());

    cloakroom.restart().unwrap();

    for (cookie, entry) in &answered {
        assert_eq!(&visit(&cloakroom, "/", cookie).text(), entry);
    }
}
