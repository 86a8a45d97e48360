//! What a login answers, when it is not that somebody has logged in.

use std::time::Duration;

use bytes::Bytes;
use http::header::{LOCATION, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;
use session::{Millis, Why};

use super::Login;
use super::ended;
use super::form::FormError;
use super::passwords::MAX_USER;
use super::return_to::ReturnTo;
use super::token::Purpose;
use crate::pages::{Fault, LoggedOutPage, LoginPage, LogoutPage, json, own, retry_after};

/// What the page asks that we show when a logout came from who knows where.
pub(super) const REALLY: &str =
    "This came from another page, or the form was too old. Do you want to log out?";

/// What somebody is told who logs in, and whom a logout has overtaken.
pub(crate) const LOGGED_OUT_MEANWHILE: &str =
    "You were logged out while you were logging in: this login does not hold. Please log in once more.";

/// Why a form was not accepted. For logs and metrics: an extension of the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Another method than GET, HEAD and POST.
    Method,
    /// The body is no form, or too large.
    Form,
    /// The form's token is missing, too old, or not of this browser.
    Token,
    /// No user, or no password.
    Incomplete,
    /// Unknown user or wrong password: we do not say which, here neither.
    Wrong,
    /// Too many attempts from this address, or for this user.
    TooMany {
        /// Until the next one is allowed.
        wait: Duration,
    },
    /// The person has as many sessions as they may.
    Full,
    /// The person has been logged out since they entered their password.
    LoggedOut,
    /// Too many log in at once; the password was not tried.
    Busy,
    /// The system has no randomness for a token.
    Broken,
}

impl Refusal {
    /// A word for logs and metrics. Does not change once published.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Form => "form",
            Self::Token => "token",
            Self::Incomplete => "incomplete",
            Self::Wrong => "wrong",
            Self::TooMany { .. } => "too_many",
            Self::Full => "limit",
            Self::LoggedOut => "logged_out_meanwhile",
            Self::Busy => "busy",
            Self::Broken => "broken",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Form | Self::Incomplete => StatusCode::BAD_REQUEST,
            Self::Token => StatusCode::FORBIDDEN,
            Self::Wrong | Self::LoggedOut => StatusCode::UNAUTHORIZED,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Full => StatusCode::CONFLICT,
            Self::Busy | Self::Broken => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn words(self) -> String {
        match self {
            Self::Token => {
                "This form was too old, or your browser did not keep its cookie. Please try again.".into()
            }
            Self::Incomplete => "Please enter your user name and your password.".into(),
            Self::LoggedOut => LOGGED_OUT_MEANWHILE.into(),
            Self::Wrong => "The user name or the password is wrong.".into(),
            Self::TooMany { wait } => match wait.as_millis().div_ceil(1000).max(1) {
                1 => "Too many attempts. Please try again in a second.".into(),
                seconds => format!("Too many attempts. Please try again in {seconds} seconds."),
            },
            Self::Full => {
                "You are logged in elsewhere as often as you may be. Log out there first, or wait until that is over.".into()
            }
            Self::Busy => "Too many people are logging in at this moment. Please try again.".into(),
            Self::Method | Self::Form | Self::Broken => "This did not work. Please try again.".into(),
        }
    }

    fn retry_after(self) -> Option<Duration> {
        match self {
            Self::TooMany { wait } => Some(wait),
            Self::Busy => Some(Duration::from_secs(5)),
            _ => None,
        }
    }
}

/// What a login form shows.
pub(super) struct LoginForm<'a> {
    pub(super) return_to: &'a ReturnTo,
    pub(super) user: &'a str,
    pub(super) logged_in: Option<&'a str>,
    pub(super) ended: Option<&'a str>,
    pub(super) alert: Option<&'a str>,
}

impl Login {
    pub(super) fn empty<'a>(&self, return_to: &'a ReturnTo) -> LoginForm<'a> {
        LoginForm { return_to, user: "", logged_in: None, ended: None, alert: None }
    }

    /// The login page with a new token.
    pub(super) fn form(
        &self,
        request: &Parts,
        status: StatusCode,
        form: &LoginForm<'_>,
        now: Millis,
    ) -> Response<Bytes> {
        let Ok(issued) = self.tokens.issue(Purpose::Login, &request.headers, form.return_to, now) else {
            return self.broken(request);
        };
        let page = LoginPage {
            application: &self.title,
            action: &self.own_pages.login,
            token: &issued.token,
            user: if form.user.len() <= MAX_USER { form.user } else { "" },
            logged_in: form.logged_in,
            ended: form.ended,
            return_to: form.return_to.as_str(),
            alert: form.alert,
        };
        let mut response = self.pages.login(status, &page);
        response.headers_mut().insert(SET_COOKIE, issued.cookie);
        response
    }

    /// The login page once more, with what went wrong.
    pub(super) fn refused(
        &self,
        request: &Parts,
        refusal: Refusal,
        form: &LoginForm<'_>,
        now: Millis,
    ) -> Response<Bytes> {
        let alert = refusal.words();
        let form = LoginForm { alert: Some(&alert), ..*form };
        let mut response = self.form(request, refusal.status(), &form, now);
        if response.status() == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(WWW_AUTHENTICATE, SCHEME);
        }
        if let Some(after) = refusal.retry_after() {
            response.headers_mut().insert(RETRY_AFTER, retry_after(after));
        }
        response.extensions_mut().insert(refusal);
        response
    }

    pub(super) fn no_form(&self, request: &Parts, error: FormError) -> Response<Bytes> {
        let words = error.to_string();
        let mut response = self.pages.error(&request.headers, &Fault::new(error.status()).detail(&words));
        response.extensions_mut().insert(Refusal::Form);
        response
    }

    /// The page that asks whether to log out.
    pub(super) fn ask(
        &self,
        request: &Parts,
        status: StatusCode,
        logged_in: Option<&str>,
        alert: Option<&str>,
        now: Millis,
    ) -> Response<Bytes> {
        let Ok(issued) = self.tokens.issue(Purpose::Logout, &request.headers, &self.home, now) else {
            return self.broken(request);
        };
        let page = LogoutPage {
            application: &self.title,
            action: &self.own_pages.logout,
            token: &issued.token,
            logged_in,
            return_to: self.home.as_str(),
            alert,
        };
        let mut response = self.pages.logout(status, &page);
        response.headers_mut().insert(SET_COOKIE, issued.cookie);
        response
    }

    pub(super) fn logged_out_page(&self) -> Response<Bytes> {
        let login = self.home.carried_by(&self.own_pages.login);
        self.pages.logged_out(&LoggedOutPage {
            application: &self.title,
            login: &login,
            home: self.home.as_str(),
        })
    }

    /// A browser that goes to a page can log in and come back.
    pub(super) fn to_login(&self, return_to: &ReturnTo, ended: Option<Why>) -> Response<Bytes> {
        let mut page = return_to.carried_by(&self.own_pages.login);
        page.extend(ended.map(ended::carried));
        see_other(ReturnTo::header(&page))
    }

    /// All others need a status, and a body that they can parse.
    pub(super) fn login_required(&self, ended: Option<Why>) -> Response<Bytes> {
        #[derive(Serialize)]
        struct Body<'a> {
            error: &'a str,
            message: &'a str,
            login: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            ended: Option<&'static str>,
        }
        let body = Body {
            error: "login_required",
            message: "Nobody is logged in, or the session is over. Log in at `login`, then try again.",
            login: &self.own_pages.login,
            ended: ended.map(Why::as_str),
        };
        let mut response = json(StatusCode::UNAUTHORIZED, &body);
        response.headers_mut().insert(WWW_AUTHENTICATE, SCHEME);
        response
    }

    /// No randomness, no token, no form.
    pub(super) fn broken(&self, request: &Parts) -> Response<Bytes> {
        tracing::error!(
            application = &*self.application,
            "a form cannot be shown: the system's random generator failed"
        );
        let mut response = self.pages.error(&request.headers, &Fault::new(StatusCode::SERVICE_UNAVAILABLE));
        response.extensions_mut().insert(Refusal::Broken);
        response
    }
}

/// HTTP wants a 401 to name a scheme. This one is registered nowhere and opens no browser's own dialogue.
pub(crate) const SCHEME: HeaderValue = HeaderValue::from_static("Form");

pub(super) fn see_other(location: HeaderValue) -> Response<Bytes> {
    let mut response = own(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", Bytes::new());
    response.headers_mut().insert(LOCATION, location);
    response
}
