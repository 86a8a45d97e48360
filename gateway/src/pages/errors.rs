//! What we say when a request fails: what happened, who can do something about it, and what.
//!
//! The words are for the visitor, who cannot see our log: nothing of the inside (no address, no cause) is in
//! them. The operator finds the cause in the log, under the same moment.

use std::time::Duration;

use http::StatusCode;
use serde::Serialize;

/// A failure, as the visitor is told of it.
#[derive(Debug, Clone, Copy)]
pub struct Fault<'a> {
    /// The status of the answer.
    pub status: StatusCode,
    /// One sentence of detail, safe to show to anybody; the general explanation follows it.
    pub detail: Option<&'a str>,
    /// What it is for programs, if its status does not say it all. Does not change once published.
    pub code: Option<&'static str>,
    /// When to try again, if that can help; becomes `Retry-After`, and at least a second.
    pub retry_after: Option<Duration>,
    /// Whether the page says that nobody was logged out by this (law 3). Never beside a detail that says otherwise.
    pub session_safe: bool,
}

impl<'a> Fault<'a> {
    /// A failure with the general explanation of its status. A fault of ours or of an application leaves the session
    /// as it is, and says so.
    #[must_use]
    pub const fn new(status: StatusCode) -> Self {
        Self { status, detail: None, code: None, retry_after: None, session_safe: status.as_u16() >= 500 }
    }

    /// The same with one sentence more, which anybody may read.
    #[must_use]
    pub const fn detail(self, detail: &'a str) -> Self {
        Self { detail: Some(detail), ..self }
    }

    /// The same, for programs by this name.
    #[must_use]
    pub const fn code(self, code: &'static str) -> Self {
        Self { code: Some(code), ..self }
    }

    /// The same, and worth another try after this time.
    #[must_use]
    pub const fn retry_after(self, after: Duration) -> Self {
        Self { retry_after: Some(after), ..self }
    }

    /// The same where the session is what failed: a change, a login or a logout that was not confirmed. Then nothing is
    /// promised about it, and the detail says what is known.
    #[must_use]
    pub const fn session_at_risk(self) -> Self {
        Self { session_safe: false, ..self }
    }

    pub(crate) fn page(&self) -> ErrorPage<'_> {
        let words = words(self.status);
        ErrorPage {
            status: self.status.as_u16(),
            title: words.title,
            explanation: words.explanation,
            detail: self.detail,
            session_safe: self.session_safe,
        }
    }

    pub(crate) fn body(&self) -> ErrorBody<'_> {
        let words = words(self.status);
        ErrorBody {
            error: self.code.unwrap_or(words.code),
            status: self.status.as_u16(),
            message: self.detail.unwrap_or(words.explanation),
            retry_after: self.retry_after.map(|after| after.as_millis().div_ceil(1000).clamp(1, 86_400)),
        }
    }

    pub(crate) fn text(&self) -> String {
        let words = words(self.status);
        let status = self.status.as_u16();
        match self.detail {
            Some(detail) => format!("{status} {}: {detail}\n{}\n", words.title, words.explanation),
            None => format!("{status} {}: {}\n", words.title, words.explanation),
        }
    }
}

/// What the template of the error page gets.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorPage<'a> {
    pub(crate) status: u16,
    pub(crate) title: &'a str,
    pub(crate) explanation: &'a str,
    pub(crate) detail: Option<&'a str>,
    /// Whether to say that nobody was logged out by this (law 3).
    pub(crate) session_safe: bool,
}

/// The answer to programs.
#[derive(Debug, Serialize)]
pub(crate) struct ErrorBody<'a> {
    error: &'a str,
    status: u16,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u128>,
}

struct Words {
    /// For programs: does not change once published.
    code: &'static str,
    title: &'static str,
    explanation: &'static str,
}

#[rustfmt::skip] // A table is read by its columns.
fn words(status: StatusCode) -> Words {
    let (code, title, explanation) = match status.as_u16() {
        400 => ("bad_request", "This request makes no sense", "The address or the headers that were sent are malformed. If you followed a link, it is broken; if you typed the address, check it."),
        401 => ("login_required", "Please log in", "This is only for people who are logged in."),
        403 => ("forbidden", "This is not allowed", "The request was understood and refused. Trying again will not change that."),
        404 => ("not_found", "There is nothing here", "No application answers at this address. Check it for typing errors."),
        405 => ("method_not_allowed", "Not in this way", "This address exists, but does not take this kind of request."),
        408 => ("request_timeout", "That took too long", "The request did not arrive completely. Check your connection and try again."),
        411 => ("length_required", "The length is missing", "The request must say how long its body is."),
        413 => ("content_too_large", "That is too large", "What was sent is larger than what is accepted here. Send less."),
        414 => ("uri_too_long", "The address is too long", "The address is longer than what is accepted here. If you followed a link, it is broken."),
        415 => ("unsupported_media_type", "Not in this format", "What was sent is in a format that is not accepted here."),
        417 => ("expectation_failed", "That cannot be expected", "The request expects something that is not offered here."),
        421 => ("misdirected_request", "Wrong door", "This server does not answer for that name."),
        429 => ("too_many_requests", "Too many attempts", "There were too many attempts in a short time. Wait a moment and try again."),
        431 => ("headers_too_large", "The headers are too large", "The request carries more headers or cookies than what is accepted here. Deleting the cookies of this site may help."),
        500 => ("internal_error", "Something broke", "The fault is on our side, and it has been written down. Trying again later may help."),
        501 => ("not_implemented", "That cannot be done", "The request asks for something that this server does not do."),
        502 => ("bad_gateway", "The application does not answer", "It is down, or it answered something that makes no sense. This is not your fault. Try again in a moment."),
        503 => ("unavailable", "Not just now", "Something that is needed to answer is out of reach for the moment. This is not your fault. Try again in a moment."),
        504 => ("gateway_timeout", "The application takes too long", "It was asked and has not answered in time. This is not your fault. Whether it did what you asked is not known: look before you try again."),
        505 => ("version_not_supported", "Another version, please", "This version of HTTP is not spoken here."),
        code if code < 500 => ("request_refused", "This request was refused", "It cannot be answered in this form."),
        _ => ("server_error", "Something broke", "The fault is on our side. Trying again later may help."),
    };
    Words { code, title, explanation }
}
