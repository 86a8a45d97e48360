//! Traces: where a request spent its time, told to a collector by OpenTelemetry's protocol (OTLP over HTTP).
//!
//! A build with the feature `otel` can do it, and does it where the configuration has `[traces]`. A request then has a
//! span, child of the one that its `traceparent` names, and below it one for each request to an application and each
//! operation of storage. Spans are ordinary ones of `tracing` under a target of their own, so that what nobody asked for
//! is not even made, and the log does not show them.
//!
//! What is said of a request: method, path, host, status, application. Never its query, a header or a session.

use std::sync::Arc;

use gateway::traces::Traces as Follows;
use storage::Storage;

use crate::configuration::Configuration;
use crate::logs::Part;

#[cfg(feature = "otel")]
mod export;
#[cfg(feature = "otel")]
mod operations;
#[cfg(feature = "otel")]
mod requests;

/// The target of every span.
#[cfg(feature = "otel")]
const TARGET: &str = "cloakroom::traces";

/// Sends spans to the collector, if there is one.
#[derive(Debug, Default)]
pub struct Exporting {
    #[cfg(feature = "otel")]
    provider: Option<opentelemetry_sdk::trace::SdkTracerProvider>,
}

impl Exporting {
    /// Begins, if the configuration wants it; gives the part of the log's set-up by which spans get there.
    #[cfg_attr(not(feature = "otel"), expect(unused_variables, reason = "there is nothing to begin"))]
    pub fn begin(configuration: &Configuration) -> miette::Result<(Self, Option<Part>)> {
        #[cfg(feature = "otel")]
        if let Some(traces) = &configuration.traces {
            let (provider, part) = export::begin(traces)?;
            return Ok((Self { provider: Some(provider) }, Some(part)));
        }
        Ok((Self::default(), None))
    }

    /// Sends what is left.
    pub fn end(self) {
        #[cfg(feature = "otel")]
        if let Some(Err(error)) = self.provider.map(|provider| provider.shutdown()) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Who follows requests through the gateway, if the configuration wants it.
#[cfg_attr(not(feature = "otel"), expect(unused_variables, reason = "nobody does"))]
pub(crate) fn of_requests(configuration: &Configuration) -> Option<Arc<dyn Follows>> {
    #[cfg(feature = "otel")]
    if configuration.traces.is_some() {
        return Some(Arc::new(requests::Requests::default()));
    }
    None
}

/// Storage whose operations are followed, if the configuration wants it.
#[cfg_attr(not(feature = "otel"), expect(unused_variables, reason = "nobody follows"))]
pub(crate) fn of_storage(configuration: &Configuration, storage: Arc<dyn Storage>) -> Arc<dyn Storage> {
    #[cfg(feature = "otel")]
    if configuration.traces.is_some() {
        return Arc::new(operations::Followed::new(storage));
    }
    storage
}
