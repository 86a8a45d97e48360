//! What is sent a second time, and what never is.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use interop::{Capture, Nginx, available};

use crate::application::{Application, Served};
use crate::given::{Gateway, Plan, eventually, gateway, ok, plan, upstream};

/// How long to watch that something does not happen.
const MOMENT: Duration = Duration::from_millis(60);

/// A client whose next request goes over a connection that was used before.
fn kept(gateway: &Gateway, application: &Application) -> (interop::raw::Connection, Served) {
    let mut client = gateway.sent("GET / HTTP/1.1\r\nHOST\r\n\r\n");
    let served = application.answers(ok("kept"));
    assert_eq!(client.response().unwrap().status, 200);
    thread::sleep(MOMENT);
    (client, served)
}

/// Ways in which a server ends a kept connection, with a request on its way or in part arrived.
const ENDS: [fn(Served); 3] = [
    Served::reset,
    |mut served| drop(served.head()),
    |mut served| {
        served.head();
        served.finish();
        served.is_given_up_within(Duration::from_secs(5));
    },
];

#[test]
fn what_may_be_repeated_is_when_a_kept_connection_ends_under_it() {
    let application = Application::start();
    let gateway = gateway(&application);
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
        for end in ENDS {
            let (mut client, served) = kept(&gateway, &application);
            client.send(gateway.request(&format!("{method} /again HTTP/1.1\r\nHOST\r\n\r\n"))).unwrap();
            end(served);
            let mut second = application.accept();
            let head = second.head();
            assert!(head.starts_with(&format!("{method} /again HTTP/1.1\r\n")), "{head}");
            assert!(head.contains(&format!("host: {}\r\n", gateway.address())), "{head}");
            second.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
            assert_eq!(client.response().unwrap().status, 204, "{method}");
        }
    }
}

#[test]
fn what_may_have_been_done_is_never_sent_twice() {
    let application = Application::start();
    let gateway = gateway(&application);
    for request in [
        "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nHOST\r\nContent-Length: 2\r\n\r\nhi",
        "PATCH / HTTP/1.1\r\nHOST\r\nContent-Length: 2\r\n\r\nhi",
        "PROPFIND / HTTP/1.1\r\nHOST\r\n\r\n",
        // These may be repeated, but some of their body is gone.
        "PUT / HTTP/1.1\r\nHOST\r\nContent-Length: 2\r\n\r\nhi",
        "DELETE / HTTP/1.1\r\nHOST\r\nContent-Length: 2\r\n\r\nhi",
        "GET / HTTP/1.1\r\nHOST\r\nContent-Length: 2\r\n\r\nhi",
        // A change of protocol is no simple question.
        "GET / HTTP/1.1\r\nHOST\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ] {
        for end in ENDS {
            let (mut client, served) = kept(&gateway, &application);
            client.send(gateway.request(request)).unwrap();
            end(served);
            assert_eq!(client.response().unwrap().status, 502, "{request}");
            assert!(application.accepts_within(MOMENT).is_none(), "{request}");
        }
    }
}

#[test]
fn nothing_is_sent_again_after_a_byte_of_the_answer() {
    let application = Application::start();
    let gateway = gateway(&application);
    for start in ["H", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\n"] {
        let (mut client, mut served) = kept(&gateway, &application);
        client.send(gateway.request("GET / HTTP/1.1\r\nHOST\r\n\r\n")).unwrap();
        served.head();
        served.send(start);
        drop(served);
        assert_eq!(client.response().unwrap().status, 502, "{start}");
        assert!(application.accepts_within(MOMENT).is_none(), "{start}");
    }
}

#[test]
fn nothing_is_sent_again_on_a_connection_that_was_new() {
    let application = Application::start();
    let gateway = gateway(&application);
    let mut client = gateway.sent("GET / HTTP/1.1\r\nHOST\r\n\r\n");
    application.accept().head();
    assert_eq!(client.response().unwrap().status, 502);
    assert!(application.accepts_within(MOMENT).is_none());
}

#[test]
fn nothing_is_sent_again_where_that_is_switched_off() {
    let application = Application::start();
    let mut plan = plan(&application);
    plan.upstream.retries = 0;
    let gateway = plan.start();
    let (mut client, served) = kept(&gateway, &application);
    client.send(gateway.request("GET / HTTP/1.1\r\nHOST\r\n\r\n")).unwrap();
    served.reset();
    assert_eq!(client.response().unwrap().status, 502);
    assert!(application.accepts_within(MOMENT).is_none());
}

#[test]
fn nothing_is_sent_again_for_a_visitor_who_has_left() {
    let application = Application::start();
    for has_sessions in [false, true] {
        let gateway = Plan { has_sessions, ..plan(&application) }.start();
        let (mut client, mut served) = kept(&gateway, &application);
        if has_sessions {
            client.send(gateway.request("GET /first HTTP/1.1\r\nHOST\r\n\r\n")).unwrap();
            served.head();
            served.send("HTTP/1.1 200 OK\r\nX-Replace-Session: a=1\r\nContent-Length: 0\r\n\r\n");
            let cookie = client.response().unwrap().header("set-cookie").unwrap().to_owned();
            let cookie = cookie.split(';').next().unwrap();
            thread::sleep(MOMENT);
            let request = format!("GET / HTTP/1.1\r\nHOST\r\nCookie: {cookie}\r\n\r\n");
            client.send(gateway.request(&request)).unwrap();
        } else {
            client.send(gateway.request("GET / HTTP/1.1\r\nHOST\r\n\r\n")).unwrap();
        }
        served.head();
        drop(client);
        // With a session its answer is still awaited; without one the connection is given up with the visitor.
        eventually("the visitor has left", || gateway.gauge("connections") == 0);
        drop(served);
        assert!(application.accepts_within(MOMENT).is_none(), "with sessions: {has_sessions}");
    }
}

#[test]
fn a_request_that_reached_nobody_is_another_servers() {
    let gone = Application::start().address();
    let application = Application::start();
    let upstream = upstream([gone, application.address()]);
    let gateway = Plan { upstream, ..plan(&application) }.start();
    // Whatever it is: the first server did not see anything of it.
    for number in 0..12 {
        let mut client =
            gateway.sent(&format!("POST /{number} HTTP/1.1\r\nHOST\r\nContent-Length: 2\r\n\r\nhi"));
        let mut served = application.accept();
        assert!(served.head().starts_with(&format!("POST /{number} ")));
        assert_eq!(served.read(2), b"hi");
        served.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(client.response().unwrap().status, 200);
    }
}

#[test]
fn without_any_server_the_least_bad_one_is_tried() {
    let (one, other) = (Application::start(), Application::start());
    let addresses = [one.address(), other.address()];
    drop((one, other));
    let plan = plan(&Application::start());
    let gateway = Plan { upstream: upstream(addresses), ..plan }.start();
    let ask = || {
        let mut client = gateway.sent("GET / HTTP/1.1\r\nHOST\r\nConnection: close\r\n\r\n");
        client.response().unwrap().status
    };
    for _ in 0..10 {
        assert_eq!(ask(), 502);
    }
    // All are out, and one is back: nobody waits until its time has passed.
    let back = Application::at(&addresses[0].to_string());
    let answering = thread::spawn(move || drop(back.answers(ok("back"))));
    assert_eq!(ask(), 200);
    answering.join().unwrap();
}

#[test]
fn requests_are_shared_by_weight() {
    let servers: Vec<Capture> = (0..3).map(|_| Capture::start().unwrap()).collect();
    let mut upstream = upstream(servers.iter().map(Capture::address));
    upstream.servers[2].weight = 8;
    let gateway = Plan { upstream, ..plan(&Application::start()) }.start();
    let mut client = gateway.connect();
    for _ in 0..500 {
        client.send(gateway.request("GET / HTTP/1.1\r\nHOST\r\n\r\n")).unwrap();
        assert_eq!(client.response().unwrap().status, 200);
    }
    let shares: Vec<usize> = servers.iter().map(|server| server.take().len()).collect();
    assert_eq!(shares.iter().sum::<usize>(), 500);
    // 50, 50 and 400 are expected; ten standard deviations are far beyond chance.
    assert!(shares[0] > 5 && shares[1] > 5 && shares[2] > 310, "{shares:?}");
}

#[test]
fn a_server_that_has_more_to_do_gets_less() {
    let busy = Application::start();
    let idle = Capture::start().unwrap();
    let upstream = upstream([busy.address(), idle.address()]);
    let gateway = Plan { upstream, ..plan(&busy) }.start();
    // Requests that the first one does not answer, until it has some.
    let mut held = Vec::new();
    while held.len() < 6 {
        let client = gateway.sent("GET / HTTP/1.1\r\nHOST\r\n\r\n");
        match busy.accepts_within(Duration::from_millis(20)) {
            Some(served) => held.push((client, served)),
            None => drop(client),
        }
    }
    idle.take();
    let mut client = gateway.connect();
    for _ in 0..24 {
        client.send(gateway.request("GET / HTTP/1.1\r\nHOST\r\n\r\n")).unwrap();
        client.patience(Duration::from_millis(100)).unwrap();
        if client.response().is_err() {
            client = gateway.connect();
        }
    }
    // Only if chance names the busy one twice does it get a request: a quarter of them.
    assert!(idle.take().len() >= 8);
}

#[test]
fn a_server_that_is_killed_under_load_fails_no_request_that_may_be_repeated() {
    // They close what is idle for a moment, so that requests meet closing connections all the time.
    let http = "keepalive_timeout 15ms; server { listen {address}; location / { return 200 fine; } }";
    let start = || available(Nginx::start(1, http)).unwrap();
    let (Some(one), Some(other)) = (start(), start()) else { return };
    let upstream = upstream([one.address(), other.address()]);
    let gateway = Plan { upstream, ..plan(&Application::start()) }.start();
    let failed = AtomicUsize::new(0);
    thread::scope(|scope| {
        for visitor in 0..4 {
            let (gateway, failed) = (&gateway, &failed);
            scope.spawn(move || {
                let mut client = gateway.connect();
                for number in 0..150 {
                    client.send(gateway.request("GET / HTTP/1.1\r\nHOST\r\n\r\n")).unwrap();
                    let response = client.response().unwrap();
                    failed.fetch_add(usize::from(response.text() != "fine"), Ordering::Relaxed);
                    if number % 10 == visitor {
                        thread::sleep(Duration::from_millis(15));
                    }
                }
            });
        }
        thread::sleep(Duration::from_millis(150));
        drop(one);
    });
    assert_eq!(failed.into_inner(), 0);
    assert_eq!(gateway.counted("upstream_failed", "unreachable"), 0);
}

#[test]
fn no_post_arrives_twice_wherever_its_server_hangs_up() {
    let upload = "x".repeat(3000);
    let head = format!("POST /ID HTTP/1.1\r\nHOST\r\nContent-Length: {}\r\n\r\n", upload.len());
    let (one, other) = (Application::start(), Application::start());
    let upstream = upstream([one.address(), other.address()]);
    let gateway = Plan { upstream, ..plan(&one) }.start();
    for (number, point) in (0..2).flat_map(|_| [0, 1, 20, 120, 200, 1000, 3000]).enumerate() {
        let request = format!("{}{upload}", head.replace("ID", &number.to_string()));
        let mut client = gateway.sent(&request);
        let mut arrived = 0;
        let first = one.accepts_within(Duration::from_millis(500)).or_else(|| other.accepts_within(MOMENT));
        if let Some(mut served) = first {
            arrived += 1;
            served.read(point);
        }
        for server in [&one, &other] {
            arrived += usize::from(server.accepts_within(MOMENT).is_some());
        }
        assert_eq!(client.response().unwrap().status, 502, "{point}");
        assert_eq!(arrived, 1, "{point}");
    }
}
