//! The wordings of names that are our own or the operator's: ids, files, entries, log levels.

use std::path::{Path, PathBuf};

use server::Attributes;

use super::form::{Wording, Wrong};

/// The name that a part of the configuration goes by elsewhere in it, in logs and in metrics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Identifier;

impl Wording for Identifier {
    type Value = String;
    const NAME: &'static str = "id";
    const RULES: &'static str = "at most 64 letters, digits, `.`, `_`, `-`, the first a letter or digit";

    fn parse(text: &str) -> Result<String, Wrong> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let starts_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        if starts_well && text.len() <= 64 && text.bytes().all(plain) {
            Ok(text.to_owned())
        } else {
            Err(Wrong::new("is no id", format!("an id has {}", Self::RULES)))
        }
    }

    fn text(value: &String) -> String {
        value.clone()
    }
}

/// The name of a file or a folder.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FileName;

impl Wording for FileName {
    type Value = PathBuf;
    const NAME: &'static str = "file name";
    const RULES: &'static str = "";

    fn parse(text: &str) -> Result<PathBuf, Wrong> {
        Ok(Path::new(text).to_owned())
    }

    fn text(value: &PathBuf) -> String {
        value.display().to_string()
    }
}

/// The name of an entry of a session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryName;

impl Wording for EntryName {
    type Value = String;
    const NAME: &'static str = "entry name";
    const RULES: &'static str = "at most 255 bytes";

    fn parse(text: &str) -> Result<String, Wrong> {
        if text.len() <= 255 {
            Ok(text.to_owned())
        } else {
            Err(Wrong::new("is too long", "an entry name has at most 255 bytes"))
        }
    }

    fn text(value: &String) -> String {
        value.clone()
    }
}

/// The name of somebody who logs in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UserName;

impl Wording for UserName {
    type Value = String;
    const NAME: &'static str = "name";
    const RULES: &'static str = "as the login says it";

    fn parse(text: &str) -> Result<String, Wrong> {
        Ok(text.to_owned())
    }

    fn text(value: &String) -> String {
        value.clone()
    }
}

/// The name that a password of HTTP Basic belongs to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PasswordName;

impl Wording for PasswordName {
    type Value = String;
    const NAME: &'static str = "name";
    const RULES: &'static str = "without a colon";

    fn parse(text: &str) -> Result<String, Wrong> {
        // RFC 7617, 2: the first colon ends it.
        if text.contains(':') {
            Err(Wrong::new(
                "holds a colon",
                "with HTTP Basic, the first colon ends the name: choose one without",
            ))
        } else {
            Ok(text.to_owned())
        }
    }

    fn text(value: &String) -> String {
        value.clone()
    }
}

/// One name out of many, or `*` for all of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NameOrAll;

impl Wording for NameOrAll {
    type Value = String;
    const NAME: &'static str = "name";
    const RULES: &'static str = "or `*`; at most 255 bytes";

    fn parse(text: &str) -> Result<String, Wrong> {
        if text.len() <= 255 {
            Ok(text.to_owned())
        } else {
            Err(Wrong::new("is too long", "a name has at most 255 bytes"))
        }
    }

    fn text(value: &String) -> String {
        value.clone()
    }
}

/// Names of entries with spaces between them, as LemonLDAP::NG writes its exported attributes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttributeList;

impl Wording for AttributeList {
    type Value = Attributes;
    const NAME: &'static str = "names";
    const RULES: &'static str = "`*`, `uid mail` or `+ uid mail`";

    fn parse(text: &str) -> Result<Attributes, Wrong> {
        let between = |character: char| character == ',' || character.is_ascii_whitespace();
        let (names, is_further) = match text.trim().strip_prefix('+') {
            Some(names) => (names, true),
            None => (text, false),
        };
        let names: Box<[Box<str>]> =
            names.split(between).filter(|name| !name.is_empty()).map(Into::into).collect();
        match &*names {
            [name] if **name == *"*" && !is_further => Ok(Attributes::All),
            [] => Err(Wrong::new("names no entry", "say \"*\", \"uid mail\" or \"+ uid mail\"")),
            _ if is_further => Ok(Attributes::Further(names)),
            _ => Ok(Attributes::Only(names)),
        }
    }

    fn text(value: &Attributes) -> String {
        match value {
            Attributes::Usual | Attributes::All => "*".to_owned(),
            Attributes::Only(names) => names.join(" "),
            Attributes::Further(names) => format!("+ {}", names.join(" ")),
        }
    }
}

/// To whom a certificate is made out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SubjectName;

impl Wording for SubjectName {
    type Value = String;
    const NAME: &'static str = "subject";
    const RULES: &'static str = "as RFC 4514 writes it, such as `CN=ada,O=Example`";

    fn parse(text: &str) -> Result<String, Wrong> {
        if text.contains('=') && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            Ok(text.to_owned())
        } else {
            Err(Wrong::new("is no subject", "write it as RFC 4514 does: \"CN=ada,O=Example\""))
        }
    }

    fn text(value: &String) -> String {
        value.clone()
    }
}

/// What SAML calls somebody who issues or takes assertions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntityId;

impl Wording for EntityId {
    type Value = String;
    const NAME: &'static str = "entity id";
    const RULES: &'static str = "a URI of at most 1024 characters";

    fn parse(text: &str) -> Result<String, Wrong> {
        // SAML core 8.3.6.
        if !text.is_empty() && text.chars().count() <= 1024 && !text.contains(char::is_whitespace) {
            Ok(text.to_owned())
        } else {
            Err(Wrong::new("is no entity id", "an entity id is a URI of at most 1024 characters"))
        }
    }

    fn text(value: &String) -> String {
        value.clone()
    }
}

/// What an entry of a session holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EntryText;

impl Wording for EntryText {
    type Value = String;
    const NAME: &'static str = "text";
    const RULES: &'static str = "";

    fn parse(text: &str) -> Result<String, Wrong> {
        Ok(text.to_owned())
    }

    fn text(value: &String) -> String {
        value.clone()
    }
}

/// What stands between the values of a list when they are presented as one text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Separator;

impl Wording for Separator {
    type Value = String;
    const NAME: &'static str = "separator";
    const RULES: &'static str = "1 to 8 printable ASCII characters";

    fn parse(text: &str) -> Result<String, Wrong> {
        if text.len() <= 8 && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            Ok(text.to_owned())
        } else {
            Err(Wrong::new("is no separator", "say 1 to 8 printable ASCII characters, such as \";\""))
        }
    }

    fn text(value: &String) -> String {
        value.clone()
    }
}

/// What is logged: a level, or levels by target.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Levels;

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl Wording for Levels {
    type Value = String;
    const NAME: &'static str = "level";
    const RULES: &'static str = "off, error, warn, info, debug or trace; also by part: `info,gateway=debug`";

    fn parse(text: &str) -> Result<String, Wrong> {
        let part_is_right = |part: &str| {
            let (target, level) = part.trim().rsplit_once('=').unwrap_or(("any", part.trim()));
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':' | b'-');
            LEVELS.contains(&level) && !target.is_empty() && target.bytes().all(plain)
        };
        match text.split(',').find(|part| !part_is_right(part)) {
            None => Ok(text.to_owned()),
            Some(_) => Err(Wrong::new(
                "is no level",
                "say \"info\", or \"info,gateway=debug\"; the levels are off, error, warn, info, debug, trace",
            )),
        }
    }

    fn text(value: &String) -> String {
        value.clone()
    }
}
