//! Who is asked for a session: our first tier, and what others keep copies in.
//!
//! The others hold the same parsed sessions under the same handles, and count each as the first tier counts it. They only say
//! what is there; a find also proves the ticket, judges time-outs and revocations, and notes the use.

use std::hint::black_box;
use std::sync::Arc;

use cache::{Application, Cache, Find, Opened};
use moka::future::Cache as MokaFuture;
use moka::sync::Cache as MokaSync;
use quick_cache::Weighter;
use quick_cache::sync::Cache as QuickCache;
use session::{Handle, Session, Ticket};
use tokio::runtime::Handle as Runtime;

use super::sessions::ROOMY;
use crate::error::{Error, Result};

/// Who is asked, and how.
pub(super) struct Lookup {
    /// Its name, on the command line of the process that valgrind runs.
    pub(super) id: &'static str,
    /// What the page says.
    pub(super) what: &'static str,
    ask: Box<Ask>,
}

/// Asks for each of these, one after the other, and says how many were there.
type Ask = dyn Fn(&Runtime, &[Ticket]) -> u32 + Send + Sync;

/// What is found in the first tier is measured by.
pub(super) const FIND: &str = "find";
/// One allocation each time: whoever counts allocations must see it.
pub(super) const BOXED: &str = "boxed";

impl Lookup {
    fn new<F>(id: &'static str, what: &'static str, ask: F) -> Self
    where
        F: AsyncFn(&Ticket) -> bool + Send + Sync + 'static,
    {
        let ask = move |runtime: &Runtime, tickets: &[Ticket]| {
            runtime.block_on(async {
                let mut found = 0;
                for ticket in tickets {
                    found += u32::from(ask(black_box(ticket)).await);
                }
                found
            })
        };
        Self { id, what, ask: Box::new(ask) }
    }

    /// Asks for these sessions, which must be there. Valgrind is told to begin here, so the name must stay.
    #[inline(never)]
    pub(super) fn ask(&self, runtime: &Runtime, tickets: &[Ticket]) -> Result<()> {
        let (found, times) = ((self.ask)(runtime, tickets), tickets.len());
        if usize::try_from(found) == Ok(times) {
            return Ok(());
        }
        Err(Error::Wrong { row: self.id, what: format!("{found} of {times} sessions were found") })
    }
}

/// So many of these tickets at random, at hand as a request brings its own: what is measured is how the session is found.
pub(super) fn sample(tickets: &[Ticket], times: u32) -> Vec<Ticket> {
    (0..times).filter_map(|_| tickets.get(fastrand::usize(..tickets.len()))).cloned().collect()
}

/// Everybody who is asked for a session in this process, each with all of these.
pub(super) async fn all(
    cache: &Arc<Cache>,
    application: &Application,
    opened: &[Opened],
) -> Result<Vec<Lookup>> {
    let weight = weight_of_one(cache, opened.len())?;
    let quick = Arc::new(QuickCache::with_weighter(opened.len(), ROOMY as u64, Same(weight)));
    let quick_and_hash = Arc::clone(&quick);
    let moka = MokaSync::builder().max_capacity(ROOMY as u64).weigher(move |_, _| weight).build();
    let moka_future = MokaFuture::builder().max_capacity(ROOMY as u64).weigher(move |_, _| weight).build();
    for one in opened {
        let (handle, session) = (one.ticket.handle, &one.session);
        quick.insert(handle, Arc::clone(session));
        moka.insert(handle, Arc::clone(session));
        moka_future.insert(handle, Arc::clone(session)).await;
    }
    let (cache, application) = (Arc::clone(cache), application.clone());
    Ok(vec![
        Lookup::new(FIND, "`find` in the first tier", async move |ticket| {
            matches!(black_box(cache.find(ticket, &application).await), Ok(Find::Found(_)))
        }),
        Lookup::new(
            "quick_cache",
            "`quick_cache` alone, on which the first tier stands",
            async move |ticket| black_box(quick.get(&ticket.handle)).is_some(),
        ),
        Lookup::new(
            "quick_cache-and-hash",
            "the same, and SHA-256 of the secret before the next is looked up",
            async move |ticket| {
                let there = black_box(quick_and_hash.get(&ticket.handle)).is_some();
                black_box(ticket.secret.hash());
                there
            },
        ),
        Lookup::new("moka-sync", "`moka::sync`", async move |ticket| {
            black_box(moka.get(&ticket.handle)).is_some()
        }),
        Lookup::new("moka-future", "`moka::future`", async move |ticket| {
            black_box(moka_future.get(&ticket.handle).await).is_some()
        }),
        Lookup::new("hash", "SHA-256 of a secret alone, which each `find` computes", async |ticket| {
            black_box(ticket.secret.hash());
            true
        }),
    ])
}

/// One allocation.
pub(super) fn boxed() -> Lookup {
    Lookup::new(BOXED, "a box", async |ticket| {
        black_box(Box::new(ticket.handle));
        true
    })
}

/// What the first tier reckons for each of so many sessions.
pub(super) fn weight_of_one(cache: &Cache, count: usize) -> Result<u32> {
    let (bytes, held) = cache.first_tier_size();
    if held != count {
        let what = format!("{held} of {count} sessions are in the first tier");
        return Err(Error::Wrong { row: "first tier", what });
    }
    Ok(u32::try_from(bytes / count.max(1) as u64).unwrap_or(u32::MAX))
}

/// Each counts as much.
#[derive(Debug, Clone)]
pub(super) struct Same(pub(super) u32);

impl Weighter<Handle, Arc<Session>> for Same {
    fn weight(&self, _: &Handle, _: &Arc<Session>) -> u64 {
        self.0.into()
    }
}
