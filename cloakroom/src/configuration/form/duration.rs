//! A time span such as `"30s"`: a whole number and a unit, because a bare number leaves open what it counts.

use std::time::Duration;

use serde_json::json;
use toml::Spanned;
use toml::de::DeValue;

use super::{Form, Wrong};
use crate::configuration::shape::Kind;

const DAY: u64 = 24 * 60 * 60 * 1000;
/// From the longest, with their milliseconds.
const UNITS: [(&str, u64); 5] = [("d", DAY), ("h", 60 * 60 * 1000), ("m", 60 * 1000), ("s", 1000), ("ms", 1)];

/// A span of time within bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    least: Duration,
    most: Duration,
    /// What `"0s"` means, where it is allowed below the least.
    zero: Option<&'static str>,
}

impl Span {
    pub(crate) const fn between(least: Duration, most: Duration) -> Self {
        Self { least, most, zero: None }
    }

    /// Allows `"0s"`, with a meaning of its own.
    pub(crate) const fn or_zero(self, meaning: &'static str) -> Self {
        Self { zero: Some(meaning), ..self }
    }

    fn bounds(&self) -> String {
        let range = format!("{} to {}", shown(self.least), shown(self.most));
        match self.zero {
            Some(meaning) => format!("{range}; 0s: {meaning}"),
            None => range,
        }
    }

    fn check(&self, span: Duration) -> Result<Duration, Wrong> {
        if (self.least..=self.most).contains(&span) || (span.is_zero() && self.zero.is_some()) {
            return Ok(span);
        }
        let side = if span < self.least { "too short" } else { "too long" };
        Err(Wrong::new(format!("is {side}"), format!("possible is {}", self.bounds())))
    }
}

impl Form for Span {
    type Value = Duration;

    fn kind(&self) -> Kind {
        let schema = json!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$" });
        Kind { name: "duration", bounds: self.bounds(), schema }
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Duration, Vec<Wrong>> {
        match value.get_ref() {
            DeValue::String(text) => {
                parse(text).and_then(|span| self.check(span)).map_err(|wrong| vec![wrong])
            }
            DeValue::Integer(number) if number.radix() == 10 => Err(vec![unitless(number.as_str())]),
            other => {
                Err(Wrong::kind(other, "a duration", "say \"500ms\", \"30s\", \"15m\", \"8h\" or \"1d\""))
            }
        }
    }

    fn write(&self, value: &Duration) -> String {
        super::quote(&shown(*value))
    }
}

/// A span in the longest unit that divides it: `1h`, `90m`.
pub fn shown(span: Duration) -> String {
    let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    if millis == 0 {
        return "0s".to_owned();
    }
    for (unit, length) in UNITS {
        if millis.is_multiple_of(length) {
            return format!("{}{unit}", millis / length);
        }
    }
    format!("{millis}ms")
}

fn parse(text: &str) -> Result<Duration, Wrong> {
    let digits_end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(digits_end).unwrap_or((text, ""));
    if digits.is_empty() {
        return Err(Wrong::new(
            "is no duration",
            "say a whole number and a unit: \"500ms\", \"30s\", \"15m\", \"8h\" or \"1d\"",
        ));
    }
    if unit.is_empty() {
        return Err(unitless(digits));
    }
    let Some((_, length)) = UNITS.iter().find(|(name, _)| *name == unit) else {
        let cure = "a whole number and one of the units ms, s, m (minutes), h, d: \"90m\", not \"1h30m\"";
        return Err(Wrong::new("is no duration", cure));
    };
    let number: Option<u64> = digits.parse().ok();
    match number.and_then(|number| number.checked_mul(*length)) {
        Some(millis) => Ok(Duration::from_millis(millis)),
        None => Err(Wrong::new("is too long", "no duration here is longer than some years")),
    }
}

fn unitless(digits: &str) -> Wrong {
    if !digits.is_empty() && digits.bytes().all(|digit| digit == b'0') {
        return Wrong::new("has no unit", "say \"0s\"");
    }
    let digits: String = digits.chars().take(12).collect();
    Wrong::new("has no unit", format!("say \"{digits}s\", \"{digits}m\" or \"{digits}h\""))
}
