//! Cookies, as far as they are ours.
//!
//! Ours are found ([`find`]), hidden from the application ([`hide`]), set and deleted ([`Cookie`]); and an application
//! cannot set one of our name ([`remove_impostors`]). All others pass byte for byte.
//!
//! Section numbers are those of draft-ietf-httpbis-rfc6265bis-20.

mod impostor;
mod reading;
mod settings;
mod writing;

pub use impostor::remove_impostors;
pub use reading::{Found, MAX_VALUES, find, hide};
pub use settings::{CookieError, CookieSettings, MAX_AGE, SameSite};
pub use writing::{Cookie, MAX_COOKIE, ValueError};
