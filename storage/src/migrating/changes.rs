//! The change streams of both storages as one.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::ready;
use futures_util::stream::{once, select};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::time::timeout;

use super::passage::Passage;
use crate::{Changes, Notice, Position, Unavailable, moving};

/// How many changes of the old storage are brought at a time.
const AT_A_TIME: usize = 16;

/// How long one may take: after that the stream ends, for changes are not heard any more.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

enum Heard {
    Notice(Notice),
    /// Whatever it was, it is in the new storage now, which tells of it.
    Brought,
    End,
}

pub(super) async fn watch(passage: &Arc<Passage>, from: Option<Position>) -> Result<Changes, Unavailable> {
    let new = passage.new.watch(from).await?;
    let old = passage.old.watch(None).await?;
    if passage.old.capabilities().is_shared {
        // What changed there before the stream began is not known.
        passage.doubt();
    }
    let new = new.filter_map(|notice| ready(without_probes(notice))).map(Heard::Notice);
    let passage = Arc::clone(passage);
    let old = old.map(move |notice| bring(Arc::clone(&passage), notice).boxed()).buffered(AT_A_TIME);
    let end = || once(ready(Heard::End));
    let both = select(new.chain(end()), old.chain(end()));
    let until_one_ends = both.take_while(|heard| ready(!matches!(heard, Heard::End)));
    Ok(Box::pin(
        until_one_ends
            .filter_map(|heard| ready(if let Heard::Notice(notice) = heard { Some(notice) } else { None })),
    ))
}

async fn bring(passage: Arc<Passage>, notice: Notice) -> Heard {
    let change = match notice {
        Notice::Change(change) => change,
        Notice::Gap => {
            passage.doubt();
            return Heard::Notice(Notice::Gap);
        }
    };
    match timeout(PATIENCE, passage.follow(&change)).await {
        Ok(Ok(())) => Heard::Brought,
        Ok(Err(_)) | Err(_) => {
            passage.doubt();
            Heard::End
        }
    }
}

fn without_probes(notice: Notice) -> Option<Notice> {
    match &notice {
        Notice::Change(change) if moving::is_probe(&change.key) => None,
        _ => Some(notice),
    }
}
