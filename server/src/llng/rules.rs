//! Who may see which address, for handlers and scripts that ask `isAuthorizedURI`.

use std::fmt;

use dialects::llng::soap::Uri;
use session::Value;

use super::paths::plain;

/// A rule for the addresses below a path of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The host, in lower case and without a port.
    pub host: Box<str>,
    /// What the path begins with, up to a slash or its end.
    pub path: Box<str>,
    /// Who may.
    pub allow: Allow,
}

/// Who may.
#[derive(Clone, PartialEq, Eq)]
pub enum Allow {
    /// Everybody who is logged in.
    Everybody,
    /// Nobody.
    Nobody,
    /// Those whose attribute of this name has this value, alone or among others that `; ` separates.
    Attribute {
        /// The name.
        name: Box<str>,
        /// The value.
        value: Box<str>,
    },
}

/// Shows no value: it may be anybody's group.
impl fmt::Debug for Allow {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everybody => formatter.write_str("Everybody"),
            Self::Nobody => formatter.write_str("Nobody"),
            Self::Attribute { name, .. } => write!(formatter, "Attribute({name})"),
        }
    }
}

/// Whether who has these attributes may see the address: by the rule with the longest path that is for it. Without any, no; nor
/// may anybody see one whose path is not [plain].
pub(super) fn allows<'v>(rules: &[Rule], uri: &Uri, attribute: impl Fn(&str) -> Option<&'v Value>) -> bool {
    let Some(path) = plain(&uri.path) else { return false };
    let held = rules.iter().filter(|rule| rule.host == uri.host && is_below(&path, &rule.path));
    // Of equally long ones, the first.
    let longest = held.rev().max_by_key(|rule| rule.path.len());
    longest.is_some_and(|rule| match &rule.allow {
        Allow::Everybody => true,
        Allow::Nobody => false,
        Allow::Attribute { name, value } => attribute(name).is_some_and(|held| has(held, value)),
    })
}

fn is_below(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || prefix.ends_with('/'))
}

fn has(held: &Value, value: &str) -> bool {
    match held {
        Value::Text(text) => **text == *value || text.split("; ").any(|one| one == value),
        Value::List(values) => values.iter().any(|one| one.as_text() == Some(value)),
        Value::Map(values) => values.iter().any(|(name, _)| **name == *value),
        Value::Bytes(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(path: &str, allow: Allow) -> Rule {
        Rule { host: "app.example.com".into(), path: path.into(), allow }
    }

    fn admins() -> Allow {
        Allow::Attribute { name: "groups".into(), value: "admins".into() }
    }

    fn may(rules: &[Rule], uri: &str, groups: &str) -> bool {
        let groups = Value::from(groups);
        allows(rules, &Uri::parse(uri).unwrap(), |name| (name == "groups").then_some(&groups))
    }

    #[test]
    fn what_has_no_rule_is_seen_by_nobody() {
        assert!(!may(&[], "http://app.example.com/", "admins"));
        let rules = [rule("/open", Allow::Everybody)];
        for other in
            ["http://app.example.com/", "http://app.example.com/opened", "http://other.example.com/open"]
        {
            assert!(!may(&rules, other, ""), "{other}");
        }
        for below in ["/open", "/open/", "/open/x?y", "/open?x"] {
            assert!(may(&rules, &format!("https://APP.example.com:8443{below}"), ""), "{below}");
        }
    }

    #[test]
    fn the_longest_path_counts() {
        let rules =
            [rule("/", Allow::Everybody), rule("/admin", admins()), rule("/admin/off", Allow::Nobody)];
        assert!(may(&rules, "http://app.example.com/x", "users"));
        assert!(!may(&rules, "http://app.example.com/admin/x", "users; admins2"));
        assert!(may(&rules, "http://app.example.com/admin/x", "users; admins"));
        assert!(!may(&rules, "http://app.example.com/admin/off/x", "admins"));
    }

    #[test]
    fn a_value_is_one_of_a_text_a_list_or_a_map() {
        for (held, has_it) in [
            (Value::from("admins"), true),
            (Value::from("x; admins; y"), true),
            (Value::from("x;admins"), false),
            (Value::List(vec!["x".into(), "admins".into()]), true),
            (Value::Map(vec![("admins".into(), "".into())]), true),
            (Value::Map(vec![("x".into(), "admins".into())]), false),
        ] {
            assert_eq!(has(&held, "admins"), has_it, "{held:?}");
        }
    }

    #[test]
    fn an_address_that_hides_its_path_is_seen_by_nobody() {
        // CVE-2020-24660 and CVE-2026-95811: what the rule sees is not what the application sees.
        let rules = [rule("/", Allow::Everybody), rule("/admin", Allow::Nobody)];
        for hidden in [
            "//admin",
            "/./admin",
            "/x/../admin",
            "/%2fadmin",
            "/x%2f..%2fadmin",
            "/%5cadmin",
            "/%25",
            "/%",
            "/a%00",
        ] {
            assert!(!may(&rules, &format!("http://app.example.com{hidden}"), ""), "{hidden}");
        }
        assert!(!may(&rules, "http://app.example.com/%61dmin", ""), "an escaped letter is that letter");
        assert!(may(&rules, "http://app.example.com/caf%C3%A9/", ""));
    }
}
