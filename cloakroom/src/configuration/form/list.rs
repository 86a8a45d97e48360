//! Several values of one form, and pairs of names and texts.

use serde_json::json;
use toml::Spanned;
use toml::de::DeValue;

use super::text::{Text, Wording, with_article};
use super::{Form, Wrong};
use crate::configuration::shape::Kind;

/// More than this in one list is refused.
const MAX_ELEMENTS: usize = 1000;

/// A list of values of one form. Each wrong element is reported by itself.
#[derive(Debug, Clone)]
pub(crate) struct List<F>(pub(crate) F);

impl<F: Form> Form for List<F> {
    type Value = Vec<F::Value>;

    fn kind(&self) -> Kind {
        let Kind { name, bounds, schema } = self.0.kind();
        let bounds = if bounds.is_empty() {
            format!("each {}", with_article(name))
        } else {
            format!("each {}: {bounds}", with_article(name))
        };
        Kind {
            name: "list",
            bounds,
            schema: json!({ "type": "array", "items": schema, "maxItems": MAX_ELEMENTS }),
        }
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Self::Value, Vec<Wrong>> {
        let DeValue::Array(array) = value.get_ref() else {
            return Err(Wrong::kind(
                value.get_ref(),
                "a list",
                "put it in brackets, also when it is one: [\"...\"]",
            ));
        };
        if array.len() > MAX_ELEMENTS {
            return Err(vec![Wrong::new("is too long", format!("at most {MAX_ELEMENTS} are possible"))]);
        }
        let (mut values, mut wrongs) = (Vec::new(), Vec::new());
        for element in array.iter() {
            match self.0.read(element) {
                Ok(value) => values.push(value),
                Err(found) => wrongs.extend(found.into_iter().map(|wrong| wrong.within(element.span()))),
            }
        }
        if wrongs.is_empty() { Ok(values) } else { Err(wrongs) }
    }

    fn write(&self, value: &Self::Value) -> String {
        let elements: Vec<String> = value.iter().map(|element| self.0.write(element)).collect();
        format!("[{}]", elements.join(", "))
    }
}

/// An inline table whose names are free, within a wording, in alphabetical order.
#[derive(Debug, Clone)]
pub(crate) struct Pairs<K: Wording, V: Wording> {
    pub(crate) names: Text<K>,
    pub(crate) values: Text<V>,
}

impl<K: Wording, V: Wording> Form for Pairs<K, V> {
    type Value = Vec<(K::Value, V::Value)>;

    fn kind(&self) -> Kind {
        let (name, value) = (self.names.kind(), self.values.kind());
        let bounds = format!("{} = {}", name.name, value.name);
        let schema =
            json!({ "type": "object", "additionalProperties": value.schema, "maxProperties": MAX_ELEMENTS });
        Kind { name: "pairs", bounds, schema }
    }

    fn read(&self, value: &Spanned<DeValue<'_>>) -> Result<Self::Value, Vec<Wrong>> {
        let DeValue::Table(table) = value.get_ref() else {
            return Err(Wrong::kind(value.get_ref(), "pairs", "say { \"name\" = \"value\" }"));
        };
        if table.len() > MAX_ELEMENTS {
            return Err(vec![Wrong::new(
                "has too many pairs",
                format!("at most {MAX_ELEMENTS} are possible"),
            )]);
        }
        let (mut pairs, mut wrongs) = (Vec::new(), Vec::new());
        for (name, value) in table {
            let read_name =
                self.names.parse(name.get_ref()).map_err(|wrong| wrongs.push(wrong.within(name.span())));
            let read_value = self.values.read(value);
            match (read_name, read_value) {
                (Ok(name), Ok(value)) => pairs.push((name, value)),
                (_, Err(found)) => wrongs.extend(found.into_iter().map(|wrong| wrong.within(value.span()))),
                (Err(()), Ok(_)) => {}
            }
        }
        if wrongs.is_empty() { Ok(pairs) } else { Err(wrongs) }
    }

    fn write(&self, value: &Self::Value) -> String {
        let pairs: Vec<String> = value
            .iter()
            .map(|(name, value)| format!("{} = {}", self.names.write(name), self.values.write(value)))
            .collect();
        if pairs.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", pairs.join(", ")) }
    }
}
