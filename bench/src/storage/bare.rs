//! What an engine is built on, asked without the contract: the same driver, the same server, the same bytes, and nothing
//! of what the contract promises. No versions, no tombstones, no expiry, no notices: it is the floor under an engine.

mod echo;
mod map;
mod redis;
mod sql;

pub(crate) use echo::serve;
pub(super) use echo::{Echo, Echoed};
pub(super) use map::Map;
pub(super) use redis::{Commands, Scripts};
pub(super) use sql::{mysql, postgres, sqlite};
