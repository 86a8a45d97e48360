//! The model of a web session, pure: no I/O, no async, no HTTP.
//!
//! A [`Session`] is what belongs to a visitor; a [`Ticket`] is what the visitor holds; a [`Patch`] is what an
//! application wants changed, relative to the revision that it saw. [`record`] is the form in which a session
//! lies in storage, made of what [`wire`] offers. Time comes from a [`Clock`], so that tests decide what time it is.

pub mod record;
pub mod wire;

mod addresses;
mod carried;
mod end;
mod ended_by;
mod entries;
mod epoch;
mod footprint;
mod lineage;
mod patch;
mod principal;
mod recovery;
mod selector;
mod session;
mod ticket;
mod time;
mod timeouts;
mod value;

pub use addresses::{AddressRule, Addresses, Origin};
pub use carried::Carried;
pub use end::{Ending, Why};
pub use ended_by::EndedBy;
pub use entries::{Entries, Entry, MAX_ENTRIES, Removal};
pub use epoch::{Epoch, Epochs};
pub use footprint::block;
pub use lineage::{Kinship, Lineage, MAX_ANCESTORS, Previous};
pub use patch::{Change, Merge, OnConflict, Patch};
pub use principal::Principal;
pub use recovery::Recovery;
pub use selector::{Late, Selector, Whose};
pub use session::{Authentication, Conflict, Session};
pub use ticket::{Handle, MalformedTicket, NoRandomness, Secret, SecretHash, Ticket};
pub use time::{Clock, ManualClock, Millis, SystemClock};
pub use timeouts::{Judgement, Timeouts, record_expiry};
pub use value::{MAX_DEPTH, Value};

/// Counts the changes of one session: each patch or renewal that changed something adds one.
///
/// It orders the writers of one session among themselves. The version of a record is another thing: it belongs to
/// the storage service, which draws it anew for each write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

impl Revision {
    /// The revision after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}
