//! A session server in this process that offers a storage service, and can be killed.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use client::{LinkSettings, Token};
use cloakroom_engines::OpenError;
use cloakroom_engines::remote::{Remote, RemoteSettings};
use connector::Address;
use connector::tls::{ClientIdentity, Tls, TlsSettings};
use interop::Issued;
use listener::{Entrance, Listener};
use prometheus_client::registry::Registry;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use server::{Client, Door, Right, Server};
use session::{Clock, SecretHash};
use storage::Storage;
use tokio::net::{TcpListener, UnixListener};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

pub(crate) const TOKEN: &str = "cloakroom-test-token-0123456789abcdef0123";
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// The client that all tests are, if they know the token.
pub(crate) fn gateway() -> Client {
    Client { token: Some(SecretHash::of(TOKEN.as_bytes())), ..Client::new("gateway", vec![Right::Storage]) }
}

/// A session server, until it is dropped or killed.
pub(crate) struct Host {
    runtime: Option<Runtime>,
    stop: Option<oneshot::Sender<()>>,
}

impl Host {
    /// Serves `storage` to `clients`; `doors` is called where the server runs.
    pub(crate) fn start(
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        clients: Vec<Client>,
        doors: impl FnOnce() -> Vec<Door>,
    ) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (stop, stopped) = oneshot::channel();
        {
            let _entered = runtime.enter();
            let registry = Registry::default();
            let server = Server {
                llng: None,
                registry,
                storages: vec![storage],
                cache: None,
                applications: server::Applications::none(),
                version: "test",
                clients,
                clock,
            };
            runtime.spawn(server.serve(doors(), async {
                let _ = stopped.await;
            }));
        }
        Self { runtime: Some(runtime), stop: Some(stop) }
    }

    /// Over the network, in the clear.
    pub(crate) fn on_tcp(
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        at: SocketAddr,
    ) -> (Self, SocketAddr) {
        let socket = std::net::TcpListener::bind(at).unwrap();
        let address = socket.local_addr().unwrap();
        socket.set_nonblocking(true).unwrap();
        let doors = || vec![TcpListener::from_std(socket).unwrap().into()];
        (Self::start(storage, clock, vec![gateway()], doors), address)
    }

    /// By a socket in the file system.
    pub(crate) fn on_socket(storage: Arc<dyn Storage>, clock: Arc<dyn Clock>, path: &Path) -> Self {
        Self::start(storage, clock, vec![gateway()], || vec![Door::File(UnixListener::bind(path).unwrap())])
    }

    /// Over the network, with TLS.
    pub(crate) fn on_tls(
        storage: Arc<dyn Storage>,
        clock: Arc<dyn Clock>,
        clients: Vec<Client>,
        tls: listener::tls::TlsSettings,
    ) -> (Self, SocketAddr) {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        socket.set_nonblocking(true).unwrap();
        let tls = Arc::new(listener::tls::Tls::open(tls).unwrap());
        let doors = || {
            let entrance = Entrance { tls: Some(tls), ..Entrance::default() };
            let socket = TcpListener::from_std(socket).unwrap();
            vec![Door::Network(Listener::new(socket, Arc::new(ArcSwap::from_pointee(entrance))))]
        };
        (Self::start(storage, clock, clients, doors), address)
    }

    /// Ends it at once: its connections break.
    pub(crate) fn kill(mut self) {
        self.end();
    }

    /// Ends it as an operator does, and waits for a moment.
    pub(crate) fn stop(mut self) {
        drop(self.stop.take());
        std::thread::sleep(Duration::from_millis(200));
        self.end();
    }

    fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.end();
    }
}

pub(crate) fn http(address: SocketAddr) -> Address {
    Address::Http(address.to_string().parse().unwrap())
}

pub(crate) fn link(address: Address) -> LinkSettings {
    LinkSettings { address, tls: None, token: Token::new(TOKEN), connect_timeout: Duration::from_secs(2) }
}

pub(crate) async fn open(link: LinkSettings) -> Result<Remote, OpenError> {
    open_within(link, DEADLINE).await
}

pub(crate) async fn open_within(link: LinkSettings, deadline: Duration) -> Result<Remote, OpenError> {
    Remote::open("remote", RemoteSettings { link, service: "local".into(), deadline }).await
}

/// TLS that believes what this authority says, and shows a certificate.
pub(crate) fn tls(authority: &str, shown: Option<&Issued>) -> Arc<Tls> {
    let authorities = vec![CertificateDer::from_pem_slice(authority.as_bytes()).unwrap()];
    let identity = shown.map(|issued| ClientIdentity {
        chain: vec![CertificateDer::from_pem_slice(issued.certificate.as_bytes()).unwrap()].into(),
        key: Arc::new(PrivateKeyDer::from_pem_slice(issued.key.as_bytes()).unwrap()),
    });
    let settings = TlsSettings { authorities: Some(authorities.into()), identity, ..TlsSettings::default() };
    Arc::new(Tls::new(&settings, true).unwrap())
}
