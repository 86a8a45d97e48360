//! A storage service whose operations are timed.
//!
//! The histograms of all operations and outcomes are looked up once, when the service is wrapped; what an operation
//! costs beyond that is two looks at the clock and two atomic additions.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use metrics::Durations;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};
use session::Millis;

use crate::{
    Batch, Burial, Bury, Capabilities, Changes, Create, Key, NewRecord, NewValue, Operation, Page, Position,
    Read, Scan, Storage, Times, Touch, Unavailable, Update, Version,
};

/// How long operations of storage services take.
#[derive(Debug)]
pub struct Latencies(Family<Labels, Durations>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    storage: String,
    operation: &'static str,
    outcome: &'static str,
}

impl Latencies {
    /// To be shown by `registry`; once for all services.
    pub fn registered(registry: &mut Registry) -> Self {
        let family = Family::new_with_constructor(Durations::of_storage as fn() -> Durations);
        registry.sub_registry_with_prefix("storage").register_with_unit(
            "operation",
            "How long storage takes, by operation and outcome. `unavailable` rises: storage is down or slower than its \
             deadline. All rise together: the disk or the network is slow; `conflict` alone: many writers for the same session",
            Unit::Seconds,
            family.clone(),
        );
        Self(family)
    }

    fn of(
        &self,
        storage: &str,
        operation: &'static str,
        outcomes: &[&'static str],
    ) -> Box<[(&'static str, Durations)]> {
        outcomes
            .iter()
            .map(|outcome| {
                let labels = Labels { storage: storage.to_owned(), operation, outcome };
                (*outcome, self.0.get_or_create_owned(&labels))
            })
            .collect()
    }
}

/// What was asked for was done, or found.
const DONE: &str = "done";
/// There is nothing under the key.
const ABSENT: &str = "absent";
/// A tombstone is under the key.
const ENDED: &str = "ended";
/// Somebody else was first.
const CONFLICT: &str = "conflict";
/// The service could not say.
const UNAVAILABLE: &str = "unavailable";

/// Times every operation of another service.
#[derive(Debug)]
pub struct Measured {
    inner: Arc<dyn Storage>,
    create: Outcomes,
    read: Outcomes,
    update: Outcomes,
    touch: Outcomes,
    bury: Outcomes,
    list: Outcomes,
    scan: Outcomes,
    batch: Outcomes,
    reap: Outcomes,
    watch: Outcomes,
}

/// The possible outcomes of one operation.
#[derive(Debug)]
struct Outcomes(Box<[(&'static str, Durations)]>);

impl Outcomes {
    async fn time<T>(
        &self,
        operation: impl Future<Output = Result<T, Unavailable>>,
        outcome: fn(&T) -> &'static str,
    ) -> Result<T, Unavailable> {
        let since = Instant::now();
        let answer = operation.await;
        let outcome = answer.as_ref().map_or(UNAVAILABLE, outcome);
        if let Some((_, durations)) = self.0.iter().find(|(known, _)| *known == outcome) {
            durations.observe(since.elapsed());
        }
        answer
    }
}

impl Measured {
    /// `inner`, timed.
    #[must_use]
    pub fn new(inner: Arc<dyn Storage>, latencies: &Latencies) -> Self {
        let of =
            |operation, outcomes: &[&'static str]| Outcomes(latencies.of(inner.id(), operation, outcomes));
        Self {
            create: of("create", &[DONE, CONFLICT, ENDED, UNAVAILABLE]),
            read: of("read", &[DONE, ABSENT, ENDED, UNAVAILABLE]),
            update: of("update", &[DONE, CONFLICT, ABSENT, ENDED, UNAVAILABLE]),
            touch: of("touch", &[DONE, ABSENT, ENDED, UNAVAILABLE]),
            bury: of("bury", &[DONE, CONFLICT, UNAVAILABLE]),
            list: of("list", &[DONE, UNAVAILABLE]),
            scan: of("scan", &[DONE, UNAVAILABLE]),
            batch: of("batch", &[DONE, CONFLICT, UNAVAILABLE]),
            reap: of("reap", &[DONE, UNAVAILABLE]),
            watch: of("watch", &[DONE, UNAVAILABLE]),
            inner,
        }
    }
}

/// For operations that can only be done or not.
const fn done<T>(_: &T) -> &'static str {
    DONE
}

#[async_trait]
impl Storage for Measured {
    fn id(&self) -> &Arc<str> {
        self.inner.id()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn create(&self, key: &Key, new: NewRecord) -> Result<Create, Unavailable> {
        let outcome = |create: &Create| match create {
            Create::Created(_) => DONE,
            Create::Exists => CONFLICT,
            Create::Buried(_) => ENDED,
        };
        self.create.time(self.inner.create(key, new), outcome).await
    }

    async fn read(&self, key: &Key, known: Option<Version>) -> Result<Read, Unavailable> {
        let outcome = |read: &Read| match read {
            Read::Found(_) | Read::Unchanged(_) => DONE,
            Read::Absent => ABSENT,
            Read::Buried(_) => ENDED,
        };
        self.read.time(self.inner.read(key, known), outcome).await
    }

    async fn update(&self, key: &Key, new: NewValue) -> Result<Update, Unavailable> {
        let outcome = |update: &Update| match update {
            Update::Updated(_) => DONE,
            Update::Conflict(_) => CONFLICT,
            Update::Absent => ABSENT,
            Update::Buried(_) => ENDED,
        };
        self.update.time(self.inner.update(key, new), outcome).await
    }

    async fn touch(&self, key: &Key, times: Times) -> Result<Touch, Unavailable> {
        let outcome = |touch: &Touch| match touch {
            Touch::Touched => DONE,
            Touch::Absent => ABSENT,
            Touch::Buried(_) => ENDED,
        };
        self.touch.time(self.inner.touch(key, times), outcome).await
    }

    async fn bury(&self, key: &Key, burial: Burial) -> Result<Bury, Unavailable> {
        let outcome = |bury: &Bury| match bury {
            Bury::Buried(_) => DONE,
            Bury::Conflict(_) => CONFLICT,
        };
        self.bury.time(self.inner.bury(key, burial), outcome).await
    }

    async fn list(&self, context: &str, after: Option<&[u8]>, limit: usize) -> Result<Page, Unavailable> {
        self.list.time(self.inner.list(context, after, limit), done).await
    }

    async fn scan(&self, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        self.scan.time(self.inner.scan(cursor, budget), done).await
    }

    async fn scan_of(&self, prefix: &str, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        self.scan.time(self.inner.scan_of(prefix, cursor, budget), done).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<Batch, Unavailable> {
        let outcome = |batch: &Batch| match batch {
            Batch::Done(_) => DONE,
            Batch::Refused { .. } => CONFLICT,
        };
        self.batch.time(self.inner.batch(operations), outcome).await
    }

    async fn reap(&self, now: Millis, budget: usize) -> Result<usize, Unavailable> {
        self.reap.time(self.inner.reap(now, budget), done).await
    }

    fn next_expiry(&self) -> Option<Millis> {
        self.inner.next_expiry()
    }

    /// Timed until the stream is open.
    async fn watch(&self, from: Option<Position>) -> Result<Changes, Unavailable> {
        self.watch.time(self.inner.watch(from), done).await
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use prometheus_client::encoding::text::encode;
    use session::ManualClock;

    use super::*;
    use crate::faulty::{Fault, Faulty, Which};
    use crate::{Memory, WriteId};

    #[tokio::test]
    async fn each_operation_counts_under_its_outcome() {
        let mut registry = Registry::default();
        let latencies = Latencies::registered(&mut registry);
        let clock = Arc::new(ManualClock::at(Millis(0)));
        let faulty = Arc::new(Faulty::new(Arc::new(Memory::new("local", clock, usize::MAX))));
        let storage = Measured::new(Arc::clone(&faulty) as _, &latencies);
        let key = Key::new("context", b"name").unwrap();
        let new = || {
            let times = Times { touched: Millis(0), expires: Millis(10) };
            NewRecord::new(Bytes::from_static(b"value"), times, WriteId::random().unwrap())
        };

        assert_eq!(storage.read(&key, None).await.unwrap(), Read::Absent);
        assert!(matches!(storage.create(&key, new()).await.unwrap(), Create::Created(_)));
        assert_eq!(storage.create(&key, new()).await.unwrap(), Create::Exists);
        faulty.fail(Which::Any, Fault::Refuse);
        storage.read(&key, None).await.unwrap_err();

        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        let count = |operation: &str, outcome: &str| {
            let name = "storage_operation_seconds_count";
            let labels = format!(r#"storage="local",operation="{operation}",outcome="{outcome}""#);
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}{{{labels}}} ")));
            line.map(|count| count.parse::<u64>().unwrap())
        };
        assert_eq!(count("read", ABSENT), Some(1));
        assert_eq!(count("read", UNAVAILABLE), Some(1));
        assert_eq!(count("create", DONE), Some(1));
        assert_eq!(count("create", CONFLICT), Some(1));
        assert_eq!(count("bury", DONE), Some(0), "it is there before it first happens");
        assert_eq!(count("reap", CONFLICT), None, "what cannot be is not there");
    }
}
