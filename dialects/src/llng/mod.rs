//! LemonLDAP::NG: what its portals, handlers, managers and scripts send to a session server, and what they read from it.
//!
//! Its sessions are maps of Perl values, in which a number is a text and a text may be octets or characters. Here they
//! are [`session::Value`]s: text is UTF-8, numbers are text as they came. What a client sent is [`received`] first,
//! because what it means may depend on what is stored: an unchanged value comes back in another spelling.

pub mod attributes;
pub mod crypto;
pub mod json;
pub mod kind;
pub mod received;
pub mod soap;

pub use attributes::{Exported, Hidden};
pub use crypto::Cipher;
pub use kind::{Id, Kind, StorageType};
pub use received::{Changes, Received};

/// The entry that holds the id. No client changes it.
pub const SESSION_ID: &str = "_session_id";

/// The entry that holds the [`Kind`]. No client changes it.
pub const SESSION_KIND: &str = "_session_kind";

/// The entry that holds when the session began, in seconds since the Unix epoch: its life is counted from here.
pub const BEGAN: &str = "_utime";

/// The entry that holds the last use, in seconds since the Unix epoch, where idle sessions end.
pub const LAST_SEEN: &str = "_lastSeen";

/// The entry that says whose session it is, in logs and in lists.
pub const WHOSE: &str = "_whatToTrace";
