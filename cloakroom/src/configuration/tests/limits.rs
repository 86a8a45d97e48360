//! How many sessions there may be.

use super::{SHOP, mistake, parse, right, shown};

fn told(keys: &str) -> String {
    shown(&[mistake(&format!("{SHOP}{keys}"))])
}

#[test]
fn a_limit_is_a_number_of_sessions_and_what_happens_to_one_more() {
    for when_full in ["refuse", "end_oldest", "ask"] {
        right(&format!("{SHOP}[application.limits]\nsessions_per_person = 3\nwhen_full = \"{when_full}\""));
    }
    for wrong in ["sessions_per_person = 0", "sessions_per_person = 1001", "when_full = \"sometimes\""] {
        assert!(parse(&format!("{SHOP}[application.limits]\n{wrong}")).is_err(), "{wrong}");
    }
}

#[test]
fn a_limit_that_nobody_could_keep_is_told() {
    let text = "[application.limits]\nsessions_per_person = 3\n";
    let told_of = told(&format!("{text}[cache]\nmaintain_reverse_index = false"));
    assert!(told_of.contains("nobody could count the sessions of one person"), "{told_of}");
}

#[test]
fn a_limit_that_does_nothing_is_told() {
    let sealed = "carrier = \"sealed\"\n[application.limits]\nsessions_per_person = 3\n[[keys]]\nid = \"k\"\nfile = \"k\"";
    for (keys, message) in [
        (
            "[application.limits]\nwhen_full = \"refuse\"",
            "`when_full` has no effect without `sessions_per_person`",
        ),
        (
            "carrier = \"none\"\n[application.limits]\nsessions_per_person = 3",
            "no effect with `carrier = \"none\"`",
        ),
        (sealed, "what visitors carry is in no list"),
    ] {
        let warnings = parse(&format!("{SHOP}{keys}")).unwrap().warnings;
        assert!(warnings.iter().any(|warning| warning.message.contains(message)), "{keys}\n{warnings:?}");
    }
}
