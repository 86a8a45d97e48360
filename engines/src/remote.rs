//! The remote engine: a storage service of another Cloakroom, through the storage end point of its session server.
//!
//! It keeps nothing itself. What an operation finds there it finds here, with the versions, times and tombstones of the
//! service over there, whose clock says what is over. See [`client`] for how a failure is told: an answer that is none
//! of the service is [`Unavailable`], never an outcome.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use client::protocol::{ListRequest, MAX_ITEMS, Operation as Asked, ReapRequest, ScanRequest};
use client::{Link, LinkSettings, StorageService};
use session::Millis;
use storage::{
    Batch, Burial, Bury, Capabilities, Changes, Create, Key, LONGEST_UNNOTICED, NewRecord, NewValue,
    Operation, Page, Position, Read, Scan, Storage, Times, Touch, Unavailable, Update, Version,
};

use crate::{OpenError, Problem};

/// Where the service is, and what it is called there.
#[derive(Debug)]
pub struct RemoteSettings {
    /// The session server, and how it is reached.
    pub link: LinkSettings,
    /// The id of the storage service over there.
    pub service: Box<str>,
    /// How long an operation may take. The other side is told, and stops then.
    pub deadline: Duration,
}

/// A storage service of another Cloakroom.
#[derive(Debug)]
pub struct Remote {
    id: Arc<str>,
    service: StorageService,
    /// What the service can do. Asked for anew whenever the change stream begins: the other side may be another one by
    /// then. Looked at with every request, so without a lock.
    is_durable: AtomicBool,
    max_value: AtomicUsize,
    /// In milliseconds: how long it may be deaf over there without knowing.
    unnoticed: AtomicU64,
}

impl Remote {
    /// Asks the service what it can do, and is the service `id` here from then on. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Nobody answers, or somebody who does not offer that service to us.
    pub async fn open(id: &str, settings: RemoteSettings) -> Result<Self, OpenError> {
        let id: Arc<str> = id.into();
        let failed = |problem| OpenError { storage: Arc::clone(&id), problem };
        let RemoteSettings { link, service, deadline } = settings;
        // A little less than whoever asks waits, so that they learn what has become of it.
        let deadline = deadline.mul_f64(0.95);
        let service = StorageService::new(Arc::new(Link::new(link)), &id, &service, deadline)
            .map_err(|error| failed(Problem::Service(error.into())))?;
        let offer = service.offer().await.map_err(|error| failed(Problem::NotOffered(error)))?;
        let remote = Self {
            is_durable: AtomicBool::default(),
            max_value: AtomicUsize::default(),
            unnoticed: AtomicU64::default(),
            id,
            service,
        };
        remote.learn(offer.capabilities);
        Ok(remote)
    }

    fn learn(&self, theirs: Capabilities) {
        let Capabilities { is_durable, max_value, unnoticed, .. } = theirs;
        self.is_durable.store(is_durable, Ordering::Relaxed);
        self.max_value.store(max_value, Ordering::Relaxed);
        let unnoticed = u64::try_from(unnoticed.as_millis()).unwrap_or(u64::MAX);
        self.unnoticed.store(unnoticed, Ordering::Relaxed);
    }
}

#[async_trait]
impl Storage for Remote {
    fn id(&self) -> &Arc<str> {
        &self.id
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            is_durable: self.is_durable.load(Ordering::Relaxed),
            // Others work on the same records, at the very least those over there.
            is_shared: true,
            is_memory: false,
            max_value: self.max_value.load(Ordering::Relaxed),
            // Over there they may be deaf while they still say here that they are there.
            unnoticed: Duration::from_millis(self.unnoticed.load(Ordering::Relaxed))
                .saturating_add(LONGEST_UNNOTICED),
        }
    }

    async fn create(&self, key: &Key, new: NewRecord) -> Result<Create, Unavailable> {
        new.admit(self.capabilities().max_value, &self.id)?;
        self.service.ask(Asked::Create, &(key, &new)).await
    }

    async fn read(&self, key: &Key, known: Option<Version>) -> Result<Read, Unavailable> {
        self.service.ask(Asked::Read, &(key, known)).await
    }

    async fn update(&self, key: &Key, new: NewValue) -> Result<Update, Unavailable> {
        new.admit(self.capabilities().max_value, &self.id)?;
        self.service.ask(Asked::Update, &(key, &new)).await
    }

    async fn touch(&self, key: &Key, times: Times) -> Result<Touch, Unavailable> {
        self.service.ask(Asked::Touch, &(key, &times)).await
    }

    async fn bury(&self, key: &Key, burial: Burial) -> Result<Bury, Unavailable> {
        self.service.ask(Asked::Bury, &(key, &burial)).await
    }

    async fn list(&self, context: &str, after: Option<&[u8]>, limit: usize) -> Result<Page, Unavailable> {
        let mut page = Page { records: Vec::new(), has_more: true };
        // The other side gives no more than so many at once.
        while page.has_more && page.records.len() < limit {
            let last = page.records.last().map(|listed| listed.key.name()).or(after);
            let request = ListRequest {
                context: context.into(),
                after: last.map(Into::into),
                limit: (limit - page.records.len()).min(MAX_ITEMS) as u64,
            };
            let more: Page = self.service.ask(Asked::List, &request).await?;
            page.has_more = more.has_more && !more.records.is_empty();
            page.records.extend(more.records);
        }
        Ok(page)
    }

    async fn scan(&self, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        let request = ScanRequest { cursor: cursor.map(Into::into), budget: budget as u64 };
        self.service.ask(Asked::Scan, &request).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<Batch, Unavailable> {
        for operation in &operations {
            operation.admit(self.capabilities().max_value, &self.id)?;
        }
        if operations.len() > MAX_ITEMS {
            let cause =
                format!("a batch of {} operations is over the {MAX_ITEMS} of the protocol", operations.len());
            return Err(Unavailable::refused(&self.id, cause));
        }
        self.service.ask(Asked::Batch, &operations).await
    }

    async fn reap(&self, now: Millis, budget: usize) -> Result<usize, Unavailable> {
        let request = ReapRequest { now, budget: budget as u64 };
        let reaped: u64 = self.service.ask(Asked::Reap, &request).await?;
        Ok(usize::try_from(reaped).unwrap_or(usize::MAX))
    }

    async fn watch(&self, from: Option<Position>) -> Result<Changes, Unavailable> {
        let changes = self.service.watch(from).await?;
        let offer = self.service.offer().await.map_err(|error| Unavailable::failed(&self.id, error))?;
        self.learn(offer.capabilities);
        Ok(changes)
    }
}
