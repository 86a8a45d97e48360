//! HTTP/2 with nothing behind it: requests and answers as large as those of the storage protocol.
//!
//! The server is a process of its own, this program with a word that nobody else says, so that what it uses can be told
//! from what its client uses.

use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use interop::{Port, Process};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::error::{Error, Result};
use crate::storage::sessions::{VALUE_BYTES, value};
use crate::storage::work::{Operation, Work};

/// The word by which this program becomes the server.
const WORD: &str = "echo";
/// How many requests are under way on a connection before the engine opens another one.
const PLENTY: usize = 32;
/// No answer is larger.
const MAX_ANSWER: usize = 1 << 20;

/// The server.
pub(in crate::storage) struct Echo {
    process: Process,
    address: SocketAddr,
    _port: Port,
    _directory: TempDir,
}

impl Echo {
    pub(in crate::storage) fn start() -> Result<Self> {
        let own = std::env::current_exe().map_err(Error::file("the running program"))?;
        let directory = tempfile::tempdir().map_err(Error::file("a directory"))?;
        let port = Port::claim()?;
        let address = port.address();
        let mut command = Command::new(own);
        command.args([WORD, &address.to_string()]);
        let mut process = Process::spawn(command, directory.path().join("log"))?;
        process.wait_for(address)?;
        Ok(Self { process, address, _port: port, _directory: directory })
    }

    pub(in crate::storage) const fn process(&self) -> &Process {
        &self.process
    }
}

/// Serves until it is ended: an answer has as many bytes as the path says.
pub(crate) fn serve(address: SocketAddr) -> Result<()> {
    let runtime = Runtime::new().map_err(Error::file("a runtime"))?;
    runtime.block_on(listen(address)).map_err(Error::file("the echo"))
}

async fn listen(address: SocketAddr) -> io::Result<()> {
    let socket = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = socket.accept().await?;
        stream.set_nodelay(true)?;
        let builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        // A connection that ends is its client's business.
        tokio::spawn(builder.serve_connection(TokioIo::new(stream), service_fn(answer)));
    }
}

async fn answer(request: Request<Incoming>) -> hyper::Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    body.collect().await?;
    let bytes = head.uri.path().trim_start_matches('/').parse().unwrap_or(0).min(MAX_ANSWER);
    Ok(Response::new(Full::new(vec![0; bytes].into())))
}

/// The client: as many connections as the engine has for so many clients.
pub(in crate::storage) struct Echoed {
    connections: Vec<Lane>,
    uris: Vec<(Operation, Uri)>,
}

struct Lane {
    sender: SendRequest<Full<Bytes>>,
    busy: AtomicUsize,
}

impl Echoed {
    pub(in crate::storage) async fn connect(echo: &Echo, clients: u32) -> Result<Arc<Self>> {
        let mut connections = Vec::new();
        for _ in 0..(clients as usize).div_ceil(PLENTY) {
            let stream = TcpStream::connect(echo.address).await.map_err(failed)?;
            stream.set_nodelay(true).map_err(failed)?;
            let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .initial_stream_window_size(1 << 20)
                .initial_connection_window_size(8 << 20)
                .handshake(TokioIo::new(stream));
            let (sender, connection) = builder.await.map_err(failed)?;
            tokio::spawn(connection);
            connections.push(Lane { sender, busy: AtomicUsize::new(0) });
        }
        let uri = |operation: Operation| {
            let uri = format!("http://{}/{}", echo.address, sizes(operation).1);
            Ok((operation, uri.parse().map_err(failed)?))
        };
        Ok(Arc::new(Self { connections, uris: Operation::ALL.into_iter().map(uri).collect::<Result<_>>()? }))
    }
}

impl Work for Echoed {
    async fn work(&self, operation: Operation, _: u64) -> Result<()> {
        let (bytes, expected) = sizes(operation);
        let place = self.uris.iter().find(|(known, _)| *known == operation).map(|(_, uri)| uri);
        let lane = self.connections.iter().min_by_key(|lane| lane.busy.load(Ordering::Relaxed));
        let (Some(uri), Some(lane)) = (place, lane) else {
            return Err(Error::Load("HTTP/2: there is no connection".to_owned()));
        };
        // The largest value of all is the one that sessions have.
        let body = if bytes > VALUE_BYTES { [value(), value()].concat() } else { value().to_vec() };
        let mut request = Request::new(Full::new(Bytes::from(body).slice(..bytes)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        lane.busy.fetch_add(1, Ordering::Relaxed);
        let response = lane.sender.clone().send_request(request).await.map_err(failed)?;
        let body = response.into_body().collect().await.map_err(failed)?.to_bytes();
        lane.busy.fetch_sub(1, Ordering::Relaxed);
        if body.len() == expected { Ok(()) } else { Err(Error::Load("HTTP/2: another answer".to_owned())) }
    }
}

/// Bytes of a request and of its answer, as the storage protocol has them.
const fn sizes(operation: Operation) -> (usize, usize) {
    match operation {
        Operation::Create => (666, 10),
        Operation::Read => (36, 624),
        Operation::Unchanged => (45, 13),
        Operation::Update => (676, 10),
        Operation::Touch => (47, 1),
        Operation::Bury => (67, 2),
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Load(format!("HTTP/2: {error}"))
}
