//! Following requests on their way, for whoever traces.
//!
//! The gateway says when a request comes, when it goes on to an application and what became of it. What a trace is, how it
//! continues that of the client and where it goes is the business of an implementation. Without one, a request pays for
//! two looks at an empty option; the headers `traceparent` and `tracestate` are passed on like any others.

use std::fmt::Debug;
use std::sync::Arc;

use http::request::Parts;
use http::{HeaderMap, Method, Response, StatusCode, Uri};
use tracing::{Instrument as _, Span};

use crate::upstream::UpstreamError;

/// Somebody who follows requests.
pub trait Traces: Debug + Send + Sync {
    /// A request has come. What happens until it is answered happens in the span.
    fn request(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Span;

    /// It was answered, by this application if it was for any. The span ends when nobody holds it any more.
    fn answered(&self, span: &Span, application: Option<&str>, status: StatusCode);

    /// A request goes on to an application, with these headers: they are to name the span that is given back.
    fn ask(&self, application: &str, method: &Method, uri: &Uri, headers: &mut HeaderMap) -> Span;

    /// The application has begun its answer, or failed to, for this reason.
    fn asked(&self, span: &Span, outcome: Result<StatusCode, &'static str>);
}

/// A request to an application, followed. It travels with the request to whoever sends it.
#[derive(Debug, Clone)]
pub(crate) struct Followed {
    traces: Arc<dyn Traces>,
    span: Span,
}

impl Followed {
    /// Begins to follow a request that is complete.
    pub(crate) fn begin(traces: &Arc<dyn Traces>, application: &str, request: &mut Parts) {
        let span = traces.ask(application, &request.method, &request.uri, &mut request.headers);
        request.extensions.insert(Self { traces: Arc::clone(traces), span });
    }

    /// Waits for the answer.
    pub(crate) async fn answer<B>(
        self,
        answer: impl Future<Output = Result<Response<B>, UpstreamError>>,
    ) -> Result<Response<B>, UpstreamError> {
        let answer = answer.instrument(self.span.clone()).await;
        let outcome = answer.as_ref().map(Response::status).map_err(UpstreamError::reason);
        self.traces.asked(&self.span, outcome);
        answer
    }
}
