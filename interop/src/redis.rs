//! Redis: one server, one with replicas, one that Sentinels watch over, or a Cluster.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::authority::Issued;
use crate::error::{Error, Result};
use crate::port::Port;
use crate::process::{Process, find};
use crate::scratch;

const PACKAGE: &str = "redis-server";
/// How long servers may take to agree on something.
const AGREED: Duration = Duration::from_secs(60);
/// How many nodes a Cluster has: three primaries with a replica each.
const NODES: usize = 6;

/// A running Redis server.
#[derive(Debug)]
pub struct Redis {
    process: Process,
    port: Port,
    program: PathBuf,
    directory: TempDir,
    /// What `redis-cli` needs to get in.
    entry: Vec<String>,
    _bus: Option<Port>,
}

impl Redis {
    /// Starts a server that keeps everything in memory.
    pub fn start() -> Result<Self> {
        Self::start_with("")
    }

    /// The same, with more lines in its configuration. `{directory}` stands for a directory of its own, in which there is a
    /// socket, too.
    pub fn start_with(configuration: &str) -> Result<Self> {
        Self::launch("port {port}\n", configuration, &[], None)
    }

    /// Starts a server that lets in who knows the password.
    pub fn start_closed(password: &str) -> Result<Self> {
        Self::launch(
            "port {port}\n",
            &format!("requirepass {password}\n"),
            &["-a", password, "--no-auth-warning"],
            None,
        )
    }

    /// Starts a server that speaks TLS only.
    pub fn start_encrypted(identity: &Issued) -> Result<Self> {
        let lines = "port 0\ntls-port {port}\ntls-auth-clients no\ntls-cert-file {directory}/certificate.pem\n\
                     tls-key-file {directory}/key.pem\ntls-ca-cert-file {directory}/certificate.pem\n";
        Self::launch(lines, "", &["--tls", "--insecure"], Some(identity))
    }

    /// Starts a replica of this server, and waits until it has everything.
    pub fn replica(&self) -> Result<Self> {
        let replica = Self::start_with(&format!("replicaof 127.0.0.1 {}\n", self.port.number()))?;
        agreed("a replica", || Ok(replica.say(&["INFO", "replication"])?.contains("master_link_status:up")))?;
        Ok(replica)
    }

    fn launch(listen: &str, more: &str, entry: &[&str], identity: Option<&Issued>) -> Result<Self> {
        let program = find("redis-server", PACKAGE)?;
        let port = Port::claim()?;
        let directory = scratch::directory()?;
        let place = directory.path();
        if let Some(identity) = identity {
            scratch::write(place, "certificate.pem", &identity.certificate)?;
            scratch::write(place, "key.pem", &identity.key)?;
        }
        // The bus of a Cluster would be 10 000 ports higher, where the kernel hands out ports.
        let bus = more.contains("cluster-enabled").then(Port::claim).transpose()?;
        let bus_line = bus.as_ref().map(|bus| format!("cluster-port {}\n", bus.number())).unwrap_or_default();
        let common = "bind 127.0.0.1\ndir {directory}\nsave \"\"\nunixsocket {directory}/socket\n\
                      repl-diskless-sync-delay 0\nrepl-ping-replica-period 1\n";
        let text = scratch::fill(&format!("{listen}{common}{bus_line}{more}"), port.address(), place);
        let file = scratch::write(place, "redis.conf", &text)?;
        let process = Self::spawn(&program, &file, place)?;
        let entry = entry.iter().map(|part| (*part).to_owned()).collect();
        let mut redis = Self { process, port, program, directory, entry, _bus: bus };
        redis.wait()?;
        Ok(redis)
    }

    fn spawn(program: &Path, file: &Path, place: &Path) -> Result<Process> {
        let mut command = Command::new(program);
        command.arg(file);
        Process::spawn(command, place.join("log"))
    }

    fn wait(&mut self) -> Result<()> {
        let (port, entry) = (self.port.number(), self.entry.clone());
        self.process.wait_until(|| say(port, &entry, &["PING"]).is_ok_and(|answer| answer.trim() == "PONG"))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// How a client calls it.
    pub fn url(&self) -> String {
        format!("redis://{}", self.port.address())
    }

    /// Its socket in the file system.
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("socket")
    }

    /// Its process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Says something to it, as an operator does, and gives its answer.
    pub fn say(&self, words: &[&str]) -> Result<String> {
        say(self.port.number(), &self.entry, words)
    }

    /// Ends it at once, as a crash does. What it holds in memory is lost.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill().map(drop)
    }

    /// Starts it again where it was, with what is on its disk.
    pub fn restart(&mut self) -> Result<()> {
        let place = self.directory.path();
        self.process = Self::spawn(&self.program, &place.join("redis.conf"), place)?;
        self.wait()
    }
}

/// Three Sentinels that watch over a server with replicas, and do not wait long before they act.
#[derive(Debug)]
pub struct Sentinels {
    sentinels: Vec<(Process, Port, TempDir)>,
}

impl Sentinels {
    /// What they call the primary.
    pub const PRIMARY: &'static str = "sessions";

    /// Starts them, and waits until they know each other and the replicas.
    pub fn start(primary: &Redis, replicas: usize) -> Result<Self> {
        let program = find("redis-server", PACKAGE)?;
        let mut sentinels = Vec::new();
        for _ in 0..3 {
            let port = Port::claim()?;
            let directory = scratch::directory()?;
            let name = Self::PRIMARY;
            let text = format!(
                "port {{port}}\nbind 127.0.0.1\ndir {{directory}}\nsentinel monitor {name} 127.0.0.1 {} 2\n\
                 sentinel down-after-milliseconds {name} 800\nsentinel failover-timeout {name} 3000\n",
                primary.port.number()
            );
            let text = scratch::fill(&text, port.address(), directory.path());
            let file = scratch::write(directory.path(), "sentinel.conf", &text)?;
            let mut command = Command::new(&program);
            command.arg(file).arg("--sentinel");
            let mut process = Process::spawn(command, directory.path().join("log"))?;
            process.wait_for(port.address())?;
            sentinels.push((process, port, directory));
        }
        let sentinels = Self { sentinels };
        agreed("Sentinels that know each other", || {
            let (slaves, others) = (format!("num-slaves\n{replicas}\n"), "num-other-sentinels\n2\n");
            let said = sentinels.said()?;
            Ok(said.iter().all(|said| said.contains(&slaves) && said.contains(others)))
        })?;
        Ok(sentinels)
    }

    fn said(&self) -> Result<Vec<String>> {
        let ports = self.sentinels.iter().map(|(_, port, _)| port.number());
        ports.map(|port| say(port, &[], &["SENTINEL", "MASTER", Self::PRIMARY])).collect()
    }

    /// They forget the replicas and each other, and look anew who is there, as an operator has them do.
    pub fn forget(&self) -> Result<()> {
        for (_, port, _) in &self.sentinels {
            say(port.number(), &[], &["SENTINEL", "RESET", Self::PRIMARY])?;
        }
        Ok(())
    }

    /// How a client calls what they watch over.
    pub fn url(&self) -> String {
        let addresses: Vec<_> =
            self.sentinels.iter().map(|(_, port, _)| port.address().to_string()).collect();
        format!("redis-sentinel://{}/{}", addresses.join(","), Self::PRIMARY)
    }
}

/// A Cluster of six nodes: three primaries with a replica each.
#[derive(Debug)]
pub struct Cluster {
    nodes: Vec<Redis>,
}

impl Cluster {
    /// Starts it, and waits until every slot is served and every replica is there.
    pub fn start() -> Result<Self> {
        let configuration = "cluster-enabled yes\ncluster-node-timeout 1000\nappendonly no\n\
                             cluster-replica-validity-factor 0\n";
        let nodes: Vec<_> = (0..NODES).map(|_| Redis::start_with(configuration)).collect::<Result<_>>()?;
        let mut command = Command::new(find("redis-cli", PACKAGE)?);
        command.args(["--cluster", "create"]).args(nodes.iter().map(|node| node.address().to_string()));
        command.args(["--cluster-replicas", "1", "--cluster-yes"]);
        let created = command.output().map_err(Error::system("starting redis-cli"))?;
        if !created.status.success() {
            return Err(Error::Start {
                program: "redis-cli --cluster create".to_owned(),
                cause: format!("it ended with {}", created.status),
                log: String::from_utf8_lossy(&created.stdout).into_owned(),
            });
        }
        let cluster = Self { nodes };
        cluster.wait_until_whole()?;
        Ok(cluster)
    }

    /// Waits until every slot is served and every replica is there, also after a failover.
    pub fn wait_until_whole(&self) -> Result<()> {
        agreed("a Cluster", || self.is_whole())
    }

    fn is_whole(&self) -> Result<bool> {
        for node in &self.nodes {
            let known = node.say(&["CLUSTER", "NODES"])?;
            let replicas = known.lines().filter(|line| line.contains("slave ")).count();
            let is_ok = node.say(&["CLUSTER", "INFO"])?.contains("cluster_state:ok");
            let linked = node.say(&["INFO", "replication"])?;
            let is_linked = linked.contains("role:master") && linked.contains("connected_slaves:1")
                || linked.contains("master_link_status:up");
            if !(is_ok && is_linked && replicas == NODES / 2) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Its nodes; the first three were made primaries.
    pub fn nodes(&self) -> &[Redis] {
        &self.nodes
    }

    /// Its nodes, to kill and restart them.
    pub fn nodes_mut(&mut self) -> &mut [Redis] {
        &mut self.nodes
    }

    /// How a client calls it, by some of its nodes.
    pub fn url(&self) -> String {
        let addresses: Vec<_> = self.nodes.iter().take(3).map(|node| node.address().to_string()).collect();
        format!("redis-cluster://{}", addresses.join(","))
    }
}

fn say(port: u16, entry: &[String], words: &[&str]) -> Result<String> {
    let mut command = Command::new(find("redis-cli", PACKAGE)?);
    command.args(["-p", &port.to_string()]).args(entry).args(words);
    let answer = command.output().map_err(Error::system("starting redis-cli"))?;
    Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
}

fn agreed(what: &str, is_so: impl Fn() -> Result<bool>) -> Result<()> {
    let began = Instant::now();
    while !is_so()? {
        if began.elapsed() > AGREED {
            return Err(Error::Slow { what: what.to_owned(), after: AGREED });
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
