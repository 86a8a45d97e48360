//! A number of bytes such as `"64KiB"`: a whole number and a unit, or a bare number of bytes.

use serde_json::json;
use toml::Spanned;
use toml::de::DeValue;

use super::{Form, Wrong};
use crate::configuration::shape::Kind;

/// From the largest, with their bytes.
const UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A number of bytes within bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    least: u64,
    most: u64,
    /// What zero means, where it is allowed below the least.
    zero: Option<&'static str>,
}

impl Size {
    pub(crate) const fn between(least: u64, most: u64) -> Self {
        Self { least, most, zero: None }
    }

    /// Allows zero, with a meaning of its own.
    pub(crate) const fn or_zero(self, meaning: &'static str) -> Self {
        Self { zero: Some(meaning), ..self }
    }

    fn bounds(&self) -> String {
        let range = format!("{} to {}", shown(self.least), shown(self.most));
        match self.zero {
            Some(meaning) => format!("{range}; 0: {meaning}"),
            None => range,
        }
    }

    fn check(&self, size: u64) -> Result<u64, Wrong> {
        if (self.least..=self.most).contains(&size) || (size == 0 && self.zero.is_some()) {
            return Ok(size);
        }
        let side = if size < self.least { "too small" } else { "too large" };
        Err(Wrong::new(format!("is {side}"), format!("possible is {}", self.bounds())))
    }
}

impl Form for Size {
    type Value = u64;

    fn kind(&self) -> Kind {
        let schema = json!({
            "oneOf": [
                { "type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB|TiB)?$" },
                { "type": "integer", "minimum": 0 },
            ],
        });
        Kind { name: "size", bounds: self.bounds(), schema }
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<u64, Vec<Wrong>> {
        let size = match value.get_ref() {
            DeValue::String(text) => parse(text),
            DeValue::Integer(number) => match u64::from_str_radix(number.as_str(), number.radix()) {
                Ok(bytes) => Ok(bytes),
                Err(_) => Err(Wrong::new("is no size", format!("possible is {}", self.bounds()))),
            },
            other => return Err(Wrong::kind(other, "a size", "say \"64KiB\" or \"1MiB\"")),
        };
        size.and_then(|size| self.check(size)).map_err(|wrong| vec![wrong])
    }

    fn write(&self, value: &u64) -> String {
        if *value == 0 { "0".to_owned() } else { super::quote(&shown(*value)) }
    }
}

fn parse(text: &str) -> Result<u64, Wrong> {
    let digits_end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(digits_end).unwrap_or((text, ""));
    let unit = if unit.is_empty() { "B" } else { unit };
    if digits.is_empty() {
        return Err(Wrong::new("is no size", "say a whole number and a unit: \"64KiB\" or \"1MiB\""));
    }
    let Some((_, length)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        return Err(Wrong::new("is no size", "the units are B, KiB, MiB, GiB and TiB; 1KiB is 1024 bytes"));
    };
    let number: Option<u64> = digits.parse().ok();
    match number.and_then(|number| number.checked_mul(*length)) {
        Some(bytes) => Ok(bytes),
        None => Err(Wrong::new("is too large", "no machine has that much")),
    }
}

/// A size in the largest unit that divides it: `64KiB`.
pub fn shown(size: u64) -> String {
    if size == 0 {
        return "0".to_owned();
    }
    for (unit, length) in UNITS {
        if size.is_multiple_of(length) {
            return format!("{}{unit}", size / length);
        }
    }
    format!("{size}B")
}
