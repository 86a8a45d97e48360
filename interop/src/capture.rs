//! An upstream that keeps every byte it was sent.
//!
//! It takes a request the way a careless application would: the body is what `Content-Length` says, or what the
//! chunks hold, and whatever follows is the next request. So a request that was smuggled past the gateway shows
//! up as one request more. What it answers is up to the test.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::raw::position;

/// One request, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Request line and header lines, with the empty line.
    pub head: Vec<u8>,
    /// The body, still in its framing.
    pub body: Vec<u8>,
}

/// What the upstream does with a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Sends these bytes.
    Bytes(Vec<u8>),
    /// Waits, then sends these bytes.
    Later(Duration, Vec<u8>),
    /// Sends these bytes, and from then on echoes whatever comes: the other end of an upgrade.
    Echo(Vec<u8>),
    /// Sends these bytes and closes the connection.
    Close(Vec<u8>),
}

type Script = dyn Fn(&Request) -> Answer + Send + Sync;

/// The upstream. It stops listening when it is dropped.
#[derive(Debug)]
pub struct Capture {
    address: SocketAddr,
    state: Arc<State>,
}

type Pending = Arc<Mutex<Vec<u8>>>;

#[derive(Debug, Default)]
struct State {
    requests: Mutex<Vec<Request>>,
    /// For each connection what came and is not, or not yet, a whole request.
    pending: Mutex<Vec<Pending>>,
    over: AtomicBool,
}

impl Capture {
    /// An upstream that answers everything with an empty 200.
    pub fn start() -> Result<Self> {
        Self::answering(|_| Answer::ok(""))
    }

    /// An upstream that answers as `script` says.
    pub fn answering(script: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .map_err(Error::system("listening for the gateway"))?;
        let address = listener.local_addr().map_err(Error::system("listening for the gateway"))?;
        let state = Arc::new(State::default());
        let script: Arc<Script> = Arc::new(script);
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.over.load(Ordering::Relaxed) {
                    return;
                }
                let (state, script) = (Arc::clone(&shared), Arc::clone(&script));
                thread::spawn(move || state.serve(stream, &*script));
            }
        });
        Ok(Self { address, state })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://` and the address, as a configuration names it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The whole requests that came since the last call.
    pub fn take(&self) -> Vec<Request> {
        std::mem::take(&mut *lock(&self.state.requests))
    }

    /// Takes what came on each connection, open or closed, and is no whole request, where that is anything.
    pub fn take_fragments(&self) -> Vec<Vec<u8>> {
        lock(&self.state.pending)
            .iter()
            .map(|pending| std::mem::take(&mut *lock(pending)))
            .filter(|bytes| !bytes.is_empty())
            .collect()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::Relaxed);
        // Wakes the listener, which then sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn serve(&self, mut stream: TcpStream, script: &Script) {
        let pending = Pending::default();
        lock(&self.pending).push(Arc::clone(&pending));
        loop {
            let request = Request::split_from(&mut lock(&pending));
            if let Some(request) = request {
                let answer = script(&request);
                // Before the answer leaves, so that whoever has the answer finds the request.
                lock(&self.requests).push(request);
                if !answer.send(&mut stream, &pending) {
                    break;
                }
            } else if !read_more(&mut stream, &pending) {
                break;
            }
        }
        let _ = stream.shutdown(Shutdown::Both);
    }
}

impl Request {
    /// The first line.
    pub fn line(&self) -> String {
        self.text().lines().next().unwrap_or_default().to_owned()
    }

    /// The header lines, sorted, since their order means nothing between different names.
    pub fn header_lines(&self) -> Vec<String> {
        let text = self.text();
        let lines = text.split("\r\n").skip(1).filter(|line| !line.is_empty());
        let mut lines: Vec<String> = lines.map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// The value of the first header line of that name.
    pub fn header(&self, name: &str) -> Option<String> {
        self.header_lines().iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        })
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.head).into_owned()
    }

    /// Takes one whole request off the front, if there is one.
    fn split_from(pending: &mut Vec<u8>) -> Option<Self> {
        let head = position(pending, b"\r\n\r\n")? + 4;
        let request = Self { head: pending.get(..head)?.to_vec(), body: Vec::new() };
        let rest = pending.get(head..)?;
        let body = if request.header("transfer-encoding").is_some() {
            length_of_chunks(rest)?
        } else {
            let length = request.header("content-length");
            length.and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        let body = rest.get(..body)?.to_vec();
        pending.drain(..head + body.len());
        Some(Self { body, ..request })
    }
}

impl Answer {
    /// A plain 200 with that body.
    pub fn ok(body: &str) -> Self {
        Self::with("", body)
    }

    /// A 200 with these header lines, each ending in CR LF, and that body.
    pub fn with(headers: &str, body: &str) -> Self {
        let length = body.len();
        Self::Bytes(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n{headers}\r\n{body}").into())
    }

    /// Whether the connection goes on to the next request.
    fn send(self, stream: &mut TcpStream, pending: &Pending) -> bool {
        match self {
            Self::Bytes(bytes) => stream.write_all(&bytes).is_ok(),
            Self::Later(delay, bytes) => {
                thread::sleep(delay);
                stream.write_all(&bytes).is_ok()
            }
            Self::Close(bytes) => {
                let _ = stream.write_all(&bytes);
                false
            }
            Self::Echo(bytes) => {
                let mut goes_on = stream.write_all(&bytes).is_ok();
                while goes_on {
                    let bytes = std::mem::take(&mut *lock(pending));
                    goes_on = stream.write_all(&bytes).is_ok() && read_more(stream, pending);
                }
                false
            }
        }
    }
}

fn read_more(stream: &mut TcpStream, pending: &Pending) -> bool {
    let mut buffer = [0; 16 << 10];
    match stream.read(&mut buffer) {
        Ok(read) if read > 0 => {
            lock(pending).extend(buffer.iter().take(read));
            true
        }
        _ => false,
    }
}

/// How long a chunked body is with its framing, trailers included, once all of it is there.
fn length_of_chunks(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = position(bytes.get(at..)?, b"\r\n")?;
        let size = std::str::from_utf8(bytes.get(at..at + line)?).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(at + position(bytes.get(at..)?, b"\r\n\r\n")? + 4);
        }
        at += line + 2 + size + 2;
    }
}

/// A panic in a test's script leaves what was recorded as it was.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::{Connection, exchange};

    #[test]
    fn what_follows_a_body_is_the_next_request() {
        let capture = Capture::start().unwrap();
        let mut connection = Connection::open(capture.address()).unwrap();
        connection
            .send("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhiGET /smuggled HTTP/1.1\r\n\r\n")
            .unwrap();
        assert_eq!(connection.response().unwrap().status, 200);
        assert_eq!(connection.response().unwrap().status, 200);
        let lines: Vec<_> = capture.take().iter().map(Request::line).collect();
        assert_eq!(lines, ["POST / HTTP/1.1", "GET /smuggled HTTP/1.1"]);
    }

    #[test]
    fn a_chunked_answer_is_joined() {
        let capture = Capture::answering(|_| {
            Answer::Bytes(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=1\r\nde\r\n0\r\n\r\n"
                    .to_vec(),
            )
        })
        .unwrap();
        let response = exchange(capture.address(), "GET / HTTP/1.1\r\n\r\n").unwrap();
        assert_eq!(response.text(), "abcde");
    }

    #[test]
    fn half_a_request_is_kept_as_a_fragment() {
        let capture = Capture::start().unwrap();
        let mut connection = Connection::open(capture.address()).unwrap();
        connection.send("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel").unwrap();
        connection.finish().unwrap();
        assert!(connection.rest().unwrap().is_empty());
        assert!(capture.take().is_empty());
        assert_eq!(capture.take_fragments().len(), 1);
    }
}
