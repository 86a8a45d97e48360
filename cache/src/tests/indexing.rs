//! The index: it lists and counts, and whoever reads it is told the truth.

mod checking;
mod listing;
mod racing;
mod staying;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use session::{Ending, Handle, Millis, Principal, Why};
use storage::{Burial, Create, Key, NewRecord, Storage as _, Times, Unavailable, WriteId};

use super::fixture::Fixture;
use super::{Engine, on_every_engine};
use crate::{Cache, Count, Listed};

/// After so long an entry is not taken for that of a session which is about to come.
pub(in crate::tests) const LONG_AFTER: Duration = Duration::from_mins(6);

pub(super) fn person(name: &str) -> Principal {
    Principal::named("test", name)
}

impl Fixture {
    /// All live sessions of somebody, page by page.
    pub(super) async fn listed(&self, name: &str) -> Vec<Handle> {
        listed(&self.cache, name).await
    }

    pub(super) async fn counted(&self, name: &str, most: usize) -> Count {
        self.cache.count(&person(name), most).await.unwrap()
    }

    /// How often something was written into the index.
    pub(in crate::tests) fn index_writes(&self) -> usize {
        self.probe.entries.load(Ordering::SeqCst)
    }

    pub(super) fn entry(&self, name: &str, handle: &Handle) -> Key {
        self.cache.index_key(&person(name), handle).unwrap()
    }

    /// The entries of somebody that lie in storage, with their times.
    pub(super) async fn entries(&self, name: &str) -> Vec<(Handle, Times)> {
        let context = self.entry(name, &Handle::from_bytes([0; 16])).context().to_owned();
        let page = self.probe.list(&context, None, 1_000).await.unwrap();
        let read = |key: &Key| std::str::from_utf8(key.name()).unwrap().parse().unwrap();
        page.records.iter().map(|listed| (read(&listed.key), listed.times)).collect()
    }

    /// Removes a record by hand.
    pub(super) async fn lose(&self, key: &Key) {
        let ending = Ending::new(self.clock_now(), Why::Emptied, "hand");
        self.probe.bury(key, Burial { until: None, ending, expected: None }).await.unwrap();
    }

    /// Writes a record by hand, which goes in a day.
    pub(super) async fn put(&self, key: &Key, value: &'static [u8]) {
        let expires = self.clock_now().plus(Duration::from_hours(24));
        self.put_until(key, value, expires).await;
    }

    pub(super) async fn put_until(&self, key: &Key, value: &'static [u8], expires: Millis) {
        let times = Times { touched: self.clock_now(), expires };
        let new = NewRecord::new(Bytes::from_static(value), times, WriteId::random().unwrap());
        assert!(matches!(self.probe.create(key, new).await.unwrap(), Create::Created(_)));
    }
}

/// All live sessions of somebody as this node sees them, page by page.
pub(super) async fn listed(cache: &Arc<Cache>, name: &str) -> Vec<Handle> {
    pages(cache, name, 7).await.unwrap().into_iter().map(|listed| listed.handle).collect()
}

pub(super) async fn pages(cache: &Arc<Cache>, name: &str, limit: usize) -> Result<Vec<Listed>, Unavailable> {
    let (mut all, mut after) = (Vec::new(), None::<Vec<u8>>);
    loop {
        let page = cache.list(&person(name), after.as_deref(), limit).await?;
        assert!(page.sessions.len() <= limit);
        all.extend(page.sessions);
        after = page.next;
        if after.is_none() {
            return Ok(all);
        }
    }
}

pub(super) fn sorted<const N: usize>(mut handles: [Handle; N]) -> Vec<Handle> {
    handles.sort();
    handles.to_vec()
}
