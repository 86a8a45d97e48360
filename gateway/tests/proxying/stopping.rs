//! The end of the gateway: nothing that is under way is lost, and nobody can hold it up.

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use gateway::settings::Limits;
use interop::{Answer, Capture};

use crate::application::Application;
use crate::given::{Gateway, Plan, eventually, limits, ok, plan, upstream};

const DRAIN: Duration = Duration::from_millis(500);

fn draining(application: &Application, drain_timeout: Duration) -> Gateway {
    Plan { limits: Limits { drain_timeout, ..limits() }, ..plan(application) }.start()
}

fn nobody_is_let_in(gateway: &Gateway) {
    eventually("nobody is let in", || TcpStream::connect(gateway.address()).is_err());
}

#[test]
fn a_request_under_way_is_answered_and_new_ones_are_refused() {
    let application = Application::start();
    let mut gateway = draining(&application, Duration::from_secs(15));
    let mut client = gateway.sent("POST / HTTP/1.1\r\nHOST\r\nContent-Length: 6\r\n\r\none");
    let mut served = application.accept();
    served.head();
    gateway.stop();
    nobody_is_let_in(&gateway);
    client.send("two").unwrap();
    assert_eq!(served.read(6), b"onetwo");
    served.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nlate\r\n");
    thread::sleep(Duration::from_millis(50));
    served.send("0\r\n\r\n");
    let response = client.response().unwrap();
    assert_eq!((response.text().as_str(), response.header("connection")), ("late", Some("close")));
    assert!(client.rest().unwrap().is_empty());
    assert!(gateway.stopped() < Duration::from_secs(5));
    assert!(gateway.is_empty());
}

#[test]
fn idle_connections_are_closed_after_a_moment() {
    let application = Application::start();
    let mut gateway = draining(&application, Duration::from_secs(15));
    let mut used = gateway.sent("POST / HTTP/1.1\r\nHOST\r\nContent-Length: 2\r\n\r\nhi");
    drop(application.answers(ok("")));
    used.response().unwrap();
    let mut new = gateway.connect();
    eventually("both are accepted", || gateway.gauge("connections") == 2);
    gateway.stop();
    let took = gateway.stopped();
    assert!(took < Duration::from_secs(8), "it took {took:?}");
    assert!(used.rest().unwrap().is_empty());
    assert!(new.rest().unwrap().is_empty());
}

#[test]
fn a_connection_that_is_in_use_has_one_more_request_answered_and_is_told_that_it_was_the_last() {
    let application = Capture::answering(|_| Answer::ok("here")).unwrap();
    let upstream = upstream([application.address()]);
    let limits = Limits { drain_timeout: Duration::from_secs(15), ..limits() };
    let mut gateway = Plan { upstream, limits, ..plan(&Application::start()) }.start();
    let get = gateway.request("GET / HTTP/1.1\r\nHOST\r\n\r\n");
    let mut clients: Vec<_> = (0..20).map(|_| gateway.connect()).collect();
    for client in &mut clients {
        client.send(&get).unwrap();
        assert_eq!(client.response().unwrap().header("connection"), None);
    }
    gateway.stop();
    nobody_is_let_in(&gateway);
    for client in &mut clients {
        client.send(&get).unwrap();
        let response = client.response().unwrap();
        assert_eq!((response.text().as_str(), response.header("connection")), ("here", Some("close")));
        assert!(client.rest().unwrap().is_empty());
    }
    gateway.stopped();
}

#[test]
fn who_does_not_come_to_an_end_is_cut_off() {
    let application = Application::start();
    let mut gateway = draining(&application, DRAIN);
    let mut client = gateway.sent("GET / HTTP/1.1\r\nHOST\r\n\r\n");
    let mut served = application.accept();
    served.head();
    let mut streaming = gateway.sent("GET / HTTP/1.1\r\nHOST\r\n\r\n");
    let mut endless = application.answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    streaming.read_until(|bytes| bytes.ends_with(b"\r\n\r\n")).unwrap();
    gateway.stop();
    let took = gateway.stopped();
    assert!(took > DRAIN - Duration::from_millis(50) && took < Duration::from_secs(5), "{took:?}");
    assert!(client.rest().unwrap().is_empty());
    assert!(!streaming.rest().unwrap().ends_with(b"0\r\n\r\n"), "half an answer does not look whole");
    assert!(served.is_given_up_within(Duration::from_secs(5)));
    assert!(endless.is_given_up_within(Duration::from_secs(5)));
    eventually("nothing is left", || gateway.is_empty() && gateway.tasks() == 0);
}

#[test]
fn a_tunnel_has_the_drain_time_out_and_no_more() {
    let application = Application::start();
    let mut gateway = draining(&application, 3 * DRAIN);
    let mut client = gateway.sent("GET / HTTP/1.1\r\nHOST\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n");
    let mut served = application
        .answers("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n");
    assert_eq!(client.response().unwrap().status, 101);
    gateway.stop();
    nobody_is_let_in(&gateway);
    served.send("still here");
    client.read_until(|bytes| bytes == b"still here").unwrap();
    let took = gateway.stopped();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert!(client.rest().unwrap().is_empty());
    assert!(served.rest().is_empty());
    eventually("nothing is left", || gateway.is_empty() && gateway.tasks() == 0);
}

#[test]
fn a_tunnel_that_ends_is_not_waited_for_any_longer() {
    let application = Application::start();
    let mut gateway = draining(&application, Duration::from_secs(15));
    let mut client = gateway.sent("GET / HTTP/1.1\r\nHOST\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n");
    let served = application
        .answers("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n");
    assert_eq!(client.response().unwrap().status, 101);
    gateway.stop();
    nobody_is_let_in(&gateway);
    let ending = thread::spawn(move || {
        thread::sleep(Duration::from_millis(200));
        drop((client, served));
    });
    let took = gateway.stopped();
    assert!(took < Duration::from_secs(5), "{took:?}");
    ending.join().unwrap();
}

#[test]
fn what_an_application_still_has_to_say_about_a_session_is_waited_for() {
    let application = Application::start();
    let limits = Limits { drain_timeout: Duration::from_secs(15), ..limits() };
    let mut gateway = Plan { has_sessions: true, limits, ..plan(&application) }.start();
    let mut client = gateway.sent("GET / HTTP/1.1\r\nHOST\r\n\r\n");
    drop(application.answers("HTTP/1.1 200 OK\r\nX-Replace-Session: a=1\r\nContent-Length: 0\r\n\r\n"));
    let cookie = client.response().unwrap().cookie("session").unwrap().to_owned();
    client.send(gateway.request(&format!("GET / HTTP/1.1\r\nHOST\r\nCookie: {cookie}\r\n\r\n"))).unwrap();
    let mut served = application.accept();
    served.head();
    drop(client);
    eventually("the client is gone", || gateway.is_empty());
    gateway.stop();
    nobody_is_let_in(&gateway);
    let since = Instant::now();
    let answering = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        served.send("HTTP/1.1 200 OK\r\nX-Replace-Session: a=2\r\nContent-Length: 0\r\n\r\n");
        served
    });
    gateway.stopped();
    let took = since.elapsed();
    assert!(took > Duration::from_millis(250) && took < Duration::from_secs(8), "{took:?}");
    answering.join().unwrap();
}
