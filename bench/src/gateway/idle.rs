//! What a visitor costs who is connected and asks for nothing: memory of the server, over ten thousand of them.

use std::fmt::Write;
use std::thread;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

use super::Plan;
use super::subject::{Server, With};
use super::upstream::{BODY, PLAIN, Upstream};
use super::{ours, peers};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::load::Client;
use crate::spread::Spread;
use crate::usage::Memory;

/// What asks for this alone, on the command line.
pub(super) const NAME: &str = "idle";

/// How many are connected at a time.
const CONNECTIONS: u32 = 10_000;

/// A server, and how one connects to it.
struct Case {
    id: &'static str,
    what: &'static str,
    start: fn(&Upstream) -> Result<Box<dyn Server>>,
    connect: fn(std::net::SocketAddr) -> Result<Client>,
}

const CASES: [Case; 4] = [
    Case { id: "nginx", what: "nginx", start: nginx, connect: Client::clear },
    Case { id: "cloakroom", what: "**Cloakroom**", start: cloakroom, connect: Client::clear },
    Case { id: "nginx-tls", what: "nginx over TLS", start: nginx_tls, connect: Client::tls },
    Case { id: "cloakroom-tls", what: "**Cloakroom** over TLS", start: cloakroom_tls, connect: Client::tls },
];

/// What one of them takes.
#[derive(Debug, Serialize)]
pub(crate) struct Idle {
    id: &'static str,
    what: &'static str,
    connections: u32,
    /// What the server takes more than before, for each connection.
    bytes_each: Spread,
    /// What it takes in all.
    resident_bytes: Spread,
}

/// Measures each server in turn.
pub(super) fn measure(plan: &Plan, upstream: &Upstream, interrupt: &Interrupt) -> Result<Vec<Idle>> {
    raise_file_limit()?;
    let mut measured: [Vec<(f64, f64)>; CASES.len()] = Default::default();
    for round in 1..=plan.few_rounds() {
        for (case, found) in CASES.iter().zip(&mut measured) {
            eprint!("idle connections, round {round}: {} ... ", case.id);
            let one = measure_one(case, upstream)?;
            interrupt.check()?;
            eprintln!("{:.0} bytes each", one.0);
            found.push(one);
        }
    }
    let idle = |(case, found): (&Case, Vec<(f64, f64)>)| {
        Some(Idle {
            id: case.id,
            what: case.what,
            connections: CONNECTIONS,
            bytes_each: Spread::of(found.iter().map(|one| one.0))?,
            resident_bytes: Spread::of(found.iter().map(|one| one.1))?,
        })
    };
    Ok(CASES.iter().zip(measured).filter_map(idle).collect())
}

/// Bytes for each connection, and in all.
fn measure_one(case: &Case, upstream: &Upstream) -> Result<(f64, f64)> {
    let server = (case.start)(upstream)?;
    let visit = || -> Result<Client> {
        let mut client = (case.connect)(server.address())?;
        match client.get(PLAIN)? {
            body if body == BODY => Ok(client),
            body => Err(Error::Wrong { row: case.id, what: format!("expected `{BODY}`, got `{body}`") }),
        }
    };
    drop(visit()?);
    let before = Memory::of(&server.process().group())?.resident;
    let mut clients = (0..CONNECTIONS).map(|_| visit()).collect::<Result<Vec<_>>>()?;
    // What is freed when a request is over is freed by now.
    thread::sleep(Duration::from_secs(1));
    let after = Memory::of(&server.process().group())?.resident;
    // None was closed meanwhile: then the first would be.
    for client in clients.iter_mut().take(1) {
        client.get(PLAIN)?;
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    Ok((after.saturating_sub(before) as f64 / f64::from(CONNECTIONS), after as f64))
}

/// Both this program and the servers that it starts have a file for each connection.
fn raise_file_limit() -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    setrlimit(Resource::Nofile, raised).map_err(|errno| Error::file("the limit of open files")(errno.into()))
}

fn nginx(upstream: &Upstream) -> Result<Box<dyn Server>> {
    Ok(Box::new(peers::start_nginx(upstream.address(), "", "")?))
}

fn nginx_tls(upstream: &Upstream) -> Result<Box<dyn Server>> {
    let (listen, files) = peers::listen_tls()?;
    Ok(Box::new(With { server: peers::start_nginx(upstream.address(), &listen, "")?, _beside: files }))
}

fn cloakroom(upstream: &Upstream) -> Result<Box<dyn Server>> {
    Ok(Box::new(ours::start(upstream.address(), "", ours::NONE)?))
}

fn cloakroom_tls(upstream: &Upstream) -> Result<Box<dyn Server>> {
    Ok(Box::new(ours::start(upstream.address(), ours::TLS, ours::NONE)?))
}

/// The part of the page about them.
pub(super) fn section(measured: &[Idle]) -> String {
    let mut section = String::new();
    if measured.is_empty() {
        return section;
    }
    section.push_str(
        "\n## Idle connections\n\n\
         Each has made one request over HTTP/1.1 and waits. What the kernel keeps for them is not counted.\n\n\
         | server | connections | bytes each | resident MB in all |\n|---|---|---|---|\n",
    );
    for Idle { what, connections, bytes_each, resident_bytes, .. } in measured {
        // Writing to a text cannot fail.
        let _ = writeln!(
            section,
            "| {what} | {connections} | {} | {:.1} |",
            bytes_each.shown(0),
            super::report::megabytes(*resident_bytes).median
        );
    }
    section
}
