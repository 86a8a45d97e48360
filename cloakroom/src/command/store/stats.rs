//! `cloakroom store stats`: what is in a storage service, in numbers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use cache::Kind;
use clap::Args;
use miette::IntoDiagnostic as _;
use serde_json::{Value, json};
use session::{Clock, Millis};
use storage::{Key, Record, Scanned};

use super::progress::Progress;
use super::service::Service;
use super::{Told, Which};
use crate::rotation::folder;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// What is told apart by how long ago it was.
const AGES: [(&str, u64); 7] = [
    ("1 minute", MINUTE),
    ("10 minutes", 10 * MINUTE),
    ("1 hour", HOUR),
    ("8 hours", 8 * HOUR),
    ("1 day", DAY),
    ("7 days", 7 * DAY),
    ("30 days", 30 * DAY),
];

/// What is to be counted.
#[derive(Debug, Args)]
pub(in crate::command) struct StatsOptions {
    #[command(flatten)]
    which: Which,
    /// Say it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    told: Told,
}

/// Of one kind.
#[derive(Debug, Default)]
struct Count {
    live: u64,
    expired: u64,
    ended: u64,
    /// The sizes of the values, in bytes.
    sizes: Vec<u32>,
}

/// Of the sessions: how many are not older than each of [`AGES`], and than none of them.
#[derive(Debug, Default)]
struct Ages([u64; AGES.len() + 1]);

#[derive(Debug, Default)]
struct Stats {
    kinds: BTreeMap<Kind, Count>,
    begun: Ages,
    used: Ages,
    unreadable: u64,
}

/// For an engine that asks it nothing has expired yet, so that it shows what is over and not cleared up.
#[derive(Debug)]
struct LongAgo;

impl Clock for LongAgo {
    fn now(&self) -> Millis {
        Millis(0)
    }
}

pub(super) async fn stats(options: &StatsOptions) -> miette::Result<()> {
    let service = Service::open_at(&options.which, Arc::new(LongAgo)).await?;
    let progress = Progress::counting(&options.told, "stats");
    let mut stats = Stats::default();
    let now = service.clock.now();
    service
        .each(async |page| {
            progress.advance(page.len() as u64);
            for (key, scanned) in page {
                stats.see(&service, &key, scanned, now).await;
            }
        })
        .await?;
    drop(progress);
    if options.json {
        println!("{}", serde_json::to_string_pretty(&stats.as_json(&service)).into_diagnostic()?);
    } else {
        print!("{}", stats.as_text(&service));
    }
    Ok(())
}

impl Stats {
    async fn see(&mut self, service: &Service, key: &Key, scanned: Scanned, now: Millis) {
        let kind = Kind::of(key);
        let count = self.kinds.entry(kind).or_default();
        match scanned {
            Scanned::Buried(tombstone) if tombstone.until > now => count.ended += 1,
            Scanned::Buried(_) => count.expired += 1,
            Scanned::Live(record) if record.times.expires <= now => count.expired += 1,
            Scanned::Live(record) => {
                count.live += 1;
                count.sizes.push(u32::try_from(record.value.len()).unwrap_or(u32::MAX));
                if kind == Kind::Session {
                    self.see_session(service, key, record, now).await;
                }
            }
        }
    }

    async fn see_session(&mut self, service: &Service, key: &Key, record: Record, now: Millis) {
        self.used.see(now, record.times.touched);
        let opened = service.opened(key, record.value).await.ok();
        match opened.and_then(|value| Kind::read(key, &value).ok().flatten()) {
            Some(session) => self.begun.see(now, session.begun),
            None => self.unreadable += 1,
        }
    }

    fn as_text(&self, service: &Service) -> String {
        let mut text = format!("The storage `{}` ({}):\n\n", service.id, service.engine);
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "{:<10} {:>10} {:>10} {:>18} {:>12} {:>12} {:>14}",
            "kind", "live", "ended", "over, not cleared", "median", "largest", "all values"
        );
        for (kind, count) in &self.kinds {
            let sizes = Sizes::of(&count.sizes);
            let _ = writeln!(
                text,
                "{:<10} {:>10} {:>10} {:>18} {:>10} B {:>10} B {:>12} B",
                kind.as_str(),
                count.live,
                count.ended,
                count.expired,
                sizes.median,
                sizes.largest,
                sizes.all
            );
        }
        if self.kinds.is_empty() {
            text.push_str("nothing\n");
        }
        if self.used.total() > 0 {
            let _ = writeln!(text, "\n{:<22} {:>12} {:>12}", "sessions, not over", "began", "last used");
            for (name, begun, used) in self.ages() {
                let _ = writeln!(text, "{name:<22} {begun:>12} {used:>12}");
            }
        }
        if self.unreadable > 0 {
            let _ = writeln!(
                text,
                "\n{} sessions cannot be read: `cloakroom store check` says why.",
                self.unreadable
            );
        }
        text
    }

    fn as_json(&self, service: &Service) -> Value {
        let kinds: serde_json::Map<String, Value> = Kind::ALL
            .into_iter()
            .map(|kind| {
                let none = Count::default();
                let count = self.kinds.get(&kind).unwrap_or(&none);
                let sizes = Sizes::of(&count.sizes);
                let value = json!({
                    "live": count.live, "ended": count.ended, "expired": count.expired,
                    "median_bytes": sizes.median, "largest_bytes": sizes.largest, "bytes": sizes.all,
                });
                (kind.as_str().to_owned(), value)
            })
            .collect();
        let ages: Vec<Value> = self
            .ages()
            .zip(AGES.into_iter().map(|(_, bound)| Some(bound)).chain([None]))
            .map(|((_, begun, used), bound)| {
                json!({ "up_to_seconds": bound.map(|bound| bound / 1000), "began": begun, "last_used": used })
            })
            .collect();
        json!({
            "storage": &*service.id, "engine": service.engine, "kinds": kinds, "sessions": ages,
            "unreadable": self.unreadable,
        })
    }

    /// How many sessions began and were used that long ago.
    fn ages(&self) -> impl Iterator<Item = (String, u64, u64)> {
        let names = AGES.into_iter().map(|(name, _)| format!("{name} ago"));
        let names = names.chain(["longer ago".to_owned()]);
        names.zip(self.begun.0.into_iter().zip(self.used.0)).map(|(name, (begun, used))| (name, begun, used))
    }
}

impl Ages {
    fn see(&mut self, now: Millis, moment: Millis) {
        let ago = now.0.saturating_sub(moment.0);
        let place = AGES.iter().position(|(_, bound)| ago <= *bound).unwrap_or(AGES.len());
        if let Some(count) = self.0.get_mut(place) {
            *count += 1;
        }
    }

    fn total(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// Of values, in bytes.
struct Sizes {
    median: u32,
    largest: u32,
    all: u64,
}

impl Sizes {
    fn of(sizes: &[u32]) -> Self {
        let mut sorted = sizes.to_vec();
        sorted.sort_unstable();
        Self {
            median: sorted.get(sorted.len() / 2).copied().unwrap_or_default(),
            largest: sorted.last().copied().unwrap_or_default(),
            all: sorted.iter().map(|size| u64::from(*size)).sum(),
        }
    }
}

/// In UTC, to the second.
pub(super) fn moment(moment: Millis) -> String {
    let second = Millis(moment.0 / 1000 * 1000);
    folder::shown(second).map_or_else(|_| "-".to_owned(), |shown| shown.replace(".000", ""))
}
