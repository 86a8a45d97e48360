//! How requests are answered over HTTP.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use dialects::llng::json::{self, Unread};
use storage::Unavailable;

use super::accepted;
use crate::bodies;
use crate::clients::Denied;

/// Why there is no answer.
pub(super) enum Failure {
    /// The caller may not.
    Denied(Denied),
    /// What was sent cannot be read.
    Unread(Unread),
    /// This attribute does not exist for the client.
    NotShown(String),
    /// There is no such type of sessions.
    NoType,
    /// There is no such session, as far as the client may know.
    NoSession,
    /// No session is named.
    NoId,
    /// The client has not shown that it knows the shared key.
    NoSecret,
    /// The answer would be larger than one may be.
    TooMany,
    /// Whoever logs somebody in has not shown that it knows the shared key.
    BadSecret,
    /// That is nobody's password, or nobody logs in with this id any more.
    Unauthorized,
    /// The password was not tried: there were too many wrong ones.
    TooManyLogins,
    /// That cannot be done here.
    NoMethod,
    /// That is asked of a portal.
    NotHere,
    /// Nobody is logged in.
    Nobody,
    /// Storage has no answer.
    Unavailable(Box<Unavailable>),
    /// There was no room in time.
    Busy,
    /// The body did not come to its end.
    Broken,
}

impl From<Unread> for Failure {
    fn from(unread: Unread) -> Self {
        Self::Unread(unread)
    }
}

impl From<bodies::Unread> for Failure {
    fn from(unread: bodies::Unread) -> Self {
        match unread {
            bodies::Unread::TooLarge => Unread::TooLarge.into(),
            bodies::Unread::Busy => Self::Busy,
            bodies::Unread::Broken => Self::Broken,
        }
    }
}

impl From<Unavailable> for Failure {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable(Box::new(unavailable))
    }
}

impl Failure {
    pub(super) fn into_response(self, asked: &HeaderMap) -> Response {
        // LemonLDAP::NG's clients look at the status only: all that is not there is 400 to them.
        let (status, text): (_, &str) = match &self {
            Self::Denied(denied) => (denied.status(), denied.why()),
            Self::Unread(unread @ Unread::TooLarge) => (StatusCode::PAYLOAD_TOO_LARGE, &unread.to_string()),
            Self::Unread(unread) => (StatusCode::BAD_REQUEST, &unread.to_string()),
            Self::NotShown(name) => (
                StatusCode::FORBIDDEN,
                &format!("the attribute `{name}` is not among the `attributes` of this client"),
            ),
            Self::NoType => (StatusCode::BAD_REQUEST, "Unknown (or unconfigured) session type"),
            Self::NoSession => (StatusCode::BAD_REQUEST, "Session Id does not exist"),
            Self::NoId => (StatusCode::BAD_REQUEST, "ID is required"),
            Self::NoSecret => (StatusCode::BAD_REQUEST, "Bad key, refuse to send all sessions"),
            Self::BadSecret => (StatusCode::FORBIDDEN, "Bad secret"),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "Unauthorized"),
            Self::TooManyLogins => {
                (StatusCode::TOO_MANY_REQUESTS, "there were too many wrong passwords: wait")
            }
            Self::TooMany => (
                StatusCode::BAD_REQUEST,
                "there are too many sessions for one answer: name the keys that are wanted, or search",
            ),
            Self::NoMethod => (StatusCode::BAD_REQUEST, "this cannot be done with a session"),
            Self::NotHere => (StatusCode::NOT_FOUND, "only a portal can answer this"),
            Self::Nobody => return nobody(),
            Self::Unavailable(unavailable) => {
                tracing::warn!(error = %unavailable, "a call by REST could not be answered");
                (StatusCode::SERVICE_UNAVAILABLE, "the storage of sessions does not answer: try again")
            }
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "too many requests at once: try again"),
            Self::Broken => (StatusCode::BAD_REQUEST, "the body did not come to its end in time"),
        };
        let (kind, page) = json::error(accepted(asked), text);
        let mut answer = (status, [(CONTENT_TYPE, kind)], page).into_response();
        let headers = answer.headers_mut();
        headers.insert(CACHE_CONTROL, NOT_KEPT);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if let Self::Denied(denied) = &self {
            denied.tell(headers);
        }
        answer
    }
}

const NOT_KEPT: HeaderValue = HeaderValue::from_static("no-cache, no-store, must-revalidate");

/// JSON, or a scalar as it is.
pub(super) fn json(body: impl Into<Body>) -> Response {
    let headers = [(CONTENT_TYPE, HeaderValue::from_static(json::CONTENT_TYPE)), (CACHE_CONTROL, NOT_KEPT)];
    (headers, body.into()).into_response()
}

/// Nobody is logged in: error 9 of the portal's.
fn nobody() -> Response {
    let mut answer = json(r#"{"error":"9","result":0}"#);
    *answer.status_mut() = StatusCode::UNAUTHORIZED;
    answer
}
