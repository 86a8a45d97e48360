//! What a configuration consists of, as data.
//!
//! Whoever reads a section says of each key what it is called, means and may be ([`Section`](super::section::Section)).
//! What was said is kept here, and the reference, the JSON schema, the example and the effective
//! configuration are written from it. So they cannot differ from what is read.

use std::collections::BTreeMap;

use serde_json::Value;

/// A table of the file, with what was declared of it.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    /// With the names of the tables around it: `application.cookie`. Empty for the file itself.
    pub(crate) path: String,
    pub(crate) many: Many,
    pub(crate) text: &'static str,
    pub(crate) keys: Vec<Key>,
    pub(crate) tables: Vec<Table>,
    /// Keys whose names are settled, and which a later version will understand.
    pub(crate) later: Vec<&'static str>,
}

impl Table {
    /// The last part of the path.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or("")
    }

    /// Where a key stands in the file, in bytes: by the tables around it, and which of their name each is.
    pub(crate) fn place(&self, tables: &[(&str, usize)], key: &str) -> Option<usize> {
        match tables {
            [] => self.keys.iter().find(|known| known.name == key)?.place,
            [(name, index), rest @ ..] => {
                self.tables.iter().filter(|table| table.name() == *name).nth(*index)?.place(rest, key)
            }
        }
    }
}

/// How often a table may stand in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Many {
    /// Once; left out, all its keys have their defaults.
    One,
    /// Once; left out, what it configures is off.
    Optional,
    /// As `[[name]]`, any number of times.
    List,
}

/// A key, with what was declared of it.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) default: Default,
    pub(crate) text: &'static str,
    /// What holds now, in TOML; nothing where the key is left out and has no default.
    pub(crate) effective: Option<String>,
    /// Where the file has it, in bytes.
    pub(crate) place: Option<usize>,
}

/// What holds when the key is left out. All values are written in TOML.
#[derive(Debug, Clone)]
pub(crate) enum Default {
    Value(String),
    /// Taken from elsewhere; the words say from where.
    Follows {
        value: String,
        says: &'static str,
    },
    /// The key must be there; the value is an example.
    Required(String),
    /// Nothing; the value is an example.
    Nothing(String),
}

/// What a value may be.
#[derive(Debug, Clone)]
pub(crate) struct Kind {
    /// What people call it: "duration".
    pub(crate) name: &'static str,
    /// The range or the choices, for people; may be empty.
    pub(crate) bounds: String,
    /// The same in JSON schema.
    pub(crate) schema: Value,
}

/// The full names of the keys whose values are not the same in both, in their order.
pub(crate) fn differences(left: &Table, right: &Table) -> Vec<String> {
    let (mut before, mut after) = (Values::default(), Values::default());
    before.collect(left);
    after.collect(right);
    let names =
        before.names.iter().chain(after.names.iter().filter(|name| !before.values.contains_key(*name)));
    names.filter(|name| before.values.get(*name) != after.values.get(*name)).cloned().collect()
}

/// What holds, by full name; one of a list of tables has several values.
#[derive(Default)]
struct Values {
    names: Vec<String>,
    values: BTreeMap<String, Vec<Option<String>>>,
}

impl Values {
    fn collect(&mut self, table: &Table) {
        for key in &table.keys {
            let name = if table.path.is_empty() {
                key.name.to_owned()
            } else {
                format!("{}.{}", table.path, key.name)
            };
            let values = self.values.entry(name.clone()).or_default();
            if values.is_empty() {
                self.names.push(name);
            }
            values.push(key.effective.clone());
        }
        for inner in &table.tables {
            self.collect(inner);
        }
    }
}
