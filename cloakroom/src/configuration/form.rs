//! The forms that a value may have: how it is read, how it is written, and how it is described.

mod choice;
mod duration;
mod list;
mod number;
mod size;
mod text;

use std::ops::Range;

use toml::Spanned;
use toml::de::DeValue;

pub(crate) use choice::{Choice, Switch};
pub(crate) use duration::Span;
pub use duration::shown as shown_duration;
pub(crate) use list::{List, Pairs};
pub(crate) use number::Count;
pub(crate) use size::Size;
pub use size::shown as shown_size;
pub(crate) use text::{Text, Wording};

use super::shape::Kind;

/// What a value of a key may be.
pub(crate) trait Form {
    /// What it becomes.
    type Value;

    /// For the reference and the schema.
    fn kind(&self) -> Kind;

    /// The value, or everything that is wrong with it.
    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Self::Value, Vec<Wrong>>;

    /// The value in TOML, so that reading it gives the same.
    fn write(&self, value: &Self::Value) -> String;
}

/// Why a value does not fit a form.
#[derive(Debug)]
pub(crate) struct Wrong {
    /// Where in the file, when only a part of the value is meant.
    pub(crate) place: Option<Range<usize>>,
    /// What is wrong, to follow the key and its value in a sentence.
    pub(crate) problem: String,
    /// What would be right.
    pub(crate) cure: String,
    /// The value is right for a later version.
    pub(crate) later: bool,
    /// The value may hold a password, and must not be shown.
    pub(crate) secret: bool,
}

impl Wrong {
    pub(crate) fn new(problem: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { place: None, problem: problem.into(), cure: cure.into(), later: false, secret: false }
    }

    /// A value of another type than the form wants.
    fn kind(found: &DeValue<'_>, wanted: &str, cure: impl Into<String>) -> Vec<Self> {
        vec![Self::new(format!("is {}, and should be {wanted}", name_of(found)), cure)]
    }

    /// The same for a part of a value.
    pub(crate) fn within(self, place: Range<usize>) -> Self {
        Self { place: Some(self.place.unwrap_or(place)), ..self }
    }
}

/// What people call a value of this type.
pub(crate) fn name_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// "`a`, `b` and `c`".
pub(crate) fn enumerate<T: std::fmt::Display>(names: &[T], last: &str) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => format!("`{one}`"),
        [first @ .., end] => {
            let first: Vec<String> = first.iter().map(|name| format!("`{name}`")).collect();
            format!("{} {last} `{end}`", first.join(", "))
        }
    }
}

/// A text in TOML, quoted.
pub(crate) fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
