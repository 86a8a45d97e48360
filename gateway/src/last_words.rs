//! What an application says before it hangs up is heard.
//!
//! An application may answer while we still send it the body of a request (413 is the common case), and close. Then our
//! next write fails, perhaps before its answer was read, and the library would give up the connection with the answer
//! in it. So a write that fails only stops: what reads from the connection finds the answer first, and then the error.
//!
//! One that neither hangs up nor takes anything is given up, or the client's upload would stand still with it for ever.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use tower_service::Service;

use crate::patience::Patience;

/// Makes connections whose last words are heard.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    http: HttpConnector,
    write_timeout: Duration,
}

impl Connector {
    /// Connects by `http`. An application may take nothing of a request for at most `write_timeout`.
    pub(crate) const fn new(http: HttpConnector, write_timeout: Duration) -> Self {
        Self { http, write_timeout }
    }
}

type Socket = <HttpConnector as Service<Uri>>::Response;

impl Service<Uri> for Connector {
    type Response = LastWords<Socket>;
    type Error = <HttpConnector as Service<Uri>>::Error;
    type Future = BoxFuture<'static, std::result::Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<std::result::Result<(), Self::Error>> {
        self.http.poll_ready(cx)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let connecting = self.http.call(target);
        let write_timeout = self.write_timeout;
        Box::pin(async move { connecting.await.map(|socket| LastWords::of(socket, write_timeout)) })
    }
}

/// A socket that does not tell when nobody takes what is written.
#[derive(Debug)]
pub(crate) struct LastWords<S> {
    socket: S,
    is_unheard: bool,
    writing: Patience,
}

impl<S> LastWords<S> {
    const fn of(socket: S, write_timeout: Duration) -> Self {
        Self { socket, is_unheard: false, writing: Patience::new(write_timeout) }
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

impl<S: Read + Unpin> Read for LastWords<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: ReadBufCursor<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl<S: Write + Unpin> Write for LastWords<S> {
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

impl<S: Connection> Connection for LastWords<S> {
    fn connected(&self) -> Connected {
        self.socket.connected()
    }
}
