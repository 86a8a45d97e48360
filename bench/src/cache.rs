//! The session cache: how soon a session is found, what it takes in memory, what it costs to open one more, and what
//! requests make storage write. Beside caches of others, beside Redis, and beside a real Shibboleth.

mod allocations;
mod alone;
mod counted;
mod find;
mod get;
mod lookups;
mod memory;
mod opening;
mod report;
mod sessions;
mod shibboleth;
mod writes;

use std::time::{Duration, Instant};

use tokio::runtime::Builder;

pub(crate) use report::Report;

use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::machine::{self, Machine};
use crate::usage::{CpuTime, cpu_time_of_machine};
use alone::Alone;

/// What to measure, for how long.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// How often each lookup is measured.
    pub(crate) rounds: u32,
    /// How many sessions there are at most: in the first tier, and of one person.
    pub(crate) sessions: u64,
    /// How often each opening is measured.
    pub(crate) openings: u32,
    /// How many sessions one person gets at Shibboleth.
    pub(crate) shibboleth: u32,
    /// For how many minutes of requests the writes are counted.
    pub(crate) minutes: u64,
    /// Only these parts; all of them when there are none.
    pub(crate) only: Vec<String>,
}

/// The parts of the page.
pub(crate) const PARTS: [&str; 6] = ["find", "allocations", "memory", "open", "shibboleth", "writes"];

/// What was measured of each part; nothing of one that was not asked for.
#[derive(Debug, Default)]
struct Measured {
    find: Vec<find::Row>,
    get: Vec<get::Row>,
    allocations: Vec<allocations::Row>,
    memory: Vec<memory::Row>,
    open: Vec<opening::Row>,
    shibboleth: Vec<shibboleth::Row>,
    writes: Vec<writes::Row>,
    skipped: Vec<Skipped>,
}

/// What could not be measured, and why not.
type Skipped = (&'static str, String);

/// Measures everything that is installed. What is not is named in the report.
pub(crate) fn measure(plan: &Plan, interrupt: &Interrupt) -> Result<Report> {
    if let Some(asked) = plan.only.iter().find(|asked| !PARTS.contains(&asked.as_str())) {
        return Err(Error::NoSuchRow { asked: asked.clone(), known: PARTS.join(", ") });
    }
    let whole = Whole::begin()?;
    let mut measured = Measured::default();
    let runtime = Builder::new_multi_thread().worker_threads(machine::cores()).enable_all().build();
    let runtime = runtime.map_err(Error::file("a runtime"))?;
    let Plan { rounds, sessions, openings, shibboleth, minutes, only } = plan;
    for part in PARTS {
        if !only.is_empty() && !only.iter().any(|one| one == part) {
            continue;
        }
        eprintln!("{part}:");
        let done = match part {
            "find" => {
                measured.find = find::measure(&runtime, *sessions, *rounds, interrupt)?;
                get::measure(&runtime, *sessions, *rounds, interrupt).map(|rows| measured.get = rows)
            }
            "allocations" => {
                allocations::measure(&[1, 1_000, 10_000]).map(|rows| measured.allocations = rows)
            }
            "memory" => memory::measure(*sessions).map(|rows| measured.memory = rows),
            "open" => opening::measure(&runtime, *sessions, *openings, interrupt).map(|(rows, skipped)| {
                measured.open = rows;
                measured.skipped.extend(skipped);
            }),
            "shibboleth" => {
                shibboleth::measure(*shibboleth, interrupt).map(|rows| measured.shibboleth = rows)
            }
            _ => {
                let length = Duration::from_secs(minutes * 60);
                writes::measure(*sessions, length, interrupt).map(|rows| measured.writes = rows)
            }
        };
        interrupt.check()?;
        if let Err(error) = done {
            let missing = error.missing().ok_or(error)?;
            eprintln!("  skipped: {missing}");
            measured.skipped.push((part, missing));
        }
    }
    drop(runtime);
    Ok(Report::new(plan, Machine::with(&machine::OF_THE_CACHE), measured, whole.share_of_others()?))
}

/// Does what is measured in a process of its own, and prints what it found.
pub(crate) fn alone(text: &str) -> Result<()> {
    let Alone { who, sessions, times } = Alone::parse(text)?;
    match times {
        Some(times) => allocations::repeat(&who, sessions, times),
        None => {
            let (resident, reckoned) = memory::hold(&who, sessions)?;
            println!("{resident} {reckoned}");
            Ok(())
        }
    }
}

/// The whole run, as the machine sees it.
struct Whole {
    began: Instant,
    machine: Duration,
    ours: Duration,
}

impl Whole {
    fn begin() -> Result<Self> {
        Ok(Self { began: Instant::now(), machine: cpu_time_of_machine()?, ours: Self::ours()? })
    }

    /// This process and its children, who have all ended.
    fn ours() -> Result<Duration> {
        CpuTime::of(&[std::process::id()]).map(CpuTime::total)
    }

    /// What part of the machine's CPU time went to programs that have nothing to do with it.
    fn share_of_others(&self) -> Result<f64> {
        let (machine, ours) =
            (cpu_time_of_machine()?.saturating_sub(self.machine), Self::ours()?.saturating_sub(self.ours));
        #[expect(clippy::cast_precision_loss, reason = "cores are few")]
        let whole = self.began.elapsed().as_secs_f64() * machine::cores() as f64;
        Ok(machine.saturating_sub(ours).as_secs_f64() / whole)
    }
}
