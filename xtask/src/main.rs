//! What developers run: `cargo xtask help`.
//!
//! Only the standard library is used, so that the first command on a fresh machine starts within seconds.

#[cfg(test)]
mod book;
mod fuzz;
mod nightly;
mod packages;
mod schemathesis;
mod steps;
mod test;

use std::path::Path;
use std::process::ExitCode;

use steps::{Failed, cargo};

const HELP: &str = "\
What developers of Cloakroom run.

  cargo xtask test           install what the tests need, if it may (Debian packages, as root; Schemathesis below
                             target/), build the program, run every test and every example in the documentation
  cargo xtask bench gateway  measure the gateway beside nginx, HAProxy and Apache on this machine
  cargo xtask bench cache    measure finds, openings, memory and writes of the session cache beside moka, Redis and
                             Shibboleth
  cargo xtask bench ends     measure how soon an end reaches three gateways that share a storage
  cargo xtask bench instructions
                             count the instructions of the steps of a request with a session
  cargo xtask bench server   measure the session server beside a portal of LemonLDAP::NG
  cargo xtask bench storage  measure every storage engine beside what it is built on
  cargo xtask fuzz [--seconds N] [TARGET ...]
                             feed each target (fuzz/src) with what libFuzzer makes of its corpus, for N seconds
                             together; keep what adds to the corpus, and what breaks a law
  cargo xtask example cluster [SECONDS]
                             start a Redis Cluster of six nodes with three gateways, kill a primary under load, and show
                             that no end was undone and nobody logged out (docs/nightly/cluster.md holds the last result)
  cargo xtask screenshots    take the pictures of the demonstration and the login page
                             into docs/src/images
  cargo xtask nightly        what takes too long for every test: a million simulated worlds of sessions, a thousand
                             logouts against changes under way, a hundred thousand schedules of browsers whose
                             tickets are renewed, outages of ten minutes, and keys that change every minute, for ten
                             minutes under load; a page of each goes into docs/nightly
  cargo xtask help           this text
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // The workspace is the directory above this crate, wherever the command was given.
    let workspace = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    if let Err(error) = std::env::set_current_dir(workspace) {
        eprintln!("cannot enter {}: {error}", workspace.display());
        return ExitCode::FAILURE;
    }
    let done = match words.as_slice() {
        ["test"] => test::run(),
        ["bench", rest @ ..] => bench(rest),
        ["fuzz", rest @ ..] => fuzz::run(rest),
        ["example", "cluster"] => cluster("20"),
        ["example", "cluster", seconds] => cluster(seconds),
        ["screenshots"] => screenshots(),
        ["nightly"] => nightly::run(),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        other => {
            eprintln!("there is no `cargo xtask {}`\n\n{HELP}", other.join(" "));
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("{failed}");
            ExitCode::FAILURE
        }
    }
}

fn bench(rest: &[&str]) -> Result<(), Failed> {
    packages::install_to_measure()?;
    let bench = ["run", "--release", "--package", "cloakroom-bench", "--"];
    cargo(&[&bench, rest].concat()).run()
}

fn cluster(seconds: &str) -> Result<(), Failed> {
    packages::install()?;
    let cluster = ["run", "--release", "--package", "cloakroom-interop", "--bin", "cluster", "--"];
    cargo(&[&cluster[..], &[seconds, "docs/nightly/cluster.md"]].concat()).run()
}

fn screenshots() -> Result<(), Failed> {
    packages::install()?;
    cargo(&["run", "--package", "cloakroom-interop", "--bin", "screenshots"]).run()
}
