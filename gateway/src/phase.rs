//! What a connection is doing: known to its requests, and asked by its socket.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::body::Upload;
use crate::counters::Counted;

/// What a connection is doing, shared between its socket and its requests.
#[derive(Debug, Default)]
pub(crate) struct Phase {
    /// How many requests there were, so that the socket does not miss one that was answered at once.
    requests: AtomicU64,
    is_serving: AtomicBool,
    is_tunnel: AtomicBool,
    /// The body of the last request.
    upload: Mutex<Option<Arc<Upload>>>,
}

impl Phase {
    /// A request is served until what this returns is dropped.
    pub(crate) fn serve(self: &Arc<Self>, upload: Arc<Upload>, in_flight: Counted) -> Serving {
        *self.upload.lock() = Some(upload);
        self.is_serving.store(true, Ordering::Release);
        self.requests.fetch_add(1, Ordering::Release);
        Serving { phase: Arc::clone(self), _in_flight: in_flight }
    }

    /// The connection has changed its protocol: from now on silence is no fault.
    pub(crate) fn tunnel(&self) {
        self.is_tunnel.store(true, Ordering::Release);
    }

    /// How many requests there were.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Acquire)
    }

    /// As far as its requests know: they do not see a head that has begun.
    pub(crate) fn doing(&self) -> Doing {
        if self.is_tunnel.load(Ordering::Acquire) {
            Doing::Tunnel
        } else if self.is_serving.load(Ordering::Acquire)
            || self.upload.lock().as_ref().is_some_and(|upload| upload.goes_on())
        {
            // An application may have answered, and take the rest of the body all the same: that has its own bound.
            Doing::Serving
        } else {
            Doing::Idle
        }
    }

    /// Whether something of the last request was not read.
    pub(crate) fn has_unread_body(&self) -> bool {
        self.upload.lock().as_ref().is_some_and(|upload| !upload.has_ended())
    }
}

/// A request is being served.
#[derive(Debug)]
pub(crate) struct Serving {
    phase: Arc<Phase>,
    _in_flight: Counted,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.phase.is_serving.store(false, Ordering::Release);
    }
}

/// What a connection does at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    /// It is open, and nothing has come yet.
    New,
    /// It waits for the next request.
    Idle,
    /// A head has begun.
    Head,
    Serving,
    Tunnel,
}
