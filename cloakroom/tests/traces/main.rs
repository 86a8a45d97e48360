//! Traces, as a collector gets them: a small one of the test's takes what the running program sends.

#![cfg(test)]

mod collected;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use interop::raw::{self, Response};
use interop::{Answer, Capture, Port, Process};
use tempfile::TempDir;

use self::collected::{Kind, Span, Value, spans};

/// The trace of a client, and its span.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLIENT: &str = "00f067aa0ba902b7";

/// A Cloakroom before an application that opens a session, with a collector.
struct Traced {
    process: Process,
    gateway: Port,
    application: Capture,
    collector: Capture,
    _place: TempDir,
}

impl Traced {
    fn start(traces: &str) -> Self {
        Self::before(
            Capture::answering(|_| Answer::with("X-Replace-Session: basket=tea\r\n", "")).unwrap(),
            traces,
        )
    }

    fn before(application: Capture, traces: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let (gateway, server) = (Port::claim().unwrap(), Port::claim().unwrap());
        let collector = Capture::start().unwrap();
        let text = format!(
            "data_dir = \"data\"\n[listen]\ngateway = \"{}\"\nserver = \"{}\"\n\
             [traces]\nendpoint = \"{}\"\n{traces}\n\
             [[application]]\nid = \"shop\"\nupstream = \"{}\"\n[application.cookie]\nname = \"s\"\nsecure = false\n",
            gateway.address(),
            server.address(),
            collector.url(),
            application.url(),
        );
        std::fs::write(place.path().join("cloakroom.toml"), text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cloakroom"));
        command.args(["run", "--config", "cloakroom.toml"]).current_dir(place.path());
        command.env_remove("CLOAKROOM_CONFIG").env_remove("RUST_LOG");
        let mut process = Process::spawn(command, place.path().join("log")).unwrap();
        process.wait_for(gateway.address()).unwrap();
        Self { process, gateway, application, collector, _place: place }
    }

    fn get(&self, target: &str, headers: &str) -> Response {
        raw::get(self.gateway.address(), target, headers).unwrap()
    }

    /// Ends it, and gives every span that it sent.
    fn spans(mut self) -> Vec<Span> {
        self.process.terminate().unwrap();
        assert!(self.process.wait(Duration::from_secs(30)).unwrap().success(), "{}", self.process.log());
        let sent = self.collector.take();
        for request in &sent {
            assert_eq!(request.line(), "POST /v1/traces HTTP/1.1");
            assert_eq!(request.header("content-type").as_deref(), Some("application/x-protobuf"));
        }
        sent.iter().flat_map(|request| spans(&request.body)).collect()
    }
}

fn traceparent(flags: &str) -> String {
    format!("traceparent: 00-{TRACE}-{CLIENT}-{flags}\r\ntracestate: vendor=1\r\n")
}

fn only(spans: &[Span], kind: Kind, name: &str) -> Span {
    let found: Vec<&Span> = spans.iter().filter(|span| span.kind == kind && span.name == name).collect();
    assert_eq!(found.len(), 1, "{kind:?} {name} in {spans:#?}");
    found[0].clone()
}

#[test]
fn a_request_is_a_child_of_its_client_and_has_children_of_its_own() {
    let traced = Traced::start("");
    let response = traced.get("/basket?secret=1", &traceparent("01"));
    assert_eq!(response.status, 200);
    let told = traced.application.take().remove(0);
    let spans = traced.spans();

    let server = only(&spans, Kind::Server, "GET");
    assert_eq!((server.trace.as_str(), server.parent.as_str()), (TRACE, CLIENT));
    let upstream = only(&spans, Kind::Client, "GET");
    assert_eq!((upstream.trace.as_str(), &upstream.parent), (TRACE, &server.id));
    let create = only(&spans, Kind::Client, "create");
    assert_eq!((create.trace.as_str(), &create.parent), (TRACE, &server.id));
    assert!(spans.iter().all(|span| span.trace == TRACE), "housekeeping is in no trace: {spans:#?}");

    assert_eq!(told.header("traceparent").unwrap(), format!("00-{TRACE}-{}-01", upstream.id));
    assert_eq!(told.header("tracestate").as_deref(), Some("vendor=1"));

    assert_eq!(server.attribute("http.request.method"), Some(&Value::Text("GET".to_owned())));
    assert_eq!(server.attribute("url.path"), Some(&Value::Text("/basket".to_owned())));
    assert_eq!(server.attribute("http.response.status_code"), Some(&Value::Number(200)));
    assert_eq!(server.attribute("cloakroom.application"), Some(&Value::Text("shop".to_owned())));
    assert_eq!(upstream.text("url.path"), "/basket");
    assert_eq!(create.attribute("db.operation.name"), Some(&Value::Text("create".to_owned())));
    assert!(server.begin <= upstream.begin && upstream.end <= server.end);
}

#[test]
fn no_span_holds_a_secret() {
    let traced = Traced::start("");
    let opened = traced.get("/?token=query", "Authorization: Bearer bearing\r\n");
    let cookie = opened.cookie("s").unwrap().to_owned();
    traced.get("/again", &format!("Cookie: {cookie}\r\n"));
    let (_, secret) = cookie.rsplit_once('.').unwrap();
    let handle = cookie.trim_start_matches("s=").split('.').next().unwrap().to_owned();
    let text = format!("{:?}", traced.spans());
    assert!(text.contains("/again"), "{text}");
    for hidden in [secret, &handle, "query", "bearing", "tea"] {
        assert!(!text.contains(hidden), "{hidden} is in {text}");
    }
}

#[test]
fn a_client_decides_what_is_traced_only_where_its_word_is_taken() {
    for (sampling, flags, expected) in
        [("ratio", "00", 1), ("parent", "00", 0), ("parent", "01", 1), ("ratio", "01", 1)]
    {
        let traced = Traced::start(&format!("sampling = \"{sampling}\""));
        traced.get("/", &traceparent(flags));
        let spans = traced.spans();
        let servers = spans.iter().filter(|span| span.kind == Kind::Server).count();
        assert_eq!(servers, expected, "{sampling} {flags}: {spans:#?}");
    }
}

#[test]
fn what_fails_is_an_error_in_the_trace() {
    // Nobody listens there any more.
    let gone = Capture::answering(|_| Answer::Close(Vec::new())).unwrap();
    let traced = Traced::before(gone, "");
    assert_eq!(traced.get("/", "").status, 502);
    let spans = traced.spans();
    let server = only(&spans, Kind::Server, "GET");
    let upstream = only(&spans, Kind::Client, "GET");
    assert!(server.is_error && upstream.is_error, "{spans:#?}");
    assert_eq!(server.text("error.type"), "502");
    assert_eq!(upstream.text("error.type"), "broken_answer");
    assert_eq!(server.parent, "", "without a traceparent a trace begins");
}

#[test]
fn a_broken_traceparent_begins_a_new_trace_and_goes_no_further() {
    let traced = Traced::start("");
    traced.get("/", "traceparent: 00-zz-00-01\r\ntracestate: vendor=1\r\n");
    let told = traced.application.take().remove(0);
    let spans = traced.spans();
    let upstream = only(&spans, Kind::Client, "GET");
    assert_eq!(told.header("traceparent").unwrap(), format!("00-{}-{}-01", upstream.trace, upstream.id));
    assert_eq!(told.header("tracestate"), None);
}

#[test]
fn a_collector_that_is_away_costs_traces_and_a_line_in_the_log() {
    let traced = Traced::start("");
    let place = traced._place.path().join("log");
    let log = |place: &Path| std::fs::read_to_string(place).unwrap();
    let Traced { mut process, gateway, application, collector, _place } = traced;
    drop(collector);
    // The listener goes with the next connection that it takes.
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(raw::get(gateway.address(), "/", "").unwrap().status, 200);
    process.terminate().unwrap();
    assert!(process.wait(Duration::from_secs(30)).unwrap().success());
    assert!(log(&place).contains("traces could not be sent; they are lost"), "{}", log(&place));
    drop(application);
}
