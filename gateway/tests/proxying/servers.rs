//! Servers that are reached in other ways than by a host, a port and HTTP/1.1 in the clear. They are real ones.

use std::convert::Infallible;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use gateway::settings::{ClientIdentity, ServerAddress, TlsSettings, UpstreamSettings};
use http::{Request, Response, Version};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use interop::{Nginx, available};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::application::Application;
use crate::given::{Gateway, Plan, plan};

fn start(settings: UpstreamSettings) -> Gateway {
    Plan { upstream: settings, ..plan(&Application::start()) }.start()
}

fn get(gateway: &Gateway) -> (u16, String) {
    let response = interop::raw::get(gateway.address(), "/", "").unwrap();
    (response.status, response.text())
}

/// A certificate for `app.test`, and its key.
fn certificate(folder: &Path) {
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ])
        .args(["-subj", "/CN=app.test", "-addext", "subjectAltName=DNS:app.test"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
}

#[test]
fn a_socket_in_the_file_system_is_a_server() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("app.sock");
    let http = format!(
        "server {{ listen {{address}}; listen unix:{}; location / {{ return 200 \"$http_host\"; }} }}",
        socket.display()
    );
    let Some(_nginx) = available(Nginx::start(1, &http)).unwrap() else { return };
    let upstream = || UpstreamSettings::new(vec![ServerAddress::Unix(socket.clone()).into()]);
    let gateway = start(upstream());
    assert_eq!(get(&gateway), (200, gateway.address().to_string()));
    let plan = Plan { preserve_host: false, upstream: upstream(), ..plan(&Application::start()) };
    assert_eq!(get(&plan.start()), (200, "localhost".to_owned()));
}

#[test]
fn a_server_over_tls_is_recognised_by_its_certificate_and_name() {
    let folder = TempDir::new().unwrap();
    certificate(folder.path());
    let place = folder.path().display();
    let http = format!(
        "server {{ listen {{address}} ssl; ssl_certificate {place}/cert.pem; ssl_certificate_key {place}/key.pem; \
         ssl_client_certificate {place}/cert.pem; ssl_verify_client optional_no_ca; \
         location / {{ return 200 \"$ssl_server_name $ssl_client_s_dn\"; }} }}"
    );
    let Some(nginx) = available(Nginx::start(1, &http)).unwrap() else { return };
    let address = || ServerAddress::Https(nginx.address().to_string().parse().unwrap());
    let with = |tls: TlsSettings| {
        get(&start(UpstreamSettings { tls, ..UpstreamSettings::new(vec![address().into()]) }))
    };
    let chain: Arc<[CertificateDer<'static>]> =
        Arc::new([CertificateDer::from_pem_file(folder.path().join("cert.pem")).unwrap()]);
    let believed = TlsSettings {
        authorities: Some(Arc::clone(&chain)),
        server_name: Some(ServerName::try_from("app.test").unwrap()),
        ..TlsSettings::default()
    };
    assert_eq!(with(believed.clone()), (200, "app.test ".to_owned()));
    let key = Arc::new(PrivateKeyDer::from_pem_file(folder.path().join("key.pem")).unwrap());
    let shown = TlsSettings { identity: Some(ClientIdentity { chain, key }), ..believed.clone() };
    assert!(
        !format!("{shown:?}").contains(&format!("{:?}", shown.identity.as_ref().unwrap().key.secret_der()))
    );
    assert_eq!(with(shown), (200, "app.test CN=app.test".to_owned()));
    let other_name = ServerName::try_from("other.test").unwrap();
    for unknown in [TlsSettings { server_name: Some(other_name), ..believed.clone() }, TlsSettings::default()]
    {
        assert_eq!(with(unknown).0, 502);
    }
    let anybody = TlsSettings { danger_accept_any_certificate: true, ..TlsSettings::default() };
    assert_eq!(with(anybody).0, 200);
}

/// A server that speaks what it is spoken to in, HTTP/1.1 or HTTP/2, and says what that was.
async fn both(listener: TcpListener) {
    loop {
        let (socket, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            let service = service_fn(|request: Request<Incoming>| async move {
                let host = match request.version() {
                    Version::HTTP_2 => request.uri().authority().map(ToString::to_string),
                    _ => request.headers().get("host").map(|host| host.to_str().unwrap().to_owned()),
                };
                let said = format!("{:?} {} {}", request.version(), request.uri().path(), host.unwrap());
                let status = if request.headers().contains_key("upgrade") { 426 } else { 200 };
                let response = Response::builder().status(status).body(Full::new(Bytes::from(said)));
                Ok::<_, Infallible>(response.unwrap())
            });
            let _ = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

#[test]
fn http2_is_spoken_where_it_is_asked_for_and_upgrades_are_not() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = ServerAddress::Http(listener.local_addr().unwrap().to_string().parse().unwrap());
    runtime.spawn(both(listener));
    let settings = UpstreamSettings { http2: true, ..UpstreamSettings::new(vec![address.into()]) };
    let gateway = start(settings);
    let host = gateway.address();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20 {
                    assert_eq!(get(&gateway), (200, format!("HTTP/2.0 / {host}")));
                }
            });
        }
    });
    let mut client = gateway.sent("POST /x HTTP/1.1\r\nHOST\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(client.response().unwrap().text(), format!("HTTP/2.0 /x {host}"));
    let mut client =
        gateway.sent("GET /chat HTTP/1.1\r\nHOST\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    let response = client.response().unwrap();
    assert_eq!((response.status, response.text()), (426, format!("HTTP/1.1 /chat {host}")));
}
