//! What happens to sessions, as it happens: Server-Sent Events for programs that keep something of their own in step.
//!
//! ```text
//! id: 81234
//! event: written
//! data: {"handle":"00010f10a9fb5c7e8d9099a0af0affff"}
//!
//! id: 81235
//! event: ended
//! data: {"handle":"00010f10a9fb5c7e8d9099a0af0affff"}
//!
//! id: 81236
//! event: revoked
//! data: {}
//! ```
//!
//! It is the change stream of the storage service: a last use alone is no change, and a session that is over by time is not announced. Who
//! comes back with `Last-Event-ID` goes on where they were, or is told of a `gap`. Nothing is followed until somebody asks.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use client::protocol;
use futures_util::stream::unfold;
use session::Handle;
use storage::{Change, Kind, Notice, Position};

use super::Api;
use super::problem::Problem;
use crate::clients::{Caller, Right};
use crate::end_point::journal::Journal;

/// How long the stream of the storage service may take to begin.
const PATIENCE: Duration = Duration::from_secs(5);

/// `GET /v1/changes`
pub(super) async fn changes(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let client = api.admit(&caller, &headers, Right::Sessions)?;
    if !client.knows_all() {
        // A notice does not say of which realm or kind it is.
        return Err(client.not_there());
    }
    let from = headers.get(protocol::LAST_EVENT_ID).map(|position| {
        // One that cannot be read is one that is not known: its owner sees a gap.
        Position(position.to_str().ok().and_then(|position| position.parse().ok()).unwrap_or(u64::MAX))
    });
    let storage = api.cache.storage();
    let journal = Arc::clone(api.journal.get_or_init(|| {
        let journal = Arc::new(Journal::default());
        tokio::spawn(Arc::clone(&journal).keep(Arc::clone(storage)));
        journal
    }));
    let follower = journal.follow(storage.as_ref(), from, PATIENCE, event).await?;
    let events = unfold(follower, |mut follower| async {
        follower.next().await.map(|text| (Ok::<_, Infallible>(text), follower))
    });
    let content_type = HeaderValue::from_static(protocol::EVENTS_TYPE);
    Ok(([(CONTENT_TYPE, content_type)], Body::from_stream(events)).into_response())
}

impl Api {
    /// Ends all change streams, which nothing else would.
    pub(crate) fn end_streams(&self) {
        if let Some(journal) = self.journal.get() {
            journal.end();
        }
    }
}

/// A notice as an event; nothing, if it is not about sessions.
fn event(position: Position, notice: &Notice) -> String {
    let (event, handle) = match notice {
        Notice::Gap => ("gap", None),
        Notice::Change(Change { key, kind, .. }) => match (cache::Kind::of(key), kind) {
            (cache::Kind::Session, Kind::Written) => ("written", named(key.name())),
            (cache::Kind::Session, Kind::Buried) => ("ended", named(key.name())),
            // Many at once, of somebody, of a realm, or of everybody.
            (cache::Kind::Counter, Kind::Written) => ("revoked", None),
            _ => return String::new(),
        },
    };
    let data = handle.map_or_else(|| "{}".to_owned(), |handle| format!("{{\"handle\":\"{handle}\"}}"));
    format!("id: {}\nevent: {event}\ndata: {data}\n\n", position.0)
}

fn named(name: &[u8]) -> Option<Handle> {
    std::str::from_utf8(name).ok()?.parse().ok()
}
