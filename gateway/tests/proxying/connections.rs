//! Connections are used again, on both sides, and closed when their time has come.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use gateway::settings::Limits;

use crate::application::Application;
use crate::given::{Plan, eventually, gateway, limits, ok, plan};

#[test]
fn one_connection_on_each_side_serves_many_requests() {
    let application = Application::start();
    let gateway = gateway(&application);
    let mut client = gateway.connect();
    let mut served = None;
    for number in 0..5 {
        client.send(gateway.request(&format!("GET /{number} HTTP/1.1\r\nHOST\r\n\r\n"))).unwrap();
        let served = served.get_or_insert_with(|| application.accept());
        assert!(served.head().starts_with(&format!("GET /{number} HTTP/1.1\r\n")));
        served.send(ok("again"));
        assert_eq!(client.response().unwrap().text(), "again");
        // Until the gateway has put it back.
        thread::sleep(Duration::from_millis(30));
    }
    assert!(application.accepts_within(Duration::from_millis(50)).is_none());
    assert_eq!(gateway.gauge("connections"), 1);
}

#[test]
fn a_connection_that_the_application_closes_is_not_used_again() {
    let application = Application::start();
    let gateway = gateway(&application);
    let mut client = gateway.connect();
    for answer in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ] {
        client.send(gateway.request("GET / HTTP/1.1\r\nHOST\r\n\r\n")).unwrap();
        let mut served = application.answers(answer);
        let response = client.response().unwrap();
        assert_eq!((response.status, response.text().as_str()), (200, "ok"), "{answer}");
        assert_eq!(response.header("connection"), None, "that was between the two of them");
        assert!(served.is_given_up_within(Duration::from_secs(5)), "{answer}");
    }
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let application = Application::start();
    let gateway = gateway(&application);
    let mut client = gateway.sent(
        "GET /one HTTP/1.1\r\nHOST\r\n\r\nPOST /two HTTP/1.1\r\nHOST\r\nContent-Length: 2\r\n\r\nhiGET /three HTTP/1.1\r\nHOST\r\n\r\n",
    );
    for (line, body) in [("GET /one", ""), ("POST /two", "hi"), ("GET /three", "")] {
        let mut served = application.accept();
        assert!(served.head().starts_with(line));
        assert_eq!(served.read(body.len()), body.as_bytes());
        let length = line.len();
        served
            .send(format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{line}"));
    }
    for line in ["GET /one", "POST /two", "GET /three"] {
        assert_eq!(client.response().unwrap().text(), line);
    }
}

#[test]
fn a_client_of_http_1_0_gets_what_it_can_read() {
    let application = Application::start();
    let gateway = gateway(&application);
    for (answer, body) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "hello"),
    ] {
        let mut client = gateway.sent("GET / HTTP/1.0\r\n\r\n");
        let mut served = application.accept();
        assert!(served.head().starts_with("GET / HTTP/1.1\r\n"));
        served.send(answer);
        let response = client.response().unwrap();
        assert_eq!(response.header("transfer-encoding"), None, "HTTP/1.0 knows no chunks");
        assert_eq!(response.text(), body);
        assert!(client.rest().unwrap().is_empty(), "the end of the connection is the end of the body");
    }
    let mut client = gateway.sent("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    drop(application.answers(ok("kept")));
    let response = client.response().unwrap();
    assert_eq!((response.header("connection"), response.text().as_str()), (Some("keep-alive"), "kept"));
    client.send("GET / HTTP/1.0\r\n\r\n").unwrap();
    drop(application.answers(ok("and again")));
    assert_eq!(client.response().unwrap().text(), "and again");
}

#[test]
fn who_says_close_is_answered_and_closed() {
    let application = Application::start();
    let gateway = gateway(&application);
    let mut client = gateway.sent("GET / HTTP/1.1\r\nHOST\r\nConnection: close\r\n\r\n");
    let mut served = application.answers(ok("bye"));
    let response = client.response().unwrap();
    assert_eq!((response.header("connection"), response.text().as_str()), (Some("close"), "bye"));
    assert!(client.rest().unwrap().is_empty());
    // That was between the client and us.
    assert!(!served.is_given_up_within(Duration::from_millis(100)));
}

#[test]
fn an_idle_connection_is_closed_at_its_time_and_not_before() {
    let application = Application::start();
    let idle = Duration::from_millis(900);
    let limits = limits();
    // A head must come much sooner than an idle connection is closed, whatever the last answer was.
    let limits =
        Limits { header_timeout: Duration::from_millis(300), idle_connection_timeout: idle, ..limits };
    let gateway = Plan { limits, hosts: &["known.example"], ..plan(&application) }.start();
    for (host, status) in [("known.example", 200), ("unknown.example", 404)] {
        let mut client = gateway.connect();
        client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).unwrap();
        if status == 200 {
            drop(application.answers(ok("")));
        }
        assert_eq!(client.response().unwrap().status, status);
        let since = Instant::now();
        assert!(client.rest().unwrap().is_empty());
        let waited = since.elapsed();
        assert!(waited >= Duration::from_millis(850), "{host}: closed after {waited:?}");
        assert!(waited < Duration::from_secs(4), "{host}: closed after {waited:?}");
    }
}

#[test]
fn a_new_head_has_its_whole_time_whatever_was_before() {
    let application = Application::start();
    let limits = Limits { header_timeout: Duration::from_millis(800), ..limits() };
    let gateway = Plan { limits, hosts: &["known.example"], ..plan(&application) }.start();
    let mut client = gateway.connect();
    // Each answer is our own and comes at once; all together take longer than one head may.
    for _ in 0..4 {
        client.send("GET / HTTP/1.1\r\nHost: unk").unwrap();
        thread::sleep(Duration::from_millis(350));
        client.send("nown.example\r\n\r\n").unwrap();
        assert_eq!(client.response().unwrap().status, 404);
    }
}

#[test]
fn the_system_notices_when_a_silent_peer_is_gone() {
    let application = Application::start();
    let gateway = gateway(&application);
    let client = TcpStream::connect(gateway.address()).unwrap();
    (&client).write_all(gateway.request("GET / HTTP/1.1\r\nHOST\r\n\r\n").as_bytes()).unwrap();
    let mut served = application.accept();
    served.head();
    let (near, far) = (client.local_addr().unwrap(), application.address());
    eventually("both have a timer", || {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        // Local and remote address, state, queues, and the timer: 02 is that of keepalive.
        let has_timer = |is_it: &dyn Fn(&str, &str) -> bool| {
            table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>()).any(|fields| {
                let [local, remote] = [fields[1], fields[2]].map(|field| field.split(':').nth(1).unwrap());
                is_it(local, remote) && fields[5].starts_with("02:")
            })
        };
        let port = |port: u16| format!("{port:04X}");
        has_timer(&|local, remote| local == port(gateway.address().port()) && remote == port(near.port()))
            && has_timer(&|_, remote| remote == port(far.port()))
    });
}

#[test]
fn further_connections_wait_and_are_served_later() {
    let application = Application::start();
    let limits = Limits { max_connections: 2, ..limits() };
    let gateway = Plan { limits, ..plan(&application) }.start();
    let request = "GET / HTTP/1.1\r\nHOST\r\nConnection: close\r\n\r\n";
    let mut clients: Vec<_> = (0..4).map(|_| gateway.sent(request)).collect();
    let mut served: Vec<_> = (0..2).map(|_| application.accept()).collect();
    assert!(application.accepts_within(Duration::from_millis(100)).is_none(), "two are served at once");
    assert_eq!(gateway.gauge("connections"), 2);
    for _ in 0..2 {
        let mut served = served.remove(0);
        served.head();
        served.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    }
    served.extend((0..2).map(|_| application.accept()));
    for mut served in served {
        served.head();
        served.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    }
    for client in &mut clients {
        assert_eq!(client.response().unwrap().status, 200);
    }
}
