//! What a server says of a request that it has not looked at.

use std::error::Error;
use std::iter::successors;

use h2::Reason;

/// Whether a server says that it has not looked at the request which ended in this error: then it may be sent again,
/// whatever it asks for.
#[must_use]
pub fn is_refused_stream(error: &(dyn Error + 'static)) -> bool {
    causes(error).any(|cause| cause.downcast_ref::<h2::Error>().is_some_and(is_refused))
}

/// An error, what it comes from, and so on.
pub fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> {
    successors(Some(error), |cause| (**cause).source())
}

/// RFC 9113, 8.7. The library gives the end of a connection as the end of those streams only that came after the last one
/// that the server says it has looked at.
fn is_refused(error: &h2::Error) -> bool {
    error.is_remote()
        && match error.reason() {
            Some(Reason::REFUSED_STREAM) => error.is_reset(),
            Some(Reason::NO_ERROR) => error.is_go_away(),
            _ => false,
        }
}
