//! What a run found, as a page.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use super::{Measured, Plan};
use crate::error::{Error, Result};
use crate::machine::Machine;

/// What the design asks for, in milliseconds.
const TARGET: f64 = 100.0;
/// What is configured as `trust_window`, since nothing is.
const TRUST_WINDOW: f64 = 10_000.0;

/// What a run found.
#[derive(Debug)]
pub(crate) struct Report {
    /// The day, in UTC.
    date: String,
    plan: Plan,
    machine: Machine,
    measured: Vec<Measured>,
    skipped: Vec<(&'static str, String)>,
}

impl Report {
    pub(super) fn new(
        plan: &Plan,
        machine: Machine,
        measured: Vec<Measured>,
        skipped: Vec<(&'static str, String)>,
    ) -> Self {
        let date = jiff::Timestamp::now().strftime("%Y-%m-%d").to_string();
        Self { date, plan: *plan, machine, measured, skipped }
    }

    /// The page.
    pub(crate) fn markdown(&self) -> String {
        let Self { date, machine, plan, .. } = self;
        let versions: Vec<String> =
            machine.versions.iter().map(|(program, version)| format!("{program} {version}")).collect();
        let mut page = format!(
            "# How soon an end reaches everybody\n\n\
             Measured on {date} with `cargo xtask bench ends --ends {ends} --seconds {seconds} --cuts {cuts}`, on {cores} cores of \
             {processor}, {kernel}.\n{versions}.\n\n\
             Three gateways share a storage and serve half of the requests a second that they can take: nine of ten read their session, \
             one changes it. Meanwhile visitors who have a session at all three log out at one, {ends} on each storage, and \
             each gateway is asked for that session on a connection of its own, every millisecond. Told is the time from the \
             answer to the logout until the last of the three has refused the session.\n\
             The gateways, the storage, what is behind them and the load all share the machine.\n\n\
             | storage | requests/s at most | while it was measured | p50 ms | p99 ms | greatest ms | target: p99 below {TARGET} ms |\n\
             |---|---|---|---|---|---|---|\n",
            ends = plan.ends,
            seconds = plan.length.as_secs(),
            cuts = plan.cuts,
            cores = machine.cores,
            processor = machine.processor,
            kernel = machine.kernel,
            versions = versions.join(", "),
        );
        for row in &self.measured {
            let at = |percent| row.percentile(percent).unwrap_or(f64::NAN);
            // Writing to a text cannot fail.
            let _ = writeln!(
                page,
                "| {} | {:.0} | {:.0} | {:.1} | {:.1} | {:.1} | {} |",
                row.storage,
                row.most_requests_per_second,
                row.requests_per_second,
                at(50),
                at(99),
                at(100),
                verdict(at(99) < TARGET)
            );
        }
        for (storage, because) in &self.skipped {
            let _ = writeln!(page, "\nNot measured: {storage}, since {because}.");
        }
        page.push_str(
            "\n## With the line cut\n\n\
             The packets between one gateway and the storage vanish, and nobody is told. How long that gateway serves a session which \
             then is ended at another; after that it answers 503 or that the session is over, and never ends one that lives. Zero: it did not hear again yet after the cut before, so that it asked the storage for every request.\n\n\
             | storage | seconds | bound: `trust_window`, 10 s |\n|---|---|---|\n",
        );
        for row in &self.measured {
            let seconds: Vec<String> =
                row.cut_off_milliseconds.iter().map(|one| format!("{:.1}", one / 1e3)).collect();
            let is_held = row.cut_off_milliseconds.iter().all(|one| *one <= TRUST_WINDOW);
            let _ = writeln!(page, "| {} | {} | {} |", row.storage, seconds.join(", "), verdict(is_held));
        }
        page
    }

    /// Writes `ends.md` into that directory.
    pub(crate) fn write(&self, directory: &Path) -> Result<()> {
        fs::create_dir_all(directory).map_err(Error::file(directory))?;
        let path = directory.join("ends.md");
        fs::write(&path, self.markdown()).map_err(Error::file(&path))
    }
}

const fn verdict(is_held: bool) -> &'static str {
    if is_held { "held" } else { "**missed**" }
}
