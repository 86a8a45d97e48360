//! What a run found, as a page.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::lookups::FIND;
use super::sessions::SESSION_BYTES;
use super::{Measured, Plan, opening};
use crate::error::{Error, Result};
use crate::machine::Machine;

/// What the design asks for: nanoseconds of a find in the first tier.
const FIND_AT_MOST: f64 = 1_000.0;
/// CPU time of an opening for a person with very many sessions, to that for one who has none.
const OPEN_AT_MOST: f64 = 1.20;
/// Writes a request (issue 5, point 4).
const WRITES_BELOW: f64 = 0.01;

/// What a run found.
#[derive(Debug)]
pub(crate) struct Report {
    /// The day, in UTC.
    date: String,
    plan: Plan,
    machine: Machine,
    measured: Measured,
    share_of_others: f64,
}

impl Report {
    pub(super) fn new(plan: &Plan, machine: Machine, measured: Measured, share_of_others: f64) -> Self {
        let date = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
        Self { date, plan: plan.clone(), machine, measured, share_of_others }
    }

    /// The page.
    pub(crate) fn markdown(&self) -> String {
        let mut page = self.introduction();
        // A part that was not measured has no section.
        let sections = [
            (self.measured.find.is_empty(), self.find()),
            (self.measured.allocations.is_empty(), self.allocations()),
            (self.measured.memory.is_empty(), self.memory()),
            (self.measured.open.is_empty(), self.open()),
            (self.measured.shibboleth.is_empty(), self.shibboleth()),
            (self.measured.writes.is_empty(), self.writes()),
        ];
        for (_, section) in sections.into_iter().filter(|(is_empty, _)| !is_empty) {
            page += &section;
        }
        for (what, because) in &self.measured.skipped {
            // Writing to a text cannot fail.
            let _ = writeln!(page, "\nNot measured: {what}, since {because}.");
        }
        page
    }

    fn introduction(&self) -> String {
        let Self { date, machine, plan, .. } = self;
        let versions: Vec<String> =
            machine.versions.iter().map(|(program, version)| format!("{program} {version}")).collect();
        let only =
            if plan.only.is_empty() { String::new() } else { format!(" --only {}", plan.only.join(",")) };
        format!(
            "# The session cache\n\n\
             Measured on {date} with `cargo xtask bench cache --rounds {rounds} --sessions {sessions} --openings {openings} \
             --shibboleth {shibboleth} --minutes {minutes}{only}`, on {cores} cores of {processor}, {kernel}.\n{versions}.\n\n\
             The record of a session has {SESSION_BYTES} bytes: a person and nine entries. Figures are medians over the rounds, \
             with the least and the greatest in brackets; what is compared takes turns, and a ratio is taken within each round. \
             Other programs took {others:.0} % of the machine's CPU time during the run.\n\n\
             What each row does, and how to read it: `bench/README.md`.\n",
            rounds = plan.rounds,
            sessions = plan.sessions,
            openings = plan.openings,
            shibboleth = plan.shibboleth,
            minutes = plan.minutes,
            cores = machine.cores,
            processor = machine.processor,
            kernel = machine.kernel,
            versions = versions.join(", "),
            others = self.share_of_others * 100.0,
        )
    }

    fn find(&self) -> String {
        let mut section = format!(
            "\n## A session is found in the first tier\n\n\
             Any of the sessions that are held, over the embedded engine, which is asked for nothing. A find computes the hash of \
             the ticket's secret and compares it, judges time-outs and revocations, and notes the use; the others only look up \
             the same parsed sessions under the same handles. Each question is for another session, at random. With many of them, \
             what takes the time is that nothing of a session is in a cache of the processor: CPU time then depends on who else \
             uses the memory. Who only looks up is flattered there, for the processor begins with the next question while it \
             waits for memory; the row with SHA-256 is what a find has to be compared with.\n\n\
             | sessions | threads | what | ns | CPU ns | target: at most {FIND_AT_MOST:.0} ns of CPU |\n|---|---|---|---|---|---|\n"
        );
        for row in &self.measured.find {
            let is_judged = row.id == FIND && row.threads == 1;
            let verdict = if is_judged { verdict(row.cpu_nanoseconds.median <= FIND_AT_MOST) } else { "" };
            let _ = writeln!(
                section,
                "| {} | {} | {} | {} | {} | {verdict} |",
                row.held,
                row.threads,
                row.what,
                row.nanoseconds.shown(0),
                row.cpu_nanoseconds.shown(0)
            );
        }
        if self.measured.get.is_empty() {
            return section;
        }
        let found = self.measured.find.iter().rfind(|row| row.id == FIND && row.threads == 1);
        let _ = write!(
            section,
            "\nRedis, asked by `GET` for one of {} values of {SESSION_BYTES} bytes over its socket in the file system, through \
             one connection:\n\n\
             | at a time | ns an answer | CPU ns here | CPU ns in Redis | CPU time, to a find |\n|---|---|---|---|---|\n",
            self.plan.sessions
        );
        for row in &self.measured.get {
            let cpu = row.cpu_nanoseconds.median + row.server_nanoseconds.median;
            let ratio = found
                .map_or_else(String::new, |found| format!("{:.0} x", cpu / found.cpu_nanoseconds.median));
            let _ = writeln!(
                section,
                "| {} | {} | {} | {} | {ratio} |",
                row.clients,
                row.nanoseconds.shown(0),
                row.cpu_nanoseconds.shown(0),
                row.server_nanoseconds.shown(0)
            );
        }
        section
    }

    fn allocations(&self) -> String {
        let mut section = "\n## How often memory is asked for\n\n\
             Calls of the allocator in one question, counted by valgrind.\n\n\
             | sessions | what | allocations | target: none |\n|---|---|---|---|\n"
            .to_owned();
        for row in &self.measured.allocations {
            let verdict = if row.who == FIND { verdict(row.each == 0.0) } else { "" };
            let _ = writeln!(section, "| {} | `{}` | {:.3} | {verdict} |", row.held, row.who, row.each);
        }
        section
    }

    fn memory(&self) -> String {
        let mut section = format!(
            "\n## What a session takes in memory\n\n\
             {} sessions, each holder in a process of its own; what is resident before and after, as the kernel counts it. \
             *Reckoned* is what the first tier counts against `inproc_bytes`.\n\n\
             | where | bytes a session | reckoned |\n|---|---|---|\n",
            self.plan.sessions
        );
        for row in &self.measured.memory {
            let reckoned = row.reckoned.map_or_else(String::new, |bytes| format!("{bytes:.0}"));
            let _ = writeln!(section, "| {} | {:.0} | {reckoned} |", row.what, row.resident);
        }
        section
    }

    fn open(&self) -> String {
        let mut section = format!(
            "\n## A session more for somebody who has many\n\n\
             CPU time of one opening in µs, *here* and in the *server*, {} openings each, beside openings for people who have no \
             session, in turns on the same storage. In the first line of a storage two such are compared: so far from 1 are \
             ratios by chance. Each session is in the index by which logouts are counted and sessions listed.\n\n\
             | storage | had | newcomer, here | server | person, here | server | ms until it is open | ratio | target: at most \
             {OPEN_AT_MOST:.2} |\n|---|---|---|---|---|---|---|---|---|\n",
            u64::from(self.plan.openings) * opening::STRETCH
        );
        for row in &self.measured.open {
            let is_judged = row.had > opening::SECOND;
            let verdict = if is_judged { verdict(row.ratio.median <= OPEN_AT_MOST) } else { "" };
            let _ = writeln!(
                section,
                "| {} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} | {} | {verdict} |",
                row.storage,
                row.had,
                row.newcomer.own.median,
                row.newcomer.server.median,
                row.person.own.median,
                row.person.server.median,
                row.milliseconds.median,
                row.ratio.shown(2)
            );
        }
        section
    }

    fn shibboleth(&self) -> String {
        let mut section = "\n## The same at a real Shibboleth\n\n\
             Logins through the ExternalAuth handler of a service provider whose sessions are in memory, one after the other: CPU \
             time of one in µs. The ratio is to logins of people who have no session, in turns with them.\n\n\
             | had | shibd | Apache | ms | ratio |\n|---|---|---|---|---|\n"
            .to_owned();
        for row in &self.measured.shibboleth {
            let _ = writeln!(
                section,
                "| {} | {} | {:.0} | {:.1} | {} |",
                row.had,
                row.shibd.shown(0),
                row.apache.median,
                row.milliseconds.median,
                row.ratio.shown(1)
            );
        }
        section
    }

    fn writes(&self) -> String {
        let mut section = format!(
            "\n## What requests make storage write\n\n\
             {} sessions in use at random, `touch_interval = \"1m\"`, {} minutes of requests, in which nothing changes. A *call* is \
             one question to storage, a round trip where it is elsewhere; it may write several *records*.\n\n\
             | requests/s | records written a request | calls that write a request | reads a request | target: calls below \
             {WRITES_BELOW} |\n|---|---|---|---|---|\n",
            self.plan.sessions, self.plan.minutes
        );
        for row in &self.measured.writes {
            let verdict = verdict(row.calls() < WRITES_BELOW);
            let _ = writeln!(
                section,
                "| {} | {:.4} | {:.4} | {:.4} | {verdict} |",
                row.rate,
                row.records(),
                row.calls(),
                row.reads()
            );
        }
        section
    }

    /// Writes `cache.md` into that directory.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory).map_err(Error::file(directory))?;
        let path = directory.join("cache.md");
        fs::write(&path, self.markdown()).map_err(Error::file(&path))
    }
}

const fn verdict(is_held: bool) -> &'static str {
    if is_held { "held" } else { "**missed**" }
}
