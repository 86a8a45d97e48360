//! Rules for single paths: what is read, and what is refused.

use super::{SHOP, mistake, parse, right};
use crate::configuration::Require;

const LOGIN: &str = "may_login = true\n";

fn rule(text: &str) -> String {
    format!("{SHOP}{LOGIN}[[application.rule]]\n{text}\n")
}

#[test]
fn a_rule_is_read_and_written_again() {
    let text = rule(
        "paths = [\"/a\"]\nexact = [\"/\"]\nmethods = [\"GET\", \"PROPFIND\"]\nhandoff = false\nrequire = \"user\"\n\
         require_users = [\"ada\"]\nrequire_entries = { role = \"admin\" }\nupstream = \"http://127.0.0.1:9001\"\n\
         response_timeout = \"0s\"\nbody_timeout = \"2m\"\nmax_body_bytes = \"2GiB\"\n\
         request_headers = { set = { X-Tier = \"gold\" }, remove = [\"X-Debug\"] }\n\
         response_headers = { add = { Link = \"</a>\" } }",
    );
    let loaded = parse(&text).unwrap();
    let read = &loaded.configuration.applications[0].rules[0];
    assert_eq!((read.handoff, read.require), (Some(false), Some(Require::User)));
    assert_eq!(read.request_headers.set[0].1, "gold");
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    assert_eq!(right(&loaded.effective()), loaded.configuration, "{}", loaded.effective());
    assert!(!format!("{read:?}").contains("gold"), "a value may be a password");
}

#[test]
fn what_could_not_be_decided_or_must_not_be_is_refused() {
    let login = "[application.handoff]\nentry_headers = { X-User = \"mail\" }\n[[application.rule]]\npaths = [\"/\"]\n";
    for (text, line, message) in [
        (rule("handoff = false"), 5, "the rule is about no path"),
        (rule("paths = [\"a\"]\nhandoff = false"), 6, "does not begin with a slash"),
        (rule("paths = [\"/a\"]\nmethods = [\"get\"]\nhandoff = false"), 7, "is not in upper case"),
        (rule("paths = [\"/a\"]\nmethods = [\"TRACE\"]\nhandoff = false"), 7, "no application gets to see"),
        (rule("paths = [\"/a\"]\nrequire_users = [\"ada\"]"), 7, "`require` does not say"),
        (
            rule("paths = [\"/a\"]\nrequire = \"session\"\nrequire_users = [\"ada\"]"),
            8,
            "`require` does not say",
        ),
        (rule("paths = [\"/a\"]\nrequest_headers = { set = { Host = \"x\" } }"), 7, "needs itself"),
        (rule("paths = [\"/a\"]\nresponse_headers = { remove = [\"Set-Cookie\"] }"), 7, "needs itself"),
        (
            rule("paths = [\"/a\"]\nrequest_headers = { set = { x_session = \"x\" } }"),
            7,
            "speaks of sessions",
        ),
        (
            rule("paths = [\"/a\"]\nresponse_headers = { set = { X-Replace-Session = \"x\" } }"),
            7,
            "speaks of sessions",
        ),
        (
            format!("{SHOP}{LOGIN}{login}request_headers = {{ remove = [\"X-User\"] }}"),
            9,
            "speaks of sessions",
        ),
        (
            rule("paths = [\"/a\"]\nrequest_headers = { set = { X-A = \"1\" }, remove = [\"x-a\"] }"),
            7,
            "`x-a` is changed twice",
        ),
        (rule("paths = [\"/a\"]\nrequest_headers = { set = { X-A = \"ü\" } }"), 7, "no header can"),
        (
            format!("{SHOP}[[application.rule]]\npaths = [\"/a\"]\nrequire = \"user\""),
            6,
            "nobody can be logged in",
        ),
        (
            format!(
                "{SHOP}carrier = \"none\"\n[[application.rule]]\npaths = [\"/a\"]\nrequire = \"session\""
            ),
            7,
            "there are no sessions",
        ),
        (
            rule(
                "paths = [\"/a\", \"/b\"]\nhandoff = false\n[[application.rule]]\npaths = [\"/b\"]\nhandoff = true",
            ),
            8,
            "`handoff` for `/b` is said by another rule already, in line 5",
        ),
        (
            rule(
                "paths = [\"/a\"]\nmethods = [\"GET\"]\nrequire = \"user\"\n[[application.rule]]\npaths = [\"/a\"]\n\
                 methods = [\"HEAD\"]\nrequire = \"nobody\"",
            ),
            9,
            "`require` for `/a` is said by another rule already",
        ),
    ] {
        let problem = mistake(&text);
        assert!(problem.message.contains(message), "{text}\n{problem}");
        assert_eq!(problem.line, line, "{text}\n{problem}");
    }
}

#[test]
fn rules_that_differ_in_path_method_or_question_stand_side_by_side() {
    let text = rule(
        "paths = [\"/a\"]\nrequire = \"user\"\n\
         [[application.rule]]\nexact = [\"/a\"]\nrequire = \"nobody\"\n\
         [[application.rule]]\npaths = [\"/a\"]\nmethods = [\"GET\"]\nrequire = \"nobody\"\n\
         [[application.rule]]\npaths = [\"/a\"]\nmethods = [\"POST\"]\nrequire = \"session\"\n\
         [[application.rule]]\npaths = [\"/a\"]\nresponse_timeout = \"5m\"",
    );
    assert_eq!(right(&text).applications[0].rules.len(), 5);
}

#[test]
fn a_rule_that_can_do_nothing_is_told() {
    for (text, message) in [
        (rule("paths = [\"/a\"]"), "the rule says nothing"),
        (
            format!("{SHOP}path = \"/shop\"\n[[application.rule]]\npaths = [\"/a\"]\nhandoff = false"),
            "it never applies",
        ),
        (
            format!("{SHOP}carrier = \"none\"\n[[application.rule]]\npaths = [\"/a\"]\nhandoff = false"),
            "`handoff` has no effect",
        ),
    ] {
        let warnings = parse(&text).unwrap().warnings;
        assert!(warnings.iter().any(|warning| warning.message.contains(message)), "{text}\n{warnings:?}");
    }
}
