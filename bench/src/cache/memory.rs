//! What a session takes in memory, in the first tier and in what others keep copies in.
//!
//! Each is filled in a process of its own, so that nothing is taken up that another one left: what is resident before and after
//! is the kernel's figure. The engine holds all sessions before, and they have all been read once.

use std::sync::Arc;

use cache::Find;
use quick_cache::sync::Cache as QuickCache;
use session::{Handle, Session, Ticket};
use storage::Memory;
use tokio::runtime::{Builder, Runtime};

use super::alone::Alone;
use super::counted::Counted;
use super::lookups::{Same, weight_of_one};
use super::sessions::{ROOMY, SELDOM, SESSION_BYTES, Whose, application, cache_over, failed, open};
use crate::engine;
use crate::error::{Error, Result};
use crate::usage;

/// Where sessions are held, and what the page says of it.
const HOLDERS: [(&str, &str); 5] = [
    ("list", "parsed sessions in a list, one after the other"),
    ("first-tier", "first tier"),
    ("quick_cache", "`quick_cache` alone"),
    ("moka-sync", "`moka::sync`"),
    ("moka-future", "`moka::future`"),
];

/// What was measured of one holder.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) what: &'static str,
    /// Bytes that a session takes, as the kernel sees it.
    pub(super) resident: f64,
    /// Bytes that the first tier reckons for it.
    pub(super) reckoned: Option<f64>,
}

/// Measures with so many sessions.
pub(super) fn measure(sessions: u64) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (who, what) in HOLDERS {
        let told = Alone { who: who.to_owned(), sessions, times: None }.run::<&str>(None)?;
        let mut words = told.split_ascii_whitespace().map(|word| word.parse::<f64>().ok());
        let figures = words.next().flatten().zip(words.next().flatten());
        let (resident, weight) = figures.ok_or_else(|| Error::Step { step: who.to_owned(), what: told })?;
        eprintln!("{what}: {resident:.0} bytes a session");
        rows.push(Row { what, resident, reckoned: (weight > 0.0).then_some(weight) });
    }
    Ok(rows)
}

/// Holds sessions in this process, and says what each takes and what is reckoned for it, 0 where nothing is.
pub(super) fn hold(who: &str, sessions: u64) -> Result<(f64, f64)> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(Error::file("a runtime"))?;
    let count = usize::try_from(sessions).unwrap_or(usize::MAX);
    let store = Store::filled(&runtime, sessions)?;
    // What it takes to read one is taken now.
    store.decoded().for_each(drop);
    let weight = u32::try_from(SESSION_BYTES).unwrap_or(u32::MAX);
    match who {
        "list" => {
            let mut list = Vec::with_capacity(count);
            store.growth(|| {
                list.extend(store.decoded());
                Ok(0)
            })
        }
        "first-tier" => store.find_all(&runtime),
        "quick_cache" => {
            let cache = QuickCache::with_weighter(count, ROOMY as u64, Same(weight));
            store.growth(|| {
                store.decoded().for_each(|(handle, session)| cache.insert(handle, session));
                Ok(0)
            })
        }
        "moka-sync" => {
            let cache = moka::sync::Cache::builder().max_capacity(ROOMY as u64).weigher(move |_, _| weight);
            let cache = cache.build();
            store.growth(|| {
                store.decoded().for_each(|(handle, session)| cache.insert(handle, session));
                cache.run_pending_tasks();
                Ok(0)
            })
        }
        "moka-future" => {
            let cache = moka::future::Cache::builder().max_capacity(ROOMY as u64).weigher(move |_, _| weight);
            let cache = cache.build();
            store.growth(|| {
                runtime.block_on(async {
                    for (handle, session) in store.decoded() {
                        cache.insert(handle, session).await;
                    }
                    cache.run_pending_tasks().await;
                });
                Ok(0)
            })
        }
        _ => Err(Error::Step { step: who.to_owned(), what: "nobody holds sessions so".to_owned() }),
    }
}

/// A storage that has all of them, and their tickets.
struct Store {
    storage: Arc<Counted>,
    tickets: Vec<Ticket>,
    records: Vec<Vec<u8>>,
}

impl Store {
    fn filled(runtime: &Runtime, sessions: u64) -> Result<Self> {
        let memory = Arc::new(Memory::new("measured", engine::clock(), usize::MAX));
        let storage = Arc::new(Counted::new(memory));
        let application = application(SELDOM);
        // Its own first tier has room for nothing.
        let cache = cache_over(Arc::clone(&storage) as _, engine::clock(), 1, &application);
        let (mut tickets, mut records) = (Vec::new(), Vec::new());
        let newcomers = Whose::newcomers();
        for _ in 0..sessions {
            let opened = runtime.block_on(open(&cache, &application, &newcomers, 1, 1))?;
            for one in opened {
                records.push(session::record::encode(&one.session));
                tickets.push(one.ticket);
            }
        }
        Ok(Self { storage, tickets, records })
    }

    /// All of them, parsed as they are when they have been read.
    fn decoded(&self) -> impl Iterator<Item = (Handle, Arc<Session>)> {
        let sessions = self.records.iter().filter_map(|record| session::record::decode(record).ok());
        sessions.map(|session| (session.handle, Arc::new(session)))
    }

    /// Another cache finds each of them, and so has them in its first tier.
    fn find_all(&self, runtime: &Runtime) -> Result<(f64, f64)> {
        let application = application(SELDOM);
        let cache = cache_over(Arc::clone(&self.storage) as _, engine::clock(), ROOMY, &application);
        self.growth(|| {
            runtime.block_on(async {
                for ticket in &self.tickets {
                    match cache.find(ticket, &application).await.map_err(failed)? {
                        Find::Found(_) => {}
                        other => return Err(failed(format!("not found: {other:?}"))),
                    }
                }
                weight_of_one(&cache, self.tickets.len())
            })
        })
    }

    /// What `fill` added to what is resident, and what it says is reckoned, both for each session.
    fn growth(&self, fill: impl FnOnce() -> Result<u32>) -> Result<(f64, f64)> {
        let own = [std::process::id()];
        let before = usage::Memory::of(&own)?.resident;
        let reckoned = fill()?;
        let more = usage::Memory::of(&own)?.resident.saturating_sub(before);
        #[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 bytes")]
        Ok((more as f64 / self.tickets.len().max(1) as f64, reckoned.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_takes_memory_wherever_it_is_held() {
        for (who, _) in HOLDERS {
            let (bytes, reckoned) = hold(who, 2_000).unwrap();
            assert!(bytes < 100_000.0, "{who}: {bytes}");
            assert_eq!(reckoned > 0.0, who == "first-tier");
        }
        assert!(hold("nobody", 1).is_err());
    }

    #[test]
    fn the_first_tier_reckons_what_it_takes() {
        // So many that the pages that an allocator has begun are few beside those that it has filled.
        let (taken, reckoned) = hold("first-tier", 20_000).unwrap();
        assert!((taken / reckoned - 1.0).abs() < 0.1, "{taken} bytes a session, reckoned as {reckoned}");
    }
}
