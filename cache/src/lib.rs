//! The session cache: open, find, patch, renew, end, list, and why.
//!
//! Two tiers: parsed, immutable sessions in this process ([`tier`]), and a storage service. Everything that the rest
//! of Cloakroom does to a session goes through [`Cache`], and every law of the design that is about time or about
//! two things happening at once is kept here:
//!
//! - *Logout wins.* An end is written to storage, then taken out of the first tier together with every copy that is
//!   being made at that moment, and only then acknowledged.
//! - *No update is lost.* A patch is merged with what is there and written with compare-and-swap, again until it fits.
//! - *An outage is not a logout.* Whatever storage cannot say comes back as [`storage::Unavailable`], never as absent.
//! - *Idle is cheap.* The last use is kept in memory, and written with those of others before storage is behind by `touch_interval`.

mod addresses;
mod admit;
mod application;
mod aside;
mod assertions;
mod by_handle;
mod cache;
mod carried;
mod confirm;
mod counters;
mod end;
mod end_where;
mod expiring;
mod find;
mod foreign;
mod gather;
mod heads;
mod held;
mod housekeeping;
mod index;
mod kinds;
mod limit;
mod newcomers;
mod nodes;
mod once;
mod open;
mod outbox;
mod patch;
mod purpose;
mod receipt;
mod recent;
mod recovery;
mod renew;
mod repeating;
mod revocations;
mod roll_call;
mod scope;
mod search;
mod show;
mod survey;
mod sync;
mod tier;
mod token;
mod touch;
mod trust;
mod walk;
mod why;

pub use addresses::Tie;
pub use admit::LoggedOut;
pub use application::{AFTERLIFE, Application, Realm};
pub use aside::divided;
pub use assertions::{Asserted, Assertions, MAX_ASSERTION_ID, MAX_ASSERTIONS, NotKept};
pub use by_handle::{Amended, Reissued};
pub use cache::{Cache, Settings};
pub use carried::{Credential, Fit, OpenCarried, RenewCarried};
pub use end::Ended;
pub use end_where::EndedWhere;
pub use find::{Absence, Find, Found};
pub use foreign::{OpenForeign, Rewriting, Rewritten};
pub use index::{Count, IndexCheck, Listed, Listing, MAX_LISTED};
pub use kinds::{COUNTERS, Kind, Strange};
pub use limit::{SessionLimit, WhenFull};
pub use newcomers::{Newcomers, Openings, Whereabouts};
pub use nodes::{Node, NodeId};
pub use once::{Once, OpenOnce, REMEMBERED};
pub use open::{Open, Opened, Opening};
pub use outbox::Promise;
pub use patch::{Patched, TooLarge};
pub use purpose::Purpose;
pub use receipt::{Acknowledged, Receipt, Tally};
pub use renew::{Renew, Renewal};
pub use revocations::ENDS;
pub use search::{Between, Hits, MAX_LOOKED_AT, Search};
pub use show::Shown;
pub use survey::{Survey, Surveyed};
pub use why::Life;

#[cfg(test)]
mod tests;
