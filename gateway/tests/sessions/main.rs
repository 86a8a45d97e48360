//! Sessions, seen from both ends of the gateway: a visitor on one socket, an application on another, storage that can
//! fail below.
//!
//! Each module holds one of the promises of the design. `house`, `plan`, `application` and `visitor` are what the tests
//! are written in.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails there"
)]

extern crate cloakroom_gateway as gateway;

mod application;
mod house;
mod plan;
mod visitor;

mod addresses;
mod caching;
mod cookies;
mod exporting;
mod handing_over;
mod hiding;
mod limits;
mod logging_in;
mod logging_out;
mod logout_wins;
mod may_login;
mod neighbours;
mod no_update_is_lost;
mod opening;
mod outages;
mod realms;
mod recovery;
mod renewing;
mod rules;
mod sealed;
mod secrets;
mod sizes;
mod ticket_headers;
