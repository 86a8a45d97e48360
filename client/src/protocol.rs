//! The storage protocol, version 1: the storage contract over HTTP/2, one request an operation.
//!
//! ```text
//! GET  /storage/v1/{service}              what the service can do
//! POST /storage/v1/{service}/{operation}  one operation of the contract: create, read, update, touch, bury, ...
//! GET  /storage/v1/{service}/changes      the change stream, as Server-Sent Events
//! ```
//!
//! - A request and its answer are of the type [`CONTENT_TYPE`], in the form of [`encode`] and [`decode`].
//! - What kept the service from answering is a 503 (or 422, where the caller is to blame) of the type
//!   [`UNAVAILABLE_TYPE`]: blame, fate and advice travel as they are. Every other status is said by who stands before
//!   the service, and then nothing was done.
//! - Every answer of an end point has the header [`VERSIONS`], by which it is told from whatever else may answer.
//! - [`DEADLINE`] says after how many milliseconds nobody waits any more.
//! - A client proves who it is by `Authorization: Bearer`, or by its certificate.

mod events;
mod operations;
mod records;
mod wire;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "these are tests")]
mod tests;

use std::str::FromStr;

use http::HeaderName;

pub use events::{EventReader, HEARTBEAT_TEXT, event};
pub use wire::{Damaged, Decode, Encode, decode, encode};

/// Below which path the end point is.
pub const ROOT: &str = "/storage";

/// The version of the protocol that this build speaks.
pub const VERSION: &str = "1";

/// The path of this version, to be followed by `/` and a service.
pub const PATH: &str = "/storage/v1";

/// Which versions an end point speaks, with commas between them.
pub const VERSIONS: HeaderName = HeaderName::from_static("cloakroom-storage");

/// After how many milliseconds nobody waits for the answer any more.
pub const DEADLINE: HeaderName = HeaderName::from_static("cloakroom-deadline");

/// From which position on the change stream is continued. As browsers call it (HTML, 9.2.4).
pub const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// The type of requests and of the answers of a service.
pub const CONTENT_TYPE: &str = "application/vnd.cloakroom.storage";

/// The type of what kept a service from answering.
pub const UNAVAILABLE_TYPE: &str = "application/vnd.cloakroom.unavailable";

/// The type of the change stream.
pub const EVENTS_TYPE: &str = "text/event-stream";

/// The most bytes of a request or an answer: the largest value of any engine of ours, and as much again for the rest.
pub const MAX_BODY: usize = 32 << 20;

/// The most records or operations in one request or answer.
pub const MAX_ITEMS: usize = 10_000;

/// How often an end point says on the change stream that it is there, and that nothing has happened.
pub const HEARTBEAT: std::time::Duration = std::time::Duration::from_secs(1);

/// What can be asked of a service with a POST.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// See [`storage::Storage::create`]; the others are called like theirs.
    Create,
    /// `read`
    Read,
    /// `update`
    Update,
    /// `touch`
    Touch,
    /// `bury`
    Bury,
    /// `list`
    List,
    /// `scan`
    Scan,
    /// `batch`
    Batch,
    /// `reap`
    Reap,
}

impl Operation {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Create,
        Self::Read,
        Self::Update,
        Self::Touch,
        Self::Bury,
        Self::List,
        Self::Scan,
        Self::Batch,
        Self::Reap,
    ];

    /// Its name in the path.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Update => "update",
            Self::Touch => "touch",
            Self::Bury => "bury",
            Self::List => "list",
            Self::Scan => "scan",
            Self::Batch => "batch",
            Self::Reap => "reap",
        }
    }

    /// Whether asking twice is as good as asking once: nothing is changed, or the change is recognised by its write id,
    /// or it is the same again.
    #[must_use]
    pub const fn can_be_repeated(self) -> bool {
        match self {
            Self::Create | Self::Read | Self::Update | Self::Touch | Self::List | Self::Scan => true,
            // What it found the second time is not what it found the first time.
            Self::Bury | Self::Batch | Self::Reap => false,
        }
    }
}

impl FromStr for Operation {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|operation| operation.as_str() == name).ok_or(())
    }
}

/// `list`: of which context, after which name, and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRequest {
    /// The context.
    pub context: Box<str>,
    /// The name after which to begin.
    pub after: Option<Box<[u8]>>,
    /// How many at most; an end point gives no more than [`MAX_ITEMS`].
    pub limit: u64,
}

/// `scan`: where to go on, and about how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanRequest {
    /// Where to go on.
    pub cursor: Option<Box<[u8]>>,
    /// About how many.
    pub budget: u64,
}

/// `reap`: what is over by when, and how many at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReapRequest {
    /// By the clock of whoever asks; the end point goes by its own where that is behind.
    pub now: session::Millis,
    /// How many at most.
    pub budget: u64,
}

/// What a service can do, and is called over there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Its id.
    pub service: Box<str>,
    /// What it can do.
    pub capabilities: storage::Capabilities,
}
