//! A client's connection, with an end to our patience.
//!
//! A connection is idle, or a head is arriving, or a request is served. Each phase has its own bound for reading, and
//! writing has one in all of them. While a request is served nothing is expected from the client here: its body has
//! a bound of its own.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::patience::Patience;
use crate::settings::Limits;

const IDLE: u8 = 0;
const HEAD: u8 = 1;
const SERVING: u8 = 2;
const TUNNEL: u8 = 3;

/// What a connection is doing, shared between its socket and its requests.
#[derive(Debug, Default)]
pub(crate) struct Phase(AtomicU8);

impl Phase {
    /// A request is served until what this returns is dropped.
    pub(crate) fn serve(self: &Arc<Self>) -> Serving {
        self.0.store(SERVING, Ordering::Release);
        Serving(Arc::clone(self))
    }

    /// The connection has changed its protocol: from now on silence is no fault.
    pub(crate) fn tunnel(&self) {
        self.0.store(TUNNEL, Ordering::Release);
    }

    fn is_serving(&self) -> bool {
        self.0.load(Ordering::Acquire) >= SERVING
    }
}

/// A request is being served.
#[derive(Debug)]
pub(crate) struct Serving(Arc<Phase>);

impl Drop for Serving {
    fn drop(&mut self) {
        // A tunnel stays one.
        let _ = self.0.0.compare_exchange(SERVING, IDLE, Ordering::AcqRel, Ordering::Relaxed);
    }
}

/// A socket whose peer must not keep us waiting for ever.
#[derive(Debug)]
pub(crate) struct Connection<S> {
    socket: S,
    phase: Arc<Phase>,
    limits: Limits,
    /// In which phase the socket was last seen, and since when.
    seen: (u8, Instant),
    /// Armed once and left alone while what it would be reset to lies later: most requests never touch the timer.
    alarm: Pin<Box<Sleep>>,
    writing: Patience,
}

impl<S> Connection<S> {
    pub(crate) fn new(socket: S, phase: Arc<Phase>, limits: Limits) -> Self {
        let now = Instant::now();
        Self {
            socket,
            phase,
            // A new connection owes us a head.
            seen: (HEAD, now),
            alarm: Box::pin(sleep_until(now + limits.header_timeout)),
            writing: Patience::new(limits.write_timeout),
            limits,
        }
    }

    /// Until when the peer may be silent in the present phase.
    fn deadline(&mut self) -> Option<Instant> {
        let phase = match self.phase.is_serving() {
            true => SERVING,
            // Only this side knows that a head has begun.
            false if self.seen.0 == HEAD => HEAD,
            false => IDLE,
        };
        if phase != self.seen.0 {
            self.seen = (phase, Instant::now());
        }
        match phase {
            IDLE => Some(self.seen.1 + self.limits.idle_connection_timeout),
            HEAD => Some(self.seen.1 + self.limits.header_timeout),
            _ => None,
        }
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let Some(deadline) = self.deadline() else {
            return Poll::Pending;
        };
        loop {
            if deadline < self.alarm.deadline() {
                self.alarm.as_mut().reset(deadline);
            }
            if self.alarm.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if Instant::now() >= deadline {
                return Poll::Ready(Error::new(ErrorKind::TimedOut, "the client was silent for too long"));
            }
            self.alarm.as_mut().reset(deadline);
        }
    }

    fn check_write(&mut self, cx: &mut Context<'_>, written: Poll<Result<usize>>) -> Poll<Result<usize>> {
        match written {
            Poll::Pending => match self.writing.poll_exhausted(cx) {
                Poll::Ready(()) => Poll::Ready(Err(Error::new(
                    ErrorKind::TimedOut,
                    "the client took nothing of its answer for too long",
                ))),
                Poll::Pending => Poll::Pending,
            },
            Poll::Ready(Ok(bytes)) => {
                self.writing.progress(bytes);
                Poll::Ready(Ok(bytes))
            }
            failed => failed,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = buf.filled().len();
        match Pin::new(&mut self.socket).poll_read(cx, buf) {
            Poll::Pending => self.poll_silence(cx).map(Err),
            read => {
                // Bytes that come while nothing is served begin a head.
                if buf.filled().len() > before && self.seen.0 != HEAD && !self.phase.is_serving() {
                    self.seen = (HEAD, Instant::now());
                }
                read
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.check_write(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.check_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::{sleep, timeout};

    use super::*;

    fn limits() -> Limits {
        Limits {
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(30),
            idle_connection_timeout: Duration::from_secs(75),
            max_header_bytes: 1 << 15,
            max_headers: 100,
            max_body_bytes: None,
            drain_timeout: Duration::from_secs(10),
            max_connections: 10,
        }
    }

    async fn waits(connection: &mut (impl AsyncRead + Unpin)) -> (Duration, ErrorKind) {
        let start = Instant::now();
        let mut byte = [0; 64];
        loop {
            match connection.read(&mut byte).await {
                Ok(0) => panic!("closed"),
                Ok(_) => {}
                Err(error) => return (start.elapsed(), error.kind()),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_owes_a_head() {
        let (_client, server) = duplex(64);
        let mut connection = Connection::new(server, Arc::default(), limits());
        assert_eq!(waits(&mut connection).await, (Duration::from_secs(10), ErrorKind::TimedOut));
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_drips_is_cut_off() {
        let (mut client, server) = duplex(64);
        let mut connection = Connection::new(server, Arc::default(), limits());
        let drip = tokio::spawn(async move {
            loop {
                sleep(Duration::from_secs(1)).await;
                if client.write_all(b"x").await.is_err() {
                    return;
                }
            }
        });
        let (waited, kind) = waits(&mut connection).await;
        assert_eq!(kind, ErrorKind::TimedOut);
        assert!(waited <= Duration::from_secs(11), "{waited:?}");
        drop(connection);
        drip.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn between_requests_a_connection_may_wait_longer() {
        let (_client, server) = duplex(64);
        let phase = Arc::new(Phase::default());
        let mut connection = Connection::new(server, Arc::clone(&phase), limits());
        let serving = phase.serve();
        let mut byte = [0; 1];
        // While a request is served, nothing is expected here.
        assert!(timeout(Duration::from_secs(500), connection.read(&mut byte)).await.is_err());
        drop(serving);
        assert_eq!(waits(&mut connection).await, (Duration::from_secs(75), ErrorKind::TimedOut));
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_cut_off() {
        let (_client, server) = duplex(64);
        let mut connection = Connection::new(server, Arc::default(), limits());
        let start = Instant::now();
        let error = connection.write_all(&[0; 1000]).await.unwrap_err();
        assert_eq!((start.elapsed(), error.kind()), (Duration::from_secs(30), ErrorKind::TimedOut));
    }
}
