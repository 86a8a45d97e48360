//! `cargo xtask test`: everything that can fail, and how many of it did.

use std::time::{Duration, Instant};

use crate::steps::{Failed, Outcome, cargo};
use crate::{packages, schemathesis};

/// How many tests ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
    skipped: u64,
}

/// One part of the run, for the summary.
struct Part {
    name: &'static str,
    count: Count,
    took: Duration,
    /// A part may also fail as a whole, when something does not compile.
    ended_well: bool,
}

/// Installs what is needed, builds the program, runs all tests.
pub(crate) fn run() -> Result<(), Failed> {
    packages::install()?;
    schemathesis::install()?;
    cargo(&["build", "--package", "cloakroom"]).run()?;
    // Built beside this program. The tests need not ask cargo for it again, each for itself.
    let binary = std::env::current_exe()
        .map_err(|error| Failed::because("finding the program", error))?
        .with_file_name("cloakroom");

    let tests: &[&str] = if cargo(&["nextest", "--version"]).succeeds_quietly() {
        &["nextest", "run", "--workspace", "--no-fail-fast"]
    } else {
        &["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests"]
    };
    let parts = [
        Part::run("tests", tests, &binary)?,
        Part::run(
            "examples in the documentation",
            &["test", "--workspace", "--no-fail-fast", "--doc"],
            &binary,
        )?,
        // The program with more in it: built last, and for these alone.
        Part::run(
            "traces",
            &["test", "--package", "cloakroom", "--features", "otel", "--test", "traces"],
            &binary,
        )?,
    ];

    println!("\n== summary");
    for part in &parts {
        println!(
            "{:<30} {:>5} s  {}{}",
            part.name,
            part.took.as_secs(),
            part.count.shown(),
            if part.ended_well { "" } else { "  FAILED" }
        );
    }
    let mut missing = packages::missing();
    if !schemathesis::is_there() {
        missing.push("schemathesis");
    }
    if !missing.is_empty() {
        println!("not everything was run, for want of: {}", missing.join(" "));
    }
    let all = parts.iter().fold(Count::default(), |all, part| all.plus(part.count));
    println!("{}", all.shown());
    if parts.iter().all(|part| part.ended_well) {
        Ok(())
    } else {
        Err(Failed::because("cargo xtask test", "found failures, see above"))
    }
}

impl Part {
    fn run(name: &'static str, arguments: &[&str], binary: &std::path::Path) -> Result<Self, Failed> {
        let began = Instant::now();
        let Outcome { status, lines } = cargo(arguments).with("CLOAKROOM_BIN", binary).watch()?;
        Ok(Self { name, count: Count::of(&lines), took: began.elapsed(), ended_well: status.success() })
    }
}

impl Count {
    /// Adds up what the runners say at the end of each binary (`test result: ok. 3 passed; 0 failed; 1 ignored;`)
    /// or of the whole run (`Summary [ 1.2s] 4 tests run: 3 passed, 1 failed, 1 skipped`).
    fn of(lines: &[String]) -> Self {
        let mut all = Self::default();
        for line in lines {
            let line = line.trim_start();
            let Some(rest) = line
                .strip_prefix("test result:")
                .or_else(|| line.strip_prefix("Summary [")?.split_once(']').map(|(_, rest)| rest))
            else {
                continue;
            };
            let words: Vec<&str> =
                rest.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
            for pair in words.windows(2) {
                let [number, what] = pair else { continue };
                let Ok(number) = number.parse::<u64>() else {
                    continue;
                };
                match *what {
                    "passed" => all.passed += number,
                    "failed" | "timed" | "exec" => all.failed += number,
                    "skipped" | "ignored" => all.skipped += number,
                    _ => {}
                }
            }
        }
        all
    }

    fn plus(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
        }
    }

    fn shown(self) -> String {
        let Self { passed, failed, skipped } = self;
        format!("{passed} passed, {failed} failed, {skipped} skipped")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(lines: &[&str]) -> Count {
        Count::of(&lines.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn the_summary_of_nextest_is_read() {
        let found = count(&[
            "     Summary [   5.066s] 14 tests run: 10 passed (1 slow), 3 failed, 1 timed out, 2 skipped",
        ]);
        assert_eq!(found, Count { passed: 10, failed: 4, skipped: 2 });
    }

    #[test]
    fn the_results_of_cargo_test_are_added_up() {
        let found = count(&[
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test something::that_has_5_passed ... ok",
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s",
        ]);
        assert_eq!(found, Count { passed: 7, failed: 2, skipped: 1 });
    }
}
