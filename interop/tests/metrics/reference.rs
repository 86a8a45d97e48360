//! The reference of metrics, written from what a running program exposes.

use std::fmt::Write as _;

use super::exposition::{Exposition, Metric};

/// Everything between these lines of the page is written from the exposition.
const BEGIN: &str = "<!-- from here on written by a test, see interop/tests/metrics -->\n";
const END: &str = "<!-- to here -->\n";

/// Labels whose values are the configuration's or the build's.
const OPEN: [&str; 3] = ["application", "storage", "version"];

const SECTIONS: [(&str, &str); 5] = [
    ("cloakroom_sessions_", "Sessions"),
    ("cloakroom_gateway_", "The gateway"),
    ("cloakroom_storage_", "Storage"),
    ("cloakroom_", "Cloakroom"),
    ("process_", "The process"),
];

/// The page with its tables as they must be.
pub(super) fn with_tables(page: &str, exposition: &Exposition) -> String {
    let (before, rest) = page.split_once(BEGIN).expect("the page says where the tables begin");
    let (_, after) = rest.split_once(END).expect("the page says where the tables end");
    let mut left: Vec<&Metric> = exposition.metrics.iter().collect();
    let mut tables = String::new();
    for (prefix, title) in SECTIONS {
        let (here, others): (Vec<_>, Vec<_>) =
            left.into_iter().partition(|metric| metric.name.starts_with(prefix));
        left = others;
        if here.is_empty() {
            continue;
        }
        write!(tables, "\n## {title}\n\n| name | kind | labels | what it says |\n|---|---|---|---|\n")
            .unwrap();
        for metric in here {
            let Metric { name, kind, help, .. } = metric;
            writeln!(tables, "| `{name}` | {kind} | {} | {help} |", labels(metric)).unwrap();
        }
    }
    assert!(left.is_empty(), "{} belongs to no section", left[0].name);
    format!("{before}{BEGIN}{tables}\n{END}{after}")
}

fn labels(metric: &Metric) -> String {
    let labels = metric.labels.iter().filter(|(name, _)| *name != "le").map(|(name, values)| {
        if OPEN.contains(&name.as_str()) {
            return format!("`{name}`");
        }
        let values: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
        format!("`{name}`: {}", values.join(", "))
    });
    labels.collect::<Vec<_>>().join("; ")
}
