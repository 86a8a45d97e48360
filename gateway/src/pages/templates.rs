//! Templates: those that are built in, those that an operator puts in their place, and how both are tried.

use std::path::{Path, PathBuf};

use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use super::errors::ErrorPage;
use super::{LoggedOutPage, LoginPage, LogoutPage};

pub(super) const LOGIN: &str = "login.html";
pub(super) const FULL: &str = "full.html";
pub(super) const LOGOUT: &str = "logout.html";
pub(super) const LOGGED_OUT: &str = "logged_out.html";
pub(super) const ERROR: &str = "error.html";

/// What a name has in front when the built-in template is meant, whatever took its place.
const BUILT_IN: &str = "built-in/";

/// The largest template file, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// All that is built in. Each is there twice: under its name, which a file can take, and as `built-in/name`.
const TEXTS: [(&str, &str); 7] = [
    ("layout.html", include_str!("templates/layout.html")),
    ("style.css", include_str!("templates/style.css")),
    (LOGIN, include_str!("templates/login.html")),
    (FULL, include_str!("templates/full.html")),
    (LOGOUT, include_str!("templates/logout.html")),
    (LOGGED_OUT, include_str!("templates/logged_out.html")),
    (ERROR, include_str!("templates/error.html")),
];

/// Which templates an operator replaces, each by a file. The language is that of Jinja.
///
/// Each gets what its page shows (the fields of [`LoginPage`] and so on) and `style_nonce`, which its `<style>`
/// must carry. It can extend `layout.html` and include `style.css`, which are ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TemplateFiles {
    /// For [`LoginPage`]. Its form must send the fields `token`, `user` and `password`.
    pub login: Option<PathBuf>,
    /// For [`LogoutPage`]. Its form must send the field `token`.
    pub logout: Option<PathBuf>,
    /// For [`LoggedOutPage`].
    pub logged_out: Option<PathBuf>,
    /// For errors: `status`, `title`, `explanation`, `detail` (may be none) and `session_safe`.
    pub error: Option<PathBuf>,
}

impl TemplateFiles {
    /// Whether nothing is replaced.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    fn each(&self) -> impl Iterator<Item = (&'static str, &Path)> {
        [(LOGIN, &self.login), (LOGOUT, &self.logout), (LOGGED_OUT, &self.logged_out), (ERROR, &self.error)]
            .into_iter()
            .filter_map(|(name, file)| Some((name, file.as_deref()?)))
    }
}

/// Why a template cannot be used. The operator is to blame, or the file system.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The file cannot be read.
    #[error("the template {} cannot be read: {cause}", file.display())]
    Read {
        /// Which file.
        file: PathBuf,
        /// What the system says.
        #[source]
        cause: std::io::Error,
    },
    /// The file is larger than a template can be.
    #[error("the template {} has {length} bytes: at most {MAX_FILE} are allowed", file.display())]
    TooLarge {
        /// Which file.
        file: PathBuf,
        /// Its length in bytes.
        length: u64,
    },
    /// The template is wrong, or fails with an example.
    #[error("the template {} does not work: {cause}", file.display())]
    Template {
        /// Which file, or the name of a built-in one.
        file: PathBuf,
        /// What is wrong, with the line.
        #[source]
        cause: minijinja::Error,
    },
    /// The form lacks something without which nobody could log in or out.
    #[error(
        "the template {} lacks `{what}` in its form: without it nobody could {purpose}. The form must send the \
         fields that the built-in template sends",
        file.display()
    )]
    Lacks {
        /// Which file.
        file: PathBuf,
        /// The field, or the variable, that is missing in what it renders.
        what: &'static str,
        /// What would not work.
        purpose: &'static str,
    },
}

/// What each template gets.
#[derive(Serialize)]
pub(super) struct Context<'a, P> {
    pub(super) style_nonce: &'a str,
    #[serde(flatten)]
    pub(super) page: &'a P,
}

pub(super) fn load(files: &TemplateFiles) -> Result<Environment<'static>, TemplateError> {
    let mut templates = Environment::new();
    // A misspelled name is an error when the template is loaded, not a gap in a page.
    templates.set_undefined_behavior(UndefinedBehavior::Strict);
    for (name, text) in TEXTS {
        let add = |templates: &mut Environment<'static>, name: String| {
            templates
                .add_template_owned(name, text)
                .map_err(|cause| TemplateError::Template { file: PathBuf::from(name_of(text)), cause })
        };
        add(&mut templates, name.to_owned())?;
        add(&mut templates, format!("{BUILT_IN}{name}"))?;
    }
    for (name, file) in files.each() {
        let text = read(file)?;
        templates
            .add_template_owned(name, text)
            .map_err(|cause| TemplateError::Template { file: file.to_owned(), cause })?;
    }
    for name in [LOGIN, LOGOUT, LOGGED_OUT, ERROR] {
        let file =
            files.each().find(|(replaced, _)| *replaced == name).map_or(Path::new(name), |(_, file)| file);
        try_out(&templates, name, file)?;
    }
    Ok(templates)
}

/// Renders the template, or the built-in one where an operator's fails with these values.
pub(super) fn render<P: Serialize>(
    templates: &Environment<'_>,
    name: &'static str,
    context: &Context<'_, P>,
) -> String {
    let named = |name: &str| templates.get_template(name)?.render(context);
    named(name)
        .or_else(|error| {
            tracing::error!(template = name, %error, "a template failed; the built-in one is shown instead");
            named(&format!("{BUILT_IN}{name}"))
        })
        .unwrap_or_else(|error| {
            tracing::error!(template = name, %error, "a built-in template failed");
            "Something broke. The fault is on our side.\n".to_owned()
        })
}

fn name_of(text: &str) -> &'static str {
    TEXTS.iter().find(|(_, known)| *known == text).map_or("", |(name, _)| name)
}

fn read(file: &Path) -> Result<String, TemplateError> {
    let failed = |cause| TemplateError::Read { file: file.to_owned(), cause };
    let length = std::fs::metadata(file).map_err(failed)?.len();
    if length > MAX_FILE {
        return Err(TemplateError::TooLarge { file: file.to_owned(), length });
    }
    std::fs::read_to_string(file).map_err(failed)
}

/// Renders the template with an example, and looks for what its form must send.
fn try_out(templates: &Environment<'_>, name: &str, file: &Path) -> Result<(), TemplateError> {
    let rendered = templates
        .get_template(name)
        .and_then(|template| match name {
            LOGIN => template.render(Context { style_nonce: "", page: &LOGIN_EXAMPLE }),
            LOGOUT => template.render(Context { style_nonce: "", page: &LOGOUT_EXAMPLE }),
            LOGGED_OUT => template.render(Context { style_nonce: "", page: &LOGGED_OUT_EXAMPLE }),
            _ => template.render(Context { style_nonce: "", page: &ERROR_EXAMPLE }),
        })
        .map_err(|cause| TemplateError::Template { file: file.to_owned(), cause })?;
    let lacks = |what, purpose| Err(TemplateError::Lacks { file: file.to_owned(), what, purpose });
    let (fields, purpose): (&[&'static str], _) = match name {
        LOGIN => (&["token", "user", "password"], "log in"),
        LOGOUT => (&["token"], "log out"),
        _ => return Ok(()),
    };
    if !rendered.contains(TOKEN_EXAMPLE) {
        return lacks("{{ token }}", purpose);
    }
    match fields.iter().find(|field| !has_field(&rendered, field)) {
        Some(field) => lacks(field, purpose),
        None => Ok(()),
    }
}

/// Whether something in the page is named so, in any of the three ways of HTML to quote it.
fn has_field(page: &str, name: &str) -> bool {
    [format!("name=\"{name}\""), format!("name='{name}'"), format!("name={name}")]
        .iter()
        .any(|attribute| page.contains(attribute))
}

const TOKEN_EXAMPLE: &str = "dG9rZW4tZXhhbXBsZQ";

const LOGIN_EXAMPLE: LoginPage<'static> = LoginPage {
    application: "Example",
    action: "/.cloakroom/login",
    token: TOKEN_EXAMPLE,
    user: "ada",
    logged_in: Some("ada"),
    ended: Some("Your session is over: it was not used for a while."),
    return_to: "/",
    alert: Some("This is an example."),
};

const LOGOUT_EXAMPLE: LogoutPage<'static> = LogoutPage {
    application: "Example",
    action: "/.cloakroom/logout",
    token: TOKEN_EXAMPLE,
    logged_in: Some("ada"),
    return_to: "/",
    alert: Some("This is an example."),
};

const LOGGED_OUT_EXAMPLE: LoggedOutPage<'static> =
    LoggedOutPage { application: "Example", login: "/.cloakroom/login", home: "/" };

const ERROR_EXAMPLE: ErrorPage<'static> = ErrorPage {
    status: 502,
    title: "Example",
    explanation: "This is an example.",
    detail: Some("This is an example."),
    session_safe: true,
};
