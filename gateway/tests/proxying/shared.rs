//! Connections with HTTP/2 to an application, which many visitors share: what one of them does, and what the application
//! says to one of them, is nothing to the others.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use gateway::settings::{Http2Limits, ServerAddress, UpstreamSettings};
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use interop::http2::{Connection, Outcome};
use interop::{Nginx, available};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::application::Application;
use crate::given::{Gateway, Plan, limits, plan};

/// More than all sockets on the way take.
const LARGE: usize = 48 << 20;

/// A server that speaks HTTP/2 only, and counts its connections.
struct Http2Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    _runtime: Runtime,
}

impl Http2Server {
    fn start() -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        runtime.spawn(async move {
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::Relaxed);
                let service = service_fn(|request| async move { Ok::<_, Infallible>(answer(&request)) });
                let http2 = http2::Builder::new(TokioExecutor::new());
                tokio::spawn(http2.serve_connection(TokioIo::new(socket), service));
            }
        });
        Self { address, connections, _runtime: runtime }
    }
}

fn answer(request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let (status, body) = match request.uri().path() {
        "/large" => (200, Bytes::from(vec![b'x'; LARGE])),
        // With a body all the same, which this library does not mind.
        "/nothing" => (204, Bytes::from_static(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")),
        "/unchanged" => (304, Bytes::from_static(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")),
        _ => (200, Bytes::from_static(b"small")),
    };
    Response::builder().status(status).body(Full::new(body)).unwrap()
}

fn gateway(address: SocketAddr) -> Gateway {
    let server = ServerAddress::Http(address.to_string().parse().unwrap());
    let upstream = UpstreamSettings { http2: true, ..UpstreamSettings::new(vec![server.into()]) };
    let mut limits = limits();
    limits.http2 = Http2Limits { in_the_clear: true, ..Http2Limits::default() };
    Plan { upstream, limits, ..plan(&Application::start()) }.start()
}

#[test]
fn who_takes_nothing_of_an_answer_holds_up_nobody_else() {
    let server = Http2Server::start();
    let gateway = gateway(server.address);
    let idle: Vec<_> = (0..4)
        .map(|_| {
            let mut idle = gateway.sent("GET /large HTTP/1.1\r\nHOST\r\n\r\n");
            idle.read_until(|bytes| !bytes.is_empty()).unwrap();
            idle
        })
        .collect();
    // Until all that there is room for has come.
    thread::sleep(Duration::from_millis(500));
    let response = interop::raw::get(gateway.address(), "/", "").unwrap();
    assert_eq!((response.status, response.text()), (200, "small".to_owned()));
    assert_eq!(server.connections.load(Ordering::Relaxed), 1, "they share it");
    drop(idle);
}

#[test]
fn what_has_no_body_has_none_whatever_the_application_sends() {
    let server = Http2Server::start();
    let gateway = gateway(server.address);
    let requests =
        [("GET", "/nothing", 204), ("GET", "/unchanged", 304), ("HEAD", "/", 200), ("HEAD", "/%00", 400)];
    let mut client = gateway.connect();
    for (method, path, status) in requests {
        client.send(gateway.request(&format!("{method} {path} HTTP/1.1\r\nHOST\r\n\r\n"))).unwrap();
        let response = client.head_response().unwrap();
        assert_eq!(response.status, status, "{method} {path}");
    }
    for (stream, (method, path, status)) in (1..).step_by(2).zip(requests) {
        let mut client = Connection::open(gateway.address(), &[]).unwrap();
        let head = [(":method", method), (":scheme", "http"), (":authority", "a.example"), (":path", path)];
        client.head(stream, &head, true).unwrap();
        let outcome = client.outcome(stream).unwrap();
        assert_eq!(outcome, Outcome::Answer(status, Vec::new()), "{method} {path}");
    }
}

#[test]
fn a_server_that_ends_its_connections_now_and_then_is_not_noticed() {
    let http = "server { listen {address} http2; keepalive_requests 15; client_max_body_size 1m; \
                location / { return 200 \"$request_method $server_protocol\"; } }";
    let Some(nginx) = available(Nginx::start(1, http)).unwrap() else { return };
    let gateway = gateway(nginx.address());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..60 {
                    let method = if round % 2 == 0 { "GET" } else { "POST" };
                    let body = if round % 2 == 0 { "" } else { "hello" };
                    let request = format!(
                        "{method} / HTTP/1.1\r\nHOST\r\nContent-Length: {}\r\n\r\n{body}",
                        body.len()
                    );
                    let response = gateway.sent(&request).response().unwrap();
                    let expected = format!("{method} HTTP/2.0");
                    assert_eq!((response.status, response.text()), (200, expected), "round {round}");
                }
            });
        }
    });
}

/// A server that reads a piece of the first request and refuses it, says so here, and answers any other one with its body.
fn refusing(refused: mpsc::Sender<()>) -> (SocketAddr, Runtime) {
    let runtime = Runtime::new().unwrap();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let is_first = Arc::new(AtomicBool::new(true));
    runtime.spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let (refused, is_first) = (refused.clone(), Arc::clone(&is_first));
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(socket).await.unwrap();
                while let Some(Ok((mut request, mut answer))) = connection.accept().await {
                    let (refused, is_first) = (refused.clone(), Arc::clone(&is_first));
                    tokio::spawn(async move {
                        let mut read = request.body_mut().data().await.unwrap().unwrap().to_vec();
                        if is_first.swap(false, Ordering::Relaxed) {
                            answer.send_reset(h2::Reason::REFUSED_STREAM);
                            return refused.send(()).unwrap();
                        }
                        while let Some(Ok(more)) = request.body_mut().data().await {
                            read.extend_from_slice(&more);
                        }
                        let mut body = answer.send_response(Response::new(()), false).unwrap();
                        body.send_data(read.into(), true).unwrap();
                    });
                }
            });
        }
    });
    (address, runtime)
}

#[test]
fn what_a_server_refuses_while_its_body_still_comes_goes_to_it_once_more_and_whole() {
    let (says, refused) = mpsc::channel();
    let (address, _runtime) = refusing(says);
    let gateway = gateway(address);
    let mut client = gateway.sent("POST / HTTP/1.1\r\nHOST\r\nContent-Length: 11\r\n\r\nhello");
    refused.recv().unwrap();
    // The gateway has heard it before the rest comes.
    thread::sleep(Duration::from_millis(50));
    client.send(" world").unwrap();
    let response = client.response().unwrap();
    assert_eq!((response.status, response.text()), (200, "hello world".to_owned()));
}
