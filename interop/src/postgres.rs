//! PostgreSQL, with a data directory of its own.

use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::error::{Error, Result};
use crate::port::Port;
use crate::process::{Process, find};
use crate::scratch;

/// Where Debian keeps the programs of each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// Who may connect: everybody without a password, but `guarded`.
const HOSTS: &str = "host all guarded 127.0.0.1/32 scram-sha-256\n\
                     host all all 127.0.0.1/32 trust\n\
                     local all all trust\n";

/// A running PostgreSQL. Its superuser is `admin`.
#[derive(Debug)]
pub struct Postgres {
    process: Option<Process>,
    port: Port,
    programs: PathBuf,
    settings: Vec<String>,
    directory: TempDir,
}

impl Postgres {
    /// Starts PostgreSQL.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// Starts PostgreSQL with settings such as `ssl=on`. It does not wait for the disk: what a killed server wrote the
    /// system still has.
    pub fn start_with(settings: &[&str]) -> Result<Self> {
        let programs = programs()?;
        let port = Port::claim()?;
        let directory = scratch::directory()?;
        let place = directory.path().display();
        let mut all: Vec<String> = [
            "listen_addresses=127.0.0.1",
            "fsync=off",
            "shared_buffers=32MB",
            "max_connections=200",
            "autovacuum=off",
        ]
        .map(str::to_owned)
        .to_vec();
        all.push(format!("port={}", port.number()));
        all.push(format!("unix_socket_directories={place}"));
        all.extend(settings.iter().map(|setting| setting.replace("{directory}", &place.to_string())));
        let mut postgres = Self { process: None, port, programs, settings: all, directory };
        let data = postgres.data();
        let mut initdb = postgres.command("initdb");
        initdb.arg("-D").arg(&data).args([
            "--no-sync",
            "-A",
            "trust",
            "-U",
            "admin",
            "-E",
            "UTF8",
            "--locale=C",
        ]);
        run(initdb)?;
        scratch::write(&data, "pg_hba.conf", HOSTS)?;
        postgres.go()?;
        Ok(postgres)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Its first process, the parent of all others; nothing while it is killed.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// The URL of a database for the superuser.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://admin@{}/{database}", self.address())
    }

    /// Says something to a database as its superuser, and gives what came back: a line a row, columns with `|` between.
    pub fn sql(&self, database: &str, text: &str) -> Result<String> {
        let mut psql = self.command("psql");
        psql.args(["-h", "127.0.0.1", "-p", &self.port.number().to_string(), "-U", "admin", "-d", database]);
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", text]);
        run(psql)
    }

    /// Kills it at once, as a crash does.
    pub fn kill(&mut self) -> Result<()> {
        if let Some(mut process) = self.process.take() {
            process.kill()?;
        }
        Ok(())
    }

    /// Stops it if it runs, and starts it again with what it has on its disk.
    pub fn restart(&mut self) -> Result<()> {
        self.process = None;
        self.go()
    }

    fn go(&mut self) -> Result<()> {
        let mut server = self.command("postgres");
        server.arg("-D").arg(self.data());
        for setting in &self.settings {
            server.arg("-c").arg(setting);
        }
        let mut process = Process::spawn(server, self.directory.path().join("log"))?;
        // It takes connections before it has recovered; only then it answers.
        process.wait_until(|| self.sql("postgres", "SELECT 1").is_ok())?;
        self.process = Some(process);
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn command(&self, program: &str) -> Command {
        unprivileged(&self.programs.join(program))
    }
}

/// The directory of the newest version.
fn programs() -> Result<PathBuf> {
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let versions = std::fs::read_dir(VERSIONS).into_iter().flatten().flatten().map(|entry| entry.path());
    let newest = versions.filter(|path| path.join("bin/postgres").is_file()).max_by_key(version);
    match newest {
        Some(newest) => Ok(newest.join("bin")),
        None => {
            let found = find("postgres", "postgresql")?;
            Ok(found.parent().map(Path::to_owned).unwrap_or_default())
        }
    }
}

/// A command that does not run as root, which database servers refuse to.
pub(crate) fn unprivileged(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/");
    if rustix::process::geteuid().is_root() {
        // "nobody" of Debian: the number is the same on every machine.
        command.uid(65_534).gid(65_534);
    }
    command
}

/// Runs a program to its end, and gives what it printed.
pub(crate) fn run(mut command: Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().map_err(Error::system(format!("starting {program}")))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
    }
    Err(Error::Start {
        program,
        cause: format!("it ended with {}", output.status),
        log: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::available;

    #[test]
    fn postgres_answers_and_keeps_what_it_has_over_a_crash() {
        let Some(mut postgres) = available(Postgres::start()).unwrap() else {
            return;
        };
        postgres.sql("postgres", "CREATE TABLE kept AS SELECT 7 AS number").unwrap();
        postgres.kill().unwrap();
        assert!(postgres.sql("postgres", "SELECT 1").is_err());
        postgres.restart().unwrap();
        assert_eq!(postgres.sql("postgres", "SELECT number FROM kept").unwrap(), "7");
    }
}
