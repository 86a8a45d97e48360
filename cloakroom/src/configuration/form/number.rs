//! A count: a whole number within bounds.

use std::ops::RangeInclusive;

use serde_json::json;
use toml::Spanned;
use toml::de::DeValue;

use super::{Form, Wrong};
use crate::configuration::shape::Kind;

/// How many of something.
#[derive(Debug, Clone)]
pub(crate) struct Count(pub(crate) RangeInclusive<u32>);

impl Form for Count {
    type Value = u32;

    fn kind(&self) -> Kind {
        let (least, most) = (self.0.start(), self.0.end());
        let schema = json!({ "type": "integer", "minimum": least, "maximum": most });
        Kind { name: "number", bounds: format!("{least} to {most}"), schema }
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<u32, Vec<Wrong>> {
        let cure = format!("say a whole number from {} to {}", self.0.start(), self.0.end());
        let DeValue::Integer(number) = value.get_ref() else {
            return Err(Wrong::kind(value.get_ref(), "a whole number", cure));
        };
        match u32::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) if self.0.contains(&number) => Ok(number),
            _ => Err(vec![Wrong::new("is out of range", cure)]),
        }
    }

    fn write(&self, value: &u32) -> String {
        value.to_string()
    }
}
