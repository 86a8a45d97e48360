//! Going on by other settings while requests, bodies and tunnels are under way.

use std::thread;
use std::time::Duration;

use gateway::settings::Limits;
use interop::raw::Connection;
use interop::{Answer, Capture};

use crate::application::Application;
use crate::given::{Gateway, Plan, eventually, gateway, limits, ok, plan, upstream};

const GET: &str = "GET / HTTP/1.1\r\nHOST\r\n\r\n";

#[test]
fn a_request_under_way_ends_where_it_began_and_the_next_goes_where_it_is_sent_now() {
    let (old, new) = (Application::start(), Application::start());
    let gateway = gateway(&old);
    let mut client = gateway.sent(GET);
    let mut served = old.accept();
    served.head();
    gateway.reload(plan(&new));
    served.send(ok("the old one"));
    assert_eq!(client.response().unwrap().text(), "the old one");
    // On the same connection: it was not closed.
    client.send(gateway.request(GET)).unwrap();
    drop(new.answers(ok("the new one")));
    assert_eq!(client.response().unwrap().text(), "the new one");
}

#[test]
fn bodies_stream_on_through_a_reload_both_ways() {
    let (old, new) = (Application::start(), Application::start());
    let gateway = gateway(&old);
    let mut client = gateway.sent("POST / HTTP/1.1\r\nHOST\r\nContent-Length: 6\r\n\r\none");
    let mut served = old.accept();
    served.head();
    gateway.reload(plan(&new));
    client.send("two").unwrap();
    assert_eq!(served.read(6), b"onetwo");
    served.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nthree\r\n");
    client.read_until(|bytes| bytes.ends_with(b"three\r\n")).unwrap();
    gateway.reload(plan(&old));
    served.send("4\r\nfour\r\n0\r\n\r\n");
    client.read_until(|bytes| bytes.ends_with(b"four\r\n0\r\n\r\n")).unwrap();
}

#[test]
fn a_tunnel_stays_open_through_many_reloads() {
    let (old, new) = (Application::start(), Application::start());
    let gateway = gateway(&old);
    let mut client = gateway.sent("GET / HTTP/1.1\r\nHOST\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n");
    let mut served =
        old.answers("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\n");
    assert_eq!(client.response().unwrap().status, 101);
    for _ in 0..50 {
        gateway.reload(plan(&new));
        gateway.reload(plan(&old));
    }
    served.send("still here");
    client.read_until(|bytes| bytes == b"still here").unwrap();
    client.send("me too").unwrap();
    assert_eq!(served.read(6), b"me too");
}

#[test]
fn connections_to_an_application_are_used_on_while_nothing_about_the_way_to_it_changes() {
    let application = Application::start();
    let gateway = gateway(&application);
    let mut client = gateway.sent(GET);
    let mut served = application.answers(ok("first"));
    client.response().unwrap();
    gateway.reload(Plan { preserve_host: false, ..plan(&application) });
    client.send(gateway.request(GET)).unwrap();
    served.head();
    served.send(ok("second, on the same connection"));
    assert_eq!(client.response().unwrap().text(), "second, on the same connection");
    gateway.reload(Plan { response_timeout: Duration::from_millis(200), ..plan(&application) });
    client.send(gateway.request(GET)).unwrap();
    let mut another = application.accept();
    another.head();
    assert_eq!(client.response().unwrap().status, 504, "the new time-out holds");
}

#[test]
fn what_was_counted_for_an_application_goes_with_it() {
    let application = Application::start();
    let gateway = gateway(&application);
    let mut client = gateway.sent(GET);
    drop(application.answers(ok("")));
    client.response().unwrap();
    assert!(gateway.metrics().contains("application=\"application\""));
    let rows = gateway.metrics().lines().count();
    for id in ["one", "two", "three"] {
        gateway.reload(Plan { id, ..plan(&application) });
    }
    let metrics = gateway.metrics();
    assert!(metrics.contains("application=\"three\""), "{metrics}");
    for gone in ["application", "one", "two"] {
        assert!(!metrics.contains(&format!("application=\"{gone}\"")), "{metrics}");
    }
    assert_eq!(metrics.lines().count(), rows, "rows do not pile up");
}

#[test]
fn fewer_connections_are_let_in_once_there_are_so_few_and_more_at_once() {
    let application = Application::start();
    let gateway = gateway(&application);
    let few = |max_connections| Plan { limits: Limits { max_connections, ..limits() }, ..plan(&application) };
    let open: Vec<_> = (0..3).map(|_| gateway.connect()).collect();
    eventually("all are in", || gateway.gauge("connections") == 3);
    gateway.reload(few(2));
    drop(gateway.connect());
    let mut waiting = gateway.sent(GET);
    thread::sleep(Duration::from_millis(100));
    // The one that came before may have been let in, and needs a moment to go; one that is let in now would stay.
    eventually("nobody is sent away, and nobody new let in", || gateway.gauge("connections") == 3);
    drop(open);
    drop(application.answers(ok("in")));
    assert_eq!(waiting.response().unwrap().text(), "in");
    drop(waiting);
    gateway.reload(few(1));
    gateway.reload(few(4));
    let _open: Vec<_> = (0..4).map(|_| gateway.connect()).collect();
    eventually("there is room again", || gateway.gauge("connections") == 4);
}

#[test]
fn a_storm_of_reloads_loses_no_request() {
    let answering = |word: &'static str| Capture::answering(move |_| Answer::ok(word)).unwrap();
    let (left, right) = (answering("left"), answering("right"));
    let to =
        |capture: &Capture| Plan { upstream: upstream([capture.address()]), ..plan(&Application::start()) };
    let gateway = to(&left).start();
    let mut said = thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut client = gateway.connect();
                    (0..100).map(|_| ask(&gateway, &mut client)).collect::<Vec<_>>()
                })
            })
            .collect();
        while clients.iter().any(|client| !client.is_finished()) {
            gateway.reload(to(&right));
            gateway.reload(to(&left));
        }
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect::<Vec<_>>()
    });
    said.sort();
    said.dedup();
    assert_eq!(said, ["left", "right"], "every request was answered, by whoever was in charge");
}

fn ask(gateway: &Gateway, client: &mut Connection) -> String {
    client.send(gateway.request(GET)).unwrap();
    let response = client.response().unwrap();
    assert_eq!(response.status, 200);
    response.text()
}
