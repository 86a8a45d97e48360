//! The gateway beside nginx, HAProxy and Apache.
//!
//! The rows take turns, round after round, each beginning one row further: what else happens on the machine
//! spreads over all of them, and a ratio is taken between two measurements of the same round. A server is
//! started for its measurement and stopped after it, so that no two of them share the machine.

mod bodies;
mod idle;
mod ours;
mod peers;
mod ratios;
mod report;
mod rows;
mod subject;
mod upstream;

use std::time::{Duration, Instant};

use serde::Serialize;

pub(crate) use report::Report;
pub(crate) use upstream::{OPEN, SESSION, SHOW, UPDATE, Upstream};

use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::machine::{self, Machine};
use crate::usage::{self, CpuTime, Memory};
use bodies::Bodies;
use idle::Idle;
use rows::{ROWS, Row};
use subject::Subject;

/// What to measure, for how long.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// How often each row is measured.
    pub(crate) rounds: u32,
    /// How long one measurement takes.
    pub(crate) length: Duration,
    /// How long the same load runs before it.
    pub(crate) warm_up: Duration,
    /// How many connections carry the load.
    pub(crate) connections: u32,
    /// Only these rows; all of them when there are none.
    pub(crate) only: Vec<String>,
}

impl Plan {
    fn includes(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    /// How often that is measured which takes long and varies little.
    fn few_rounds(&self) -> u32 {
        self.rounds.min(3)
    }
}

/// What one measurement of one row found.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Measurement {
    pub(crate) requests_per_second: f64,
    /// Of all processes of the server.
    pub(crate) cpu_microseconds_per_request: f64,
    /// The part of it that the programs themselves used. The rest is the kernel's.
    pub(crate) user_microseconds_per_request: f64,
    pub(crate) p50_microseconds: f64,
    pub(crate) p99_microseconds: f64,
    /// Memory before the load, when a few requests were answered.
    pub(crate) resident_bytes_at_start: f64,
    /// Memory after the last one.
    pub(crate) resident_bytes: f64,
    pub(crate) proportional_bytes: f64,
    pub(crate) processes: f64,
    /// What part of the machine's CPU time went to programs that have nothing to do with the measurement.
    pub(crate) share_of_others: f64,
}

/// A row with what was measured of it, one measurement a round.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) row: &'static Row,
    pub(crate) rounds: Vec<Measurement>,
}

/// Measures everything that is installed. What is not is named in the report.
pub(crate) fn measure(plan: &Plan, interrupt: &Interrupt) -> Result<Report> {
    let mut measured: Vec<Measured> =
        chosen(&plan.only)?.into_iter().map(|row| Measured { row, rounds: Vec::new() }).collect();
    let mut skipped = Vec::new();
    let upstream = Upstream::start()?;
    if measured.iter().any(|measured| measured.row.is_ours()) {
        // Starting builds what is not up to date, and that is not to happen between two measurements.
        eprintln!("building Cloakroom, which takes minutes when it was changed");
        ours::without_sessions(&upstream)?;
    }
    for round in 1..=plan.rounds {
        for Measured { row, rounds } in &mut measured {
            eprint!("round {round} of {}: {} ... ", plan.rounds, row.id);
            let outcome = measure_row(row, &upstream, plan);
            // Such an outcome may be one of a part of the time, or an error that is nobody's fault.
            interrupt.check()?;
            match outcome {
                Ok(one) => {
                    eprintln!("{:.1} us of CPU a request", one.cpu_microseconds_per_request);
                    rounds.push(one);
                }
                Err(error) => {
                    let missing = error.missing().ok_or(error)?;
                    eprintln!("skipped: {missing}");
                    skipped.push((row.id, missing));
                }
            }
        }
        measured.retain(|measured| !measured.rounds.is_empty());
        if !measured.is_empty() {
            measured.rotate_left(1);
        }
    }
    measured.sort_by_key(|measured| ROWS.iter().position(|row| row.id == measured.row.id));
    let idle =
        if plan.includes(idle::NAME) { idle::measure(plan, &upstream, interrupt)? } else { Vec::new() };
    let bodies = if plan.includes(bodies::NAME) { bodies::measure(plan, interrupt)? } else { Vec::new() };
    Ok(Report::new(plan, Machine::with(&machine::OF_THE_GATEWAY), &measured, skipped).with(idle, bodies))
}

fn chosen(only: &[String]) -> Result<Vec<&'static Row>> {
    if only.is_empty() {
        return Ok(ROWS.iter().collect());
    }
    only.iter()
        .filter(|asked| ![idle::NAME, bodies::NAME].contains(&asked.as_str()))
        .map(|asked| {
            ROWS.iter().find(|row| row.id == asked).ok_or_else(|| Error::NoSuchRow {
                asked: asked.clone(),
                known: ROWS
                    .map(|row| row.id)
                    .into_iter()
                    .chain([idle::NAME, bodies::NAME])
                    .collect::<Vec<_>>()
                    .join(", "),
            })
        })
        .collect()
}

fn measure_row(row: &'static Row, upstream: &Upstream, plan: &Plan) -> Result<Measurement> {
    let subject = (row.start)(upstream)?;
    subject.check(row.id)?;
    let Subject { server, load, .. } = subject;
    let at_start = Memory::of(&server.process().group())?;
    load.send(server.address(), plan.connections, plan.warm_up)?;

    let before = Usage::now(&*server, upstream)?;
    let began = Instant::now();
    let seen = load.send(server.address(), plan.connections, plan.length)?;
    let elapsed = began.elapsed();
    let after = Usage::now(&*server, upstream)?;
    let memory = Memory::of(&server.process().group())?;

    let used = after.since(&before);
    #[expect(clippy::cast_precision_loss, reason = "none of them comes near 2^52")]
    Ok(Measurement {
        requests_per_second: seen.requests as f64 * 1e6 / seen.microseconds as f64,
        cpu_microseconds_per_request: used.server.total().as_secs_f64() * 1e6 / seen.requests as f64,
        user_microseconds_per_request: used.server.user.as_secs_f64() * 1e6 / seen.requests as f64,
        p50_microseconds: seen.p50 as f64,
        p99_microseconds: seen.p99 as f64,
        resident_bytes_at_start: at_start.resident as f64,
        resident_bytes: memory.resident as f64,
        proportional_bytes: memory.proportional as f64,
        processes: server.process().group().len() as f64,
        share_of_others: used.others().as_secs_f64() / (elapsed.as_secs_f64() * machine::cores() as f64),
    })
}

/// CPU times at one moment, or between two.
#[derive(Debug)]
struct Usage {
    server: CpuTime,
    upstream: CpuTime,
    load: CpuTime,
    machine: Duration,
}

impl Usage {
    fn now(server: &dyn subject::Server, upstream: &Upstream) -> Result<Self> {
        Ok(Self {
            server: CpuTime::of(&server.process().group())?,
            upstream: CpuTime::of(&upstream.process().group())?,
            load: CpuTime::of(&[std::process::id()])?,
            machine: usage::cpu_time_of_machine()?,
        })
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            server: self.server.since(before.server),
            upstream: self.upstream.since(before.upstream),
            load: self.load.since(before.load),
            machine: self.machine.saturating_sub(before.machine),
        }
    }

    /// What nobody of the measurement used. The machine's own time is counted in whole ticks, so it may come
    /// out a little below the sum of the others.
    fn others(&self) -> Duration {
        self.machine.saturating_sub(self.server.total() + self.upstream.total() + self.load.total())
    }
}
