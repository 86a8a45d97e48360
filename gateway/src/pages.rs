//! The few pages that we show ourselves: log in, log out, logged out, and errors.
//!
//! They are templates, so that an operator can replace each by a file. What is built in needs nothing from
//! elsewhere: no script, no font, no image, so that the strictest Content-Security-Policy fits and a page
//! shows even when everything behind the gateway is down. A replaced template is rendered with an example when it
//! is loaded, and should it fail all the same, the built-in one takes its place: a visitor never sees a
//! template error.

mod errors;
mod style;
mod templates;
mod wants;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};
use minijinja::Environment;
use serde::Serialize;

pub use errors::Fault;
pub use templates::{TemplateError, TemplateFiles};
pub use wants::{Wants, is_navigation};

use style::StyleNonce;
use templates::{ERROR, FULL, LOGGED_OUT, LOGIN, LOGOUT};

/// Our own pages, ready to be rendered.
#[derive(Debug)]
pub struct Pages {
    templates: Environment<'static>,
}

impl Pages {
    /// The pages that are built in.
    ///
    /// # Errors
    /// None but a fault of this program: its own templates are tried as an operator's are.
    pub fn built_in() -> Result<Arc<Self>, TemplateError> {
        Self::load(&TemplateFiles::default())
    }

    /// The built-in pages, but for those that `files` replaces. Reads the files.
    ///
    /// # Errors
    /// [`TemplateError`] says which file cannot be read, or where in it the template is wrong.
    pub fn load(files: &TemplateFiles) -> Result<Arc<Self>, TemplateError> {
        Ok(Arc::new(Self { templates: templates::load(files)? }))
    }

    /// The page with the form to log in.
    #[must_use]
    pub fn login(&self, status: StatusCode, page: &LoginPage<'_>) -> Response<Bytes> {
        self.html(status, LOGIN, page)
    }

    /// The page that asks whether to end the oldest session of somebody.
    #[must_use]
    pub fn full(&self, status: StatusCode, page: &FullPage<'_>) -> Response<Bytes> {
        self.html(status, FULL, page)
    }

    /// The page that asks whether to log out.
    #[must_use]
    pub fn logout(&self, status: StatusCode, page: &LogoutPage<'_>) -> Response<Bytes> {
        self.html(status, LOGOUT, page)
    }

    /// The page that says that one is logged out.
    #[must_use]
    pub fn logged_out(&self, page: &LoggedOutPage<'_>) -> Response<Bytes> {
        self.html(StatusCode::OK, LOGGED_OUT, page)
    }

    /// The answer to a request that failed, in the form that the client wants: a page, JSON or plain text.
    #[must_use]
    pub fn error(&self, request: &HeaderMap, fault: &Fault<'_>) -> Response<Bytes> {
        let mut response = match Wants::of(request) {
            Wants::Html => self.html(fault.status, ERROR, &fault.page()),
            Wants::Json => json(fault.status, &fault.body()),
            Wants::Text => own(fault.status, "text/plain; charset=utf-8", fault.text().into()),
        };
        if let Some(after) = fault.retry_after {
            response.headers_mut().insert(RETRY_AFTER, retry_after(after));
        }
        response
    }

    fn html<P: Serialize>(&self, status: StatusCode, name: &'static str, page: &P) -> Response<Bytes> {
        let nonce = StyleNonce::draw();
        let context = templates::Context { style_nonce: nonce.as_str(), page };
        let text = templates::render(&self.templates, name, &context);
        let mut response = own(status, "text/html; charset=utf-8", text.into());
        response.headers_mut().insert(http::header::CONTENT_SECURITY_POLICY, nonce.policy());
        response
    }
}

/// What the login page shows.
#[derive(Debug, Serialize)]
pub struct LoginPage<'a> {
    /// The name of the application, for people.
    pub application: &'a str,
    /// Where the form is sent.
    pub action: &'a str,
    /// The value of the hidden field `token`.
    pub token: &'a str,
    /// What the field `user` holds already.
    pub user: &'a str,
    /// Who is logged in now, if anybody.
    pub logged_in: Option<&'a str>,
    /// How the session ended that one had, if that is known.
    pub ended: Option<&'a str>,
    /// Where one may go on without logging in anew; shown with `logged_in`.
    pub return_to: &'a str,
    /// What went wrong at the last attempt.
    pub alert: Option<&'a str>,
}

/// What the page shows that asks whether to end the oldest session of somebody.
#[derive(Debug, Serialize)]
pub struct FullPage<'a> {
    /// The name of the application, for people.
    pub application: &'a str,
    /// Where the form is sent.
    pub action: &'a str,
    /// The value of the hidden field `end_oldest`.
    pub token: &'a str,
    /// Their sessions, the oldest first.
    pub sessions: &'a [ListedSession],
    /// Where one goes who would rather not log in.
    pub return_to: &'a str,
}

/// A session in a list for its person.
#[derive(Debug, Serialize)]
pub struct ListedSession {
    /// How long ago they logged in.
    pub since: String,
    /// How long ago it was last used.
    pub last_seen: String,
}

/// What the page that asks whether to log out shows.
#[derive(Debug, Serialize)]
pub struct LogoutPage<'a> {
    /// The name of the application, for people.
    pub application: &'a str,
    /// Where the form is sent.
    pub action: &'a str,
    /// The value of the hidden field `token`.
    pub token: &'a str,
    /// Who is logged in, if that is known.
    pub logged_in: Option<&'a str>,
    /// Where one goes on who would rather stay.
    pub return_to: &'a str,
    /// What went wrong at the last attempt.
    pub alert: Option<&'a str>,
}

/// What the page after a logout shows.
#[derive(Debug, Serialize)]
pub struct LoggedOutPage<'a> {
    /// The name of the application, for people.
    pub application: &'a str,
    /// Where one logs in again.
    pub login: &'a str,
    /// The beginning of the application.
    pub home: &'a str,
}

/// An answer in JSON of our own.
pub(crate) fn json<B: Serialize>(status: StatusCode, body: &B) -> Response<Bytes> {
    // Serialising strings and numbers to memory does not fail; an empty body would still have its status.
    let text = serde_json::to_vec(body).unwrap_or_default();
    own(status, "application/json", text.into())
}

/// The headers of whatever we answer ourselves. Nothing of it is kept by anybody: each answer is about this
/// visitor at this moment.
pub(crate) fn own(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let set: [(HeaderName, &'static str); 4] = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-store"),
        (http::header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Not `no-referrer`: with that, browsers send `Origin: null` when our own forms are submitted.
        (http::header::REFERRER_POLICY, "same-origin"),
    ];
    for (name, value) in set {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whole seconds, rounded up, at least one: `Retry-After: 0` invites a storm.
pub(crate) fn retry_after(after: std::time::Duration) -> HeaderValue {
    HeaderValue::from(after.as_millis().div_ceil(1000).clamp(1, 86_400) as u32)
}

#[cfg(test)]
mod tests;
