//! Sessions that are changed, kept and renewed by their handles.
//!
//! A change is a JSON Merge Patch (RFC 7396) of what [`show`](super::sessions::show) answers. Who says by `seen` which revision they
//! saw is merged with whoever was faster, and told of the names that both changed (409). Who says it by `If-Match` wants
//! nobody to have been faster (412).

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::http::HeaderMap;
use axum::http::header::ETAG;
use axum::response::{IntoResponse, Response};
use cache::{Amended, Reissued, Shown};
use serde::Deserialize;
use serde_json::{Map, Value as JsonValue, json};
use session::{Change, Entries, MAX_DEPTH, Millis, Patch, Revision, Session, Value};

use super::Api;
use super::problem::Problem;
use super::sessions::{Seen, Told, named};
use super::value::{bytes, read, shown};
use super::versions::{expected, tag};
use super::whole::Whole;
use crate::audit::{self, Upon};
use crate::clients::{Caller, Client, Right};
use crate::in_path::InPath;

/// What is to be different.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    #[serde(default)]
    entries: Map<String, JsonValue>,
    /// When it ends at the latest, in milliseconds since 1970.
    ends: Option<Whole>,
}

/// Relative to what.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Relative {
    seen: Option<Whole>,
}

/// How a ticket is renewed.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Renewal {
    /// Whether the ticket before is worthless at once.
    #[serde(default)]
    revoke: bool,
}

/// `PATCH /v1/sessions/{handle}`
pub(super) async fn change(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    InPath(handle): InPath<String>,
    relative: Result<Query<Relative>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let client = api.admit(&caller, &headers, Right::AdminSessions)?;
    let handle = named(&handle)?;
    let no_revision = |_| Problem::Malformed("`seen` is a revision, and there is no other query".to_owned());
    let Query(Relative { seen }) = relative.map_err(no_revision)?;
    let (wanted, _room) = api.request::<Wanted>(&headers, body).await?;
    if let Some(name) = wanted.entries.keys().find(|name| !client.attributes.shows(name)) {
        return Err(Problem::NotShown(name.clone()));
    }
    // What is wrong is wrong whatever the session holds.
    wanted.patch(&Entries::default(), Revision::default())?;
    api.check_exists(client, &handle).await?;
    let seen = seen.map(|Whole(revision)| Revision(revision));
    let patch = |session: &Session| {
        let seen = seen.unwrap_or(session.revision);
        wanted.patch(&session.entries, seen).unwrap_or(Patch::new(seen))
    };
    let expected = expected(&headers);
    let session = match api.cache.amend(&handle, expected.as_deref(), patch).await? {
        Amended::Done(session) => session,
        Amended::Behind(session) => {
            let expected: Vec<u64> = expected.unwrap_or_default().into_iter().map(|is| is.0).collect();
            let now = api.seen(session, client);
            return Err(Problem::Behind(Box::new(json!({ "expected": expected, "session": now }))));
        }
        Amended::Conflict(session, names) => {
            let conflicts = wanted.conflicts(&session, &names, |name| api.shows(client, &session, name));
            let seen = seen.unwrap_or_default().0;
            let now = api.seen(session, client);
            let both = json!({ "seen": seen, "conflicts": conflicts, "session": now });
            return Err(Problem::Conflict(Box::new(both)));
        }
        Amended::Full => {
            return Err(Problem::Unfit("the session has as many entries as it can have".to_owned()));
        }
        Amended::TooLarge(too_large) => return Err(Problem::Unfit(too_large.to_string())),
        Amended::Gone => return Err(api.gone(&handle).await),
    };
    audit::done(client, &caller, "a session was changed by the API", Upon::one(handle));
    let tag = [(ETAG, tag(session.revision))];
    Ok((tag, Json(api.seen(session, client))).into_response())
}

/// `POST /v1/sessions/{handle}/touch`
pub(super) async fn touch(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    InPath(handle): InPath<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let client = api.admit(&caller, &headers, Right::AdminSessions)?;
    let handle = named(&handle)?;
    api.check_exists(client, &handle).await?;
    match api.cache.keep(&handle).await? {
        Some(Shown { last_seen, .. }) => {
            audit::done(client, &caller, "a session was touched by the API", Upon::one(handle));
            Ok(Json(json!({ "handle": handle.to_string(), "last_seen": last_seen.0 })).into_response())
        }
        None => Err(api.gone(&handle).await),
    }
}

/// `POST /v1/sessions/{handle}/renew`
pub(super) async fn renew(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    InPath(handle): InPath<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let client = api.admit(&caller, &headers, Right::AdminSessions)?;
    let handle = named(&handle)?;
    let (renewal, _room) = api.request::<Renewal>(&headers, body).await?;
    api.check_exists(client, &handle).await?;
    match api.cache.reissue(&handle, renewal.revoke).await? {
        Reissued::Renewed(ticket) => {
            audit::done(client, &caller, "a ticket was renewed by the API", Upon::one(handle));
            Ok(Json(Told::of(&ticket)).into_response())
        }
        Reissued::Gone => Err(api.gone(&handle).await),
    }
}

impl Api {
    /// A session as it was written just now.
    fn seen(&self, session: Arc<Session>, client: &Client) -> Seen {
        self.see(client, &Shown { session, last_seen: self.cache.now() })
    }
}

impl Wanted {
    /// What this makes of these entries.
    fn patch(&self, entries: &Entries, seen: Revision) -> Result<Patch, Problem> {
        let mut patch = Patch::new(seen);
        patch.ends = self.ends.map(|Whole(moment)| Millis(moment));
        for (name, sent) in &self.entries {
            match merged(entries.get(name), sent).map_err(|why| Problem::Unfit(why.to_owned()))? {
                Change::Set(value) if !value.is_at_most(MAX_DEPTH) => {
                    return Err(Problem::Unfit("a value is nested too deeply".to_owned()));
                }
                Change::Set(value) => patch.set(name, value),
                Change::Remove => patch.remove(name),
            }
        }
        Ok(patch)
    }

    /// What is there, and what was wanted instead.
    fn conflicts(
        &self,
        session: &Session,
        names: &[Box<str>],
        shows: impl Fn(&str) -> bool,
    ) -> Vec<JsonValue> {
        let both = |name: &str| {
            let now = session.entries.get(name).filter(|_| shows(name)).map(shown);
            json!({ "name": name, "now": now, "wanted": self.entries.get(name) })
        };
        names.iter().map(|name| both(name)).collect()
    }
}

/// What a part of a merge patch makes of a value (RFC 7396, 2).
fn merged(current: Option<&Value>, sent: &JsonValue) -> Result<Change, &'static str> {
    let members = match sent {
        JsonValue::Null => return Ok(Change::Remove),
        JsonValue::Object(members) if bytes(members).is_none() => members,
        other => return read(other.clone()).map(Change::Set),
    };
    let mut map = match current {
        Some(Value::Map(map)) => map.clone(),
        _ => Vec::new(),
    };
    for (name, sent) in members {
        let at = map.iter().position(|(known, _)| **known == **name);
        let before = at.and_then(|at| map.get(at)).map(|(_, value)| value);
        match (merged(before, sent)?, at) {
            (Change::Remove, Some(at)) => drop(map.remove(at)),
            (Change::Remove, None) => {}
            (Change::Set(value), Some(at)) => {
                if let Some((_, known)) = map.get_mut(at) {
                    *known = value;
                }
            }
            (Change::Set(value), None) => map.push((name.as_str().into(), value)),
        }
    }
    Ok(Change::Set(Value::Map(map)))
}
