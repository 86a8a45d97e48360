//! The configurations that the book shows are configurations.

use std::fs;
use std::path::{Path, PathBuf};

use super::{SHOP, parse, shown};

#[test]
fn each_configuration_of_the_book_is_taken() {
    let mut whole = 0;
    for page in pages(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src")) {
        let text = fs::read_to_string(&page).unwrap();
        for block in text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
            // Alternatives of one key, side by side, are no configuration; and a build may be without traces.
            let Some(first) = block.lines().find(|line| line.starts_with('[')) else { continue };
            if first == "[traces]" && cfg!(not(feature = "otel")) {
                continue;
            }
            let is_part = first.starts_with("[application.") || first.starts_with("[[application.");
            whole += usize::from(!is_part && block.contains("[[application]]"));
            let text = if is_part { format!("{SHOP}{block}") } else { block.to_owned() };
            if let Err(problems) = parse(&text) {
                panic!("{}:\n{text}\n{}", page.display(), shown(&problems));
            }
        }
    }
    assert!(whole >= 7, "{whole}");
}

#[test]
fn the_configurations_before_applications_raise_no_warning() {
    for page in pages(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/src/applications")) {
        let text = fs::read_to_string(&page).unwrap();
        let (_, rest) =
            text.split_once("```toml\n# cloakroom.toml\n").unwrap_or_else(|| panic!("{}", page.display()));
        let loaded = parse(rest.split("```").next().unwrap())
            .unwrap_or_else(|problems| panic!("{}", shown(&problems)));
        assert!(loaded.warnings.is_empty(), "{}: {:?}", page.display(), loaded.warnings);
    }
}

fn pages(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let pages = entries.flat_map(|path| if path.is_dir() { pages(&path) } else { vec![path] });
    pages.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}
