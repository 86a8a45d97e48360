//! Connections that come in, until somebody can speak over them.
//!
//! [`Listener::accept`] takes a connection when there is a seat for it; [`Accepted::enter`] reads the header of the PROXY
//! protocol and shakes hands for TLS, where that is asked for, and gives a [`Stream`] of plain bytes. The first must
//! never wait for a stranger, the second does nothing else, within a bound: so each runs in a task of its own.
//!
//! How often strangers may do something is counted here as well ([`allowance`]). What is spoken over the stream is not known here.

mod accept;
pub mod allowance;
mod enter;
pub mod proxy_protocol;
mod seats;
mod stream;
pub mod tls;

pub use accept::{Accepted, KEEPALIVE, KEEPALIVE_INTERVAL, Listener};
pub use enter::{Arrival, Entrance, NotEntered, Secured};
pub use seats::{Seat, Seats};
pub use stream::Stream;
