//! What the gateway answers itself when a request goes no further.
//!
//! Whatever it is, the session is as it was, and nothing here sets or deletes a cookie (law 3).

use std::time::Duration;

use http::header::{ACCEPT, TE, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use storage::Unavailable;

use crate::application::{Application, Sessions};
use crate::body::{InboundError, Outbound};
use crate::forwarded::Client;
use crate::hygiene::Refused;
use crate::login::{LOGGED_OUT_MEANWHILE, SCHEME};
use crate::newcomers::Crowded;
use crate::pages::Fault;
use crate::path::PathError;
use crate::router::Ambiguous;
use crate::rules::Ambiguous as AmbiguousRule;
use crate::service::Service;
use crate::upstream::UpstreamError;

/// When to try again what storage or an application could not do, if nobody says better.
const RETRY_AFTER: Duration = Duration::from_secs(2);

/// How a browser says whether it goes to a page, or fetches something for one.
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// How it says that it fetches a page ahead, before anybody goes there.
const PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");

/// What of a request is needed after it was sent on: in which form its client wants errors, and whether it navigates.
pub(crate) struct Asked {
    accept: Option<HeaderValue>,
    mode: Option<HeaderValue>,
    is_ahead: bool,
    /// It came through a trusted proxy that takes what its visitor holds in a header.
    pub(crate) takes_ticket: bool,
    /// The client takes what follows the body of an answer.
    pub(crate) takes_trailers: bool,
}

impl Asked {
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let is_ahead =
            headers.get(PURPOSE).is_some_and(|purpose| purpose.as_bytes().starts_with(b"prefetch"));
        let takes_trailers = headers.contains_key(TE);
        Self {
            accept: headers.get(ACCEPT).cloned(),
            mode: headers.get(FETCH_MODE).cloned(),
            is_ahead,
            takes_ticket: false,
            takes_trailers,
        }
    }

    /// The same, of a client that came in this way.
    pub(crate) fn through(self, application: &Application, sessions: &Sessions, client: &Client) -> Self {
        let takes_ticket =
            sessions.ticket_headers.outbound.is_some() && application.trust.covers(client.peer);
        Self { takes_ticket, ..self }
    }

    /// Whether the cookie of a session that is over may be deleted with the answer. Not by what a page fetches in the
    /// background, nor by what is fetched ahead: such an answer may come after that of a login in another tab, and would
    /// delete the new cookie.
    pub(crate) fn may_delete(&self) -> bool {
        !self.is_ahead && self.mode.as_ref().is_none_or(|mode| mode == "navigate")
    }

    /// Whether a new ticket may go with the answer: with every one that the visitor asked for.
    pub(crate) const fn may_renew(&self) -> bool {
        !self.is_ahead
    }

    /// As headers again, for an answer of our own.
    pub(crate) fn headers(&self) -> HeaderMap {
        let both = [(ACCEPT, &self.accept), (FETCH_MODE, &self.mode)];
        both.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect()
    }
}

/// Why no application gets to see a request.
#[derive(Debug)]
pub(crate) enum Refusal {
    Head(Refused),
    Path(PathError),
    Ambiguous(Ambiguous),
    AmbiguousRule(AmbiguousRule),
    Nobody,
}

impl Refusal {
    /// What is counted, the status of the answer, and what the client is told.
    pub(crate) fn answer(&self) -> (&'static str, StatusCode, Option<String>) {
        let bad = StatusCode::BAD_REQUEST;
        match self {
            Self::Head(refused) => ("head", refused.status(), Some(refused.to_string())),
            Self::Path(error) => ("path", bad, Some(error.to_string())),
            Self::Ambiguous(error) => ("path", bad, Some(error.to_string())),
            Self::AmbiguousRule(error) => ("path", bad, Some(error.to_string())),
            Self::Nobody => ("no_application", StatusCode::NOT_FOUND, None),
        }
    }
}

impl Service {
    pub(crate) fn failed(
        &self,
        asked: &Asked,
        application: &Application,
        error: &UpstreamError,
    ) -> Response<Outbound> {
        let (status, detail) = match error {
            UpstreamError::Unreachable(_) | UpstreamError::Nonsense(_) => (StatusCode::BAD_GATEWAY, None),
            UpstreamError::TooSlow(_) => (StatusCode::GATEWAY_TIMEOUT, None),
            UpstreamError::Request(InboundError::TooSlow) => (StatusCode::REQUEST_TIMEOUT, None),
            UpstreamError::Request(InboundError::TooLarge(_)) => (StatusCode::PAYLOAD_TOO_LARGE, None),
            UpstreamError::Request(InboundError::Broken(_)) => {
                (StatusCode::BAD_REQUEST, Some("The body of the request did not arrive whole."))
            }
        };
        self.counters.upstream_failed(error.reason());
        if status.is_server_error() {
            tracing::warn!(application = %application.id, %error, "a request was not answered by its application");
        } else {
            tracing::debug!(application = %application.id, %error, "a request was not answered");
        }
        let mut fault = Fault::new(status);
        fault.detail = detail;
        if status == StatusCode::BAD_GATEWAY {
            fault.retry_after = Some(RETRY_AFTER);
        }
        self.error(&asked.headers(), &fault)
    }

    /// Storage cannot say. The cookie stays as it is: nobody is logged out by an outage (law 3).
    pub(crate) fn unavailable(
        &self,
        request: &HeaderMap,
        error: &Unavailable,
        detail: Option<&str>,
    ) -> Response<Outbound> {
        self.counters.refuse("storage_unavailable");
        tracing::warn!(%error, "a request was refused because storage is unavailable");
        let retry_after = error.retry_after.unwrap_or(RETRY_AFTER);
        let mut fault = Fault::new(StatusCode::SERVICE_UNAVAILABLE).retry_after(retry_after);
        if let Some(detail) = detail {
            // Whoever says more has something to say about the session.
            fault = fault.detail(detail).session_at_risk();
        }
        self.error(request, &fault)
    }

    /// Too many sessions were opened from where a visitor is. Those that there are go on.
    pub(crate) fn crowded(&self, request: &HeaderMap, crowded: Crowded) -> Response<Outbound> {
        self.counters.refuse("crowded");
        let detail = "No session was begun for you: too many have been, from your network. If you have sent something, look \
                      before you send it again.";
        let fault = Fault::new(StatusCode::TOO_MANY_REQUESTS).detail(detail).code("too_many_sessions");
        self.error(request, &fault.retry_after(crowded.wait))
    }

    /// An application logged somebody in who has been logged out since. What it answers is for somebody who is not there.
    pub(crate) fn logged_out_meanwhile(&self, request: &HeaderMap) -> Response<Outbound> {
        self.counters.refuse("logged_out");
        let fault = Fault::new(StatusCode::UNAUTHORIZED).detail(LOGGED_OUT_MEANWHILE).code("logged_out");
        let mut response = self.error(request, &fault);
        response.headers_mut().insert(WWW_AUTHENTICATE, SCHEME);
        response
    }

    pub(crate) fn refusal(&self, parts: &Parts, refusal: &Refusal) -> Response<Outbound> {
        let (reason, status, detail) = refusal.answer();
        self.counters.refuse(reason);
        let mut fault = Fault::new(status);
        fault.detail = detail.as_deref();
        let mut response = self.error(&parts.headers, &fault);
        if status == StatusCode::METHOD_NOT_ALLOWED {
            let allowed = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
            response.headers_mut().insert(http::header::ALLOW, allowed);
        }
        response
    }

    pub(crate) fn error(&self, request: &HeaderMap, fault: &Fault<'_>) -> Response<Outbound> {
        self.pages.error(request, fault).map(Outbound::from)
    }
}
