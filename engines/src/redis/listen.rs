//! The change stream: what the scripts publish, followed so that nothing is missing without a word.
//!
//! Each message carries the number that was drawn for it and the one drawn before, per bucket: a server, or a slot of a
//! Cluster. A message whose predecessor was not heard tells of a gap, and so does every new connection, because what
//! was published meanwhile is kept by nobody. When a primary is not heard any more the stream ends, and that is no gap: whoever
//! kept copies knows how old they can be. A Cluster passes what is published to all of its nodes, but on links of its own
//! that may break unnoticed, and late; we listen at every primary, so that each says itself what it did, and overlook what we
//! know and what is older than our listening: numbers begin at the time of the server.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{pending, select_all};
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{PushInfo, PushKind, Value, from_redis_value, pipe};
use storage::{Changes, Key, Kind, LONGEST_UNNOTICED, Position, Publisher, Version, until_silent};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, sleep, timeout};

use super::dial::{Dialling, ask};
use super::fault::Fault;
use super::keys;
use super::record::{Malformed, take};
use super::servers::Servers;
use super::url::Address;

/// How many changes a listener of ours may miss before it is told that it did.
const CAPACITY: usize = 4096;
/// How long it may take until one is listened to: one that hangs is given up sooner than an operation would be, for another
/// one may get through.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause before one that was lost is listened to again, at random: so that all who lost it do not come at once, and it is
/// heard within a second of its return.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
const _: () = assert!(LONGEST_PAUSE.as_millis() < 1000);
/// How often it is looked whether others are the primaries now.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Follows the change stream from the first listener on.
#[derive(Debug)]
pub(super) struct Listening {
    changes: Publisher,
    servers: Weak<Servers>,
    channel: Arc<str>,
    started: Mutex<Option<Started>>,
}

#[derive(Debug)]
struct Started {
    task: AbortHandle,
    /// Whether every primary is listened to.
    is_whole: watch::Receiver<bool>,
}

impl Drop for Started {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listening {
    pub(super) fn new(servers: &Arc<Servers>, channel: String) -> Self {
        Self {
            changes: Publisher::new(CAPACITY),
            servers: Arc::downgrade(servers),
            channel: channel.into(),
            started: Mutex::default(),
        }
    }

    /// The changes from now on, for as long as every primary is listened to.
    pub(super) async fn changes(&self, from: Option<Position>, until: Instant) -> Result<Changes, Fault> {
        let mut is_whole = self.start(until).await?;
        let end = async move { drop(is_whole.wait_for(|is_whole| !*is_whole).await) };
        Ok(self.changes.subscribe_until(from, end))
    }

    /// Waits until every primary is listened to; what this gives says whether they still are.
    async fn start(&self, until: Instant) -> Result<watch::Receiver<bool>, Fault> {
        let mut is_whole = {
            let mut started = self.started.lock();
            let started = started.get_or_insert_with(|| {
                let (whole, is_whole) = watch::channel(false);
                let (servers, changes, channel) =
                    (Weak::clone(&self.servers), self.changes.clone(), Arc::clone(&self.channel));
                let task = tokio::spawn(listen(servers, changes, channel, whole)).abort_handle();
                Started { task, is_whole }
            });
            started.is_whole.clone()
        };
        let waited = tokio::time::timeout_at(until, is_whole.wait_for(|is_whole| *is_whole)).await;
        if waited.is_ok_and(|waited| waited.is_ok()) {
            return Ok(is_whole);
        }
        let address = Address::Tcp(self.channel.to_string(), 0);
        let Some(servers) = self.servers.upgrade() else {
            return Err(Fault::silent(&address, Duration::ZERO));
        };
        // Whoever cannot be asked cannot be listened to, and says why.
        for node in &servers.known(until).await?.primaries {
            node.up(until).await?;
        }
        Err(Fault::silent(&address, servers.patience()))
    }
}

/// What is known of the stream, from all whom we listen to.
#[derive(Debug)]
struct Heard {
    changes: Publisher,
    last: Mutex<HashMap<u32, u64>>,
}

/// Listens to whoever is a primary, for as long as the storage service is used.
async fn listen(servers: Weak<Servers>, changes: Publisher, channel: Arc<str>, whole: watch::Sender<bool>) {
    let (lost, looked) = (Notify::new(), Notify::new());
    // Beside each other: to look may take long when somebody is away, and that must be known at once.
    tokio::select! {
        () = look(&servers, &lost, &looked) => {}
        () = keep_ears(&servers, changes, channel, &whole, &lost, &looked) => {}
    }
}

/// Looks who is a primary now and then, and when one was `lost`.
async fn look(servers: &Weak<Servers>, lost: &Notify, looked: &Notify) {
    while let Some(servers) = servers.upgrade() {
        // If nobody can say, those who were the primaries are listened to.
        let _ = servers.look().await;
        drop(servers);
        looked.notify_one();
        let _ = timeout(LOOK_EVERY, lost.notified()).await;
    }
}

/// Has an ear at every primary, and says whether all of them hear.
async fn keep_ears(
    servers: &Weak<Servers>,
    changes: Publisher,
    channel: Arc<str>,
    whole: &watch::Sender<bool>,
    lost: &Notify,
    looked: &Notify,
) {
    let heard = Arc::new(Heard { changes, last: Mutex::default() });
    let mut ears: HashMap<Address, (Ear, watch::Receiver<bool>)> = HashMap::new();
    while let Some(servers) = servers.upgrade() {
        let map = servers.map();
        ears.retain(|address, _| map.primaries.iter().any(|node| node.address() == address));
        for node in &map.primaries {
            ears.entry(node.address().clone()).or_insert_with(|| {
                let (hears, is_hearing) = watch::channel(false);
                let (dial, heard) = (Arc::clone(servers.dial()), Arc::clone(&heard));
                let (address, channel) = (node.address().clone(), Arc::clone(&channel));
                let patience = servers.connect_timeout();
                let ear = follow(address, dial, patience, channel, heard, hears);
                (Ear(tokio::spawn(ear)), is_hearing)
            });
        }
        drop(servers);
        let is_whole =
            !ears.is_empty() && ears.values_mut().all(|(_, is_hearing)| *is_hearing.borrow_and_update());
        whole.send_if_modified(|before| std::mem::replace(before, is_whole) != is_whole);
        let changed: Vec<_> = ears.values_mut().map(|(_, is_hearing)| is_hearing.changed().boxed()).collect();
        let changed = async {
            match changed.is_empty() {
                true => pending().await,
                false => drop(select_all(changed).await),
            }
        };
        tokio::select! {
            () = changed => lost.notify_one(),
            () = looked.notified() => {}
        }
    }
}

/// Stops listening when it is dropped.
#[derive(Debug)]
struct Ear(JoinHandle<()>);

impl Drop for Ear {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Listens to one primary. Whenever it is heard anew, something may have been missed.
async fn follow(
    address: Address,
    dial: Dialling,
    patience: Duration,
    channel: Arc<str>,
    heard: Arc<Heard>,
    hears: watch::Sender<bool>,
) {
    loop {
        match subscribe(&address, &dial, patience, &channel).await {
            Ok(subscribed) => {
                // Before it counts as heard: whoever has not noticed the end learns of a gap.
                heard.miss();
                hears.send_replace(true);
                let error = hear(&address, subscribed, &heard).await;
                hears.send_replace(false);
                tracing::debug!(%error, "the change stream broke off; it is followed again");
            }
            Err(error) => tracing::debug!(%error, "the change stream cannot be followed; it is tried again"),
        }
        sleep(SHORTEST_PAUSE + (LONGEST_PAUSE - SHORTEST_PAUSE).mul_f64(fastrand::f64())).await;
    }
}

/// A connection on which we hear what is published since a number.
struct Subscribed {
    connection: MultiplexedConnection,
    pushes: UnboundedReceiver<PushInfo>,
    since: u64,
}

async fn subscribe(
    address: &Address,
    dial: &Dialling,
    patience: Duration,
    channel: &str,
) -> Result<Subscribed, Fault> {
    let (sender, pushes) = unbounded_channel();
    let patience = patience.min(PATIENCE);
    let mut connection = dial.connect(address, sender, patience).await?;
    let mut question = pipe();
    question.cmd("TIME");
    let time = ask(&mut connection, &question, address, patience).await?.into_iter().next();
    let time: Option<(u64, u64)> = time.and_then(|time| from_redis_value(time).ok());
    let (seconds, micros) =
        time.ok_or_else(|| Fault::nonsense(address, "TIME was not answered with a time"))?;
    let since = seconds.saturating_mul(1_000_000).saturating_add(micros);
    match timeout(patience, connection.subscribe(channel)).await {
        Ok(subscribed) => subscribed.map_err(|error| Fault::of(address, &error))?,
        Err(_) => return Err(Fault::silent(address, patience)),
    }
    Ok(Subscribed { connection, pushes, since })
}

/// Hears until the connection breaks, or nobody answers any more.
async fn hear(address: &Address, subscribed: Subscribed, heard: &Heard) -> Fault {
    let Subscribed { connection, mut pushes, since } = subscribed;
    let mut question = pipe();
    question.cmd("PING");
    let pinging = until_silent(|| {
        let (mut connection, question) = (connection.clone(), &question);
        async move { ask(&mut connection, question, address, LONGEST_UNNOTICED).await.map(drop) }
    });
    let hearing = async {
        while let Some(push) = pushes.recv().await {
            match push.kind {
                PushKind::Message => heard.hear(&push.data, since),
                PushKind::Disconnection => break,
                _ => {}
            }
        }
    };
    tokio::select! {
        fault = pinging => fault.unwrap_or_else(|| Fault::silent(address, LONGEST_UNNOTICED)),
        () = hearing => Fault::silent(address, Duration::ZERO),
    }
}

impl Heard {
    /// Something may have been missed, and nothing that was known is of use for noticing the next gap.
    fn miss(&self) {
        self.last.lock().clear();
        self.changes.interrupt();
    }

    /// A message: the channel, and what was published. What has an earlier number than `since` was published before we
    /// listened, and came late from another primary.
    fn hear(&self, data: &[Value], since: u64) {
        let Some(Value::BulkString(published)) = data.get(1) else { return };
        let Ok(Message { bucket, before, number, kind, version, key }) = Message::read(published) else {
            tracing::warn!("a message in our channel is none of ours");
            return;
        };
        if number < since {
            return;
        }
        let mut last = self.last.lock();
        let known = last.get(&bucket).copied();
        if known.is_some_and(|known| number <= known) {
            // Another primary passed it on.
            return;
        }
        last.insert(bucket, number);
        if known.is_some_and(|known| known != before) {
            self.changes.interrupt();
        }
        self.changes.publish(&key, version, kind);
    }
}

/// What is published of a change.
#[derive(Debug, PartialEq, Eq)]
struct Message {
    bucket: u32,
    before: u64,
    number: u64,
    kind: Kind,
    version: Version,
    key: Key,
}

impl Message {
    fn read(published: &[u8]) -> Result<Self, Malformed> {
        let mut rest = published;
        let bucket = u32::from_be_bytes(take(&mut rest)?);
        let before = u64::from_be_bytes(take(&mut rest)?);
        let number = u64::from_be_bytes(take(&mut rest)?);
        let kind = match &take::<1>(&mut rest)? {
            b"W" => Kind::Written,
            b"B" => Kind::Buried,
            _ => return Err(Malformed),
        };
        let version = Version(u64::from_be_bytes(take(&mut rest)?));
        let length = u16::from_be_bytes(take(&mut rest)?);
        let (context, name) = rest.split_at_checked(length.into()).ok_or(Malformed)?;
        let key = keys::key(context, name).ok_or(Malformed)?.map_err(|_| Malformed)?;
        Ok(Self { bucket, before, number, kind, version, key })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use storage::Notice;

    use super::*;

    fn published(bucket: u32, before: u64, number: u64, name: &str) -> [Value; 2] {
        let mut bytes = bucket.to_be_bytes().to_vec();
        bytes.extend(before.to_be_bytes());
        bytes.extend(number.to_be_bytes());
        bytes.push(b'W');
        bytes.extend(number.to_be_bytes());
        bytes.extend(3_u16.to_be_bytes());
        bytes.extend(b"s00");
        bytes.extend(name.as_bytes());
        [Value::BulkString(b"channel".to_vec()), Value::BulkString(bytes)]
    }

    async fn told(messages: &[[Value; 2]]) -> Vec<String> {
        let heard = Heard { changes: Publisher::new(100), last: Mutex::default() };
        let mut changes = heard.changes.subscribe(None);
        for message in messages {
            heard.hear(message, 2);
        }
        let mut told = Vec::new();
        while let Some(Some(notice)) = changes.next().now_or_never() {
            told.push(match notice {
                Notice::Change(change) => String::from_utf8(change.key.name().to_vec()).unwrap(),
                Notice::Gap => "gap".to_owned(),
            });
        }
        told
    }

    #[tokio::test]
    async fn a_hole_in_the_numbers_of_a_bucket_is_a_gap() {
        let messages = [
            published(0, 5, 7, "a"),
            published(0, 7, 9, "b"),
            published(0, 11, 12, "c"),
            published(0, 12, 13, "d"),
        ];
        assert_eq!(told(&messages).await, ["a", "b", "gap", "c", "d"]);
    }

    #[tokio::test]
    async fn what_is_heard_twice_is_told_once_and_buckets_are_apart() {
        let messages = [
            published(1, 5, 7, "a"),
            published(2, 0, 3, "b"),
            published(1, 5, 7, "a"),
            published(1, 7, 8, "c"),
        ];
        assert_eq!(told(&messages).await, ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn what_is_none_of_ours_is_overlooked() {
        let nonsense = [Value::BulkString(b"channel".to_vec()), Value::BulkString(b"hello".to_vec())];
        assert_eq!(told(&[nonsense, published(0, 1, 2, "a")]).await, ["a"]);
    }
}
