//! The evidence of the book: what a table calls a test is one, in this workspace, under this very name.
//!
//! A column called "test", "tests" or "shown by" holds names of tests, and paths of what is shown by more than one. A
//! name is `name`, or `file.rs::name` where `file.rs` is as much of the end of the path as tells one file from all others.
//! The chapters that go through a standard line by line name the file, so that a reader finds the test.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Pages on which a line without evidence has to say whose it is.
const LINE_BY_LINE: [&str; 2] = ["standards/asvs.md", "standards/rfc6265bis.md"];
/// What stands in a line that nothing shows: it is not ours, or not yet.
const SAID_OTHERWISE: [&str; 4] = ["the operator's", "the application's", "not yet", "not ours"];

#[test]
fn each_test_that_the_book_names_is_there() {
    let tests = Tests::of_the_workspace();
    let mut wrong = Vec::new();
    let mut named = 0;
    for (page, text) in pages() {
        for row in rows(&text) {
            for name in row.evidence() {
                named += 1;
                if let Err(why) = tests.find(name) {
                    wrong.push(format!("{page}: {name}: {why}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert!(named > 150, "only {named} names were found");
}

#[test]
fn a_line_of_a_standard_has_a_test_with_its_file_or_says_whose_it_is() {
    let pages = pages();
    for page in LINE_BY_LINE {
        for row in rows(&pages[page]) {
            let evidence = row.evidence();
            let is_said = SAID_OTHERWISE.iter().any(|words| row.text.contains(words));
            assert!(!evidence.is_empty() || is_said, "{page}: {}", row.text);
            assert!(evidence.iter().all(|name| name.contains(".rs::")), "{page}: {}", row.text);
        }
    }
}

#[test]
fn every_requirement_of_asvs_5_chapter_7_has_its_line() {
    let page = &pages()["standards/asvs.md"];
    let found: Vec<&str> = rows(page).filter_map(|row| row.text.split('|').nth(1)).map(str::trim).collect();
    let counts = [3, 4, 2, 5, 3, 2];
    let all: Vec<String> = (1..)
        .zip(counts)
        .flat_map(|(section, count)| (1..=count).map(move |item| format!("7.{section}.{item}")))
        .collect();
    assert_eq!(all.len(), 19);
    assert_eq!(found, all);
}

#[test]
fn each_link_from_page_to_page_leads_somewhere() {
    let pages = pages();
    for (page, text) in &pages {
        let folder = Path::new(page).parent().unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            if file.contains(':') || !(file.is_empty() || file.ends_with(".md")) {
                continue;
            }
            let target = if file.is_empty() { page.clone() } else { plain(&folder.join(file)) };
            let there = pages.get(&target).unwrap_or_else(|| panic!("{page}: {link} leads nowhere"));
            assert!(
                heading.is_empty() || headings(there).contains(heading),
                "{page}: {link}: no such heading"
            );
        }
    }
    let summary = &pages["SUMMARY.md"];
    for page in pages.keys().filter(|page| *page != "SUMMARY.md") {
        assert!(summary.contains(&format!("({page})")), "{page} is not in SUMMARY.md");
    }
}

/// The tests of the workspace, by the file in which they are.
struct Tests(BTreeMap<PathBuf, BTreeSet<String>>);

impl Tests {
    fn of_the_workspace() -> Self {
        let mut files = BTreeMap::new();
        for file in walk(&root(), "rs") {
            let text = fs::read_to_string(&file).unwrap();
            // The checks that every engine runs are functions, not tests: a macro makes tests of them.
            let names = if file.components().any(|part| part.as_os_str() == "kit") {
                functions(&text)
            } else {
                tests(&text)
            };
            files.insert(file.strip_prefix(root()).unwrap().to_owned(), names);
        }
        Self(files)
    }

    fn find(&self, name: &str) -> Result<(), &'static str> {
        if let Some((end, name)) = name.split_once("::") {
            let mut files = self.0.iter().filter(|(file, _)| file.ends_with(end));
            return match (files.next(), files.next()) {
                (Some((_, names)), None) if names.contains(name) => Ok(()),
                (Some(_), None) => Err("no such test in that file"),
                (None, _) => Err("no such file"),
                (Some(_), Some(_)) => Err("several files have that name: say more of the path"),
            };
        }
        if name.contains('/') {
            return root().join(name).exists().then_some(()).ok_or("no such file or folder");
        }
        self.0.values().any(|names| names.contains(name)).then_some(()).ok_or("no such test")
    }
}

/// A line of a table with the titles of its columns.
struct Row<'t> {
    titles: &'t str,
    text: &'t str,
}

impl<'t> Row<'t> {
    /// What stands in code in the columns for evidence.
    fn evidence(&self) -> Vec<&'t str> {
        let columns = self.titles.split('|').zip(self.text.split('|'));
        columns
            .filter(|(title, _)| ["test", "tests", "shown by"].contains(&title.trim()))
            .flat_map(|(_, cell)| cell.split('`').skip(1).step_by(2))
            .collect()
    }
}

/// The lines of all tables of a page, without titles.
fn rows(text: &str) -> impl Iterator<Item = Row<'_>> {
    let mut titles = None;
    text.lines().filter_map(move |text| {
        if !text.starts_with('|') {
            titles = None;
            return None;
        }
        let is_rule = text.starts_with("|---");
        let titles = *titles.get_or_insert(text);
        (!is_rule && titles != text).then_some(Row { titles, text })
    })
}

/// Names of functions behind an attribute that makes a test, or in one of our macros that do.
fn tests(text: &str) -> BTreeSet<String> {
    let (mut is_test, mut is_in_list, mut is_in_block) = (false, false, false);
    let mut names = BTreeSet::new();
    for line in text.lines() {
        match line {
            "on_every_engine!(" => is_in_list = true,
            "over_each_engine! {" => is_in_block = true,
            ");" => is_in_list = false,
            "}" => is_in_block = false,
            _ => {}
        }
        let line = line.trim();
        if is_in_list && !line.ends_with('(') {
            names.insert(line.to_owned());
        } else if line.starts_with("#[") {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        } else if let Some(name) = function(line)
            && (std::mem::take(&mut is_test) || is_in_block)
        {
            names.insert(name.to_owned());
        }
    }
    names
}

fn functions(text: &str) -> BTreeSet<String> {
    text.lines().map(str::trim).filter_map(function).map(str::to_owned).collect()
}

/// The name of the function that begins on this line.
fn function(line: &str) -> Option<&str> {
    let line = line.strip_prefix("pub ").unwrap_or(line);
    let line = line.strip_prefix("async ").unwrap_or(line);
    line.strip_prefix("fn ")?.split(['(', '<']).next()
}

/// As mdBook makes anchors of headings.
fn headings(text: &str) -> BTreeSet<String> {
    let anchor = |heading: &str| {
        let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
    };
    text.lines()
        .filter_map(|line| {
            Some(line.trim_start_matches('#').strip_prefix(' ')?).filter(|_| line.starts_with('#'))
        })
        .map(anchor)
        .collect()
}

/// The pages of the book by their paths in `docs/src`.
fn pages() -> BTreeMap<String, String> {
    let folder = root().join("docs/src");
    let page =
        |file: PathBuf| (plain(file.strip_prefix(&folder).unwrap()), fs::read_to_string(&file).unwrap());
    walk(&folder, "md").into_iter().map(page).collect()
}

/// The path without `..`.
fn plain(path: &Path) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.iter().map(|part| part.to_str().unwrap()) {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts.join("/")
}

fn walk(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let (path, kind, name) = (entry.path(), entry.file_type().unwrap(), entry.file_name());
        if kind.is_dir() && name != "target" && !name.to_string_lossy().starts_with('.') {
            found.extend(walk(&path, extension));
        } else if kind.is_file() && path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
