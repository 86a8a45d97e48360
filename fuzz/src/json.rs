//! The update header in JSON, against `serde_json`'s own reading of it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway::handoff::{Format, Problem, receive};
use http::HeaderValue;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value as Json;
use session::{Change, MAX_DEPTH, Patch, Revision, Value};

use crate::update::{LIMITS, what_is_received_is_bounded_and_named, what_was_read_is_presented};

/// Inputs to begin with.
pub const SEEDS: &[&[u8]] = &[
    br#"{"name":"Ada L\u00f6we","gone":null,"n":1.50,"on":true,"list":["a",1,null],"map":{"a":{"b":"c"}}}"#,
    br#"{"bytes":{"$base64":"//4="},"text":{"$base64":"YQ=="},"no":{"$base64":"!"},"two":{"$base64":"YQ==","x":null}}"#,
    br#"{"a":1,"a":2,"a":null,"m":{"x":1,"x":null},"m2":{"x":null,"x":1}}"#,
    br#"{"expiry":1700000000000000,"EXPIRY":"1","Expiry":null,"eXpiry":1.5}"#,
    br#"{"":1,"__proto__":{"a":1},"$base64":"YQ==","\u0000":"\u0000"}"#,
    br#"{"deep":[[[[[[[[[[[[[[[["16"]]]]]]]]]]]]]]]],"deeper":[[[[[[[[[[[[[[[[[17]]]]]]]]]]]]]]]]]}"#,
    br#"{"big":1e308,"small":5e-324,"most":18446744073709551615,"more":18446744073709551616,"least":-9223372036854775808,"zero":-0.0}"#,
    br#"{"surrogates":"\ud83d\ude00"}"#,
    br#"{"lone":"\ud800"}"#,
    b"{\"raw\":\"\xc3\xa9\xff\"}",
    b"[]",
    b"{} {}",
    b"{\"a\":1,}",
    br#"{"l":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33,34,35,36,37,38,39,40]}"#,
];

/// What it is made of.
pub const WORDS: &[&[u8]] = &[
    b"{\"",
    b"\":",
    b"null",
    b"true",
    b"{\"$base64\":\"",
    b"$base64",
    b"expiry",
    b"[[",
    b"]]",
    b"\\u00e9",
    b"\\ud83d\\ude00",
    b"1e308",
    b"-0.0",
];

/// Checks the laws.
pub fn check(bytes: &[u8]) {
    let Ok(value) = HeaderValue::from_bytes(bytes) else { return };
    let received = receive(&[value], Format::Json, Revision(7), LIMITS);
    what_is_received_is_bounded_and_named(&received);
    let is_refused = |is: fn(&Problem) -> bool| received.notes.iter().any(|note| is(&note.problem));
    if !is_refused(|problem| matches!(problem, Problem::Form(_))) {
        let members = serde_json::from_slice::<Members>(bytes);
        assert_eq!(members.is_err(), is_refused(|problem| matches!(problem, Problem::Json { .. })));
        assert_eq!(changes(&received.patch), changes(&expected(members.unwrap_or_default())));
    }
    what_was_read_is_presented(&received.patch, Format::Json);
}

/// What the members mean, each for itself.
fn expected(members: Members) -> Patch {
    let mut patch = Patch::new(Revision(7));
    for (name, json) in members.0 {
        if name.is_empty() || name.eq_ignore_ascii_case("expiry") {
            continue;
        }
        match value(&json) {
            Some(value) if value.is_at_most(MAX_DEPTH) => patch.set(&name, value),
            Some(_) => {}
            None => patch.remove(&name),
        }
    }
    patch
}

/// The changes, with the members of maps by name: the library does not keep their order.
fn changes(patch: &Patch) -> Vec<(String, Option<Value>)> {
    let change = |change: &Change| match change {
        Change::Set(value) => Some(sorted(value)),
        Change::Remove => None,
    };
    patch.changes().map(|(name, made)| (name.to_owned(), change(made))).collect()
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Text(_) | Value::Bytes(_) => value.clone(),
        Value::List(values) => Value::List(values.iter().map(sorted).collect()),
        Value::Map(members) => {
            let mut members: Vec<(Box<str>, Value)> =
                members.iter().map(|(name, value)| (name.clone(), sorted(value))).collect();
            members.sort_by(|(one, _), (other, _)| one.cmp(other));
            Value::Map(members)
        }
    }
}

fn value(json: &Json) -> Option<Value> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(is) => is.to_string().into(),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) => number.to_string().into(),
            (_, Some(number), _) => number.to_string().into(),
            (.., number) => number.expect("there is no other number").to_string().into(),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(values) => Value::List(values.iter().filter_map(value).collect()),
        Json::Object(members) => {
            let members: Vec<(Box<str>, Value)> = members
                .iter()
                .filter_map(|(name, json)| Some((name.as_str().into(), value(json)?)))
                .collect();
            bytes_in(&members).unwrap_or(Value::Map(members))
        }
    })
}

fn bytes_in(members: &[(Box<str>, Value)]) -> Option<Value> {
    match members {
        [(name, Value::Text(text))] if &**name == "$base64" => {
            STANDARD.decode(&**text).ok().map(Value::from_bytes)
        }
        _ => None,
    }
}

/// The members of an object in order, with those that come again.
#[derive(Default)]
struct Members(Vec<(String, Json)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}
