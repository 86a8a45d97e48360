//! The program under test: the binary of this workspace.
//!
//! It is taken from `CLOAKROOM_BIN`, or else built by cargo into the directory in which the running test lies, so
//! that a test never meets an older build than itself. Its configuration is a text in which the ports and
//! directories are left open; its data stays over restarts, as long as the value lives.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::io::{FdFlags, fcntl_setfd};
use tempfile::TempDir;

use crate::error::{Error, Result};
use crate::port::Port;
use crate::process::Process;
use crate::raw;
use crate::scratch;

/// A running Cloakroom.
#[derive(Debug)]
pub struct Cloakroom {
    process: Process,
    start: Start,
    directory: TempDir,
}

/// How it is started, every time.
#[derive(Debug)]
enum Start {
    /// With the file that was written, on claimed ports.
    Configured { gateway: Port, server: Port, held: Option<[TcpListener; 2]> },
    /// With nothing, on the ports that it takes then.
    Plain,
}

/// What the log says when a process has taken over.
const TAKEN_OVER: &str = "took over from the process before";

const PLAIN_GATEWAY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
const PLAIN_SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8081);

impl Cloakroom {
    /// The file of a key that is made before the start, relative to the directory.
    pub const KEY: &'static str = "keys/2026-11.key";

    /// Where it tells a service manager how it is, relative to the directory. Whoever wants to know binds a datagram socket
    /// there.
    pub const NOTIFY: &'static str = "notify";

    /// What a configuration with TLS for the session server calls its `server_socket`: there it is asked whether it is healthy.
    pub const SOCKET: &'static str = "server.sock";

    /// Starts Cloakroom with that configuration and waits until it says that it is healthy.
    ///
    /// `{gateway}` and `{server}` stand for where to listen, `{directory}` for a directory of its own, which is
    /// also where it runs, so that relative paths lead there.
    pub fn start(configuration: &str) -> Result<Self> {
        Self::start_with(configuration, &[])
    }

    /// The same, with files in the directory: (name, text).
    pub fn start_with(configuration: &str, files: &[(&str, &str)]) -> Result<Self> {
        Self::start_on(Port::claim()?, Port::claim()?, None, configuration, files)
    }

    /// The same on sockets that stay open over restarts, as a service manager holds them: `gateway` and `server`.
    pub fn start_with_held_sockets(configuration: &str) -> Result<Self> {
        let (gateway, server) = (Port::claim()?, Port::claim()?);
        let held = [hold(&gateway)?, hold(&server)?];
        Self::start_on(gateway, server, Some(held), configuration, &[])
    }

    fn start_on(
        gateway: Port,
        server: Port,
        held: Option<[TcpListener; 2]>,
        configuration: &str,
        files: &[(&str, &str)],
    ) -> Result<Self> {
        let directory = scratch::directory()?;
        let place = directory.path();
        let start = Start::Configured { gateway, server, held };
        start.configure(place, configuration)?;
        for (name, text) in files {
            let path = place.join(name);
            let parent = path.parent().unwrap_or(place);
            fs::create_dir_all(parent).map_err(Error::system(format!("creating {}", parent.display())))?;
            // Keys and password files are for nobody else.
            let file = scratch::write(place, name, text)?;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o600))
                .map_err(Error::system(format!("closing {}", file.display())))?;
        }
        make_key(place)?;
        let process = start.launch(place)?;
        Ok(Self { process, start, directory })
    }

    /// Starts it the way a newcomer does: without a configuration, with the demonstration behind the gateway. It
    /// takes fixed ports then, so there can be only one at a time.
    pub fn demonstration() -> Result<Self> {
        for address in [PLAIN_GATEWAY, PLAIN_SERVER] {
            TcpListener::bind(address).map_err(|_| Error::Taken(address.port()))?;
        }
        let directory = scratch::directory()?;
        let process = Start::Plain.launch(directory.path())?;
        Ok(Self { process, start: Start::Plain, directory })
    }

    /// Where visitors come in.
    pub fn gateway(&self) -> SocketAddr {
        self.start.gateway()
    }

    /// Where the session server listens.
    pub fn server(&self) -> SocketAddr {
        self.start.server()
    }

    /// The directory that the configuration knows as `{directory}`.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Everything that it printed, over all its lives.
    pub fn log(&self) -> String {
        self.process.whole_log()
    }

    /// Writes another configuration in the place of the one that it was started with. It is read when somebody asks it to,
    /// or with the next start.
    pub fn configure(&self, configuration: &str) -> Result<()> {
        self.start.configure(self.directory.path(), configuration)
    }

    /// Asks it to read its configuration again, by SIGHUP.
    pub fn hang_up(&mut self) -> Result<()> {
        self.process.hang_up()
    }

    /// Calls the program once more, with these arguments, where it runs, and waits for its end.
    pub fn execute(&self, arguments: &[&str]) -> Result<Output> {
        let output = self.command(arguments)?.output();
        output.map_err(Error::system(format!("calling cloakroom {}", arguments.join(" "))))
    }

    /// The program once more, with these arguments, where it runs, to be started by the caller.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(binary()?);
        command.args(arguments).current_dir(self.directory.path()).env("NO_COLOR", "1");
        command.env_remove("CLOAKROOM_CONFIG").env_remove("RUST_LOG");
        Ok(command)
    }

    /// Asks it to end, as an operator does.
    pub fn terminate(&mut self) -> Result<()> {
        self.process.terminate()
    }

    /// Waits until it has ended.
    pub fn wait(&mut self, at_most: Duration) -> Result<ExitStatus> {
        self.process.wait(at_most)
    }

    /// Ends it at once, as a crash does.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.process.kill()
    }

    /// Starts another process that takes over from this one, and waits until it has. Gives the one before, which answers
    /// its last requests and ends.
    pub fn take_over(&mut self) -> Result<Process> {
        let taken = |process: &Process| process.whole_log().matches(TAKEN_OVER).count();
        let before = taken(&self.process);
        let mut next = self.start.spawn(self.directory.path(), &["--take-over"])?;
        next.wait_until(|| taken(&self.process) > before)?;
        Ok(std::mem::replace(&mut self.process, next))
    }

    /// Starts it again after its end, told to take over from whoever may still be there.
    pub fn start_to_take_over(&mut self) -> Result<()> {
        let mut next = self.start.spawn(self.directory.path(), &["--take-over"])?;
        next.wait_until(|| self.start.is_healthy(self.directory.path()))?;
        self.process = next;
        Ok(())
    }

    /// Starts it again, on the same ports, with the same data. Ends it the gentle way first if it still runs.
    pub fn restart(&mut self) -> Result<()> {
        self.terminate()?;
        self.wait(Duration::from_secs(60))?;
        self.process = self.start.launch(self.directory.path())?;
        Ok(())
    }
}

impl Start {
    fn gateway(&self) -> SocketAddr {
        match self {
            Self::Configured { gateway, .. } => gateway.address(),
            Self::Plain => PLAIN_GATEWAY,
        }
    }

    fn server(&self) -> SocketAddr {
        match self {
            Self::Configured { server, .. } => server.address(),
            Self::Plain => PLAIN_SERVER,
        }
    }

    fn configure(&self, place: &Path, configuration: &str) -> Result<()> {
        let text = configuration
            .replace("{gateway}", &self.gateway().to_string())
            .replace("{server}", &self.server().to_string())
            .replace("{directory}", &place.display().to_string());
        scratch::write(place, "cloakroom.toml", &text)?;
        Ok(())
    }

    fn is_healthy(&self, place: &Path) -> bool {
        let says_so = raw::get(self.server(), "/health", "").is_ok_and(|answer| answer.status == 200);
        says_so || is_healthy_at(&place.join(Cloakroom::SOCKET)).is_ok_and(|healthy| healthy)
    }

    fn spawn(&self, place: &Path, more: &[&str]) -> Result<Process> {
        let mut command = match self {
            Self::Configured { held: Some([gateway, server]), .. } => {
                // The numbers that the protocol knows (sd_listen_fds(3)), and then the program in the place of the shell.
                let script = format!(
                    "exec 3<&{} 4<&{}; export LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=gateway:server; exec \"$0\" \"$@\"",
                    gateway.as_raw_fd(),
                    server.as_raw_fd()
                );
                let mut shell = Command::new("/bin/bash");
                shell.args(["-c", &script]).arg(binary()?);
                shell
            }
            _ => Command::new(binary()?),
        };
        if let Self::Configured { .. } = self {
            command.args(["run", "--config"]).arg(place.join("cloakroom.toml")).args(more);
        }
        command.current_dir(place).env_remove("CLOAKROOM_CONFIG").env("RUST_BACKTRACE", "1");
        command.env("NOTIFY_SOCKET", place.join(Cloakroom::NOTIFY)).env("WATCHDOG_USEC", "1000000");
        Process::spawn(command, place.join("log"))
    }

    fn launch(&self, place: &Path) -> Result<Process> {
        let mut process = self.spawn(place, &[])?;
        process.wait_until(|| self.is_healthy(place))?;
        Ok(process)
    }
}

/// Whether it says so at its socket in the file system, where nobody needs TLS.
fn is_healthy_at(socket: &Path) -> std::io::Result<bool> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(b"GET /health HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer.starts_with(b"HTTP/1.1 200 "))
}

/// A socket that programs inherit which are started from here.
fn hold(port: &Port) -> Result<TcpListener> {
    let failed = || Error::system(format!("listening on {}", port.address()));
    let socket = TcpListener::bind(port.address()).map_err(failed())?;
    fcntl_setfd(&socket, FdFlags::empty()).map_err(|errno| failed()(errno.into()))?;
    Ok(socket)
}

/// Made by the program itself, as an operator does.
fn make_key(place: &Path) -> Result<()> {
    let mut command = Command::new(binary()?);
    command.args(["keys", "new", Cloakroom::KEY]).current_dir(place);
    let made = command.output().map_err(Error::system("starting cloakroom keys new"))?;
    if made.status.success() {
        return Ok(());
    }
    Err(Error::Start {
        program: "cloakroom keys new".to_owned(),
        cause: format!("it ended with {}", made.status),
        log: String::from_utf8_lossy(&made.stderr).into_owned(),
    })
}

/// The binary to test.
fn binary() -> Result<&'static Path> {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    if let Some(path) = BINARY.get() {
        return Ok(path);
    }
    let path = match std::env::var_os("CLOAKROOM_BIN") {
        Some(path) => PathBuf::from(path),
        None => build()?,
    };
    if !path.is_file() {
        return Err(Error::Binary { path, cause: "there is no such file".to_owned() });
    }
    Ok(BINARY.get_or_init(|| path))
}

/// Has cargo bring the binary up to date in the profile of this very test.
fn build() -> Result<PathBuf> {
    let own = std::env::current_exe().map_err(Error::system("finding the running test"))?;
    let directory = own.parent().unwrap_or(Path::new("."));
    // Tests lie one directory deeper than programs.
    let directory = match directory.parent() {
        Some(parent) if directory.ends_with("deps") => parent,
        _ => directory,
    };
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    cargo.args(["build", "--quiet", "--package", "cloakroom"]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let built = cargo.output().map_err(Error::system("starting cargo"))?;
    let path = directory.join("cloakroom");
    if built.status.success() {
        Ok(path)
    } else {
        Err(Error::Binary { path, cause: String::from_utf8_lossy(&built.stderr).into_owned() })
    }
}
