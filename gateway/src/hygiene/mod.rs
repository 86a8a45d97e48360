//! What of a message's head may pass the gateway, and what may not.
//!
//! The order matters and is the same for requests everywhere: [`unify`] makes one of HTTP/2 look like all others; [`host`] says for whom a request is, or refuses it;
//! [`expectation`] answers for `Expect`; [`strip_request`] removes what was meant for this connection and all that
//! `Connection` names; [`Presented::remove`] removes every spelling of what we present; only then ours is inserted.
//! So nothing that a client names or spells can take ours away or stand in for it (law 7).
//!
//! For responses: [`Update::take`] first, on every path, then [`strip_response`].

mod expect;
mod hop_by_hop;
mod host;
mod http2;
mod presented;

use http::StatusCode;

pub use expect::expectation;
pub use hop_by_hop::{pass_upgrade, strip_request, strip_response};
pub use host::{Host, host};
pub use http2::unify;
pub use presented::{Presented, Update, may_be_presented};

/// Why a request is refused for its head. The client is to blame, and the application never hears of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// `CONNECT` asks for a tunnel, `TRACE` for an echo that would show what we present.
    #[error("this gateway does not take the methods CONNECT and TRACE")]
    Method,
    /// HTTP/1.1 without `Host` (RFC 9112, 3.2).
    #[error("the request has no `Host` header: send exactly one")]
    NoHost,
    /// More than one `Host`: whom would the application believe?
    #[error("the request has several `Host` headers: send exactly one")]
    SeveralHosts,
    /// A host that is no host.
    #[error("the request's host is malformed: send a name or an address, and a port where it needs one")]
    BadHost,
    /// The request target is neither a path nor `http://` or `https://` with a host.
    #[error("the request target is malformed: send a path, or a URL that begins with http:// or https://")]
    BadTarget,
    /// An absolute request target names another host than `Host`.
    #[error("the request target names another host than the `Host` header: let them be the same")]
    OtherHost,
    /// More headers than `max_headers`. Those of HTTP/1 the library has counted.
    #[error("the request has too many headers: send fewer, or let `max_headers` be larger")]
    TooManyHeaders,
    /// An expectation other than `100-continue`.
    #[error("the request expects something other than `100-continue`, which nobody here can promise")]
    Expectation,
}

impl Refused {
    /// The status of the answer. A 405 needs an `Allow` header with it.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        match self {
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Expectation => StatusCode::EXPECTATION_FAILED,
            Self::TooManyHeaders => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::NoHost | Self::SeveralHosts | Self::BadHost | Self::BadTarget | Self::OtherHost => {
                StatusCode::BAD_REQUEST
            }
        }
    }
}
