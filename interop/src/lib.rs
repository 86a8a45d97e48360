//! Real servers and browsers for the tests: found, started, stopped.
//!
//! Each server has a file here and a type of the same name. Starting one claims a free port, writes its
//! configuration into a temporary directory, and waits until it answers; dropping it stops it and removes the
//! directory. Nothing outside that directory is read or written, and no service of the machine is touched.
//! A program that is not installed is told apart from one that fails: see [`available`].
//!
//! [`raw`] talks to servers by the byte, [`http2`] by the frame, [`Authority`] issues certificates, [`Capture`] is an upstream that
//! keeps every byte it was sent, and [`FaultProxy`] lets a line between two programs fail.

mod apache;
mod authority;
mod capture;
mod chromium;
mod cloakroom;
mod django;
mod error;
mod fault_proxy;
mod haproxy;
pub mod http2;
mod lemonldap;
mod mariadb;
mod nginx;
mod port;
mod postgres;
mod process;
mod prometheus;
pub mod raw;
mod redis;
mod scratch;
mod shibboleth;

pub use apache::Apache;
pub use authority::{Authority, Issued};
pub use capture::{Answer, Capture, Request};
pub use chromium::{Chromium, Habits, Screen};
pub use cloakroom::Cloakroom;
pub use django::Django;
pub use error::{Error, Result, available};
pub use fault_proxy::{Condition, FaultProxy};
pub use haproxy::Haproxy;
pub use lemonldap::{LemonLdap, LemonLdapHandler, LemonLdapManager};
pub use mariadb::MariaDb;
pub use nginx::Nginx;
pub use port::Port;
pub use postgres::Postgres;
pub use process::{Process, find};
pub use prometheus::{Prometheus, promtool};
pub use redis::{Cluster, Redis, Sentinels};
pub use shibboleth::{Portal, Shibboleth};
