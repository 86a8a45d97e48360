//! Which members of a session somebody wants to see: `?fields=handle,entries.mail`.

use serde_json::{Map, Value as JsonValue};

use super::problem::Problem;

/// The members of a session.
const MEMBERS: [&str; 10] = [
    "handle",
    "realm",
    "principal",
    "authentication",
    "begun",
    "last_seen",
    "ends",
    "revision",
    "entries",
    "assertions",
];

/// Members of a session.
#[derive(Debug, Default)]
pub(super) struct Fields<'q> {
    members: Vec<&'q str>,
    /// Entries, where not all are wanted.
    entries: Vec<&'q str>,
}

impl<'q> Fields<'q> {
    /// Those that a text names.
    pub(super) fn read(text: &'q str) -> Result<Self, Problem> {
        let mut fields = Self::default();
        for name in text.split(',') {
            match name.strip_prefix("entries.") {
                Some(entry) => fields.entries.push(entry),
                None if MEMBERS.contains(&name) => fields.members.push(name),
                None => {
                    let known = MEMBERS.join(", ");
                    return Err(Problem::Malformed(format!(
                        "`fields` has names with commas between them, out of {known}, and entries.NAME"
                    )));
                }
            }
        }
        Ok(fields)
    }

    /// Leaves only these in a session.
    pub(super) fn select(&self, session: &mut Map<String, JsonValue>) {
        let has_all_entries = self.members.contains(&"entries");
        if !has_all_entries && let Some(JsonValue::Object(entries)) = session.get_mut("entries") {
            entries.retain(|name, _| self.entries.contains(&name.as_str()));
        }
        session.retain(|name, _| {
            self.members.contains(&name.as_str()) || name == "entries" && !self.entries.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_named_is_left() {
        let all = json!({"handle": "h", "realm": "r", "entries": {"a": "1", "b.c": "2"}, "begun": 7});
        for (text, left) in [
            ("handle,begun", json!({"handle": "h", "begun": 7})),
            ("entries", json!({"entries": {"a": "1", "b.c": "2"}})),
            ("entries.b.c,realm", json!({"realm": "r", "entries": {"b.c": "2"}})),
            ("entries.a,entries", json!({"entries": {"a": "1", "b.c": "2"}})),
            ("entries.none", json!({"entries": {}})),
            ("ends", json!({})),
        ] {
            let JsonValue::Object(mut session) = all.clone() else { panic!("{all}") };
            Fields::read(text).unwrap().select(&mut session);
            assert_eq!(JsonValue::Object(session), left, "{text}");
        }
        for wrong in ["", "ticket", "handle,", "handle, realm"] {
            assert!(Fields::read(wrong).is_err(), "{wrong}");
        }
    }
}
