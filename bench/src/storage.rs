//! Every storage engine through the contract, beside what it is built on.
//!
//! An engine and the bare driver of its server take turns on one server, stretch by stretch, and a ratio is taken between
//! two stretches of one round: what else happens on the machine meets both. What counts is CPU time, of this process for
//! the engine's own work and of the server's processes for what it asks of them; how many operations a second there are
//! says more about the machine.

mod bare;
mod comparison;
mod contract;
mod outside;
mod report;
mod rows;
mod sessions;
mod subjects;
mod why;
mod work;

use std::ops::Range;
use std::time::{Duration, Instant};

use serde::Serialize;
use tokio::runtime::{Builder, Runtime};

pub(crate) use bare::serve as serve_echo;
pub(crate) use report::Report;

use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::machine::{self, Machine};
use crate::usage::{self, CpuTime};
use comparison::Comparison;
use outside::Reference;
use rows::Row;
use subjects::{Side, Subject};
use work::{Operation, Stretch};

/// How many clients there are where there are many. As in the design.
const MANY_CLIENTS: u32 = 64;
/// The same for each operation: alone, and many at a time.
const CLIENTS: [u32; 2] = [MANY_CLIENTS, 1];
/// How long a stretch may take that does something a given number of times.
const UNBOUNDED: Duration = Duration::from_secs(3600);
/// What part of the sessions one client creates in a round, and what part each client count ends in a round.
const SHARE: u64 = 16;

/// What to measure, for how long.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// How often each stretch is measured.
    pub(crate) rounds: u32,
    /// How long a stretch takes.
    pub(crate) length: Duration,
    /// How many sessions there are.
    pub(crate) sessions: u64,
    /// How many sessions engines hold in a second run, without what they are compared with; none for no such run.
    pub(crate) many_sessions: u64,
    /// How long it may take to write so many: engines that would need longer are left out.
    pub(crate) fill_limit: Duration,
    /// Only these rows; all of them when there are none.
    pub(crate) only: Vec<String>,
}

/// What one stretch of one side found.
#[derive(Clone, Copy, Debug, Serialize)]
struct Measurement {
    per_second: f64,
    /// CPU time of this process an operation.
    own_microseconds: f64,
    /// CPU time of the server's processes an operation.
    server_microseconds: f64,
    p50_microseconds: f64,
    p99_microseconds: f64,
    /// What part of the machine's CPU time went to programs that have nothing to do with it.
    share_of_others: f64,
}

/// A row with what was measured of it.
#[derive(Debug)]
struct Measured {
    row: &'static Row,
    comparisons: Vec<Comparison>,
    references: Vec<Reference>,
    /// With the larger number of sessions, or why not.
    many: Option<std::result::Result<Vec<Comparison>, String>>,
}

/// Measures everything that is installed. What is not is named in the report.
pub(crate) fn measure(plan: &Plan, interrupt: &Interrupt) -> Result<Report> {
    let workers = Builder::new_multi_thread().worker_threads(machine::cores()).enable_all().build();
    let run = Run { plan, interrupt, runtime: workers.map_err(Error::file("a runtime"))? };
    let mut skipped = Vec::new();
    let mut all = Vec::new();
    for row in rows::chosen(&plan.only)? {
        match run.row(row) {
            Ok(measured) => all.push(measured),
            Err(error) => {
                interrupt.check()?;
                let missing = error.missing().ok_or(error)?;
                eprintln!("{}: skipped: {missing}", row.id);
                skipped.push((row.id, missing));
            }
        }
    }
    Ok(Report::new(plan, Machine::with(&machine::OF_STORAGE), all, skipped))
}

/// A run under way.
struct Run<'a> {
    plan: &'a Plan,
    interrupt: &'a Interrupt,
    runtime: Runtime,
}

impl Run<'_> {
    fn row(&self, row: &'static Row) -> Result<Measured> {
        let began = Instant::now();
        let subject = self.start(row, self.plan.sessions)?;
        let sides: Vec<Side> = std::iter::once(&subject.engine).chain(&subject.bare).cloned().collect();
        let comparisons = self.sides(row, &sides, self.plan.sessions)?;
        let references = match &subject.outside {
            Some(outside) => outside.measure(self.plan.length * self.plan.rounds, self.plan.sessions)?,
            None => Vec::new(),
        };
        self.stop(subject);
        let many = self.many(row, &comparisons)?;
        eprintln!("{}: {:.0} s", row.id, began.elapsed().as_secs_f64());
        Ok(Measured { row, comparisons, references, many })
    }

    /// The engine alone with many sessions.
    fn many(
        &self,
        row: &'static Row,
        few: &[Comparison],
    ) -> Result<Option<std::result::Result<Vec<Comparison>, String>>> {
        let (count, limit) = (self.plan.many_sessions, self.plan.fill_limit.as_secs_f64());
        let rate = few.iter().find_map(|one| one.rate_of(Operation::Create, MANY_CLIENTS));
        let Some(rate) = rate.filter(|_| count > 0 && row.is_whole) else { return Ok(None) };
        let needed = count as f64 / rate;
        if needed > limit {
            return Ok(Some(Err(format!(
                "{count} creates would take {needed:.0} s at {rate:.0} a second, and {limit:.0} s are allowed"
            ))));
        }
        let subject = self.start(row, count)?;
        let measured = self.sides(row, std::slice::from_ref(&subject.engine), count)?;
        self.stop(subject);
        Ok(Some(Ok(measured)))
    }

    fn start(&self, row: &'static Row, sessions: u64) -> Result<Subject> {
        self.interrupt.check()?;
        // What one client creates in each round comes on top.
        let most = sessions + u64::from(self.plan.rounds) * (sessions / SHARE);
        self.runtime.block_on((row.start)(most))
    }

    /// Within the runtime, in which its connections live.
    fn stop(&self, subject: Subject) {
        let _within = self.runtime.enter();
        drop(subject);
    }

    /// Every operation, the sides in turns.
    fn sides(&self, row: &'static Row, sides: &[Side], sessions: u64) -> Result<Vec<Comparison>> {
        let rounds = u64::from(self.plan.rounds);
        let mut comparisons = Vec::new();
        // Sessions with these numbers are there: those before have ended, those behind are still to come.
        let mut live = 0..0;
        for operation in Operation::ALL {
            for clients in CLIENTS {
                let mut comparison = Comparison::new(operation, clients, sides);
                for round in 0..rounds {
                    let (numbers, length) = match operation {
                        Operation::Create => {
                            // The fill, in as many parts as there are rounds.
                            let count = if clients == 1 {
                                sessions / SHARE
                            } else {
                                sessions * (round + 1) / rounds - sessions * round / rounds
                            };
                            let length = if clients == 1 { self.plan.length } else { UNBOUNDED };
                            (live.end..live.end + count, length)
                        }
                        Operation::Bury => {
                            let count = sessions / SHARE;
                            (live.start..live.start + count, self.plan.length)
                        }
                        _ => (live.clone(), self.plan.length),
                    };
                    let stretch = Stretch { operation, clients, length, numbers };
                    let done = self.round(row, sides, &stretch, round, &mut comparison)?;
                    match operation {
                        Operation::Create => live.end = done.end,
                        Operation::Bury => live.start = done.end,
                        _ => {}
                    }
                }
                if let Some(shown) = comparison.shown() {
                    eprintln!("{}: {shown}", row.id);
                    comparisons.push(comparison);
                }
            }
        }
        Ok(comparisons)
    }

    /// One stretch of each side, each round beginning with the next one. Gives the numbers that are done with by all of
    /// them: whoever was slower does the rest without being measured.
    fn round(
        &self,
        row: &'static Row,
        sides: &[Side],
        stretch: &Stretch,
        round: u64,
        comparison: &mut Comparison,
    ) -> Result<Range<u64>> {
        let mut ends = vec![stretch.numbers.start; sides.len()];
        for turn in 0..sides.len() {
            let place = (turn + round as usize) % sides.len();
            let (Some(side), Some(end)) = (sides.get(place), ends.get_mut(place)) else { continue };
            let is_measured =
                row.operations.contains(&stretch.operation) && side.operations.contains(&stretch.operation);
            if !is_measured && !matches!(stretch.operation, Operation::Create | Operation::Bury) {
                continue;
            }
            self.interrupt.check()?;
            let measurement = self.stretch(side, stretch)?;
            *end += measurement.1;
            if is_measured {
                comparison.add(place, measurement.0);
            }
        }
        let start = stretch.numbers.start;
        if !matches!(stretch.operation, Operation::Create | Operation::Bury) {
            return Ok(start..start);
        }
        let furthest = ends.iter().copied().max().unwrap_or(start);
        for (side, end) in sides.iter().zip(ends) {
            let rest = Stretch {
                numbers: end..furthest,
                clients: MANY_CLIENTS,
                length: UNBOUNDED,
                ..stretch.clone()
            };
            if !rest.numbers.is_empty() {
                self.runtime.block_on(rest.run(side.worker.clone()))?;
            }
        }
        Ok(start..furthest)
    }

    /// What a stretch found, and how many operations there were.
    fn stretch(&self, side: &Side, stretch: &Stretch) -> Result<(Measurement, u64)> {
        let before = Others::now(side)?;
        let own = usage::own_cpu_time();
        let seen = self.runtime.block_on(stretch.run(side.worker.clone()))?;
        // Its own first and, before, last: to look at the others is work as well.
        let own = usage::own_cpu_time().saturating_sub(own);
        let used = Others::now(side)?.since(&before);
        #[expect(clippy::cast_precision_loss, reason = "none of them comes near 2^52")]
        let each = |time: Duration| time.as_secs_f64() * 1e6 / seen.operations as f64;
        let seconds = seen.elapsed.as_secs_f64();
        let machine = seconds * machine::cores() as f64;
        let measurement = Measurement {
            per_second: seen.operations as f64 / seconds,
            own_microseconds: each(own),
            server_microseconds: each(used.server),
            p50_microseconds: seen.p50.as_secs_f64() * 1e6,
            p99_microseconds: seen.p99.as_secs_f64() * 1e6,
            share_of_others: used.machine.saturating_sub(own + used.server).as_secs_f64() / machine,
        };
        Ok((measurement, seen.operations))
    }
}

/// CPU times that are not of this process, at one moment or between two.
#[derive(Debug)]
struct Others {
    server: Duration,
    machine: Duration,
}

impl Others {
    fn now(side: &Side) -> Result<Self> {
        Ok(Self { server: CpuTime::of(&side.processes())?.total(), machine: usage::cpu_time_of_machine()? })
    }

    fn since(&self, before: &Self) -> Self {
        Self {
            server: self.server.saturating_sub(before.server),
            machine: self.machine.saturating_sub(before.machine),
        }
    }
}
