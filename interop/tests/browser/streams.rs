//! What of a site takes its time: large bodies, events, WebSocket.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, Stream, StreamExt};

use super::site::Shared;

/// In what pieces a large body comes.
const PIECE: usize = 64 << 10;

/// Counts as open until it is dropped, and as broken if that is before its end.
struct Open {
    shared: Arc<Shared>,
    is_whole: bool,
}

impl Open {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.open.fetch_add(1, Ordering::SeqCst);
        Self { shared: Arc::clone(shared), is_whole: false }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.is_whole {
            self.shared.broken.fetch_add(1, Ordering::SeqCst);
        }
        self.shared.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// `/large?BYTES`: so many.
pub(crate) async fn large(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    shared.note(&parts);
    let length: usize = parts.uri.query().and_then(|query| query.parse().ok()).unwrap();
    Response::builder()
        .header("content-length", length)
        .body(Body::from_stream(pieces(&shared, length)))
        .unwrap()
}

fn pieces(
    shared: &Arc<Shared>,
    length: usize,
) -> impl Stream<Item = Result<Bytes, Infallible>> + Send + use<> {
    let open = Open::new(shared);
    let piece = Bytes::from(vec![b'x'; PIECE]);
    stream::unfold((open, length), move |(mut open, left)| {
        let next = piece.slice(..left.min(PIECE));
        open.is_whole |= left == next.len();
        let left = left - next.len();
        async move { (!next.is_empty()).then(|| (Ok(next), (open, left))) }
    })
}

/// Says how many bytes came.
pub(crate) async fn upload(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    shared.note(&parts);
    let mut open = Open::new(&shared);
    let mut body = body.into_data_stream();
    let mut length = 0;
    while let Some(piece) = body.next().await {
        let Ok(piece) = piece else { return Response::new(Body::empty()) };
        length += piece.len();
    }
    open.is_whole = true;
    Response::new(Body::from(length.to_string()))
}

/// Server-sent events: the session at once; `again` after the milliseconds of the query; and then silence.
pub(crate) async fn events(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let seen = shared.note(&parts);
    let pause = pause(&parts);
    let open = Open::new(&shared);
    let first = event(seen.session().unwrap_or_default());
    let events = stream::once(async move { first })
        .chain(stream::once(async move {
            tokio::time::sleep(pause).await;
            event("again")
        }))
        .chain(stream::pending())
        .map(move |event| {
            let _held = &open;
            event
        });
    Response::builder().header("content-type", "text/event-stream").body(Body::from_stream(events)).unwrap()
}

fn event(data: &str) -> Result<Bytes, Infallible> {
    Ok(Bytes::from(format!("data: {data}\n\n")))
}

/// A WebSocket: the session at once; `again` after the milliseconds of the query; and then whatever comes, back.
pub(crate) async fn socket(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let seen = shared.note(&parts);
    let pause = pause(&parts);
    let upgrade = match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade,
        Err(_) => return Response::builder().status(426).body(Body::empty()).unwrap(),
    };
    let session = seen.session().unwrap_or_default().to_owned();
    upgrade.on_upgrade(move |socket| async move {
        let _open = Open::new(&shared);
        converse(socket, session, pause).await;
    })
}

async fn converse(mut socket: WebSocket, session: String, pause: Duration) {
    let mut sent = socket.send(Message::Text(session.into())).await.is_ok();
    tokio::time::sleep(pause).await;
    sent &= socket.send(Message::Text("again".into())).await.is_ok();
    while sent && let Some(Ok(message)) = socket.recv().await {
        sent = match message {
            Message::Text(text) => socket.send(Message::Text(text)).await.is_ok(),
            Message::Close(_) => false,
            _ => true,
        };
    }
}

fn pause(parts: &http::request::Parts) -> Duration {
    Duration::from_millis(parts.uri.query().and_then(|query| query.parse().ok()).unwrap_or(0))
}
