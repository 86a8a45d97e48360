//! How calls are answered over HTTP.

use axum::body::Body;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HOST, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use dialects::llng::json;
use dialects::llng::soap::{self, Fault, Refused};
use storage::Unavailable;

use super::super::Settings;
use crate::bodies::Unread;
use crate::clients::Denied;

/// Says that it is SOAP, as LemonLDAP::NG's library does; its client looks for it nowhere.
const SERVER: HeaderName = HeaderName::from_static("soapserver");

/// Why there is no answer of the method.
pub(super) enum Failure {
    /// The caller may not.
    Denied(Denied),
    /// It is no call that is read, or it ends in a fault.
    Refused(Refused),
    /// Storage has no answer.
    Unavailable(Box<Unavailable>),
    /// There was no room in time.
    Busy,
    /// The message did not come to its end.
    Broken,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Refused(Refused::Fault(fault))
    }
}

impl From<Unread> for Failure {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::TooLarge => Self::Refused(Refused::TooLarge),
            Unread::Busy => Self::Busy,
            Unread::Broken => Self::Broken,
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
        match self {
            Self::Denied(denied) => {
                let mut answer = told(denied.status(), &Fault::client(denied.why()));
                denied.tell(answer.headers_mut());
                answer
            }
            Self::Refused(Refused::Fault(fault)) => told(StatusCode::INTERNAL_SERVER_ERROR, &fault),
            Self::Refused(refused @ Refused::NotSoap) => {
                let accept = asked.get(ACCEPT).and_then(|accept| accept.to_str().ok());
                let (kind, page) = json::error(accept, &refused.to_string());
                (StatusCode::BAD_REQUEST, [(CONTENT_TYPE, kind)], page).into_response()
            }
            Self::Refused(Refused::NoBody) => StatusCode::LENGTH_REQUIRED.into_response(),
            Self::Refused(refused @ Refused::TooLarge) => {
                told(StatusCode::PAYLOAD_TOO_LARGE, &Fault::client(refused.to_string()))
            }
            Self::Unavailable(unavailable) => {
                tracing::warn!(error = %unavailable, "a call by SOAP could not be answered");
                told(
                    StatusCode::SERVICE_UNAVAILABLE,
                    &Fault::server("the storage of sessions does not answer: try again"),
                )
            }
            Self::Busy => {
                told(StatusCode::SERVICE_UNAVAILABLE, &Fault::server("too many messages at once: try again"))
            }
            Self::Broken => {
                told(StatusCode::BAD_REQUEST, &Fault::client("the message did not come to its end in time"))
            }
        }
    }
}

/// A message.
pub(super) fn message(message: impl Into<Body>) -> Response {
    let kind = HeaderValue::from_static(soap::CONTENT_TYPE);
    let mut answer = ([(CONTENT_TYPE, kind)], message.into()).into_response();
    answer.headers_mut().insert(SERVER, HeaderValue::from_static("Cloakroom"));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// The description of the end point for readers, at the address by which it was asked for.
pub(super) fn description(asked: &HeaderMap, settings: &Settings) -> Response {
    let host = asked.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let location = format!("{}://{host}/sessions", settings.scheme);
    let names = settings.exported.names().unwrap_or_default().iter().map(|name| &**name);
    let description = soap::wsdl(&location, &settings.cookie.name, names);
    ([(CONTENT_TYPE, "application/wsdl+xml")], description).into_response()
}

/// What a code of `getCookies` means.
pub(super) fn meaning(code: i64) -> String {
    let known = match code {
        0 => "Done",
        1 => "The session is over",
        2 => "The user name or the password is missing",
        5 => "Wrong credentials",
        8 => "The session cannot be made",
        9 => "Not logged in",
        24 => "Something went wrong",
        41 => "Not allowed",
        _ => return format!("Error {code}"),
    };
    known.to_owned()
}

fn told(status: StatusCode, fault: &Fault) -> Response {
    let mut answer = message(fault.write());
    *answer.status_mut() = status;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}
