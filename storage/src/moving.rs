//! Records that move from one storage to another, and the versions of their contexts.
//!
//! A record keeps its version ([`NewRecord::version`](crate::NewRecord)), because something elsewhere may remember it: a
//! session remembers the version of the counter that ended all sessions of its person, and is over when the counter has a
//! greater one. The counter itself may be forgotten when no session from before it can live any more, while sessions
//! from after it still remember its version. So a context has not moved before the versions that its new storage draws are
//! above *all* that the old one drew, of forgotten records too: [`last_version`] there, [`begin_above`] here.

use std::time::Duration;

use bytes::Bytes;
use session::{Ending, Handle, Millis, Why};

use crate::{Burial, Create, Key, NewRecord, Storage, Times, Unavailable, Version, WriteId};

/// How long a probe may stay, should this process die before it has removed it.
const PROBE_LIVES: Duration = Duration::from_secs(60);

/// What the name of a probe begins with; that of no record of ours does.
const PROBE: &str = "probe of versions ";

/// A version that is above all that `storage` has drawn for records of `context`, and below all that it will draw.
///
/// # Errors
/// The storage could not answer, or refused to create a record.
pub async fn last_version(storage: &dyn Storage, context: &str, now: Millis) -> Result<Version, Unavailable> {
    probe(storage, context, now, None).await
}

/// Sees to it that all that `storage` draws for records of `context` from now on is above `version`.
///
/// # Errors
/// As [`last_version`]; or `version` is above [`Version::MOST_MOVED`].
pub async fn begin_above(
    storage: &dyn Storage,
    context: &str,
    version: Version,
    now: Millis,
) -> Result<(), Unavailable> {
    probe(storage, context, now, Some(version)).await.map(drop)
}

/// Whether a key is that of a probe: nobody needs to hear of it, or to move it.
pub(crate) fn is_probe(key: &Key) -> bool {
    key.name().starts_with(PROBE.as_bytes())
}

/// Creates a record that means nothing, and takes it away. No name of ours is as long as this one.
async fn probe(
    storage: &dyn Storage,
    context: &str,
    now: Millis,
    version: Option<Version>,
) -> Result<Version, Unavailable> {
    let refused = |cause: String| Unavailable::refused(storage.id(), cause);
    let random = Handle::random().map_err(|error| Unavailable::failed(storage.id(), error))?;
    let name = format!("{PROBE}{random}");
    let key = Key::new(context, name.as_bytes()).map_err(|error| refused(error.to_string()))?;
    let write = WriteId::random().map_err(|error| Unavailable::failed(storage.id(), error))?;
    let times = Times { touched: now, expires: now.plus(PROBE_LIVES) };
    let new = NewRecord { version, ..NewRecord::new(Bytes::from_static(b"probe"), times, write) };
    let Create::Created(version) = storage.create(&key, new).await? else {
        return Err(refused(format!("a new random name in {context} was taken")));
    };
    let ending = Ending::new(now, Why::Revoked, "probe");
    storage.bury(&key, Burial { until: None, ending, expected: None }).await?;
    Ok(version)
}
