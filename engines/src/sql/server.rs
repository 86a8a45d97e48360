//! What the engines on database servers have in common: connections, tries, and what their failures mean.
//!
//! ```text
//! operation -> Request -> a connection of the pool -> the backend's statements -> Reply -> answer
//!                              ^                            |
//!                              +---- another try <----------+ two transactions in each other's way, or a connection
//!                                                             that turned out to be dead
//! ```
//!
//! A try that comes after one of unknown fate presents the same write id, and so recognises its own success. Where
//! commits are slow, writers share them: groups.rs.

mod asking;
mod backend;
mod fault;
mod groups;
mod pool;
mod stream;

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use session::{Clock, Millis};
use storage::{
    Applied, Batch, Burial, Bury, Capabilities, Changes, Create, Key, NewRecord, NewValue, Operation,
    Outcome, Page, Position, Read, Scan, Storage, Times, Touch, Unavailable, Update, Version,
};
use tokio::spawn;
use tokio::sync::oneshot;
use tokio::time::timeout;

use self::asking::{Asking, Past};
pub(super) use self::backend::{Backend, Connect, Listener, Notices, Reply, Request, password, scan_page};
pub(super) use self::fault::Nature;
use self::groups::Groups;
use self::pool::Pool;
use self::stream::Stream;
use super::Settings;
use crate::{OpenError, Problem};

/// The most operations of a batch: it holds the locks of all its records meanwhile.
const MAX_BATCH: usize = 1024;
/// How many a call of `reap` removes in one transaction.
const REAP_AT_ONCE: usize = 256;
/// How long a statement may go unanswered, whatever the caller's patience. Then its connection is given up.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Records on a database server.
pub(super) struct Server<B: Backend> {
    id: Arc<str>,
    backend: Arc<B>,
    asking: Arc<Asking<B>>,
    /// Where writers share commits.
    groups: Option<Groups>,
    stream: Stream,
    unnoticed: Duration,
}

/// Opens the records on a database server.
pub(super) async fn open<B: Backend + Connect>(
    id: &str,
    settings: &Settings,
    clock: Arc<dyn Clock>,
) -> Result<Arc<dyn Storage>, OpenError> {
    let id: Arc<str> = id.into();
    let opened = timeout(ANSWER_TIMEOUT, B::open(settings, clock.now())).await.unwrap_or_else(|_| {
        let cure = "see that it runs, and that nobody holds its locks";
        Err(Problem::database(settings.address.to_string(), "it does not answer", cure))
    });
    let backend = opened.map_err(|problem| OpenError { storage: Arc::clone(&id), problem })?;
    let backend = Arc::new(backend);
    let asking = Asking {
        id: Arc::clone(&id),
        clock,
        backend: Arc::clone(&backend),
        pool: Pool::new(Arc::clone(&backend), settings.max_connections, settings.connect_timeout),
    };
    let asking = Arc::new(asking);
    let groups = B::SHARES_COMMITS.then(|| Groups::start(&asking));
    let (stream, unnoticed) = (Stream::new(&id), settings.unnoticed());
    Ok(Arc::new(Server { asking, groups, stream, unnoticed, backend, id }))
}

impl<B: Backend> Server<B> {
    async fn ask(&self, request: Request) -> Result<Reply, Unavailable> {
        // Dropped with this future, which nobody waits for any more then.
        let (_wants, gone) = oneshot::channel::<()>();
        let asking = Arc::clone(&self.asking);
        let answer = spawn(async move {
            let gone = pin!(async { drop(gone.await) });
            asking.ask(&request, Past::NONE, gone).await
        });
        answer.await.unwrap_or_else(|_| Err(self.mistaken()))
    }

    async fn write<T>(
        &self,
        operation: Operation,
        of: impl FnOnce(Outcome) -> Option<T> + Send,
    ) -> Result<T, Unavailable> {
        operation.admit(self.backend.max_value(), &self.id)?;
        let outcome = match &self.groups {
            // Nobody is told of a touch, so its commit waits for no other one.
            Some(groups) if !matches!(operation, Operation::Touch(..)) => of(groups.write(operation).await?),
            _ => match self.ask(Request::One(operation)).await? {
                Reply::One(outcome) => of(outcome),
                _ => None,
            },
        };
        outcome.ok_or_else(|| self.mistaken())
    }

    fn mistaken(&self) -> Unavailable {
        self.asking.mistaken()
    }
}

#[async_trait]
impl<B: Backend> Storage for Server<B> {
    fn id(&self) -> &Arc<str> {
        &self.id
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            is_durable: self.backend.is_durable(),
            is_shared: true,
            is_memory: false,
            max_value: self.backend.max_value(),
            unnoticed: self.unnoticed,
        }
    }

    async fn create(&self, key: &Key, new: NewRecord) -> Result<Create, Unavailable> {
        self.write(Operation::Create(key.clone(), new), Outcome::into_create).await
    }

    async fn read(&self, key: &Key, known: Option<Version>) -> Result<Read, Unavailable> {
        match self.ask(Request::Read { key: key.clone(), known }).await? {
            Reply::Read(read) => Ok(read),
            _ => Err(self.mistaken()),
        }
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

    async fn list(&self, context: &str, after: Option<&[u8]>, limit: usize) -> Result<Page, Unavailable> {
        // No name is empty, so all of them come after the empty one.
        let (context, after) = (context.into(), after.unwrap_or_default().into());
        match self.ask(Request::List { context, after, limit }).await? {
            Reply::List(page) => Ok(page),
            _ => Err(self.mistaken()),
        }
    }

    async fn scan(&self, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        let after = cursor
            .map(backend::read_cursor)
            .transpose()
            .map_err(|wrong| Unavailable::refused(&self.id, wrong))?;
        match self.ask(Request::Scan { after, budget: budget.max(1) }).await? {
            Reply::Scan(scan) => Ok(scan),
            _ => Err(self.mistaken()),
        }
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<Batch, Unavailable> {
        if Operation::context_of_all(&operations, MAX_BATCH, &self.id)?.is_none() {
            return Ok(Batch::Done(Vec::new()));
        }
        operations.iter().try_for_each(|operation| operation.admit(self.backend.max_value(), &self.id))?;
        match self.ask(Request::All(operations)).await? {
            Reply::All(batch) => Ok(batch),
            _ => Err(self.mistaken()),
        }
    }

    /// In slices, so that no transaction lasts long.
    async fn reap(&self, now: Millis, budget: usize) -> Result<usize, Unavailable> {
        let mut reaped = 0;
        while reaped < budget {
            let slice = REAP_AT_ONCE.min(budget - reaped);
            match self.ask(Request::Reap { now, budget: slice }).await? {
                Reply::Reaped(count) => {
                    reaped += count;
                    if count < slice {
                        break;
                    }
                }
                _ => return Err(self.mistaken()),
            }
        }
        Ok(reaped)
    }

    async fn watch(&self, from: Option<Position>) -> Result<Changes, Unavailable> {
        self.stream.watch(&self.backend, from).await.map_err(|fault| fault.unavailable(&self.id, Applied::No))
    }
}

impl<B: Backend> fmt::Debug for Server<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("id", &self.id)
            .field("place", &self.backend.place())
            .finish_non_exhaustive()
    }
}
