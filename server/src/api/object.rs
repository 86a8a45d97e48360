//! JSON objects, and nothing in their place.
//!
//! What serde derives for a struct reads an array too, whose elements it takes for the members in their order. Nobody means that who sends
//! one, and a description of the API could not say it.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// What is read of an object.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader(PhantomData))
    }
}

struct Reader<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
    type Value = Object<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(members)).map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Pair {
        a: u8,
        b: Option<u8>,
    }

    #[test]
    fn an_array_is_no_object() {
        let read =
            |text: &str| serde_json::from_str::<Object<Pair>>(text).map(|Object(pair)| (pair.a, pair.b));
        assert_eq!(read(r#"{"a": 1}"#).ok(), Some((1, None)));
        assert_eq!(read(r#"{"b": 2, "a": 1}"#).ok(), Some((1, Some(2))));
        for wrong in ["[1, 2]", "null", "{}", r#"{"a": 1, "c": 2}"#, r#"{"a": 1, "a": 2}"#] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(serde_json::from_str::<Pair>("[1, 2]").is_ok(), "then this is needed no more");
    }
}
