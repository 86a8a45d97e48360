//! What SOAP::Lite 1.27 itself makes of awkward values.

use session::Value;

use super::*;

/// Written by its serializer, of a hash with octets, characters, empty things, and one hash that is there twice.
const MESSAGE: &[u8] = include_bytes!("set_attributes.xml");

fn list(items: &[&str]) -> Value {
    Value::List(items.iter().map(|item| (*item).into()).collect())
}

fn map(pairs: &[(&str, Value)]) -> Value {
    Value::Map(pairs.iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
}

#[test]
fn each_value_of_perl_is_stored_as_what_it_is() {
    let call = read(Some(""), Some("text/xml; charset=utf-8"), MESSAGE).unwrap();
    let [id, attributes] = <[_; 2]>::try_from(call.arguments).unwrap();
    assert!(id == text("abc"));
    let Received::Map(attributes) = attributes else { panic!("a map") };
    let stored: Vec<(Box<str>, Option<Value>)> =
        attributes.into_iter().map(|(name, value)| (name, value.settle(None))).collect();
    let expected: [(&str, Value); 23] = [
        ("oct", "Dö".into()),
        ("dec", Value::Bytes((*b"D\xf6").into())),
        ("wide", "х".into()),
        ("l1", Value::Bytes((*b"caf\xe9").into())),
        ("eh", map(&[])),
        ("ea", list(&[])),
        ("arrun", list(&["a", ""])),
        ("a", map(&[("k", "v".into())])),
        ("b", map(&[("k", "v".into())])),
        ("F", "true".into()),
        ("t", "true".into()),
        ("f", "false".into()),
        ("odd", map(&[("1 b", "1".into()), ("x:y", "2".into())])),
        ("nn", map(&[("ö", "1".into())])),
        ("n", "-5".into()),
        ("p", "+5".into()),
        ("fl", "1.50".into()),
        ("cr", "a\rb".into()),
        ("sp", "  x ".into()),
        ("mix", list(&["1", "a"])),
        ("nest", Value::List(vec![list(&["1"]), Value::List(vec![map(&[])])])),
        ("neg", "-2147483649".into()),
        ("tab", "a\tb\n".into()),
    ];
    for (name, expected) in &expected {
        let (_, found) = stored.iter().find(|(known, _)| **known == **name).unwrap();
        assert_eq!(found.as_ref(), Some(expected), "{name}");
    }
    // Three more that are dates and times, and one that goes.
    assert_eq!(stored.len(), expected.len() + 4);
    assert!(stored.contains(&("un".into(), None)));
}
