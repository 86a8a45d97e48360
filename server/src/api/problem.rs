//! What went wrong, as RFC 9457 says it: a status, a title that is always the same, and a detail for people.

use std::time::Duration;

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use cache::{NotKept, Promise};
use serde::Serialize;
use serde_json::error::Category;
use serde_json::{Map, Value as JsonValue};
use storage::{Applied, Blame, Unavailable};

use super::MAX_BODY;
use crate::bodies::Unread;
use crate::clients::Denied;

/// When to try again where the storage does not say.
const RETRY_SECONDS: u64 = 1;

/// Why something is not done.
#[derive(Debug)]
pub(crate) enum Problem {
    /// The caller may not.
    Denied(Denied),
    /// This entry does not exist for the caller.
    NotShown(String),
    NoResource,
    NoMethod,
    WrongType,
    BodyTooLarge,
    /// The body broke off.
    Broken,
    /// There was no room in time.
    Busy,
    /// It is not what it should be; where, and what would be right.
    Malformed(String),
    /// What it says cannot be done.
    Unfit(String),
    /// There is no live session with this handle, and nobody knows of one.
    NoSession,
    /// The session has none of that id.
    NoAssertion,
    /// It is at another revision than was expected: which one, and how it is.
    Behind(Box<JsonValue>),
    /// Somebody else has changed the same entries: which ones, and how the session is.
    Conflict(Box<JsonValue>),
    /// There was one, and it is over.
    Over,
    /// Something else was asked under the same key.
    OtherRequest,
    /// The same is being done already.
    UnderWay,
    /// A logout came before the session.
    LoggedOut,
    /// Its person has as many sessions as they may.
    TooManyOfPerson,
    /// Too many sessions were opened for people at this address: when to try again.
    TooManyFromAddress {
        wait: Duration,
    },
    Assertions(NotKept),
    Unavailable(Unavailable),
}

impl From<Unread> for Problem {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::TooLarge => Self::BodyTooLarge,
            Unread::Busy => Self::Busy,
            Unread::Broken => Self::Broken,
        }
    }
}

impl Problem {
    /// Of JSON that is none, or is not what was asked for. Says where, and nothing of what it holds.
    pub(crate) fn malformed(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        Self::Malformed(match error.classify() {
            Category::Data => {
                format!("line {line}, column {column}: a member is missing, not known, or of another kind")
            }
            Category::Eof => "it breaks off".to_owned(),
            Category::Io | Category::Syntax => format!("line {line}, column {column}: this is no JSON"),
        })
    }

    const fn status(&self) -> StatusCode {
        match self {
            Self::Denied(denied) => denied.status(),
            Self::NotShown(_) => StatusCode::FORBIDDEN,
            Self::NoResource | Self::NoSession | Self::NoAssertion => StatusCode::NOT_FOUND,
            Self::NoMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::WrongType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::BodyTooLarge | Self::Assertions(NotKept::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Broken | Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::Busy | Self::TooManyFromAddress { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Unfit(_) | Self::OtherRequest | Self::Assertions(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Over => StatusCode::GONE,
            Self::Behind(_) => StatusCode::PRECONDITION_FAILED,
            Self::LoggedOut | Self::UnderWay | Self::TooManyOfPerson | Self::Conflict(_) => {
                StatusCode::CONFLICT
            }
            Self::Unavailable(error) => match error.blame {
                Blame::Caller => StatusCode::UNPROCESSABLE_ENTITY,
                Blame::Storage | Blame::Network => StatusCode::SERVICE_UNAVAILABLE,
            },
        }
    }

    /// What kind of problem it is, for programs, and its title; those that have no name of their own are what their status says.
    const fn kind(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::TooManyOfPerson => {
                Some(("/problems/sessions-per-person", "Too many sessions of this person"))
            }
            Self::TooManyFromAddress { .. } => {
                Some(("/problems/sessions-per-address", "Too many sessions from this address"))
            }
            Self::LoggedOut => Some(("/problems/logged-out", "Logged out before the session")),
            _ => None,
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Denied(denied) => denied.why().to_owned(),
            Self::NotShown(name) => {
                format!("the entry `{name}` is not among the `attributes` of this client")
            }
            Self::NoResource => "there is nothing of that name".to_owned(),
            Self::NoMethod => "this cannot be done here".to_owned(),
            Self::WrongType => "a request is of the type application/json".to_owned(),
            Self::BodyTooLarge => format!("a request has at most {MAX_BODY} bytes"),
            Self::Broken => "the request broke off, or took too long".to_owned(),
            Self::Busy => "there is no room for another request now".to_owned(),
            Self::Malformed(why) => format!("the request cannot be read: {why}"),
            Self::Unfit(why) => why.clone(),
            Self::NoSession => "no live session on the server has this handle".to_owned(),
            Self::NoAssertion => "no assertion of this id is kept beside this session".to_owned(),
            Self::Over => "this session is over; `why` tells how it ended".to_owned(),
            Self::Behind(_) => "somebody else has changed the session meanwhile; nothing was done".to_owned(),
            Self::Conflict(_) => {
                "somebody else has changed the same entries meanwhile; nothing was done".to_owned()
            }
            Self::OtherRequest => {
                "something else was asked under this `Idempotency-Key`, or by another token".to_owned()
            }
            Self::UnderWay => "the same request is being answered: repeat it in a moment".to_owned(),
            Self::LoggedOut => "a logout came before this session, and holds for it".to_owned(),
            Self::TooManyOfPerson => {
                "this person has as many sessions of the application as they may (`sessions_per_person`): end one first".to_owned()
            }
            Self::TooManyFromAddress { .. } => {
                "too many sessions of the application were opened for people at this address (`sessions_per_address`, \
                 `new_sessions_per_minute`): try again later"
                    .to_owned()
            }
            Self::Assertions(why) => why.to_string(),
            // What failed may name hosts and files: that is for the log.
            Self::Unavailable(error) => {
                let applied = match (Promise::of(error), error.applied) {
                    (Promise::None, Applied::No) => "nothing was changed",
                    (Promise::None, Applied::Unknown) => "whether something was changed is not known",
                    // It is an end.
                    (Promise::WhileRunning, _) => {
                        "the end holds here from now on, and is repeated as long as this node runs"
                    }
                    (Promise::Kept, _) => {
                        "the end holds here from now on, and is repeated until the storage confirms it"
                    }
                };
                format!("the storage `{}` cannot say; {applied}", error.storage)
            }
        }
    }
}

impl From<Unavailable> for Problem {
    fn from(error: Unavailable) -> Self {
        tracing::warn!(%error, "the API could not answer");
        Self::Unavailable(error)
    }
}

/// What is sent.
#[derive(Debug, Serialize)]
struct Sent {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    /// Members of this kind of problem alone.
    #[serde(flatten)]
    more: JsonValue,
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status();
        // The title is that of the status, which RFC 9457 (4.2.1) calls `about:blank`.
        let more = match &self {
            Self::Behind(more) | Self::Conflict(more) => JsonValue::clone(more),
            _ => JsonValue::Object(Map::new()),
        };
        let blank = ("about:blank", status.canonical_reason().unwrap_or_default());
        let (kind, title) = self.kind().unwrap_or(blank);
        let sent = Sent { kind, title, status: status.as_u16(), detail: self.detail(), more };
        let mut response = (status, Json(sent)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        match &self {
            Self::Denied(denied) => denied.tell(headers),
            Self::Unavailable(error) if status == StatusCode::SERVICE_UNAVAILABLE => {
                let seconds = error.retry_after.map_or(RETRY_SECONDS, |after| after.as_secs().max(1));
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            Self::TooManyFromAddress { wait } => {
                let seconds = wait.as_millis().div_ceil(1000).max(1);
                let seconds = HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX));
                headers.insert(RETRY_AFTER, seconds);
            }
            Self::Busy => {
                headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_SECONDS));
            }
            _ => {}
        }
        response
    }
}
