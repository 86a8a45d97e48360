//! From spans to the collector: OTLP, protobuf over HTTP.
//!
//! The exporter's thread has no runtime, and requests are not to wait for it: so it has a small runtime of its own, and
//! what the collector does not take is lost, and said.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use miette::{IntoDiagnostic, WrapErr};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use rustls::crypto::aws_lc_rs::default_provider;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;

use super::TARGET;
use crate::configuration::{Sampling, Scheme, Traces};
use crate::logs::Part;

/// How long the collector may take for a batch.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most bytes of a collector's answer.
const MAX_ANSWER: usize = 64 << 10;

pub(super) fn begin(traces: &Traces) -> miette::Result<(SdkTracerProvider, Part)> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Collector::new(traces)?)
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{}/v1/traces", traces.endpoint))
        .with_timeout(PATIENCE)
        .build()
        .into_diagnostic()
        .wrap_err("traces cannot be sent")?;
    let ratio = Sampler::TraceIdRatioBased(1.0 / f64::from(traces.one_in));
    let provider = SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_sampler(match traces.sampling {
            Sampling::Ratio => ratio,
            Sampling::Parent => Sampler::ParentBased(Box::new(ratio)),
        })
        .with_resource(
            Resource::builder()
                .with_service_name(traces.service_name.clone())
                .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
                .build(),
        )
        .build();
    let part = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("cloakroom"))
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(Targets::new().with_target(TARGET, LevelFilter::TRACE))
        .boxed();
    Ok((provider, part))
}

/// Where spans go.
#[derive(Debug)]
struct Collector {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    runtime: Runtime,
    name: Arc<str>,
}

impl Collector {
    fn new(traces: &Traces) -> miette::Result<Self> {
        let tls = HttpsConnectorBuilder::new();
        // The system's certificates are only read where they are needed.
        let tls = match traces.endpoint.scheme {
            Scheme::Https => tls
                .with_provider_and_native_roots(default_provider())
                .into_diagnostic()
                .wrap_err("the system's root certificates cannot be read; install `ca-certificates`")?,
            Scheme::Http => {
                let none = rustls::RootCertStore::empty();
                let versions = rustls::ClientConfig::builder_with_provider(Arc::new(default_provider()))
                    .with_safe_default_protocol_versions()
                    .into_diagnostic()?;
                tls.with_tls_config(versions.with_root_certificates(none).with_no_client_auth())
            }
        };
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("traces")
            .enable_all()
            .build()
            .into_diagnostic()
            .wrap_err("the runtime that sends traces does not start")?;
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(tls.https_or_http().enable_http1().build()),
            runtime,
            name: traces.endpoint.to_string().into(),
        })
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let exchange = async move {
            let (parts, body) = client.request(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(parts, body))
        };
        // Inside the task: outside of it there is no runtime that could keep the time.
        let bounded = async move { timeout(PATIENCE, exchange).await };
        let answer: Result<Response<Bytes>, HttpError> = match self.runtime.spawn(bounded).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(late)) => Err(late.into()),
            Err(broken) => Err(broken.into()),
        };
        match &answer {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => {
                tracing::warn!(collector = %self.name, status = %answer.status(), "the collector refused traces; they are lost");
            }
            Err(error) => {
                tracing::warn!(collector = %self.name, error, "traces could not be sent; they are lost");
            }
        }
        answer
    }
}
