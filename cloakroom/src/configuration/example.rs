//! The configuration as a file again: one to begin with, and what holds now.
//!
//! In the example a comment that explains has a space after `#`, and a line that can be switched on has none. So
//! removing the `#` of `#key = value` is all it takes, and that is tested.

use std::fmt::Write;

use super::shape::{Default, Key, Many, Table};

const INTRODUCTION: &str = "\
# Cloakroom's configuration. What is commented out is what holds anyway, or an example where it says so.
# `cloakroom check --config THIS-FILE` says what is wrong, and what would run.

";

/// How wide an explanation may be, in characters.
const WIDTH: usize = 110;

/// A file to begin with: one application, everything else explained and commented out.
pub(crate) fn example(root: &Table) -> String {
    let mut file = INTRODUCTION.to_owned();
    explain_keys(&mut file, root, true);
    for table in &root.tables {
        explain(&mut file, table, true);
    }
    file
}

fn explain(file: &mut String, table: &Table, on: bool) {
    let on = on && (table.many == Many::One || table.name() == "application");
    file.push('\n');
    comment(file, table.text);
    // Writing to a String does not fail.
    let _ = writeln!(file, "{}{}", if on { "" } else { "#" }, header(table));
    explain_keys(file, table, on);
    for inner in &table.tables {
        explain(file, inner, on);
    }
}

fn explain_keys(file: &mut String, table: &Table, on: bool) {
    for Key { name, kind, default, text, .. } in &table.keys {
        let bounds =
            if kind.bounds.is_empty() { String::new() } else { format!(" ({}: {})", kind.name, kind.bounds) };
        file.push('\n');
        comment(file, &format!("{text}{bounds}"));
        let _ = match default {
            Default::Value(value) => writeln!(file, "#{name} = {value}"),
            Default::Follows { value, says } => writeln!(file, "# Default: {says}.\n#{name} = {value}"),
            Default::Nothing(example) => writeln!(file, "# For example:\n# {name} = {example}"),
            Default::Required(example) => writeln!(file, "{}{name} = {example}", if on { "" } else { "#" }),
        };
    }
}

fn comment(file: &mut String, text: &str) {
    let mut line = String::from("#");
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _ = writeln!(file, "{line}");
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(file, "{line}");
}

/// Every key with what holds.
pub(crate) fn effective(root: &Table) -> String {
    let mut file = String::new();
    write_out(&mut file, root);
    file
}

fn write_out(file: &mut String, table: &Table) {
    for Key { name, effective, .. } in &table.keys {
        if let Some(value) = effective {
            let _ = writeln!(file, "{name} = {value}");
        }
    }
    for inner in &table.tables {
        let _ = write!(file, "\n{}\n", header(inner));
        write_out(file, inner);
    }
}

fn header(table: &Table) -> String {
    match table.many {
        Many::List => format!("[[{}]]", table.path),
        Many::One | Many::Optional => format!("[{}]", table.path),
    }
}
