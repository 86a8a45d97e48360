//! `cloakroom store check --index`: which sessions are whose, compared with the sessions and mended, while gateways go on.

use std::fmt::Write as _;
use std::sync::Arc;

use cache::{Cache, IndexCheck};
use miette::{IntoDiagnostic as _, WrapErr as _, miette};
use prometheus_client::registry::Registry;
use storage::Storage;

use super::progress::Progress;
use super::service::Service;
use super::{Told, Which};
use crate::configuration::Configuration;
use crate::run;

pub(super) async fn check_index(which: &Which, told: &Told) -> miette::Result<()> {
    let configuration = which.configuration.load()?.configuration;
    let service = Service::open(which).await?;
    let storage = with_its_index(&configuration, &service).await?;
    // As the program has it, but that nobody listens: it only asks and writes.
    let settings = run::settings(&configuration);
    let cache = Cache::new(storage, Arc::clone(&service.clock), settings, &mut Registry::default())
        .without_index_of(run::not_indexed(&configuration))
        .with_index_of_entries(run::indexed_entries(&configuration));
    for realm in run::applications::realms(&configuration) {
        cache.reckon_with(&realm);
    }
    let progress = Progress::counting(told, "check of the index");
    let mut before = 0;
    let checked = cache.check_index(|so_far| {
        progress.advance(so_far.records - before);
        before = so_far.records;
    });
    let checked = checked.await.into_diagnostic().wrap_err(
        "the index was not checked to its end; what was mended stays so, and another check does the rest",
    )?;
    drop(progress);
    print!("{}", as_text(&service.id, &checked));
    if checked.unreadable == 0 {
        return Ok(());
    }
    Err(miette!(
        help = "`cloakroom store check` without `--index` says which, and why",
        "{} sessions of the storage `{}` cannot be read, and were left as they are",
        checked.unreadable,
        service.id
    ))
}

/// The storage with the index of its sessions, which may lie in another one.
async fn with_its_index(
    configuration: &Configuration,
    service: &Service,
) -> miette::Result<Arc<dyn Storage>> {
    let (sessions, lite) = (&configuration.cache.storage, run::storage::lite(configuration));
    if lite == Some(&*service.id) {
        return Err(miette!(
            help = format!("say `--storage {sessions}`: its index is looked up there"),
            "`{}` has the index of the sessions in `{sessions}`, and none of its own",
            service.id
        ));
    }
    let Some(lite) = lite.filter(|_| *service.id == **sessions) else { return Ok(service.storage()) };
    let clock = Arc::clone(&service.clock);
    let (aside, _) = run::storage::of(configuration, lite, &service.keys, None, Arc::clone(&clock)).await?;
    Ok(Arc::new(cache::divided(service.storage(), aside, clock)))
}

fn as_text(id: &str, checked: &IndexCheck) -> String {
    let mut text = format!("The index of the storage `{id}`:\n\n");
    let rows = [
        ("sessions", checked.sessions, "live sessions of somebody"),
        ("entries", checked.entries, "entries that were there"),
        ("written", checked.written, "entries that were missing"),
        ("prolonged", checked.prolonged, "entries that would have gone before their sessions"),
        ("removed", checked.removed, "entries without a session"),
        ("early", checked.early, "entries whose sessions may be about to be opened: left alone"),
        ("unreadable", checked.unreadable, "sessions that cannot be read: left alone"),
    ];
    for (name, number, meaning) in rows {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{name:<10} {number:>12}  {meaning}");
    }
    let is_in_order = checked.written + checked.prolonged + checked.removed == 0;
    text.push_str(if is_in_order { "\nIt is in order.\n" } else { "\nIt was not in order, and is now.\n" });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_says_what_it_did_in_words_and_numbers() {
        let checked = IndexCheck { records: 9, sessions: 4, entries: 3, written: 1, ..IndexCheck::default() };
        let text = as_text("shared", &checked);
        assert!(
            text.starts_with("The index of the storage `shared`:\n\nsessions              4  live"),
            "{text}"
        );
        assert!(text.contains("\nwritten               1  entries that were missing\n"), "{text}");
        assert!(text.ends_with("It was not in order, and is now.\n"), "{text}");
        assert!(as_text("shared", &IndexCheck::default()).ends_with("It is in order.\n"));
    }
}
