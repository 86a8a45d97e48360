//! What was found in a storage service: how many of everything, and what is wrong with which.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use cache::Kind;
use seal::{KeyRing, KeyTag};
use storage::Key;

use super::super::service::shown;

/// How many records of a problem are named; all are counted.
const MAX_NAMED: usize = 5;

/// What can be wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Problem {
    Key,
    Seal,
    Plain,
    Value,
    Times,
    Future,
    Version,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    live: BTreeMap<Kind, u64>,
    tombstones: BTreeMap<Kind, u64>,
    /// By the key that sealed them; those that are not sealed by none.
    keys: BTreeMap<Option<KeyTag>, u64>,
    problems: BTreeMap<Problem, Wrong>,
}

#[derive(Debug, Default)]
struct Wrong {
    count: u64,
    named: Vec<String>,
}

impl Problem {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "sealed with a key that is not here",
            Self::Seal => "a seal that does not open",
            Self::Plain => "not sealed, though `seal = true`",
            Self::Value => "not what its key says",
            Self::Times => "times that cannot be",
            Self::Future => "times of the future",
            Self::Version => "a version that cannot be",
        }
    }
}

impl Findings {
    /// A live record.
    pub(super) fn see(&mut self, kind: Kind, key: Option<KeyTag>) {
        *self.live.entry(kind).or_default() += 1;
        *self.keys.entry(key).or_default() += 1;
    }

    /// What an ended one left.
    pub(super) fn see_tombstone(&mut self, kind: Kind) {
        *self.tombstones.entry(kind).or_default() += 1;
    }

    /// Something is wrong with a record.
    pub(super) fn note(&mut self, problem: Problem, key: &Key, why: &dyn Display) {
        let wrong = self.problems.entry(problem).or_default();
        wrong.count += 1;
        if wrong.named.len() < MAX_NAMED {
            wrong.named.push(format!("{}: {why}", shown(key)));
        }
    }

    /// How many problems there are.
    pub(super) fn problems(&self) -> u64 {
        self.problems.values().map(|wrong| wrong.count).sum()
    }

    /// As people read it.
    pub(super) fn as_text(&self, ring: &KeyRing) -> String {
        let mut text = String::new();
        let listed = |counts: &BTreeMap<Kind, u64>| {
            let parts: Vec<String> =
                counts.iter().map(|(kind, count)| format!("{count} {}", kind.as_str())).collect();
            if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
        };
        // Writing to a String does not fail.
        let _ = writeln!(text, "live     {}", listed(&self.live));
        let _ = writeln!(text, "ended    {}", listed(&self.tombstones));
        for (tag, count) in &self.keys {
            let _ = match tag {
                Some(tag) => {
                    let id = ring.keys().find(|info| info.tag == *tag);
                    let id = id.map_or("not here", |info| info.id.as_str());
                    writeln!(text, "sealed   {count} with {tag} ({id})")
                }
                None => writeln!(text, "plain    {count}"),
            };
        }
        for (problem, wrong) in &self.problems {
            let _ = writeln!(text, "WRONG    {} {}", wrong.count, problem.as_str());
            for named in &wrong.named {
                let _ = writeln!(text, "           {named}");
            }
            let more = wrong.count.saturating_sub(wrong.named.len() as u64);
            if more > 0 {
                let _ = writeln!(text, "           and {more} more");
            }
        }
        if self.problems.is_empty() {
            text.push_str("All of them are well.\n");
        }
        text
    }
}
