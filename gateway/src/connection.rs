//! A client's connection, with an end to our patience.
//!
//! A connection is idle, or a head is arriving, or requests are served. Each phase has its own bound for reading, and
//! writing has one in all of them. While a request is served nothing is expected from the client here: its body has
//! a bound of its own. In HTTP/2 a head may come at any time, and [`Frames`] tell when one is unfinished.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use crate::counters::Counted;
use crate::frames::{Frames, PREFACE};
use crate::patience::Patience;
use crate::phase::{Doing, Phase};
use crate::settings::Limits;

/// How long a client that still sends may take to notice that it was answered.
const FAREWELL: Duration = Duration::from_secs(5);

/// One of the connections that may be open at once.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) _seat: listener::Seat,
    pub(crate) _open: Counted,
}

/// What the socket last saw its connection do.
#[derive(Debug)]
struct Seen {
    doing: Doing,
    requests: u64,
    since: Instant,
}

/// A socket whose peer must not keep us waiting for ever.
#[derive(Debug)]
pub(crate) struct Connection<S> {
    socket: S,
    phase: Arc<Phase>,
    limits: Limits,
    seen: Seen,
    /// Armed once and left alone while what it would be reset to lies later: most requests never touch the timer.
    alarm: Pin<Box<Sleep>>,
    writing: Patience,
    /// Until when a client that still sends is listened to, once nothing more is sent to it.
    farewell: Option<Instant>,
    /// Those of HTTP/2, if it is that.
    frames: Option<Frames>,
    /// Whether the client was told that an idle connection is to be closed.
    is_retiring: bool,
    /// What was read to see which protocol it is, and is still to be given on.
    start: Vec<u8>,
    /// Kept as long as the socket is open, whoever holds that.
    _seat: Option<Seat>,
}

impl<S> Connection<S> {
    pub(crate) fn new(socket: S, phase: Arc<Phase>, limits: Limits) -> Self {
        let now = Instant::now();
        Self {
            socket,
            phase,
            seen: Seen { doing: Doing::New, requests: 0, since: now },
            alarm: Box::pin(sleep_until(now + limits.header_timeout)),
            writing: Patience::new(limits.write_timeout),
            limits,
            farewell: None,
            frames: None,
            is_retiring: false,
            start: Vec::new(),
            _seat: None,
        }
    }

    pub(crate) fn holding(self, seat: Seat) -> Self {
        Self { _seat: Some(seat), ..self }
    }

    /// From here on it is HTTP/2.
    pub(crate) fn into_http2(self) -> Self {
        let mut frames = Frames::new();
        frames.see(&self.start);
        Self { frames: Some(frames), ..self }
    }

    fn look(&mut self) {
        let (doing, requests) = match &self.frames {
            Some(frames) if frames.is_in_head() => (Doing::Head, frames.heads()),
            Some(frames) => match self.phase.doing() {
                Doing::Idle if frames.heads() == 0 => (Doing::New, 0),
                doing => (doing, frames.heads()),
            },
            None => (self.phase.doing(), self.phase.requests()),
        };
        let doing = match doing {
            // Only this side knows that a head of HTTP/1 has begun.
            Doing::Idle
                if self.frames.is_none()
                    && requests == self.seen.requests
                    && self.seen.doing != Doing::Serving =>
            {
                self.seen.doing
            }
            doing => doing,
        };
        if doing != self.seen.doing || requests != self.seen.requests {
            // While something is served nobody asks since when: the time costs a call, and there are three a request.
            let is_timed = !matches!(doing, Doing::Serving | Doing::Tunnel);
            let since = if is_timed { Instant::now() } else { self.seen.since };
            self.seen = Seen { doing, requests, since };
        }
    }

    /// Until when the peer may be silent in the present phase.
    fn deadline(&mut self) -> Option<Instant> {
        self.look();
        match self.seen.doing {
            Doing::New | Doing::Head => Some(self.seen.since + self.limits.header_timeout),
            Doing::Idle => {
                // It is not idle while it takes the end of an answer; for that, writing has its own bound.
                if self.writing.is_waiting() {
                    self.seen.since = Instant::now();
                }
                let farewell = if self.is_retiring { FAREWELL } else { Duration::ZERO };
                Some(self.seen.since + self.limits.idle_connection_timeout + farewell)
            }
            Doing::Serving | Doing::Tunnel => None,
        }
    }

    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        loop {
            let is_over = match self.deadline() {
                Some(deadline) => self.poll_alarm(deadline, cx),
                // Whoever ends it wakes us.
                None if self.frames.is_some() && self.phase.watch(cx.waker()) == Doing::Idle => continue,
                None => Poll::Pending,
            };
            ready!(is_over);
            // A request may be on its way when an idle connection is closed: HTTP/2 can say which ones were not heard.
            if self.seen.doing == Doing::Idle && self.frames.is_some() && !self.is_retiring {
                self.is_retiring = true;
                self.phase.retire.notify_one();
                continue;
            }
            return Poll::Ready(Error::new(ErrorKind::TimedOut, "the client was silent for too long"));
        }
    }

    fn poll_alarm(&mut self, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if deadline < self.alarm.deadline() {
                self.alarm.as_mut().reset(deadline);
            }
            ready!(self.alarm.as_mut().poll(cx));
            if Instant::now() >= deadline {
                return Poll::Ready(());
            }
            self.alarm.as_mut().reset(deadline);
        }
    }

    fn check_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<Result<T>>,
        count: impl FnOnce(&T) -> usize,
    ) -> Poll<Result<T>> {
        match &written {
            Poll::Pending => match self.writing.poll_exhausted(cx) {
                Poll::Ready(()) => Poll::Ready(Err(Error::new(
                    ErrorKind::TimedOut,
                    "the client took nothing of its answer for too long",
                ))),
                Poll::Pending => Poll::Pending,
            },
            Poll::Ready(Ok(done)) => {
                self.writing.progress(count(done));
                written
            }
            Poll::Ready(Err(_)) => written,
        }
    }

    /// Whether the client is in the middle of a request that we answer without reading all of it.
    fn is_interrupted(&mut self) -> bool {
        self.look();
        match (self.seen.doing, &self.frames) {
            (Doing::Head, _) | (Doing::Serving, Some(_)) => true,
            (Doing::Idle, Some(frames)) => frames.is_between(),
            (Doing::Idle | Doing::Serving, None) => self.phase.has_unread_body(),
            (Doing::New | Doing::Tunnel, _) => false,
        }
    }
}

impl<S: AsyncRead + Unpin> Connection<S> {
    /// Reads what the client still sends, until it has noticed that we are done, or for a while. To close before that
    /// would reset the connection, and on its way back that overtakes the answer: the client would read an error of the
    /// network where we told it what was wrong (RFC 9112, 9.6).
    fn poll_farewell(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let mut unheard = [MaybeUninit::uninit(); 4096];
        loop {
            let mut buffer = ReadBuf::uninit(&mut unheard);
            match Pin::new(&mut self.socket).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() && Instant::now() < until => {}
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.poll_alarm(until, cx),
            }
        }
    }
}

impl<S: AsyncRead + Unpin> Connection<S> {
    /// Whether the client begins as HTTP/2 does. What was read for that is given on.
    pub(crate) async fn begins_http2(&mut self) -> Result<bool> {
        let mut start = Vec::with_capacity(PREFACE.len());
        while start.len() < PREFACE.len() && PREFACE.starts_with(&start) {
            let left = PREFACE.len() - start.len();
            if (&mut *self).take(left as u64).read_buf(&mut start).await? == 0 {
                break;
            }
        }
        self.start = start;
        Ok(self.start == PREFACE)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        if !self.start.is_empty() {
            let given = self.start.len().min(buf.remaining());
            buf.put_slice(self.start.get(..given).unwrap_or_default());
            self.start.drain(..given);
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        match Pin::new(&mut self.socket).poll_read(cx, buf) {
            Poll::Pending => self.poll_silence(cx).map(Err),
            read => {
                if buf.filled().len() == before {
                    return read;
                }
                if let Some(frames) = &mut self.frames {
                    frames.see(buf.filled().get(before..).unwrap_or_default());
                } else {
                    self.look();
                    // Bytes that come while nothing is served begin a head.
                    if matches!(self.seen.doing, Doing::New | Doing::Idle) {
                        self.seen = Seen { doing: Doing::Head, since: Instant::now(), ..self.seen };
                    }
                }
                read
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.check_write(cx, written, |bytes| *bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.check_write(cx, written, |bytes| *bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        // What is encrypted waits in a buffer of its own.
        self.check_write(cx, flushed, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let until = match self.farewell {
            Some(until) => until,
            None => {
                let shut = Pin::new(&mut self.socket).poll_shutdown(cx);
                ready!(self.check_write(cx, shut, |()| 0))?;
                if !self.is_interrupted() {
                    return Poll::Ready(Ok(()));
                }
                let until = Instant::now() + FAREWELL.min(self.limits.header_timeout);
                self.farewell = Some(until);
                until
            }
        };
        self.poll_farewell(until, cx).map(Ok)
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
            http2: crate::settings::Http2Limits::default(),
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
        let serving = phase.serve(Counted::in_gauge(&Default::default()));
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
