//! What it costs to open a session for somebody who has many already.
//!
//! The sessions of one person and those of people who have none yet are opened in turns, on the same storage, so that a ratio
//! says nothing but what the person's other sessions cost. CPU time counts, of this process and of the server's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cache::{Application, Cache};
use interop::{Postgres, Process, Redis};
use storage::Storage;
use tokio::runtime::Runtime;
use tokio::time::sleep;

use super::Skipped;
use super::sessions::{ROOMY, TOUCH_INTERVAL, Whose, application, cache_over, open};
use crate::engine;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::spread::Spread;
use crate::usage::{exact_cpu_time, family, own_cpu_time};

/// How many open at a time.
const CLIENTS: u64 = 16;
/// How many sessions are opened in a stretch.
pub(super) const STRETCH: u64 = 400;
/// How many sessions are opened before anything is measured: connections and plans are made then.
const WARM_UP: u64 = 1_000;
/// How many sessions the person has when it is measured first.
pub(super) const SECOND: u64 = 1_000;

/// What was measured on one storage, when the person had so many sessions.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) storage: &'static str,
    pub(super) had: u64,
    pub(super) newcomer: Cost,
    pub(super) person: Cost,
    /// Of all CPU time, the person's to the newcomer's, taken in each round.
    pub(super) ratio: Spread,
    /// How long it took a client until the session was open, the person's.
    pub(super) milliseconds: Spread,
}

/// CPU time of one opening, in microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    pub(super) own: Spread,
    pub(super) server: Spread,
}

/// Where sessions are kept, and by whom.
struct Place {
    storage: Arc<dyn Storage>,
    server: Option<u32>,
    _keep: Box<dyn Send>,
}

/// A storage on which it is measured.
type Start = fn(&Runtime) -> Result<Place>;

const STORAGES: [(&str, Start); 3] = [("embedded", embedded), ("redis", redis), ("postgres", postgres)];

/// Measures on every storage whose server is installed, with a person who has up to so many sessions.
pub(super) fn measure(
    runtime: &Runtime,
    most: u64,
    rounds: u32,
    interrupt: &Interrupt,
) -> Result<(Vec<Row>, Vec<Skipped>)> {
    let (mut rows, mut skipped) = (Vec::new(), Vec::new());
    for (name, start) in STORAGES {
        interrupt.check()?;
        match start(runtime) {
            Ok(place) => {
                let _within = runtime.enter();
                rows.extend(Run::new(name, place, runtime)?.measure(most, rounds, interrupt)?);
            }
            Err(error) => skipped.push((name, error.missing().ok_or(error)?)),
        }
    }
    Ok((rows, skipped))
}

/// A run on one storage.
struct Run<'a> {
    name: &'static str,
    runtime: &'a Runtime,
    cache: Arc<Cache>,
    application: Application,
    newcomers: Whose,
    house: tokio::task::JoinHandle<()>,
    place: Place,
}

impl<'a> Run<'a> {
    fn new(name: &'static str, place: Place, runtime: &'a Runtime) -> Result<Self> {
        let application = application(TOUCH_INTERVAL);
        let cache = cache_over(Arc::clone(&place.storage), engine::clock(), ROOMY, &application);
        let house = runtime.spawn(Arc::clone(&cache).keep_house());
        let newcomers = Whose::newcomers();
        // The change stream is followed by then: what others changed need not be asked for each time.
        runtime.block_on(sleep(Duration::from_secs(1)));
        let run = Self { name, runtime, cache, application, newcomers, house, place };
        run.open(&run.newcomers, WARM_UP, CLIENTS)?;
        Ok(run)
    }

    fn measure(&self, most: u64, rounds: u32, interrupt: &Interrupt) -> Result<Vec<Row>> {
        let person = Whose::of("one-person");
        let mut had = 0;
        let mut rows = Vec::new();
        for stage in [0, SECOND, most] {
            // In large steps, so that a run can be ended.
            while had < stage {
                interrupt.check()?;
                let more = (stage - had).min(10_000);
                self.open(&person, more, 4 * CLIENTS)?;
                had += more;
            }
            let row = self.stage(&person, stage, rounds, interrupt)?;
            had += STRETCH * u64::from(rounds);
            eprintln!("{}, {stage} before: {} of a newcomer's", self.name, row.ratio.shown(2));
            rows.push(row);
        }
        Ok(rows)
    }

    /// In the first stage the person is another one each time: two newcomers are compared, which says what a ratio is worth.
    fn stage(&self, person: &Whose, had: u64, rounds: u32, interrupt: &Interrupt) -> Result<Row> {
        let person = if had == 0 { &self.newcomers } else { person };
        let (mut newcomers, mut persons) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            interrupt.check()?;
            // Who comes first in a round comes last in the next.
            if round % 2 == 0 {
                newcomers.push(self.stretch(&self.newcomers)?);
                persons.push(self.stretch(person)?);
            } else {
                persons.push(self.stretch(person)?);
                newcomers.push(self.stretch(&self.newcomers)?);
            }
        }
        let ratios = persons.iter().zip(&newcomers).map(|(person, other)| person.cpu() / other.cpu());
        let milliseconds = Spread::of(persons.iter().map(|one| one.milliseconds));
        let none = || Error::Load("no session was opened".to_owned());
        Ok(Row {
            storage: self.name,
            had,
            newcomer: Cost::of(&newcomers).ok_or_else(none)?,
            person: Cost::of(&persons).ok_or_else(none)?,
            ratio: Spread::of(ratios).ok_or_else(none)?,
            milliseconds: milliseconds.ok_or_else(none)?,
        })
    }

    fn stretch(&self, whose: &Whose) -> Result<Stretch> {
        let processes = self.place.server.map(family).unwrap_or_default();
        let (own, server) = (own_cpu_time(), exact_cpu_time(&processes));
        let began = Instant::now();
        self.open(whose, STRETCH, CLIENTS)?;
        let elapsed = began.elapsed();
        // Its own first: to look at the others is work as well.
        let own = own_cpu_time().saturating_sub(own);
        let server = exact_cpu_time(&processes).saturating_sub(server);
        #[expect(clippy::cast_precision_loss, reason = "a stretch is short")]
        let each = |time: Duration| time.as_secs_f64() * 1e6 / STRETCH as f64;
        #[expect(clippy::cast_precision_loss, reason = "clients are few")]
        let milliseconds = each(elapsed) * CLIENTS as f64 / 1e3;
        Ok(Stretch { own: each(own), server: each(server), milliseconds })
    }

    fn open(&self, whose: &Whose, count: u64, clients: u64) -> Result<()> {
        self.runtime.block_on(open(&self.cache, &self.application, whose, count, clients)).map(drop)
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.house.abort();
    }
}

/// What one stretch took for a session.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    own: f64,
    server: f64,
    milliseconds: f64,
}

impl Stretch {
    fn cpu(&self) -> f64 {
        self.own + self.server
    }
}

impl Cost {
    fn of(stretches: &[Stretch]) -> Option<Self> {
        Some(Self {
            own: Spread::of(stretches.iter().map(|one| one.own))?,
            server: Spread::of(stretches.iter().map(|one| one.server))?,
        })
    }
}

fn embedded(runtime: &Runtime) -> Result<Place> {
    let folder = tempfile::tempdir().map_err(Error::file("the folder of a storage service"))?;
    let storage = runtime.block_on(engines::embedded::open("embedded", folder.path(), engine::clock()))?;
    Ok(Place { storage, server: None, _keep: Box::new(folder) })
}

fn redis(runtime: &Runtime) -> Result<Place> {
    let server = Redis::start_with("appendonly no\n")?;
    let storage = runtime.block_on(engine::redis(&server.url()))?;
    Ok(Place { storage, server: Some(server.process().id()), _keep: Box::new(server) })
}

/// As Debian sets it, but for the memory that it may use: each commit is on the disk.
fn postgres(runtime: &Runtime) -> Result<Place> {
    let settings = ["fsync=on", "autovacuum=on", "shared_buffers=1GB", "max_wal_size=4GB"];
    let server = Postgres::start_with(&settings)?;
    let storage = runtime.block_on(engine::sql("postgres", &server.url("postgres")))?;
    let process = server.process().map(Process::id);
    Ok(Place { storage, server: process, _keep: Box::new(server) })
}
