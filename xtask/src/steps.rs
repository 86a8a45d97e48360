//! One command after the other: run, watched, and told about when it fails.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;

/// A command to run, and what to call it when it fails.
pub(crate) struct Step {
    command: Command,
    shown: String,
}

/// A command that could not be started or ended badly.
pub(crate) struct Failed {
    shown: String,
    cause: String,
}

/// What a command ended with and what it printed.
pub(crate) struct Outcome {
    pub(crate) status: ExitStatus,
    pub(crate) lines: Vec<String>,
}

/// cargo, the same one that runs this.
pub(crate) fn cargo(arguments: &[&str]) -> Step {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    Step::new("cargo", &program, arguments)
}

/// Any other program.
pub(crate) fn program(name: &str, arguments: &[&str]) -> Step {
    Step::new(name, OsStr::new(name), arguments)
}

impl Step {
    fn new(name: &str, program: &OsStr, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        Self { command, shown: format!("{name} {}", arguments.join(" ")) }
    }

    /// Sets a variable of its environment.
    pub(crate) fn with(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Removes a variable from its environment.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    /// Adds arguments.
    pub(crate) fn and(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self.shown = format!("{} {}", self.shown, arguments.join(" "));
        self
    }

    /// Whether it runs and ends well, with nothing shown.
    pub(crate) fn succeeds_quietly(mut self) -> bool {
        self.command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    }

    /// Runs it, and takes anything but a good end as a failure.
    pub(crate) fn run(mut self) -> Result<(), Failed> {
        eprintln!("== {}", self.shown);
        match self.command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(self.failed(format!("ended with {status}"))),
            Err(error) => Err(self.failed(format!("did not start: {error}"))),
        }
    }

    /// Runs it, and keeps what it prints in a file. Says whether it ended well.
    pub(crate) fn logged_to(mut self, file: &Path) -> Result<bool, Failed> {
        eprintln!("== {}", self.shown);
        let log = File::create(file).and_then(|log| Ok((log.try_clone()?, log)));
        let (log, errors) =
            log.map_err(|error| self.failed(format!("has no log {}: {error}", file.display())))?;
        let status = self.command.stdout(log).stderr(errors).status();
        status.map(|status| status.success()).map_err(|error| self.failed(format!("did not start: {error}")))
    }

    /// Runs it, shows what it prints as it comes, and keeps that. A bad end is for the caller to judge.
    pub(crate) fn watch(mut self) -> Result<Outcome, Failed> {
        eprintln!("== {}", self.shown);
        let spawned = self.command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.map_err(|error| self.failed(format!("did not start: {error}")))?;
        // Both at once: a program that fills the pipe that nobody reads would wait forever.
        let errors = child.stderr.take().map(|stream| thread::spawn(|| pass_on(stream)));
        let mut lines = child.stdout.take().map(pass_on).unwrap_or_default();
        let errors = errors.and_then(|thread| thread.join().ok());
        lines.extend(errors.unwrap_or_default());
        let status = child.wait().map_err(|error| self.failed(format!("was lost: {error}")))?;
        Ok(Outcome { status, lines })
    }

    fn failed(&self, cause: String) -> Failed {
        Failed { shown: self.shown.clone(), cause }
    }
}

impl Failed {
    /// A failure that is no command's.
    pub(crate) fn because(what: impl Into<String>, cause: impl fmt::Display) -> Self {
        Self { shown: what.into(), cause: cause.to_string() }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.shown, self.cause)
    }
}

fn pass_on(stream: impl Read) -> Vec<String> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        // Nobody to show it to is no reason to stop.
        let _ = std::io::stderr().write_all(&line);
        lines.push(String::from_utf8_lossy(&line).trim_end().to_owned());
        line.clear();
    }
    lines
}
