//! What the application is told about where a request comes from.

use gateway::forwarded::Writes;

use crate::application::Application;
use crate::given::{Plan, ok, plan};

/// What the application gets to see of these headers, and the `Host`.
fn told(plan: Plan, application: &Application, sent: &str) -> Vec<String> {
    let gateway = plan.start();
    let mut client = gateway.sent(&format!("GET / HTTP/1.1\r\nHost: shop.example\r\n{sent}\r\n"));
    let mut served = application.accept();
    let head = served.head();
    served.send(ok(""));
    assert_eq!(client.response().unwrap().status, 200);
    let mut lines: Vec<String> =
        head.lines().skip(1).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    lines.sort();
    lines
}

const FORGED: &str = "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.example\r\n\
                      Forwarded: for=203.0.113.8;proto=https;host=evil.example\r\nX_Forwarded_For: 203.0.113.9\r\n\
                      X-Real-IP: 203.0.113.7\r\nX-Forwarded-Prefix: /evil\r\n";

#[test]
fn a_client_that_is_no_trusted_proxy_is_not_believed() {
    let application = Application::start();
    assert_eq!(
        told(plan(&application), &application, FORGED),
        [
            "forwarded: for=127.0.0.1;proto=http;host=shop.example",
            "host: shop.example",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: shop.example",
            "x-forwarded-proto: http",
        ]
    );
}

#[test]
fn a_trusted_proxy_is_believed_in_the_headers_that_it_writes() {
    let application = Application::start();
    let trusted = &["127.0.0.0/8"];
    assert_eq!(
        told(Plan { trusted, ..plan(&application) }, &application, FORGED),
        [
            "forwarded: for=203.0.113.7;proto=https;host=evil.example, for=127.0.0.1",
            "host: shop.example",
            "x-forwarded-for: 203.0.113.7, 127.0.0.1",
            "x-forwarded-host: evil.example",
            "x-forwarded-prefix: /evil",
            "x-forwarded-proto: https",
            "x-real-ip: 203.0.113.7",
        ]
    );
    let told = told(Plan { trusted, writes: Writes::Forwarded, ..plan(&application) }, &application, FORGED);
    assert!(told.contains(&"x-forwarded-for: 203.0.113.8, 127.0.0.1".to_owned()), "{told:?}");
}

#[test]
fn only_what_stands_right_of_the_last_stranger_counts() {
    let application = Application::start();
    let plan = Plan { trusted: &["127.0.0.1/32", "10.0.0.0/8"], ..plan(&application) };
    let told = told(plan, &application, "X-Forwarded-For: 127.0.0.1, 198.51.100.1, 10.1.1.1\r\n");
    assert!(told.contains(&"x-forwarded-for: 198.51.100.1, 10.1.1.1, 127.0.0.1".to_owned()), "{told:?}");
}

#[test]
fn addresses_of_ip_version_6_are_written_as_each_header_wants_them() {
    let application = Application::at("[::1]:0");
    let plan = Plan { listen: "[::1]:0", ..plan(&application) };
    assert_eq!(
        told(plan, &application, ""),
        [
            "forwarded: for=\"[::1]\";proto=http;host=shop.example",
            "host: shop.example",
            "x-forwarded-for: ::1",
            "x-forwarded-host: shop.example",
            "x-forwarded-proto: http",
        ]
    );
    let plan = Plan { listen: "[::1]:0", trusted: &["::1/128"], ..crate::given::plan(&application) };
    let told = told(plan, &application, "X-Forwarded-For: 2001:db8::1\r\n");
    assert!(told.contains(&"x-forwarded-for: 2001:db8::1, ::1".to_owned()), "{told:?}");
    assert!(
        told.contains(
            &"forwarded: for=\"[2001:db8::1]\";proto=http;host=shop.example, for=\"[::1]\"".to_owned()
        ),
        "{told:?}"
    );
}

#[test]
fn an_application_that_wants_its_own_host_still_learns_the_one_that_was_asked_for() {
    let application = Application::start();
    let told = told(Plan { preserve_host: false, ..plan(&application) }, &application, "");
    let host = format!("host: {}", application.address());
    assert!(told.contains(&host), "{told:?}");
    assert!(told.contains(&"x-forwarded-host: shop.example".to_owned()), "{told:?}");
    assert_eq!(told.iter().filter(|line| line.starts_with("host:")).count(), 1);
}

#[test]
fn connection_takes_none_of_it_away() {
    let application = Application::start();
    let sent = "Connection: close, X-Forwarded-For, X-Forwarded-Proto, Forwarded, Host\r\n";
    assert_eq!(told(plan(&application), &application, sent).len(), 5);
}

#[test]
fn the_context_of_a_trace_is_passed_on_as_it_came() {
    let application = Application::start();
    let context = [
        "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "tracestate: vendor=1,other=2",
    ];
    let told = told(plan(&application), &application, &format!("{}\r\n", context.join("\r\n")));
    for line in context {
        assert!(told.contains(&line.to_owned()), "{told:?}");
    }
}
