//! The whole contract, each way there is to reach a service.

use std::path::Path;
use std::sync::Arc;

use connector::Address;
use interop::Authority;
use listener::tls::{ClientSettings, KeyPair, Minimum, TlsSettings};
use storage::{Memory, Storage};

use crate::host::{Host, gateway, http, link, open, tls};

pub(crate) fn memory(clock: &Arc<dyn session::Clock>) -> Arc<dyn Storage> {
    Arc::new(Memory::new("local", Arc::clone(clock), usize::MAX))
}

#[cfg(feature = "sql")]
async fn embedded(folder: &Path, clock: &Arc<dyn session::Clock>) -> Arc<dyn Storage> {
    cloakroom_engines::embedded::open("local", &folder.join("data"), Arc::clone(clock)).await.unwrap()
}

/// The certificate of a server in files, and the authority that its clients believe.
pub(crate) fn certificate(folder: &Path) -> (Authority, TlsSettings) {
    let authority = Authority::new().unwrap();
    let issued = authority.server(&["localhost"]).unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let settings = TlsSettings {
        certificates: vec![KeyPair {
            certificate: write("server.pem", &issued.certificate),
            key: write("server.key", &issued.key),
        }],
        minimum: Minimum::Tls13,
        clients: Some(ClientSettings {
            authorities: write("ca.pem", &authority.certificate()),
            is_required: false,
        }),
        protocols: vec![b"h2"],
    };
    (authority, settings)
}

mod over_tcp {
    use super::*;

    storage::conformance_tests!(|clock| async move {
        let (host, address) = Host::on_tcp(memory(&clock), clock, "127.0.0.1:0".parse().unwrap());
        (Arc::new(open(link(http(address))).await.unwrap()) as Arc<dyn Storage>, host)
    });
}

mod over_tls_with_a_token {
    use super::*;

    storage::conformance_tests!(|clock| async move {
        let folder = tempfile::tempdir().unwrap();
        let (authority, settings) = certificate(folder.path());
        let (host, address) = Host::on_tls(memory(&clock), clock, vec![gateway()], settings);
        let address = Address::Https(format!("localhost:{}", address.port()).parse().unwrap());
        let tls = Some(tls(&authority.certificate(), None));
        let remote = open(client::LinkSettings { tls, ..link(address) }).await.unwrap();
        (Arc::new(remote) as Arc<dyn Storage>, (host, folder))
    });
}

#[cfg(feature = "sql")]
mod by_a_socket {
    use super::*;

    storage::conformance_tests!(|clock| async move {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.sock");
        let storage = embedded(folder.path(), &clock).await;
        let host = Host::on_socket(storage, clock, &path);
        (Arc::new(open(link(Address::Unix(path))).await.unwrap()) as Arc<dyn Storage>, (host, folder))
    });
}
