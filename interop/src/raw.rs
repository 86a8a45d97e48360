//! HTTP/1.1 by the byte.
//!
//! What a real client library would never send is what the tests are about, so this sends whatever bytes it is
//! given and reads answers strictly by the book: status line, header lines, and a body by `Content-Length`, by
//! chunks, or to the end of the connection. It never sends anything on its own.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use crate::error::{Error, Result};

/// How long one read may wait. A test that expects silence sets less.
const PATIENCE: Duration = Duration::from_secs(15);
/// What an answer may have at most, so that a broken server does not fill the memory.
const LARGEST: usize = 64 << 20;

/// A connection to a server, with what was read and not yet used.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    unused: Vec<u8>,
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header lines, in the order in which they came, names as they were written.
    pub headers: Vec<(String, String)>,
    /// The body, with the chunks joined.
    pub body: Vec<u8>,
}

/// Sends `request` on a connection of its own and reads one answer.
pub fn exchange(address: SocketAddr, request: impl AsRef<[u8]>) -> Result<Response> {
    let mut connection = Connection::open(address)?;
    connection.send(request)?;
    connection.response()
}

/// `GET` of `path` with the header lines of `more`, each ending in CR LF.
pub fn get(address: SocketAddr, path: &str, more: &str) -> Result<Response> {
    exchange(address, format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{more}\r\n"))
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .map_err(Error::system(format!("connecting to {address}")))?;
        let connection = Self { stream, unused: Vec::new() };
        connection.patience(PATIENCE)?;
        Ok(connection)
    }

    /// Sets how long one read or write may wait.
    pub fn patience(&self, patience: Duration) -> Result<()> {
        self.stream
            .set_nodelay(true)
            .and_then(|()| self.stream.set_read_timeout(Some(patience)))
            .and_then(|()| self.stream.set_write_timeout(Some(patience)))
            .map_err(Error::system("setting a time-out"))
    }

    /// Sends exactly these bytes.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        self.stream.write_all(bytes.as_ref()).map_err(Error::system("sending"))
    }

    /// Says that nothing more will be sent, and keeps reading.
    pub fn finish(&self) -> Result<()> {
        self.stream.shutdown(Shutdown::Write).map_err(Error::system("closing for writing"))
    }

    /// Reads one answer, an interim one (1xx) included.
    pub fn response(&mut self) -> Result<Response> {
        self.answer(true)
    }

    /// Reads the answer to a HEAD, which has no body whatever its header says.
    pub fn head_response(&mut self) -> Result<Response> {
        self.answer(false)
    }

    /// Reads until `enough` says so of all that came and was not used, and gives that. For tunnels.
    pub fn read_until(&mut self, enough: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>> {
        while !enough(&self.unused) {
            if !self.fill()? {
                return Err(nonsense("the connection ended early", &self.unused));
            }
        }
        Ok(std::mem::take(&mut self.unused))
    }

    /// Everything until the server closes the connection. A reset counts as closed: what follows a refusal
    /// is the server's choice.
    pub fn rest(&mut self) -> Result<Vec<u8>> {
        while self.fill()? {}
        Ok(std::mem::take(&mut self.unused))
    }

    fn answer(&mut self, with_body: bool) -> Result<Response> {
        let end = loop {
            if let Some(at) = position(&self.unused, b"\r\n\r\n") {
                break at;
            }
            if !self.fill()? {
                return Err(nonsense("no whole header", &self.unused));
            }
        };
        let head: Vec<u8> = self.unused.drain(..end + 4).collect();
        let mut response = Response::from_head(&head)?;
        if with_body && !matches!(response.status, 100..=199 | 204 | 304) {
            response.body = self.body(&response)?;
        }
        Ok(response)
    }

    fn body(&mut self, response: &Response) -> Result<Vec<u8>> {
        if let Some(coding) = response.header("transfer-encoding") {
            if !coding.eq_ignore_ascii_case("chunked") {
                return Err(nonsense("an unknown transfer coding", coding.as_bytes()));
            }
            return self.chunks();
        }
        match response.header("content-length") {
            Some(length) => {
                let length =
                    length.parse().map_err(|_| nonsense("the length of a body", length.as_bytes()))?;
                self.take(length)
            }
            None => self.rest(),
        }
    }

    fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.line()?;
            let size = line.split(|&byte| byte == b';').next().unwrap_or_default();
            let size = std::str::from_utf8(size)
                .ok()
                .and_then(|text| usize::from_str_radix(text.trim(), 16).ok())
                .ok_or_else(|| nonsense("the size of a chunk", &line))?;
            if size == 0 {
                while !self.line()?.is_empty() {}
                return Ok(body);
            }
            body.extend(self.take(size)?);
            let after = self.take(2)?;
            if after != b"\r\n" {
                return Err(nonsense("no line end after a chunk", &after));
            }
        }
    }

    fn line(&mut self) -> Result<Vec<u8>> {
        loop {
            if let Some(at) = position(&self.unused, b"\r\n") {
                let mut line: Vec<u8> = self.unused.drain(..at + 2).collect();
                line.truncate(at);
                return Ok(line);
            }
            if !self.fill()? {
                return Err(nonsense("half a line", &self.unused));
            }
        }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.unused.len() < length {
            if !self.fill()? {
                return Err(nonsense("half a body", &self.unused));
            }
        }
        Ok(self.unused.drain(..length).collect())
    }

    /// Reads once; false at the end of the connection.
    fn fill(&mut self) -> Result<bool> {
        let mut buffer = [0; 16 << 10];
        if self.unused.len() > LARGEST {
            return Err(nonsense("an endless answer", &[]));
        }
        match self.stream.read(&mut buffer) {
            Ok(0) => Ok(false),
            Ok(read) => {
                self.unused.extend(buffer.iter().take(read));
                Ok(true)
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(false),
            Err(error) => Err(Error::system("reading an answer")(error)),
        }
    }
}

impl Response {
    /// The value of the first header line of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).first().copied()
    }

    /// The values of all header lines of that name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// `name=value` of the cookie that the answer sets under that name.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.all("set-cookie")
            .into_iter()
            .filter_map(|line| line.split(';').next())
            .find(|pair| pair.split('=').next() == Some(name))
    }

    /// The body as text; what is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn from_head(head: &[u8]) -> Result<Self> {
        let text = String::from_utf8_lossy(head);
        let mut lines = text.split("\r\n");
        let status = lines
            .next()
            .and_then(|line| line.strip_prefix("HTTP/1."))
            .and_then(|line| line.split(' ').nth(1)?.parse().ok())
            .ok_or_else(|| nonsense("no status line", head))?;
        let headers = lines
            .filter(|line| !line.is_empty())
            .map(|line| {
                let (name, value) = line
                    .split_once(':')
                    .ok_or_else(|| nonsense("a header line without a colon", line.as_bytes()))?;
                Ok((name.to_owned(), value.trim().to_owned()))
            })
            .collect::<Result<_>>()?;
        Ok(Self { status, headers, body: Vec::new() })
    }
}

/// Where `needle` begins in `haystack`.
pub(crate) fn position(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn nonsense(what: &'static str, bytes: &[u8]) -> Error {
    Error::Nonsense { what, bytes: bytes.to_vec() }
}
