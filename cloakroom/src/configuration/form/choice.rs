//! One of a few words, or one of two.

use serde_json::json;
use toml::Spanned;
use toml::de::DeValue;

use super::{Form, Wrong, enumerate, quote};
use crate::configuration::shape::Kind;

/// One of a few words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Choice<T: 'static> {
    /// The words and what they stand for.
    pub(crate) words: &'static [(&'static str, T)],
    /// Words whose meaning is settled, for a later version.
    pub(crate) later: &'static [&'static str],
}

impl<T: Clone + PartialEq> Choice<T> {
    fn names(&self) -> Vec<&'static str> {
        self.words.iter().map(|(name, _)| *name).collect()
    }

    /// The word for a value.
    pub(crate) fn word(&self, value: &T) -> &'static str {
        self.words.iter().find(|(_, meaning)| meaning == value).map_or("", |(name, _)| name)
    }

    fn wrong(&self, word: &str) -> Wrong {
        let cure = format!("say {}", enumerate(&self.names(), "or"));
        if self.later.contains(&word) {
            return Wrong { later: true, ..Wrong::new("is not built yet", format!("{cure} for now")) };
        }
        let near = self
            .words
            .iter()
            .map(|(name, _)| (strsim::damerau_levenshtein(name, &word.to_lowercase()), name))
            .min();
        match near {
            Some((distance, name)) if distance <= 2 => {
                Wrong::new("is no choice", format!("did you mean \"{name}\"?"))
            }
            _ => Wrong::new("is no choice", cure),
        }
    }
}

impl<T: Clone + PartialEq> Form for Choice<T> {
    type Value = T;

    fn kind(&self) -> Kind {
        let bounds = enumerate(&self.names(), "or");
        Kind { name: "choice", bounds, schema: json!({ "enum": self.names() }) }
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<T, Vec<Wrong>> {
        let DeValue::String(word) = value.get_ref() else {
            let cure = format!("say {}", enumerate(&self.names(), "or"));
            return Err(Wrong::kind(value.get_ref(), "a word in quotes", cure));
        };
        match self.words.iter().find(|(name, _)| name == word) {
            Some((_, meaning)) => Ok(meaning.clone()),
            None => Err(vec![self.wrong(word)]),
        }
    }

    fn write(&self, value: &T) -> String {
        quote(self.word(value))
    }
}

/// True or false.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Switch;

impl Form for Switch {
    type Value = bool;

    fn kind(&self) -> Kind {
        Kind { name: "true or false", bounds: String::new(), schema: json!({ "type": "boolean" }) }
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<bool, Vec<Wrong>> {
        match value.get_ref() {
            DeValue::Boolean(on) => Ok(*on),
            other => Err(Wrong::kind(other, "true or false", "say true or false, without quotes")),
        }
    }

    fn write(&self, value: &bool) -> String {
        value.to_string()
    }
}
