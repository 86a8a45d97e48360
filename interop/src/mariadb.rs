//! MariaDB, with a data directory of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::error::Result;
use crate::port::Port;
use crate::postgres::{run, unprivileged};
use crate::process::{Process, find};
use crate::scratch;

/// The Debian package.
const PACKAGE: &str = "mariadb-server";

/// A running MariaDB. Its superuser is `admin`, without a password.
#[derive(Debug)]
pub struct MariaDb {
    process: Option<Process>,
    port: Port,
    settings: Vec<String>,
    directory: TempDir,
}

impl MariaDb {
    /// Starts MariaDB. It does not wait for the disk: what a killed server wrote the system still has.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// The same with settings such as `innodb-buffer-pool-size=1G`, which count instead of its own.
    pub fn start_with(settings: &[&str]) -> Result<Self> {
        let port = Port::claim()?;
        let directory = scratch::directory()?;
        let settings = settings.iter().map(|setting| format!("--{setting}")).collect();
        let mut mariadb = Self { process: None, port, settings, directory };
        let mut install = unprivileged(&find("mariadb-install-db", PACKAGE)?);
        install.arg("--no-defaults").arg(format!("--datadir={}", mariadb.data().display()));
        install.args([
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--innodb-flush-method=nosync",
        ]);
        // Two that are installed at once take the same names for temporary tables.
        install.env("TMPDIR", mariadb.directory.path());
        run(install)?;
        mariadb.go()?;
        mariadb.sql_as(
            "root",
            "mysql",
            "CREATE USER admin@'127.0.0.1'; GRANT ALL ON *.* TO admin@'127.0.0.1' WITH GRANT OPTION",
        )?;
        Ok(mariadb)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Its process; nothing while it is killed.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// The URL of a database for the superuser.
    pub fn url(&self, database: &str) -> String {
        format!("mysql://admin@{}/{database}", self.address())
    }

    /// Says something to a database as its superuser, and gives what came back: a line a row, columns with tabs between.
    pub fn sql(&self, database: &str, text: &str) -> Result<String> {
        self.sql_as("admin", database, text)
    }

    fn sql_as(&self, user: &str, database: &str, text: &str) -> Result<String> {
        let mut client = Command::new(find("mariadb", PACKAGE)?);
        client.args(["--no-defaults", "-N", "-B", "-u", user]);
        if user == "root" {
            client.arg(format!("--socket={}", self.socket().display()));
        } else {
            client.args(["-h", "127.0.0.1", "-P", &self.port.number().to_string()]);
        }
        client.args(["-D", database, "-e", text]);
        run(client)
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
        let mut server = unprivileged(&find("mariadbd", PACKAGE)?);
        server.arg("--no-defaults").arg(format!("--datadir={}", self.data().display()));
        server.arg(format!("--socket={}", self.socket().display()));
        server.arg(format!("--pid-file={}", self.directory.path().join("pid").display()));
        server.args(["--bind-address=127.0.0.1", "--skip-name-resolve", "--innodb-flush-method=nosync"]);
        server.args([
            "--innodb-buffer-pool-size=32M",
            "--max-connections=200",
            "--character-set-server=latin1",
        ]);
        server.arg(format!("--port={}", self.port.number()));
        // The last one of a kind counts.
        server.args(&self.settings);
        let mut process = Process::spawn(server, self.directory.path().join("log"))?;
        process.wait_for(self.port.address())?;
        self.process = Some(process);
        Ok(())
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::available;

    #[test]
    fn mariadb_answers_and_keeps_what_it_has_over_a_crash() {
        let Some(mut mariadb) = available(MariaDb::start()).unwrap() else {
            return;
        };
        mariadb.sql("mysql", "CREATE DATABASE kept; CREATE TABLE kept.kept AS SELECT 7 AS number").unwrap();
        mariadb.kill().unwrap();
        assert!(mariadb.sql("mysql", "SELECT 1").is_err());
        mariadb.restart().unwrap();
        assert_eq!(mariadb.sql("kept", "SELECT number FROM kept").unwrap(), "7");
    }
}
