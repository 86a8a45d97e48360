//! How many sessions are opened from one address.
//!
//! A session costs a record in storage, and whoever sends no cookie gets one at each request to an application that opens one.
//! So there can be a limit of how often that is from one address, and of how many of them may be live at once.
//!
//! Both are counted in this process, and bounded in memory: nothing is known of an address from which nothing was opened lately. Which
//! sessions of an address are still live is asked of the cache only when there seem to be too many.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use cache::{Cache, Life};
use futures_util::future::BoxFuture;
use futures_util::stream::iter;
use futures_util::{FutureExt as _, StreamExt as _};
use parking_lot::Mutex;
use session::{Handle, Millis};

use crate::settings::SessionLimits;
use listener::allowance::{Allowance, Bounded, MAX_KEYS, network};

/// How often it is asked which sessions of an address are live, at most: a flood must not make storage work.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// How many sessions are asked for at once.
const WIDTH: usize = 16;

/// Who opens sessions, by address.
#[derive(Debug)]
pub(crate) struct Newcomers {
    limits: SessionLimits,
    rate: Option<Bounded>,
    live: Option<Live>,
}

/// Too many sessions were opened from an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crowded {
    /// When to try again.
    pub(crate) wait: Duration,
}

#[derive(Debug)]
struct Live {
    most: NonZeroUsize,
    addresses: quick_cache::sync::Cache<IpAddr, Arc<Mutex<Opened>>>,
}

/// What was opened from an address.
#[derive(Debug, Default)]
struct Opened {
    handles: Vec<Handle>,
    /// When it was asked last which of them are live.
    asked: Option<Millis>,
}

impl Newcomers {
    pub(crate) fn new(limits: SessionLimits) -> Self {
        Self {
            limits,
            rate: limits.new_per_minute.map(|most| {
                let every = Duration::from_secs(60) / most.get();
                Bounded::of_many(Allowance { burst: most, every })
            }),
            live: limits
                .per_address
                .map(|most| Live { most, addresses: quick_cache::sync::Cache::new(MAX_KEYS) }),
        }
    }

    /// What takes the place of `before` at a reload: it is counted on, unless the limits are others.
    pub(crate) fn after(limits: SessionLimits, before: Option<&Arc<Self>>) -> Arc<Self> {
        let same = before.filter(|before| {
            (before.limits.per_address, before.limits.new_per_minute)
                == (limits.per_address, limits.new_per_minute)
        });
        same.map_or_else(|| Arc::new(Self::new(limits)), Arc::clone)
    }

    /// Whether a session may be opened for a visitor at this address.
    pub(crate) async fn admit(&self, address: IpAddr, cache: &Cache) -> Result<(), Crowded> {
        let network = network(address);
        if let Some(live) = &self.live {
            live.admit(&network, cache).await?;
        }
        self.rate.as_ref().map_or(Ok(()), |rate| rate.attempt(&network)).map_err(|wait| Crowded { wait })
    }

    /// A session was opened for a visitor at this address.
    pub(crate) fn note(&self, address: IpAddr, handle: Handle) {
        if let Some(live) = &self.live {
            live.note(network(address), handle);
        }
    }
}

impl cache::Newcomers for Newcomers {
    fn admit<'a>(&'a self, from: IpAddr, cache: &'a Cache) -> BoxFuture<'a, Result<(), Duration>> {
        async move { self.admit(from, cache).await.map_err(|crowded| crowded.wait) }.boxed()
    }

    fn note(&self, from: IpAddr, handle: Handle) {
        self.note(from, handle);
    }
}

impl Live {
    async fn admit(&self, network: &IpAddr, cache: &Cache) -> Result<(), Crowded> {
        let Some(opened) = self.addresses.get(network) else { return Ok(()) };
        let handles = {
            let mut opened = opened.lock();
            if opened.handles.len() < self.most.get() {
                return Ok(());
            }
            let now = cache.now();
            let since = opened.asked.map(|asked| now.since(asked));
            if let Some(wait) =
                since.and_then(|since| ASK_AGAIN.checked_sub(since)).filter(|wait| !wait.is_zero())
            {
                return Err(Crowded { wait });
            }
            opened.asked = Some(now);
            opened.handles.clone()
        };
        let ask = |handle: Handle| async move {
            // Of what nobody can say anything now it is not said that it is over.
            let is_over = matches!(
                cache.why(&handle).await,
                Ok(Life::Ended(_) | Life::Idle(_) | Life::Lifetime(_) | Life::Unknown)
            );
            is_over.then_some(handle)
        };
        let over: Vec<Handle> =
            iter(handles).map(ask).buffer_unordered(WIDTH).filter_map(std::future::ready).collect().await;
        let mut opened = opened.lock();
        opened.handles.retain(|handle| !over.contains(handle));
        if opened.handles.len() < self.most.get() {
            opened.asked = None;
            return Ok(());
        }
        Err(Crowded { wait: ASK_AGAIN })
    }

    fn note(&self, network: IpAddr, handle: Handle) {
        let opened =
            self.addresses.get_or_insert_with(&network, || Ok::<_, std::convert::Infallible>(Arc::default()));
        let Ok(opened) = opened;
        opened.lock().handles.push(handle);
    }
}
