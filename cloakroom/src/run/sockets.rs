//! Where the sockets come from on which this process listens.
//!
//! From the process whose place it takes, or from the service manager, which holds them over a restart so that whoever
//! connects meanwhile waits instead of being refused; or it makes them itself.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;

use listenfd::ListenFd;
use miette::{IntoDiagnostic, miette};
use socket2::{Domain, Socket, Type};
use tokio::net::UnixListener;

/// How many connections may wait to be accepted; the system's own bound (`net.core.somaxconn`) holds as well.
const BACKLOG: i32 = 4096;

/// The sockets that this process was given, by name.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    given: Vec<Given>,
}

#[derive(Debug)]
struct Given {
    name: String,
    socket: TcpListener,
    /// Whether it listens where it shall, whatever the configuration says.
    is_settled: bool,
}

impl Sockets {
    /// Those of the service manager (`LISTEN_FDS`, with the names of `FileDescriptorName=`). To be called once, before there
    /// are threads: it takes them out of the environment.
    pub(super) fn of_service_manager() -> miette::Result<Self> {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':').map(str::to_owned);
        let mut sockets = ListenFd::from_env();
        let mut given = Vec::new();
        for index in 0..sockets.len() {
            let name = names.next().unwrap_or_default();
            let socket = sockets.take_tcp_listener(index).map_err(|error| {
                miette!(
                    help = "give Cloakroom TCP sockets only: `ListenStream=` with an address and a port",
                    "the socket {index} (`{name}`) of the service manager cannot be used: {error}"
                )
            })?;
            given.extend(socket.map(|socket| Given { name, socket, is_settled: true }));
        }
        Ok(Self { given })
    }

    /// Adds one of the process whose place this one takes. It is used if it listens where this process shall.
    pub(super) fn add(&mut self, name: &str, socket: OwnedFd) {
        self.given.push(Given { name: name.to_owned(), socket: socket.into(), is_settled: false });
    }

    /// The socket that the service manager calls `name`, or any that listens on `address`; else a new one.
    pub(super) fn take(
        &mut self,
        name: &str,
        address: SocketAddr,
        reuse_port: bool,
    ) -> miette::Result<TcpListener> {
        let is_there = |socket: &TcpListener| socket.local_addr().is_ok_and(|there| there == address);
        let found = self
            .given
            .iter()
            .position(|given| given.name == name && (given.is_settled || address.port() == 0))
            .or_else(|| self.given.iter().position(|given| is_there(&given.socket)));
        let socket = match found {
            Some(found) => self.given.swap_remove(found).socket,
            None => bind(address, name, reuse_port)?,
        };
        if !is_there(&socket)
            && address.port() != 0
            && let Ok(there) = socket.local_addr()
        {
            tracing::info!(%there, %address, "`{name}` in [listen] is overruled by the socket that was given");
        }
        socket.set_nonblocking(true).into_diagnostic()?;
        Ok(socket)
    }

    /// Says which sockets nobody wanted; they are closed.
    pub(super) fn finish(self) {
        for Given { name, socket, .. } in self.given {
            let address = socket.local_addr().map_or_else(|_| "?".to_owned(), |address| address.to_string());
            tracing::warn!(
                name,
                address,
                "a socket was given to this process and is not used; its name may be \
                           `gateway` or `server`"
            );
        }
    }
}

fn bind(address: SocketAddr, name: &str, reuse_port: bool) -> miette::Result<TcpListener> {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        // It can be taken again at once after an end.
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(reuse_port)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        io::Result::Ok(socket.into())
    };
    open().map_err(|error| {
        let cure = format!(
            "another program may listen there: stop it, or say another address as `{name}` in [listen]"
        );
        miette!(help = cure, "cannot listen on {address}: {error}")
    })
}

/// A socket in the file system, for the user and the group of this process. One that nobody listens on any more is in
/// nobody's way; `takes_over` is whether one that somebody still listens on is not either.
pub(super) fn file(path: &Path, takes_over: bool) -> miette::Result<UnixListener> {
    let failed = |what: &str, error: io::Error| {
        let cure =
            "name another place as `server_socket` in [listen], in a folder that this process may write";
        miette!(help = cure, "{} {what}: {error}", path.display())
    };
    match UnixStream::connect(path) {
        Ok(_) if !takes_over => return Err(failed("is in use", ErrorKind::AddrInUse.into())),
        Err(error) if error.kind() != ErrorKind::ConnectionRefused => {}
        Ok(_) | Err(_) => {
            // It was left by a process that has ended, or is about to.
            fs::remove_file(path).map_err(|error| failed("cannot be removed", error))?;
        }
    }
    let socket = UnixListener::bind(path).map_err(|error| failed("cannot be listened on", error))?;
    let permissions = Permissions::from_mode(0o660);
    fs::set_permissions(path, permissions).map_err(|error| failed("cannot be closed to others", error))?;
    Ok(socket)
}

/// The sockets on which this process listens, to be passed on.
#[derive(Debug, Default)]
pub(super) struct Listening(Vec<(&'static str, TcpListener)>);

impl Listening {
    pub(super) fn add(&mut self, name: &'static str, socket: &TcpListener) -> miette::Result<()> {
        self.0.push((name, socket.try_clone().into_diagnostic()?));
        Ok(())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, BorrowedFd<'_>)> {
        use std::os::fd::AsFd as _;
        self.0.iter().map(|(name, socket)| (*name, socket.as_fd()))
    }
}
