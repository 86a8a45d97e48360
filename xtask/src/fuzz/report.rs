//! What the runs came to: `docs/benchmarks/fuzz.md`.
//!
//! Each target has a row, of its longest run: to try something for a minute does not take the place of an hour. Only an
//! input that broke a law does, until a run as long as the last has found none.

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use crate::steps::{Failed, program};

const PAGE: &str = "docs/benchmarks/fuzz.md";

/// On what it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Circumstances {
    /// `-dirty` where what runs is not all committed.
    commit: String,
    date: String,
    compiler: String,
}

impl Circumstances {
    /// As they are now, before the run changes the corpus.
    pub(super) fn now() -> Result<Self, Failed> {
        let said = |name: &str, arguments: &[&str]| -> Result<String, Failed> {
            Ok(program(name, arguments).watch()?.lines.first().cloned().unwrap_or_default())
        };
        Ok(Self {
            commit: said("git", &["describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"])?,
            date: said("date", &["--utc", "+%Y-%m-%d"])?,
            compiler: said("rustup", &["run", "nightly", "rustc", "--version"])?,
        })
    }
}

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
    commit: String,
    date: String,
}

impl Row {
    /// From what libFuzzer wrote.
    pub(super) fn of(
        target: &str,
        circumstances: &Circumstances,
        took: Duration,
        corpus: usize,
        findings: usize,
        log: &str,
    ) -> Self {
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
            commit: circumstances.commit.clone(),
            date: circumstances.date.clone(),
        }
    }

    /// One line for the terminal.
    pub(super) fn told(&self) -> String {
        let Self { target, seconds, executions, edges, findings, .. } = self;
        format!("{target}: {executions} inputs in {seconds} s, {edges} edges, {findings} broke a law")
    }

    fn line(&self) -> String {
        let Self { target, seconds, executions, edges, peak_mib, corpus, findings, commit, date } = self;
        format!(
            "| {target} | {seconds} | {executions} | {edges} | {peak_mib} | {corpus} | {findings} | {commit} | {date} |"
        )
    }

    /// The row that a line is, if it is one.
    fn parse(line: &str) -> Option<Self> {
        let cells: Vec<&str> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
        let [target, seconds, executions, edges, peak_mib, corpus, findings, commit, date] = cells.as_slice()
        else {
            return None;
        };
        Some(Self {
            target: (*target).to_owned(),
            seconds: seconds.parse().ok()?,
            executions: executions.parse().ok()?,
            edges: edges.parse().ok()?,
            peak_mib: peak_mib.parse().ok()?,
            corpus: corpus.parse().ok()?,
            findings: findings.parse().ok()?,
            commit: (*commit).to_owned(),
            date: (*date).to_owned(),
        })
    }
}

/// Enters a row into the page, where those of other targets that are `known` stay.
pub(super) fn enter(row: &Row, known: &[String], circumstances: &Circumstances) -> Result<(), Failed> {
    let before = fs::read_to_string(PAGE).unwrap_or_default();
    fs::write(PAGE, page(&rows(&before, row, known), &circumstances.compiler))
        .map_err(|error| Failed::because(format!("writing {PAGE}"), error))
}

fn rows(before: &str, row: &Row, known: &[String]) -> Vec<Row> {
    let mut rows: Vec<Row> =
        before.lines().filter_map(Row::parse).filter(|row| known.contains(&row.target)).collect();
    match rows.iter_mut().find(|other| other.target == row.target) {
        Some(other) if row.findings > 0 || row.seconds >= other.seconds => other.clone_from(row),
        Some(_) => {}
        None => rows.push(row.clone()),
    }
    rows.sort_by(|one, other| one.target.cmp(&other.target));
    rows
}

fn page(rows: &[Row], compiler: &str) -> String {
    let findings: usize = rows.iter().map(|row| row.findings).sum();
    let executions: u64 = rows.iter().map(|row| row.executions).sum();
    let seconds: u64 = rows.iter().map(|row| row.seconds).sum();
    let result = match findings {
        0 => "no input broke a law".to_owned(),
        count => format!("{count} inputs broke a law, see `fuzz/regressions`"),
    };
    let mut page = format!(
        "# Fuzzing\n\n\
         Written by `cargo xtask fuzz`, {compiler}, one process at a time. A row is the longest run of its target.\n\n\
         {executions} inputs in {seconds} seconds: {result}. What each target asserts is in `fuzz/src`, what is replayed\n\
         by the tests in `fuzz/corpus` and `fuzz/regressions`. Edges are counted by libFuzzer, over the libraries too. An\n\
         input that takes a minute is taken for one that does not end: the machine may be loaded with other work, and\n\
         libFuzzer's clock is the one on the wall.\n\n\
         | target | seconds | inputs | edges | peak MiB | corpus | findings | commit | date |\n\
         |---|--:|--:|--:|--:|--:|--:|---|---|\n"
    );
    for row in rows {
        // Writing to a string does not fail.
        let _ = writeln!(page, "{}", row.line());
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn circumstances() -> Circumstances {
        let [commit, date, compiler] = ["abc", "2026-11-22", "rustc"].map(str::to_owned);
        Circumstances { commit, date, compiler }
    }

    fn row(target: &str, seconds: u64, findings: usize) -> Row {
        Row::of(target, &circumstances(), Duration::from_secs(seconds), 2, findings, "")
    }

    #[test]
    fn what_libfuzzer_says_at_the_end_is_read() {
        let log = "#2\tINITED cov: 10 ft: 11 corp: 1/1b\n#9\tNEW    cov: 42 ft: 60 corp: 2/3b\n\
                   #99\tDONE   cov: 43 ft: 61 corp: 3/4b\n\
                   stat::number_of_executed_units: 99\nstat::peak_rss_mb:              51\n";
        let row = Row::of("path", &circumstances(), Duration::from_secs(3), 2, 0, log);
        assert_eq!((row.executions, row.edges, row.peak_mib), (99, 43, 51));
        let page = page(&[row], "rustc");
        assert!(page.contains("| path | 3 | 99 | 43 | 51 | 2 | 0 | abc | 2026-11-22 |"), "{page}");
        assert!(page.contains("no input broke a law"));
    }

    #[test]
    fn a_row_stays_until_a_run_was_as_long_or_broke_a_law() {
        let known = ["host", "path"].map(str::to_owned);
        let mut text = page(&[row("gone", 9, 0), row("path", 60, 0)], "rustc");
        for (entered, expected) in [
            (row("host", 5, 0), [("host", 5, 0), ("path", 60, 0)]),
            (row("path", 59, 0), [("host", 5, 0), ("path", 60, 0)]),
            (row("path", 7, 1), [("host", 5, 0), ("path", 7, 1)]),
            (row("path", 61, 0), [("host", 5, 0), ("path", 61, 0)]),
        ] {
            let rows = rows(&text, &entered, &known);
            let said: Vec<_> =
                rows.iter().map(|row| (row.target.as_str(), row.seconds, row.findings)).collect();
            assert_eq!(said, expected);
            text = page(&rows, "rustc");
        }
    }
}
