//! The steps of a request with a session, one by one.
//!
//! Instructions do not depend on what else the machine does, so they are what two builds are compared by: valgrind
//! counts them, in a process that does one step some times and in one that does it twice as often, and the difference is
//! that of the steps. Nanoseconds are measured besides, on one thread, as the median of many batches.

mod steps;

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use tokio::runtime::{Builder, Runtime};

use crate::error::{Error, Result};
use crate::machine::{Machine, OF_THE_GATEWAY};
use crate::spread::Spread;
use steps::{STEPS, Step, Work};

/// How often valgrind sees a step, and then as often again.
const COUNTED: u32 = 2_000;
/// Steps of a batch, and batches. One of them takes a few milliseconds: short enough that most are left alone.
const BATCH: u32 = 1_000;
const BATCHES: u32 = 301;
/// The step that is the sum of others, and what the design wants of it.
const WHOLE: &str = "whole";
const AT_MOST_NANOSECONDS: f64 = 3_000.0;

/// Measures every step, prints the page and writes it.
pub(crate) fn measure(directory: &Path) -> Result<()> {
    let runtime = runtime()?;
    let work = runtime.block_on(Work::prepare())?;
    let mut page = introduction(&work);
    for step in &STEPS {
        eprint!("{} ... ", step.id);
        let nanoseconds = time(&runtime, step, &work)?;
        let instructions = count(step)?;
        eprintln!("{instructions} instructions, {:.0} ns", nanoseconds.median);
        // Writing to a text cannot fail.
        let _ = writeln!(
            page,
            "| {} | {instructions} | {:.0} | {:.0} |",
            step.what, nanoseconds.median, nanoseconds.min
        );
        if step.id == WHOLE {
            let verdict = if nanoseconds.median <= AT_MOST_NANOSECONDS { "held" } else { "**missed**" };
            let _ = writeln!(page, "| | | at most {AT_MOST_NANOSECONDS:.0}: {verdict} | |");
        }
    }
    println!("{page}");
    let path = directory.join("instructions.md");
    fs::write(&path, page).map_err(Error::file(&path))
}

/// Does a step so often as `text` says: `open=1000`.
pub(crate) fn repeat(text: &str) -> Result<()> {
    let wrong = || Error::Step { step: text.to_owned(), what: "expected STEP=TIMES".to_owned() };
    let (id, times) = text.split_once('=').ok_or_else(wrong)?;
    let step = STEPS.iter().find(|step| step.id == id).ok_or_else(wrong)?;
    let times = times.parse().map_err(|_| wrong())?;
    let runtime = runtime()?;
    let work = runtime.block_on(Work::prepare())?;
    run(&runtime, step, &work, times)
}

fn run(runtime: &Runtime, step: &Step, work: &Work, times: u32) -> Result<()> {
    runtime.block_on(async {
        for _ in 0..times {
            (step.run)(work).await?;
        }
        Ok(())
    })
}

fn runtime() -> Result<Runtime> {
    Builder::new_current_thread().enable_all().build().map_err(Error::file("a runtime"))
}

/// Nanoseconds that a step takes.
fn time(runtime: &Runtime, step: &Step, work: &Work) -> Result<Spread> {
    let mut each = Vec::new();
    for _ in 0..BATCHES {
        let began = Instant::now();
        run(runtime, step, work, BATCH)?;
        each.push(began.elapsed().as_secs_f64() * 1e9 / f64::from(BATCH));
    }
    Spread::of(each)
        .ok_or_else(|| Error::Step { step: step.id.to_owned(), what: "nothing was measured".to_owned() })
}

/// Instructions that a step takes.
fn count(step: &Step) -> Result<u64> {
    let (once, twice) = (counted(step, COUNTED)?, counted(step, 2 * COUNTED)?);
    Ok(twice.saturating_sub(once) / u64::from(COUNTED))
}

/// Instructions of a whole process that does it so often.
fn counted(step: &Step, times: u32) -> Result<u64> {
    let failed = |what: String| Error::Step { step: step.id.to_owned(), what };
    let own = std::env::current_exe().map_err(Error::file("the running program"))?;
    let mut valgrind = Command::new(interop::find("valgrind", "valgrind")?);
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(own);
    valgrind.args(["instructions", "--repeat", &format!("{}={times}", step.id)]);
    let output = valgrind.output().map_err(Error::file("valgrind"))?;
    let told = String::from_utf8_lossy(&output.stderr);
    let collected = told.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok());
    match collected {
        Some(collected) if output.status.success() => Ok(collected),
        _ => Err(failed(told.into_owned())),
    }
}

fn introduction(work: &Work) -> String {
    let machine = Machine::with(&OF_THE_GATEWAY);
    let date = jiff::Timestamp::now().strftime("%Y-%m-%d");
    let version = machine.versions.get("cloakroom").cloned().unwrap_or_default();
    format!(
        "# What the steps of a request with a session take\n\n\
         Measured on {date} with `cargo xtask bench instructions`, on {}, {}; cloakroom {version}.\n\n\
         The session has {} bytes as form text, in {} entries; its sealed cookie has {}. Instructions are \
         counted by valgrind, which is blind to the wide vectors that aws-lc uses where the processor has them; \
         nanoseconds are the median and the least of {BATCHES} batches of {BATCH} on one thread.\n\n\
         | step | instructions | ns, median | least |\n|---|---|---|---|\n",
        machine.processor,
        machine.kernel,
        work.presented_bytes,
        work.entries,
        work.cookie.len(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_can_be_done_again_and_again() {
        let runtime = runtime().unwrap();
        let work = runtime.block_on(Work::prepare()).unwrap();
        assert!((1000..1100).contains(&work.presented_bytes), "{}", work.presented_bytes);
        for step in &STEPS {
            run(&runtime, step, &work, 3).unwrap();
        }
        assert!(STEPS.iter().any(|step| step.id == WHOLE));
        assert!(repeat("open").is_err() && repeat("no-such=1").is_err());
    }
}
