//! Whether the other side of a connection still says something.
//!
//! Bytes that vanish on their way are not reported by anybody. But while a request is under way the other side is asked
//! every second whether it is there, so something is heard all the time: a connection on which there was silence for
//! longer gets no more requests as long as there is another way.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Instant;

/// Silence from which on a connection is suspect.
const SILENCE: Duration = Duration::from_millis(1500);
/// And where nobody waits any more for what was asked for as long.
const SILENCE_AT_THE_END: Duration = Duration::from_millis(250);

/// What is known of a connection.
#[derive(Debug)]
pub(super) struct Heard {
    opened: Instant,
    /// When something was heard last, in milliseconds from the opening.
    last: AtomicU64,
    /// How many requests are under way.
    busy: AtomicUsize,
    /// When there were none before, last.
    busy_since: AtomicU64,
    /// A request was given up, and nothing was heard since it was sent.
    was_given_up: AtomicBool,
    first: Notify,
}

impl Heard {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            last: AtomicU64::new(0),
            busy: AtomicUsize::new(0),
            busy_since: AtomicU64::new(0),
            was_given_up: AtomicBool::new(false),
            first: Notify::new(),
        })
    }

    /// How many requests are under way.
    pub(super) fn busy(&self) -> usize {
        self.busy.load(Ordering::Relaxed)
    }

    /// Whether there should have been something to hear, and was nothing.
    pub(super) fn is_silent(&self) -> bool {
        let since = self.last.load(Ordering::Relaxed).max(self.busy_since.load(Ordering::Relaxed));
        self.was_given_up.load(Ordering::Relaxed) || self.busy() > 0 && self.now() > since + millis(SILENCE)
    }

    /// Waits for the first bytes; to be called once.
    pub(super) async fn something(&self) {
        self.first.notified().await;
    }

    /// One request more is under way.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        let since = self.now();
        if self.busy.fetch_add(1, Ordering::Relaxed) == 0 {
            self.busy_since.store(since, Ordering::Relaxed);
        }
        Busy { heard: Arc::clone(self), since }
    }

    fn hear(&self) {
        if self.last.swap(self.now(), Ordering::Relaxed) == 0 {
            self.first.notify_one();
        }
        self.was_given_up.store(false, Ordering::Relaxed);
    }

    /// In milliseconds from the opening; never zero, which is before anything was heard.
    fn now(&self) -> u64 {
        millis(self.opened.elapsed()).max(1)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2)
}

/// A request is under way, until this is dropped.
#[derive(Debug)]
pub struct Busy {
    heard: Arc<Heard>,
    since: u64,
}

impl Drop for Busy {
    fn drop(&mut self) {
        let heard = &self.heard;
        heard.busy.fetch_sub(1, Ordering::Relaxed);
        let is_unheard = heard.last.load(Ordering::Relaxed) < self.since;
        if is_unheard && heard.now() > self.since + millis(SILENCE_AT_THE_END) {
            heard.was_given_up.store(true, Ordering::Relaxed);
        }
    }
}

/// A connection that is listened to.
#[derive(Debug)]
pub(super) struct Listening<S> {
    stream: S,
    heard: Arc<Heard>,
}

impl<S> Listening<S> {
    pub(super) const fn new(stream: S, heard: Arc<Heard>) -> Self {
        Self { stream, heard }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Listening<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            this.heard.hear();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Listening<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
