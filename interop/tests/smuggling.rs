//! Requests that two servers could read differently, and headers that a visitor must not get through.
//!
//! Each case says what it sends by the byte, what the visitor is answered, and exactly what the application then
//! saw: the request line, every header line, the body in its framing, and nothing besides. A case that is
//! refused reached the application with nothing at all. The mechanisms are those by which proxies have been
//! taken in: RFC 9112 sections 6 and 11, and the advisories named at the cases.

mod bodies;
mod framing;
mod headers;
mod hosts;
mod upgrades;

use std::time::Duration;

use interop::raw::Connection;
use interop::{Capture, Cloakroom, Request};

use crate::given;

/// Long enough for one request more to show up, if there is one.
const SILENCE: Duration = Duration::from_millis(150);

/// What is sent, and what comes of it. `{host}` stands for the gateway's address, `{cookie}` for the cookie of a
/// session that holds `user=ada`.
struct Case {
    name: &'static str,
    sent: &'static [u8],
    then: Then,
}

enum Then {
    /// Answered with that status, the connection closed, and nothing of it reached the application: nobody can
    /// say where the next request begins.
    Refused(u16),
    /// The same, but it is clear where the request ends, so the connection may stay open.
    Declined(u16),
    /// Answered with 200 for each of these, which is what the application saw.
    Forwarded(&'static [Seen]),
}

/// A request as the application saw it.
struct Seen {
    line: &'static str,
    /// What came beside the lines that the gateway writes into every request.
    headers: &'static [&'static str],
    body: &'static [u8],
}

/// What the gateway writes into every request, for a visitor who came directly.
const ALWAYS: [&str; 5] = [
    "host: {host}",
    "x-forwarded-for: 127.0.0.1",
    "x-forwarded-host: {host}",
    "x-forwarded-proto: http",
    "forwarded: for=127.0.0.1;proto=http;host=\"{host}\"",
];

/// A GET of `/` with no header lines of its own.
const PLAIN: Seen = Seen { line: "GET / HTTP/1.1", headers: &[], body: b"" };

/// Runs the cases against one gateway and tells of all that went wrong, not only of the first.
fn check(cases: &[Case]) {
    let upstream = given::application();
    let cloakroom = given::gateway(&upstream);
    let cookie = given::session_with(&cloakroom, "user=ada");
    upstream.take();
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let result = case.run(&cloakroom, &upstream, &cookie);
            result.err().map(|wrong| format!("{}: {wrong}", case.name))
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

impl Case {
    fn run(&self, cloakroom: &Cloakroom, upstream: &Capture, cookie: &str) -> Result<(), String> {
        let host = cloakroom.gateway().to_string();
        let statuses = self.send(cloakroom, &host, cookie)?;
        let seen = upstream.take();
        let fragments = upstream.take_fragments();
        if !fragments.is_empty() {
            return Err(format!("half a request reached the application: {}", shown(&fragments.concat())));
        }
        let (expected_statuses, expected) = match &self.then {
            Then::Refused(status) | Then::Declined(status) => (vec![*status], &[][..]),
            Then::Forwarded(expected) => (vec![200; expected.len()], *expected),
        };
        if statuses != expected_statuses {
            let log = cloakroom.log();
            let log: Vec<&str> = log.lines().rev().take(3).collect();
            return Err(format!("answered {statuses:?} instead of {expected_statuses:?}; {seen:?} {log:?}"));
        }
        if seen.len() != expected.len() {
            return Err(format!("the application saw {} requests: {seen:?}", seen.len()));
        }
        seen.iter().zip(expected).try_for_each(|(seen, expected)| expected.check(seen, &host, cookie))
    }

    /// The statuses of all answers that came.
    fn send(&self, cloakroom: &Cloakroom, host: &str, cookie: &str) -> Result<Vec<u16>, String> {
        let text = |error: interop::Error| error.to_string();
        let mut connection = Connection::open(cloakroom.gateway()).map_err(text)?;
        let bytes = replace(self.sent, b"{host}", host.as_bytes());
        connection.send(replace(&bytes, b"{cookie}", cookie.as_bytes())).map_err(text)?;
        let wanted = match &self.then {
            Then::Refused(_) | Then::Declined(_) => 1,
            Then::Forwarded(expected) => expected.len(),
        };
        let mut statuses = Vec::new();
        for _ in 0..wanted {
            statuses.push(connection.response().map_err(text)?.status);
        }
        if let Then::Refused(_) = self.then {
            let rest = connection.rest().map_err(|error| format!("the connection is still open: {error}"))?;
            return if rest.is_empty() { Ok(statuses) } else { Err(format!("then came {}", shown(&rest))) };
        }
        connection.patience(SILENCE).map_err(text)?;
        // Silence and a closed connection are both fine; another answer is not.
        match connection.response() {
            Ok(more) => Err(format!("one answer too many: {more:?}")),
            Err(_) => Ok(statuses),
        }
    }
}

impl Seen {
    fn check(&self, request: &Request, host: &str, cookie: &str) -> Result<(), String> {
        let mut expected: Vec<String> = ALWAYS
            .iter()
            .chain(self.headers)
            .map(|line| line.replace("{host}", host).replace("{cookie}", cookie))
            .collect();
        expected.sort();
        let mut lines: Vec<String> = request.header_lines().iter().map(|line| lower_name(line)).collect();
        lines.sort();
        if request.line() != self.line || lines != expected || request.body != self.body {
            return Err(format!(
                "the application saw\n  {} {lines:#?} {}\ninstead of\n  {} {expected:#?} {}",
                request.line(),
                shown(&request.body),
                self.line,
                shown(self.body),
            ));
        }
        Ok(())
    }
}

/// The case of a name means nothing, and is the HTTP library's choice.
fn lower_name(line: &str) -> String {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    format!("{}:{value}", name.to_ascii_lowercase())
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix(from) {
            replaced.extend(to);
            rest = after;
        } else {
            replaced.push(rest[0]);
            rest = &rest[1..];
        }
    }
    replaced
}

fn shown(bytes: &[u8]) -> String {
    format!("\"{}\"", bytes.escape_ascii())
}
