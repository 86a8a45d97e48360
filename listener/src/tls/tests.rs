#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails there")]

use std::fs;
use std::path::Path;

use rcgen::{CertifiedKey as Issued, generate_simple_self_signed};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;

use super::*;

/// Writes a certificate made out to these names, and its key.
fn issue(folder: &Path, file: &str, names: &[&str]) -> KeyPair {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let Issued { cert, signing_key } = generate_simple_self_signed(names).unwrap();
    let pair =
        KeyPair { certificate: folder.join(format!("{file}.pem")), key: folder.join(format!("{file}.key")) };
    fs::write(&pair.certificate, cert.pem()).unwrap();
    fs::write(&pair.key, signing_key.serialize_pem()).unwrap();
    pair
}

fn settings(certificates: Vec<KeyPair>) -> TlsSettings {
    TlsSettings { certificates, minimum: Minimum::Tls12, clients: None, protocols: vec![b"http/1.1"] }
}

/// The certificate that a client is shown who asks for `name`.
async fn shown(tls: &Tls, name: &str) -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
        .with_no_client_auth();
    let name = name.to_owned().try_into().unwrap();
    let client = async {
        let socket = TcpStream::connect(address).await.unwrap();
        let stream = TlsConnector::from(Arc::new(config)).connect(name, socket).await.unwrap();
        stream.get_ref().1.peer_certificates().unwrap().first().unwrap().to_vec()
    };
    let server = async { tls.accept(listener.accept().await.unwrap().0).await };
    tokio::join!(client, server).0
}

fn on_disk(pair: &KeyPair) -> Vec<u8> {
    certificates::chain(&pair.certificate).unwrap().first().unwrap().to_vec()
}

#[tokio::test]
async fn a_client_is_shown_the_certificate_of_the_name_it_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let first = issue(folder.path(), "first", &["first.example"]);
    let second = issue(folder.path(), "second", &["Second.example", "*.second.example", "www.first.example"]);
    let tls = Tls::open(settings(vec![first.clone(), second.clone()])).unwrap();
    for (name, pair) in [
        ("first.example", &first),
        ("FIRST.example", &first),
        ("second.example", &second),
        ("www.second.example", &second),
        ("www.first.example", &second),
        ("a.b.second.example", &first),
        ("other.first.example", &first),
        ("unknown.example", &first),
        ("127.0.0.1", &first),
    ] {
        assert!(shown(&tls, name).await == on_disk(pair), "{name}");
    }
}

#[tokio::test]
async fn changed_files_are_read_and_broken_ones_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let pair = issue(folder.path(), "one", &["one.example"]);
    let before = on_disk(&pair);
    let tls = Tls::open(settings(vec![pair.clone()])).unwrap();

    let key = fs::read(&pair.key).unwrap();
    let other = issue(folder.path(), "other", &["one.example"]);
    fs::copy(&other.certificate, &pair.certificate).unwrap();
    let error = tls.reload().unwrap_err().to_string();
    assert!(error.contains("one.pem") && error.contains("cannot be used together"), "{error}");
    assert!(shown(&tls, "one.example").await == before);
    fs::write(&pair.certificate, "no certificate").unwrap();
    assert!(matches!(tls.reload(), Err(TlsError::NoCertificate(_))));
    fs::remove_file(&pair.certificate).unwrap();
    assert!(matches!(tls.reload(), Err(TlsError::Unreadable { .. })));
    tls.look();
    assert!(shown(&tls, "one.example").await == before);

    issue(folder.path(), "one", &["one.example"]);
    assert!(fs::read(&pair.key).unwrap() != key);
    tls.look();
    assert!(shown(&tls, "one.example").await == on_disk(&pair));
}

#[test]
fn tickets_outlive_new_certificates_and_not_new_authorities() {
    let folder = tempfile::tempdir().unwrap();
    let pair = issue(folder.path(), "one", &["one.example"]);
    let authority = issue(folder.path(), "authority", &["authority.example"]);
    let clients = ClientSettings { authorities: authority.certificate, is_required: false };
    let tls = Tls::open(TlsSettings { clients: Some(clients), ..settings(vec![pair]) }).unwrap();
    let ticketer = || Arc::clone(&tls.current.load().config.ticketer);
    let first = ticketer();
    issue(folder.path(), "one", &["one.example"]);
    tls.reload().unwrap();
    assert!(Arc::ptr_eq(&first, &ticketer()));
    issue(folder.path(), "authority", &["authority.example"]);
    tls.reload().unwrap();
    assert!(!Arc::ptr_eq(&first, &ticketer()));
}

/// Believes anybody: these tests look at what is shown.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
