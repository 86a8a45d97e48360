//! An application that does nothing by itself: the test accepts its connections, reads its requests, writes its
//! answers.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// How long anything may take that is expected to happen.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where an application listens.
#[derive(Debug)]
pub(crate) struct Application {
    listener: TcpListener,
}

impl Application {
    pub(crate) fn start() -> Self {
        Self::at("127.0.0.1:0")
    }

    pub(crate) fn at(address: &str) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { listener }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// The next connection that the gateway makes.
    pub(crate) fn accept(&self) -> Served {
        self.accepts_within(PATIENCE).expect("the gateway makes a connection")
    }

    /// The next connection, if there is one soon.
    pub(crate) fn accepts_within(&self, patience: Duration) -> Option<Served> {
        let deadline = Instant::now() + patience;
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(false).unwrap();
                    stream.set_nodelay(true).unwrap();
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    stream.set_write_timeout(Some(PATIENCE)).unwrap();
                    return Some(Served { stream, unused: Vec::new() });
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if Instant::now() > deadline {
                        return None;
                    }
                    thread::sleep(Duration::from_millis(2));
                }
                Err(error) => panic!("accepting: {error}"),
            }
        }
    }

    /// The next connection, with the head of its first request read and this answered.
    pub(crate) fn answers(&self, answer: impl AsRef<[u8]>) -> Served {
        let mut served = self.accept();
        served.head();
        served.send(answer);
        served
    }
}

/// A connection of the gateway to the application.
#[derive(Debug)]
pub(crate) struct Served {
    stream: TcpStream,
    unused: Vec<u8>,
}

impl Served {
    /// The head of the next request, with its empty line.
    pub(crate) fn head(&mut self) -> String {
        String::from_utf8(self.read_through(b"\r\n\r\n")).unwrap()
    }

    /// Exactly so many bytes.
    pub(crate) fn read(&mut self, length: usize) -> Vec<u8> {
        while self.unused.len() < length {
            assert!(self.fill(), "closed after {:?}", self.unused.escape_ascii().to_string());
        }
        self.unused.drain(..length).collect()
    }

    /// Throws so many bytes away.
    pub(crate) fn skip(&mut self, length: usize) {
        let mut left = length - self.unused.drain(..self.unused.len().min(length)).len();
        let mut scrap = [0; 64 << 10];
        while left > 0 {
            let wanted = left.min(scrap.len());
            let read = self.stream.read(&mut scrap[..wanted]).unwrap();
            assert_ne!(read, 0, "closed, and {left} bytes are missing");
            left -= read;
        }
    }

    /// All that comes up to these bytes, and them.
    pub(crate) fn read_through(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.unused.windows(end.len()).position(|window| window == end) {
                return self.unused.drain(..at + end.len()).collect();
            }
            assert!(self.fill(), "closed after {:?}", self.unused.escape_ascii().to_string());
        }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// As [`Served::send`], by somebody who does not mind when the gateway has gone.
    pub(crate) fn tries_to_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// All that still comes, until the gateway closes the connection.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.fill() {}
        std::mem::take(&mut self.unused)
    }

    /// Whether the gateway gives the connection up within `patience`. What comes before that is thrown away.
    pub(crate) fn is_given_up_within(&mut self, patience: Duration) -> bool {
        self.stream.set_read_timeout(Some(patience)).unwrap();
        let deadline = Instant::now() + patience;
        let mut scrap = [0; 64 << 10];
        while Instant::now() < deadline {
            match self.stream.read(&mut scrap) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => return !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            }
        }
        false
    }

    /// Sends nothing more, and keeps reading.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Waits until something of a request is there, and resets the connection: that is what the system does with one
    /// that is closed unread.
    pub(crate) fn reset(self) {
        assert!(self.unused.is_empty(), "there is nothing left to leave unread");
        self.stream.peek(&mut [0]).unwrap();
    }

    fn fill(&mut self) -> bool {
        let mut buffer = [0; 64 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => false,
            Ok(read) => {
                self.unused.extend(&buffer[..read]);
                true
            }
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => false,
            Err(error) => {
                panic!("{error}; so far came {:?}", self.unused.escape_ascii().to_string())
            }
        }
    }
}
