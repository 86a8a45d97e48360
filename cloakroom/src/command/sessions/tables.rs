//! What people read of sessions. Names and values are of others: what a terminal would obey is not printed.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::Value;

/// Above the rows of a list.
pub(super) const HEADER: &str =
    "handle                            realm             begun                 last seen             whose";

/// A session in a list.
pub(super) fn row(session: &Value) -> String {
    format!(
        "{:<32}  {:<16}  {:<20}  {:<20}  {}",
        text(session, "handle"),
        text(session, "realm"),
        moment(session, "begun"),
        moment(session, "last_seen"),
        whose(session)
    )
    .trim_end()
    .to_owned()
}

/// A session by itself.
pub(super) fn session(session: &Value) -> String {
    let mut page = String::new();
    // Writing to a String does not fail.
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(page, "{name:<16} {value}");
        }
    };
    line("handle", &text(session, "handle"));
    line("realm", &text(session, "realm"));
    line("whose", &whose(session));
    if let Some(proof) = session.get("authentication") {
        line("logged in", &format!("{} {}", moment(proof, "at"), text(proof, "level")));
    }
    line("begun", &moment(session, "begun"));
    line("last seen", &moment(session, "last_seen"));
    line("ends", &moment(session, "ends"));
    line("revision", &session.get("revision").map(Value::to_string).unwrap_or_default());
    if let Some(assertions) =
        session.get("assertions").and_then(Value::as_array).filter(|ids| !ids.is_empty())
    {
        line("assertions", &assertions.iter().map(shown).collect::<Vec<_>>().join(", "));
    }
    if let Some(entries) = session.get("entries").and_then(Value::as_object).filter(|all| !all.is_empty()) {
        page.push_str("\nentries\n");
        for (name, value) in entries {
            let _ = writeln!(page, "  {} = {}", printable(name), shown(value));
        }
    }
    page
}

/// What became of a session.
pub(super) fn became(became: &Value) -> String {
    let handle = text(became, "handle");
    match (text(became, "life").as_str(), became.get("ending")) {
        ("live", _) => format!("{handle} is live."),
        ("idle", _) => format!("{handle} is over: nobody used it for too long."),
        ("lifetime", _) => format!("{handle} is over: it reached its lifetime."),
        ("ended", Some(ending)) => {
            let mut said = format!("{handle} was ended at {}: {}", moment(ending, "at"), text(ending, "why"));
            for (name, word) in [("by", "by"), ("from", "from")] {
                let who = text(ending, name);
                if !who.is_empty() {
                    let _ = write!(said, ", {word} {who}");
                }
            }
            said
        }
        _ => format!("Nobody knows anything of {handle}: it never was, is in a cookie, or ended long ago."),
    }
}

/// What an end did.
pub(super) fn receipt(receipt: &Value) -> String {
    let names = |name: &str| {
        let nodes = receipt.get(name).and_then(Value::as_array);
        nodes.map(|nodes| nodes.iter().map(shown).collect::<Vec<_>>().join(", ")).unwrap_or_default()
    };
    let or_more = receipt.get("or_more") == Some(&Value::Bool(true));
    let sessions = match receipt.get("sessions").and_then(Value::as_u64) {
        Some(count) if or_more => format!("{count} sessions or more were ended."),
        Some(1) => "1 session was ended.".to_owned(),
        Some(count) => format!("{count} sessions were ended."),
        None => "The sessions were ended; nobody has counted them.".to_owned(),
    };
    let mut said = sessions;
    for (name, word) in [("confirmed", "Confirmed by"), ("silent", "Not confirmed by")] {
        let nodes = names(name);
        if !nodes.is_empty() {
            let _ = write!(said, "\n{word} {nodes}.");
        }
    }
    said
}

fn whose(session: &Value) -> String {
    match session.get("principal") {
        Some(principal) => format!("{} ({})", text(principal, "name"), text(principal, "issuer")),
        None => String::new(),
    }
}

fn text(of: &Value, name: &str) -> String {
    printable(of.get(name).and_then(Value::as_str).unwrap_or_default())
}

fn moment(of: &Value, name: &str) -> String {
    let milliseconds = of.get(name).and_then(Value::as_i64);
    let moment = milliseconds.and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok());
    moment.map(|moment| format!("{moment:.0}")).unwrap_or_default()
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text),
        // JSON writes what a terminal would obey as escapes, but not all of it.
        other => printable(&other.to_string()),
    }
}

fn printable(text: &str) -> String {
    let is_obeyed = |character: char| {
        character.is_control()
            // What turns the direction of writing makes one name look like another, and so do ends of lines of other kinds.
            || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .map(|character| if is_obeyed(character) { char::REPLACEMENT_CHARACTER } else { character })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_says_whose_and_when() {
        let session = json!({
            "handle": "00010f10a9fb5c7e8d9099a0af0affff", "realm": "shop", "begun": 1_700_000_000_000_u64,
            "last_seen": 1_700_000_060_000_u64, "principal": {"issuer": "idp", "name": "ann\u{1b}[2J"}
        });
        let row = row(&session);
        assert_eq!(
            row,
            "00010f10a9fb5c7e8d9099a0af0affff  shop              2023-11-14T22:13:20Z  2023-11-14T22:14:20Z  ann\u{fffd}[2J (idp)"
        );
        assert_eq!(HEADER.find("begun"), row.find("2023-11-14T22:13:20Z"));
        assert_eq!(HEADER.find("whose"), row.find("ann"));
    }

    #[test]
    fn what_a_terminal_would_obey_is_not_printed() {
        let entries =
            json!({"a": "\u{202e}nna", "b": ["\u{1b}[31m", "\r\n"], "\u{2066}c": "\u{9b}2J", "d": "名前"});
        let page = session(&json!({"handle": "h", "entries": entries}));
        let is_plain =
            |character: char| character == '\n' || character == '\u{fffd}' || !character.is_control();
        assert!(page.chars().all(is_plain), "{page}");
        assert!(
            page.contains("a = \u{fffd}nna\n")
                && page.contains("\u{fffd}c = ")
                && page.contains("d = 名前\n"),
            "{page}"
        );
    }

    #[test]
    fn an_end_is_told_with_who_confirmed_it() {
        let told = json!({"sessions": 1, "or_more": false, "confirmed": ["a", "b"], "silent": ["c"]});
        assert_eq!(receipt(&told), "1 session was ended.\nConfirmed by a, b.\nNot confirmed by c.");
        let told = json!({"sessions": null, "or_more": true});
        assert_eq!(receipt(&told), "The sessions were ended; nobody has counted them.");
    }

    #[test]
    fn what_became_of_a_session_is_a_sentence() {
        let ending = json!({"at": 1_700_000_000_000_u64, "why": "revoked", "by": "ops", "from": "192.0.2.1"});
        let told = became(&json!({"handle": "h", "life": "ended", "ending": ending}));
        assert_eq!(told, "h was ended at 2023-11-14T22:13:20Z: revoked, by ops, from 192.0.2.1");
        assert_eq!(became(&json!({"handle": "h", "life": "live"})), "h is live.");
    }
}
