//! Asking the other nodes whether they know of an end.
//!
//! Whoever asks writes one small record that says what was ended, after storage has the end. The others hear it in their
//! change stream, drop what it names, as they do at the notice of the end itself, and write a small record as their answer,
//! which the asker hears. So it does not matter which of the two notices comes first, nor whether one of them was lost; and
//! whoever answers refuses the session, or it would not have answered. Both records expire within seconds.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::unfold;
use parking_lot::Mutex;
use session::{Epoch, Handle, Millis, Why};
use storage::{Key, NewRecord, Times, Unavailable, WriteId};
use tokio::sync::mpsc::{Receiver, Sender, UnboundedReceiver, UnboundedSender, channel, unbounded_channel};

use crate::Cache;
use crate::nodes::NodeId;
use crate::scope::{Mark, Scope};

pub(crate) const CALLS: &str = "roll.call";
pub(crate) const ANSWERS: &str = "roll.answer";

/// How long the records live: longer than anybody waits.
const LIFE: Duration = Duration::from_secs(10);
/// How many calls may wait to be answered here. Whoever calls more often is not answered, and says so.
const MAX_CALLS: usize = 1024;
/// How many answers are written at once.
const MAX_ANSWERS: usize = 16;

/// What was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// A session on the server.
    Session(Handle),
    /// One that its visitor carried, and how it ended.
    Carried(Handle, Why),
    /// All of these that remember an earlier counter.
    Counter(Scope, Epoch),
    /// All of these that began before a moment.
    Mark(Mark),
}

impl Subject {
    /// What the name of a record holds: words, and at the end the bytes of a fingerprint, if there is one.
    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Session(handle) => format!("session {handle}").into_bytes(),
            Self::Carried(handle, why) => format!("carried {handle} {why}").into_bytes(),
            // So that older builds confirm it as well.
            Self::Counter(Scope::Person(id), Epoch(epoch)) => {
                [format!("principal {epoch} ").as_bytes(), id].concat()
            }
            Self::Counter(scope, Epoch(epoch)) => {
                [format!("counter {epoch} ").as_bytes(), &scope.name()].concat()
            }
            Self::Mark(Mark { scope, before: Millis(before) }) => {
                [format!("before {before} ").as_bytes(), &scope.name()].concat()
            }
        }
    }

    /// None, if it is of a newer build.
    fn decode(name: &[u8]) -> Option<Self> {
        let mut words = name.splitn(3, |byte| *byte == b' ');
        let (kind, first) = (words.next()?, std::str::from_utf8(words.next()?).ok()?);
        match (kind, words.next()) {
            (b"session", None) => Some(Self::Session(first.parse().ok()?)),
            (b"carried", Some(why)) => {
                let why = std::str::from_utf8(why).ok()?.parse().unwrap_or(Why::Revoked);
                Some(Self::Carried(first.parse().ok()?, why))
            }
            (b"principal", Some(id)) => {
                Some(Self::Counter(Scope::Person(id.try_into().ok()?), Epoch(first.parse().ok()?)))
            }
            (b"counter", Some(scope)) => Some(Self::Counter(Scope::read(scope)?, Epoch(first.parse().ok()?))),
            (b"before", Some(scope)) => {
                let before = Millis(first.parse().ok()?);
                Some(Self::Mark(Mark { scope: Scope::read(scope)?, before }))
            }
            _ => None,
        }
    }
}

/// The calls that are under way.
#[derive(Debug)]
pub(crate) struct Roll {
    /// Those of this process, and where their answers go.
    ours: Mutex<HashMap<Handle, UnboundedSender<NodeId>>>,
    /// Those of others that are to be answered.
    theirs: Sender<Handle>,
    waiting: tokio::sync::Mutex<Receiver<Handle>>,
}

impl Default for Roll {
    fn default() -> Self {
        let (theirs, waiting) = channel(MAX_CALLS);
        Self { ours: Mutex::default(), theirs, waiting: tokio::sync::Mutex::new(waiting) }
    }
}

/// A call of this process. It is forgotten when this is dropped.
#[derive(Debug)]
pub(crate) struct Call<'c> {
    cache: &'c Cache,
    name: Handle,
    answers: UnboundedReceiver<NodeId>,
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        self.cache.nodes.roll.ours.lock().remove(&self.name);
    }
}

impl<'c> Call<'c> {
    /// Nobody was asked yet.
    pub(crate) fn new(cache: &'c Cache) -> Result<Self, Unavailable> {
        let name = Handle::random().map_err(|error| cache.unavailable(error))?;
        let (sender, answers) = unbounded_channel();
        cache.nodes.roll.ours.lock().insert(name, sender);
        Ok(Self { cache, name, answers })
    }

    /// Asks everybody.
    pub(crate) async fn ask(&self, subject: &Subject) -> Result<(), Unavailable> {
        let name = [self.name.to_string().as_bytes(), b" ", &subject.encode()].concat();
        self.cache.say(CALLS, &name).await
    }

    /// The next who answers.
    pub(crate) async fn answer(&mut self) -> Option<NodeId> {
        self.answers.recv().await
    }

    /// Who has answered, for one whose change stream may have lost it.
    pub(crate) async fn all_answers(&self, at_most: usize) -> Result<Vec<NodeId>, Unavailable> {
        let before = format!("{} ", self.name);
        let page = self.cache.storage.list(ANSWERS, Some(before.as_bytes()), at_most).await?;
        let answers = page.records.iter().filter_map(|record| answer_of(&record.key));
        Ok(answers.filter(|(call, _)| *call == self.name).map(|(_, node)| node).collect())
    }
}

impl Cache {
    /// Somebody calls the roll, or answers.
    pub(crate) fn hear_roll(&self, key: &Key) {
        let roll = &self.nodes.roll;
        match key.context() {
            CALLS => {
                let Some((call, subject)) = call_of(key) else { return };
                if !roll.ours.lock().contains_key(&call) && self.refuse(&subject).is_ok() {
                    // If there is no room the asker learns that nobody answered here.
                    let _ = roll.theirs.try_send(call);
                }
            }
            ANSWERS => {
                let Some((call, node)) = answer_of(key) else { return };
                if let Some(asker) = roll.ours.lock().get(&call) {
                    let _ = asker.send(node);
                }
            }
            _ => {}
        }
    }

    /// Answers the calls of others, until it is dropped.
    pub(crate) async fn answer_roll(&self) {
        let Some(me) = self.shown() else { return };
        let mut waiting = self.nodes.roll.waiting.lock().await;
        let calls = unfold(&mut *waiting, async |waiting| Some((waiting.recv().await?, waiting)));
        let answer = async |call: Handle| {
            let name = format!("{call} {}", me.id);
            if let Err(error) = self.say(ANSWERS, name.as_bytes()).await {
                tracing::debug!(%error, "the roll call of another node was not answered");
            }
        };
        calls.for_each_concurrent(MAX_ANSWERS, answer).await;
    }

    async fn say(&self, context: &str, name: &[u8]) -> Result<(), Unavailable> {
        let key = Key::new(context, name).map_err(|error| self.unavailable(error))?;
        let now = self.clock.now();
        let times = Times { touched: now, expires: now.plus(LIFE) };
        let write = WriteId::random().map_err(|error| self.unavailable(error))?;
        self.storage.create(&key, NewRecord::new(Bytes::new(), times, write)).await.map(drop)
    }
}

fn call_of(key: &Key) -> Option<(Handle, Subject)> {
    let (call, subject) = key.name().split_at_checked(32)?;
    let call = std::str::from_utf8(call).ok()?.parse().ok()?;
    Some((call, Subject::decode(subject.strip_prefix(b" ")?)?))
}

fn answer_of(key: &Key) -> Option<(Handle, NodeId)> {
    let (call, node) = std::str::from_utf8(key.name()).ok()?.split_once(' ')?;
    Some((call.parse().ok()?, node.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_ended_is_read_as_it_was_written_and_nonsense_is_nothing() {
        let handle = Handle::from_bytes([9; 16]);
        for subject in [
            Subject::Session(handle),
            Subject::Carried(handle, Why::Logout),
            // A fingerprint is any bytes, spaces and line ends among them.
            Subject::Counter(Scope::Person([b' '; 32]), Epoch(u64::MAX)),
            Subject::Counter(Scope::Person([0xff; 32]), Epoch(0)),
            Subject::Counter(Scope::Index([b' '; 32]), Epoch(7)),
            Subject::Counter(Scope::Everybody, Epoch(7)),
            Subject::Mark(Mark { scope: Scope::Realm([b' '; 32]), before: Millis(u64::MAX) }),
            Subject::Mark(Mark { scope: Scope::Person([b'1'; 32]), before: Millis(0) }),
        ] {
            assert_eq!(Subject::decode(&subject.encode()), Some(subject));
            let name = [handle.to_string().as_bytes(), b" ", &subject.encode()].concat();
            assert_eq!(call_of(&Key::new(CALLS, &name).unwrap()), Some((handle, subject)));
        }
        let newer = format!("carried {handle} abducted").into_bytes();
        assert_eq!(Subject::decode(&newer), Some(Subject::Carried(handle, Why::Revoked)));
        for nonsense in [
            "",
            "session",
            "session x",
            "carried",
            "principal 1 x",
            "principal x ",
            "everybody 7",
            "counter 1 x",
            "before x e",
        ] {
            assert_eq!(Subject::decode(nonsense.as_bytes()), None, "{nonsense:?}");
        }
    }
}
