//! A program that runs for a test and is gone after it.
//!
//! Each is started in a process group of its own, so that workers and helper processes go with it, and is
//! stopped by that group's id: SIGTERM first, SIGKILL when the grace is over. What it prints goes to a file,
//! because a pipe that nobody reads would stop it, and because a failure message wants the end of it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use crate::error::{Error, Result};

/// How long a program may take until it answers. Generous: the machine may be building meanwhile.
const START: Duration = Duration::from_secs(60);
/// How long a program may take to end after SIGTERM, when a test is over with it.
const GRACE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(20);
/// How much of a log a failure message shows.
const LOG_TAIL: usize = 6_000;

/// Where a program is, from the search path and the directories of system programs.
pub fn find(program: &'static str, package: &'static str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin", "/sbin", "/usr/bin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|file| file.is_file())
        .ok_or(Error::Missing { program, package })
}

/// A running program.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output in `log`, which is appended to.
    pub fn spawn(mut command: Command, log: PathBuf) -> Result<Self> {
        let name = Path::new(command.get_program())
            .file_name()
            .unwrap_or(OsStr::new("program"))
            .to_string_lossy()
            .into_owned();
        let opened = |what: &str| Error::system(format!("{what} {}", log.display()));
        let output = File::options().create(true).append(true).open(&log).map_err(opened("opening"))?;
        let errors = output.try_clone().map_err(opened("opening"))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .map_err(Error::system(format!("starting {name}")))?;
        Ok(Self { name, child, log })
    }

    /// Waits until `ready` says so, or gives up when the program has ended or the time is over.
    pub fn wait_until(&mut self, mut ready: impl FnMut() -> bool) -> Result<()> {
        let began = Instant::now();
        loop {
            if ready() {
                return Ok(());
            }
            if let Some(status) = self.ended()? {
                return Err(self.did_not_start(format!("it ended with {status}")));
            }
            if began.elapsed() > START {
                return Err(self.did_not_start(format!("it did not answer within {START:?}")));
            }
            thread::sleep(POLL);
        }
    }

    /// Waits until the program takes connections at `address`.
    pub fn wait_for(&mut self, address: SocketAddr) -> Result<()> {
        self.wait_until(|| TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok())
    }

    /// The id of the process, which is that of its group as well.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The ids of all living processes of the group: the program and its workers.
    pub fn group(&self) -> Vec<u32> {
        let own = self.id();
        let Ok(entries) = fs::read_dir("/proc") else {
            return vec![own];
        };
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|&id| living_group_of(id) == Some(own))
            .collect()
    }

    /// The end of what the program printed.
    pub fn log(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        let from = bytes.len().saturating_sub(LOG_TAIL);
        String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()).into_owned()
    }

    /// Everything that the program printed so far.
    pub fn whole_log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Asks the program itself to end, as an operator or an init system does, and does not wait. Nothing
    /// happens when it has ended already: its id may belong to somebody else by then.
    pub fn terminate(&mut self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Asks the program itself to read its configuration again.
    pub fn hang_up(&mut self) -> Result<()> {
        self.signal(Signal::HUP)
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.ended()?.is_some() {
            return Ok(());
        }
        kill_process(Pid::from_child(&self.child), signal)
            .map_err(|errno| Error::system(format!("signalling {}", self.name))(errno.into()))
    }

    /// Ends the program and its group at once, as a crash does.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.signal_group(Signal::KILL);
        self.wait(GRACE)
    }

    /// Waits for the program to end by itself.
    pub fn wait(&mut self, at_most: Duration) -> Result<ExitStatus> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            if began.elapsed() > at_most {
                return Err(Error::Slow { what: format!("the end of {}", self.name), after: at_most });
            }
            thread::sleep(POLL);
        }
    }

    fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().map_err(Error::system(format!("waiting for {}", self.name)))
    }

    fn did_not_start(&self, cause: String) -> Error {
        Error::Start { program: self.name.clone(), cause, log: self.log() }
    }

    /// Nobody left in the group is what is wanted, so it is no error.
    fn signal_group(&self, signal: Signal) {
        let _ = kill_process_group(Pid::from_child(&self.child), signal);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal_group(Signal::TERM);
        let _ = self.wait(GRACE);
        // Also after a clean end: a worker may have outlived its master.
        self.signal_group(Signal::KILL);
        let _ = self.child.wait();
    }
}

/// The process group of `id`, unless the process has ended and only waits to be collected. The command name,
/// second in the line, may hold blanks and brackets, so what counts begins after the last bracket: state,
/// parent, group.
fn living_group_of(id: u32) -> Option<u32> {
    let line = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, rest) = line.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let (state, _parent, group) = (fields.next()?, fields.next()?, fields.next()?);
    (state != "Z").then(|| group.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, directory: &Path) -> Process {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        let mut process = Process::spawn(command, directory.join("log")).unwrap();
        let log = directory.join("log");
        process.wait_until(|| fs::read_to_string(&log).is_ok_and(|text| text.contains("up"))).unwrap();
        process
    }

    #[test]
    fn a_dropped_process_takes_its_children_along() {
        let directory = tempfile::tempdir().unwrap();
        let process = shell("sleep 600 & sleep 600 & echo up; wait", directory.path());
        let (leader, group) = (process.id(), process.group());
        assert_eq!(group.len(), 3);
        drop(process);
        let left = || group.iter().any(|&id| living_group_of(id) == Some(leader));
        let deadline = Instant::now() + GRACE;
        while left() && Instant::now() < deadline {
            thread::sleep(POLL);
        }
        assert!(!left());
    }

    #[test]
    fn a_program_that_ends_at_once_shows_what_it_printed() {
        let directory = tempfile::tempdir().unwrap();
        let mut process = shell("echo up; echo no such thing >&2; exit 3", directory.path());
        let error = process.wait_until(|| false).unwrap_err().to_string();
        assert!(error.contains("no such thing"), "{error}");
        assert!(error.contains("exit status: 3"), "{error}");
    }

    #[test]
    fn a_program_that_ignores_sigterm_is_killed() {
        let directory = tempfile::tempdir().unwrap();
        let script = "trap '' TERM; echo up; while :; do sleep 1; done";
        let process = shell(script, directory.path());
        let id = process.id();
        drop(process);
        assert_eq!(living_group_of(id), None);
    }
}
