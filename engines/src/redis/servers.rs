//! Which server is to be asked, and asking another one when it was the wrong one.
//!
//! One server is simply asked. With Sentinels, whatever most of them call the primary is asked, and a server that says of
//! itself that it is none is not believed to be one. In a Cluster it goes by the slot.
//!
//! The client library can follow a Cluster, too. It is done here because an end must be confirmed by the replicas of the very
//! primary that took it, on the same connection, which a client that moves from one to the next on its own cannot promise.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use parking_lot::Mutex;
use storage::Applied;
use tokio::time::{Instant, sleep, sleep_until};

use super::dial::{Dial, Dialling};
use super::fault::{Fault, Kind};
use super::find::{self, Found};
use super::keys::Bucket;
use super::node::{Node, Request};
use super::url::{self, Address};

/// How long is waited before it is asked again, about.
const PAUSES: [u64; 5] = [25, 50, 100, 200, 400];
/// A Cluster that sends us around in circles is not followed for ever.
const MOST_MOVES: usize = 5;
/// What was found out is not found out again this soon.
const FRESH: Duration = Duration::from_millis(100);
/// How much longer than the first the others may take to say what they know.
const GRACE: Duration = Duration::from_millis(150);

/// All servers of a storage service.
#[derive(Debug)]
pub(super) struct Servers {
    given: url::Servers,
    dial: Dialling,
    sentinels: Dialling,
    connect_timeout: Duration,
    /// How long an operation may take.
    patience: Duration,
    min_replicas: Option<usize>,
    nodes: Mutex<HashMap<Address, Arc<Node>>>,
    map: ArcSwap<Map>,
    /// The epoch of what was found out last.
    epoch: AtomicU64,
    /// When it was last found out; whoever holds it is finding out.
    found: tokio::sync::Mutex<Option<Instant>>,
}

/// Who has what.
#[derive(Debug, Clone, Default)]
pub(super) struct Map {
    pub(super) primaries: Vec<Arc<Node>>,
    /// For each slot the number of its primary. Empty where there are no slots.
    slots: Vec<u16>,
}

impl Map {
    fn primary(&self, slot: u16) -> Option<&Arc<Node>> {
        if self.slots.is_empty() {
            return self.primaries.first();
        }
        self.primaries.get(usize::from(*self.slots.get(usize::from(slot))?))
    }

    /// Buckets, by who has them.
    pub(super) fn shares<'b>(&self, buckets: &'b [Bucket]) -> Vec<(&Arc<Node>, Vec<&'b Bucket>)> {
        let mut shares: Vec<_> = self.primaries.iter().map(|node| (node, Vec::new())).collect();
        for bucket in buckets {
            let node = self.primary(bucket.slot);
            let share =
                shares.iter_mut().find(|(known, _)| node.is_some_and(|node| Arc::ptr_eq(known, node)));
            if let Some((_, share)) = share {
                share.push(bucket);
            }
        }
        shares.retain(|(_, share)| !share.is_empty());
        shares
    }

    /// The same as long as every slot is where it was.
    pub(super) fn fingerprint(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        let mut hasher = DefaultHasher::new();
        self.slots.hash(&mut hasher);
        for primary in &self.primaries {
            primary.address().hash(&mut hasher);
        }
        hasher.finish()
    }
}

impl Servers {
    pub(super) fn new(
        given: url::Servers,
        dial: Dial,
        sentinels: Dial,
        connect_timeout: Duration,
        patience: Duration,
        min_replicas: Option<usize>,
    ) -> Self {
        let servers = Self {
            given,
            dial: Arc::new(dial),
            sentinels: Arc::new(sentinels),
            connect_timeout,
            patience,
            min_replicas,
            nodes: Mutex::default(),
            map: ArcSwap::default(),
            epoch: AtomicU64::new(0),
            found: tokio::sync::Mutex::default(),
        };
        if let url::Servers::One(address) = &servers.given {
            let node = servers.node_at(address);
            servers.map.store(Arc::new(Map { primaries: vec![node], slots: Vec::new() }));
        }
        servers
    }

    pub(super) const fn is_cluster(&self) -> bool {
        matches!(self.given, url::Servers::Cluster { .. })
    }

    pub(super) const fn is_fixed(&self) -> bool {
        matches!(self.given, url::Servers::One(_))
    }

    pub(super) const fn dial(&self) -> &Dialling {
        &self.dial
    }

    pub(super) const fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    pub(super) const fn patience(&self) -> Duration {
        self.patience
    }

    /// Who has what, as far as is known.
    pub(super) fn map(&self) -> Arc<Map> {
        self.map.load_full()
    }

    /// Who has what. Finds out if nothing is known.
    pub(super) async fn known(&self, until: Instant) -> Result<Arc<Map>, Fault> {
        if self.map.load().primaries.is_empty() {
            self.find(until).await?;
        }
        Ok(self.map())
    }

    /// The answers of whoever has that slot.
    pub(super) async fn ask(&self, slot: u16, request: &Request) -> Result<Vec<redis::Value>, Fault> {
        let until = Instant::now() + self.patience;
        let mut pauses = PAUSES.iter();
        let mut moves = 0;
        let mut detour = None;
        // Of an attempt that may have been successful.
        let mut doubt: Option<Fault> = None;
        loop {
            let (node, asking) = match detour.take() {
                Some(detour) => detour,
                None => match self.primary(slot, until).await {
                    Ok(node) => (node, false),
                    Err(fault) => return Err(doubt.unwrap_or(fault)),
                },
            };
            let fault = match node.answer(request, asking, until).await {
                Ok(answers) => return Ok(answers),
                Err(fault) => fault,
            };
            match &fault.kind {
                Kind::Moved(to) | Kind::Ask(to) if moves < MOST_MOVES => {
                    moves += 1;
                    let Some(address) = find::elsewhere(to, node.address()) else { return Err(fault) };
                    let there = self.node_at(&address);
                    let asking = matches!(fault.kind, Kind::Ask(_));
                    if !asking {
                        self.learn(slot, &there);
                    }
                    detour = Some((there, asking));
                    continue;
                }
                Kind::Unreachable(_) | Kind::ReadOnly if self.is_fixed() => {
                    return Err(doubt.unwrap_or(fault));
                }
                Kind::Unreachable(_) | Kind::ReadOnly | Kind::Passing => {}
                Kind::Lost if request.may_be_repeated() && doubt.is_none() => doubt = Some(fault.clone()),
                _ => return Err(fault),
            }
            let pause =
                pauses.next().map(|millis| Duration::from_millis(*millis).mul_f64(0.5 + fastrand::f64()));
            let Some(pause) = pause.filter(|pause| Instant::now() + *pause < until) else {
                // What is certain about the last attempt is not certain about the one before.
                return Err(if fault.applied() == Applied::No { doubt.unwrap_or(fault) } else { fault });
            };
            sleep(pause).await;
            // If nobody can be found, the next attempt says why.
            let _ = self.find(until).await;
        }
    }

    /// Looks whether others are the primaries now, and how many replicas there should be.
    pub(super) async fn look(&self) -> Result<(), Fault> {
        let until = Instant::now() + self.patience;
        if !self.is_fixed() {
            return self.find(until).await;
        }
        for node in &self.map().primaries {
            node.count_replicas(until).await?;
        }
        Ok(())
    }

    /// Finds out who has what, unless somebody just did.
    pub(super) async fn find(&self, until: Instant) -> Result<(), Fault> {
        if self.is_fixed() {
            return Ok(());
        }
        let mut found = self.found.lock().await;
        if found.is_some_and(|found| found.elapsed() < FRESH) {
            return Ok(());
        }
        let news = self.gather(until).await?;
        self.epoch.store(news.epoch(), Ordering::Relaxed);
        let (primaries, slots) = match news {
            Found::Primary { address, replicas, .. } => {
                let node = self.node_at(&address);
                node.should_have(replicas);
                (vec![node], Vec::new())
            }
            Found::Slots { primaries, slots, .. } => {
                let primaries = primaries.into_iter().map(|(address, replicas)| {
                    let node = self.node_at(&address);
                    node.has_replicas(replicas);
                    node
                });
                (primaries.collect(), slots)
            }
        };
        self.nodes.lock().retain(|_, node| primaries.iter().any(|primary| Arc::ptr_eq(primary, node)));
        self.map.store(Arc::new(Map { primaries, slots }));
        *found = Some(Instant::now());
        Ok(())
    }

    /// What most of those who can say it say, as far as that is known soon: of several answers the latest counts.
    async fn gather(&self, until: Instant) -> Result<Found, Fault> {
        let patience = self.connect_timeout;
        let (asked, sentinel) = match &self.given {
            url::Servers::One(address) => (vec![address.clone()], None),
            url::Servers::Sentinel { sentinels, primary } => (sentinels.clone(), Some(primary)),
            url::Servers::Cluster { nodes } => {
                let map = self.map.load();
                let mut known: Vec<_> = map.primaries.iter().map(|node| node.address().clone()).collect();
                known.extend(nodes.iter().filter(|node| !known.contains(node)).cloned().collect::<Vec<_>>());
                (known, None)
            }
        };
        let mut asking: FuturesUnordered<_> = asked
            .iter()
            .map(|address| async move {
                match sentinel {
                    Some(primary) => find::primary(&self.sentinels, address, primary, patience).await,
                    None => find::slots(&self.dial, address, patience).await,
                }
            })
            .collect();
        let (mut best, mut failed, mut answered): (Option<Found>, Option<Fault>, usize) = (None, None, 0);
        let mut end = until;
        while answered <= asked.len() / 2 {
            tokio::select! {
                next = asking.next() => match next {
                    Some(Ok(found)) => {
                        answered += 1;
                        end = end.min(Instant::now() + GRACE);
                        if best.as_ref().is_none_or(|best| best.epoch() < found.epoch()) {
                            best = Some(found);
                        }
                    }
                    // What must be mended is worth more than who cannot be reached.
                    Some(Err(fault)) if failed.as_ref().is_none_or(|failed| failed.kind != Kind::Lasting) => {
                        failed = Some(fault);
                    }
                    Some(Err(_)) => {}
                    None => break,
                },
                () = sleep_until(end) => break,
            }
        }
        // A few that know less than we do have missed something. Most of them may have been made anew.
        let is_most = answered > asked.len() / 2;
        best.filter(|best| is_most || best.epoch() >= self.epoch.load(Ordering::Relaxed))
            .ok_or_else(|| failed.unwrap_or_else(|| Fault::unfound(&self.given, patience)))
    }

    async fn primary(&self, slot: u16, until: Instant) -> Result<Arc<Node>, Fault> {
        if let Some(node) = self.map.load().primary(slot) {
            return Ok(Arc::clone(node));
        }
        self.find(until).await?;
        let map = self.map.load();
        map.primary(slot).map(Arc::clone).ok_or_else(|| Fault::unserved(&self.given, slot))
    }

    /// The node there; it is connected to when it is first asked.
    fn node_at(&self, address: &Address) -> Arc<Node> {
        let mut nodes = self.nodes.lock();
        let node = nodes.entry(address.clone()).or_insert_with(|| {
            let must_be_primary = !self.is_cluster();
            Arc::new(Node::new(address, &self.dial, self.connect_timeout, must_be_primary, self.min_replicas))
        });
        Arc::clone(node)
    }

    /// A slot is somewhere else than we thought.
    fn learn(&self, slot: u16, there: &Arc<Node>) {
        self.map.rcu(|map| {
            let mut map = Map::clone(map);
            let number = map.primaries.iter().position(|primary| Arc::ptr_eq(primary, there));
            let number = number.unwrap_or_else(|| {
                map.primaries.push(Arc::clone(there));
                map.primaries.len() - 1
            });
            if let (Some(slot), Ok(number)) = (map.slots.get_mut(usize::from(slot)), u16::try_from(number)) {
                *slot = number;
            }
            map
        });
    }
}
