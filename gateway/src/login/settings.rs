//! What an operator can choose about a login.

use std::path::PathBuf;

use super::limits::LimitSettings;
use super::passwords::{FileError, Verifiers};
use crate::pages::{TemplateError, TemplateFiles};
use crate::path::{NormalPath, Prefix};

/// The settings of one application's login.
#[derive(Debug, Clone)]
pub struct LoginSettings {
    /// The application's id. Tokens are bound to it.
    pub application: Box<str>,
    /// Its realm. Tokens are bound to it.
    pub realm: Box<str>,
    /// The application's name for people; default: its id.
    pub title: Option<Box<str>>,
    /// The htpasswd file: bcrypt, apr1, SHA-1, SHA-crypt, argon2. Followed when it changes.
    pub users: PathBuf,
    /// What is for people only who are logged in.
    pub require: Vec<Prefix>,
    /// What of that is for everybody all the same.
    pub exempt: Vec<Prefix>,
    /// Where the login page is.
    pub login_path: Box<str>,
    /// Where one logs out.
    pub logout_path: Box<str>,
    /// Where one goes who came from nowhere: the beginning of the application.
    pub home: Box<str>,
    /// Whether our form's cookie is `Secure` and `__Host-`. Off only where the application's own cookie is.
    pub secure: bool,
    /// How often one may try.
    pub limits: LimitSettings,
    /// What verifies the passwords: the same for all logins of the process.
    pub verifiers: Verifiers,
    /// The pages that the operator replaces.
    pub templates: TemplateFiles,
}

impl LoginSettings {
    /// The defaults for an application whose users are in this file: everything is for people only who are logged in.
    #[must_use]
    pub fn new(application: &str, users: PathBuf) -> Self {
        Self {
            application: application.into(),
            realm: application.into(),
            title: None,
            users,
            require: Prefix::parse("/").into_iter().collect(),
            exempt: Vec::new(),
            login_path: "/.cloakroom/login".into(),
            logout_path: "/.cloakroom/logout".into(),
            home: "/".into(),
            secure: true,
            limits: LimitSettings::default(),
            verifiers: Verifiers::for_half_of_the_cores(),
            templates: TemplateFiles::default(),
        }
    }

    pub(super) fn check(&self) -> Result<(), LoginError> {
        for (key, path) in [("login_path", &self.login_path), ("logout_path", &self.logout_path)] {
            let normal = NormalPath::parse(path).ok().filter(|normal| normal.as_str() == &**path);
            if normal.is_none_or(|normal| normal.is_asterisk() || normal.as_str() == "/") {
                return Err(LoginError::Path { key, path: path.clone() });
            }
        }
        if self.login_path == self.logout_path {
            return Err(LoginError::SamePath { path: self.login_path.clone() });
        }
        Ok(())
    }
}

/// Why a login cannot be set up. The operator is to blame, or the file system.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// A path of our own pages that no request could have.
    #[error(
        "{key} = {path:?} is no path for a page: write it as it comes in a request, \
         for example \"/.cloakroom/login\", without a query"
    )]
    Path {
        /// Which setting.
        key: &'static str,
        /// Its value.
        path: Box<str>,
    },
    /// One path cannot be both.
    #[error("login_path and logout_path are both {path:?}: give each its own")]
    SamePath {
        /// The path.
        path: Box<str>,
    },
    /// Where to go after a login is not on this host.
    #[error("home = {home:?} is no path of this origin: it must begin with one \"/\"")]
    Home {
        /// The value.
        home: Box<str>,
    },
    /// The users' file cannot be used.
    #[error(transparent)]
    Users(#[from] FileError),
    /// A template cannot be used.
    #[error(transparent)]
    Template(#[from] TemplateError),
}
