//! What the book says of rules is what is decided.

use std::path::Path;

use super::*;
use crate::configuration::Configuration;

fn book() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/rules.md")).unwrap()
}

fn loaded(text: &str) -> Loaded {
    Configuration::parse("c.toml", text, Path::new("/etc")).unwrap()
}

fn asked(loaded: &Loaded, method: &str, url: &str) -> Answer {
    answer(&Asked { file: "c.toml".to_owned(), loaded, url, method }).unwrap()
}

#[test]
fn each_example_of_the_book_is_decided_as_it_says() {
    let book = book();
    let (_, rest) = book.split_once("```toml\n").unwrap();
    let loaded = loaded(rest.split_once("```").unwrap().0);
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let rows = book.lines().filter(|line| line.starts_with("| `") && line.contains(" /"));
    let mut count = 0;
    for row in rows {
        let cells: Vec<&str> =
            row.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`')).collect();
        let [request, question, expected, by] = cells.as_slice() else { panic!("{row}") };
        let (method, path) = request.split_once(' ').unwrap();
        let answer = asked(&loaded, method, &format!("https://shop.example.org{path}"));
        assert_eq!(answer.status.is_some(), *expected == "refused", "{row}");
        let told = answer.questions.iter().find(|told| told.question == *question).unwrap();
        assert_eq!(told.answer.as_deref().unwrap_or("refused"), *expected, "{row}");
        assert_eq!(told.key, *by, "{row}");
        count += 1;
    }
    assert!(count > 20, "{count}");
}

#[test]
fn the_line_of_the_deciding_key_is_named() {
    let text = "[[application]]\nid = \"a\"\nupstream = \"http://127.0.0.1:9000\"\nresponse_timeout = \"7s\"\nmay_login = true\n\
                [application.handoff]\nexclude = [\"/s\"]\n\
                [[application.rule]]\npaths = [\"/r\"]\nresponse_timeout = \"9s\"\n\
                [[application.rule]]\npaths = [\"/r/s\"]\nrequire = \"user\"\n\
                [application.rule.request_headers]\nset = { X-A = \"1\" }\n";
    let loaded = loaded(text);
    for (path, question, place) in [
        ("/", "response_timeout", Some("c.toml:4")),
        ("/r/s", "response_timeout", Some("c.toml:10")),
        ("/r/s", "require", Some("c.toml:13")),
        ("/r/s", "request_headers", Some("c.toml:15")),
        ("/s", "handoff", Some("c.toml:7")),
        ("/", "handoff", None),
        ("/", "body_timeout", None),
    ] {
        let answer = asked(&loaded, "GET", &format!("http://h{path}"));
        let told = answer.questions.iter().find(|told| told.question == question).unwrap();
        assert_eq!(told.place.as_deref(), place, "{path} {question}");
    }
}

#[test]
fn what_is_refused_says_why() {
    let text = "[[application]]\nid = \"a\"\nhosts = [\"h\"]\nupstream = \"http://127.0.0.1:9000\"\n\
                [[application]]\nid = \"b\"\nhosts = [\"h\"]\npath = \"/x/b\"\ncarrier = \"none\"\nupstream = \"http://127.0.0.1:9000\"\n";
    let loaded = loaded(text);
    for (method, url, status, reason) in [
        ("GET", "http://other/", 404, "no application"),
        ("GET", "http://h/..%2fadmin", 400, "hides a dot segment"),
        ("GET", "http://h/a%00", 400, "control character"),
        ("GET", "http://h/a\\b", 400, "backslash"),
        ("GET", "http://h/%zz", 400, "malformed escape"),
        ("GET", "http://h/a b", 400, "malformed"),
        ("GET", "http://h/x%2Fb", 400, "another application"),
        ("GET", "http://user@h/", 400, "host is malformed"),
        ("TRACE", "http://h/", 405, "CONNECT and TRACE"),
    ] {
        let answer = asked(&loaded, method, url);
        assert_eq!((answer.outcome, answer.status), ("refused", Some(status)), "{url}");
        assert!(answer.reason.as_deref().unwrap().contains(reason), "{url}: {:?}", answer.reason);
    }
    let answer = asked(&loaded, "GET", "https://H:8443/x/b/c?d#e");
    assert_eq!(answer.application.as_deref(), Some("b"));
    assert_eq!(answer.routes.iter().filter(|route| route.is_chosen).count(), 1);
    for url in ["/x", "h/x", "ftp://h/", "http://", "http:///x"] {
        assert!(answer_fails(&loaded, "GET", url), "{url}");
    }
    assert!(answer_fails(&loaded, "G T", "http://h/"));
}

fn answer_fails(loaded: &Loaded, method: &str, url: &str) -> bool {
    answer(&Asked { file: "c.toml".to_owned(), loaded, url, method }).is_err()
}
