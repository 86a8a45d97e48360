//! Requests of visitors and to applications, as spans by OpenTelemetry's conventions for HTTP.

use std::borrow::Cow;

use gateway::traces::Traces;
use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use opentelemetry::Context;
use opentelemetry::propagation::{Injector, TextMapPropagator as _};
use opentelemetry_http::HeaderExtractor;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::TARGET;

/// A longer path is cut.
const MAX_PATH: usize = 512;

/// Makes spans of requests, and carries their context from and to headers (W3C Trace Context).
#[derive(Debug, Default)]
pub(super) struct Requests {
    propagator: TraceContextPropagator,
}

impl Traces for Requests {
    fn request(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Span {
        let method = known(method);
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let span = tracing::trace_span!(
            target: TARGET,
            parent: None,
            "request",
            otel.name = method,
            otel.kind = "server",
            otel.status_code = Empty,
            http.request.method = method,
            http.response.status_code = Empty,
            url.path = &*cut(uri.path()),
            server.address = host,
            cloakroom.application = Empty,
            error.r#type = Empty,
        );
        let context = self.propagator.extract_with_context(&Context::new(), &HeaderExtractor(headers));
        // It fails only where the span is not traced, and then there is no child to be.
        let _ = span.set_parent(context);
        span
    }

    fn answered(&self, span: &Span, application: Option<&str>, status: StatusCode) {
        if let Some(application) = application {
            span.record("cloakroom.application", application);
        }
        record(span, status, status.is_server_error());
    }

    fn ask(&self, application: &str, method: &Method, uri: &Uri, headers: &mut HeaderMap) -> Span {
        let method = known(method);
        let host = headers.get(HOST).and_then(|host| host.to_str().ok());
        let span = tracing::trace_span!(
            target: TARGET,
            "upstream",
            otel.name = method,
            otel.kind = "client",
            otel.status_code = Empty,
            http.request.method = method,
            http.response.status_code = Empty,
            url.path = &*cut(uri.path()),
            server.address = host,
            cloakroom.application = application,
            error.r#type = Empty,
        );
        self.propagator.inject_context(&span.context(), &mut Into(headers));
        span
    }

    fn asked(&self, span: &Span, outcome: Result<StatusCode, &'static str>) {
        match outcome {
            // To a client every status from 400 up is an error, by the conventions.
            Ok(status) => record(span, status, status.is_client_error() || status.is_server_error()),
            Err(reason) => {
                span.record("otel.status_code", "ERROR");
                span.record("error.type", reason);
            }
        }
    }
}

fn record(span: &Span, status: StatusCode, is_error: bool) {
    span.record("http.response.status_code", i64::from(status.as_u16()));
    if is_error {
        span.record("otel.status_code", "ERROR");
        span.record("error.type", status.as_str());
    }
}

/// Clients may invent methods, and a span's name must not be of their making.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "_OTHER",
    }
}

fn cut(path: &str) -> Cow<'_, str> {
    if path.len() <= MAX_PATH { path.into() } else { path.chars().take(MAX_PATH).collect() }
}

/// Headers into which a context is written. An empty `tracestate` is not sent, and no old one stays.
struct Into<'a>(&'a mut HeaderMap);

impl Injector for Into<'_> {
    fn set(&mut self, key: &str, value: String) {
        let Ok(name) = HeaderName::from_bytes(key.as_bytes()) else { return };
        match HeaderValue::from_str(&value) {
            Ok(value) if !value.is_empty() => {
                self.0.insert(name, value);
            }
            _ => {
                self.0.remove(name);
            }
        }
    }
}
