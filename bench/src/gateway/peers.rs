//! The peers, each set up as its own documentation does it for this job.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use interop::{Apache, Haproxy, Nginx, Process, find};
use tempfile::TempDir;

use super::subject::{Server, Subject};
use super::upstream::{KEEP_ALIVE, SESSION, Upstream};
use crate::error::{Error, Result};
use crate::machine::cores;

/// The upstream itself, another one than stands behind the others: what no proxy can be better than.
pub(crate) fn upstream_alone(_: &Upstream) -> Result<Subject> {
    Ok(Subject::plain(Upstream::start()?))
}

/// nginx, which passes requests on over kept connections and changes nothing.
pub(crate) fn nginx(upstream: &Upstream) -> Result<Subject> {
    Ok(Subject::plain(start_nginx(upstream, "")?))
}

/// nginx, which tells the upstream who asked, as Cloakroom and Apache do unasked.
pub(crate) fn nginx_forwarding(upstream: &Upstream) -> Result<Subject> {
    let headers = "\
        proxy_set_header Host $http_host;\n\
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
        proxy_set_header X-Forwarded-Proto $scheme;\n\
        proxy_set_header X-Forwarded-Host $http_host;\n\
        proxy_set_header Forwarded \"for=$remote_addr;host=\\\"$http_host\\\";proto=$scheme\";\n";
    Ok(Subject::plain(start_nginx(upstream, headers)?))
}

fn start_nginx(upstream: &Upstream, headers: &str) -> Result<Nginx> {
    let http = format!(
        "{KEEP_ALIVE}\n\
         upstream application {{ server {}; keepalive 256; {KEEP_ALIVE} }}\n\
         server {{\n\
         listen {{address}};\n\
         location / {{\n\
         proxy_pass http://application;\n\
         proxy_http_version 1.1;\n\
         proxy_set_header Connection \"\";\n\
         {headers}\
         }}\n\
         }}\n",
        upstream.address()
    );
    Ok(Nginx::start(cores(), &http)?)
}

/// HAProxy, which passes requests on over kept connections.
pub(crate) fn haproxy(upstream: &Upstream) -> Result<Subject> {
    let configuration = format!(
        "global\n nbthread {}\n\
         defaults\n mode http\n http-reuse always\n \
         timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
         listen front\n bind {{address}}\n server application {}\n",
        cores(),
        upstream.address()
    );
    Ok(Subject::plain(Haproxy::start(&configuration)?))
}

/// Apache as a proxy, without any session module.
pub(crate) fn apache(upstream: &Upstream) -> Result<Subject> {
    Ok(Subject::plain(start_apache(upstream, &[], "")?))
}

/// Apache with the session in a cookie that is not encrypted.
pub(crate) fn apache_cookie(upstream: &Upstream) -> Result<Subject> {
    let sessions = format!("SessionCookieName session path=/\n{HAND_OFF}");
    let server = start_apache(upstream, &["session", "session_cookie", "headers"], &sessions)?;
    Ok(Subject::reading(server, format!("session={SESSION}")))
}

/// Apache with the session in a table of SQLite.
pub(crate) fn apache_sqlite(upstream: &Upstream) -> Result<Subject> {
    driver_of_sqlite()?;
    let table = Table::with_one_session()?;
    let sessions = format!(
        "DBDriver sqlite3\n\
         DBDParams \"{}\"\n\
         DBDMin 4\nDBDKeep 16\nDBDMax 25\n\
         DBDPrepareSQL \"select value from session where key = %s and (expiry = 0 or expiry > %lld)\" selectsession\n\
         DBDPrepareSQL \"insert into session (value, expiry, key) values (%s, %lld, %s)\" insertsession\n\
         DBDPrepareSQL \"update session set value = %s, expiry = %lld, key = %s where key = %s\" updatesession\n\
         DBDPrepareSQL \"delete from session where key = %s\" deletesession\n\
         SessionDBDCookieName session path=/\n{HAND_OFF}",
        table.file().display()
    );
    let modules = ["session", "session_dbd", "dbd", "headers"];
    let apache = start_apache(upstream, &modules, &sessions)?;
    Ok(Subject::reading(WithTable { apache, _table: table }, format!("session={}", Table::KEY)))
}

/// mod_session never presents a session to a proxied application by itself; this is how people make it.
const HAND_OFF: &str = "\
    Session On\n\
    SessionEnv On\n\
    SessionHeader X-Replace-Session\n\
    RequestHeader unset X-Session\n\
    RequestHeader set X-Session \"%{HTTP_SESSION}e\" env=HTTP_SESSION\n";

/// Debian's settings of the event module, and connections that stay open as long as the load wants.
const EVENT: &str = "\
    StartServers 2\n\
    MinSpareThreads 25\n\
    MaxSpareThreads 75\n\
    ThreadLimit 64\n\
    ThreadsPerChild 25\n\
    MaxRequestWorkers 150\n\
    MaxConnectionsPerChild 0\n\
    KeepAlive On\n\
    MaxKeepAliveRequests 0\n\
    KeepAliveTimeout 60\n";

fn start_apache(upstream: &Upstream, modules: &[&str], sessions: &str) -> Result<Apache> {
    let modules = [&["proxy", "proxy_http"], modules].concat();
    let configuration = format!("{EVENT}{sessions}ProxyPass / http://{}/\n", upstream.address());
    Ok(Apache::start(&modules, &configuration)?)
}

/// Apache's library loads drivers by name, from a directory that bears the name of the architecture.
fn driver_of_sqlite() -> Result<()> {
    let libraries = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let is_there = libraries.into_iter().any(|path| path.join("apr-util-1/apr_dbd_sqlite3.so").exists());
    if is_there {
        return Ok(());
    }
    let missing =
        interop::Error::Missing { program: "apr_dbd_sqlite3.so", package: "libaprutil1-dbd-sqlite3" };
    Err(missing.into())
}

/// The database of `mod_session_dbd`, with one session. It is removed when dropped.
struct Table(TempDir);

impl Table {
    const KEY: &str = "7d0a4f5e-3c1b-4f5a-9e64-2f8f6f0c9b11";

    fn with_one_session() -> Result<Self> {
        let program = find("sqlite3", "sqlite3")?;
        let directory = tempfile::tempdir().map_err(Error::file("the directory of a database"))?;
        let table = Self(directory);
        // In the mode in which Apache reads fastest.
        let statements = format!(
            "pragma journal_mode = wal; \
             create table session (key text primary key, value text, expiry integer); \
             insert into session values ('{}', '{SESSION}', 0);",
            Self::KEY
        );
        let mut command = Command::new(program);
        command.arg("-bail").arg(table.file()).arg(statements);
        let output = command.output().map_err(Error::file("sqlite3"))?;
        if !output.status.success() {
            let cause = String::from_utf8_lossy(&output.stderr).into_owned();
            return Err(Error::Wrong { row: "apache-sqlite", what: cause });
        }
        // Apache's workers are somebody else when it is started by root.
        open_to_all(table.0.path(), 0o777)?;
        open_to_all(&table.file(), 0o666)?;
        Ok(table)
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("sessions.sqlite3")
    }
}

fn open_to_all(path: &Path, mode: u32) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(Error::file(path))
}

/// Apache, and the table that has to be there as long as it runs. Fields are dropped from the first to the last.
struct WithTable {
    apache: Apache,
    _table: Table,
}

impl Server for WithTable {
    fn address(&self) -> SocketAddr {
        self.apache.address()
    }

    fn process(&self) -> &Process {
        self.apache.process()
    }
}
