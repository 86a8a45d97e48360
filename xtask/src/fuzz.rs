//! `cargo xtask fuzz`: each target for its share of the time, what it found kept, what broke a law told.
//!
//! libFuzzer needs a nightly compiler and cargo-fuzz builds for it. Everything that comes of it, the corpus and the inputs
//! that broke a law, is replayed by the ordinary tests on stable.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::steps::{Failed, cargo, program};

mod report;

use report::Row;

/// Where everything is built and found that is not kept.
const WORK: &str = "target/fuzz";

/// What to do without being told otherwise, all targets together.
const SECONDS: u64 = 600;

/// How long an input may take, in seconds on the wall, before it is taken for one that does not end. They take milliseconds;
/// but the run is nobody's first business, and waits for its turn where others build.
const PATIENCE: u64 = 60;

/// What was asked for.
struct Plan {
    seconds: u64,
    targets: Vec<String>,
}

/// Runs the targets that are named, or all, and enters each into the page.
pub(crate) fn run(arguments: &[&str]) -> Result<(), Failed> {
    let known = names()?;
    let plan = Plan::of(arguments, &known)?;
    let circumstances = report::Circumstances::now()?;
    let programs = build()?;
    let each = Duration::from_secs(plan.seconds.div_ceil(plan.targets.len().max(1) as u64));
    let mut failed = Vec::new();
    for target in &plan.targets {
        let run =
            Run { target, program: &programs.join(format!("fuzz-{target}")), circumstances: &circumstances };
        // What is wrong with one is no reason not to run the others.
        let row = match run.run(each) {
            Ok(row) => row,
            Err(failure) => {
                eprintln!("{failure}");
                failed.push(target.as_str());
                continue;
            }
        };
        println!("{}", row.told());
        report::enter(&row, &known, &circumstances)?;
        if row.findings > 0 {
            failed.push(target);
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let cause = format!("broke a law or failed in {}, see fuzz/regressions and the logs", failed.join(", "));
    Err(Failed::because("cargo xtask fuzz", cause))
}

impl Plan {
    fn of(arguments: &[&str], known: &[String]) -> Result<Self, Failed> {
        let wrong = |cause: String| Failed::because("cargo xtask fuzz", cause);
        let (mut seconds, mut targets) = (SECONDS, Vec::new());
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            if *argument == "--seconds" {
                let given = arguments.next().and_then(|seconds| seconds.parse().ok());
                seconds = given.ok_or_else(|| wrong("needs a number after --seconds".to_owned()))?;
            } else if known.iter().any(|name| name == argument) {
                targets.push((*argument).to_owned());
            } else {
                return Err(wrong(format!("knows no target `{argument}`, but {}", known.join(", "))));
            }
        }
        let targets = if targets.is_empty() { known.to_vec() } else { targets };
        Ok(Self { seconds, targets })
    }
}

/// The targets, by their programs.
fn names() -> Result<Vec<String>, Failed> {
    let mut names: Vec<String> = files(Path::new("fuzz/targets"))
        .iter()
        .filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    if names.is_empty() { Err(Failed::because("reading fuzz/targets", "found no target")) } else { Ok(names) }
}

/// Builds all programs and writes the seeds; returns where the programs are.
fn build() -> Result<PathBuf, Failed> {
    let nightly = || program("rustup", &["run", "nightly", "cargo", "--version"]);
    if !nightly().succeeds_quietly() {
        let cure = "needs the nightly toolchain: `rustup toolchain install nightly --profile minimal`";
        return Err(Failed::because("cargo xtask fuzz", cure));
    }
    if !cargo(&["fuzz", "--version"]).succeeds_quietly() {
        cargo(&["install", "cargo-fuzz", "--locked"]).run()?;
    }
    let seeds = format!("{WORK}/seeds");
    cargo(&["run", "--quiet", "--package", "cloakroom-fuzz", "--example", "seeds", "--", &seeds]).run()?;
    // Nothing of ours is unsafe, so that the sanitizer of addresses would only halve the speed. Without link-time
    // optimisation the programs are there in a quarter of the time.
    program(
        "rustup",
        &["run", "nightly", "cargo", "fuzz", "build", "--fuzz-dir", "fuzz", "--sanitizer", "none"],
    )
    .and(&["--features", "libfuzzer", "--target-dir", WORK])
    // This very cargo, a stable one, which would be taken in place of that of nightly.
    .without("CARGO")
    .with("CARGO_PROFILE_RELEASE_LTO", "off")
    .with("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
    .run()?;
    let triples = files(Path::new(WORK));
    let built = triples.iter().map(|triple| triple.join("release")).find(|built| !fuzzers(built).is_empty());
    built.ok_or_else(|| Failed::because("cargo fuzz build", "left no programs"))
}

fn fuzzers(folder: &Path) -> Vec<PathBuf> {
    let is_ours = |file: &PathBuf| {
        file.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("fuzz-"))
    };
    files(folder).into_iter().filter(is_ours).collect()
}

/// One target at work.
struct Run<'a> {
    target: &'a str,
    program: &'a Path,
    circumstances: &'a report::Circumstances,
}

impl Run<'_> {
    fn run(&self, time: Duration) -> Result<Row, Failed> {
        let (found, corpus, broken) = (self.work("found"), self.kept("corpus"), self.kept("regressions"));
        for folder in [&found, &corpus, &broken] {
            make(folder)?;
        }
        let before = files(&broken).len();
        let began = Instant::now();
        let log = self.work("log");
        let result = self.libfuzzer(
            &[
                format!("-max_total_time={}", time.as_secs().max(1)),
                format!("-dict={WORK}/seeds/{}.dict", self.target),
                format!("-artifact_prefix={}/", broken.display()),
                format!("-timeout={PATIENCE}"),
                format!("-report_slow_units={PATIENCE}"),
                "-rss_limit_mb=1024".to_owned(),
                "-print_final_stats=1".to_owned(),
            ],
            &[&found, &corpus, &self.seeds(), &broken],
            &log,
        )?;
        let took = began.elapsed();
        let findings = files(&broken).len().saturating_sub(before);
        if !result && findings == 0 {
            return Err(Failed::because(
                format!("fuzz-{}", self.target),
                format!("failed, see {}", log.display()),
            ));
        }
        if findings == 0 {
            self.keep_what_adds(&found, &corpus)?;
            // Git keeps no empty folders, and a test would ask why it is there.
            let _ = fs::remove_dir(&broken);
        }
        let text = fs::read_to_string(&log).unwrap_or_default();
        Ok(Row::of(self.target, self.circumstances, took, files(&corpus).len(), findings, &text))
    }

    /// The smallest set that goes everywhere where all that was found goes takes the place of the corpus.
    fn keep_what_adds(&self, found: &Path, corpus: &Path) -> Result<(), Failed> {
        let smallest = self.work("smallest");
        let _ = fs::remove_dir_all(&smallest);
        make(&smallest)?;
        // How often a place is passed makes another input out of each length: places alone are enough to keep.
        let merge = ["-set_cover_merge=1", "-use_counters=0", "-max_len=4096"].map(str::to_owned);
        let from: [&Path; 4] = [&smallest, corpus, &self.seeds(), found];
        if !self.libfuzzer(&merge, &from, &self.work("merge-log"))? || files(&smallest).is_empty() {
            return Err(Failed::because(format!("fuzz-{}", self.target), "could not merge its corpus"));
        }
        let copied = files(corpus).iter().try_for_each(fs::remove_file).and_then(|()| {
            files(&smallest).iter().try_for_each(|file| {
                fs::copy(file, corpus.join(file.file_name().unwrap_or_default())).map(drop)
            })
        });
        copied.map_err(|error| Failed::because(format!("writing {}", corpus.display()), error))
    }

    /// Whether it ended well. All that it says goes into the log: it says a lot.
    fn libfuzzer(&self, options: &[String], folders: &[&Path], log: &Path) -> Result<bool, Failed> {
        let folders = folders.iter().map(|folder| folder.display().to_string());
        let arguments: Vec<String> = options.iter().cloned().chain(folders).collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        program(&self.program.display().to_string(), &arguments).logged_to(log)
    }

    fn work(&self, what: &str) -> PathBuf {
        Path::new(WORK).join("work").join(format!("{}-{what}", self.target))
    }

    fn kept(&self, what: &str) -> PathBuf {
        Path::new("fuzz").join(what).join(self.target)
    }

    fn seeds(&self) -> PathBuf {
        Path::new(WORK).join("seeds").join(self.target)
    }
}

fn make(folder: &Path) -> Result<(), Failed> {
    fs::create_dir_all(folder).map_err(|error| Failed::because(format!("making {}", folder.display()), error))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_for_all_targets_that_are_named() {
        let known = ["path".to_owned(), "host".to_owned()];
        let plan = Plan::of(&["--seconds", "60", "host"], &known).ok().unwrap();
        assert_eq!((plan.seconds, plan.targets), (60, vec!["host".to_owned()]));
        let plan = Plan::of(&[], &known).ok().unwrap();
        assert_eq!((plan.seconds, plan.targets.len()), (SECONDS, 2));
        for wrong in [&["--seconds"][..], &["--seconds", "soon"], &["hots"]] {
            assert!(Plan::of(wrong, &known).is_err(), "{wrong:?}");
        }
    }
}
