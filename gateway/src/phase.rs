//! What a connection is doing: known to its requests, and asked by its socket.
//!
//! A connection of HTTP/1 serves one request after the other, one of HTTP/2 many at once: so what is under way is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;

use futures_util::task::AtomicWaker;
use tokio::sync::Notify;

use crate::counters::Counted;

/// So many requests may be given up by a client before their answers begin, whatever the others do.
const MAX_GIVEN_UP: u64 = 128;

/// What a connection is doing, shared between its socket and its requests.
#[derive(Debug, Default)]
pub(crate) struct Phase {
    /// How many requests there were, so that the socket does not miss one that was answered at once.
    requests: AtomicU64,
    /// How many requests and answers are on their way now.
    under_way: AtomicUsize,
    /// Whether something of the last request was not read. Of HTTP/1 only: requests of HTTP/2 do not block each other.
    is_unread: AtomicBool,
    is_tunnel: AtomicBool,
    /// How many requests were given up before their answers began.
    given_up: AtomicU64,
    /// The socket, where it wants to know that nothing is under way any more.
    socket: AtomicWaker,
    /// It was idle for too long, and its client shall be told before it is closed.
    pub(crate) retire: Notify,
    /// Its client asks for more and more, and wants none of it.
    pub(crate) flood: Notify,
}

impl Phase {
    /// A request is served until what this returns is dropped.
    pub(crate) fn serve(self: &Arc<Self>, in_flight: Counted) -> Serving {
        let under_way = self.begin();
        self.requests.fetch_add(1, Ordering::Release);
        Serving { _under_way: under_way, _in_flight: in_flight }
    }

    /// The body of a request is on its way until what this returns is dropped: an application may have answered, and take
    /// the rest all the same.
    pub(crate) fn receive(self: &Arc<Self>) -> Receiving {
        self.is_unread.store(true, Ordering::Release);
        Receiving { under_way: self.begin() }
    }

    /// The request that begins has no body.
    pub(crate) fn receives_nothing(&self) {
        self.is_unread.store(false, Ordering::Release);
    }

    fn begin(self: &Arc<Self>) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::Release);
        UnderWay(Arc::clone(self))
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
        } else if self.under_way.load(Ordering::Acquire) > 0 {
            Doing::Serving
        } else {
            Doing::Idle
        }
    }

    /// What it is doing; the task is woken when nothing is under way any more. For sockets that are not polled then
    /// anyway: streams of HTTP/2 end in tasks of their own.
    pub(crate) fn watch(&self, socket: &Waker) -> Doing {
        self.socket.register(socket);
        self.doing()
    }

    /// Whether something of the last request was not read.
    pub(crate) fn has_unread_body(&self) -> bool {
        self.is_unread.load(Ordering::Acquire)
    }

    /// A client has given up a request before its answer began. Some do so now and then; one that mostly does makes us
    /// and the application work for nothing, faster than any bound on requests at one time would slow it down
    /// (CVE-2023-44487).
    pub(crate) fn given_up(&self) {
        let given_up = self.given_up.fetch_add(1, Ordering::AcqRel) + 1;
        if given_up > MAX_GIVEN_UP && given_up.saturating_mul(2) > self.requests() {
            self.flood.notify_one();
        }
    }
}

/// A request is being served.
#[derive(Debug)]
pub(crate) struct Serving {
    _under_way: UnderWay,
    _in_flight: Counted,
}

/// The body of a request is on its way.
#[derive(Debug)]
pub(crate) struct Receiving {
    under_way: UnderWay,
}

impl Receiving {
    /// All of it was read.
    pub(crate) fn finish(self) {
        self.under_way.0.is_unread.store(false, Ordering::Release);
    }
}

#[derive(Debug)]
struct UnderWay(Arc<Phase>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.0.under_way.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.socket.wake();
        }
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
