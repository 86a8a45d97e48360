//! What an application says before it hangs up is heard.
//!
//! An application may answer while we still send it the body of a request (413 is the common case), and close. Then our
//! next write fails, perhaps before its answer was read, and the library would give up the connection with the answer
//! in it. So a write that fails only stops: what reads from the connection finds the answer first, and then the error.

use std::io::{IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use tower_service::Service;

/// Makes connections whose last words are heard.
#[derive(Debug, Clone)]
pub(crate) struct Connector(pub(crate) HttpConnector);

type Socket = <HttpConnector as Service<Uri>>::Response;

impl Service<Uri> for Connector {
    type Response = LastWords<Socket>;
    type Error = <HttpConnector as Service<Uri>>::Error;
    type Future = BoxFuture<'static, std::result::Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<std::result::Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let connecting = self.0.call(target);
        Box::pin(async move { connecting.await.map(LastWords::of) })
    }
}

/// A socket that does not tell when nobody takes what is written.
#[derive(Debug)]
pub(crate) struct LastWords<S> {
    socket: S,
    is_unheard: bool,
}

impl<S> LastWords<S> {
    const fn of(socket: S) -> Self {
        Self { socket, is_unheard: false }
    }

    /// A write that failed never ends: the end of the connection is what reading says.
    fn hold<T>(&mut self, written: Poll<Result<T>>, cx: &Context<'_>) -> Poll<Result<T>> {
        let Poll::Ready(Err(error)) = written else { return written };
        tracing::debug!(%error, "an application takes no more of a request; its answer may be there");
        self.is_unheard = true;
        cx.waker().wake_by_ref();
        Poll::Pending
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
        self.hold(written, cx)
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
        self.hold(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.is_unheard {
            return Poll::Pending;
        }
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        self.hold(flushed, cx)
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
