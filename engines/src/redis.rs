//! Records in Redis or Valkey: one server, one that Sentinels watch over, or a Cluster.
//!
//! ```text
//! create, update, touch, bury, batch -> write.lua --+-> records, names, expiry        one script, one slot
//!                                                   +-> PUBLISH -> every node of ours  listen.rs
//! ends, on a connection of their own -> write.lua, WAIT for the replicas              node.rs
//! ```
//!
//! Which server is asked, and again if it was the wrong one, is settled in servers.rs; a connection that breaks is made
//! again by link.rs. Redis frees what expired by itself, some time after it is over: whether a record is over is always
//! judged by the time of whoever asks, to the millisecond. What an operator sees with `redis-cli` is said in keys.rs and
//! record.rs.

mod dial;
mod fault;
mod find;
mod keys;
mod link;
mod listen;
mod node;
mod open;
mod record;
mod script;
mod servers;
mod url;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use redis::{Value, cmd, from_redis_value};
use session::{Clock, Millis};
use storage::{
    Batch, Burial, Bury, Capabilities, Changes, Create, Key, LONGEST_UNNOTICED, NewRecord, NewValue,
    Operation, Outcome, Page, Position, Read, Scan, Storage, Times, Touch, Unavailable, Update, Version,
};
use tokio::time::Instant;

use self::fault::Fault;
use self::keys::{Bucket, Keys};
use self::listen::Listening;
use self::node::Request;
use self::record::{Malformed, Slot};
use self::script::{Call, Script};
use self::servers::Servers;

pub use self::open::Settings;
pub use self::url::{Address, Servers as Where, Url, UrlError};

const MAX_VALUE: usize = 16 << 20;
/// The most operations of a batch: Redis does nothing else meanwhile.
const MAX_BATCH: usize = 1024;
/// How many a script removes before Redis serves others.
const REAP_AT_ONCE: usize = 256;
/// How many buckets are asked at once for what is due.
const BUCKETS_AT_ONCE: usize = 2048;
/// About how many bytes a call takes beside its values, and each of its operations.
const ROOM: usize = 256;
/// How much longer than a record lives Redis keeps it, should the clocks of those who write differ: one hour. What is
/// reaped goes earlier.
const MARGIN: Millis = Millis(3_600_000);

/// Shared records in Redis.
#[derive(Debug)]
pub struct Redis {
    id: Arc<str>,
    clock: Arc<dyn Clock>,
    keys: Keys,
    servers: Arc<Servers>,
    listening: Listening,
    is_durable: bool,
}

impl Redis {
    async fn write<T>(
        &self,
        operation: Operation,
        of: impl FnOnce(Outcome) -> Option<T>,
    ) -> Result<T, Unavailable> {
        operation.admit(MAX_VALUE, &self.id)?;
        match self.run(std::slice::from_ref(&operation)).await? {
            Batch::Done(outcomes) => outcomes.into_iter().next().and_then(of),
            Batch::Refused { outcome, .. } => of(outcome),
        }
        .ok_or_else(|| self.failed(Fault::nonsense(&self.id, "the answer belongs to another question")))
    }

    /// Runs operations of one context.
    async fn run(&self, operations: &[Operation]) -> Result<Batch, Unavailable> {
        let Some(context) = operations.first().map(|first| first.key().context()) else {
            return Ok(Batch::Done(Vec::new()));
        };
        let place = self.keys.place(context);
        let bucket = place.bucket();
        let is_end = operations.iter().any(Operation::is_end);
        // Each record once, and for each operation the number of its record; Lua counts from 1.
        let mut records: Vec<Vec<u8>> = Vec::with_capacity(operations.len());
        let mut numbers = Vec::with_capacity(operations.len());
        let mut bytes = ROOM;
        for operation in operations {
            let key = place.record(operation.key().name());
            bytes += ROOM + key.len() + value_of(operation).map_or(0, Bytes::len);
            let known = records.iter().position(|known| *known == key);
            numbers.push(known.map_or(records.len(), |known| known) + 1);
            if known.is_none() {
                records.push(key);
            }
        }
        let mut call = Call::begin(Script::Write, 4 + records.len(), bytes);
        call.arg(place.names()).arg(place.expiry()).arg(bucket.head).arg(bucket.due).arg(records);
        call.arg(record::time(self.clock.now())).arg(record::time(MARGIN));
        call.arg(&place.context).arg(bucket.number).arg(self.keys.channel()).arg(u32::from(is_end));
        for (operation, number) in operations.iter().zip(numbers) {
            record::say(operation, number, &mut call);
        }
        let call = Call::new(Script::Write, call, operations.len() == 1);
        let request = if is_end { Request::End(call) } else { Request::Call(call) };
        let answers = self.ask(place.slot, &request).await?;
        let done = answers.into_iter().next().ok_or(Malformed).and_then(record::done);
        done.map_err(|Malformed| self.strange())
    }

    async fn ask(&self, slot: u16, request: &Request) -> Result<Vec<Value>, Unavailable> {
        self.servers.ask(slot, request).await.map_err(|fault| self.failed(fault))
    }

    /// What is there now, of what Redis holds.
    fn slot(&self, held: Value) -> Result<Option<Slot>, Unavailable> {
        match held {
            // GETRANGE answers with nothing where GET has nil.
            Value::Nil => Ok(None),
            Value::BulkString(raw) if raw.is_empty() => Ok(None),
            Value::BulkString(raw) => {
                let slot = Slot::read(raw).map_err(|Malformed| self.strange())?;
                Ok(slot.at(self.clock.now()))
            }
            _ => Err(self.strange()),
        }
    }

    fn failed(&self, fault: Fault) -> Unavailable {
        fault.unavailable(&self.id)
    }

    fn strange(&self) -> Unavailable {
        self.failed(Fault::nonsense(&self.id, "what Redis holds or answers is none of ours"))
    }

    /// Removes what is over in one context, at most `budget`.
    async fn reap_context(&self, context: String, now: Millis, budget: usize) -> Result<usize, Unavailable> {
        let place = self.keys.written(context);
        let mut reaped = 0;
        loop {
            let count = REAP_AT_ONCE.min(budget - reaped);
            let mut over = cmd("ZRANGEBYSCORE");
            over.arg(place.expiry()).arg("-inf").arg(record::time(now)).arg("LIMIT").arg(0).arg(count);
            let names: Vec<Vec<u8>> = self.one(place.slot, over).await?;
            let found = names.len();
            let mut call = Call::begin(Script::Reap, 3 + found, ROOM * (1 + found));
            call.arg(place.names()).arg(place.expiry()).arg(place.bucket().due);
            for name in &names {
                call.arg(place.record(name));
            }
            call.arg(record::time(now)).arg(&place.context).arg(names);
            let request = Request::Call(Call::new(Script::Reap, call, true));
            let gone = self.ask(place.slot, &request).await?.into_iter().next();
            let gone: usize =
                gone.and_then(|gone| from_redis_value(gone).ok()).ok_or_else(|| self.strange())?;
            reaped += gone;
            if found < count || reaped >= budget {
                return Ok(reaped);
            }
        }
    }

    /// The contexts of these buckets in which something is over.
    async fn due(&self, buckets: &[Bucket], now: Millis, budget: usize) -> Result<Vec<String>, Unavailable> {
        let mut contexts = Vec::new();
        // What lies at one primary is asked at once.
        let until = Instant::now() + self.servers.patience();
        let map = self.servers.known(until).await.map_err(|fault| self.failed(fault))?;
        for (node, buckets) in map.shares(buckets) {
            let questions = buckets.iter().map(|bucket| {
                let mut due = cmd("ZRANGEBYSCORE");
                due.arg(&bucket.due).arg("-inf").arg(record::time(now)).arg("LIMIT").arg(0).arg(budget);
                due
            });
            let answers = node.answer(&Request::ask(questions), false, until).await;
            for answer in answers.map_err(|fault| self.failed(fault))? {
                contexts.extend(from_redis_value::<Vec<String>>(answer).map_err(|_| self.strange())?);
            }
        }
        Ok(contexts)
    }

    /// The answer to one plain command.
    async fn one<T: redis::FromRedisValue>(&self, slot: u16, command: redis::Cmd) -> Result<T, Unavailable> {
        let answers = self.ask(slot, &Request::ask([command])).await?;
        let answer = answers.into_iter().next().and_then(|answer| from_redis_value(answer).ok());
        answer.ok_or_else(|| self.strange())
    }
}

#[async_trait]
impl Storage for Redis {
    fn id(&self) -> &Arc<str> {
        &self.id
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            is_durable: self.is_durable,
            is_shared: true,
            is_memory: false,
            max_value: MAX_VALUE,
            unnoticed: LONGEST_UNNOTICED,
        }
    }

    async fn create(&self, key: &Key, new: NewRecord) -> Result<Create, Unavailable> {
        self.write(Operation::Create(key.clone(), new), Outcome::into_create).await
    }

    async fn read(&self, key: &Key, known: Option<Version>) -> Result<Read, Unavailable> {
        let place = self.keys.place(key.context());
        let record = place.record(key.name());
        let request = match known {
            None => {
                let mut get = cmd("GET");
                get.arg(record);
                Request::ask([get])
            }
            Some(known) => {
                let mut call = Call::begin(Script::Read, 1, ROOM);
                call.arg(record).arg(known.0);
                Request::Call(Call::new(Script::Read, call, true))
            }
        };
        let held = self.ask(place.slot, &request).await?.into_iter().next().unwrap_or_default();
        Ok(Slot::found(self.slot(held)?, known))
    }

    async fn update(&self, key: &Key, new: NewValue) -> Result<Update, Unavailable> {
        self.write(Operation::Update(key.clone(), new), Outcome::into_update).await
    }

    async fn touch(&self, key: &Key, times: Times) -> Result<Touch, Unavailable> {
        self.write(Operation::Touch(key.clone(), times), Outcome::into_touch).await
    }

    async fn bury(&self, key: &Key, burial: Burial) -> Result<Bury, Unavailable> {
        self.write(Operation::Bury(key.clone(), burial), Outcome::into_bury).await
    }

    /// Names first, then what they name: what comes or goes in between is there or not, as if asked a moment later.
    async fn list(&self, context: &str, after: Option<&[u8]>, limit: usize) -> Result<Page, Unavailable> {
        let mut page = Page { records: Vec::new(), has_more: false };
        if Key::new(context, b"any").is_err() {
            return Ok(page);
        }
        let place = self.keys.place(context);
        let mut after = after.unwrap_or_default().to_vec();
        loop {
            let from = if after.is_empty() { b"-".to_vec() } else { [b"(", after.as_slice()].concat() };
            let wanted = (limit - page.records.len()).saturating_add(1);
            let mut range = cmd("ZRANGEBYLEX");
            range.arg(place.names()).arg(from).arg("+").arg("LIMIT").arg(0).arg(wanted);
            let names: Vec<Vec<u8>> = self.one(place.slot, range).await?;
            let is_last = names.len() < wanted;
            if names.is_empty() {
                return Ok(page);
            }
            let heads = names.iter().map(|name| {
                let mut head = cmd("GETRANGE");
                head.arg(place.record(name)).arg(0).arg(40);
                head
            });
            let heads = self.ask(place.slot, &Request::ask(heads)).await?;
            for (name, head) in names.into_iter().zip(heads) {
                after.clone_from(&name);
                let key = Key::new(context, &name).map_err(|_| self.strange())?;
                let Some(listed) = self.slot(head)?.and_then(|slot| slot.listed(key)) else { continue };
                if page.records.len() >= limit {
                    page.has_more = true;
                    return Ok(page);
                }
                page.records.push(listed);
            }
            if is_last {
                return Ok(page);
            }
        }
    }

    /// A cursor is the number of a primary, where its own scan is, and a fingerprint of who has what. If that changes, the
    /// scan begins anew: what moved might otherwise be passed by.
    async fn scan(&self, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        let until = Instant::now() + self.servers.patience();
        let map = self.servers.known(until).await.map_err(|fault| self.failed(fault))?;
        let fingerprint = map.fingerprint();
        let (number, at) = match cursor {
            None => (0, 0),
            Some(cursor) => {
                let (number, at, seen) = read_cursor(cursor)
                    .ok_or_else(|| Unavailable::refused(&self.id, "this is no cursor of this engine"))?;
                if seen == fingerprint { (number, at) } else { (0, 0) }
            }
        };
        let Some(node) = map.primaries.get(usize::from(number)) else {
            return Ok(Scan { found: Vec::new(), cursor: None });
        };
        let ask = async |commands: Vec<redis::Cmd>| {
            let answers = node.answer(&Request::ask(commands), false, until).await;
            answers.map_err(|fault| self.failed(fault))
        };
        let mut scan = cmd("SCAN");
        scan.arg(at).arg("MATCH").arg(self.keys.all_records()).arg("COUNT").arg(budget.max(1));
        let answer = ask(vec![scan]).await?.into_iter().next().unwrap_or_default();
        let (next, names): (u64, Vec<Vec<u8>>) = from_redis_value(answer).map_err(|_| self.strange())?;
        let names: Vec<(Key, Vec<u8>)> =
            names.into_iter().filter_map(|name| Some((self.keys.read(&name)?, name))).collect();
        let mut found = Vec::with_capacity(names.len());
        if !names.is_empty() {
            let gets = names.iter().map(|(_, name)| {
                let mut get = cmd("GET");
                get.arg(name);
                get
            });
            for ((key, _), held) in names.iter().zip(ask(gets.collect()).await?) {
                if let Some(slot) = self.slot(held)? {
                    found.push((key.clone(), slot.scanned()));
                }
            }
        }
        let is_last = usize::from(number) + 1 >= map.primaries.len();
        let cursor = match next {
            0 if is_last => None,
            0 => Some(write_cursor(number + 1, 0, fingerprint)),
            at => Some(write_cursor(number, at, fingerprint)),
        };
        Ok(Scan { found, cursor })
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<Batch, Unavailable> {
        if Operation::context_of_all(&operations, MAX_BATCH, &self.id)?.is_none() {
            return Ok(Batch::Done(Vec::new()));
        }
        operations.iter().try_for_each(|operation| operation.admit(MAX_VALUE, &self.id))?;
        self.run(&operations).await
    }

    /// By the contexts in which something is due, whatever else is there.
    async fn reap(&self, now: Millis, budget: usize) -> Result<usize, Unavailable> {
        let mut reaped = 0;
        let buckets: Vec<Bucket> = self.keys.buckets().collect();
        for buckets in buckets.chunks(BUCKETS_AT_ONCE) {
            for context in self.due(buckets, now, budget).await? {
                if reaped >= budget {
                    return Ok(reaped);
                }
                reaped += self.reap_context(context, now, budget - reaped).await?;
            }
        }
        Ok(reaped)
    }

    async fn watch(&self, from: Option<Position>) -> Result<Changes, Unavailable> {
        let until = Instant::now() + self.servers.patience();
        self.listening.changes(from, until).await.map_err(|fault| self.failed(fault))
    }
}

/// The value that an operation writes.
const fn value_of(operation: &Operation) -> Option<&Bytes> {
    match operation {
        Operation::Create(_, new) => Some(&new.value),
        Operation::Update(_, new) => Some(&new.value),
        Operation::Touch(..) | Operation::Bury(..) => None,
    }
}

fn write_cursor(number: u16, at: u64, fingerprint: u64) -> Vec<u8> {
    [&number.to_be_bytes()[..], &at.to_be_bytes(), &fingerprint.to_be_bytes()].concat()
}

fn read_cursor(cursor: &[u8]) -> Option<(u16, u64, u64)> {
    let mut rest = cursor;
    let number = u16::from_be_bytes(record::take(&mut rest).ok()?);
    let at = u64::from_be_bytes(record::take(&mut rest).ok()?);
    let fingerprint = u64::from_be_bytes(record::take(&mut rest).ok()?);
    rest.is_empty().then_some((number, at, fingerprint))
}
