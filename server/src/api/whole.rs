//! Whole numbers as JSON has them: moments, revisions and counts, up to 2^53 - 1.
//!
//! Whoever reads JSON keeps these exactly (RFC 8259, 6), and no larger ones; a number that was written as `7.0` on the way is 7.

use std::fmt;

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// The largest.
const MAX: u64 = (1 << 53) - 1;

/// A whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub(super) struct Whole(pub(super) u64);

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(Reader)
    }
}

struct Reader;

impl Visitor<'_> for Reader {
    type Value = Whole;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a whole number from 0 to {MAX}")
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Whole, E> {
        if number <= MAX {
            Ok(Whole(number))
        } else {
            Err(E::invalid_value(Unexpected::Unsigned(number), &self))
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "whole numbers in this range are the same in both"
    )]
    fn visit_f64<E: Error>(self, number: f64) -> Result<Whole, E> {
        if number.fract() == 0.0 && (0.0..=MAX as f64).contains(&number) {
            Ok(Whole(number as u64))
        } else {
            Err(E::invalid_value(Unexpected::Float(number), &self))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_reader_of_json_keeps_exactly_is_read_and_nothing_else() {
        for (text, whole) in [
            ("0", Some(0)),
            ("1795321143000", Some(1_795_321_143_000)),
            ("7.0", Some(7)),
            ("1e3", Some(1000)),
            ("9007199254740991", Some(MAX)),
            ("9007199254740992", None),
            ("9007199254740993.0", None),
            ("18446744073709551616", None),
            ("-1", None),
            ("0.5", None),
            ("\"7\"", None),
        ] {
            assert_eq!(serde_json::from_str::<Whole>(text).ok(), whole.map(Whole), "{text}");
        }
    }
}
