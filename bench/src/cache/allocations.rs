//! How often memory is asked for in one find, counted and not estimated.
//!
//! Valgrind sees every call of a function, those of the allocator included, from the first find on, in a process that finds
//! some times and in one that finds twice as often: the difference is that of the finds. A box for each find is counted as
//! well, which must come to one: else nothing was counted.

use std::ffi::OsStr;
use std::sync::Arc;

use session::Ticket;
use storage::Memory;
use tokio::runtime::Builder;

use super::alone::Alone;
use super::counted::Counted;
use super::lookups::{self, BOXED, FIND};
use super::sessions::{ROOMY, SELDOM, Whose, application, cache_over, open};
use crate::engine;
use crate::error::{Error, Result};

/// How often valgrind sees it, and then as often again.
const TIMES: u32 = 2_000;
/// What was called before is forgotten then: how often the tables of a cache grow while it is filled is up to chance.
const BEGIN: &str = "--zero-before=*lookups::Lookup::ask*";
/// Where memory is asked for: by Rust, and by what is written in C.
const ALLOCATORS: [&str; 12] = [
    "mi_malloc",
    "mi_malloc_aligned",
    "mi_zalloc",
    "mi_zalloc_aligned",
    "mi_calloc",
    "mi_realloc",
    "mi_realloc_aligned",
    "malloc",
    "calloc",
    "realloc",
    "posix_memalign",
    "aligned_alloc",
];
/// Those whose allocations are shown.
const COUNTED: [&str; 4] = [FIND, "quick_cache", "moka-sync", "moka-future"];

/// What was counted.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) who: &'static str,
    pub(super) held: u64,
    /// Allocations of one question, of which there were so many.
    pub(super) each: f64,
}

/// Counts with so many sessions held.
pub(super) fn measure(held: &[u64]) -> Result<Vec<Row>> {
    let seen = count(BOXED, 1)?;
    if (seen - 1.0).abs() > 0.01 {
        let what = format!("{seen} allocations were counted for one");
        return Err(Error::Wrong { row: "allocations", what });
    }
    let mut rows = Vec::new();
    for held in held.iter().copied() {
        for who in COUNTED {
            let each = count(who, held)?;
            eprintln!("{who}, {held} held: {each} allocations");
            rows.push(Row { who, held, each });
        }
    }
    Ok(rows)
}

fn count(who: &str, sessions: u64) -> Result<f64> {
    let (once, twice) = (counted(who, sessions, TIMES)?, counted(who, sessions, 2 * TIMES)?);
    #[expect(clippy::cast_precision_loss, reason = "it is a small number")]
    let more = twice.saturating_sub(once) as f64;
    Ok(more / f64::from(TIMES))
}

/// Allocations of a whole process.
fn counted(who: &str, sessions: u64, times: u32) -> Result<u64> {
    let file = tempfile::NamedTempFile::new().map_err(Error::file("a file for valgrind"))?;
    let valgrind = interop::find("valgrind", "valgrind")?;
    let out = format!("--callgrind-out-file={}", file.path().display());
    let arguments = ["--tool=callgrind", "-q", BEGIN, &out];
    let alone = Alone { who: who.to_owned(), sessions, times: Some(times) };
    alone.run(Some((valgrind.as_os_str(), &arguments.map(OsStr::new))))?;
    let profile = std::fs::read(file.path()).map_err(Error::file(file.path()))?;
    Ok(calls(&String::from_utf8_lossy(&profile)))
}

/// Does in this process what is counted.
pub(super) fn repeat(who: &str, sessions: u64, times: u32) -> Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Error::file("a runtime"))?;
    let application = application(SELDOM);
    let memory = Arc::new(Memory::new("measured", engine::clock(), usize::MAX));
    let cache = cache_over(Arc::new(Counted::new(memory)), engine::clock(), ROOMY, &application);
    let opened = runtime.block_on(open(&cache, &application, &Whose::newcomers(), sessions, 1))?;
    let mut lookups = runtime.block_on(lookups::all(&cache, &application, &opened))?;
    lookups.push(lookups::boxed());
    let lookup = lookups.iter().find(|lookup| lookup.id == who);
    let lookup =
        lookup.ok_or_else(|| Error::Step { step: who.to_owned(), what: "no such one".to_owned() })?;
    let tickets: Vec<Ticket> = opened.into_iter().map(|one| one.ticket).collect();
    lookup.ask(runtime.handle(), &lookups::sample(&tickets, times))
}

/// Calls of an allocator by somebody who is none, in what callgrind writes: `fn=` says who calls, `cfn=` who is called, and
/// `calls=` how often. A name stands once, behind its number, and then the number alone.
fn calls(profile: &str) -> u64 {
    let mut names = std::collections::HashMap::new();
    let (mut caller, mut callee, mut total) = (false, false, 0);
    for line in profile.lines() {
        if let Some(name) = line.strip_prefix("fn=") {
            caller = is_allocator(&mut names, name);
        } else if let Some(name) = line.strip_prefix("cfn=") {
            callee = is_allocator(&mut names, name);
        } else if let Some(calls) = line.strip_prefix("calls=")
            && callee
            && !caller
        {
            let count = calls.split_ascii_whitespace().next().and_then(|count| count.parse().ok());
            total += count.unwrap_or(0_u64);
        }
    }
    total
}

fn is_allocator<'a>(names: &mut std::collections::HashMap<&'a str, bool>, name: &'a str) -> bool {
    match name.split_once(' ') {
        None => names.get(name).copied().unwrap_or(false),
        Some((number, name)) => {
            let is_one = ALLOCATORS.contains(&name);
            names.insert(number, is_one);
            is_one
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calls_from_outside_of_the_allocator_count() {
        let profile = "fn=(1) find\n16 3\ncfn=(2) mi_malloc_aligned\ncalls=5 +4 \n16 100\n\
                       cfn=(3) other\ncalls=7 +4\n\nfn=(2)\ncfn=(4) mi_malloc\ncalls=5 1\n\n\
                       fn=(3)\ncfn=(4)\ncalls=2 9\n";
        assert_eq!(calls(profile), 7);
    }

    #[test]
    fn what_is_counted_can_be_done() {
        for who in COUNTED.iter().chain(&[BOXED]) {
            repeat(who, 3, 10).unwrap();
        }
        assert!(repeat("nobody", 1, 1).is_err());
    }
}
