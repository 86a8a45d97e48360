//! Which sessions are meant: options, and what the API takes for them.

use std::net::IpAddr;

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

/// The most sessions of a page.
pub(super) const MOST: usize = 1_000;

/// All that is said must hold.
#[derive(Debug, Default, Args)]
pub(super) struct SearchOptions {
    /// Those of this person
    #[arg(long, value_name = "NAME", requires = "issuer")]
    person: Option<String>,
    /// Who calls the person so
    #[arg(long, value_name = "ISSUER", requires = "person")]
    issuer: Option<String>,
    /// Those that hold this text under this name, alone or in a list; may be said several times
    #[arg(long = "entry", value_name = "NAME=TEXT", value_parser = entry)]
    entries: Vec<(String, String)>,
    /// Those of this realm
    #[arg(long, value_name = "REALM", conflicts_with_all = ["application", "kind"])]
    realm: Option<String>,
    /// Those of the realm of this application
    #[arg(long, value_name = "ID", conflicts_with = "kind")]
    application: Option<String>,
    /// LemonLDAP::NG's of this kind: SSO, Persistent, SAML, ISAML, CAS, ICAS, OIDC, OIDCI, TOKEN or CDA
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Those that are tied to this address
    #[arg(long, value_name = "ADDRESS")]
    address: Option<IpAddr>,
    /// Those that began then or later: `2026-11-22T10:00Z`, or `2h` for two hours ago
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    begun_after: Option<i64>,
    /// Those that began before
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    begun_before: Option<i64>,
    /// Those that were used then or later
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    seen_after: Option<i64>,
    /// Those that were last used before
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    seen_before: Option<i64>,
}

impl SearchOptions {
    /// As `POST /v1/find` takes it.
    pub(super) fn as_json(&self) -> miette::Result<Value> {
        let mut search = Map::new();
        let mut say = |name: &str, value: Option<Value>| {
            value.map(|value| search.insert(name.to_owned(), value));
        };
        let person = self.person.as_ref().map(|name| json!({ "issuer": self.issuer, "name": name }));
        say("person", person);
        say("realm", self.realm.clone().map(Value::from));
        say("application", self.application.clone().map(Value::from));
        say("kind", self.kind.clone().map(Value::from));
        say("address", self.address.map(|address| address.to_string().into()));
        say("begun", stretch(self.begun_after, self.begun_before));
        say("last_seen", stretch(self.seen_after, self.seen_before));
        let entries: Map<_, _> =
            self.entries.iter().map(|(name, text)| (name.clone(), text.as_str().into())).collect();
        say("entries", (!entries.is_empty()).then_some(Value::Object(entries)));
        Ok(Value::Object(search))
    }
}

fn stretch(after: Option<i64>, before: Option<i64>) -> Option<Value> {
    (after.is_some() || before.is_some()).then(|| json!({ "after": after, "before": before }))
}

fn entry(text: &str) -> Result<(String, String), String> {
    let (name, text) = text.split_once('=').ok_or("say NAME=TEXT")?;
    Ok((name.to_owned(), text.to_owned()))
}

/// A moment in milliseconds since 1970: named, or so long ago.
fn moment(text: &str) -> Result<i64, String> {
    let moment = match (text.parse::<Timestamp>(), text.parse::<SignedDuration>()) {
        (Ok(moment), _) => Some(moment),
        (_, Ok(ago)) => Timestamp::now().checked_sub(ago).ok(),
        _ => None,
    };
    let milliseconds = moment.map(Timestamp::as_millisecond).filter(|moment| *moment >= 0);
    milliseconds
        .ok_or_else(|| "say a moment, `2026-11-22T10:00:00Z`, or how long ago, `2h` or `3d`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_named_or_so_long_ago() {
        assert_eq!(moment("1970-01-01T00:00:01.5Z"), Ok(1500));
        let ago = Timestamp::now().as_millisecond() - moment("2h").unwrap();
        assert!((7_200_000..7_260_000).contains(&ago), "{ago}");
        for wrong in ["", "yesterday", "1969-12-31T00:00:00Z", "2026-13-01T00:00:00Z"] {
            assert!(moment(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_said_is_not_asked() {
        assert_eq!(SearchOptions::default().as_json().unwrap(), json!({}));
        let options = SearchOptions {
            person: Some("ann".to_owned()),
            issuer: Some("idp".to_owned()),
            entries: vec![entry("mail=a=b").unwrap()],
            seen_before: Some(7),
            ..SearchOptions::default()
        };
        let search = json!({
            "person": {"issuer": "idp", "name": "ann"}, "entries": {"mail": "a=b"}, "last_seen": {"after": null, "before": 7}
        });
        assert_eq!(options.as_json().unwrap(), search);
        assert!(entry("mail").is_err());
    }
}
