//! What a run found, as a page.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::{Plan, Row, Whole, sites};
use crate::error::{Error, Result};
use crate::machine::Machine;

/// So many times sooner than the portal all sessions are listed and searched.
const WHOLE_TARGET: f64 = 20.0;

/// What a run found.
#[derive(Debug)]
pub(crate) struct Report {
    /// The day, in UTC.
    date: String,
    plan: Plan,
    machine: Machine,
    rows: Vec<Row>,
    wholes: Vec<Whole>,
    /// Of ours and of the portal, with one session and with all.
    memory: [[u64; 2]; 2],
}

impl Report {
    pub(super) fn new(
        plan: Plan,
        machine: Machine,
        rows: Vec<Row>,
        wholes: Vec<Whole>,
        memory: [[u64; 2]; 2],
    ) -> Self {
        let date = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
        Self { date, plan, machine, rows, wholes, memory }
    }

    /// The page.
    pub(crate) fn markdown(&self) -> String {
        let Self { date, machine, plan, .. } = self;
        let versions: Vec<String> =
            machine.versions.iter().map(|(program, version)| format!("{program} {version}")).collect();
        let mut page = format!(
            "# The session server beside LemonLDAP::NG\n\n\
             Measured on {date} with `cargo xtask bench server --rounds {rounds} --seconds {seconds} --sessions {sessions}`, on {cores} \
             cores of {processor}, {kernel}.\n{versions}.\n\n\
             A portal of LemonLDAP::NG under Starman, its sessions in files and its local cache on, as Debian sets it; and Cloakroom with \
             its embedded engine, which syncs each change. Both have the same sessions of somebody who logged in, and are asked in turn \
             over {connections} connections that are kept, by each for a session of its own. CPU time is that of all processes of the server; the load shares the machine.\n\n\
             | request | Cloakroom, CPU us | portal, CPU us | requests for the same CPU time | target | Cloakroom/s | portal/s |\n\
             |---|---|---|---|---|---|---|\n",
            rounds = plan.rounds,
            seconds = plan.length.as_secs(),
            sessions = plan.sessions,
            cores = machine.cores,
            processor = machine.processor,
            kernel = machine.kernel,
            versions = versions.join(", "),
            connections = plan.connections,
        );
        for Row { asked, cpu: [ours, portal], rate: [our_rate, portal_rate] } in &self.rows {
            let ratio = portal.median / ours.median;
            let verdict = asked.target().map_or_else(String::new, |target| {
                format!("at least {target:.0}: {}", verdict(ratio >= target))
            });
            // Writing to a text cannot fail.
            let _ = writeln!(
                page,
                "| {} | {} | {} | **{ratio:.0} x** | {verdict} | {:.0} | {:.0} |",
                asked.name(),
                ours.shown(1),
                portal.shown(0),
                our_rate.median,
                portal_rate.median,
            );
        }
        let _ = write!(
            page,
            "\n## All of {} sessions\n\nOf about 1.1 KB each, over REST, until the whole answer is there. The portal reads each of its files; Cloakroom asks its \
             index for `_whatToTrace` and `mail`, and looks at all sessions for any other attribute. The first time nobody has asked for it before, \
             and every record is read. Then {changed} sessions change before each question: what was asked for is kept of the others.\n\n\
             | question | Cloakroom, ms: first | repeated | CPU us a session | portal, ms: first | repeated | CPU us a session | sooner | target: \
             {WHOLE_TARGET:.0} x |\n|---|---|---|---|---|---|---|---|---|\n",
            plan.sessions,
            changed = sites::CHANGED,
        );
        for Whole { what, first, repeated: [ours, portal], cpu: [our_cpu, portal_cpu] } in &self.wholes {
            let ratio = portal.median / ours.median;
            let _ = writeln!(
                page,
                "| {what} | {:.0} | {} | {:.1} | {:.0} | {} | {:.1} | **{ratio:.0} x** | {} |",
                first[0],
                ours.shown(0),
                our_cpu.median,
                first[1],
                portal.shown(0),
                portal_cpu.median,
                verdict(ratio >= WHOLE_TARGET)
            );
        }
        page.push_str(
            "\n## Memory\n\nProportional share of all processes of the server, in MB.\n\n| | Cloakroom | portal |\n|---|---|---|\n",
        );
        for (when, [ours, portal]) in
            ["with one session", "after the questions about all"].iter().zip(self.memory)
        {
            let _ = writeln!(page, "| {when} | {} | {} |", ours >> 20, portal >> 20);
        }
        page
    }

    /// Writes `server.md` into that directory.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory).map_err(Error::file(directory))?;
        let path = directory.join("server.md");
        fs::write(&path, self.markdown()).map_err(Error::file(&path))
    }
}

const fn verdict(is_held: bool) -> &'static str {
    if is_held { "held" } else { "**missed**" }
}
