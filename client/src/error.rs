//! Why a request was not answered.
//!
//! Three things are told apart. A request that never left ([`SendError::NotSent`]) has changed nothing. One whose
//! connection broke ([`SendError::Lost`]) may have. And an answer from somebody who does not offer what was asked for
//! ([`NotOffered`]) is for whoever wrote the configuration.

use std::sync::Arc;

use connector::{ConnectError, causes};

/// A request was not answered.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SendError {
    /// Nothing of it has arrived.
    #[error("{0}")]
    NotSent(Arc<NotConnected>),
    /// It may have arrived.
    #[error("{server} broke off before it had answered: {}", whole(cause))]
    Lost {
        /// Which server.
        server: Box<str>,
        /// What the HTTP library says.
        cause: Arc<hyper::Error>,
    },
}

/// There is no connection over which to ask.
#[derive(Debug, thiserror::Error)]
pub enum NotConnected {
    /// It could not be made.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The other side does not speak HTTP/2.
    #[error("{server} does not speak HTTP/2: {}", whole(cause))]
    Handshake {
        /// Which server.
        server: Box<str>,
        /// What the HTTP library says.
        cause: hyper::Error,
    },
    /// The other side has chosen another protocol in the handshake of TLS.
    #[error("{server} does not speak HTTP/2 over TLS")]
    Protocol {
        /// Which server.
        server: Box<str>,
    },
    /// Each connection went before the request was on its way.
    #[error(
        "{server} closes its connections before it takes a request: it is going down, or does not speak HTTP/2"
    )]
    Closing {
        /// Which server.
        server: Box<str>,
    },
    /// There was none within the time.
    #[error("there was no connection to {server} within {} ms", .after.as_millis())]
    TooSlow {
        /// Which server.
        server: Box<str>,
        /// How long it was waited for.
        after: std::time::Duration,
    },
}

/// Whoever answers does not offer this storage service to us. In the words of whoever must repair it.
#[derive(Debug, thiserror::Error)]
pub enum NotOffered {
    /// Nobody answers.
    #[error(
        "{0}; start the Cloakroom there, or correct `url`: it is that of a session server, which speaks HTTP/2"
    )]
    Unreachable(#[source] SendError),
    /// Nobody answers in time.
    #[error("{server} did not answer within {} ms; look after the Cloakroom there, or correct `url`", .after.as_millis())]
    TooSlow {
        /// Which server.
        server: Box<str>,
        /// How long it was waited for.
        after: std::time::Duration,
    },
    /// It is somebody else, or a Cloakroom that offers no storage.
    #[error(
        "what answers at {server} offers no storage (it says {status}): correct `url`, which is that of a session server; \
         or say there, in a `[[client]]` with `may = [\"storage\"]`, who may use its storage"
    )]
    NoEndPoint {
        /// Which server.
        server: Box<str>,
        /// What it answers.
        status: http::StatusCode,
    },
    /// Another version of Cloakroom.
    #[error(
        "{server} speaks the storage protocol {theirs}, and this Cloakroom speaks {}: bring both to the same version",
        crate::protocol::VERSION
    )]
    OtherVersion {
        /// Which server.
        server: Box<str>,
        /// What it speaks.
        theirs: Box<str>,
    },
    /// It does not know us.
    #[error(
        "{server} does not know us ({says}): name the token that it knows as `bearer_file`, or the certificate as \
         `certificate`"
    )]
    Unauthenticated {
        /// Which server.
        server: Box<str>,
        /// What it says.
        says: Box<str>,
    },
    /// It knows us, and does not let us.
    #[error("{server} does not let us ({says}): see `from` and `may` of our `[[client]]` there")]
    Forbidden {
        /// Which server.
        server: Box<str>,
        /// What it says.
        says: Box<str>,
    },
    /// It has no such service.
    #[error("{server} has no such storage ({says}): name one of its `[[storage]]` as `service`")]
    UnknownService {
        /// Which server.
        server: Box<str>,
        /// What it says.
        says: Box<str>,
    },
    /// Anything else.
    #[error("{server} answers {status} ({says})")]
    Refused {
        /// Which server.
        server: Box<str>,
        /// Its status.
        status: http::StatusCode,
        /// What it says.
        says: Box<str>,
    },
    /// The answer is none.
    #[error("{server} answers something that cannot be read: {says}")]
    Nonsense {
        /// Which server.
        server: Box<str>,
        /// What is wrong with it.
        says: Box<str>,
    },
}

/// An error with what it comes from, which the library does not say by itself.
fn whole(error: &hyper::Error) -> String {
    causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
