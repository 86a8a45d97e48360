//! The configuration as people meet it: files that are right, files that are wrong, and files that are anything.

mod book;
mod limits;
mod mistakes;
mod rules;
mod together;
mod warnings;
mod whole;

use std::path::Path;

use super::{Configuration, Loaded, Problem};

/// An application that is complete, to be continued with more of its keys.
const SHOP: &str = "[[application]]\nid = \"shop\"\nupstream = \"http://127.0.0.1:9000\"\n";

fn parse(text: &str) -> Result<Loaded, Vec<Problem>> {
    Configuration::parse("cloakroom.toml", text, Path::new("/etc/cloakroom"))
        .map_err(|problems| problems.list().to_vec())
}

fn right(text: &str) -> Configuration {
    match parse(text) {
        Ok(loaded) => loaded.configuration,
        Err(problems) => panic!("{text}\n{}", shown(&problems)),
    }
}

/// The only mistake of the text.
fn mistake(text: &str) -> Problem {
    match parse(text) {
        Ok(_) => panic!("no mistake was found in\n{text}"),
        Err(problems) if problems.len() == 1 => problems[0].clone(),
        Err(problems) => panic!("{text}\n{}", shown(&problems)),
    }
}

/// One line a problem: place, message, cure.
fn shown(problems: &[Problem]) -> String {
    let lines: Vec<String> =
        problems.iter().map(|problem| format!("{problem} -> {}", problem.cure)).collect();
    lines.join("\n")
}
