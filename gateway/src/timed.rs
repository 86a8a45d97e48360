//! An upstream whose answers are timed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Request;
use metrics::Durations;

use crate::body::Inbound;
use crate::upstream::{Answer, Upstream};

/// Times how long another upstream takes to begin its answers, or to fail.
#[derive(Debug)]
pub(crate) struct Timed<U> {
    inner: U,
    durations: Durations,
}

impl<U: Upstream> Timed<U> {
    pub(crate) const fn new(inner: U, durations: Durations) -> Self {
        Self { inner, durations }
    }
}

impl<U: Upstream> Upstream for Timed<U> {
    fn send(&self, request: Request<Inbound>, response_timeout: Option<Duration>) -> Answer {
        let upload = Arc::clone(request.body().upload());
        let durations = self.durations.clone();
        let since = Instant::now();
        let answer = self.inner.send(request, response_timeout);
        Box::pin(async move {
            let answer = answer.await;
            let waited = since.elapsed();
            durations.observe(waited);
            // Whoever counts the request takes it off what we took ourselves.
            upload.wait(waited);
            answer
        })
    }
}
