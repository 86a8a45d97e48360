//! A connection on which one request is sent, and the body of its answer, which holds the connection until it has ended.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header::{CONNECTION, HOST};
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, Uri, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};

use super::last_words::Heard;
use super::server::{Busy, RETIRED, Server};
use crate::body::Inbound;

/// A connection, for one request.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) sender: Sender,
    /// It was used before, so the server may be about to close it.
    pub(crate) is_kept: bool,
}

#[derive(Debug)]
pub(crate) enum Sender {
    Http1(http1::SendRequest<Inbound>, Arc<Heard>),
    Http2 {
        sender: http2::SendRequest<Inbound>,
        /// Its place on the connection.
        stream: Stream,
    },
}

/// One of the requests that share a connection.
#[derive(Debug)]
pub(crate) struct Stream(Arc<AtomicUsize>);

impl Sender {
    pub(crate) fn http2(sender: http2::SendRequest<Inbound>, streams: Arc<AtomicUsize>) -> Self {
        streams.fetch_add(1, Ordering::Relaxed);
        Self::Http2 { sender, stream: Stream(streams) }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connection {
    /// Sends a request. `host` is what the visitor asked for, if the application is to see that.
    pub(crate) fn send(
        &mut self,
        mut request: Request<Inbound>,
        host: Option<&HeaderValue>,
        server: &Server,
    ) -> impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Inbound>>>> + use<> {
        match &mut self.sender {
            Sender::Http1(sender, heard) => {
                address_http1(&mut request, host, server);
                heard.nothing_yet();
                sender.try_send_request(request).left_future()
            }
            Sender::Http2 { sender, .. } => {
                address_http2(&mut request, host, server);
                sender.try_send_request(request).right_future()
            }
        }
    }

    /// Whether some of an answer came after a request was sent. Of one over HTTP/2 nobody knows before its head is there.
    pub(crate) fn has_heard(&self) -> bool {
        match &self.sender {
            Sender::Http1(_, heard) => heard.is_something(),
            Sender::Http2 { .. } => false,
        }
    }

    pub(crate) const fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2 { .. })
    }

    /// The server takes no more requests on it: nobody else is to use it.
    pub(crate) fn retire(&self) {
        if let Sender::Http2 { stream, .. } = &self.sender {
            stream.0.fetch_add(RETIRED, Ordering::Relaxed);
        }
    }

    fn give_back(self, server: &Arc<Server>) {
        match self.sender {
            Sender::Http1(sender, heard) => server.keep(sender, heard),
            Sender::Http2 { .. } => {}
        }
    }
}

/// The path is what is asked for, and `Host` says of whom.
fn address_http1(request: &mut Request<Inbound>, host: Option<&HeaderValue>, server: &Server) {
    *request.version_mut() = Version::HTTP_11;
    if request.uri().authority().is_some() {
        let mut parts = std::mem::take(request.uri_mut()).into_parts();
        (parts.scheme, parts.authority) = (None, None);
        *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    }
    let headers = request.headers_mut();
    if host.is_none() || !headers.contains_key(HOST) {
        headers.insert(HOST, host.unwrap_or(&server.host).clone());
    }
}

/// The host is part of what is asked for, and no header.
fn address_http2(request: &mut Request<Inbound>, host: Option<&HeaderValue>, server: &Server) {
    *request.version_mut() = Version::HTTP_2;
    request.headers_mut().remove(HOST);
    request.headers_mut().remove(CONNECTION);
    let read = |value: &HeaderValue| Authority::try_from(value.as_bytes()).ok();
    let authority = host.and_then(read).or_else(|| read(&server.host));
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(if server.is_secure { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = authority;
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
}

/// The body of an application's answer. When it has ended, its connection is free for the next request; dropped before,
/// it closes the connection, or, with HTTP/2, ends the stream.
#[derive(Debug)]
pub(crate) struct Download {
    body: Incoming,
    has_ended: bool,
    connection: Option<Connection>,
    busy: Option<Busy>,
}

impl Download {
    pub(crate) fn new(body: Incoming, connection: Connection, busy: Busy) -> Self {
        let has_ended = body.is_end_stream();
        Self { body, has_ended, connection: Some(connection), busy: Some(busy) }
    }

    /// The connection becomes a tunnel: the server is busy as long as what this returns lives.
    pub(crate) fn become_tunnel(&mut self) -> Option<Busy> {
        self.connection = None;
        self.busy.take()
    }
}

impl HttpBody for Download {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.has_ended = match &frame {
            None => true,
            Some(Ok(frame)) => frame.is_trailers() || self.body.is_end_stream(),
            Some(Err(_)) => false,
        };
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        if self.has_ended
            && let (Some(connection), Some(busy)) = (self.connection.take(), self.busy.take())
        {
            connection.give_back(busy.server());
        }
    }
}
