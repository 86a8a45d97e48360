//! A login in front of an application: a form of ours, and who may come in.

use std::path::PathBuf;

use super::form::{Choice, Count, List, Text};
use super::handoff::check_paths;
use super::names::{EntryName, FileName};
use super::section::Section;
use super::web::{self, UrlPath};

/// `[application.login]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Who knows the passwords.
    pub provider: LoginProvider,
    /// The file of the provider.
    pub file: PathBuf,
    /// Paths that need somebody who is logged in.
    pub require: Vec<String>,
    /// Paths below these that do not.
    pub exempt: Vec<String>,
    /// Where the form is.
    pub login_path: String,
    /// Where a POST ends the session.
    pub logout_path: String,
    /// The entry that holds the name of who is logged in.
    pub user_entry: String,
    /// A login page of one's own.
    pub template: Option<PathBuf>,
    /// Attempts a minute from one address.
    pub attempts_per_address: u32,
    /// Attempts a minute for one user.
    pub attempts_per_user: u32,
}

/// Who knows the passwords.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoginProvider {
    /// A file as `htpasswd` writes it.
    Htpasswd,
}

const PROVIDER: Choice<LoginProvider> =
    Choice { words: &[("htpasswd", LoginProvider::Htpasswd)], later: &["oidc", "ldap", "saml"] };
const ATTEMPTS: Count = Count(1..=100_000);

impl Login {
    /// Reads the section of the application at `base`.
    pub(crate) fn read(section: &mut Section<'_>, base: &str) -> Self {
        let provider = section.value(
            "provider",
            &PROVIDER,
            LoginProvider::Htpasswd,
            "`htpasswd`: a file as the program of that name writes it.",
        );
        let file = section.required(
            "file",
            &Text(FileName),
            PathBuf::from("users.htpasswd"),
            "Names and hashed passwords (bcrypt, apr1, SHA-1, SHA-crypt, argon2). Relative to the folder of this file.",
        );
        let template = section.optional(
            "template",
            &Text(FileName),
            PathBuf::from("login.html"),
            "A login page of your own. Relative to the folder of this file.",
        );
        let under = |name: &str| format!("{}/.cloakroom/{name}", base.trim_end_matches('/'));
        let login = Self {
            provider,
            file: section.existing(
                "file",
                &file,
                &format!("`htpasswd -cB {} NAME` makes one", file.display()),
            ),
            require: section.value(
                "require",
                &List(Text(UrlPath)),
                vec!["/".to_owned()],
                "Paths that need somebody who is logged in.",
            ),
            exempt: section.value(
                "exempt",
                &List(Text(UrlPath)),
                Vec::new(),
                "Paths that do not. Wins over `require`.",
            ),
            login_path: section.following(
                "login_path",
                &Text(UrlPath),
                under("login"),
                "below the application's `path`",
                "Where the login form is.",
            ),
            logout_path: section.following(
                "logout_path",
                &Text(UrlPath),
                under("logout"),
                "below the application's `path`",
                "Where a POST with the form's token ends the session.",
            ),
            user_entry: section.value(
                "user_entry",
                &Text(EntryName),
                "user".to_owned(),
                "The entry that holds the name of who is logged in.",
            ),
            template: template.map(|template| {
                section.existing(
                    "template",
                    &template,
                    "remove this line for the page that comes with Cloakroom",
                )
            }),
            attempts_per_address: section.value(
                "attempts_per_address",
                &ATTEMPTS,
                10,
                "Attempts a minute from one address. More are answered with 429.",
            ),
            attempts_per_user: section.value(
                "attempts_per_user",
                &ATTEMPTS,
                60,
                "Attempts a minute for one user, from wherever they come. More than from one address, or one can keep \
                 any user out.",
            ),
        };
        login.check(section, base);
        login
    }

    fn check(&self, section: &Section<'_>, base: &str) {
        for (key, path) in [("login_path", &self.login_path), ("logout_path", &self.logout_path)] {
            if !web::is_below(path, base) {
                let message = format!(
                    "`{key}` is not below the application's path `{base}`: no request for it comes here"
                );
                section.wrong(key, message, format!("say \"{}{path}\"", base.trim_end_matches('/')));
            }
        }
        if self.login_path == self.logout_path {
            let message = "`login_path` and `logout_path` are the same";
            section.wrong("logout_path", message, "give each a path of its own");
        }
        check_paths(section, "require", &self.require, base);
        check_paths(section, "exempt", &self.exempt, base);
        if let Some(path) =
            self.exempt.iter().find(|path| self.require.iter().any(|required| web::is_below(required, path)))
        {
            let message =
                format!("`exempt` holds `{path}`, and so nothing is left of what `require` says there");
            section.warn("exempt", message, "name only the paths that are open to everybody");
        }
        if self.attempts_per_user <= self.attempts_per_address {
            let message = format!(
                "`attempts_per_user = {}` is not more than `attempts_per_address = {}`: from one address, anybody can \
                 keep any user out",
                self.attempts_per_user, self.attempts_per_address
            );
            section.warn(
                "attempts_per_user",
                message,
                "allow several times as many for a user as for an address",
            );
        }
        if self.require.is_empty() {
            let message = "`require` is empty: everything is open to everybody";
            section.warn("require", message, "name the paths that need a login, such as [\"/\"]");
        }
    }
}
