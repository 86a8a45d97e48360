//! What an application says before it hangs up is heard.
//!
//! An application may answer while we still send it the body of a request (413 is the common case), and close. Then our
//! next write fails, perhaps before its answer was read, and the library would give up the connection with the answer
//! in it. So a write that fails only stops: what reads from the connection finds the answer first, and then the error.
//!
//! One that neither hangs up nor takes anything is given up, or the client's upload would stand still with it for ever.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::patience::Patience;

/// What a connection has heard, for whoever sends on it.
#[derive(Debug, Default)]
pub(crate) struct Heard(AtomicBool);

impl Heard {
    /// From here on it counts again: a request is sent.
    pub(crate) fn nothing_yet(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Whether a byte came since.
    pub(crate) fn is_something(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A socket that does not tell when nobody takes what is written.
#[derive(Debug)]
pub(crate) struct LastWords<S> {
    socket: S,
    heard: Arc<Heard>,
    is_unheard: bool,
    writing: Patience,
}

impl<S> LastWords<S> {
    /// The application may take nothing of a request for at most `write_timeout`.
    pub(crate) fn new(socket: S, write_timeout: Duration) -> Self {
        Self { socket, heard: Arc::default(), is_unheard: false, writing: Patience::new(write_timeout) }
    }

    /// What it hears.
    pub(crate) const fn heard(&self) -> &Arc<Heard> {
        &self.heard
    }

    /// A write that failed never ends: the end of the connection is what reading says.
    fn check_write(&mut self, written: Poll<Result<usize>>, cx: &mut Context<'_>) -> Poll<Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => self.writing.progress(bytes),
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "an application takes no more of a request; its answer may be there");
                self.is_unheard = true;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Pending if self.writing.poll_exhausted(cx).is_ready() => {
                let text = "the application took nothing of a request for too long";
                return Poll::Ready(Err(Error::new(ErrorKind::TimedOut, text)));
            }
            Poll::Pending => {}
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for LastWords<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.heard.0.store(true, Ordering::Relaxed);
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for LastWords<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        if self.is_unheard {
            return Poll::Pending;
        }
        let written = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.check_write(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        if self.is_unheard {
            return Poll::Pending;
        }
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.check_write(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.is_unheard {
            return Poll::Pending;
        }
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
