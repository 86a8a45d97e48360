//! Form login in front of an application that knows nothing of logins.
//!
//! What mod_auth_form does, without its faults: the password is verified once, at the login, and kept nowhere;
//! the way back is a path of the same origin; the form cannot be sent from elsewhere; attempts are counted; an
//! unknown user and a wrong password are told apart neither by the answer nor by its time.
//!
//! This module knows no sessions. It says who has logged in ([`Submission::Accepted`]), and whether a logout
//! was really meant ([`Login::check_logout`]); what follows from that is the caller's.

mod answers;
mod checked;
mod consent;
mod ended;
mod form;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod limits;
mod origin;
mod passwords;
mod return_to;
mod settings;
mod token;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::ALLOW;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use seal::Keys;
use session::{Millis, Why};

use crate::pages::{Fault, Pages};
use crate::path::{NormalPath, Prefixes};

pub use answers::Refusal;
pub(crate) use answers::{LOGGED_OUT_MEANWHILE, SCHEME};
pub use checked::{Checked, CheckedUsers};
pub use consent::Elsewhere;
pub use form::MAX_FORM;
pub use limits::LimitSettings;
pub use listener::allowance::Allowance;
pub use passwords::{Fault as UsersFault, FileError, HashError, LineError, Verifiers};
pub use settings::{LoginError, LoginSettings};

use form::Form;
use limits::Limits;
use passwords::{Passwords, Verdict};
use return_to::ReturnTo;
use token::{Purpose, Rejected, Tokens};

/// The cookie of our forms, where the connection is secure. Never the application's business: hide it from it.
pub const NONCE_COOKIE: &str = "__Host-cloakroom-login";

/// The same where [`LoginSettings::secure`] is off.
pub const INSECURE_NONCE_COOKIE: &str = "cloakroom-login";

/// The login of one application.
#[derive(Debug)]
pub struct Login {
    application: Box<str>,
    title: Box<str>,
    demanded: Prefixes,
    own_pages: OwnPages,
    home: ReturnTo,
    pages: Arc<Pages>,
    passwords: Passwords,
    limit_settings: LimitSettings,
    limits: Arc<Limits>,
    tokens: Tokens,
}

/// Which of our own pages a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnPage {
    /// GET and HEAD: [`Login::login_page`]; all else: [`Login::submit`].
    Login,
    /// GET and HEAD: [`Login::logout_page`]; all else: [`Login::check_logout`].
    Logout,
}

/// Where our own pages are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnPages {
    /// The login form.
    pub login: Box<str>,
    /// Where one logs out.
    pub logout: Box<str>,
}

impl OwnPages {
    /// Whether the path is one of our own pages, which no application gets to see.
    #[must_use]
    pub fn page(&self, path: &NormalPath<'_>) -> Option<OwnPage> {
        match path.as_str() {
            path if path == &*self.login => Some(OwnPage::Login),
            path if path == &*self.logout => Some(OwnPage::Logout),
            _ => None,
        }
    }
}

/// What came of a login form.
#[derive(Debug)]
pub enum Submission {
    /// This is the user. Open a new session under a new ticket, then send the browser on with 303.
    Accepted {
        /// The name, as the users' file spells it.
        user: Box<str>,
        /// Where to: visible ASCII, a path of this origin, fit for `Location`.
        return_to: String,
        /// When they entered their password.
        proved: Millis,
        /// Whether their oldest session may end, if they have too many.
        may_end_oldest: bool,
    },
    /// Nobody has logged in; this is the answer. It carries a [`Refusal`] as an extension, for log and metrics.
    Refused(Response<Bytes>),
}

/// From where somebody logs out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaving {
    /// From the sessions that they came with.
    Here,
    /// From all sessions of the same person, in whichever browser they are.
    Everywhere,
}

impl Leaving {
    fn by(form: &Form) -> Self {
        if form.field("everywhere") == "1" { Self::Everywhere } else { Self::Here }
    }
}

impl Login {
    /// A login with these settings. Reads the users' file, and the templates that the settings name.
    ///
    /// # Errors
    /// [`LoginError`] says which setting or file is wrong. The operator is to blame.
    pub fn new(settings: LoginSettings, keys: Arc<Keys>, pages: Arc<Pages>) -> Result<Self, LoginError> {
        settings.check()?;
        let pages = if settings.templates.is_empty() { pages } else { Pages::load(&settings.templates)? };
        let home = ReturnTo::parse(&settings.home)
            .ok_or_else(|| LoginError::Home { home: settings.home.clone() })?;
        Ok(Self {
            passwords: Passwords::open(&settings.users, settings.verifiers)?,
            limit_settings: settings.limits,
            limits: Arc::new(Limits::new(settings.limits)),
            tokens: Tokens::new(keys, &settings.application, &settings.realm, settings.secure),
            demanded: Prefixes::new(settings.require, settings.exempt),
            title: settings.title.unwrap_or_else(|| settings.application.clone()),
            application: settings.application,
            own_pages: OwnPages { login: settings.login_path, logout: settings.logout_path },
            home,
            pages,
        })
    }

    /// The same, as what takes the place of `before` at a reload: attempts are counted on, unless there is another
    /// allowance of them. Guessing does not begin anew whenever an operator changes something else.
    #[must_use]
    pub fn after(mut self, before: &Self) -> Self {
        if self.limit_settings == before.limit_settings {
            self.limits = Arc::clone(&before.limits);
        }
        self
    }

    /// The paths that are for people only who are logged in.
    #[must_use]
    pub const fn demanded(&self) -> &Prefixes {
        &self.demanded
    }

    /// Where its pages are.
    #[must_use]
    pub const fn own_pages(&self) -> &OwnPages {
        &self.own_pages
    }

    /// The answer to a request for what [is demanded](Self::demanded), from nobody: a browser that goes to a page
    /// is sent to the login page and comes back afterwards; all others get 401, and JSON that says why. Both are told how
    /// their session `ended`, if they had one.
    #[must_use]
    pub fn challenge(&self, request: &Parts, path_and_query: &str, ended: Option<Why>) -> Response<Bytes> {
        if !crate::pages::is_navigation(&request.method, &request.headers) {
            return self.login_required(ended);
        }
        let from = match request.method {
            // What was sent is gone by then; the page that sent it is the best place to send it again.
            Method::POST => origin::page(&request.headers),
            _ => ReturnTo::parse(path_and_query),
        };
        self.to_login(&self.usable(from), ended)
    }

    /// The page with the form. `logged_in` is who is logged in already, if anybody.
    #[must_use]
    pub fn login_page(&self, request: &Parts, logged_in: Option<&str>, now: Millis) -> Response<Bytes> {
        if !is_read(&request.method) {
            return self.not_in_this_way(request);
        }
        let return_to = self.usable(ReturnTo::from_query(request.uri.query()));
        let ended = ended::told(request.uri.query()).filter(|_| logged_in.is_none());
        let form = answers::LoginForm { logged_in, ended, ..self.empty(&return_to) };
        self.form(request, StatusCode::OK, &form, now)
    }

    /// Takes a login form: is it really the form that this browser was shown, and is it the user's password?
    ///
    /// `client` is the address of the visitor, after trusted proxies were taken into account. May take some
    /// hundred milliseconds, and five seconds when many log in at once; gives up nothing when dropped but the
    /// answer.
    pub async fn submit(&self, request: &Parts, client: IpAddr, body: &[u8], now: Millis) -> Submission {
        if request.method != Method::POST {
            return Submission::Refused(self.not_in_this_way(request));
        }
        let form = match Form::of(&request.headers, body) {
            Ok(form) => form,
            Err(error) => return Submission::Refused(self.no_form(request, error)),
        };
        match self.attempt(request, client, &form, now).await {
            Ok(accepted) => accepted,
            Err((refusal, return_to)) => {
                tracing::info!(
                    application = &*self.application,
                    %client,
                    reason = refusal.name(),
                    "a login was refused"
                );
                let page = answers::LoginForm { user: form.field("user").trim(), ..self.empty(&return_to) };
                Submission::Refused(self.refused(request, refusal, &page, now))
            }
        }
    }

    /// The answer to `user`, who was [accepted](Submission::Accepted) and has as many sessions as they may.
    #[must_use]
    pub fn full(&self, request: &Parts, user: &str, return_to: &str, now: Millis) -> Response<Bytes> {
        let return_to = self.usable(ReturnTo::parse(return_to));
        let form = answers::LoginForm { user, ..self.empty(&return_to) };
        self.refused(request, Refusal::Full, &form, now)
    }

    /// The answer to `user`, who was [accepted](Submission::Accepted), and for whom a logout came that is later than their
    /// password, or does not say when it was: the form, to log in anew.
    #[must_use]
    pub fn logged_out_meanwhile(
        &self,
        request: &Parts,
        user: &str,
        return_to: &str,
        now: Millis,
    ) -> Response<Bytes> {
        let return_to = self.usable(ReturnTo::parse(return_to));
        let form = answers::LoginForm { user, ..self.empty(&return_to) };
        self.refused(request, Refusal::LoggedOut, &form, now)
    }

    /// The page that asks whether to log out, or, where `logged_in` is nobody, says that it is done.
    #[must_use]
    pub fn logout_page(&self, request: &Parts, logged_in: Option<&str>, now: Millis) -> Response<Bytes> {
        if !is_read(&request.method) {
            return self.not_in_this_way(request);
        }
        match logged_in {
            Some(user) => self.ask(request, StatusCode::OK, Some(user), None, now),
            None => self.logged_out_page(),
        }
    }

    /// Whether a logout was really meant, and from where: the form carries a token of ours, or the browser shows that a
    /// page of the same origin sent it, so that an application can have a button of its own.
    ///
    /// # Errors
    /// It was not: the answer, which asks.
    pub async fn check_logout(
        &self,
        request: &Parts,
        body: &[u8],
        now: Millis,
    ) -> Result<Leaving, Response<Bytes>> {
        if request.method != Method::POST {
            return Err(self.not_in_this_way(request));
        }
        let form = Form::of(&request.headers, body);
        if origin::is_same(&request.headers) {
            // A button of an application need not send a form.
            return Ok(form.map_or(Leaving::Here, |form| Leaving::by(&form)));
        }
        let form = form.map_err(|error| self.no_form(request, error))?;
        self.tokens.look_for_key(form.field("token")).await;
        match self.tokens.check(Purpose::Logout, &request.headers, form.field("token"), now) {
            Ok(_) => Ok(Leaving::by(&form)),
            Err(_) => {
                let mut response = self.ask(request, StatusCode::FORBIDDEN, None, Some(answers::REALLY), now);
                response.extensions_mut().insert(Refusal::Token);
                Err(response)
            }
        }
    }

    /// The answer to a logout that has taken effect: on to the page that says so, by GET, so that reloading it
    /// repeats nothing. The caller adds the deletion of the cookie.
    #[must_use]
    pub fn logged_out(&self) -> Response<Bytes> {
        answers::see_other(ReturnTo::header(&self.own_pages.logout))
    }

    /// Everything between a form and a user's name.
    async fn attempt(
        &self,
        request: &Parts,
        client: IpAddr,
        form: &Form,
        now: Millis,
    ) -> Result<Submission, (Refusal, ReturnTo)> {
        if !form.field(consent::FIELD).is_empty() {
            self.tokens.look_for_key(form.field(consent::FIELD)).await;
            return self.consent(request, form, now);
        }
        self.tokens.look_for_key(form.field("token")).await;
        let checked = self.tokens.check(Purpose::Login, &request.headers, form.field("token"), now);
        let return_to = match checked {
            Ok(return_to) if !origin::is_foreign(&request.headers) => self.usable(Some(return_to)),
            Ok(return_to) | Err(Rejected::TooOld(return_to) | Rejected::OtherBrowser(return_to)) => {
                return Err((Refusal::Token, self.usable(Some(return_to))));
            }
            Err(Rejected::Foreign) => return Err((Refusal::Token, self.home.clone())),
        };
        // A telephone's keyboard likes to put a space behind a name; no name in the file has one.
        let (user, password) = (form.field("user").trim(), form.field("password"));
        if user.is_empty() || password.is_empty() {
            return Err((Refusal::Incomplete, return_to));
        }
        if let Err(wait) = self.limits.attempt(client, user) {
            return Err((Refusal::TooMany { wait }, return_to));
        }
        match self.passwords.verify(user, password).await {
            Verdict::Right => {
                tracing::info!(application = &*self.application, %client, user, "somebody logged in");
                let return_to = return_to.to_string();
                Ok(Submission::Accepted { user: user.into(), return_to, proved: now, may_end_oldest: false })
            }
            Verdict::Wrong => Err((Refusal::Wrong, return_to)),
            Verdict::Busy => Err((Refusal::Busy, return_to)),
        }
    }

    /// Our own pages are no place to come back to.
    fn usable(&self, return_to: Option<ReturnTo>) -> ReturnTo {
        return_to
            .filter(|to| to.path() != &*self.own_pages.login && to.path() != &*self.own_pages.logout)
            .unwrap_or_else(|| self.home.clone())
    }

    fn not_in_this_way(&self, request: &Parts) -> Response<Bytes> {
        let mut response = self.pages.error(&request.headers, &Fault::new(StatusCode::METHOD_NOT_ALLOWED));
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST"));
        response.extensions_mut().insert(Refusal::Method);
        response
    }
}

/// These fields of the query of an address of ours, if it has all of them.
pub(crate) fn fields<const N: usize>(query: Option<&str>, names: [&str; N]) -> Option<[String; N]> {
    let form = Form::parse(query?.as_bytes()).ok()?;
    let fields = names.map(|name| form.field(name).to_owned());
    fields.iter().all(|field| !field.is_empty()).then_some(fields)
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

#[cfg(test)]
mod tests;
