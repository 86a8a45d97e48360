//! Two storage services that look like one: what ends sessions lies apart from the sessions.
//!
//! Sessions are large, many, and gone when they are over; what ended them is small, and must outlive whatever the sessions
//! lie in. So some contexts lie *aside*, in a service of their own. Which ones, whoever divides says, by their names.
//!
//! | | |
//! |---|---|
//! | operations on a record, `list`, `batch` | the one service that has the context; the other one may be away |
//! | `scan`, `reap` | both, one after the other |
//! | `watch` | both; the stream ends with either, for who hears one of them only knows what half of it all is |
//!
//! # What was here before
//!
//! A service that is put aside for the first time knows nothing of the ends that lie beside the sessions until then. So before
//! it is asked for the first time, what ends others is taken along from there, with its versions; until that is done it is
//! [`Unavailable`], never empty. It is done with each start, for it costs a list of each context, and nothing where nothing is.

mod taking;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::future::ready;
use futures_util::stream::{once, select};
use session::{Clock, Millis};
use tokio::sync::OnceCell;

use crate::{
    Batch, Burial, Bury, Capabilities, Changes, Create, Ends, Key, NewRecord, NewValue, Notice, Operation,
    Page, Position, Read, Scan, Storage, Times, Touch, Unavailable, Update, Version, moving,
};

/// What a cursor begins with: where it goes on.
const BESIDE: u8 = b'b';
const ASIDE: u8 = b'a';

/// Says of a context whether it lies aside.
pub type LiesAside = Box<dyn Fn(&str) -> bool + Send + Sync>;

/// Two services as one.
pub struct Divided {
    main: Arc<dyn Storage>,
    aside: Arc<dyn Storage>,
    lies_aside: LiesAside,
    ends: Ends,
    /// The contexts of records that end others.
    contexts: Vec<String>,
    taken_along: OnceCell<()>,
    clock: Arc<dyn Clock>,
}

impl Divided {
    /// `main`, but for the contexts of which `lies_aside` says so: they are in `aside`. Records in `contexts` are those that
    /// `ends` is about, and come along from `main`.
    #[must_use]
    pub fn new(
        main: Arc<dyn Storage>,
        aside: Arc<dyn Storage>,
        lies_aside: LiesAside,
        (ends, contexts): (Ends, Vec<String>),
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { main, aside, lies_aside, ends, contexts, taken_along: OnceCell::new(), clock }
    }

    /// The service that has this context.
    async fn service(&self, context: &str) -> Result<&Arc<dyn Storage>, Unavailable> {
        if !(self.lies_aside)(context) {
            return Ok(&self.main);
        }
        self.taken_along.get_or_try_init(|| self.take_along()).await?;
        Ok(&self.aside)
    }

    /// Each record where it lies now; what a service has of the contexts of the other one is from before, and not shown.
    async fn scan_both(
        &self,
        prefix: Option<&str>,
        cursor: Option<&[u8]>,
        budget: usize,
    ) -> Result<Scan, Unavailable> {
        let (is_aside, cursor) = match cursor.and_then(<[u8]>::split_first) {
            None => (false, None),
            Some((&place, [])) if place == ASIDE => (true, None),
            Some((&place, rest)) if place == ASIDE || place == BESIDE => (place == ASIDE, Some(rest)),
            Some(_) => return Err(Unavailable::refused(self.id(), "this is no cursor of a divided storage")),
        };
        let service = if is_aside {
            self.taken_along.get_or_try_init(|| self.take_along()).await?;
            &self.aside
        } else {
            &self.main
        };
        let mut scan = match prefix {
            Some(prefix) => service.scan_of(prefix, cursor, budget).await?,
            None => service.scan(cursor, budget).await?,
        };
        scan.found.retain(|(key, _)| (self.lies_aside)(key.context()) == is_aside);
        let place = if is_aside { ASIDE } else { BESIDE };
        scan.cursor = match scan.cursor {
            Some(rest) => Some([&[place], rest.as_slice()].concat()),
            None if is_aside => None,
            None => Some(vec![ASIDE]),
        };
        Ok(scan)
    }
}

impl fmt::Debug for Divided {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Divided")
            .field("main", &self.main)
            .field("aside", &self.aside)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Storage for Divided {
    /// That of the service which has the sessions.
    fn id(&self) -> &Arc<str> {
        self.main.id()
    }

    fn capabilities(&self) -> Capabilities {
        let (main, aside) = (self.main.capabilities(), self.aside.capabilities());
        Capabilities {
            is_durable: main.is_durable,
            is_shared: main.is_shared || aside.is_shared,
            is_memory: main.is_memory,
            max_value: main.max_value.min(aside.max_value),
            unnoticed: main.unnoticed.max(aside.unnoticed),
        }
    }

    async fn create(&self, key: &Key, new: NewRecord) -> Result<Create, Unavailable> {
        self.service(key.context()).await?.create(key, new).await
    }

    async fn read(&self, key: &Key, known: Option<Version>) -> Result<Read, Unavailable> {
        self.service(key.context()).await?.read(key, known).await
    }

    async fn update(&self, key: &Key, new: NewValue) -> Result<Update, Unavailable> {
        self.service(key.context()).await?.update(key, new).await
    }

    async fn touch(&self, key: &Key, times: Times) -> Result<Touch, Unavailable> {
        self.service(key.context()).await?.touch(key, times).await
    }

    async fn bury(&self, key: &Key, burial: Burial) -> Result<Bury, Unavailable> {
        self.service(key.context()).await?.bury(key, burial).await
    }

    async fn list(&self, context: &str, after: Option<&[u8]>, limit: usize) -> Result<Page, Unavailable> {
        self.service(context).await?.list(context, after, limit).await
    }

    async fn scan(&self, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        self.scan_both(None, cursor, budget).await
    }

    async fn scan_of(&self, prefix: &str, cursor: Option<&[u8]>, budget: usize) -> Result<Scan, Unavailable> {
        self.scan_both(Some(prefix), cursor, budget).await
    }

    async fn batch(&self, operations: Vec<Operation>) -> Result<Batch, Unavailable> {
        let Some(context) = Operation::context_of_all(&operations, usize::MAX, self.id())?.map(str::to_owned)
        else {
            return Ok(Batch::Done(Vec::new()));
        };
        self.service(&context).await?.batch(operations).await
    }

    async fn reap(&self, now: Millis, budget: usize) -> Result<usize, Unavailable> {
        // One that is away keeps nobody from reaping the other.
        let beside = self.main.reap(now, budget).await;
        let rest = budget.saturating_sub(*beside.as_ref().unwrap_or(&0));
        let aside = if rest > 0 { self.aside.reap(now, rest).await } else { Ok(0) };
        Ok(beside?.saturating_add(aside?))
    }

    fn next_expiry(&self) -> Option<Millis> {
        Some(self.main.next_expiry()?.min(self.aside.next_expiry()?))
    }

    /// The positions of the two have nothing to do with each other, so whoever goes on from one begins with a gap.
    async fn watch(&self, from: Option<Position>) -> Result<Changes, Unavailable> {
        let (main, aside) = tokio::try_join!(self.main.watch(None), self.aside.watch(None))?;
        let end = || once(ready(None));
        let both = select(main.map(Some).chain(end()), aside.map(Some).chain(end()));
        let until_one_ends = both.take_while(|heard| ready(heard.is_some())).filter_map(ready);
        let until_one_ends = until_one_ends.filter(|notice| ready(!is_probe(notice)));
        let gap = from.map(|_| Notice::Gap);
        Ok(Box::pin(futures_util::stream::iter(gap).chain(until_one_ends)))
    }
}

fn is_probe(notice: &Notice) -> bool {
    matches!(notice, Notice::Change(change) if moving::is_probe(&change.key))
}

#[cfg(test)]
mod tests;
