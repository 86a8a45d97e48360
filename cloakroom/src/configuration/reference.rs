//! The reference of the configuration in Markdown, as it stands in the book.

use std::fmt::Write;

use super::shape::{Default, Key, Many, Table};

const INTRODUCTION: &str = "\
# Configuration

One TOML file. `cloakroom check --config FILE` says what is wrong in it, `cloakroom config example` prints one to begin
with, `cloakroom config schema` a JSON schema for editors. This page is what `cloakroom config reference` prints.

- A **duration** is a whole number and a unit: `\"500ms\"`, `\"30s\"`, `\"15m\"` (minutes), `\"8h\"`, `\"1d\"`.
- A **size** is a whole number and a unit: `\"64KiB\"`, `\"1MiB\"`; a number without one counts bytes.
- A **path** stands for itself and everything below it, by whole segments: `/static` is not `/staticky`.
- The name of a **file** is relative to the folder of the configuration. Only `data_dir` is relative to the working directory.
- A key that nobody knows is a mistake.
";

pub(crate) fn markdown(root: &Table) -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str("\n## The top of the file\n\n");
    keys(&mut page, root);
    for table in &root.tables {
        section(&mut page, table);
    }
    page
}

fn section(page: &mut String, table: &Table) {
    let Table { path, text, .. } = table;
    let title = match table.many {
        Many::List => format!("[[{path}]]"),
        Many::One | Many::Optional => format!("[{path}]"),
    };
    // Writing to a String does not fail.
    let _ = write!(page, "\n## `{title}`\n\n{text}\n\n");
    keys(page, table);
    for inner in &table.tables {
        section(page, inner);
    }
}

fn keys(page: &mut String, table: &Table) {
    if !table.keys.is_empty() {
        page.push_str("| key | may be | default | meaning |\n|---|---|---|---|\n");
    }
    for Key { name, kind, default, text, .. } in &table.keys {
        let bounds = if kind.bounds.is_empty() { String::new() } else { format!(": {}", kind.bounds) };
        let default = match default {
            Default::Value(value) => format!("`{value}`"),
            Default::Follows { says, .. } => (*says).to_owned(),
            Default::Required(example) => format!("none, it must be there: `{example}`"),
            Default::Nothing(example) => format!("none; for example `{example}`"),
        };
        let row = format!("`{name}` | {}{bounds} | {default} | {text}", kind.name);
        let _ = writeln!(page, "| {} |", escape(&row));
    }
    if !table.later.is_empty() {
        let names: Vec<String> = table.later.iter().map(|name| format!("`{name}`")).collect();
        let _ = write!(page, "\nSettled and not built yet: {}.\n", names.join(", "));
    }
}

/// Keeps the bars that part the columns, and no others.
fn escape(row: &str) -> String {
    let cells: Vec<String> = row.split(" | ").map(|cell| cell.replace('|', "\\|")).collect();
    cells.join(" | ")
}
