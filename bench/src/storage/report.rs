//! What a run found, as a page for people and as JSON for programs.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde::Serialize;

use super::comparison::{Comparison, Figures, MOST};
use super::outside::Reference;
use super::sessions::VALUE_BYTES;
use super::why::why;
use super::work::Operation;
use super::{MANY_CLIENTS, Measured, Plan};
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
    length_milliseconds: u64,
    sessions: u64,
    many_sessions: u64,
    /// What part of the machine's CPU time other programs took, over all measurements.
    share_of_others: Option<Spread>,
    rows: Vec<Row>,
    skipped: Vec<(&'static str, String)>,
}

/// An engine.
#[derive(Debug, Serialize)]
struct Row {
    id: &'static str,
    what: &'static str,
    lines: Vec<Line>,
    references: Vec<Reference>,
    /// With many sessions.
    many: Vec<Line>,
    /// Why there is nothing of them.
    left_out: Option<String>,
}

/// An operation.
#[derive(Debug, Serialize)]
struct Line {
    operation: Operation,
    clients: u32,
    /// The engine, then what it is built on.
    figures: Vec<Figures>,
    rounds: Comparison,
}

impl Report {
    pub(super) fn new(
        plan: &Plan,
        machine: Machine,
        measured: Vec<Measured>,
        skipped: Vec<(&'static str, String)>,
    ) -> Self {
        let Plan { rounds, length, sessions, many_sessions, fill_limit, only } = plan;
        let milliseconds = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
        let mut command = format!(
            "cargo xtask bench storage --rounds {rounds} --milliseconds {milliseconds} --sessions {sessions} \
             --many-sessions {many_sessions} --fill-limit {}",
            fill_limit.as_secs()
        );
        if !only.is_empty() {
            command += &format!(" --only {}", only.join(","));
        }
        let shares = measured.iter().flat_map(|one| &one.comparisons).flat_map(Comparison::shares_of_others);
        Self {
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
            command,
            machine,
            rounds: *rounds,
            length_milliseconds: milliseconds,
            sessions: *sessions,
            many_sessions: *many_sessions,
            share_of_others: Spread::of(shares),
            rows: measured.into_iter().map(Row::of).collect(),
            skipped,
        }
    }

    /// The page.
    pub(crate) fn markdown(&self) -> String {
        let mut page = self.introduction();
        page += &self.durable();
        for row in &self.rows {
            page += &row.section(self.many_sessions);
        }
        for (id, because) in &self.skipped {
            // Writing to a text cannot fail.
            let _ = writeln!(page, "\nNot measured: `{id}`, since {because}.");
        }
        page
    }

    fn introduction(&self) -> String {
        let Self { date, command, machine, rounds, length_milliseconds, sessions, .. } = self;
        let versions: Vec<String> =
            machine.versions.iter().map(|(program, version)| format!("{program} {version}")).collect();
        let others = self.share_of_others.map_or_else(String::new, |share| {
            format!(
                "Other programs took {:.0} % of the machine's CPU time (median; {:.0} % in the worst stretch).",
                share.median * 100.0,
                share.max * 100.0
            )
        });
        format!(
            "# Storage engines beside what they are built on\n\n\
             Measured on {date} with `{command}`, on {cores} cores of {processor}, {kernel}.\n\
             {versions}.\n\n\
             {sessions} sessions of {VALUE_BYTES} bytes in 256 contexts. The sides of a table take turns on one server, \
             {rounds} rounds of stretches of {length_milliseconds} ms; the fill is the create of {MANY_CLIENTS} at a time. \
             Figures are medians, with the least and the greatest in brackets. *Here* is CPU time of the process that asks, \
             *server* that of all processes of the server, both in µs an operation. *Ratio* is the engine's to that of the \
             line, taken within each round: the engine's own share is at most {share:.0} % where that of *here* is at most {MOST:.2}.\n\
             The machine is shared, and clients and server both run on it: operations a second and latency tell about the whole \
             of it. The ratios are what counts. {others}\n\n\
             What each side does, and how to read it: `bench/README.md`.\n",
            cores = machine.cores,
            processor = machine.processor,
            kernel = machine.kernel,
            versions = versions.join(", "),
            share = (MOST - 1.0) * 100.0,
        )
    }

    /// Creates that are on the disk when they are answered, of all that promise it.
    fn durable(&self) -> String {
        let mut section = format!(
            "\n## Durable creates, {MANY_CLIENTS} at a time, through the contract\n\n\
             | engine | creates/s | p50 µs | p99 µs |\n|---|---|---|---|\n"
        );
        let durable = ["embedded", "redis-always", "postgres", "mariadb"];
        let rows = self.rows.iter().filter(|row| durable.contains(&row.id));
        let mut found = 0;
        for row in rows {
            let is_it = |line: &&Line| line.operation == Operation::Create && line.clients == MANY_CLIENTS;
            let Some(engine) = row.lines.iter().find(is_it).and_then(|line| line.figures.first()) else {
                continue;
            };
            found += 1;
            let _ = writeln!(
                section,
                "| `{}` | {} | {} | {} |",
                row.id,
                engine.per_second.shown(0),
                engine.p50_microseconds.shown(0),
                engine.p99_microseconds.shown(0)
            );
        }
        if found == 0 { String::new() } else { section }
    }

    /// Writes `storage.md` and `storage.json` into that directory.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory).map_err(Error::file(directory))?;
        let json = serde_json::to_string_pretty(self)
            .map_err(|error| Error::file("storage.json")(std::io::Error::other(error)))?;
        for (name, text) in [("storage.md", self.markdown()), ("storage.json", json + "\n")] {
            let path = directory.join(name);
            fs::write(&path, text).map_err(Error::file(&path))?;
        }
        Ok(())
    }
}

const HEAD: &str = "\
    | operation | clients | side | a second | p50 µs | p99 µs | here µs | server µs | ratio here | ratio server | |\n\
    |---|--:|---|---|---|---|---|---|---|---|---|\n";

impl Row {
    fn of(measured: Measured) -> Self {
        let Measured { row, comparisons, references, many } = measured;
        let lines = |all: Vec<Comparison>| all.into_iter().map(Line::of).collect();
        let (many, left_out) = match many {
            Some(Ok(many)) => (lines(many), None),
            Some(Err(because)) => (Vec::new(), Some(because)),
            None => (Vec::new(), None),
        };
        Self { id: row.id, what: row.what, lines: lines(comparisons), references, many, left_out }
    }

    fn section(&self, many_sessions: u64) -> String {
        let mut section = format!("\n## {}\n\n{}.\n\n{HEAD}", self.id, self.what);
        for line in &self.lines {
            section += &line.shown(self.id);
        }
        let mut explained: Vec<&str> = Vec::new();
        for line in self.lines.iter().filter(|line| line.is_over()) {
            let Some(why) = why(self.id, line.operation).filter(|why| !explained.contains(why)) else {
                continue;
            };
            explained.push(why);
            let _ = write!(section, "\n- {}: {why}.", line.operation.shown());
        }
        if !explained.is_empty() {
            section.push('\n');
        }
        if let Some(first) = self.references.first() {
            let _ = write!(
                section,
                "\nAs `{}` sees the same server, values of the same size:\n\n\
                 | statement | clients | a second | load generator µs | server µs |\n|---|--:|---|---|---|\n",
                first.program
            );
        }
        for one in &self.references {
            let Reference { what, clients, per_second, own_microseconds, server_microseconds, .. } = one;
            let _ = writeln!(
                section,
                "| {what} | {clients} | {per_second:.0} | {own_microseconds:.1} | {server_microseconds:.1} |"
            );
        }
        if !self.many.is_empty() {
            let _ = write!(section, "\nThrough the contract with {many_sessions} sessions:\n\n{HEAD}");
        }
        for line in &self.many {
            section += &line.shown(self.id);
        }
        if let Some(because) = &self.left_out {
            let _ = writeln!(
                section,
                "\nNot measured with {many_sessions} sessions: {because}. To do it all the same: `cargo xtask bench storage \
                 --only {} --fill-limit 3600`.",
                self.id
            );
        }
        section
    }
}

impl Line {
    fn of(rounds: Comparison) -> Self {
        let (operation, clients) = (rounds.operation, rounds.clients);
        Self { operation, clients, figures: rounds.figures(), rounds }
    }

    /// Whether the engine takes more than it should of its own, to the first that it is compared with.
    fn is_over(&self) -> bool {
        let ratio = self.figures.get(1).and_then(|bare| bare.own_ratio);
        ratio.is_some_and(|ratio| ratio.median > MOST)
    }

    fn shown(&self, row: &str) -> String {
        let mut shown = String::new();
        for (place, side) in self.figures.iter().enumerate() {
            let ratio = |spread: Option<Spread>| spread.map_or_else(String::new, |spread| spread.shown(2));
            let verdict = match (place, self.is_over()) {
                (1, false) => "held",
                (1, true) if why(row, self.operation).is_some() => "explained below",
                (1, true) => "**over, and not explained**",
                _ => "",
            };
            let (operation, clients) = if place == 0 {
                (self.operation.shown(), self.clients.to_string())
            } else {
                ("", String::new())
            };
            let _ = writeln!(
                shown,
                "| {operation} | {clients} | {} | {:.0} | {:.0} | {:.0} | {} | {} | {} | {} | {verdict} |",
                side.name,
                side.per_second.median,
                side.p50_microseconds.median,
                side.p99_microseconds.median,
                side.own_microseconds.shown(1),
                side.server_microseconds.shown(1),
                ratio(side.own_ratio),
                ratio(side.server_ratio),
            );
        }
        shown
    }
}
