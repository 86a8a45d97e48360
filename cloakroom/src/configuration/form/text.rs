//! A text with rules of its own: an address, a path, a name.

use serde_json::json;
use toml::Spanned;
use toml::de::DeValue;

use super::{Form, Wrong, quote};
use crate::configuration::shape::Kind;

/// No text in a configuration needs to be longer, in bytes.
const MAX_LENGTH: usize = 4096;

/// The rules of a kind of text.
pub(crate) trait Wording {
    /// What the text becomes.
    type Value;
    /// What people call it.
    const NAME: &'static str;
    /// The rules in a few words; may be empty.
    const RULES: &'static str;

    fn parse(text: &str) -> Result<Self::Value, Wrong>;

    /// The text again.
    fn text(value: &Self::Value) -> String;
}

/// A text in the wording `W`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<W>(pub(crate) W);

impl<W: Wording> Text<W> {
    pub(crate) fn parse(&self, text: &str) -> Result<W::Value, Wrong> {
        if text.len() > MAX_LENGTH {
            return Err(Wrong::new("is too long", format!("at most {MAX_LENGTH} bytes are possible")));
        }
        if text.is_empty() {
            return Err(Wrong::new(
                "is empty",
                format!("say {}, or leave the key out", with_article(W::NAME)),
            ));
        }
        if text.chars().any(char::is_control) {
            return Err(Wrong::new("holds a control character", "remove it"));
        }
        W::parse(text)
    }
}

impl<W: Wording> Form for Text<W> {
    type Value = W::Value;

    fn kind(&self) -> Kind {
        Kind {
            name: W::NAME,
            bounds: W::RULES.to_owned(),
            schema: json!({ "type": "string", "minLength": 1 }),
        }
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<W::Value, Vec<Wrong>> {
        match value.get_ref() {
            DeValue::String(text) => self.parse(text).map_err(|wrong| vec![wrong]),
            other => Err(Wrong::kind(other, &with_article(W::NAME), "put it in quotes")),
        }
    }

    fn write(&self, value: &W::Value) -> String {
        quote(&W::text(value))
    }
}

pub(super) fn with_article(name: &str) -> String {
    let article = if name.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {name}")
}
