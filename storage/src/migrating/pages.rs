//! Lists and scans over both storages.

use std::collections::VecDeque;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::passage::Passage;
use crate::{Listed, Page, Read, Scan, Storage, Unavailable};

/// How many records the new storage is asked about at a time.
const AT_A_TIME: usize = 16;

/// What a cursor begins with: where it goes on.
const IN_OLD: u8 = b'o';
const IN_NEW: u8 = b'n';

/// The records of a context, in order, each once.
pub(super) async fn list(
    passage: &Passage,
    context: &str,
    after: Option<&[u8]>,
    limit: usize,
) -> Result<Page, Unavailable> {
    let mut old = Side::new(&*passage.old, context, after, limit);
    let mut new = Side::new(&*passage.new, context, after, limit);
    let mut records = Vec::new();
    loop {
        let mut taken = Vec::new();
        while records.len() + taken.len() < limit {
            match next(&mut old, &mut new).await? {
                Some(listed) => taken.push(listed),
                None => break,
            }
        }
        if taken.is_empty() {
            break;
        }
        let judged = stream::iter(taken).map(|(listed, is_in_new)| judge(passage, listed, is_in_new));
        let judged: Vec<Option<Listed>> = judged.buffered(AT_A_TIME).try_collect().await?;
        records.extend(judged.into_iter().flatten());
    }
    let has_more = old.has_more().await? || new.has_more().await?;
    Ok(Page { records, has_more })
}

/// The next name of either, and whether the new storage has it.
async fn next(old: &mut Side<'_>, new: &mut Side<'_>) -> Result<Option<(Listed, bool)>, Unavailable> {
    old.fill().await?;
    new.fill().await?;
    let order = match (old.buffer.front(), new.buffer.front()) {
        (None, None) => return Ok(None),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (Some(old), Some(new)) => old.key.name().cmp(new.key.name()),
    };
    Ok(match order {
        std::cmp::Ordering::Less => old.buffer.pop_front().map(|listed| (listed, false)),
        std::cmp::Ordering::Greater => new.buffer.pop_front().map(|listed| (listed, true)),
        std::cmp::Ordering::Equal => {
            let copy = old.buffer.pop_front();
            // A counter may have been raised in the old one alone a moment ago.
            let later = |listed: Listed| match copy {
                Some(copy) if copy.version > listed.version => {
                    Listed { version: copy.version, times: copy.times.latest(listed.times), ..listed }
                }
                _ => listed,
            };
            new.buffer.pop_front().map(|listed| (later(listed), true))
        }
    })
}

/// What only the old storage listed, it may have been ended in the new one.
async fn judge(passage: &Passage, listed: Listed, is_in_new: bool) -> Result<Option<Listed>, Unavailable> {
    if is_in_new {
        return Ok(Some(listed));
    }
    Ok(match passage.new.read(&listed.key, Some(listed.version)).await? {
        Read::Absent => Some(listed),
        Read::Unchanged(times) => Some(Listed { times, ..listed }),
        Read::Found(record) => Some(Listed { version: record.version, times: record.times, ..listed }),
        Read::Buried(_) => None,
    })
}

/// One storage's part of a list.
struct Side<'a> {
    storage: &'a dyn Storage,
    context: &'a str,
    after: Option<Vec<u8>>,
    limit: usize,
    buffer: VecDeque<Listed>,
    is_at_end: bool,
}

impl<'a> Side<'a> {
    fn new(storage: &'a dyn Storage, context: &'a str, after: Option<&[u8]>, limit: usize) -> Self {
        let after = after.map(<[u8]>::to_vec);
        // At least one, to learn whether there is more.
        Self { storage, context, after, limit: limit.max(1), buffer: VecDeque::new(), is_at_end: false }
    }

    async fn fill(&mut self) -> Result<(), Unavailable> {
        if self.buffer.is_empty() && !self.is_at_end {
            let page = self.storage.list(self.context, self.after.as_deref(), self.limit).await?;
            self.is_at_end = !page.has_more;
            if let Some(last) = page.records.last() {
                self.after = Some(last.key.name().to_vec());
            }
            self.buffer = page.records.into();
        }
        Ok(())
    }

    async fn has_more(&mut self) -> Result<bool, Unavailable> {
        self.fill().await?;
        Ok(!self.buffer.is_empty())
    }
}

/// First the old storage without what is in the new one, then the new one: what moves meanwhile is met there.
pub(super) async fn scan(
    passage: &Passage,
    cursor: Option<&[u8]>,
    budget: usize,
) -> Result<Scan, Unavailable> {
    let (place, inner) = match cursor.map(<[u8]>::split_first) {
        None => (IN_OLD, None),
        Some(Some((place @ (&IN_OLD | &IN_NEW), inner))) => {
            (*place, Some(inner).filter(|inner| !inner.is_empty()))
        }
        Some(_) => return Err(Unavailable::refused(passage.new.id(), "this is no cursor of this storage")),
    };
    let at = |place: u8, inner: &[u8]| Some([&[place], inner].concat());
    if place == IN_NEW {
        let scan = passage.new.scan(inner, budget).await?;
        return Ok(Scan { cursor: scan.cursor.and_then(|cursor| at(IN_NEW, &cursor)), found: scan.found });
    }
    let scan = passage.old.scan(inner, budget).await?;
    let judged = stream::iter(scan.found).map(|(key, scanned)| async move {
        let is_only_there = passage.new.read(&key, None).await? == Read::Absent;
        Ok::<_, Unavailable>(is_only_there.then_some((key, scanned)))
    });
    let found: Vec<_> = judged.buffered(AT_A_TIME).try_collect().await?;
    let cursor = scan.cursor.map_or_else(|| at(IN_NEW, &[]), |cursor| at(IN_OLD, &cursor));
    Ok(Scan { found: found.into_iter().flatten().collect(), cursor })
}
