//! The JSON schema of the configuration, by which editors complete and check it.

use serde_json::{Map, Value, json};

use super::shape::{Default, Key, Many, Table};

pub(crate) fn schema(root: &Table) -> Value {
    let mut schema = table(root);
    if let Value::Object(object) = &mut schema {
        object.insert("$schema".to_owned(), json!("https://json-schema.org/draft/2020-12/schema"));
        object.insert("title".to_owned(), json!("Cloakroom's configuration"));
    }
    schema
}

fn table(of: &Table) -> Value {
    let mut properties = Map::new();
    for key in &of.keys {
        properties.insert(key.name.to_owned(), property(key));
    }
    for inner in &of.tables {
        let value = match inner.many {
            Many::List => json!({ "type": "array", "description": inner.text, "items": table(inner) }),
            Many::One | Many::Optional => table(inner),
        };
        properties.insert(inner.name().to_owned(), value);
    }
    let required: Vec<&str> = of
        .keys
        .iter()
        .filter(|key| matches!(key.default, Default::Required(_)))
        .map(|key| key.name)
        .collect();
    json!({
        "type": "object",
        "description": of.text,
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn property(key: &Key) -> Value {
    let mut schema = key.kind.schema.clone();
    if let Value::Object(object) = &mut schema {
        let bounds = if key.kind.bounds.is_empty() {
            String::new()
        } else {
            format!(" ({}: {})", key.kind.name, key.kind.bounds)
        };
        object.insert("description".to_owned(), json!(format!("{}{bounds}", key.text)));
        let value = match &key.default {
            Default::Value(value) => ("default", as_json(value)),
            Default::Required(value) | Default::Nothing(value) => ("examples", json!([as_json(value)])),
            Default::Follows { .. } => return schema,
        };
        object.insert(value.0.to_owned(), value.1);
    }
    schema
}

/// A value in TOML as the same value in JSON.
fn as_json(value: &str) -> Value {
    let document = format!("value = {value}");
    let table: Result<Map<String, Value>, _> = toml::from_str(&document);
    table.ok().and_then(|mut table| table.remove("value")).unwrap_or(Value::Null)
}
