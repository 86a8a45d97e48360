//! Which attributes leave, and which are masked where they do.

use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder};
use session::Value;

use super::Received;
use super::{BEGAN, LAST_SEEN, SESSION_ID, SESSION_KIND};

/// What stands for a hidden attribute.
pub const MASK: &str = "**********";

/// What stands for one in LemonLDAP::NG from 2.23.
const LATER_MASK: &str = "******";

/// What is exported where nothing is said, and beside what follows a `+`.
const DEFAULTS: [&str; 8] =
    ["authenticationLevel", "groups", "ipAddr", "_startTime", BEGAN, LAST_SEEN, SESSION_ID, SESSION_KIND];

/// How long an expression may be, compiled, in bytes.
const MAX_EXPRESSION: usize = 1 << 20;

/// Which attributes a client gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exported {
    /// All of them.
    All,
    /// Those of these names, in this order. The id is always among them.
    Only(Vec<Box<str>>),
}

impl Exported {
    /// From the text of `exportedAttr`: `+ a b` are the defaults and these, `a b` only these and the id, `*` all of them.
    /// Names are separated by white space or commas. An empty text means the defaults.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let text = text.trim_start_matches(is_separator);
        let more = text.strip_prefix('+');
        let listed: Vec<&str> = words(more.unwrap_or(text)).collect();
        if listed == ["*"] {
            return Self::All;
        }
        let has_defaults = more.is_some() || listed.is_empty();
        let defaults = DEFAULTS.into_iter().filter(|_| has_defaults);
        let mut names: Vec<Box<str>> = Vec::new();
        for name in defaults.chain(listed).chain([SESSION_ID]) {
            if !names.iter().any(|known| **known == *name) {
                names.push(name.into());
            }
        }
        Self::Only(names)
    }

    /// Whether the attribute called `name` leaves.
    #[must_use]
    pub fn allows(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|known| **known == *name),
        }
    }

    /// The names, where they are listed.
    #[must_use]
    pub fn names(&self) -> Option<&[Box<str>]> {
        match self {
            Self::All => None,
            Self::Only(names) => Some(names),
        }
    }
}

impl Default for Exported {
    fn default() -> Self {
        Self::parse("")
    }
}

/// Which attributes are secrets.
#[derive(Debug, Clone)]
pub struct Hidden {
    names: Vec<Box<str>>,
    expressions: Vec<Regex>,
}

/// An entry of the hidden attributes is no expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{entry}` cannot be read: {reason}")]
pub struct MalformedExpression {
    /// The entry with its slashes.
    pub entry: Box<str>,
    /// What the library says of it.
    pub reason: Box<str>,
}

impl Hidden {
    /// From the text of `hiddenAttributes`: names, and expressions between slashes of which any part of a name may be,
    /// separated by white space or commas.
    ///
    /// # Errors
    /// An expression that is none. Perl's look-around and back references are not known: they can take forever.
    pub fn parse(text: &str) -> Result<Self, MalformedExpression> {
        let mut hidden = Self { names: Vec::new(), expressions: Vec::new() };
        for entry in words(text) {
            match entry.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
                Some(expression) => hidden.expressions.push(compile(entry, expression)?),
                None => hidden.names.push(entry.into()),
            }
        }
        Ok(hidden)
    }

    /// Whether the attribute called `name` is a secret.
    #[must_use]
    pub fn hides(&self, name: &str) -> bool {
        self.names.iter().any(|known| **known == *name)
            || self.expressions.iter().any(|expression| expression.is_match(name.as_bytes()))
    }

    /// Whether a client that got only the mask of `name` sends it back: then the attribute stays as it is.
    #[must_use]
    pub fn is_unchanged(&self, name: &str, received: &Received) -> bool {
        matches!(received, Received::Text(text) if is_mask(text)) && self.hides(name)
    }
}

impl Default for Hidden {
    /// `_password` and `_2fDevices`.
    fn default() -> Self {
        Self { names: vec!["_password".into(), "_2fDevices".into()], expressions: Vec::new() }
    }
}

/// The value that stands for a hidden one.
#[must_use]
pub fn mask() -> &'static Value {
    static VALUE: LazyLock<Value> = LazyLock::new(|| MASK.into());
    &VALUE
}

fn is_mask(text: &str) -> bool {
    text == MASK || text == LATER_MASK
}

/// Perl looks at octets here, and so does this: names are ASCII, or matched byte by byte.
fn compile(entry: &str, expression: &str) -> Result<Regex, MalformedExpression> {
    RegexBuilder::new(expression)
        .unicode(false)
        .size_limit(MAX_EXPRESSION)
        .build()
        .map_err(|error| MalformedExpression { entry: entry.into(), reason: error.to_string().into() })
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_separator).filter(|word| !word.is_empty())
}

fn is_separator(character: char) -> bool {
    character == ',' || character.is_ascii_whitespace()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        Exported::parse(text).names().unwrap().iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn a_plus_adds_to_the_defaults() {
        let with = names("+ uid cn, mail");
        assert_eq!(with.len(), DEFAULTS.len() + 3);
        assert!(
            DEFAULTS.iter().chain(&["uid", "cn", "mail"]).all(|name| with.iter().any(|with| with == name))
        );
        assert_eq!(names(" +uid,cn,mail"), with);
        assert_eq!(names("+"), DEFAULTS);
        assert_eq!(names(""), DEFAULTS);
    }

    #[test]
    fn without_a_plus_exactly_the_listed_ones_leave_and_the_id() {
        assert_eq!(names("uid cn"), ["uid", "cn", SESSION_ID]);
        assert_eq!(names("_session_id,uid uid"), ["_session_id", "uid"]);
        let exported = Exported::parse("uid cn");
        assert!(exported.allows("uid") && exported.allows(SESSION_ID));
        assert!(!exported.allows("_password") && !exported.allows("Uid") && !exported.allows("_utime"));
    }

    #[test]
    fn a_star_is_all_of_them() {
        assert_eq!(Exported::parse("*"), Exported::All);
        assert!(Exported::All.allows("_password"));
    }

    #[test]
    fn hidden_ones_are_named_or_match() {
        let hidden = Hidden::parse("_password, _2fDevices /^_oidc.*token$/ /SECRET/").unwrap();
        for name in ["_password", "_2fDevices", "_oidc_access_token", "mySECRETs"] {
            assert!(hidden.hides(name), "{name}");
        }
        for name in ["password", "_passwords", "x_oidc_access_token", "secret"] {
            assert!(!hidden.hides(name), "{name}");
        }
        let default = Hidden::default();
        assert!(default.hides("_password") && default.hides("_2fDevices") && !default.hides("uid"));
    }

    #[test]
    fn an_expression_that_is_none_is_told_with_its_entry() {
        let error = Hidden::parse("uid /(/").unwrap_err();
        assert_eq!(&*error.entry, "/(/");
        assert!(Hidden::parse("/(?=x)/").is_err());
        assert!(Hidden::parse(r"/(\w{1000}){1000}/").is_err(), "one that would take all the memory");
    }

    #[test]
    fn a_mask_that_comes_back_is_no_new_value() {
        // spec/llng.md 12.7.
        let hidden = Hidden::default();
        for mask in [MASK, LATER_MASK] {
            assert!(hidden.is_unchanged("_password", &Received::Text(mask.into())));
            assert!(!hidden.is_unchanged("uid", &Received::Text(mask.into())));
        }
        assert!(!hidden.is_unchanged("_password", &Received::Text("new".into())));
        assert!(!hidden.is_unchanged("_password", &Received::Nil));
    }
}
