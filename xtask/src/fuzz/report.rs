//! What a run came to: `docs/benchmarks/fuzz.md`.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use crate::steps::{Failed, program};

const PAGE: &str = "docs/benchmarks/fuzz.md";

/// One target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    target: String,
    seconds: u64,
    executions: u64,
    /// Edges between places of the program that some input took.
    edges: u64,
    peak_mib: u64,
    corpus: usize,
    /// Inputs that broke a law.
    pub(super) findings: usize,
}

impl Row {
    /// From what libFuzzer wrote.
    pub(super) fn of(target: &str, took: Duration, corpus: usize, findings: usize, log: &str) -> Self {
        let last = |name: &str| {
            let (_, rest) = log.rsplit_once(name)?;
            rest.split_whitespace().next()?.parse().ok()
        };
        Self {
            target: target.to_owned(),
            seconds: took.as_secs(),
            executions: last("stat::number_of_executed_units:").unwrap_or_default(),
            edges: last(" cov: ").unwrap_or_default(),
            peak_mib: last("stat::peak_rss_mb:").unwrap_or_default(),
            corpus,
            findings,
        }
    }

    /// One line for the terminal.
    pub(super) fn told(&self) -> String {
        let Self { target, seconds, executions, edges, findings, .. } = self;
        format!("{target}: {executions} inputs in {seconds} s, {edges} edges, {findings} broke a law")
    }
}

/// Writes the page.
pub(super) fn write(rows: &[Row], asked: u64) -> Result<(), Failed> {
    let said = |name: &str, arguments: &[&str]| -> Result<String, Failed> {
        Ok(program(name, arguments).watch()?.lines.first().cloned().unwrap_or_default())
    };
    let date = said("date", &["--utc", "+%Y-%m-%d"])?;
    let commit = said("git", &["rev-parse", "--short=12", "HEAD"])?;
    let compiler = said("rustup", &["run", "nightly", "rustc", "--version"])?;
    fs::write(PAGE, page(rows, asked, &date, &commit, &compiler))
        .map_err(|error| Failed::because(format!("writing {PAGE}"), error))
}

fn page(rows: &[Row], asked: u64, date: &str, commit: &str, compiler: &str) -> String {
    let findings: usize = rows.iter().map(|row| row.findings).sum();
    let executions: u64 = rows.iter().map(|row| row.executions).sum();
    let result = match findings {
        0 => "no input broke a law".to_owned(),
        count => format!("{count} inputs broke a law, see `fuzz/regressions`"),
    };
    let mut page = format!(
        "# Fuzzing\n\n\
         Written by `cargo xtask fuzz --seconds {asked}` on {date} at commit {commit}, {compiler}, one core.\n\n\
         {executions} inputs: {result}. What each target asserts is in `fuzz/src`, what is replayed by the tests in\n\
         `fuzz/corpus` and `fuzz/regressions`. Edges are counted by libFuzzer, over the libraries too.\n\n\
         | target | seconds | inputs | edges | peak MiB | corpus | findings |\n|---|--:|--:|--:|--:|--:|--:|\n"
    );
    for Row { target, seconds, executions, edges, peak_mib, corpus, findings } in rows {
        // Writing to a string does not fail.
        let _ = writeln!(
            page,
            "| {target} | {seconds} | {executions} | {edges} | {peak_mib} | {corpus} | {findings} |"
        );
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libfuzzer_says_at_the_end_is_read() {
        let log = "#2\tINITED cov: 10 ft: 11 corp: 1/1b\n#9\tNEW    cov: 42 ft: 60 corp: 2/3b\n\
                   #99\tDONE   cov: 43 ft: 61 corp: 3/4b\n\
                   stat::number_of_executed_units: 99\nstat::peak_rss_mb:              51\n";
        let row = Row::of("path", Duration::from_secs(3), 2, 0, log);
        assert_eq!((row.executions, row.edges, row.peak_mib), (99, 43, 51));
        let page = page(&[row], 3, "2026-11-22", "abc", "rustc");
        assert!(
            page.contains("| path | 3 | 99 | 43 | 51 | 2 | 0 |") && page.contains("no input broke a law")
        );
    }
}
