//! Taking along what ends sessions, from where it was beside them.
//!
//! A session remembers the version of the counter of its person, also of one that is forgotten by now. So the versions of
//! counters go on above all that were ever drawn beside the sessions ([`crate::moving`]), whether one is there or not.

use futures_util::{TryStreamExt as _, stream};
use session::Millis;

use super::Divided;
use crate::{
    Create, Key, NewRecord, NewValue, Read, Record, Unavailable, Update, Version, WriteId, begin_above,
    last_version,
};

/// How many contexts are looked at at a time.
const AT_A_TIME: usize = 16;
/// How many records are listed at once.
const PAGE: usize = 1000;
/// How often a record is brought against others who write it.
const MAX_ROUNDS: usize = 16;

impl Divided {
    pub(super) async fn take_along(&self) -> Result<(), Unavailable> {
        let now = self.clock.now();
        let last = last_version(&*self.main, self.ends.counters, now).await?;
        begin_above(&*self.aside, self.ends.counters, last, now).await?;
        stream::iter(self.contexts.iter().map(Ok))
            .try_for_each_concurrent(AT_A_TIME, |context| self.take_context(context, now))
            .await
    }

    async fn take_context(&self, context: &str, now: Millis) -> Result<(), Unavailable> {
        let mut after: Option<Vec<u8>> = None;
        loop {
            let page = self.main.list(context, after.as_deref(), PAGE).await?;
            for listed in page.records.iter().filter(|listed| (self.ends.is_one)(&listed.key)) {
                if let Read::Found(record) = self.main.read(&listed.key, None).await?
                    && record.times.expires > now
                {
                    self.take(&listed.key, record).await?;
                }
            }
            match page.records.last().filter(|_| page.has_more) {
                Some(last) => after = Some(last.key.name().to_vec()),
                None => return Ok(()),
            }
        }
    }

    /// Brings one, unless it is there in this version or a greater one.
    async fn take(&self, key: &Key, Record { value, version, times }: Record) -> Result<(), Unavailable> {
        let write = WriteId::random().map_err(|error| Unavailable::failed(self.aside.id(), error))?;
        let moved = Some(version).filter(|version| *version <= Version::MOST_MOVED);
        for _ in 0..MAX_ROUNDS {
            let new =
                NewRecord { version: moved, is_end: true, ..NewRecord::new(value.clone(), times, write) };
            if !matches!(self.aside.create(key, new).await?, Create::Exists) {
                return Ok(());
            }
            let Read::Found(there) = self.aside.read(key, None).await? else { continue };
            if there.version >= version {
                return Ok(());
            }
            // From a time when it lay aside before.
            let (expected, value) = (there.version, value.clone());
            let new = NewValue { expected, value, times: Some(times), write, is_end: true };
            if let Update::Updated(_) = self.aside.update(key, new).await? {
                return Ok(());
            }
        }
        let cause = format!("{MAX_ROUNDS} others wrote the same record in {} meanwhile", key.context());
        Err(Unavailable::failed(self.aside.id(), cause))
    }
}
