//! The configuration: any text is one, or mistakes that can be shown; and what is shown as effective means the same.

use std::path::Path;

use cloakroom::configuration::{Configuration, Problem};
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme};

/// One more than are listed, which says how many are not.
const MAX_PROBLEMS: usize = 51;

/// Longer texts teach nothing new, and take long.
const MAX_TEXT: usize = 16 << 10;

/// Inputs to begin with.
pub const SEEDS: &[&[u8]] = &[
    b"",
    b"[[application]]\nid = \"shop\"\nupstream = \"http://127.0.0.1:9000\"\n",
    b"[[application]]\nid = \"shop\"\nupstream = \"http://127.0.0.1:9000\"\nhosts = [\"shop.example\"]\npath = \"/shop\"\n[application.cookie]\nname = \"__Host-s\"\nsame_site = \"None\"\n[application.handoff]\nformat = \"json\"\n",
    b"[cache]\nidle_timeout = \"30\"\nlifetime = \"8h\"\ntouch_interval = -1\n[[storage]]\nid = \"x\"\nengine = \"nothing\"\n",
    b"unknown = \"a password\"\n[cach]\nidle_timeot = 30\n",
    b"data_dir = \"\\u0000\"\n\"\" = 1\n\"\xc3\xa9\xe2\x80\xae\" = 2\n",
    b"[listen]\ngateway = \"[::1]:99999\"\n\n[listen]\n",
    b"listen = 1\napplication = { id = 1 }\nstorage = [1, [2], {}]\nkeys = \"x\"\n",
    b"a = \"\"\"\n\x1b[31m\n",
    b"[[[[[[[[[[[[[[[[",
    b"a = [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1",
    b"a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a=1",
    b"[cache]\ninproc_timeout = \"99999999999999999999d\"\nmemory = \"18446744073709551616\"\nidle_timeout = 1979-05-27T07:32:00Z\n",
    b"\xef\xbb\xbf[log]\r\nformat = \"json\"\r\n",
];

/// What it is made of.
pub const WORDS: &[&[u8]] = &[
    b"[[application]]\n",
    b"[[storage]]\n",
    b"[[keys]]\n",
    b"[cache]\n",
    b"[listen]\n",
    b"[log]\n",
    b"[gateway]\n",
    b"[application.cookie]\n",
    b"[application.handoff]\n",
    b"[application.login]\n",
    b"id = ",
    b"upstream = ",
    b"engine = ",
    b" = \"",
    b"\"http://127.0.0.1:1\"",
    b"\"30m\"",
    b"\"64MiB\"",
    b"true",
    b"-1",
    b"[]",
    b"{}",
    b"\"\"\"",
];

/// Checks the laws.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if text.len() > MAX_TEXT {
        return;
    }
    match read(text) {
        Ok(loaded) => {
            can_be_shown(text, &loaded.warnings);
            let effective = loaded.effective();
            let again = read(&effective).unwrap_or_else(|problems| panic!("{problems:?} in\n{effective}"));
            assert_eq!(again.configuration, loaded.configuration, "what is effective reads back");
            assert_eq!(again.effective(), effective);
        }
        Err(problems) => {
            assert!((1..=MAX_PROBLEMS).contains(&problems.list().len()));
            assert!(problems.list().iter().all(|problem| !problem.warning));
            can_be_shown(text, problems.list());
            shown(&problems);
        }
    }
}

fn read(text: &str) -> Result<cloakroom::configuration::Loaded, cloakroom::configuration::Problems> {
    Configuration::parse("cloakroom.toml", text, Path::new("/etc/cloakroom"))
}

fn can_be_shown(text: &str, problems: &[Problem]) {
    for problem in problems {
        assert!(
            (1..=text.matches('\n').count() + 1).contains(&problem.line) && problem.column >= 1,
            "{problem}"
        );
        assert!(!problem.message.is_empty() && !problem.cure.is_empty());
        shown(problem);
    }
}

/// As a terminal gets it. Nothing in it drives the terminal.
fn shown(report: &dyn Diagnostic) {
    let mut text = String::new();
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor());
    handler.render_report(&mut text, report).expect("it can be drawn");
    let odd = text.chars().find(|character| character.is_control() && *character != '\n');
    assert_eq!(odd, None, "{}", text.escape_debug());
}
