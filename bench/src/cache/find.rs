//! How long it takes to find a session in the first tier, beside what others take to look one up.

use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use session::Ticket;
use tokio::runtime::{Handle, Runtime};

use super::lookups::{self, Lookup};
use super::sessions::{ROOMY, SELDOM, Whose, application, cache_over, open};
use crate::engine;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::spread::Spread;
use crate::usage::own_cpu_time;

/// Threads that ask at once.
const THREADS: [usize; 2] = [1, 2];
/// How often each asks in a round: some milliseconds, so that most rounds are left alone.
const ASKED: u32 = 20_000;
/// How many sessions are opened at once.
const CLIENTS: u64 = 256;

/// What was measured of one who is asked.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) id: &'static str,
    pub(super) what: &'static str,
    /// How many sessions are held.
    pub(super) held: u64,
    pub(super) threads: usize,
    /// By the clock on the wall, each thread for itself.
    pub(super) nanoseconds: Spread,
    /// CPU time of this process.
    pub(super) cpu_nanoseconds: Spread,
}

/// Measures with one session, with a thousand, and with so many, over the embedded engine, which is asked for nothing.
pub(super) fn measure(runtime: &Runtime, most: u64, rounds: u32, interrupt: &Interrupt) -> Result<Vec<Row>> {
    // In it the connections of the engine live, and end.
    let _within = runtime.enter();
    let folder = tempfile::tempdir().map_err(Error::file("the folder of a storage service"))?;
    let storage = runtime.block_on(engines::embedded::open("embedded", folder.path(), engine::clock()))?;
    let application = application(SELDOM);
    let cache = cache_over(storage, engine::clock(), ROOMY, &application);
    let newcomers = Whose::newcomers();
    let (mut opened, mut rows) = (Vec::new(), Vec::new());
    for held in [1, 1_000, most] {
        let more = held.saturating_sub(opened.len() as u64);
        opened.extend(runtime.block_on(open(&cache, &application, &newcomers, more, CLIENTS))?);
        let lookups = runtime.block_on(lookups::all(&cache, &application, &opened))?;
        let tickets: Vec<Ticket> = opened.iter().map(|one| one.ticket.clone()).collect();
        for threads in THREADS {
            let mut measured = vec![(Vec::new(), Vec::new()); lookups.len()];
            for round in 0..rounds as usize {
                interrupt.check()?;
                for turn in 0..lookups.len() {
                    let place = (turn + round) % lookups.len();
                    let (Some(lookup), Some(into)) = (lookups.get(place), measured.get_mut(place)) else {
                        continue;
                    };
                    let (wall, cpu) = ask(lookup, runtime.handle(), &tickets, threads)?;
                    into.0.push(wall);
                    into.1.push(cpu);
                }
            }
            for (lookup, (wall, cpu)) in lookups.iter().zip(measured) {
                let (Some(nanoseconds), Some(cpu_nanoseconds)) = (Spread::of(wall), Spread::of(cpu)) else {
                    continue;
                };
                let Lookup { id, what, .. } = lookup;
                eprintln!("{id}, {held} held, {threads} threads: {:.0} ns", nanoseconds.median);
                rows.push(Row { id, what, held, threads, nanoseconds, cpu_nanoseconds });
            }
        }
    }
    Ok(rows)
}

/// Nanoseconds of one question: by the clock on the wall, and of CPU time.
fn ask(lookup: &Lookup, runtime: &Handle, tickets: &[Ticket], threads: usize) -> Result<(f64, f64)> {
    let begin = Barrier::new(threads);
    let asked: Vec<Vec<Ticket>> = (0..threads).map(|_| lookups::sample(tickets, ASKED)).collect();
    let before = own_cpu_time();
    let walls: Result<Vec<Duration>> = thread::scope(|scope| {
        let begin = &begin;
        let askers: Vec<_> = asked
            .iter()
            .map(|asked| {
                scope.spawn(move || {
                    begin.wait();
                    let began = Instant::now();
                    lookup.ask(runtime, asked)?;
                    Ok::<_, Error>(began.elapsed())
                })
            })
            .collect();
        let died = |_| Err(Error::Load("a thread that asks has died".to_owned()));
        askers.into_iter().map(|asker| asker.join().unwrap_or_else(died)).collect()
    });
    let cpu = own_cpu_time().saturating_sub(before);
    #[expect(clippy::cast_precision_loss, reason = "threads are few")]
    let questions = threads as f64 * f64::from(ASKED);
    Ok((walls?.iter().sum::<Duration>().as_secs_f64() * 1e9 / questions, cpu.as_secs_f64() * 1e9 / questions))
}
