//! `[llng]`: the session server for LemonLDAP::NG.

use std::path::PathBuf;
use std::time::Duration;

use dialects::llng::{Exported, Hidden};
use gateway::cookies::{CookieError, CookieSettings, SameSite};
use server::{Allow, Rule};

use super::cookie::CookieName;
use super::form::{Choice, List, Span, Switch, Text, Wording, Wrong};
use super::names::{EntryName, FileName};
use super::section::Section;
use super::web::{Host, UrlPath};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);
const YEAR: Duration = Duration::from_hours(24 * 366);

/// `[llng]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LemonLdap {
    /// Whether there are SOAP end points.
    pub soap: bool,
    /// Whether there is the REST interface.
    pub rest: bool,
    /// Whether sessions lie under hashes of what cookies hold.
    pub hashed: bool,
    /// The file with the key that portals, handlers and managers share. Absolute.
    pub key_file: Option<PathBuf>,
    /// How long a session lives; zero: without bound.
    pub timeout: Duration,
    /// How long one may go without use; zero: without bound.
    pub timeout_activity: Duration,
    /// The cookie that logins give, and logouts take away.
    pub cookie_name: String,
    /// The domain whose hosts get it; only the host that set it without.
    pub cookie_domain: Option<String>,
    /// Whether it travels over TLS only.
    pub cookie_secure: bool,
    /// The attributes by which sessions are found quickly, beside that of whose they are.
    pub index: Vec<String>,
    /// What leaves where only some attributes do.
    pub exported: Exported,
    /// What only clients with `secrets` get, as it was written.
    pub hidden: String,
    /// How text leaves by SOAP.
    pub text: TextForm,
    /// Who may log in by `getCookies` and `?auth`.
    pub login: Option<LlngLogin>,
    /// What `isAuthorizedURI` goes by.
    pub rules: Vec<Rule>,
}

/// `[llng.login]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LlngLogin {
    /// The users and their passwords. Absolute.
    pub file: PathBuf,
}

/// How text leaves by SOAP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextForm {
    /// Each octet of UTF-8 as a character.
    Octet,
    /// As text.
    Text,
}

const TEXT_FORM: Choice<TextForm> =
    Choice { words: &[("octet", TextForm::Octet), ("text", TextForm::Text)], later: &[] };

impl LemonLdap {
    /// Reads the section.
    pub(crate) fn read(section: &mut Section<'_>) -> Self {
        let soap = section.value(
            "soap",
            &Switch,
            false,
            "SOAP at `/sessions` for clients that may `sessions`, and at `/adminSessions` for those that may `admin_sessions`; also \
             below `/index.fcgi` and `/index.psgi`.",
        );
        let rest = section.value(
            "rest",
            &Switch,
            false,
            "REST at `/sessions/<type>/...`: reading for clients that may `sessions`, all else for those that may `admin_sessions`; at \
             `/session/my` and `/mysession` whoever has the cookie of a session is told of it.",
        );
        let hashed = section.value(
            "hashed",
            &Switch,
            false,
            "Sessions lie under hashes of what cookies hold: LemonLDAP::NG's `hashedSessionStore`. Lists tell the hashes, and `?hash=1` \
             says that a request has the value of a cookie.",
        );
        let key_file = section.optional(
            "key_file",
            &Text(FileName),
            PathBuf::from("llng.key"),
            "The `key` of LemonLDAP::NG's configuration, which its portals, handlers and managers share: the first line of this file. \
             Without it there are no lists of sessions. Relative to the folder of this file.",
        );
        let key_file = key_file.map(|file| {
            section.existing(
                "key_file",
                &file,
                "write the value of `key` of LemonLDAP::NG's configuration there",
            )
        });
        let timeout = section.value(
            "timeout",
            &Span::between(SECOND, YEAR).or_zero("never"),
            HOUR * 20,
            "A session is over so long after its `_utime`, used or not: LemonLDAP::NG's `timeout`.",
        );
        let timeout_activity = section.value(
            "timeout_activity",
            &Span::between(SECOND, YEAR).or_zero("never"),
            Duration::ZERO,
            "A session is over after so long without use: LemonLDAP::NG's `timeoutActivity`.",
        );
        let cookie_name = section.value(
            "cookie_name",
            &Text(CookieName),
            "lemonldap".to_owned(),
            "The cookie that holds the id of a session.",
        );
        let cookie_domain = section.optional(
            "cookie_domain",
            &Text(Host),
            "example.com".to_owned(),
            "The domain whose hosts get that cookie: LemonLDAP::NG's `domain`. Left out, only the host that set it.",
        );
        let cookie_secure = section.value(
            "cookie_secure",
            &Switch,
            true,
            "That cookie travels over TLS only: LemonLDAP::NG's `securedCookie`.",
        );
        check_cookie(section, &cookie_name, cookie_domain.as_deref(), cookie_secure);
        let index = section.value(
            "index",
            &List(Text(EntryName)),
            ["ipAddr", "user", "mail", "_session_uid"].map(str::to_owned).into(),
            "The attributes by which sessions are found quickly, as the `Index` of LemonLDAP::NG's own backends; `_whatToTrace` needs no mention. \
             Each value of them is a small record more, which is written with a new session and when the value changes, of any session \
             in this storage. Of sessions that were there before, `cloakroom store check --index` writes them.",
        );
        let exported = section.value(
            "exported_attributes",
            &Text(ExportedText),
            Exported::default(),
            "The attributes that clients get at `/sessions`, with spaces between them: LemonLDAP::NG's `exportedAttr`. With a `+` before \
             them they come beside the defaults, and without it alone; the id always leaves.",
        );
        let hidden = section.value(
            "hidden_attributes",
            &Text(HiddenText),
            "_password, _2fDevices".to_owned(),
            "The attributes that leave only to clients that may `secrets`; between slashes, expressions that match a part of the name.",
        );
        let text = section.value(
            "soap_text",
            &TEXT_FORM,
            TextForm::Octet,
            "How text leaves by SOAP. `octet`: each byte of UTF-8 as a character, as a portal sends what it has from a directory, so that \
             handlers make the same headers of it as before. `text`: as text, for other clients.",
        );
        let login = section.optional_table(
            "login",
            "Who may log in by `getCookies`, or through a handler of the type AuthBasic (`?auth`); without it, nobody.",
            |section| {
                let file = section.required(
                "file",
                &Text(FileName),
                PathBuf::from("users.htpasswd"),
                "Names and hashed passwords, as `htpasswd` writes them. Relative to the folder of this file.",
            );
                let cure = format!("`htpasswd -cB {} NAME` makes one", file.display());
                LlngLogin { file: section.existing("file", &file, &cure) }
            },
        );
        let rule_text = "What handlers and scripts are told that ask `isAuthorizedURI`. The longest path of a host decides; what has no \
                         rule is not allowed.";
        let rules = section.tables("rule", rule_text, rule);
        Self {
            soap,
            rest,
            hashed,
            key_file,
            timeout,
            timeout_activity,
            cookie_name,
            cookie_domain,
            cookie_secure,
            index,
            exported,
            hidden,
            text,
            login,
            rules,
        }
    }
}

/// What browsers would refuse, the gateway's cookies refuse too.
fn check_cookie(section: &Section<'_>, name: &str, domain: Option<&str>, is_secure: bool) {
    let settings = CookieSettings {
        name: name.to_owned(),
        path: "/".to_owned(),
        domain: domain.map(str::to_owned),
        same_site: SameSite::Lax,
        same_site_fallback: false,
        secure: is_secure,
        http_only: true,
        partitioned: false,
        max_age: None,
    };
    let Err(error) = settings.check() else { return };
    let (key, cure) = match error {
        CookieError::Domain(_) => ("cookie_domain", "say a name like \"example.com\""),
        CookieError::PrefixForbidsDomain(_) => {
            ("cookie_domain", "remove this line, or choose a `cookie_name` without the prefix")
        }
        CookieError::PrefixNeedsSecure(_) => {
            ("cookie_secure", "remove this line, or choose a `cookie_name` without the prefix")
        }
        _ => ("cookie_name", "choose another"),
    };
    let text = error.to_string();
    section.wrong(key, text.split_once(": ").map_or(&*text, |(message, _)| message), cure);
}

fn rule(section: &mut Section<'_>) -> Rule {
    let host =
        section.required("host", &Text(Host), "app.example.org".to_owned(), "The host of the addresses.");
    let path =
        section.value("path", &Text(UrlPath), "/".to_owned(), "The path of the addresses, with all below.");
    let allow = section.required(
        "allow",
        &Text(AllowText),
        Allow::Everybody,
        "Who may: `everybody` who has a session, `nobody`, or an attribute and its value, such as `groups = admins`: alone, or one of \
         several that `; ` separates.",
    );
    Rule { host: host.into(), path: path.into(), allow }
}

/// Names of attributes, with the rule of `+`.
#[derive(Debug, Clone, Copy)]
struct ExportedText;

impl Wording for ExportedText {
    type Value = Exported;
    const NAME: &'static str = "names";
    const RULES: &'static str =
        "names with spaces between them; a `+` before them means beside the defaults; `*` all";

    fn parse(text: &str) -> Result<Exported, Wrong> {
        Ok(Exported::parse(text))
    }

    fn text(value: &Exported) -> String {
        value.names().map_or_else(|| "*".to_owned(), |names| names.join(" "))
    }
}

/// Names of attributes, and expressions.
#[derive(Debug, Clone, Copy)]
struct HiddenText;

impl Wording for HiddenText {
    type Value = String;
    const NAME: &'static str = "names";
    const RULES: &'static str = "names and `/expressions/` with commas or spaces between them";

    fn parse(text: &str) -> Result<String, Wrong> {
        match Hidden::parse(text) {
            Ok(_) => Ok(text.to_owned()),
            Err(error) => Err(Wrong::new(
                "holds an expression that is none",
                format!("{error}; look-around and back references are not known"),
            )),
        }
    }

    fn text(value: &String) -> String {
        value.clone()
    }
}

/// Who may see an address.
#[derive(Debug, Clone, Copy)]
struct AllowText;

impl Wording for AllowText {
    type Value = Allow;
    const NAME: &'static str = "who";
    const RULES: &'static str = "`everybody`, `nobody`, or `attribute = value`";

    fn parse(text: &str) -> Result<Allow, Wrong> {
        let unclear = || {
            Wrong::new("says nobody in particular", "say \"everybody\", \"nobody\" or \"groups = admins\"")
        };
        match text.trim() {
            "everybody" => Ok(Allow::Everybody),
            "nobody" => Ok(Allow::Nobody),
            text => {
                let (name, value) = text.split_once('=').ok_or_else(unclear)?;
                let (name, value) = (name.trim(), value.trim());
                if name.is_empty() || value.is_empty() {
                    return Err(unclear());
                }
                Ok(Allow::Attribute { name: name.into(), value: value.into() })
            }
        }
    }

    fn text(value: &Allow) -> String {
        match value {
            Allow::Everybody => "everybody".to_owned(),
            Allow::Nobody => "nobody".to_owned(),
            Allow::Attribute { name, value } => format!("{name} = {value}"),
        }
    }
}
