//! Values that leave us sealed, and the keys that open them again.
//!
//! What we hand to a browser or write where others can read it is encrypted and authenticated, and bound to
//! what it was made for: a value sealed for one cookie does not open as another. Two ways:
//!
//! - A [`KeyRing`] holds the keys of an installation, which all nodes share and which are rotated: a new key
//!   is [announced](KeyState::Announced) everywhere first, then [active](KeyState::Active), then
//!   [retiring](KeyState::Retiring), so that at no moment a node meets a value that it cannot open.
//!   [`Keys`] is what their users hold: the ring behind it can be replaced while they seal and open.
//! - [`seal_under`] takes the key from a secret that only one visitor holds, so that nobody else, ourselves
//!   included, can open the value without that visitor.
//!
//! Both use AES-256-GCM-SIV of aws-lc-rs. Its nonces are random; should two ever be equal, all that shows is
//! whether the two values were equal as well, so that a key needs no counter and no limit that a busy
//! installation could reach. The formats are drawn byte by byte at [`KeyRing::seal`] and [`seal_under`].
//!
//! This crate reads no files and knows no sessions.

mod cipher;
mod key;
mod keys;
mod ring;
mod under;

pub use cipher::{MAX_PLAIN_LEN, OpenError, SealError};
pub use key::{IdError, Key, KeyId, KeyState, KeyTag, KeyText, TextError};
pub use keys::{Keeper, Keys, Look};
pub use ring::{KeyInfo, KeyRing, RingError};
pub use under::{open_under, seal_under};

#[cfg(test)]
mod tests;
