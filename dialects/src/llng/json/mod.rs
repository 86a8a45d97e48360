//! The bodies of LemonLDAP::NG's REST interface, in and out.
//!
//! In a body that is read, a number stays the text that it was; in one that is written, every scalar is a string: which of its
//! values are numbers changes with each way that they take, and its clients compare them as strings. A truth value is `1` or `0`, as
//! Perl sees it. A client may send octets that are no UTF-8: such a string is taken as Latin-1, as Perl takes it.

mod read;
mod write;

pub use read::{MAX_BODY, Search, Unread, Update, Wanted, is_json, read_list, read_update, read_value};
pub use write::{DELETED, DONE, Listing, created, error, key, keys, session};

/// The content type of what is not HTML.
pub const CONTENT_TYPE: &str = "application/json; charset=utf-8";

#[cfg(test)]
mod tests;
