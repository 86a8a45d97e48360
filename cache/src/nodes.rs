//! Who keeps sessions on the same storage.
//!
//! Where storage is shared, each process that was given a name has a record of its own there, under an id that it draws
//! at its start and nobody has again. It prolongs the record as long as it lives and ends it when it stops; of one that
//! dies the record expires. All others read the list now and then, and hear of who comes and who goes.
//!
//! The record lives longer than copies are trusted without the change stream, and is there before this process believes
//! a copy. So whoever is not in the list serves no session that was ended before the list was read, unless it hears of the
//! end itself: that is what a [`Receipt`](crate::Receipt) rests on.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use session::{Ending, Handle, MalformedTicket, Millis, NoRandomness, Why};
use storage::{Burial, Change, Create, Key, Kind, NewRecord, Read, Times, Touch, Unavailable, WriteId};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

use crate::Cache;
use crate::roll_call::Roll;
use crate::sync::jitter;

pub(crate) const NODES: &str = "node";

/// How often a record is prolonged and the list is read, about.
const PROLONG_EVERY: Duration = Duration::from_secs(5);
/// The same after a failure.
const TRY_EVERY: Duration = Duration::from_millis(500);
/// How long a record lives that nobody prolongs, at least.
const PRESENCE: Duration = Duration::from_secs(15);
/// How much longer than copies are trusted it lives.
const BEYOND_TRUST: Duration = Duration::from_secs(5);
/// How long after this process had no answer of storage nobody is taken to be gone: they had none either.
const AFTER_TROUBLE: Duration = Duration::from_secs(10);
/// Those who come at once are looked at together.
const GATHERING: Duration = Duration::from_millis(50);
/// How many are read at once.
const PAGE: usize = 1000;
/// Of how many it is remembered that they left: a list that was read before must not bring them back.
const MAX_LEFT: usize = 64;
/// The most characters of a name.
const MAX_NAME: usize = 128;

/// Names one life of one process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Handle);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for NodeId {
    type Err = MalformedTicket;

    fn from_str(text: &str) -> Result<Self, MalformedTicket> {
        text.parse().map(Self)
    }
}

/// A process that keeps sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Another one with each start.
    pub id: NodeId,
    /// What people call it.
    pub name: Box<str>,
    /// Of its program.
    pub version: Box<str>,
    /// When it started.
    pub begun: Millis,
}

impl Node {
    fn encode(&self) -> Bytes {
        format!("{}\n{}\n{}", self.begun.0, self.version, self.name).into()
    }

    /// What a record says of its node. Of one that says something else only the id is known.
    fn decode(id: NodeId, value: &[u8]) -> Self {
        let parts = || {
            let mut parts = std::str::from_utf8(value).ok()?.splitn(3, '\n');
            let begun = Millis(parts.next()?.parse().ok()?);
            Some((begun, presentable(parts.next()?), presentable(parts.next()?)))
        };
        match parts() {
            Some((begun, version, name)) if !name.is_empty() => Self { id, name, version, begun },
            _ => Self { id, name: id.to_string().into(), version: "unknown".into(), begun: Millis(0) },
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// What others may have written goes into the log.
fn presentable(text: &str) -> Box<str> {
    text.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect()
}

/// This process, and the others that it knows of.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    /// This process, if it shows itself.
    pub(crate) me: Option<Node>,
    known: Mutex<Known>,
    /// How many there are, this one included.
    pub(crate) count: Gauge,
    /// Told when somebody may have come.
    news: Notify,
    pub(crate) roll: Roll,
}

#[derive(Debug, Default)]
struct Known {
    others: BTreeMap<NodeId, Node>,
    /// Who has left, the last ones.
    left: VecDeque<NodeId>,
    has_left: bool,
    /// When storage last had no answer.
    trouble: Option<Instant>,
}

impl Nodes {
    /// All that are known: this one, then the others by their names.
    fn all(&self) -> Vec<Node> {
        let mut others: Vec<_> = self.known.lock().others.values().cloned().collect();
        others.sort_by(|one, other| one.name.cmp(&other.name));
        self.me.iter().cloned().chain(others).collect()
    }

    fn knows(&self, id: NodeId) -> bool {
        self.me.as_ref().is_some_and(|me| me.id == id) || {
            let known = self.known.lock();
            known.others.contains_key(&id) || known.left.contains(&id)
        }
    }

    /// These are in the list, the second of whom nothing was known before.
    fn settle(&self, listed: &BTreeSet<NodeId>, new: Vec<Node>) {
        let mut known = self.known.lock();
        for node in new {
            if known.left.contains(&node.id) || known.others.contains_key(&node.id) {
                continue;
            }
            tracing::info!(node = %node, id = %node.id, version = %node.version, "another node keeps sessions on the same storage");
            known.others.insert(node.id, node);
        }
        let in_trouble = known.trouble.is_some_and(|trouble| trouble.elapsed() < AFTER_TROUBLE);
        if !in_trouble {
            let gone: Vec<_> = known.others.keys().filter(|id| !listed.contains(id)).copied().collect();
            for node in gone.into_iter().filter_map(|id| known.others.remove(&id)) {
                tracing::warn!(node = %node, id = %node.id, "a node is gone without a word: it was killed, or cannot reach the storage");
            }
        }
        self.recount(&known);
    }

    /// It said so itself.
    fn leave(&self, id: NodeId) {
        let mut known = self.known.lock();
        if known.left.len() >= MAX_LEFT {
            known.left.pop_front();
        }
        known.left.push_back(id);
        if let Some(node) = known.others.remove(&id) {
            tracing::info!(node = %node, id = %node.id, "a node has left");
        }
        self.recount(&known);
    }

    fn recount(&self, known: &Known) {
        let here = i64::from(self.me.is_some() && !known.has_left);
        self.count.set(i64::try_from(known.others.len()).unwrap_or(i64::MAX).saturating_add(here));
    }
}

impl Cache {
    /// The same cache, which shows itself under this name to all that share its storage, and says that it is of this
    /// `version`. Without it nobody knows of it.
    pub fn named(mut self, name: &str, version: &str) -> Result<Self, NoRandomness> {
        let id = NodeId(Handle::random()?);
        let begun = self.clock.now();
        self.nodes.me = Some(Node { id, name: presentable(name), version: presentable(version), begun });
        Ok(self)
    }

    /// The processes that keep sessions on the same storage as far as this one knows, itself first. Only itself where
    /// storage is not shared; nobody, if it was not [named](Cache::named).
    #[must_use]
    pub fn nodes(&self) -> Vec<Node> {
        self.nodes.all()
    }

    /// This process stops to serve sessions, and says so to the others. The last that is done with it.
    pub async fn leave(&self) -> Result<(), Unavailable> {
        let Some(me) = self.shown() else { return Ok(()) };
        self.nodes.known.lock().has_left = true;
        let ending = Ending::new(self.clock.now(), Why::Logout, "");
        // Nothing need stay: nobody has this id again.
        let burial = Burial { until: None, ending, expected: None };
        self.storage.bury(&self.node_key(me.id)?, burial).await.map(drop)
    }

    /// This process, where others can see it.
    pub(crate) fn shown(&self) -> Option<&Node> {
        self.nodes.me.as_ref().filter(|_| self.storage.capabilities().is_shared)
    }

    /// Shows this process to the others and looks who they are, until it is dropped.
    pub(crate) async fn attend_nodes(&self) {
        if self.shown().is_none() {
            return;
        }
        loop {
            let attended = async {
                self.show_up().await?;
                self.look_around().await
            };
            let pause = match attended.await {
                Ok(()) => PROLONG_EVERY,
                Err(error) => {
                    tracing::debug!(%error, "it is not known which nodes there are; it is tried again");
                    TRY_EVERY
                }
            };
            let until = Instant::now() + jittered(pause);
            while timeout_at(until, self.nodes.news.notified()).await.is_ok() {
                sleep(GATHERING).await;
                if let Err(error) = self.look_around().await {
                    tracing::debug!(%error, "it is not known which nodes there are; it is tried again");
                    break;
                }
            }
        }
    }

    /// Sees to it that this process is in the list.
    pub(crate) async fn show_up(&self) -> Result<(), Unavailable> {
        let Some(me) = self.shown() else { return Ok(()) };
        if self.nodes.known.lock().has_left {
            return Ok(());
        }
        let shown = self.write_presence(me).await;
        self.nodes.notice(&shown);
        shown
    }

    async fn write_presence(&self, me: &Node) -> Result<(), Unavailable> {
        let (key, now) = (self.node_key(me.id)?, self.clock.now());
        let presence = PRESENCE.max(self.settings.trust_window.saturating_add(BEYOND_TRUST));
        let times = Times { touched: now, expires: now.plus(presence) };
        if self.storage.touch(&key, times).await? == Touch::Touched {
            return Ok(());
        }
        let write = WriteId::random().map_err(|error| self.unavailable(error))?;
        match self.storage.create(&key, NewRecord::new(me.encode(), times, write)).await? {
            Create::Created(_) | Create::Exists => Ok(()),
            Create::Buried(_) => Err(self.unavailable("somebody ended the record of this node")),
        }
    }

    /// Reads who there is.
    pub(crate) async fn look_around(&self) -> Result<(), Unavailable> {
        let looked = self.list_nodes().await;
        self.nodes.notice(&looked);
        let (listed, new) = looked?;
        self.nodes.settle(&listed, new);
        Ok(())
    }

    /// Who is in the list, and those of them who were not known.
    async fn list_nodes(&self) -> Result<(BTreeSet<NodeId>, Vec<Node>), Unavailable> {
        let (mut listed, mut new) = (BTreeSet::new(), Vec::new());
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.storage.list(NODES, after.as_deref(), PAGE).await?;
            for record in &page.records {
                let Some(id) = node_of(&record.key) else { continue };
                listed.insert(id);
                if !self.nodes.knows(id)
                    && let Read::Found(record) = self.storage.read(&record.key, None).await?
                {
                    new.push(Node::decode(id, &record.value));
                }
            }
            match page.records.last().filter(|_| page.has_more) {
                Some(last) => after = Some(last.key.name().to_vec()),
                None => return Ok((listed, new)),
            }
        }
    }

    /// Somebody came or went, calls the roll or answers.
    pub(crate) fn hear_of_nodes(&self, change: &Change) {
        if self.nodes.me.is_none() {
            return;
        }
        if change.key.context() != NODES {
            self.hear_roll(&change.key);
        } else if let Some(id) = node_of(&change.key) {
            match change.kind {
                Kind::Written if !self.nodes.knows(id) => self.nodes.news.notify_one(),
                Kind::Written => {}
                Kind::Buried => self.nodes.leave(id),
            }
        }
    }

    /// Somebody may have come or gone unheard.
    pub(crate) fn doubt_nodes(&self) {
        self.nodes.news.notify_one();
    }

    fn node_key(&self, id: NodeId) -> Result<Key, Unavailable> {
        Key::new(NODES, id.to_string().as_bytes()).map_err(|error| self.unavailable(error))
    }
}

impl Nodes {
    /// Whether storage had an answer.
    fn notice<T>(&self, answer: &Result<T, Unavailable>) {
        if answer.is_err() {
            self.known.lock().trouble = Some(Instant::now());
        }
    }
}

fn node_of(key: &Key) -> Option<NodeId> {
    std::str::from_utf8(key.name()).ok()?.parse().ok()
}

/// So that many nodes do not come at once.
fn jittered(pause: Duration) -> Duration {
    let jitter = jitter() % 1000;
    pause.mul_f64(0.8 + f64::from(jitter) / 5000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_says_who_the_node_is_and_nonsense_only_that_there_is_one() {
        let id = NodeId(Handle::from_bytes([7; 16]));
        let node = Node { id, name: "web 1/4711".into(), version: "0.3.0".into(), begun: Millis(17) };
        assert_eq!(Node::decode(id, &node.encode()), node);
        for nonsense in [&b""[..], b"\xff", b"1", b"1\n2", b"x\n2\nname", b"1\n2\n", b"1\n2\n\x1b\n"] {
            assert_eq!(&*Node::decode(id, nonsense).name, &*id.to_string(), "{nonsense:?}");
        }
        let loud = format!("1\n2\na\x1b[31m\r\n{}", "x".repeat(1000));
        assert_eq!(&*Node::decode(id, loud.as_bytes()).name, &format!("a[31m{}", "x".repeat(123)));
    }
}
