//! What can happen to a connection, on demand.
//!
//! A proxy for TCP that a test puts between a program and the server that it needs, and whose [`Condition`] can change
//! at any time. TCP never delivers what comes after a hole: a direction that has swallowed bytes therefore stays dead
//! for as long as its connection lives, whatever the condition is later.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::error::{Error, Result};
use crate::port::Port;

/// How the line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Everything passes.
    Passing,
    /// Nobody listens: what is open is cut, and the kernel refuses what is new.
    Refused,
    /// Whoever connects is let in and cut off at once. Unlike with [`Refused`](Self::Refused), the attempts can be
    /// [counted](FaultProxy::accepted).
    Closed,
    /// The packets vanish, in both directions; nobody is told.
    BlackHole,
    /// Whatever comes from the server waits that long.
    Slow(Duration),
    /// What the client says does not reach the server; what the server says still comes.
    RequestsLost,
    /// What the client says is done, but it does not hear of it.
    AnswersLost,
}

/// The proxy. Everything that goes through it is cut when it is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    port: Port,
    state: watch::Sender<State>,
    accepted: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    condition: Condition,
    /// Connections of an earlier number are cut.
    generation: usize,
    is_over: bool,
}

impl FaultProxy {
    /// A proxy for `server`, which need not be there yet. Everything passes.
    pub fn start(server: SocketAddr) -> Result<Self> {
        Self::start_as(Condition::Passing, server)
    }

    /// A proxy for `server` that begins in that condition.
    pub fn start_as(condition: Condition, server: SocketAddr) -> Result<Self> {
        let port = Port::claim()?;
        let (state, seen) = watch::channel(State { condition, generation: 0, is_over: false });
        let accepted = Arc::new(AtomicUsize::new(0));
        let line = Line { address: port.address(), server, state: seen, accepted: Arc::clone(&accepted) };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::system("starting the fault proxy"))?;
        // Bound before anybody is told the address; and not within the runtime, because the caller may be in one.
        let listener = match condition {
            Condition::Refused => None,
            _ => Some(line.listen().map_err(Error::system("listening as a fault proxy"))?),
        };
        // On a thread of its own, so that a test that blocks does not stop it, and one without a runtime has it too.
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                line.run(listener.and_then(|bound| TcpListener::from_std(bound).ok())).await
            });
        });
        Ok(Self { port, state, accepted, thread: Some(thread) })
    }

    /// Where the client connects to.
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// Changes how the line is, for open connections too.
    pub fn set(&self, condition: Condition) {
        self.state.send_modify(|state| {
            state.condition = condition;
            if matches!(condition, Condition::Refused | Condition::Closed) {
                state.generation += 1;
            }
        });
    }

    /// Cuts every open connection now, without a farewell. New ones go by the condition.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.generation += 1);
    }

    /// How many connections were let in so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.state.send_modify(|state| state.is_over = true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread of the proxy knows.
#[derive(Debug)]
struct Line {
    address: SocketAddr,
    server: SocketAddr,
    state: watch::Receiver<State>,
    accepted: Arc<AtomicUsize>,
}

impl Line {
    fn listen(&self) -> std::io::Result<std::net::TcpListener> {
        let listener = std::net::TcpListener::bind(self.address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }

    async fn run(mut self, mut listener: Option<TcpListener>) {
        loop {
            let State { condition, generation, is_over } = *self.state.borrow_and_update();
            if is_over {
                // The runtime ends with this, and with it every connection.
                return;
            }
            if condition == Condition::Refused {
                listener = None;
            } else if listener.is_none() {
                listener = self.listen().and_then(TcpListener::from_std).ok();
            }
            let accepted = async {
                match &listener {
                    Some(listener) => listener.accept().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = self.state.changed() => {}
                Ok((client, _)) = accepted => {
                    self.accepted.fetch_add(1, Ordering::SeqCst);
                    let _ = client.set_nodelay(true);
                    if condition == Condition::Closed {
                        continue;
                    }
                    let connection = connect(client, self.server, self.state.clone(), generation);
                    tokio::spawn(connection);
                }
            }
        }
    }
}

/// Serves one connection until either side or the test ends it.
async fn connect(client: TcpStream, server: SocketAddr, state: watch::Receiver<State>, generation: usize) {
    let is_cut = |state: &State| state.is_over || state.generation != generation;
    let pumps = async {
        // Whom nobody hears is not connected to anybody.
        let server = if state.borrow().condition == Condition::BlackHole {
            None
        } else {
            TcpStream::connect(server).await.ok()
        };
        let Some(server) = server else {
            if state.borrow().condition == Condition::BlackHole {
                return swallow(client).await;
            }
            return;
        };
        let _ = server.set_nodelay(true);
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::join!(
            pump(from_client, to_server, Direction::Request, state.clone()),
            pump(from_server, to_client, Direction::Answer, state.clone()),
        );
    };
    let mut watched = state.clone();
    tokio::select! {
        () = pumps => {}
        _ = watched.wait_for(is_cut) => {}
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Request,
    Answer,
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    direction: Direction,
    mut state: watch::Receiver<State>,
) {
    let mut buffer = vec![0; 64 * 1024];
    let mut is_dead = false;
    loop {
        let read = from.read(&mut buffer).await.unwrap_or(0);
        let condition = state.borrow_and_update().condition;
        is_dead |= match condition {
            Condition::BlackHole => true,
            Condition::RequestsLost => direction == Direction::Request,
            Condition::AnswersLost => direction == Direction::Answer,
            _ => false,
        };
        if is_dead && read == 0 {
            // A farewell is lost like everything else; the other side must find out by itself.
            return std::future::pending().await;
        }
        if is_dead {
            continue;
        }
        if let (Condition::Slow(delay), Direction::Answer) = (condition, direction) {
            tokio::select! {
                () = sleep(delay) => {}
                _ = state.wait_for(|state| state.condition != condition) => {}
            }
        }
        let written = to.write_all(buffer.get(..read).unwrap_or_default()).await;
        if read == 0 || written.is_err() {
            let _ = to.shutdown().await;
            return;
        }
    }
}

async fn swallow(mut client: TcpStream) {
    let mut buffer = vec![0; 64 * 1024];
    while client.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::time::Instant;

    const SOON: Duration = Duration::from_millis(200);

    /// A server that says back what it hears.
    fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                thread::spawn(move || std::io::copy(&mut stream.try_clone().unwrap(), &mut stream));
            }
        });
        address
    }

    fn connected(proxy: &FaultProxy) -> TcpStream {
        let stream = TcpStream::connect(proxy.address()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream
    }

    /// What comes back of what is said.
    fn said(stream: &mut TcpStream, text: &str) -> std::io::Result<String> {
        stream.write_all(text.as_bytes())?;
        let mut buffer = [0; 100];
        let read = stream.read(&mut buffer)?;
        Ok(String::from_utf8_lossy(&buffer[..read]).into_owned())
    }

    fn is_silent(answer: &std::io::Result<String>) -> bool {
        answer
            .as_ref()
            .is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }

    fn is_over(answer: &std::io::Result<String>) -> bool {
        match answer {
            Ok(text) => text.is_empty(),
            Err(error) => matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
        }
    }

    #[test]
    fn what_passes_comes_back_until_it_is_cut() {
        let proxy = FaultProxy::start(echo()).unwrap();
        let mut stream = connected(&proxy);
        assert_eq!(said(&mut stream, "one").unwrap(), "one");
        proxy.cut();
        thread::sleep(SOON / 4);
        assert!(is_over(&said(&mut stream, "two")));
        assert_eq!(said(&mut connected(&proxy), "three").unwrap(), "three");
        assert_eq!(proxy.accepted(), 2);
    }

    #[test]
    fn nobody_listens_while_it_refuses() {
        let proxy = FaultProxy::start(echo()).unwrap();
        let mut stream = connected(&proxy);
        assert_eq!(said(&mut stream, "one").unwrap(), "one");
        proxy.set(Condition::Refused);
        thread::sleep(SOON / 4);
        assert!(is_over(&said(&mut stream, "two")));
        let refused = TcpStream::connect(proxy.address()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        proxy.set(Condition::Passing);
        thread::sleep(SOON / 4);
        assert_eq!(said(&mut connected(&proxy), "three").unwrap(), "three");
    }

    #[test]
    fn who_is_closed_upon_is_counted() {
        let proxy = FaultProxy::start_as(Condition::Closed, echo()).unwrap();
        for count in 1..4 {
            let mut stream = connected(&proxy);
            assert!(is_over(&said(&mut stream, "one")));
            assert_eq!(proxy.accepted(), count);
        }
    }

    #[test]
    fn a_black_hole_keeps_what_it_swallowed() {
        let proxy = FaultProxy::start(echo()).unwrap();
        let mut before = connected(&proxy);
        assert_eq!(said(&mut before, "one").unwrap(), "one");
        proxy.set(Condition::BlackHole);
        assert!(is_silent(&said(&mut before, "two")));
        let mut within = connected(&proxy);
        assert!(is_silent(&said(&mut within, "three")));
        proxy.set(Condition::Passing);
        assert!(is_silent(&said(&mut before, "four")), "there is a hole before this");
        assert!(is_silent(&said(&mut within, "five")));
        assert_eq!(said(&mut connected(&proxy), "six").unwrap(), "six");
    }

    #[test]
    fn one_direction_can_be_lost() {
        for condition in [Condition::RequestsLost, Condition::AnswersLost] {
            let proxy = FaultProxy::start(echo()).unwrap();
            let mut stream = connected(&proxy);
            assert_eq!(said(&mut stream, "one").unwrap(), "one");
            proxy.set(condition);
            assert!(is_silent(&said(&mut stream, "two")), "{condition:?}");
        }
    }

    #[test]
    fn an_answer_can_be_late() {
        let proxy = FaultProxy::start(echo()).unwrap();
        let mut stream = connected(&proxy);
        proxy.set(Condition::Slow(SOON / 2));
        let began = Instant::now();
        assert_eq!(said(&mut stream, "one").unwrap(), "one");
        assert!(began.elapsed() >= SOON / 2);
        // Nobody waits longer than the line is slow.
        proxy.set(Condition::Slow(Duration::from_secs(600)));
        assert!(is_silent(&said(&mut stream, "two")));
        proxy.set(Condition::Passing);
        let mut late = [0; 3];
        stream.read_exact(&mut late).unwrap();
        assert_eq!(&late, b"two");
    }
}
