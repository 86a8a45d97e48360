//! The peers, each set up as its own documentation does it for this job.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use interop::{Apache, Haproxy, Nginx, find, raw};
use tempfile::TempDir;

use super::subject::{Session, Subject, With};
use super::upstream::{KEEP_ALIVE, OPEN, PLAIN, SESSION, UPDATE, Upstream};
use crate::error::{Error, Result};
use crate::load::{Certificate, Echo, Load, Protocol, Requests};
use crate::machine::cores;

/// The upstream itself, another one than stands behind the others: what no proxy can be better than.
pub(crate) fn upstream_alone(_: &Upstream) -> Result<Subject> {
    Ok(Subject::plain(Upstream::start()?))
}

/// nginx, which passes requests on over kept connections and changes nothing.
pub(crate) fn nginx(upstream: &Upstream) -> Result<Subject> {
    Ok(Subject::plain(start_nginx(upstream.address(), "", "")?))
}

/// nginx, which tells the upstream who asked, as Cloakroom and Apache do unasked.
pub(crate) fn nginx_forwarding(upstream: &Upstream) -> Result<Subject> {
    let headers = "\
        proxy_set_header Host $http_host;\n\
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;\n\
        proxy_set_header X-Forwarded-Proto $scheme;\n\
        proxy_set_header X-Forwarded-Host $http_host;\n\
        proxy_set_header Forwarded \"for=$remote_addr;host=\\\"$http_host\\\";proto=$scheme\";\n";
    Ok(Subject::plain(start_nginx(upstream.address(), "", headers)?))
}

/// nginx over TLS.
pub(crate) fn nginx_tls(upstream: &Upstream) -> Result<Subject> {
    let nginx = start_nginx_tls(upstream)?;
    Ok(Subject::under(nginx, Load::Tls(Protocol::Http1, PLAIN), Session::None))
}

/// The same with HTTP/2.
pub(crate) fn nginx_http2(upstream: &Upstream) -> Result<Subject> {
    let nginx = start_nginx_tls(upstream)?;
    Ok(Subject::under(nginx, Load::Tls(Protocol::Http2, PLAIN), Session::None))
}

/// nginx, and visitors who come over TLS for one request.
pub(crate) fn nginx_handshakes(upstream: &Upstream) -> Result<Subject> {
    Ok(Subject::under(start_nginx_tls(upstream)?, Load::Handshakes(PLAIN), Session::None))
}

/// nginx between an application and its visitors, who talk over WebSocket.
pub(crate) fn nginx_messages(_: &Upstream) -> Result<Subject> {
    let echo = Echo::start()?;
    let upgrade = "\
        proxy_set_header Upgrade $http_upgrade;\n\
        proxy_set_header Connection \"upgrade\";\n";
    let server = start_nginx(echo.address(), "", upgrade)?;
    Ok(Subject::under(server, Load::Messages, Session::None))
}

/// What is about the side of the visitors is `listen`, what is about that of the upstream is `headers`.
pub(crate) fn start_nginx(upstream: SocketAddr, listen: &str, headers: &str) -> Result<Nginx> {
    // A second one would be sent beside the first.
    let connection = if headers.contains("Connection") { "" } else { "proxy_set_header Connection \"\";\n" };
    let listen = if listen.is_empty() { "listen {address};\n" } else { listen };
    let http = format!(
        "{KEEP_ALIVE}\n\
         upstream application {{ server {upstream}; keepalive 256; {KEEP_ALIVE} }}\n\
         server {{\n\
         {listen}\
         location / {{\n\
         proxy_pass http://application;\n\
         proxy_http_version 1.1;\n\
         {connection}\
         {headers}\
         }}\n\
         }}\n"
    );
    // One worker may get most of the connections.
    Ok(Nginx::start_for(16_384, cores(), &http)?)
}

/// The text that has nginx speak TLS, and the files that it names.
pub(crate) fn listen_tls() -> Result<(String, TempDir)> {
    let directory = tempfile::tempdir().map_err(Error::file("the directory of a certificate"))?;
    let issued = &Certificate::of_this_run()?.issued;
    for (name, text) in [("shop.pem", &issued.certificate), ("shop.key", &issued.key)] {
        let path = directory.path().join(name);
        fs::write(&path, text).map_err(Error::file(&path))?;
    }
    let place = directory.path().display();
    let listen = format!(
        "listen {{address}} ssl http2;\n\
         ssl_certificate {place}/shop.pem;\n\
         ssl_certificate_key {place}/shop.key;\n\
         ssl_protocols TLSv1.2 TLSv1.3;\n"
    );
    Ok((listen, directory))
}

fn start_nginx_tls(upstream: &Upstream) -> Result<With<Nginx, TempDir>> {
    let (listen, files) = listen_tls()?;
    Ok(With { server: start_nginx(upstream.address(), &listen, "")?, _beside: files })
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

/// Apache with the session in a cookie that is encrypted.
pub(crate) fn apache_crypto(upstream: &Upstream) -> Result<Subject> {
    let server = start_apache_crypto(upstream)?;
    let cookie = open_session(&server)?;
    Ok(Subject::reading(server, cookie))
}

/// The same; every answer changes the session.
pub(crate) fn apache_crypto_update(upstream: &Upstream) -> Result<Subject> {
    let server = start_apache_crypto(upstream)?;
    let requests = Requests::with(UPDATE, vec![open_session(&server)?]);
    Ok(Subject::under(server, Load::Clear(requests), Session::Carried))
}

fn start_apache_crypto(upstream: &Upstream) -> Result<Apache> {
    let sessions = format!(
        "SessionCookieName session path=/\n\
         SessionCryptoDriver openssl\n\
         SessionCryptoPassphrase \"a passphrase that nobody guesses within a week\"\n\
         SessionCryptoCipher aes256\n{HAND_OFF}"
    );
    start_apache(upstream, &["session", "session_cookie", "session_crypto", "headers"], &sessions)
}

fn open_session(server: &Apache) -> Result<String> {
    let answer = raw::get(server.address(), OPEN, "")?;
    answer.cookie("session").map(str::to_owned).ok_or_else(|| Error::Wrong {
        row: "apache-crypto",
        what: format!("no session was opened: {} `{}`", answer.status, answer.text()),
    })
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
    Ok(Subject::reading(With { server: apache, _beside: table }, format!("session={}", Table::KEY)))
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
