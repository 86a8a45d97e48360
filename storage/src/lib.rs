//! The storage contract: what every engine promises, and what the rest of Cloakroom may rely on.
//!
//! A record is (context, key) -> value, version, touched, expires. "It is not there" is an answer; "I cannot say" is
//! not, and whoever mixes the two logs people out when a disk is slow. Therefore each operation has an enum of its
//! own for its answers, and there is one error, [`Unavailable`], for whatever kept the service from answering.
//! Nothing in this crate returns `Option` where both could be meant.
//!
//! Somebody who writes an engine implements [`Storage`] and runs [`conformance_tests!`] on it: the README of this crate
//! says how, and `tests/your_own_engine.rs` is a whole one.

mod batch;
mod contract;
mod deadline;
mod divided;
mod key;
mod line;
mod measured;
mod memory;
mod migrating;
mod moving;
mod outcome;
mod record;
mod sealed;
mod shared;
mod unavailable;
mod watch;

#[cfg(feature = "kit")]
pub mod faulty;
#[cfg(feature = "kit")]
pub mod kit;

pub use batch::{Batch, Operation, Outcome};
pub use contract::{Capabilities, Listed, Page, Scan, Scanned, Storage};
pub use deadline::Deadline;
pub use divided::{Divided, LiesAside};
pub use key::{Key, KeyError, MAX_KEY_BYTES};
pub use line::{LONGEST_UNNOTICED, until_silent};
pub use measured::{Latencies, Measured};
pub use memory::Memory;
pub use migrating::{Ends, Migrating, Pass};
pub use moving::{begin_above, last_version};
pub use outcome::{Bury, Create, Read, Touch, Update, Was};
pub use record::{Burial, NewRecord, NewValue, Record, Times, Tombstone, Version, WriteId};
pub use sealed::{NotOpened, Plain, Sealed};
/// The crate of which the contract's times, clock and endings are.
pub use session;
pub use shared::Shared;
pub use unavailable::{Applied, Blame, BoxError, Unavailable};
pub use watch::{Change, Changes, Kind, Notice, Position, Publisher};
