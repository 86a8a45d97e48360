//! What is compared: an engine behind the contract, and what it is built on without it.

use std::sync::Arc;

use client::{LinkSettings, Token};
use connector::Address;
use engines::remote::{Remote, RemoteSettings};
use interop::{Cloakroom, MariaDb, Postgres, Process, Redis};
use storage::{Memory, Storage};

use super::bare::{self, Commands, Echo, Echoed, Map, Scripts};
use super::contract::Contract;
use super::outside::{self, Outside};
use super::work::{Operation, Worker};
use crate::engine::{self, PATIENCE, clock};
use crate::error::{Error, Result};
use crate::machine;
use crate::usage;

/// What does the work, and whose work it is.
#[derive(Clone)]
pub(super) struct Side {
    /// What the page calls it.
    pub(super) name: &'static str,
    pub(super) worker: Arc<dyn Worker>,
    /// What it can do.
    pub(super) operations: &'static [Operation],
    /// The first process of its server; nothing if it has none.
    pub(super) server: Option<u32>,
}

/// An engine and what it is compared with.
pub(super) struct Subject {
    pub(super) engine: Side,
    pub(super) bare: Vec<Side>,
    /// What other programs measure of the same server.
    pub(super) outside: Option<Box<dyn Outside>>,
    /// What has to be there meanwhile.
    _keep: Box<dyn Send>,
}

impl Side {
    fn new(name: &'static str, worker: Arc<dyn Worker>, server: Option<&Process>) -> Self {
        Self { name, worker, operations: &Operation::ALL, server: server.map(Process::id) }
    }

    fn contract(storage: impl Into<Arc<dyn Storage>>, sessions: u64, server: Option<&Process>) -> Self {
        let contract = Contract::new(storage.into(), clock(), sessions);
        Self::new("through the contract", Arc::new(contract), server)
    }

    /// The processes of its server, workers that were started meanwhile included.
    pub(super) fn processes(&self) -> Vec<u32> {
        self.server.map(usage::family).unwrap_or_default()
    }
}

/// The memory engine beside a map behind locks.
pub(super) async fn memory(sessions: u64) -> Result<Subject> {
    let engine: Arc<dyn Storage> = Arc::new(Memory::new("memory", clock(), usize::MAX));
    Ok(Subject {
        engine: Side::contract(engine, sessions, None),
        bare: vec![Side::new("a map", Arc::new(Map::new()), None)],
        outside: None,
        _keep: Box::new(()),
    })
}

/// The embedded engine beside SQLite through the same driver.
pub(super) async fn embedded(sessions: u64) -> Result<Subject> {
    let directory = tempfile::tempdir().map_err(Error::file("a directory"))?;
    let engine = engines::embedded::open("embedded", &directory.path().join("data"), clock()).await?;
    let readers = u32::try_from(machine::cores().clamp(2, 8)).unwrap_or(2);
    let bare = bare::sqlite(&directory.path().join("bare.sqlite"), readers).await?;
    Ok(Subject {
        engine: Side::contract(engine, sessions, None),
        bare: vec![Side::new("statements", bare, None)],
        outside: None,
        _keep: Box::new(directory),
    })
}

/// PostgreSQL as Debian sets it, but for the memory that it may use: each commit is on the disk.
pub(super) async fn postgres(sessions: u64) -> Result<Subject> {
    let settings = ["fsync=on", "autovacuum=on", "shared_buffers=1GB", "max_wal_size=4GB"];
    let server = Postgres::start_with(&settings)?;
    let engine = engine::sql("postgres", &server.url("postgres")).await?;
    let bare = bare::postgres(&server.url("postgres")).await?;
    Ok(Subject {
        engine: Side::contract(engine, sessions, server.process()),
        bare: vec![Side::new("statements", bare, server.process())],
        outside: Some(outside::pgbench(&server)?),
        _keep: Box::new(server),
    })
}

/// MariaDB as Debian sets it, but for the memory that it may use: each commit is on the disk.
pub(super) async fn mariadb(sessions: u64) -> Result<Subject> {
    let settings = ["innodb-flush-method=fsync", "innodb-buffer-pool-size=1G", "innodb-log-file-size=1G"];
    let server = MariaDb::start_with(&settings)?;
    server.sql("mysql", "CREATE DATABASE sessions")?;
    let engine = engine::sql("mariadb", &server.url("sessions")).await?;
    let bare = bare::mysql(&server.url("sessions")).await?;
    Ok(Subject {
        engine: Side::contract(engine, sessions, server.process()),
        bare: vec![Side::new("statements", bare, server.process())],
        outside: None,
        _keep: Box::new(server),
    })
}

/// Redis that keeps everything in memory only.
pub(super) async fn redis(sessions: u64) -> Result<Subject> {
    let server = Redis::start_with("appendonly no\n")?;
    let scripts = Scripts::connect(&server.url()).await?;
    let scripts = Side {
        operations: &Operation::WRITES,
        ..Side::new("the shortest scripts", scripts, Some(server.process()))
    };
    let outside = outside::redis_benchmark(&server);
    let mut subject = before_redis(server, sessions).await?;
    subject.bare.push(scripts);
    Ok(Subject { outside: Some(outside), ..subject })
}

/// Redis that writes what changes to the disk once a second.
pub(super) async fn redis_everysec(sessions: u64) -> Result<Subject> {
    before_redis(Redis::start_with("appendonly yes\nappendfsync everysec\n")?, sessions).await
}

/// Redis that has what changes on the disk before it answers.
pub(super) async fn redis_always(sessions: u64) -> Result<Subject> {
    before_redis(Redis::start_with("appendonly yes\nappendfsync always\n")?, sessions).await
}

async fn before_redis(server: Redis, sessions: u64) -> Result<Subject> {
    let engine = engine::redis(&server.url()).await?;
    let bare = Commands::connect(&server.url()).await?;
    Ok(Subject {
        engine: Side::contract(engine, sessions, Some(server.process())),
        bare: vec![Side::new("commands", bare, Some(server.process()))],
        outside: None,
        _keep: Box::new(server),
    })
}

/// A session server of Cloakroom with the memory engine, beside a server of HTTP/2 that does nothing.
pub(super) async fn remote(sessions: u64) -> Result<Subject> {
    let files = [("storage.token", TOKEN)];
    let server = Cloakroom::start_with(SESSION_SERVER, &files)?;
    let settings = RemoteSettings {
        link: LinkSettings {
            address: Address::Http(server.server().to_string().parse().map_err(wrong)?),
            tls: None,
            token: Token::new(TOKEN),
            connect_timeout: PATIENCE,
        },
        service: "local".into(),
        deadline: PATIENCE,
    };
    let engine: Arc<dyn Storage> = Arc::new(Remote::open("remote", settings).await?);
    let echo = Echo::start()?;
    let bare = Echoed::connect(&echo, super::MANY_CLIENTS).await?;
    Ok(Subject {
        engine: Side::contract(engine, sessions, Some(server.process())),
        bare: vec![Side::new("HTTP/2 alone", bare, Some(echo.process()))],
        outside: None,
        _keep: Box::new((server, echo)),
    })
}

/// It guards nothing: the servers live as long as the run, on loopback.
const TOKEN: &str = "measured-measured-measured-measured-measured";

const SESSION_SERVER: &str = "\
    data_dir = \"{directory}/data\"\n\
    [listen]\n\
    gateway = \"{gateway}\"\n\
    server = \"{server}\"\n\
    [[storage]]\n\
    id = \"local\"\n\
    engine = \"memory\"\n\
    max_bytes = \"8GiB\"\n\
    [[client]]\n\
    id = \"measured\"\n\
    bearer_file = \"storage.token\"\n\
    may = [\"storage\"]\n";

fn wrong(error: impl std::fmt::Display) -> Error {
    Error::Load(error.to_string())
}
