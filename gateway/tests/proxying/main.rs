//! Proxying, seen from both ends of the gateway at once: the test is the client on one socket and the application on
//! the other, says by the byte what each sends, and sees by the byte what comes out.
//!
//! `given` starts a gateway, `application` is the far end. Time-outs are short, and what is claimed of them generous.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails there"
)]

// As everybody else in the workspace calls it.
extern crate cloakroom_gateway as gateway;

mod application;
mod given;

mod again;
mod bodies;
mod connections;
mod departures;
mod failures;
mod forwarding;
mod framing;
mod http2;
mod hygiene;
mod interim;
mod limits;
mod reloading;
mod servers;
mod shared;
mod slowness;
mod stopping;
mod tunnels;
