//! The gateway: a reverse proxy that keeps sessions for the applications behind it.
//!
//! [`Gateway`] accepts connections; `Service` is what one configuration makes of it, and what a reload replaces;
//! `exchange` is one request on its way, step by step, and reads as the map of the rest. What only looks at a message and
//! decides (paths, hosts, headers, cookies, the hand-off, cache headers) is in modules of its own, pure, and tested by
//! itself.

pub mod caching;
pub mod cookies;
pub mod forwarded;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod handoff;
pub mod hygiene;
pub mod login;
#[cfg(feature = "measuring")]
pub mod measuring;
pub mod pages;
pub mod path;
pub mod rewriting;
pub mod rules;
pub mod settings;

mod application;
mod attend;
mod awaited;
mod body;
mod carrier;
mod connection;
mod counters;
mod exchange;
mod explanation;
mod export;
mod frames;
mod gateway;
mod link;
mod list;
mod newcomers;
mod ours;
mod own_page;
mod patience;
mod phase;
mod policy;
mod recovery;
mod refusal;
mod renewing;
mod router;
mod service;
mod stream;
mod ticket_header;
pub mod traces;
mod trailers;
mod tunnel;
mod update;
mod upstream;
mod visit;

pub use application::ApplicationError;
pub use connector::tls::TlsError;
pub use explanation::{Explanation, Fitness, Map, Route, Verdict};
pub use gateway::Gateway;
