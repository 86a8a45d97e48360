//! The session server beside a real portal of LemonLDAP::NG: the same sessions, asked for by the same protocols, one for each
//! connection.
//!
//! The portal runs under Starman with six workers, and keeps its sessions in files with its local cache, as Debian sets it.
//! Ours keeps them in its embedded engine, as it does where nothing else is said.

mod report;
mod requests;
mod sites;

use std::time::{Duration, Instant};

pub(crate) use report::Report;

use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::machine::{Machine, OF_THE_SERVER};
use crate::spread::Spread;
use crate::usage::{CpuTime, Memory, family};
use requests::{Asked, Load};
use sites::{Ours, Portal, Site};

/// What to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// How often each server is asked, in rotation.
    pub(crate) rounds: u32,
    /// How long each time.
    pub(crate) length: Duration,
    /// How many connections ask at once; each is kept.
    pub(crate) connections: usize,
    /// How many sessions are listed and searched.
    pub(crate) sessions: usize,
}

/// What was measured of one kind of request, at ours and at the portal.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) asked: Asked,
    /// CPU time a request, in microseconds.
    pub(crate) cpu: [Spread; 2],
    /// Requests a second.
    pub(crate) rate: [Spread; 2],
}

/// What was measured of a question about all sessions, at ours and at the portal.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) what: &'static str,
    /// How long the first answer took, in milliseconds.
    pub(crate) first: [f64; 2],
    /// How long each further one took.
    pub(crate) repeated: [Spread; 2],
    /// What each further one cost, in microseconds of CPU time for each session that there is.
    pub(crate) cpu: [Spread; 2],
}

/// Measures both.
pub(crate) fn measure(plan: &Plan, interrupt: &Interrupt) -> Result<Report> {
    let portal = Portal::start(plan.connections)?;
    let ours = Ours::start(&portal)?;
    let sites: [&dyn Site; 2] = [&ours, &portal];
    let mut rows = Vec::new();
    for asked in Asked::ALL {
        eprintln!("{}:", asked.name());
        let mut figures: [Vec<Figure>; 2] = Default::default();
        for _ in 0..plan.rounds {
            for (site, figures) in sites.iter().zip(&mut figures) {
                interrupt.check()?;
                figures.push(one(*site, asked, plan)?);
            }
        }
        let spread = |of: fn(&Figure) -> f64| spreads(&figures, of);
        let (cpu, rate) = (spread(|figure| figure.cpu)?, spread(|figure| figure.rate)?);
        eprintln!("  {:.1} and {:.1} us a request", cpu[0].median, cpu[1].median);
        rows.push(Row { asked, cpu, rate });
    }
    let idle = memory(&sites)?;
    eprintln!("{} sessions:", plan.sessions);
    for site in sites {
        site.fill(plan.sessions)?;
    }
    let mut wholes = Vec::new();
    for (what, question) in sites::QUESTIONS {
        let mut answers: [Vec<Asking>; 2] = Default::default();
        for round in 0..=plan.rounds.clamp(1, 3) {
            for (site, answers) in sites.iter().zip(&mut answers) {
                interrupt.check()?;
                if round > 0 {
                    site.change(plan.sessions)?;
                }
                answers.push(ask(*site, question, plan.sessions)?);
            }
        }
        let whole = Whole::of(what, &answers)?;
        eprintln!("  {what}: {:.0} and {:.0} ms", whole.repeated[0].median, whole.repeated[1].median);
        wholes.push(whole);
    }
    let full = memory(&sites)?;
    Ok(Report::new(*plan, Machine::with(&OF_THE_SERVER), rows, wholes, [idle, full]))
}

impl Whole {
    fn of(what: &'static str, answers: &[Vec<Asking>; 2]) -> Result<Self> {
        let [ours, portal] = answers;
        let first = |answers: &[Asking]| {
            let first = answers.first().map(|answer| answer.milliseconds);
            first.ok_or_else(|| Error::Load("no round was measured".to_owned()))
        };
        let spread = |answers: &[Asking], of: fn(&Asking) -> f64| spread_of(answers.iter().skip(1).map(of));
        let milliseconds = |answer: &Asking| answer.milliseconds;
        let cpu = |answer: &Asking| answer.cpu;
        Ok(Self {
            what,
            first: [first(ours)?, first(portal)?],
            repeated: [spread(ours, milliseconds)?, spread(portal, milliseconds)?],
            cpu: [spread(ours, cpu)?, spread(portal, cpu)?],
        })
    }
}

/// What one question about all sessions took.
struct Asking {
    milliseconds: f64,
    /// Microseconds for each session that there is.
    cpu: f64,
}

fn ask(site: &dyn Site, question: &str, sessions: usize) -> Result<Asking> {
    let processes = family(site.process());
    let (before, began) = (CpuTime::of(&processes)?, Instant::now());
    let answer = site.ask(question)?;
    let (elapsed, after) = (began.elapsed(), CpuTime::of(&processes)?);
    // Only then: reading it takes this process as long as answering takes that one.
    sites::check(question, &answer, sessions)?;
    #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 sessions")]
    let count = sessions.max(1) as f64;
    Ok(Asking {
        milliseconds: elapsed.as_secs_f64() * 1e3,
        cpu: after.since(before).total().as_secs_f64() * 1e6 / count,
    })
}

/// What one stretch of requests cost.
struct Figure {
    cpu: f64,
    rate: f64,
}

fn one(site: &dyn Site, asked: Asked, plan: &Plan) -> Result<Figure> {
    let load = Load::begin(site, asked, plan.connections)?;
    std::thread::sleep(Duration::from_millis(300));
    let processes = family(site.process());
    let (before, answered, began) = (CpuTime::of(&processes)?, load.answered(), Instant::now());
    std::thread::sleep(plan.length);
    let (after, answered, elapsed) = (CpuTime::of(&processes)?, load.answered() - answered, began.elapsed());
    load.end()?;
    if answered == 0 {
        return Err(Error::Load(format!("{}: nothing was answered", asked.name())));
    }
    #[expect(clippy::cast_precision_loss, reason = "none of them comes near 2^52")]
    let answered = answered as f64;
    Ok(Figure {
        cpu: after.since(before).total().as_secs_f64() * 1e6 / answered,
        rate: answered / elapsed.as_secs_f64(),
    })
}

fn spreads(figures: &[Vec<Figure>; 2], of: fn(&Figure) -> f64) -> Result<[Spread; 2]> {
    let [ours, portal] = figures;
    Ok([spread_of(ours.iter().map(of))?, spread_of(portal.iter().map(of))?])
}

fn spread_of(values: impl IntoIterator<Item = f64>) -> Result<Spread> {
    Spread::of(values).ok_or_else(|| Error::Load("no round was measured".to_owned()))
}

/// What both take, in bytes, where shared pages count in part.
fn memory(sites: &[&dyn Site; 2]) -> Result<[u64; 2]> {
    let of = |site: &dyn Site| Memory::of(&family(site.process())).map(|memory| memory.proportional);
    Ok([of(sites[0])?, of(sites[1])?])
}
