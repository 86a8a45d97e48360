//! Opening, where something is not as it should be: what is said, and that it says what to do.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use client::{LinkSettings, Token};
use cloakroom_engines::OpenError;
use connector::Address;
use interop::Authority;
use server::{Client, Right};
use session::Clock;
use storage::kit::manual_clock;
use storage::{Capabilities, Memory, Storage};

use crate::contract::{certificate, memory};
use crate::host::{Host, gateway, http, link, open, open_within, tls};

fn clock() -> Arc<dyn Clock> {
    Arc::new(manual_clock())
}

fn started(clients: Vec<Client>) -> (Host, SocketAddr) {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    socket.set_nonblocking(true).unwrap();
    let doors = || vec![tokio::net::TcpListener::from_std(socket).unwrap().into()];
    (Host::start(memory(&clock()), clock(), clients, doors), address)
}

async fn refused(link: LinkSettings) -> String {
    open(link).await.map(|_| ()).unwrap_err().to_string()
}

/// Somebody who gives every connection this answer.
fn answering(answer: &'static [u8]) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        for connection in socket.incoming() {
            let Ok(mut connection) = connection else { return };
            let _ = connection.read(&mut [0; 1024]);
            let _ = connection.write_all(answer);
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_there() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = refused(link(http(free))).await;
    assert!(said.contains("takes no connection") && said.contains("correct `url`"), "{said}");
    let said = refused(link(Address::Unix("/nowhere/server.sock".into()))).await;
    assert!(said.contains("/nowhere/server.sock") && said.contains("correct `url`"), "{said}");
    let said = refused(link(Address::Http("no-such-host.invalid:8081".parse().unwrap()))).await;
    assert!(said.contains("no-such-host.invalid") && said.contains("not known"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_is_there_who_says_nothing() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let link = link(http(silent.local_addr().unwrap()));
    let said = open_within(link, Duration::from_millis(300)).await.map(|_| ()).unwrap_err().to_string();
    assert!(said.contains("did not answer within 285 ms"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_is_there() {
    let other = answering(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    let said = refused(link(http(other))).await;
    assert!(said.contains("HTTP/2") && said.contains("correct `url`"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cloakroom_is_there_that_offers_nothing() {
    let (_host, address) = started(Vec::new());
    let said = refused(link(http(address))).await;
    assert!(said.contains("offers no storage") && said.contains("`may = [\"storage\"]`"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_not_know_us() {
    let (_host, address) = started(vec![gateway()]);
    for token in [None, Token::new("another-token-that-is-as-long-as-the-other"), Token::new("x")] {
        let said = refused(LinkSettings { token, ..link(http(address)) }).await;
        assert!(said.contains("does not know us") && said.contains("`bearer_file`"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_does_not_let_us() {
    let elsewhere = Client { from: Box::new(["192.0.2.0/24".parse().unwrap()]), ..gateway() };
    let (_host, address) = started(vec![elsewhere]);
    let said = refused(link(http(address))).await;
    assert!(said.contains("does not let us") && said.contains("may not come from 127.0.0.1"), "{said}");
    let other =
        Client { id: "other".into(), token: None, from: Box::new(["::1/128".parse().unwrap()]), ..gateway() };
    let (_host, address) = started(vec![Client { may: Vec::new(), ..gateway() }, other]);
    let said = refused(link(http(address))).await;
    assert!(said.contains("`gateway` has no such right in `may`"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_has_no_such_storage() {
    let clock = clock();
    let other: Arc<dyn Storage> = Arc::new(Memory::new("other", Arc::clone(&clock), usize::MAX));
    let (_host, address) = Host::on_tcp(other, clock, "127.0.0.1:0".parse().unwrap());
    let said = refused(link(http(address))).await;
    assert!(said.contains("has no such storage") && said.contains("as `service`"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_not_who_it_should_be() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, settings) = certificate(folder.path());
    let (_host, address) = Host::on_tls(memory(&clock()), clock(), vec![gateway()], settings);
    let at = |host: &str| Address::Https(format!("{host}:{}", address.port()).parse().unwrap());
    let stranger = Authority::new().unwrap().certificate();
    let said = refused(LinkSettings { tls: Some(tls(&stranger, None)), ..link(at("localhost")) }).await;
    assert!(said.contains("do not agree on TLS") && said.contains("invalid peer certificate"), "{said}");
    let known = tls(&authority.certificate(), None);
    let said = refused(LinkSettings { tls: Some(known), ..link(at("127.0.0.1")) }).await;
    assert!(said.contains("do not agree on TLS") && said.contains("not valid for name"), "{said}");
    // And one that speaks TLS where we do not.
    let said = refused(link(http(address))).await;
    assert!(said.contains("correct `url`"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_proves_us_as_well_as_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, settings) = certificate(folder.path());
    let subject = Some("CN=gateway,O=Example\\, Inc.".into());
    let known = Client { token: None, subject, may: vec![Right::Storage], ..gateway() };
    let (_host, address) = Host::on_tls(memory(&clock()), clock(), vec![known], settings);
    let at = Address::Https(format!("localhost:{}", address.port()).parse().unwrap());
    let with = async |name: &str| -> Result<Capabilities, OpenError> {
        let shown = authority.client(name).unwrap();
        let tls = Some(tls(&authority.certificate(), Some(&shown)));
        let remote = open(LinkSettings { tls, token: None, ..link(at.clone()) }).await?;
        Ok(remote.capabilities())
    };
    let capabilities = with("gateway").await.unwrap();
    assert!(capabilities.is_shared && !capabilities.is_memory && !capabilities.is_durable);
    let said = with("somebody").await.unwrap_err().to_string();
    assert!(said.contains("does not know us"), "{said}");
}
