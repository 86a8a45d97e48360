//! What a run found, as a page for people and as JSON for programs.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde::Serialize;

use super::ratios::{self, Ratio};
use super::{Bodies, Idle, Measured, Measurement, Plan};
use super::{bodies, idle};
use crate::error::{Error, Result};
use crate::machine::Machine;
use crate::spread::Spread;

/// What a run found.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The day, in UTC.
    date: String,
    /// What repeats the run.
    command: String,
    machine: Machine,
    rounds: u32,
    seconds: u64,
    warm_up_seconds: u64,
    connections: u32,
    /// What part of the machine's CPU time other programs took, over all measurements.
    share_of_others: Option<Spread>,
    rows: Vec<Figures>,
    ratios: Vec<Ratio>,
    skipped: Vec<Skipped>,
    idle: Vec<Idle>,
    bodies: Vec<Bodies>,
}

/// A row of the table.
#[derive(Debug, Serialize)]
struct Figures {
    id: &'static str,
    what: &'static str,
    requests_per_second: Spread,
    cpu_microseconds_per_request: Spread,
    user_microseconds_per_request: Spread,
    /// Of the CPU time.
    ratio_to_nginx: Option<Spread>,
    p50_microseconds: Spread,
    p99_microseconds: Spread,
    resident_bytes_at_start: Spread,
    resident_bytes: Spread,
    proportional_bytes: Spread,
    processes: Spread,
    rounds: Vec<Measurement>,
}

/// A row that could not be measured here.
#[derive(Debug, Serialize)]
struct Skipped {
    id: &'static str,
    because: String,
}

impl Report {
    pub(super) fn new(
        plan: &Plan,
        machine: Machine,
        measured: &[Measured],
        skipped: Vec<(&'static str, String)>,
    ) -> Self {
        let Plan { rounds, length, warm_up, connections, .. } = plan;
        let (seconds, warm_up_seconds) = (length.as_secs(), warm_up.as_secs());
        Self {
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
            command: format!(
                "cargo xtask bench gateway --rounds {rounds} --seconds {seconds} --warm-up {warm_up_seconds} \
                 --connections {connections}"
            ),
            machine,
            rounds: *rounds,
            seconds,
            warm_up_seconds,
            connections: *connections,
            share_of_others: Spread::of(
                measured.iter().flat_map(|row| &row.rounds).map(|round| round.share_of_others),
            ),
            rows: measured.iter().filter_map(|row| Figures::of(row, measured)).collect(),
            ratios: ratios::all(measured),
            skipped: skipped.into_iter().map(|(id, because)| Skipped { id, because }).collect(),
            idle: Vec::new(),
            bodies: Vec::new(),
        }
    }

    pub(super) fn with(self, idle: Vec<Idle>, bodies: Vec<Bodies>) -> Self {
        Self { idle, bodies, ..self }
    }

    /// The page.
    pub(crate) fn markdown(&self) -> String {
        let mut page = self.introduction();
        page.push_str(
            "\n## What a request costs\n\n\
             | server | CPU µs a request | of which in the program | to nginx | requests/s | p50 µs | p99 µs | resident / proportional MB |\n\
             |---|---|---|---|---|---|---|---|\n",
        );
        for row in &self.rows {
            // Writing to a text cannot fail.
            let _ = writeln!(page, "{}", row.line());
        }
        for Skipped { id, because } in &self.skipped {
            let _ = writeln!(page, "\nNot measured: `{id}`, since {because}.");
        }
        if !self.ratios.is_empty() {
            page.push_str(
                "\n## What the design asks for\n\n\
                 Ratios of the CPU time a request.\n\n\
                 | of what to what | target | measured | |\n|---|---|---|---|\n",
            );
        }
        for ratio in &self.ratios {
            let target = ratio.target.map_or_else(String::new, |target| target.shown());
            let verdict = match ratio.is_held {
                Some(true) => "held",
                Some(false) => "**missed**",
                None => "",
            };
            let _ = writeln!(page, "| {} | {target} | {} | {verdict} |", ratio.what, ratio.measured.shown(2));
        }
        if let Some(row) = self.rows.iter().find(|row| row.id == "cloakroom-ticket") {
            let _ = writeln!(
                page,
                "\nCloakroom just started, with one session: {} MB resident (the design asks for less than 30).",
                megabytes(row.resident_bytes_at_start).shown(1)
            );
        }
        page.push_str(&idle::section(&self.idle));
        page.push_str(&bodies::section(&self.bodies));
        page
    }

    fn introduction(&self) -> String {
        let Self { date, command, machine, rounds, seconds, warm_up_seconds, connections, .. } = self;
        let versions: Vec<String> =
            machine.versions.iter().map(|(program, version)| format!("{program} {version}")).collect();
        let others = self.share_of_others.map_or_else(String::new, |share| {
            format!(
                "Other programs took {:.0} % of the machine's CPU time (median; {:.0} % in the worst measurement).\n",
                share.median * 100.0,
                share.max * 100.0
            )
        });
        format!(
            "# The gateway beside its peers\n\n\
             Measured on {date} with `{command}`, on {cores} cores of {processor}, {kernel}.\n\
             {versions}.\n\n\
             wrk (over TLS h2load), one thread, {connections} kept connections, {seconds} s after a warm-up of {warm_up_seconds} s; \
             {rotation}. Figures are medians, with the least and the greatest in brackets; a ratio \
             is taken within each round.\n\
             The machine is shared and noisy, and server, upstream and load all run on it: requests per second and \
             latency tell about the whole of it. The ratios are what counts.\n\
             {others}\n\
             What each row is, and how to read it: `bench/README.md`.\n",
            rotation =
                if *rounds == 1 { "one round".to_owned() } else { format!("{rounds} rounds in rotation") },
            cores = machine.cores,
            processor = machine.processor,
            kernel = machine.kernel,
            versions = versions.join(", "),
        )
    }

    /// Writes `gateway.md` and `gateway.json` into that directory.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory).map_err(Error::file(directory))?;
        let json = serde_json::to_string_pretty(self)
            .map_err(|error| Error::file("gateway.json")(std::io::Error::other(error)))?;
        for (name, text) in [("gateway.md", self.markdown()), ("gateway.json", json + "\n")] {
            let path = directory.join(name);
            fs::write(&path, text).map_err(Error::file(&path))?;
        }
        Ok(())
    }
}

impl Figures {
    /// `None` when the row was never measured.
    fn of(measured: &Measured, all: &[Measured]) -> Option<Self> {
        let Measured { row, rounds } = measured;
        let spread = |what: fn(&Measurement) -> f64| Spread::of(rounds.iter().map(what));
        Some(Self {
            id: row.id,
            what: row.what,
            requests_per_second: spread(|one| one.requests_per_second)?,
            cpu_microseconds_per_request: spread(|one| one.cpu_microseconds_per_request)?,
            user_microseconds_per_request: spread(|one| one.user_microseconds_per_request)?,
            ratio_to_nginx: ratios::to_nginx(measured, all),
            p50_microseconds: spread(|one| one.p50_microseconds)?,
            p99_microseconds: spread(|one| one.p99_microseconds)?,
            resident_bytes_at_start: spread(|one| one.resident_bytes_at_start)?,
            resident_bytes: spread(|one| one.resident_bytes)?,
            proportional_bytes: spread(|one| one.proportional_bytes)?,
            processes: spread(|one| one.processes)?,
            rounds: rounds.clone(),
        })
    }

    fn line(&self) -> String {
        format!(
            "| {} | {} | {:.1} | {} | {} | {} | {} | {:.1} / {:.1} |",
            self.what,
            self.cpu_microseconds_per_request.shown(1),
            self.user_microseconds_per_request.median,
            self.ratio_to_nginx.map_or_else(String::new, |ratio| ratio.shown(2)),
            self.requests_per_second.shown(0),
            self.p50_microseconds.shown(0),
            self.p99_microseconds.shown(0),
            megabytes(self.resident_bytes).median,
            megabytes(self.proportional_bytes).median,
        )
    }
}

/// Millions of bytes, as everywhere in the design.
pub(super) fn megabytes(bytes: Spread) -> Spread {
    let Spread { median, min, max } = bytes;
    Spread { median: median / 1e6, min: min / 1e6, max: max / 1e6 }
}
