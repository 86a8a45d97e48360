//! What the servers' own load generators make of the same server: a check from outside that the bare drivers are measured
//! as they should be.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use interop::{Postgres, Redis};
use serde::Serialize;
use tempfile::TempDir;

use super::sessions::VALUE_BYTES;
use crate::engine::CONNECTIONS;
use crate::error::{Error, Result};
use crate::machine;
use crate::usage::{CpuTime, family};

/// A load generator of somebody else.
pub(super) trait Outside: Send {
    /// Has it do everything that it does, with one client and with many, each for about that long.
    fn measure(&self, length: Duration, sessions: u64) -> Result<Vec<Reference>>;
}

/// What it said, and what it took.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Reference {
    pub(super) program: &'static str,
    pub(super) what: &'static str,
    pub(super) clients: u32,
    pub(super) per_second: f64,
    /// Of the load generator.
    pub(super) own_microseconds: f64,
    /// Of the server.
    pub(super) server_microseconds: f64,
}

/// `redis-benchmark`, with values of the same size.
pub(super) fn redis_benchmark(server: &Redis) -> Box<dyn Outside> {
    Box::new(RedisBenchmark { port: server.address().port(), server: server.process().id() })
}

/// `pgbench`, with prepared statements on a table of its own.
pub(super) fn pgbench(server: &Postgres) -> Result<Box<dyn Outside>> {
    let id = server.process().map(interop::Process::id).unwrap_or_default();
    let directory = tempfile::tempdir().map_err(Error::file("a directory"))?;
    for (what, script) in SCRIPTS {
        let path = directory.path().join(what);
        std::fs::write(&path, script).map_err(Error::file(&path))?;
    }
    let rows = format!(
        "CREATE SEQUENCE outside_number START 1000000000; \
         CREATE TABLE outside (id bigint PRIMARY KEY, value bytea); \
         INSERT INTO outside SELECT number, decode(repeat('5a', {VALUE_BYTES}), 'hex') \
         FROM generate_series(1, {ROWS}) AS number"
    );
    server.sql("postgres", &rows)?;
    Ok(Box::new(Pgbench { port: server.address().port(), server: id, directory }))
}

struct RedisBenchmark {
    port: u16,
    server: u32,
}

/// How many requests it sends with one client and with many in a second, about. It counts requests, and no time.
const REQUESTS: [(u32, f64); 2] = [(1, 15_000.0), (super::MANY_CLIENTS, 80_000.0)];

impl Outside for RedisBenchmark {
    fn measure(&self, length: Duration, sessions: u64) -> Result<Vec<Reference>> {
        let mut references = Vec::new();
        for (what, name) in [("SET", "set"), ("GET", "get")] {
            for (clients, rate) in REQUESTS {
                let requests = (rate * length.as_secs_f64()).max(1000.0) as u64;
                let mut command = Command::new(interop::find("redis-benchmark", "redis-tools")?);
                command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "--csv", "-t", name]);
                command.args(["-n", &requests.to_string(), "-c", &clients.to_string()]);
                command.args(["-d", &VALUE_BYTES.to_string(), "-r", &sessions.to_string()]);
                let (text, own, server) = run(command, self.server)?;
                let per_second = rate_of_redis(&text, what).ok_or_else(|| unreadable(&text))?;
                references.push(Reference {
                    program: "redis-benchmark",
                    what,
                    clients,
                    per_second,
                    own_microseconds: own.as_secs_f64() * 1e6 / requests as f64,
                    server_microseconds: server.as_secs_f64() * 1e6 / requests as f64,
                });
            }
        }
        Ok(references)
    }
}

struct Pgbench {
    port: u16,
    server: u32,
    directory: TempDir,
}

/// Rows in its table.
const ROWS: u32 = 100_000;

const SCRIPTS: [(&str, &str); 3] = [
    ("INSERT", "INSERT INTO outside SELECT nextval('outside_number'), value FROM outside WHERE id = 1;\n"),
    ("SELECT", "\\set id random(1, 100000)\nSELECT value FROM outside WHERE id = :id;\n"),
    ("UPDATE", "\\set id random(2, 100000)\nUPDATE outside SET value = value WHERE id = :id;\n"),
];

impl Outside for Pgbench {
    fn measure(&self, length: Duration, _: u64) -> Result<Vec<Reference>> {
        let mut references = Vec::new();
        for (what, _) in SCRIPTS {
            for clients in [1, CONNECTIONS] {
                let mut command = Command::new(interop::find("pgbench", "postgresql")?);
                let threads = machine::cores().min(clients as usize);
                command.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "admin", "-n"]);
                command.args(["-M", "prepared", "-c", &clients.to_string(), "-j", &threads.to_string()]);
                // It counts whole seconds.
                command.args(["-T", &length.as_secs().max(1).to_string(), "-f"]);
                command.arg(Path::new(self.directory.path()).join(what)).arg("postgres");
                let (text, own, server) = run(command, self.server)?;
                let (operations, per_second) = rate_of_pgbench(&text).ok_or_else(|| unreadable(&text))?;
                references.push(Reference {
                    program: "pgbench",
                    what,
                    clients,
                    per_second,
                    own_microseconds: own.as_secs_f64() * 1e6 / operations,
                    server_microseconds: server.as_secs_f64() * 1e6 / operations,
                });
            }
        }
        Ok(references)
    }
}

/// What it printed, and what it and the server used meanwhile.
fn run(mut command: Command, server: u32) -> Result<(String, Duration, Duration)> {
    let (own, servers) = (CpuTime::of_ended_children()?, CpuTime::of(&family(server))?);
    let output = command.output().map_err(Error::file(command.get_program()))?;
    let own = CpuTime::of_ended_children()?.since(own).total();
    let server = CpuTime::of(&family(server))?.since(servers).total();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok((text, own, server));
    }
    Err(Error::Load(String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// The second column of the line that begins with the name of the test.
fn rate_of_redis(text: &str, test: &str) -> Option<f64> {
    let mut lines = text.lines().map(|line| line.split(',').map(|column| column.trim_matches('"')));
    lines.find_map(|mut columns| (columns.next()? == test).then(|| columns.next()?.parse().ok())?)
}

/// How many transactions there were, and how many a second.
fn rate_of_pgbench(text: &str) -> Option<(f64, f64)> {
    let number = |before: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(before))?;
        rest.split(['/', ' ']).next()?.parse().ok()
    };
    Some((number("number of transactions actually processed: ")?, number("tps = ")?))
}

fn unreadable(text: &str) -> Error {
    Error::Load(format!("this is no result: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redis_benchmark_prints_is_read() {
        let text = "\"test\",\"rps\",\"avg_latency_ms\"\n\"SET\",\"51282.05\",\"0.8\"\n";
        assert_eq!(rate_of_redis(text, "SET"), Some(51282.05));
        assert_eq!(rate_of_redis(text, "GET"), None);
    }

    #[test]
    fn what_pgbench_prints_is_read() {
        let text = "number of clients: 1\nnumber of transactions actually processed: 1234\n\
                    tps = 617.250000 (without initial connection time)\n";
        assert_eq!(rate_of_pgbench(text), Some((1234.0, 617.25)));
        let limited = "number of transactions actually processed: 10/10\ntps = 5.0 (x)\n";
        assert_eq!(rate_of_pgbench(limited), Some((10.0, 5.0)));
    }
}
