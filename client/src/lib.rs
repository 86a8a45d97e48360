//! The client of our own HTTP interfaces: the storage end point of a session server, and its API.
//!
//! [`protocol`] is what both sides must agree on: paths, headers, and the form of requests and answers; the session
//! server uses it as well. [`Link`] keeps a few connections to one server and sends requests over them; it says of each
//! that failed whether anything of it may have arrived. [`StorageService`] is a storage service over there, with the
//! operations of the contract. [`Sessions`] is the API over there, for whoever looks at sessions and ends them.

mod error;
mod link;
pub mod protocol;
mod service;
mod sessions;

pub use error::{NotOffered, SendError};
pub use link::{Link, LinkSettings, Token};
pub use service::StorageService;
pub use sessions::{ApiError, Page, Sessions, of_handles};
